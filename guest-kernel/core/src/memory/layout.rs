//! Where things go in a program's half of the address space, at random places.
//!
//! ```text
//! 0x0000_0000_0040_0000  static programs, where they ask to be
//! 0x0000_5555_5000_0000  position-independent programs, then the break (heap)
//! 0x0000_7f.._...._....  mappings, growing downwards; the interpreter and the vDSO among them
//! 0x0000_7ffc_...._....  the stack, growing downwards
//! ```

use septum_abi::layout::PAGE_SIZE;

const PAGE: u64 = PAGE_SIZE as u64;
/// Lowest address that may be mapped (`vm.mmap_min_addr`).
pub const LOWEST: u64 = 0x1_0000;
/// The limit of a stack (RLIMIT_STACK) that a program begins with.
pub const STACK_LIMIT: u64 = 8 << 20;
/// Mappings that the program did not place itself lie above; its own and its heap below.
pub const MAPPINGS_LOWEST: u64 = 0x6000_0000_0000;
const PROGRAM_BASE: u64 = 0x5555_5000_0000;
const STACK_TOP: u64 = 0x7fff_ffff_0000;
/// Room between the stack's lowest possible end and the first mapping.
const STACK_GAP: u64 = 1 << 20;
/// Least and most room for a stack: its limit may be raised while the program runs, and there may be none.
const STACK_ROOM: [u64; 2] = [128 << 20, 1 << 40];

/// The random places of one program.
#[derive(Clone, Copy, Debug)]
pub struct Layout {
    /// Load address of a position-independent program.
    pub program: u64,
    /// End of the stack.
    pub stack_top: u64,
    /// How far it may ever grow.
    pub stack_room: u64,
    /// Mappings grow downwards from here.
    pub mappings_top: u64,
    /// Distance from the program's end to the first break.
    pub break_gap: u64,
}

impl Layout {
    /// From random numbers, for a stack that may have `stack_limit` bytes.
    #[must_use]
    pub fn random(entropy: [u64; 2], stack_limit: u64) -> Self {
        let stack_room = page_down(stack_limit).clamp(STACK_ROOM[0], STACK_ROOM[1]);
        let stack_top = STACK_TOP - (entropy[0] & 0x3_ffff) * PAGE;
        Self {
            program: PROGRAM_BASE + (entropy[1] & 0xfff_ffff) * PAGE,
            stack_top,
            stack_room,
            mappings_top: stack_top - stack_room - STACK_GAP - (entropy[1] >> 28 & 0xfff_ffff) * PAGE,
            break_gap: (entropy[0] >> 32 & 0x1fff) * PAGE,
        }
    }
}

/// Rounds up to a page; `None` on overflow.
#[must_use]
pub fn page_up(length: u64) -> Option<u64> {
    length.checked_next_multiple_of(PAGE)
}

/// Rounds down to a page.
#[must_use]
pub fn page_down(address: u64) -> u64 {
    address & !(PAGE - 1)
}
