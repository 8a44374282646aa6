//! Copying to and from the program, one instruction that may fault and is prepared for it.
//!
//! The copy runs with the program's page tables active. If it faults, the trap handler sees that RIP lies in
//! [`copy`](imp) and lets it return the number of bytes that are missing, instead of panicking.

use crate::address::UserAddr;
use crate::frame::Frame;
use crate::user::CopyFault;
use septum_abi::layout::{PAGE_SIZE, USER_END};

/// Copies `bytes` to the program's `address`.
pub fn copy_to_user(address: UserAddr, bytes: &[u8]) -> Result<(), CopyFault> {
    transfer(address, bytes.len(), |user, len| imp::to_user_from(user, bytes.as_ptr(), len))
}

/// Fills `bytes` from the program's `address`.
pub fn copy_from_user(address: UserAddr, bytes: &mut [u8]) -> Result<(), CopyFault> {
    transfer(address, bytes.len(), |user, len| imp::from_user_to(user, bytes.as_mut_ptr(), len))
}

/// Copies `len` bytes at `offset` of `frame` to the program's `address`; bytes beyond the frame's end are left out.
pub fn copy_frame_to_user(
    address: UserAddr,
    frame: &Frame,
    offset: usize,
    len: usize,
) -> Result<(), CopyFault> {
    let (from, len) = frame.span(offset, len);
    transfer(address, len, |user, len| imp::to_user_from(user, from, len))
}

/// Fills `len` bytes at `offset` of `frame` from the program's `address`; bytes beyond the frame's end are left out.
pub fn copy_frame_from_user(
    address: UserAddr,
    frame: &Frame,
    offset: usize,
    len: usize,
) -> Result<(), CopyFault> {
    let (to, len) = frame.span(offset, len);
    transfer(address, len, |user, len| imp::from_user_to(user, to, len))
}

/// Copies a whole frame of the window, which may fault as a program's page may.
pub(crate) fn copy_frame(to: &Frame, from: &Frame) -> bool {
    let ((to, _), (from, len)) = (to.span(0, PAGE_SIZE), from.span(0, PAGE_SIZE));
    imp::between_frames(to, from, len) == 0
}

/// The eight bytes at `from`, which lie in a frame that the caller holds; `None` if that is one of the window and gone.
pub(crate) fn copy_word(from: *const u32) -> Option<u64> {
    let mut bytes = [0; 8];
    (imp::between_frames(bytes.as_mut_ptr(), from.cast(), bytes.len()) == 0)
        .then_some(u64::from_le_bytes(bytes))
}

/// Fills `bytes` from `offset` of a frame. False if they are not all inside, or its file has become shorter and it is gone.
#[must_use]
pub fn read_frame(frame: &Frame, offset: usize, bytes: &mut [u8]) -> bool {
    let (from, len) = frame.span(offset, bytes.len());
    len == bytes.len() && imp::between_frames(bytes.as_mut_ptr(), from, len) == 0
}

/// Copies `bytes` to `offset` of a frame. False as above.
#[must_use]
pub fn write_frame(frame: &Frame, offset: usize, bytes: &[u8]) -> bool {
    let (to, len) = frame.span(offset, bytes.len());
    len == bytes.len() && imp::between_frames(to, bytes.as_ptr(), len) == 0
}

/// Clips to the program's half, so that the instruction itself can only touch what is the program's.
fn transfer(address: UserAddr, len: usize, copy: impl FnOnce(u64, usize) -> usize) -> Result<(), CopyFault> {
    let room = crate::address::to_usize(USER_END - address.get());
    let missing = len.saturating_sub(room);
    let touch = || copy(address.get(), len - missing);
    let missing = missing + crate::shootdown::touching(crate::paging::forget_all, touch);
    if missing == 0 {
        return Ok(());
    }
    let copied = len - missing;
    let stop = UserAddr::new(address.get() + copied as u64).unwrap_or(address);
    Err(CopyFault { copied, address: stop })
}

#[cfg(target_os = "none")]
mod imp {
    use core::arch::global_asm;

    // Eight bytes at a time: as fast as any where `rep movs` is microcode, and eight times faster than bytes
    // where ring 0 is emulated. RDI = to, RSI = from, RDX = length; returns the bytes not copied.
    global_asm!(
        ".global septum_user_copy",
        ".global septum_user_copy_words",
        ".global septum_user_copy_bytes",
        ".global septum_user_copy_words_failed",
        ".global septum_user_copy_bytes_failed",
        "septum_user_copy:",
        "mov rcx, rdx",
        "and edx, 7",
        "shr rcx, 3",
        "jz 2f",
        "septum_user_copy_words:",
        "rep movsq",
        "2: mov ecx, edx",
        "jrcxz 3f",
        "septum_user_copy_bytes:",
        "rep movsb",
        "3: xor eax, eax",
        "ret",
        // A word may begin on a page that is there, and end on one that is not: up to that page by bytes, so that what is
        // missing begins with it.
        "septum_user_copy_words_failed:",
        "lea rax, [rcx * 8 + rdx]",
        "mov rcx, rdi",
        "or rcx, rsi",
        "test cl, 7",
        "jz 4f",
        "mov rcx, rax",
        "jmp septum_user_copy_bytes",
        "4: ret",
        "septum_user_copy_bytes_failed:",
        "mov rax, rcx",
        "ret",
    );

    unsafe extern "C" {
        fn septum_user_copy(to: *mut u8, from: *const u8, len: usize) -> usize;
    }

    pub fn to_user_from(user: u64, from: *const u8, len: usize) -> usize {
        // SAFETY: 1. the caller clipped the destination to the program's half, where no Rust object lives; 2. a fault there
        // is caught; 3. the source is `len` bytes of a live slice or frame.
        unsafe { septum_user_copy(user as *mut u8, from, len) }
    }

    pub fn between_frames(to: *mut u8, from: *const u8, len: usize) -> usize {
        // SAFETY: 1. both are parts of frames in the direct map, which no reference covers, or the caller's own; 2. a fault there is caught.
        unsafe { septum_user_copy(to, from, len) }
    }

    pub fn from_user_to(user: u64, to: *mut u8, len: usize) -> usize {
        // SAFETY: as above, the other way round.
        unsafe { septum_user_copy(to, user as *const u8, len) }
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    //! Tests: the active page table is walked by software.
    use crate::address::PhysAddr;
    use crate::frame;
    use crate::paging::arch::ACTIVE;
    use septum_abi::layout::PAGE_SIZE;

    fn walk(address: u64, write: bool) -> Option<*mut u8> {
        let mut table = ACTIVE.get();
        if table == 0 {
            return None;
        }
        for shift in [39, 30, 21, 12] {
            let index = usize::try_from(address >> shift).ok()? & 511;
            // SAFETY: tables reachable from the active root are allocated frames.
            let entry = unsafe { *frame::memory_at(PhysAddr(table), index * 8).cast::<u64>() };
            let is_large = shift == 21 && entry & 1 << 7 != 0;
            if entry & 1 == 0 || ((shift == 12 || is_large) && write && entry & 2 == 0) {
                return None;
            }
            if is_large {
                let place = PhysAddr((entry & 0x000f_ffff_ffe0_0000) + (address & 0x1f_ffff));
                return Some(frame::memory_at(place, 0));
            }
            table = entry & 0x000f_ffff_ffff_f000;
        }
        Some(frame::memory_at(PhysAddr(table), usize::try_from(address).ok()? % PAGE_SIZE))
    }

    pub fn between_frames(to: *mut u8, from: *const u8, len: usize) -> usize {
        // SAFETY: both are parts of frames, which no reference covers, or the caller's own.
        unsafe { core::ptr::copy(from, to, len) };
        0
    }

    pub fn to_user_from(user: u64, from: *const u8, len: usize) -> usize {
        for step in 0..len {
            let Some(place) = walk(user + step as u64, true) else { return len - step };
            // SAFETY: 1. `walk` found an allocated frame; 2. the source has `len` bytes.
            unsafe { place.write(from.add(step).read()) };
        }
        0
    }

    pub fn from_user_to(user: u64, to: *mut u8, len: usize) -> usize {
        for step in 0..len {
            let Some(place) = walk(user + step as u64, false) else { return len - step };
            // SAFETY: 1. `walk` found an allocated frame; 2. the destination has `len` bytes.
            unsafe { to.add(step).write(place.read()) };
        }
        0
    }
}
