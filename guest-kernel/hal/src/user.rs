//! Running the program, and reaching its memory.

use crate::address::UserAddr;
pub use crate::user_copy::{
    copy_frame_from_user, copy_frame_to_user, copy_from_user, copy_to_user, read_frame, write_frame,
};

/// Copying stopped at this address, which is not mapped with the rights needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CopyFault {
    /// Bytes that were copied before.
    pub copied: usize,
    /// Where it stopped.
    pub address: UserAddr,
}

/// The program's registers, as a trap leaves them and as it goes on with them.
///
/// ```text
/// +0   r15 r14 r13 r12 rbp rbx r11 r10 r9 r8 rax rcx rdx rsi rdi
/// +120 vector, error code
/// +136 rip cs rflags rsp ss           <- pushed by the CPU, which is told this place by the TSS
/// +176
/// ```
#[repr(C, align(16))]
#[derive(Clone, Copy, Debug, Default)]
#[allow(missing_docs, reason = "the registers' names say it")]
pub struct Registers {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub rbp: u64,
    pub rbx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub rax: u64,
    pub rcx: u64,
    pub rdx: u64,
    pub rsi: u64,
    pub rdi: u64,
    pub vector: u64,
    pub error_code: u64,
    pub rip: u64,
    pub cs: u64,
    pub rflags: u64,
    pub rsp: u64,
    pub ss: u64,
}

const _: () = assert!(size_of::<Registers>() == 176);

/// Why the program stopped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// `syscall`: number in rax, arguments in rdi, rsi, rdx, r10, r8, r9.
    SystemCall,
    /// A page fault.
    PageFault {
        /// CR2; may be outside of the program's half.
        address: u64,
        /// A store.
        write: bool,
        /// An instruction fetch.
        execute: bool,
        /// The page is present: the right is missing.
        present: bool,
    },
    /// Another exception.
    Exception {
        /// Its vector, 0 to 31.
        vector: u8,
    },
    /// An interrupt was taken.
    Interrupt,
}

/// RFLAGS that a program may set for itself: CF PF AF ZF SF TF DF OF AC ID.
pub const USER_FLAGS: u64 = 0x0024_0dd5;
/// RFLAGS that are always on in a program: IF, and the bit that is always one.
pub const FORCED_FLAGS: u64 = 0x202;

#[cfg(target_os = "none")]
pub use crate::trap::Program;

#[cfg(not(target_os = "none"))]
pub use stand_in::Program;

#[cfg(not(target_os = "none"))]
mod stand_in {
    use super::{Event, Registers};

    /// Tests: registers without a CPU; running it only ever interrupts.
    #[derive(Debug, Default)]
    pub struct Program {
        registers: Registers,
        bases: [u64; 2],
    }

    impl Program {
        /// A new one.
        #[must_use]
        pub fn take() -> Option<Self> {
            Some(Self::default())
        }

        /// The registers.
        #[must_use]
        pub fn registers(&mut self) -> &mut Registers {
            &mut self.registers
        }

        /// Does nothing.
        pub fn run(&mut self) -> Event {
            Event::Interrupt
        }

        /// Base of FS.
        pub fn set_fs_base(&mut self, base: u64) {
            self.bases[0] = base;
        }

        /// Base of FS.
        #[must_use]
        pub fn fs_base(&self) -> u64 {
            self.bases[0]
        }

        /// Base of GS.
        pub fn set_gs_base(&mut self, base: u64) {
            self.bases[1] = base;
        }

        /// Base of GS.
        #[must_use]
        pub fn gs_base(&self) -> u64 {
            self.bases[1]
        }
    }
}
