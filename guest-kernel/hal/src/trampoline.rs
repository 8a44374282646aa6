//! Trampolines: the kernel's way in for system calls that a jump makes, without the `syscall` instruction.
//!
//! In single-privilege mode kernel and program share ring 3 and page tables, so a jump is all that a system call takes; `syscall` itself
//! goes by way of the host there, which costs between one microsecond and twenty. Whoever finds one that is made again and again writes
//! [`Trampoline::jump`] over it and its neighbour, which the trampoline makes up for:
//!
//! ```text
//! b8 NN NN NN NN 0f 05   mov eax, number; syscall          Site::Number
//! 0f 05 48 3d II II II II   syscall; cmp rax, immediate    Site::Comparison
//! 0f 05 3d II II II II      syscall; cmp eax, immediate
//!
//! ff 24 65 AA AA AA AA   jmp [address]
//! ```
//!
//! Threads may be on their way inside of what is written over, at the second of the two instructions, or come back to it. The jump's
//! encoding is chosen so that they find an invalid instruction there: `AA AA AA AA` begins with a byte that is none behind the GS prefix
//! `65`, and its third is none either. The exception tells the kernel, which does what the instruction would have done.
//!
//! Pointers and trampolines lie in pages of their own, which the kernel's half of every program maps below the kernel's image at
//! [`BASE`]. Of each 256 bytes the first 56 are pointers, at offsets that are such bytes; six trampolines of 32 bytes follow.

use crate::sync::Mutex;
use crate::user::Registers;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::SYSCALL_LIMIT;

/// Where the pages are: the third byte is no instruction.
pub(crate) const BASE: u64 = septum_abi::layout::KERNEL_MAP + 0xe_0000;
/// Offsets of pointers in each line: bytes that are no instructions.
const POINTERS: [u64; 6] = [0x06, 0x0e, 0x16, 0x1e, 0x27, 0x2f];
const LINE: u64 = 0x100;
/// Where a line's trampolines begin.
const CODE: u64 = 0x38;
const CODE_SIZE: u64 = 32;
/// Offset of its data in a trampoline: where it returns to (8 bytes), number or immediate (4), kind (1).
const DATA: u64 = 17;
/// From its data to a `syscall` of its own, its last two bytes, which is made where GS does not name the vCPU.
pub(crate) const DATA_TO_CALL: u64 = 13;
const _: () = assert!(DATA + DATA_TO_CALL + 2 == CODE_SIZE && BASE.is_multiple_of(0x1_0000) && PAGES <= 16);
const PAGES: usize = 16;
/// Trampolines in a page.
const IN_PAGE: usize = POINTERS.len() * (4096 / LINE as usize);

/// What a jump replaces.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Site {
    /// `mov eax, number` and the system call.
    Number(u32),
    /// The system call and `cmp rax, immediate`, or `cmp eax, immediate`.
    Comparison {
        /// What is compared with.
        immediate: i32,
        /// Of 64 bits.
        is_wide: bool,
    },
}

impl Site {
    /// Bytes of `syscall`.
    pub const CALL: u64 = 2;
    /// Bytes before `syscall` that [`find`](Self::find) looks at.
    pub const BEFORE: usize = 6;

    /// What there is around a `syscall` that was made with `number` in RAX: the bytes before and from it on.
    #[must_use]
    pub fn find(before: [u8; Self::BEFORE], from: [u8; 8], number: u64) -> Option<Self> {
        if from[..2] != [0x0f, 0x05] {
            return None;
        }
        let immediate = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).map(u32::from_le_bytes).ok();
        // With a prefix it is a move to another register. That it is a move at all, and no other instruction's end, RAX tells.
        if let [0x00..=0x3f | 0x50..=0x65 | 0x67..=0xff, 0xb8, value @ ..] = &before
            && let Some(value) = immediate(value)
            && u64::from(value) == number
            && value < SYSCALL_LIMIT
        {
            return Some(Self::Number(value));
        }
        match from {
            [_, _, 0x48, 0x3d, ref value @ ..] => {
                Some(Self::Comparison { immediate: immediate(value)?.cast_signed(), is_wide: true })
            }
            [_, _, 0x3d, ref value @ .., _] => {
                Some(Self::Comparison { immediate: immediate(value)?.cast_signed(), is_wide: false })
            }
            _ => None,
        }
    }

    /// Bytes from the site's start to `syscall`.
    #[must_use]
    pub fn before_call(self) -> u64 {
        if matches!(self, Self::Number(_)) { 5 } else { 0 }
    }

    /// Bytes of both instructions.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "never empty")]
    pub fn len(self) -> usize {
        if matches!(self, Self::Comparison { is_wide: true, .. }) { 8 } else { 7 }
    }

    /// Does what comes behind the system call, if RIP is there: the comparison.
    pub fn complete(self, registers: &mut Registers) {
        let Self::Comparison { immediate, is_wide } = self else { return };
        let (left, right, sign) = if is_wide {
            (registers.rax, i64::from(immediate).cast_unsigned(), 63)
        } else {
            (registers.rax & 0xffff_ffff, u64::from(immediate.cast_unsigned()), 31)
        };
        let difference = left.wrapping_sub(right) & (u64::MAX >> (63 - sign));
        let bit = |condition: bool, number: u32| u64::from(condition) << number;
        const CF_PF_AF_ZF_SF_OF: u64 = 0x8d5;
        registers.rflags = registers.rflags & !CF_PF_AF_ZF_SF_OF
            | bit(left < right, 0)
            | bit((difference as u8).count_ones().is_multiple_of(2), 2)
            | bit((left ^ right ^ difference) & 0x10 != 0, 4)
            | bit(difference == 0, 6)
            | bit(difference >> sign & 1 != 0, 7)
            | bit(((left ^ right) & (left ^ difference)) >> sign & 1 != 0, 11);
        registers.rip += self.len() as u64 - Self::CALL;
        // The quick way back to the program needs it there; nobody looks for what `syscall` leaves in it.
        registers.rcx = registers.rip;
    }

    fn parts(self) -> (u32, u8) {
        match self {
            Self::Number(number) => (number, 0),
            Self::Comparison { immediate, is_wide: true } => (immediate.cast_unsigned(), 1),
            Self::Comparison { immediate, is_wide: false } => (immediate.cast_unsigned(), 2),
        }
    }

    fn of_parts(value: u32, kind: u8) -> Option<Self> {
        match kind {
            0 => Some(Self::Number(value)),
            1 | 2 => Some(Self::Comparison { immediate: value.cast_signed(), is_wide: kind == 1 }),
            _ => None,
        }
    }
}

/// Which trampolines are taken, by page.
static TAKEN: Mutex<[u128; PAGES]> = Mutex::new([0; PAGES]);
/// The direct map's address of each page; 0 if there is none yet.
static MEMORY: [AtomicU64; PAGES] = [const { AtomicU64::new(0) }; PAGES];

/// A trampoline, until it is dropped: nobody may be in it then.
#[derive(Debug)]
pub struct Trampoline {
    index: usize,
    site: Site,
}

impl Trampoline {
    /// One for `site`, whose system call returns to `back`. `None` if all are taken, or there is no memory.
    #[must_use]
    pub fn new(site: Site, back: u64) -> Option<Self> {
        let mut taken = TAKEN.lock();
        let page = taken.iter().position(|bits| bits.trailing_ones() < IN_PAGE as u32)?;
        let mut memory = MEMORY[page].load(Ordering::Relaxed);
        if memory == 0 {
            memory = arch::make_page(BASE + (page * 4096) as u64)?;
            MEMORY[page].store(memory, Ordering::Relaxed);
        }
        let within = taken[page].trailing_ones() as usize;
        taken[page] |= 1 << within;
        let this = Self { index: page * IN_PAGE + within, site };
        let (code, offset) = this.code(back);
        let start = this.line() & 0xfff;
        arch::write(memory + start + offset, &code);
        arch::write(memory + (this.pointer() & 0xfff), &(this.line() + offset).to_le_bytes());
        Some(this)
    }

    /// What it is for.
    #[must_use]
    pub fn site(&self) -> Site {
        self.site
    }

    /// What is written over the site, as far as that [goes](Site::len).
    #[must_use]
    pub fn jump(&self) -> [u8; 8] {
        let [a, b, c, d, ..] = self.pointer().to_le_bytes();
        [0xff, 0x24, 0x65, a, b, c, d, 0x90]
    }

    fn line(&self) -> u64 {
        BASE + (self.index / POINTERS.len()) as u64 * LINE
    }

    fn pointer(&self) -> u64 {
        self.line() + POINTERS[self.index % POINTERS.len()]
    }

    /// Its code and data, and their offset in the line.
    fn code(&self, back: u64) -> ([u8; CODE_SIZE as usize], u64) {
        let offset = CODE + (self.index % POINTERS.len()) as u64 * CODE_SIZE;
        let mut bytes = [0xcc; CODE_SIZE as usize];
        let mut at = 0;
        let mut put = |part: &[u8]| {
            bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
            at as u64
        };
        let (value, kind) = self.site.parts();
        if let Site::Number(number) = self.site {
            // mov eax, number
            put(&[0xb8]);
            put(&number.to_le_bytes());
        }
        // lea rcx, [data]; jmp entry
        let end = put(&[0x48, 0x8d, 0x0d]) + 4;
        put(&((DATA - end) as u32).to_le_bytes());
        let end = put(&[0xe9]) + 4;
        let distance = arch::entry().wrapping_sub(self.line() + offset + end);
        put(&(distance as u32).to_le_bytes());
        let data = DATA as usize;
        bytes[data..data + 8].copy_from_slice(&back.to_le_bytes());
        bytes[data + 8..data + 12].copy_from_slice(&value.to_le_bytes());
        bytes[data + 12] = kind;
        bytes[data + DATA_TO_CALL as usize..].copy_from_slice(&[0x0f, 0x05]);
        (bytes, offset)
    }
}

impl Drop for Trampoline {
    fn drop(&mut self) {
        TAKEN.lock()[self.index / IN_PAGE] &= !(1 << (self.index % IN_PAGE));
    }
}

/// How a system call came in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// By `syscall` in the program's code.
    Instruction,
    /// By the jump at a site.
    Jump(Site),
    /// By a jump, and by the trampoline's own `syscall`: the program has set a base of GS. The registers say now that it was a jump.
    Astray(Site),
}

/// The way of the system call that these registers are of.
#[must_use]
pub fn taken(registers: &mut Registers) -> Way {
    if registers.error_code != 0 {
        return site_of(registers.error_code).map_or(Way::Instruction, |(site, _)| Way::Jump(site));
    }
    let data = registers.rip.wrapping_sub(CODE_SIZE - DATA);
    let Some((site, back)) = site_of(data).filter(|_| registers.rip >= BASE) else { return Way::Instruction };
    (registers.rip, registers.rcx, registers.error_code) = (back, back, data);
    Way::Astray(site)
}

/// The site whose trampoline has its data there, and where it returns to.
fn site_of(data: u64) -> Option<(Site, u64)> {
    let data = data.checked_sub(BASE)?;
    let memory = MEMORY.get((data / 4096) as usize)?.load(Ordering::Relaxed);
    if memory == 0 || data % LINE < CODE + DATA || (data % LINE - CODE) % CODE_SIZE != DATA {
        return None;
    }
    let (mut back, mut bytes) = ([0; 8], [0; 5]);
    arch::read(memory + data % 4096, &mut back);
    arch::read(memory + data % 4096 + 8, &mut bytes);
    let [a, b, c, d, kind] = bytes;
    Some((Site::of_parts(u32::from_le_bytes([a, b, c, d]), kind)?, u64::from_le_bytes(back)))
}

/// Whether they are of use.
#[must_use]
pub fn are_of_use() -> bool {
    crate::paging::is_single_privilege()
}

#[cfg(target_os = "none")]
mod arch {
    use crate::address::PhysAddr;
    use crate::frame::{self, Frame};
    use crate::paging;

    /// A page at that address of the kernel's half; where the direct map has it.
    pub fn make_page(address: u64) -> Option<u64> {
        let frame = Frame::for_kernel()?;
        let page = frame.address();
        paging::upper::map_code(address, frame).ok()?;
        Some(memory_of(page))
    }

    fn memory_of(page: PhysAddr) -> u64 {
        frame::memory_at(page, 0) as u64
    }

    pub fn write(address: u64, bytes: &[u8]) {
        // SAFETY: 1. the callers stay within a page that `make_page` made, which is never freed; 2. nobody jumps there before the
        // site is written, or any more.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    }

    pub fn read(address: u64, bytes: &mut [u8]) {
        // SAFETY: as for writing; the site is taken, so nobody writes.
        unsafe { core::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) };
    }

    pub fn entry() -> u64 {
        crate::single::jumped_entry()
    }
}

#[cfg(not(target_os = "none"))]
mod arch {
    //! Tests: pages are memory of the process, and never freed.

    pub fn make_page(_address: u64) -> Option<u64> {
        Some(std::boxed::Box::leak(std::boxed::Box::new([0u8; 4096])).as_mut_ptr() as u64)
    }

    pub fn write(address: u64, bytes: &[u8]) {
        // SAFETY: as in the kernel.
        unsafe { core::ptr::copy_nonoverlapping(bytes.as_ptr(), address as *mut u8, bytes.len()) };
    }

    pub fn read(address: u64, bytes: &mut [u8]) {
        // SAFETY: as in the kernel.
        unsafe { core::ptr::copy_nonoverlapping(address as *const u8, bytes.as_mut_ptr(), bytes.len()) };
    }

    pub fn entry() -> u64 {
        septum_abi::layout::KERNEL_MAP + septum_abi::layout::KERNEL_BASE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NO_MOVE: [u8; 6] = [0x90; 6];

    #[test]
    fn sites_are_found_by_their_neighbours() {
        let getpid = [0xf3, 0xb8, 39, 0, 0, 0];
        let call = [0x0f, 0x05, 0xc3, 0x90, 0x90, 0x90, 0x90, 0x90];
        assert_eq!(Site::find(getpid, call, 39), Some(Site::Number(39)));
        assert_eq!(Site::find(getpid, call, 40), None, "somebody else filled RAX");
        assert_eq!(Site::find([0x41, 0xb8, 39, 0, 0, 0], call, 39), None, "that is R8");
        assert_eq!(Site::find([0x90, 0xb8, 0xff, 0xff, 0, 0], call, 0xffff), None, "no system call");
        let compared = [0x0f, 0x05, 0x48, 0x3d, 0x00, 0xf0, 0xff, 0xff];
        let site = Some(Site::Comparison { immediate: -4096, is_wide: true });
        assert_eq!(Site::find(NO_MOVE, compared, 0), site);
        assert_eq!(Site::find(getpid, compared, 39), Some(Site::Number(39)), "the better of two");
        let narrow = [0x0f, 0x05, 0x3d, 0x00, 0xf0, 0xff, 0xff, 0x77];
        let site = Some(Site::Comparison { immediate: -4096, is_wide: false });
        assert_eq!(Site::find(NO_MOVE, narrow, 0), site);
        assert_eq!(Site::find(NO_MOVE, call, 0), None);
        assert_eq!(Site::find(NO_MOVE, [0x0f, 0x34, 0x48, 0x3d, 0, 0, 0, 0], 0), None, "sysenter");
    }

    /// Flags that `cmp` leaves, from the CPU itself.
    fn compared(rax: u64, immediate: i32, is_wide: bool) -> u64 {
        let flags: u64;
        let wide = i64::from(immediate);
        // SAFETY: comparing changes flags only; the stack is balanced.
        unsafe {
            if is_wide {
                core::arch::asm!("cmp {}, {}; pushfq; pop {}", in(reg) rax, in(reg) wide, lateout(reg) flags);
            } else {
                core::arch::asm!("cmp {:e}, {:e}; pushfq; pop {}", in(reg) rax, in(reg) immediate, lateout(reg) flags);
            }
        }
        flags
    }

    #[test]
    fn a_comparison_is_made_as_the_cpu_makes_it() {
        let values = [0, 1, 0xf, 0x10, 0x7fff_ffff, 0x8000_0000, 0xffff_f000, 0xffff_ffff, u64::MAX];
        let wide =
            [0xffff_ffff_ffff_f000, 0xffff_ffff_ffff_f001, 0x7fff_ffff_ffff_ffff, 1 << 63, 0x1_0000_0000];
        for rax in values.into_iter().chain(wide) {
            for immediate in [-4096, -4095, -1, 0, 1, 0x10, i32::MAX, i32::MIN] {
                for is_wide in [true, false] {
                    let site = Site::Comparison { immediate, is_wide };
                    let mut registers = Registers { rax, rip: 0x1002, rflags: 0x8d7, ..Registers::default() };
                    site.complete(&mut registers);
                    let expected = compared(rax, immediate, is_wide) & 0x8d5;
                    assert_eq!(registers.rflags & 0x8d5, expected, "{rax:#x} {immediate:#x} {is_wide}");
                    assert_eq!(registers.rip, if is_wide { 0x1008 } else { 0x1007 });
                }
            }
        }
    }

    #[test]
    fn a_jump_holds_no_instruction_where_threads_may_be() {
        const NONE: [u8; 6] = [0x06, 0x0e, 0x16, 0x1e, 0x27, 0x2f];
        let trampolines: Vec<Trampoline> =
            core::iter::from_fn(|| Trampoline::new(Site::Number(1), 0x1007)).take(200).collect();
        let mut pointers: Vec<u64> = trampolines.iter().map(Trampoline::pointer).collect();
        for trampoline in &trampolines {
            let jump = trampoline.jump();
            assert_eq!(jump[..3], [0xff, 0x24, 0x65]);
            // At `cmp`, behind the two bytes of `syscall`, and at `syscall`, behind the five of `mov`.
            assert!(NONE.contains(&jump[3]) && NONE.contains(&jump[5]), "{jump:x?}");
        }
        pointers.sort_unstable();
        assert!(pointers.windows(2).all(|pair| pair[1] - pair[0] >= 8), "pointers overlap");
    }

    #[test]
    fn a_trampoline_tells_its_site() {
        let site = Site::Comparison { immediate: -4096, is_wide: true };
        let trampoline = Trampoline::new(site, 0x1234_5678_9abc).unwrap();
        let (code, offset) = trampoline.code(0x1234_5678_9abc);
        assert_eq!(code[..3], [0x48, 0x8d, 0x0d]);
        assert_eq!(u64::from_le_bytes(code[17..25].try_into().unwrap()), 0x1234_5678_9abc);
        assert_eq!(code[30..], [0x0f, 0x05]);
        let data = trampoline.line() + offset + DATA;
        let mut registers = Registers { error_code: data, ..Registers::default() };
        assert_eq!(taken(&mut registers), Way::Jump(site));
        for wrong in [1, BASE, data + 1, data - DATA, BASE + 16 * 4096 + CODE + DATA, u64::MAX] {
            let mut registers = Registers { error_code: wrong, ..Registers::default() };
            assert_eq!(taken(&mut registers), Way::Instruction, "{wrong:#x}");
        }
        let mut registers = Registers { rip: trampoline.line() + offset + CODE_SIZE, ..Registers::default() };
        assert_eq!(taken(&mut registers), Way::Astray(site));
        assert_eq!(
            (registers.rip, registers.rcx, registers.error_code),
            (0x1234_5678_9abc, 0x1234_5678_9abc, data)
        );
        for rip in [0, 2, 0x40_1000, trampoline.line() + offset, data, BASE - 1, u64::MAX] {
            assert_eq!(taken(&mut Registers { rip, ..Registers::default() }), Way::Instruction, "{rip:#x}");
        }
    }
}
