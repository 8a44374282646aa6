//! Single-privilege mode: the kernel runs in ring 3, in the program's address space, and ring 0 is a handful of instructions.
//!
//! It is for hosts whose KVM emulates ring 0 instruction by instruction while ring 3 runs natively. There is no wall between
//! kernel and program then, as in any unikernel; the wall of the virtual machine is the same.
//!
//! ```text
//!  program ──syscall──────────────────────────▶ kernel      LSTAR names a page of the vCPU's area
//!  program ──jmp──────────────────────────────▶ kernel      natively: by a trampoline (crate::trampoline)
//!  program ──fault, interrupt──▶ ring 0 stub ──▶ kernel      the stub switches frames and returns to the entry frame
//!  kernel  ──interrupt─────────▶ ring 0 stub ──▶ kernel      the stub counts it; the kernel acknowledges later
//!  kernel  ──ud2 at a gate─────▶ ring 0 stub ──▶ kernel      CR3, invlpg, out; hlt has a gate of its own
//!  kernel  ──iretq, jmp───────────────────────▶ program     natively, if no interrupt was counted
//! ```
//!
//! **Frames.** The CPU pushes a frame where the TSS says, at `VCPU_FRAME_END` of the area. Until the kernel has copied it into the
//! program's [`Registers`](crate::user::Registers), another interrupt would overwrite it: so the stub
//! moves the TSS's pointer to the alternate place (one byte), and the kernel moves it back when it has copied. Everything the stubs
//! touch has a fixed distance from RSP; what they count while at the alternate place is therefore counted 256 bytes lower, and
//! added by the kernel.
//!
//! **Interrupts.** IF is always on in ring 3. An interrupt of the kernel is only counted, and stays unacknowledged. The way back to the program
//! is three instructions (`septum_single_window`): look at the count, leave if it is not zero, `iretq`. An interrupt that comes
//! inside starts them over, so none waits while the program runs. The way back from a system call has a window of its own
//! (`septum_single_return_window`), which ends with a jump and is a fifth as long.
//!
//! **Halts.** Each instruction in ring 0 takes a microsecond, so a halt has its own gate, and whatever can be done before the `hlt` is:
//! the interrupt that ends it drops its own frame and returns to ring 3 by the gate's, whether it came at the `hlt` or right before.
//! It is acknowledged on the way, which saves the kernel an exit of its own. Interrupts are on in ring 0 nowhere else.
//!
//! **Registers.** The vCPU's variables are found by RSP (see [`crate::local`]), and in the system-call entry, where RSP is the
//! program's, by RIP: each vCPU has its own copy of that code, in its area. A trampoline finds them by GS, whose base names the area
//! as long as the program has set none. One that does has no trampolines; if it did so behind the kernel's back, the way in notices,
//! and is by `syscall`.

use crate::local::{self, Local};
use crate::trampoline::{BASE, DATA_TO_CALL};
use crate::trap::{label, pop_registers, push_registers};
use core::arch::{asm, global_asm};
use core::mem::offset_of;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::boot::Privilege;
use septum_abi::layout::{
    COMMAND_PORT, LAPIC_BASE, LOW_RAM_END, MMIO_MAP, VCPU_ALTERNATE_FRAME_END, VCPU_CONTEXT_END,
    VCPU_ENTRY_FRAME, VCPU_FAULT_ENTRY_FRAME, VCPU_FAULT_STACK_TOP, VCPU_FRAME_END, VCPU_LOCAL,
    VCPU_SYSCALL_ENTRY, VCPU_TSS, selector,
};

/// `Registers::vector` when the way back to the program found interrupts counted.
pub(crate) const DEFERRED: u64 = 257;

/// What the gate does; its number is in EAX.
mod gate {
    pub const SET_ROOT: u32 = 0;
    pub const FLUSH_PAGES: u32 = 1;
    pub const COMMAND: u32 = 2;
}

/// The frame with vector and error code, relative to the area.
const FRAME: i64 = VCPU_FRAME_END as i64 - 56;

/// What a halt leaves free below its frame, so that the CPU finds the stack aligned: the frame of the interrupt that ends it lies
/// this and its own five words lower.
const HALT_PADDING: i64 = 8;
const END_OF_HALT: i64 = HALT_PADDING + 40;

/// Distance from a frame.
const fn from_frame(offset: u64) -> i64 {
    offset as i64 - FRAME
}

const REGISTERS: u64 = VCPU_CONTEXT_END - 176;
const RIP: u64 = REGISTERS + 0x88;
const KERNEL_STACK: u64 = VCPU_LOCAL + offset_of!(Local, kernel_stack) as u64;
const USER_STACK: u64 = VCPU_LOCAL + offset_of!(Local, user_stack) as u64;
const SYSCALL_TARGET: u64 = VCPU_LOCAL + offset_of!(Local, syscall_target) as u64;
const FAULT_ADDRESS: u64 = VCPU_LOCAL + offset_of!(Local, fault_address) as u64;
const PENDING: u64 = VCPU_LOCAL + offset_of!(Local, pending) as u64;
/// The second byte of the TSS's stack pointer of ring 0: which of the two places frames go to.
const PLACE: u64 = VCPU_TSS + 4 + 1;
const ALTERNATE: u64 = VCPU_FRAME_END - VCPU_ALTERNATE_FRAME_END;

/// Flags that the kernel must not have.
const TF: u32 = 1 << 8;
const DF: u32 = 1 << 10;
const AC: u32 = 1 << 18;
/// Flags that comparing changes: those of LAHF, and the overflow.
const COMPARED_LOW: u32 = 0xd5;
const OF: u32 = 1 << 11;

const _: () = assert!(VCPU_FRAME_END & 0xff == 0 && ALTERNATE == 0x100, "the places differ in one byte");
const _: () = assert!(VCPU_ENTRY_FRAME == VCPU_FRAME_END, "the entry frame follows the pushed one");

global_asm!(
    ".altmacro",
    // One stub a vector, 32 bytes each.
    ".macro septum_single_stub vector",
    ".balign 32",
    ".if \\vector == 6",
    "cmp qword ptr [rsp], offset septum_single_halt_gate",
    "je septum_single_halt",
    ".elseif \\vector >= 32",
    "test byte ptr [rsp + 8], 3",
    "jz septum_single_end_halt",
    ".endif",
    ".if !(\\vector == 8 || (\\vector >= 10 && \\vector <= 14) || \\vector == 17 || \\vector == 21 || \\vector == 29 || \\vector == 30)",
    "push 0",
    ".endif",
    "push \\vector",
    ".if \\vector == 2 || \\vector == 8 || \\vector == 18",
    "jmp septum_fatal_trap",
    ".elseif \\vector < 32",
    "jmp septum_single_exception",
    ".else",
    "jmp septum_single_interrupt",
    ".endif",
    ".endm",
    ".balign 32",
    "septum_single_stubs:",
    ".set vector, 0",
    ".rept 256",
    "septum_single_stub %vector",
    ".set vector, vector + 1",
    ".endr",

    // ---- ring 0 ----
    "septum_single_interrupt:",
    "cmp dword ptr [rsp + 20], 0",
    "js 1f",
    // The program's: on to the kernel.
    "mov byte ptr [rsp + {place}], {alternate_place}",
    "add rsp, 56",
    "iretq",
    // The kernel's: counted. Inside the window, the window starts over.
    "1: inc dword ptr [rsp + {pending}]",
    "cmp qword ptr [rsp + 16], offset septum_single_window_return",
    "je 2f",
    "cmp qword ptr [rsp + 16], offset septum_single_window_jump",
    "je 2f",
    "cmp qword ptr [rsp + 16], offset septum_single_return_window",
    "jb 3f",
    "cmp qword ptr [rsp + 16], offset septum_single_return_jump",
    "jbe 4f",
    "3: add rsp, 16",
    "iretq",
    // Its RSP may be the program's already.
    "4: mov qword ptr [rsp + 16], offset septum_single_return_window",
    "push rax",
    "lea rax, [rsp + 8 + {rip}]",
    "mov [rsp + 8 + 40], rax",
    "pop rax",
    "add rsp, 16",
    "iretq",
    "2: mov qword ptr [rsp + 16], offset septum_single_window",
    "add rsp, 16",
    "iretq",
    // An interrupt that was counted already, or one that comes now, ends a halt.
    "septum_single_halt:",
    "add qword ptr [rsp], 2",
    "cmp dword ptr [rsp + {pending} - 16], 0",
    "jne 1f",
    "sub rsp, {halt_padding}",
    "sti",
    "hlt",
    "add rsp, {halt_padding}",
    "1: iretq",
    "septum_single_end_halt:",
    "movabs dword ptr [{end_of_interrupt}], eax",
    "add rsp, {end_of_halt}",
    "iretq",

    // The most frequent of all: eight instructions, and no vector, whose place CR2 takes.
    "septum_single_page_fault:",
    "cmp dword ptr [rsp + 12], 0",
    "js 1f",
    "mov [rsp - 8], rax",
    "mov rax, cr2",
    "xchg [rsp - 8], rax",
    "mov byte ptr [rsp - 8 + {place}], {alternate_place}",
    "add rsp, {to_fault_entry}",
    "iretq",
    // The kernel's own are those of the user copy and of futexes' words.
    "1: push 14",
    "test byte ptr [rsp + 24], 3",
    "jz septum_fatal_trap",
    "push rax",
    "mov rax, cr2",
    "mov [rsp + 8 + {fault_address}], rax",
    "pop rax",
    "cmp qword ptr [rsp + 16], offset septum_user_copy_words",
    "jne 2f",
    "mov qword ptr [rsp + 16], offset septum_user_copy_words_failed",
    "add rsp, 16",
    "iretq",
    "2: cmp qword ptr [rsp + 16], offset septum_user_copy_bytes",
    "jne 3f",
    "mov qword ptr [rsp + 16], offset septum_user_copy_bytes_failed",
    "add rsp, 16",
    "iretq",
    "3: cmp qword ptr [rsp + 16], offset septum_word_change",
    "jne 4f",
    "mov qword ptr [rsp + 16], offset septum_word_failed",
    "add rsp, 16",
    "iretq",
    "4: cmp qword ptr [rsp + 16], offset septum_single_jumped_look",
    "jne septum_single_bug",
    "mov qword ptr [rsp + 16], offset septum_single_jumped_astray",
    "add rsp, 16",
    "iretq",

    "septum_single_exception:",
    "test byte ptr [rsp + 24], 3",
    "jz septum_fatal_trap",
    "cmp dword ptr [rsp + 20], 0",
    "js 1f",
    "mov byte ptr [rsp + {place}], {alternate_place}",
    "add rsp, 56",
    "iretq",
    "1: cmp qword ptr [rsp + 16], offset septum_single_gate",
    "jne 6f",
    "add qword ptr [rsp + 16], 2",
    "cmp eax, {gate_flush_pages}",
    "je 3f",
    "ja 4f",
    "mov cr3, rdi",
    "jmp 5f",
    "3: mov rax, [rdi]",
    "invlpg [rax]",
    "add rdi, 8",
    "dec rsi",
    "jnz 3b",
    "jmp 5f",
    "4: mov eax, edi",
    "mov edx, {command_port}",
    "out dx, eax",
    "5: add rsp, 16",
    "iretq",
    // A program that single-steps has jumped in.
    "6: cmp dword ptr [rsp], 1",
    "jne septum_single_bug",
    "and dword ptr [rsp + 32], {no_trap_flag}",
    "add rsp, 16",
    "iretq",

    // An exception that the kernel caused: on to Rust in ring 3, on the stack of fatal exceptions.
    "septum_single_bug:",
    push_registers!(),
    "mov byte ptr [rsp + 120 + {place}], {alternate_place}",
    "mov rdi, rsp",
    "mov rax, rsp",
    "and rax, -65536",
    "add rax, {fault_stack_top}",
    "push {user_data}",
    "push rax",
    "push 0x202",
    "push {user_code}",
    "push offset septum_single_bug_entry",
    "iretq",

    // ---- ring 3, in the kernel ----
    "septum_single_bug_entry:",
    "call {bug}",
    "ud2",

    ".macro septum_single_save",
    "mov [rsp + {registers} + 0x00], r15", "mov [rsp + {registers} + 0x08], r14",
    "mov [rsp + {registers} + 0x10], r13", "mov [rsp + {registers} + 0x18], r12",
    "mov [rsp + {registers} + 0x20], rbp", "mov [rsp + {registers} + 0x28], rbx",
    "mov [rsp + {registers} + 0x30], r11", "mov [rsp + {registers} + 0x38], r10",
    "mov [rsp + {registers} + 0x40], r9", "mov [rsp + {registers} + 0x48], r8",
    "mov [rsp + {registers} + 0x50], rax", "mov [rsp + {registers} + 0x58], rcx",
    "mov [rsp + {registers} + 0x60], rdx", "mov [rsp + {registers} + 0x68], rsi",
    "mov [rsp + {registers} + 0x70], rdi",
    ".endm",
    // Copies what the CPU pushed, which makes its first place free again; what was counted at the alternate place meanwhile joins the rest.
    ".macro septum_single_take_frame",
    "mov rcx, [rsp + 8]", "mov rdx, [rsp + 16]", "mov rsi, [rsp + 24]", "mov rdi, [rsp + 32]",
    "mov r8, [rsp + 40]", "mov r9, [rsp + 48]",
    "mov [rsp + {registers} + 0x80], rcx",
    "mov [rsp + {registers} + 0x88], rdx", "mov [rsp + {registers} + 0x90], rsi",
    "mov [rsp + {registers} + 0x98], rdi", "mov [rsp + {registers} + 0xa0], r8",
    "mov [rsp + {registers} + 0xa8], r9",
    "mov byte ptr [rsp + {place}], {first_place}",
    "mov eax, [rsp + {pending} - {alternate}]",
    "mov dword ptr [rsp + {pending} - {alternate}], 0",
    "add [rsp + {pending}], eax",
    "mov rsp, [rsp + {kernel_stack}]",
    ".endm",
    ".macro septum_single_leave",
    "pop r15", "pop r14", "pop r13", "pop r12", "pop rbp", "pop rbx",
    "ret",
    ".endm",

    // From ring 0, RSP at the pushed frame.
    ".balign 64",
    "septum_single_entry:",
    "septum_single_save",
    "mov rax, [rsp]",
    "mov [rsp + {registers} + 0x78], rax",
    "septum_single_take_frame",
    "septum_single_leave",

    // The same for a page fault: CR2 is where the vector would be.
    ".balign 64",
    "septum_single_fault_entry:",
    "septum_single_save",
    "mov rax, [rsp]",
    "mov [rsp + {fault_address}], rax",
    "mov qword ptr [rsp + {registers} + 0x78], 14",
    "septum_single_take_frame",
    "septum_single_leave",

    // What LSTAR names, in a copy at VCPU_SYSCALL_ENTRY of the area; relative to RIP is relative to the area.
    ".balign 64",
    ".global septum_single_template",
    ".global septum_single_template_end",
    "septum_single_template:",
    "mov [rip + septum_single_template - {template_user_stack}], rsp",
    "lea rsp, [rip + septum_single_template - {template_frame}]",
    "jmp qword ptr [rip + septum_single_template - {template_target}]",
    "septum_single_template_end:",

    ".balign 64",
    ".global septum_single_system_call",
    "septum_single_system_call:",
    "septum_single_save",
    "mov rax, [rsp + {user_stack}]",
    "mov qword ptr [rsp + {registers} + 0x78], {system_call}",
    "mov qword ptr [rsp + {registers} + 0x80], 0",
    "mov [rsp + {registers} + 0x88], rcx",
    "mov qword ptr [rsp + {registers} + 0x90], {user_code}",
    "mov [rsp + {registers} + 0x98], r11",
    "mov [rsp + {registers} + 0xa0], rax",
    "mov qword ptr [rsp + {registers} + 0xa8], {user_data}",
    "mov rsp, [rsp + {kernel_stack}]",
    "septum_single_leave",

    // From a trampoline, RCX = its data. The flags are the program's: the six that comparing changes go to CX, and the data's offset
    // above them. GS names an area if that says the same of itself.
    ".balign 64",
    ".global septum_single_jumped",
    "septum_single_jumped:",
    "mov r11, rax",
    "lahf",
    "seto al",
    "movzx ecx, cx",
    "shl ecx, 16",
    "mov cx, ax",
    "rdgsbase rax",
    "test rax, rax",
    "jns septum_single_jumped_astray",
    "septum_single_jumped_look:",
    "sub rax, [rax + {area_context_end}]",
    "cmp rax, {minus_context_end}",
    "jne septum_single_jumped_astray",
    "mov rax, r11",
    "rdgsbase r11",
    "mov [r11 + {area_user_stack}], rsp",
    "mov rsp, [r11 + {area_kernel_stack}]",
    "pushfq",
    "pop qword ptr [r11 + {area_flags}]",
    "lea rsp, [r11 + {area_frame}]",
    "septum_single_save",
    "mov rax, [rsp + {user_stack}]",
    "mov edx, [rsp + {registers} + 0x98]",
    "and edx, {no_comparison}",
    "movzx esi, ch",
    "and esi, {compared_low}",
    "or edx, esi",
    "movzx esi, cl",
    "shl esi, 11",
    "or edx, esi",
    "shr ecx, 16",
    "add rcx, {trampolines}",
    "mov rsi, [rcx]",
    "mov [rsp + {registers} + 0x98], rdx",
    "mov [rsp + {registers} + 0x30], rdx",
    "mov [rsp + {registers} + 0x58], rsi",
    "mov qword ptr [rsp + {registers} + 0x78], {system_call}",
    "mov [rsp + {registers} + 0x80], rcx",
    "mov [rsp + {registers} + 0x88], rsi",
    "mov qword ptr [rsp + {registers} + 0x90], {user_code}",
    "mov [rsp + {registers} + 0xa0], rax",
    "mov qword ptr [rsp + {registers} + 0xa8], {user_data}",
    "mov rsp, [rsp + {kernel_stack}]",
    "test edx, {unwanted_flags}",
    "jz 1f",
    "push 0x202",
    "popfq",
    "1:",
    "septum_single_leave",
    // The program has put another base into GS: all is as it was, and the trampoline's `syscall` finds the vCPU by LSTAR.
    "septum_single_jumped_astray:",
    "mov eax, ecx",
    "shr ecx, 16",
    "lea rcx, [rcx + {trampoline_calls}]",
    "add al, 0x7f",
    "sahf",
    "mov rax, r11",
    "jmp rcx",

    // RDI = the program's Registers, whose RCX is RIP and whose flags have no TF. Returns when it traps.
    ".balign 64",
    ".global septum_single_return",
    "septum_single_return:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov [rdi + {registers_to_kernel_stack}], rsp",
    "mov rsp, rdi",
    pop_registers!(),
    "add rsp, 16",
    "septum_single_return_window:",
    "cmp dword ptr [rsp + {rip_to_pending}], 0",
    "jne septum_single_deferred",
    "add rsp, 16",
    "popfq",
    "pop rsp",
    "septum_single_return_jump:",
    "jmp rcx",

    // RDI = the program's Registers. Returns when it traps.
    ".balign 64",
    ".global septum_single_enter",
    "septum_single_enter:",
    "push rbx", "push rbp", "push r12", "push r13", "push r14", "push r15",
    "mov [rdi + {registers_to_kernel_stack}], rsp",
    "mov rsp, rdi",
    pop_registers!(),
    "add rsp, 16",
    "septum_single_window:",
    "cmp dword ptr [rsp + {rip_to_pending}], 0",
    "septum_single_window_jump:",
    "jne 1f",
    "septum_single_window_return:",
    "iretq",
    "1:",
    "septum_single_deferred:",
    "mov qword ptr [rsp - 16], {deferred}",
    "mov rsp, [rsp + {rip_to_kernel_stack}]",
    "septum_single_leave",

    // EAX = what, RDI and RSI = with what.
    ".balign 16",
    "septum_single_gate:",
    "ud2",
    "ret",

    ".balign 16",
    "septum_single_halt_gate:",
    "ud2",
    "ret",

    ".global septum_single_entry",
    ".global septum_single_fault_entry",
    ".global septum_single_page_fault",
    ".global septum_single_gate",
    ".global septum_single_halt_gate",
    place = const from_frame(PLACE),
    alternate_place = const VCPU_ALTERNATE_FRAME_END >> 8,
    first_place = const VCPU_FRAME_END >> 8,
    alternate = const ALTERNATE,
    pending = const from_frame(PENDING),
    halt_padding = const HALT_PADDING,
    end_of_halt = const END_OF_HALT,
    end_of_interrupt = const MMIO_MAP + (LAPIC_BASE - LOW_RAM_END) + apic::END_OF_INTERRUPT,
    fault_address = const from_frame(FAULT_ADDRESS),
    registers = const from_frame(REGISTERS),
    kernel_stack = const from_frame(KERNEL_STACK),
    user_stack = const from_frame(USER_STACK),
    registers_to_kernel_stack = const KERNEL_STACK as i64 - REGISTERS as i64,
    rip_to_kernel_stack = const KERNEL_STACK as i64 - RIP as i64,
    rip_to_pending = const PENDING as i64 - RIP as i64,
    rip = const from_frame(RIP),
    to_fault_entry = const VCPU_FAULT_ENTRY_FRAME - (VCPU_FRAME_END - 48),
    area_user_stack = const USER_STACK,
    area_kernel_stack = const KERNEL_STACK,
    area_flags = const REGISTERS + 0x98,
    area_frame = const FRAME,
    unwanted_flags = const TF | DF | AC,
    area_context_end = const VCPU_LOCAL + offset_of!(Local, context_end) as u64,
    minus_context_end = const -(VCPU_CONTEXT_END as i64),
    no_comparison = const !(COMPARED_LOW | OF).cast_signed(),
    compared_low = const COMPARED_LOW,
    trampolines = const BASE.cast_signed(),
    trampoline_calls = const (BASE + DATA_TO_CALL).cast_signed(),
    no_trap_flag = const !(TF as i32),
    template_user_stack = const VCPU_SYSCALL_ENTRY - USER_STACK,
    template_frame = const VCPU_SYSCALL_ENTRY as i64 - FRAME,
    template_target = const VCPU_SYSCALL_ENTRY - SYSCALL_TARGET,
    fault_stack_top = const VCPU_FAULT_STACK_TOP,
    gate_flush_pages = const gate::FLUSH_PAGES,
    command_port = const COMMAND_PORT,
    user_data = const selector::USER_DATA,
    user_code = const selector::USER_CODE,
    system_call = const crate::trap::SYSTEM_CALL,
    deferred = const DEFERRED,
    bug = sym bug,
);

global_asm!(
    ".pushsection .rodata, \"a\"",
    ".balign 8",
    ".global septum_single_vector_table",
    "septum_single_vector_table:",
    ".set vector, 0",
    ".rept 256",
    ".if vector == 14",
    ".quad septum_single_page_fault",
    ".else",
    ".quad septum_single_stubs + vector * 32",
    ".endif",
    ".set vector, vector + 1",
    ".endr",
    ".popsection",
);

unsafe extern "C" {
    fn septum_single_entry();
    fn septum_single_fault_entry();
    fn septum_single_system_call();
    fn septum_single_jumped();
    fn septum_single_template();
    fn septum_single_template_end();
    fn septum_single_gate();
    fn septum_single_halt_gate();
}

static IS_SINGLE: AtomicBool = AtomicBool::new(false);

/// Whether the kernel runs in single-privilege mode.
pub(crate) fn is_single() -> bool {
    IS_SINGLE.load(Ordering::Relaxed)
}

/// Called once, before anything that depends on it.
pub(crate) fn set_mode(number: u32) {
    IS_SINGLE.store(Privilege::from_number(number) == Some(Privilege::Single), Ordering::Relaxed);
}

/// Where trampolines go on.
pub(crate) fn jumped_entry() -> u64 {
    label(septum_single_jumped)
}

/// Fills in what the single-privilege mode needs of the vCPU area at `area` (virtual).
///
/// # Safety
///
/// A vCPU area must be there whose program does not run.
pub(crate) unsafe fn prepare_area(area: u64) {
    let code = label(septum_single_template);
    let len = label(septum_single_template_end) - code;
    let frame = |entry| {
        [
            entry,
            u64::from(selector::USER_CODE),
            0x202,
            area.wrapping_add_signed(FRAME),
            u64::from(selector::USER_DATA),
        ]
    };
    // SAFETY: 1. the caller vouches for the area; 2. code and frame have their places in it (`septum_abi::layout`); 3. the
    // labels enclose the code that is copied.
    unsafe {
        core::ptr::copy_nonoverlapping(
            code as *const u8,
            (area + VCPU_SYSCALL_ENTRY) as *mut u8,
            len as usize,
        );
        ((area + VCPU_ENTRY_FRAME) as *mut [u64; 5]).write(frame(label(septum_single_entry)));
        ((area + VCPU_FAULT_ENTRY_FRAME) as *mut [u64; 5]).write(frame(label(septum_single_fault_entry)));
        let target = label(septum_single_system_call);
        local::of_area(area).syscall_target.store(target, Ordering::Relaxed);
    }
}

/// Has ring 0 do something.
///
/// # Safety
///
/// What it is asked to do must be harmless.
unsafe fn call_gate(what: u32, first: u64, second: u64) {
    // SAFETY: 1. the caller vouches for the effect; 2. the stub keeps every register but these.
    unsafe {
        asm!("call {gate}", gate = sym septum_single_gate,
            inout("eax") what => _, inout("rdi") first => _, inout("rsi") second => _, out("rdx") _);
    }
}

/// Sleeps until an interrupt, unless one was counted.
pub(crate) fn halt() {
    if !acknowledge_pending() {
        // SAFETY: 1. a halt changes nothing; 2. the stubs keep every register.
        unsafe { asm!("call {gate}", gate = sym septum_single_halt_gate) };
        acknowledge_pending();
    }
}

/// Loads CR3.
///
/// # Safety
///
/// The tables must have the kernel's half.
pub(crate) unsafe fn set_root(root: u64) {
    // SAFETY: the caller vouches for the tables.
    unsafe { call_gate(gate::SET_ROOT, root, 0) };
}

/// Makes this CPU forget these pages.
pub(crate) fn flush_pages(pages: &[u64]) {
    if !pages.is_empty() {
        // SAFETY: 1. forgetting is harmless; 2. the slice is mapped and as long as said.
        unsafe { call_gate(gate::FLUSH_PAGES, pages.as_ptr() as u64, pages.len() as u64) };
    }
}

/// Gives the worker a command.
pub(crate) fn command(number: u32) {
    // SAFETY: the port belongs to the worker.
    unsafe { call_gate(gate::COMMAND, u64::from(number), 0) };
}

/// Registers of the local APIC, in memory (Intel SDM vol. 3A §11.4.1).
pub(crate) mod apic {
    use super::{LAPIC_BASE, LOW_RAM_END, MMIO_MAP, local};
    use core::sync::atomic::Ordering;

    pub const END_OF_INTERRUPT: u64 = 0xb0;
    const COMMAND_LOW: u64 = 0x300;
    const COMMAND_HIGH: u64 = 0x310;
    const INITIAL_COUNT: u64 = 0x380;

    fn write(register: u64, value: u32) {
        let address = MMIO_MAP + (LAPIC_BASE - LOW_RAM_END) + register;
        // SAFETY: 1. the page is mapped and holds no Rust object; 2. the callers write what the register takes.
        unsafe { (address as *mut u32).write_volatile(value) };
    }

    /// Acknowledges the interrupt of the highest priority.
    pub fn acknowledge() {
        write(END_OF_INTERRUPT, 0);
    }

    /// Sends `vector` to the APIC with this identifier.
    pub fn send(number: u32, vector: u8) {
        const LEVEL_ASSERT: u32 = 1 << 14;
        // The register keeps its value, and writing it takes as long as what follows.
        if local::current().interrupts_whom.swap(number, Ordering::Relaxed) != number {
            write(COMMAND_HIGH, number << 24);
        }
        write(COMMAND_LOW, LEVEL_ASSERT | u32::from(vector));
    }

    /// Starts the timer, in ticks.
    pub fn start_timer(count: u32) {
        write(INITIAL_COUNT, count);
    }
}

/// Acknowledges what was counted; whether anything was.
pub(crate) fn acknowledge_pending() -> bool {
    let count = local::current().pending.swap(0, Ordering::AcqRel);
    (0..count).for_each(|_| apic::acknowledge());
    count != 0
}

/// An exception that the kernel caused.
extern "C" fn bug(registers: &crate::user::Registers) -> ! {
    crate::panic::exception(registers, local::current().fault_address.load(Ordering::Relaxed))
}
