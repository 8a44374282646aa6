//! The end of the kernel: a record for the worker, which has the symbols.

use crate::report;
use crate::user::Registers;
use core::arch::asm;
use core::fmt::{self, Write};
use septum_abi::layout::{DIRECT_MAP, KERNEL_MAP};
use septum_abi::report::{BACKTRACE_SIZE, PANIC_MESSAGE_SIZE, PanicRecord};

struct Message<'a> {
    buffer: &'a mut [u8; PANIC_MESSAGE_SIZE],
    len: usize,
}

impl Write for Message<'_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        let len = text.len().min(self.buffer.len() - self.len);
        self.buffer[self.len..self.len + len].copy_from_slice(&text.as_bytes()[..len]);
        self.len += len;
        Ok(())
    }
}

fn record(text: fmt::Arguments<'_>, frame_pointer: u64) -> PanicRecord {
    let mut record = PanicRecord {
        message_len: 0,
        backtrace_len: 0,
        vector: u32::MAX,
        vcpu: 0,
        error_code: 0,
        fault_address: 0,
        registers: [0; 18],
        backtrace: [0; BACKTRACE_SIZE],
        message: [0; PANIC_MESSAGE_SIZE],
    };
    let mut message = Message { buffer: &mut record.message, len: 0 };
    let _ = message.write_fmt(text);
    record.message_len = message.len as u32;
    record.backtrace_len = walk(frame_pointer, &mut record.backtrace) as u32;
    record
}

/// Follows saved frame pointers while they lead upwards through kernel memory.
fn walk(mut frame: u64, into: &mut [u64]) -> usize {
    for (count, slot) in into.iter_mut().enumerate() {
        if frame < DIRECT_MAP || !frame.is_multiple_of(8) {
            return count;
        }
        let pointer = frame as *const u64;
        // SAFETY: 1. a frame pointer of the kernel points into its mapped stack; a wild one is likely to fault, which
        // ends in the double-panic guard; 2. the two words above it are the saved pointer and the return address.
        let (next, address) = unsafe { (pointer.read(), pointer.add(1).read()) };
        if address < KERNEL_MAP {
            return count;
        }
        *slot = address;
        if next <= frame {
            return count + 1;
        }
        frame = next;
    }
    into.len()
}

/// An exception that the kernel caused and cannot handle.
pub fn exception(registers: &Registers, fault_address: u64) -> ! {
    const NAMES: [&str; 20] = [
        "divide error",
        "debug",
        "non-maskable interrupt",
        "breakpoint",
        "overflow",
        "bound range",
        "invalid opcode",
        "device not available",
        "double fault",
        "coprocessor overrun",
        "invalid TSS",
        "segment not present",
        "stack fault",
        "general protection fault",
        "page fault",
        "reserved",
        "x87 error",
        "alignment check",
        "machine check",
        "SIMD error",
    ];
    let name = NAMES.get(registers.vector as usize).copied().unwrap_or("exception");
    let mut record = record(format_args!("{name} in the kernel"), registers.rbp);
    record.vector = registers.vector as u32;
    record.error_code = registers.error_code;
    record.fault_address = fault_address;
    let r = registers;
    record.registers = [
        r.rip, r.rsp, r.rflags, r.rax, r.rbx, r.rcx, r.rdx, r.rsi, r.rdi, r.rbp, r.r8, r.r9, r.r10, r.r11,
        r.r12, r.r13, r.r14, r.r15,
    ];
    report::panicked(&record)
}

#[panic_handler]
fn panic(info: &core::panic::PanicInfo<'_>) -> ! {
    let (frame, stack): (u64, u64);
    // SAFETY: reading two registers.
    unsafe {
        asm!("mov {}, rbp", "mov {}, rsp", out(reg) frame, out(reg) stack, options(nomem, nostack, preserves_flags));
    }
    let mut record = record(format_args!("{info}"), frame);
    record.registers[1] = stack;
    record.registers[9] = frame;
    report::panicked(&record)
}
