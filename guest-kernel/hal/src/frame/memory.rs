//! Physical memory itself: contents and reference counts of frames.

use super::pool::{BLOCK, Block, Pool};
use super::{POOL, window};
use core::sync::atomic::{AtomicPtr, AtomicU32, AtomicU64, Ordering};
use septum_abi::layout::{FILE_WINDOW, PAGE_SHIFT, PAGE_SIZE};

/// Reference counts, indexed by frame number.
static COUNTS: AtomicPtr<AtomicU32> = AtomicPtr::new(core::ptr::null_mut());
/// First frame number of the window, above all RAM.
const WINDOW: u64 = FILE_WINDOW.start >> PAGE_SHIFT;
/// The count of a frame that cannot be: never freed.
static NOBODY: AtomicU32 = AtomicU32::new(u32::MAX / 2);
/// One past the last frame number.
static END: AtomicU64 = AtomicU64::new(0);

#[cfg(target_os = "none")]
mod place {
    use septum_abi::layout::{DIRECT_MAP, PAGE_SHIFT};
    pub fn base(number: u64) -> *mut u8 {
        (DIRECT_MAP + (number << PAGE_SHIFT)) as *mut u8
    }
    pub fn ready() {}
}

#[cfg(not(target_os = "none"))]
mod place {
    //! Tests: 64 MiB of zeroed heap stand for RAM, starting at frame 1.
    use super::{AtomicU32, BLOCK, Block, PAGE_SHIFT, PAGE_SIZE};
    use std::sync::OnceLock;
    const FRAMES: u64 = 16 * 1024;
    static RAM: OnceLock<usize> = OnceLock::new();
    pub fn base(number: u64) -> *mut u8 {
        (RAM.get().copied().unwrap_or(0) + (usize::try_from(number).unwrap_or(0) << PAGE_SHIFT)) as *mut u8
    }
    pub fn ready() {
        RAM.get_or_init(|| {
            let len = usize::try_from(FRAMES).unwrap_or(0) * PAGE_SIZE;
            let ram = alloc::vec![0u64; len / 8].leak().as_mut_ptr() as usize;
            let ram = ram + (PAGE_SIZE - ram % PAGE_SIZE) % PAGE_SIZE;
            let counts: &'static mut [u32] = alloc::vec![0u32; usize::try_from(FRAMES).unwrap_or(0)].leak();
            let blocks: usize = usize::try_from(FRAMES / BLOCK).unwrap_or(0);
            let blocks = alloc::vec![Block::default(); blocks].leak();
            super::set_up(counts.as_mut_ptr().cast::<AtomicU32>(), 1, FRAMES - 1, 0..0, blocks);
            ram
        });
    }
}

fn set_up(
    counts: *mut AtomicU32,
    first: u64,
    end: u64,
    gap: core::ops::Range<u64>,
    blocks: &'static mut [Block],
) {
    COUNTS.store(counts, Ordering::Release);
    END.store(end, Ordering::Release);
    *POOL.lock() = Pool::new(first, end, gap, blocks);
}

/// Hands the pool the memory from `free_start` on. `ranges` are ascending and at most two.
#[cfg(target_os = "none")]
pub fn init(free_start: u64, ranges: &[septum_abi::boot::MemoryRange]) {
    let end_of = |range: &septum_abi::boot::MemoryRange| (range.start + range.len) >> PAGE_SHIFT;
    let Some((first, last)) = ranges.first().zip(ranges.last()) else { return };
    let end = end_of(last);
    let start = place::base(free_start >> PAGE_SHIFT);
    let counts_len = (end * 4).next_multiple_of(16) as usize;
    let blocks_len = end.div_ceil(BLOCK) as usize;
    let blocks = start.wrapping_add(counts_len).cast::<Block>();
    // SAFETY: 1. the host left this memory free, mapped and zero, which is a valid `Block`; 2. it is handed out
    // nowhere else: the pool begins behind it; 3. this function runs once.
    let blocks = unsafe { core::slice::from_raw_parts_mut(blocks, blocks_len) };
    let used = counts_len + size_of_val(blocks);
    let gap = if ranges.len() > 1 { end_of(first)..(last.start >> PAGE_SHIFT) } else { 0..0 };
    let first_free = (free_start >> PAGE_SHIFT) + used.div_ceil(PAGE_SIZE) as u64;
    set_up(start.cast(), first_free, end, gap, blocks);
}

pub fn is_counted(number: u64) -> bool {
    number != 0 && (number < END.load(Ordering::Relaxed) || window::count(number).is_some())
}

pub fn count(number: u64) -> &'static AtomicU32 {
    if number >= WINDOW {
        return window::count(number).unwrap_or(&NOBODY);
    }
    let counts = COUNTS.load(Ordering::Relaxed);
    // SAFETY: 1. the array has an entry for every frame number below the pool's end, and `number` comes
    // from the pool; 2. it lives for ever; 3. it is only ever used as atomics.
    unsafe { &*counts.add(number as usize) }
}

/// The counts of `len` frames from `first` on.
pub fn counts(first: u64, len: u64) -> &'static [AtomicU32] {
    // SAFETY: as in `count`, for every one of them.
    unsafe { core::slice::from_raw_parts(count(first), len as usize) }
}

pub fn at(number: u64, offset: usize) -> *mut u8 {
    place::base(number).wrapping_add(offset)
}

pub fn write(number: u64, offset: usize, bytes: &[u8]) {
    // SAFETY: 1. the frame is allocated and mapped; 2. the callers clip to its end; 3. no Rust reference
    // to frame memory exists, so nothing is aliased.
    unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), at(number, offset), bytes.len()) }
}

pub fn read(number: u64, offset: usize, bytes: &mut [u8]) {
    // SAFETY: as in `write`.
    unsafe { core::ptr::copy_nonoverlapping(at(number, offset), bytes.as_mut_ptr(), bytes.len()) }
}

pub fn fill(number: u64, offset: usize, len: usize, byte: u8) {
    // SAFETY: as in `write`.
    unsafe { core::ptr::write_bytes(at(number, offset), byte, len) }
}

pub fn copy(to: u64, from: u64) {
    // SAFETY: as in `write`; two live frames never overlap, and copying a frame to itself is excluded by
    // `ptr::copy`.
    unsafe { core::ptr::copy(at(from, 0), at(to, 0), PAGE_SIZE) }
}

pub fn copy_part(to: (u64, usize), from: (u64, usize), len: usize) {
    // SAFETY: as in `copy`; the caller clips to the end of both.
    unsafe { core::ptr::copy(at(from.0, from.1), at(to.0, to.1), len) }
}

pub fn ready() {
    place::ready();
}

#[cfg(not(target_os = "none"))]
const _: u32 = PAGE_SHIFT;
