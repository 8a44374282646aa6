//! What belongs to one vCPU: found from the stack pointer, because kernel stacks lie in the vCPU's area, which is aligned.
//!
//! GS would do in ring 0, but in single-privilege mode GS is the program's all the time.

use core::arch::asm;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64};
use septum_abi::layout::{VCPU_AREA_SIZE, VCPU_LOCAL, VCPU_NAME, VCPU_NUMBER};

/// The per-vCPU variables at `VCPU_LOCAL` of the area. The first words are the assembly's.
#[repr(C)]
#[derive(Debug)]
pub(crate) struct Local {
    /// gs:0: kernel stack pointer saved while the program runs.
    pub kernel_stack: AtomicU64,
    /// gs:8: the program's RSP, for a moment, in a system call.
    pub user_stack: AtomicU64,
    /// gs:16: end of the program's registers.
    pub context_end: AtomicU64,
    /// Number of the vCPU and of its local APIC; the host writes it.
    pub number: AtomicU32,
    /// The program's registers have an owner.
    pub program_taken: AtomicBool,
    /// Root of the page tables in use, a reference to its frame; 0: those of the host.
    pub root: AtomicU64,
    /// What a vCPU other than the first runs: a `fn() -> !`.
    pub main: AtomicU64,
    /// Single-privilege mode: where the system-call entry goes on.
    pub syscall_target: AtomicU64,
    /// Single-privilege mode: CR2 of the last page fault.
    pub fault_address: AtomicU64,
    /// Single-privilege mode: interrupts that were counted and are to be acknowledged.
    pub pending: AtomicU32,
    /// Single-privilege mode: whom the local APIC's command register names; 0 after a reset, and in a new area.
    pub interrupts_whom: AtomicU32,
    /// Name of the thread that runs here, for the host to show.
    pub name: [AtomicU64; 2],
}

const _: () = assert!(VCPU_LOCAL + core::mem::offset_of!(Local, number) as u64 == VCPU_NUMBER);
const _: () = assert!(VCPU_LOCAL + core::mem::offset_of!(Local, name) as u64 == VCPU_NAME);

/// The start of this vCPU's area (virtual).
pub(crate) fn area() -> u64 {
    let stack: u64;
    // SAFETY: reading a register.
    unsafe { asm!("mov {}, rsp", out(reg) stack, options(nomem, nostack, preserves_flags)) };
    // RSP is never at the very top inside of a function: there is a return address.
    stack & !(VCPU_AREA_SIZE - 1)
}

/// The variables of the area that starts at `area`.
///
/// # Safety
///
/// A vCPU area must be there, for ever.
pub(crate) unsafe fn of_area(area: u64) -> &'static Local {
    // SAFETY: 1. the caller vouches for the area; 2. everything in it is atomic.
    unsafe { &*((area + VCPU_LOCAL) as *const Local) }
}

/// The variables of this vCPU.
pub(crate) fn current() -> &'static Local {
    // SAFETY: kernel stacks lie in vCPU areas, which are never freed.
    unsafe { of_area(area()) }
}
