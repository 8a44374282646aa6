//! Traps: the way into the kernel and out of it.
//!
//! A program is *called*: [`Program::run`] loads its registers and returns when it traps. The CPU itself stores the
//! program's RIP, CS, RFLAGS, RSP and SS into the vCPU's [`Registers`], because the TSS names the end of that structure as the
//! stack of ring 0; the stub pushes the rest below and switches to the kernel stack that `run` left. So
//! there is no copying of frames, and the kernel's own code runs as plain function calls on one stack a vCPU.
//!
//! ```text
//! GS base (kernel) = vCPU area + VCPU_LOCAL
//! gs:0   kernel stack pointer saved by `run`
//! gs:8   the program's RSP, for a moment, in `syscall`
//! gs:16  end of Registers
//! ```
//!
//! Some software KVMs run `syscall` without leaving ring 3: the CPU then fetches from LSTAR with the program's rights and
//! faults there. A page fault whose address *and* RIP are LSTAR is therefore a system call, whoever caused it; a program
//! that jumps there on purpose has made a system call with odd registers, which is its right.
//!
//! All this is the ring-0 mode; [`crate::single`] has the ways in and out of the single-privilege mode, between the same
//! [`Registers`] and [`Event`]s.
//!
//! A trap from the kernel is an interrupt (acknowledged, nothing else: see [`crate::interrupt`]; should it come between the `sti` and
//! the `hlt` of a halt, as some emulated CPUs let it, the `hlt` is skipped, or it would sleep through its own wake-up), a fault of the user copy
//! or of a futex's word (which return early), or a bug (panic).

use crate::cpu::{read_msr, write_msr};
use crate::local;
use crate::paging;
use crate::report;
use crate::shootdown;
use crate::single;
use crate::user::{Event, FORCED_FLAGS, Registers, USER_FLAGS};
use core::arch::{asm, global_asm};
use core::sync::atomic::Ordering;
use septum_abi::boot::{HEADER_MAGIC, KernelHeader};
use septum_abi::layout::{USER_END, VCPU_CONTEXT_END, selector};
use septum_abi::linux::SYSCALL_LIMIT;

const MSR_FS_BASE: u32 = 0xc000_0100;
const MSR_KERNEL_GS_BASE: u32 = 0xc000_0102;
const MSR_X2APIC_EOI: u32 = 0x80b;
/// `Registers::vector` of a system call.
pub(crate) const SYSTEM_CALL: u64 = 256;
const PAGE_FAULT: u64 = 14;
const TRAP_FLAG: u64 = 1 << 8;

/// Pushes the general registers, as [`Registers`] has them.
macro_rules! push_registers {
    () => {
        "push rdi; push rsi; push rdx; push rcx; push rax; push r8; push r9; push r10; push r11; push rbx; push rbp; push r12; push r13; push r14; push r15"
    };
}
/// Pops them.
macro_rules! pop_registers {
    () => {
        "pop r15; pop r14; pop r13; pop r12; pop rbp; pop rbx; pop r11; pop r10; pop r9; pop r8; pop rax; pop rcx; pop rdx; pop rsi; pop rdi"
    };
}
pub(crate) use {pop_registers, push_registers};

global_asm!(
    // One stub a vector, 16 bytes each: an error code where the CPU gives none, the vector, the common part.
    ".altmacro",
    ".macro septum_stub vector",
    ".balign 16",
    ".if !(\\vector == 8 || (\\vector >= 10 && \\vector <= 14) || \\vector == 17 || \\vector == 21 || \\vector == 29 || \\vector == 30)",
    "push 0",
    ".endif",
    "push \\vector",
    ".if \\vector == 2 || \\vector == 8 || \\vector == 18",
    "jmp septum_fatal_trap",
    ".else",
    "jmp septum_trap",
    ".endif",
    ".endm",
    ".balign 16",
    "septum_stubs:",
    ".set vector, 0",
    ".rept 256",
    "septum_stub %vector",
    ".set vector, vector + 1",
    ".endr",

    ".balign 16",
    "septum_trap:",
    "test byte ptr [rsp + 24], 3",
    "jz 2f",
    "swapgs",
    push_registers!(),
    "septum_leave_user:",
    "mov rsp, gs:[0]",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",
    // From the kernel.
    "2: cmp qword ptr [rsp], 32",
    "jb 3f",
    // Between `sti` and `hlt` no interrupt should be taken; one that is must not be followed by the `hlt`.
    "cmp qword ptr [rsp + 16], offset septum_halt_instruction",
    "jne 4f",
    "mov qword ptr [rsp + 16], offset septum_halt_end",
    "4:",
    "push rax", "push rcx", "push rdx",
    // One vCPU takes all interrupts of devices: no lock.
    "mov rax, [rsp + 24]",
    "lea rcx, [rip + {counts}]",
    "inc dword ptr [rcx + rax * 4]",
    "mov ecx, {eoi}", "xor eax, eax", "xor edx, edx", "wrmsr",
    "pop rdx", "pop rcx", "pop rax",
    "add rsp, 16",
    "iretq",
    "3:",
    push_registers!(),
    "mov rdi, rsp",
    "call {kernel_exception}",
    pop_registers!(),
    "add rsp, 16",
    "iretq",

    "septum_fatal_trap:",
    push_registers!(),
    "mov rdi, rsp",
    "call {fatal}",
    "ud2",

    ".balign 64",
    ".global septum_syscall_entry",
    "septum_syscall_entry:",
    "swapgs",
    "mov gs:[8], rsp",
    "mov rsp, gs:[16]",
    "push {user_data}",
    "push qword ptr gs:[8]",
    "push r11",
    "push {user_code}",
    "push rcx",
    "push 0",
    "push {system_call}",
    push_registers!(),
    "jmp septum_leave_user",

    // Turns interrupts on, sleeps until one was handled, turns them off.
    ".balign 16",
    ".global septum_halt",
    "septum_halt:",
    "sti",
    "septum_halt_instruction:",
    "hlt",
    "septum_halt_end:",
    "cli",
    "ret",

    // RDI = the program's Registers. Returns when it traps.
    ".balign 16",
    "septum_enter_user:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov gs:[0], rsp",
    "mov rsp, rdi",
    pop_registers!(),
    "add rsp, 16",
    "swapgs",
    "iretq",

    // The same after a system call whose RCX and R11 are RIP and RFLAGS still.
    ".balign 16",
    "septum_return_to_user:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov gs:[0], rsp",
    "mov rsp, rdi",
    pop_registers!(),
    "mov rsp, [rsp + 40]",
    "swapgs",
    "sysretq",

    ".global _start",
    "_start:",
    "xor ebp, ebp",
    "call septum_main",
    "ud2",

    "septum_secondary_start:",
    "xor ebp, ebp",
    "call {secondary}",
    "ud2",
    counts = sym crate::interrupt::COUNTS,
    eoi = const MSR_X2APIC_EOI,
    kernel_exception = sym kernel_exception,
    fatal = sym fatal,
    secondary = sym crate::vcpu::begin,
    user_data = const selector::USER_DATA,
    user_code = const selector::USER_CODE,
    system_call = const SYSTEM_CALL,
);

// The header that the host reads, and the table of stubs it builds the IDT from.
global_asm!(
    ".pushsection .septum.header, \"a\"",
    ".balign 8",
    "septum_header:",
    ".quad {magic}",
    ".long {version}",
    ".long {syscall_limit}",
    ".quad septum_vector_table",
    ".quad septum_syscall_entry",
    ".quad septum_image_end",
    ".quad septum_single_vector_table",
    ".quad septum_secondary_start",
    ".popsection",
    ".pushsection .rodata, \"a\"",
    ".balign 8",
    "septum_vector_table:",
    ".set vector, 0",
    ".rept 256",
    ".quad septum_stubs + vector * 16",
    ".set vector, vector + 1",
    ".endr",
    ".popsection",
    magic = const HEADER_MAGIC,
    version = const septum_abi::VERSION,
    syscall_limit = const SYSCALL_LIMIT,
);

const _: () = assert!(size_of::<KernelHeader>() == 56);

unsafe extern "C" {
    fn septum_enter_user(registers: *mut Registers);
    fn septum_return_to_user(registers: *mut Registers);
    fn septum_single_enter(registers: *mut Registers);
    fn septum_single_return(registers: *mut Registers);
    fn septum_syscall_entry();
    fn septum_user_copy_words();
    fn septum_user_copy_bytes();
    fn septum_user_copy_words_failed();
    fn septum_user_copy_bytes_failed();
    fn septum_word_change();
    fn septum_word_failed();
}

/// Address of a label in the assembly.
pub(crate) fn label(function: unsafe extern "C" fn()) -> u64 {
    function as usize as u64
}

/// The program on this vCPU: its registers, and the right to run it.
#[derive(Debug)]
pub struct Program {
    registers: *mut Registers,
}

impl Program {
    /// This vCPU's program, its registers all zero. `None` if somebody has it already.
    #[must_use]
    pub fn take() -> Option<Self> {
        let local = local::current();
        if local.program_taken.swap(true, Ordering::Acquire) {
            return None;
        }
        let end = local::area() + VCPU_CONTEXT_END;
        local.context_end.store(end, Ordering::Relaxed);
        Some(Self { registers: (end - size_of::<Registers>() as u64) as *mut Registers })
    }

    /// The registers.
    #[must_use]
    pub fn registers(&mut self) -> &mut Registers {
        // SAFETY: 1. the host made room for them in this vCPU's area; 2. the CPU writes them only inside
        // `run`, which borrows self mutably; 3. any bit pattern is valid.
        unsafe { &mut *self.registers }
    }

    /// Runs the program until it needs the kernel.
    ///
    /// The registers are the program's to choose, except that it stays in ring 3 with interrupts on: segments and the flags
    /// that matter are forced, and an address outside of its half becomes the last one inside, which is never mapped.
    pub fn run(&mut self) -> Event {
        let registers = self.registers();
        let is_return = registers.vector == SYSTEM_CALL
            && registers.rcx == registers.rip
            && registers.r11 == registers.rflags;
        registers.rip = registers.rip.min(USER_END);
        registers.cs = u64::from(selector::USER_CODE);
        registers.ss = u64::from(selector::USER_DATA);
        registers.rflags = registers.rflags & USER_FLAGS | FORCED_FLAGS;
        // SAFETY: 1. the registers lie where the TSS points to (or the single-privilege mode's assembly knows); 2. they were
        // made harmless above; 3. in ring-0 mode the program can reach only what its page tables give to ring 3; 4. the stubs
        // restore what this function needs.
        shootdown::touching(paging::forget_all, || unsafe {
            if single::is_single() {
                if registers.rcx == registers.rip && registers.rflags & TRAP_FLAG == 0 {
                    septum_single_return(registers);
                } else {
                    septum_single_enter(registers);
                }
            } else if is_return && registers.rip < USER_END {
                septum_return_to_user(registers);
            } else {
                septum_enter_user(registers);
            }
        });
        self.event()
    }

    fn event(&mut self) -> Event {
        let registers = self.registers();
        match registers.vector {
            SYSTEM_CALL => Event::SystemCall,
            PAGE_FAULT => {
                let address = fault_address();
                if !single::is_single() && address == registers.rip && address == label(septum_syscall_entry)
                {
                    report::set_syscall_stays_in_ring3();
                    registers.vector = SYSTEM_CALL;
                    registers.rip = registers.rcx;
                    registers.rflags = registers.r11;
                    return Event::SystemCall;
                }
                let error = registers.error_code;
                report::counters().page_fault();
                Event::PageFault {
                    address,
                    write: error & 2 != 0,
                    execute: error & 16 != 0,
                    present: error & 1 != 0,
                }
            }
            vector @ 0..32 => Event::Exception { vector: vector as u8 },
            vector => {
                report::counters().interrupt();
                crate::interrupt::count_one(vector);
                match (single::is_single(), vector) {
                    (false, _) => acknowledge(),
                    (true, single::DEFERRED) => {}
                    (true, _) => single::apic::acknowledge(),
                }
                if single::is_single() {
                    single::acknowledge_pending();
                }
                Event::Interrupt
            }
        }
    }

    /// Base of FS: the thread pointer.
    pub fn set_fs_base(&mut self, base: u64) {
        let base = base.min(USER_END);
        // SAFETY: 1. any canonical address is allowed (the caller's is in the program's half); 2. the kernel uses no FS; 3. the
        // host chose the single-privilege mode after it had seen this instruction work in ring 3.
        unsafe {
            if single::is_single() {
                asm!("wrfsbase {}", in(reg) base, options(nomem, nostack, preserves_flags));
            } else {
                write_msr(MSR_FS_BASE, base);
            }
        }
    }

    /// Base of FS; the program may have changed it itself.
    #[must_use]
    pub fn fs_base(&self) -> u64 {
        // SAFETY: 1. the register exists; 2. as for writing.
        unsafe {
            if single::is_single() {
                let base;
                asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags));
                base
            } else {
                read_msr(MSR_FS_BASE)
            }
        }
    }

    /// Base of the program's GS. One that is not 0 excludes [trampolines](crate::trampoline).
    pub fn set_gs_base(&mut self, base: u64) {
        let base = base.min(USER_END);
        // SAFETY: as for FS; while the kernel runs in ring 0 the program's GS base is in this register, and in single-privilege
        // mode trampolines find this vCPU's area by it.
        unsafe {
            if single::is_single() {
                let base = if base == 0 { local::area() } else { base };
                asm!("wrgsbase {}", in(reg) base, options(nomem, nostack, preserves_flags));
            } else {
                write_msr(MSR_KERNEL_GS_BASE, base);
            }
        }
    }

    /// Base of the program's GS.
    #[must_use]
    pub fn gs_base(&self) -> u64 {
        // SAFETY: as for writing.
        unsafe {
            if single::is_single() {
                let base;
                asm!("rdgsbase {}", out(reg) base, options(nomem, nostack, preserves_flags));
                if base == local::area() { 0 } else { base }
            } else {
                read_msr(MSR_KERNEL_GS_BASE)
            }
        }
    }
}

fn fault_address() -> u64 {
    if single::is_single() {
        return local::current().fault_address.load(Ordering::Relaxed);
    }
    let address;
    // SAFETY: reading CR2 has no side effect.
    unsafe { asm!("mov {}, cr2", out(reg) address, options(nomem, nostack, preserves_flags)) };
    address
}

fn acknowledge() {
    // SAFETY: zero is the only value that the register takes.
    unsafe { write_msr(MSR_X2APIC_EOI, 0) };
}

/// An exception at ring 0.
extern "C" fn kernel_exception(registers: &mut Registers) {
    let resume = if registers.vector != PAGE_FAULT {
        None
    } else if registers.rip == label(septum_user_copy_words) {
        Some(septum_user_copy_words_failed as unsafe extern "C" fn())
    } else if registers.rip == label(septum_user_copy_bytes) {
        Some(septum_user_copy_bytes_failed as unsafe extern "C" fn())
    } else if registers.rip == label(septum_word_change) {
        Some(septum_word_failed as unsafe extern "C" fn())
    } else {
        None
    };
    match resume {
        Some(function) => registers.rip = label(function),
        None => crate::panic::exception(registers, fault_address()),
    }
}

/// A double fault, machine check or NMI, on its own stack.
extern "C" fn fatal(registers: &mut Registers) -> ! {
    crate::panic::exception(registers, fault_address())
}

/// The local APIC timer.
pub mod timer {
    use crate::boot;
    use crate::cpu::{timestamp, write_msr};
    use crate::single;

    const MSR_TSC_DEADLINE: u32 = 0x6e0;
    const MSR_X2APIC_INITIAL_COUNT: u32 = 0x838;

    /// Interrupts this CPU `ns` from now, or when its timer has counted as far as it can (4.3 s in many machines). Tells in how many
    /// ns. The host has set the timer's vector and mode.
    pub fn arm(ns: u64) -> u64 {
        let page = boot::page();
        let ticks =
            |khz: u64| u64::try_from(u128::from(ns) * u128::from(khz) / 1_000_000).unwrap_or(u64::MAX);
        let count = ticks(page.lapic_khz).clamp(1, u64::from(u32::MAX));
        let counted = ns.min((count + 1) * 1_000_000 / page.lapic_khz.max(1));
        if single::is_single() {
            single::apic::start_timer(count as u32);
            return counted;
        }
        // SAFETY: 1. the timer's vector has a handler that acknowledges; 2. any count is allowed.
        unsafe {
            if page.has_tsc_deadline != 0 {
                write_msr(MSR_TSC_DEADLINE, timestamp().saturating_add(ticks(page.tsc_khz)).max(1));
                ns
            } else {
                write_msr(MSR_X2APIC_INITIAL_COUNT, count);
                counted
            }
        }
    }
}
