//! The vDSO: time without a system call, for programs.
//!
//! A tiny shared object that the guest kernel maps into every program right above the clock page
//! (`septum_abi::clock`), with the names and version that C libraries look for (Linux's `vdso(7)`). It is compiled
//! for the bare target, so it has neither data nor calls outside.
#![no_std]
#![allow(unsafe_code, reason = "reads a page that the kernel maps, and writes where C callers say")]
#![allow(
    clippy::cast_sign_loss,
    clippy::cast_possible_truncation,
    reason = "registers, passed on as they are; x86-64 only"
)]

use core::arch::asm;
use core::sync::atomic::{AtomicU32, Ordering, fence};
use septum_abi::clock::ClockPage;

/// `struct timespec`
#[repr(C)]
pub struct Timespec {
    seconds: i64,
    nanoseconds: i64,
}

/// `struct timeval`
#[repr(C)]
pub struct Timeval {
    seconds: i64,
    microseconds: i64,
}

const NS: u64 = 1_000_000_000;
const CLOCK_REALTIME: i32 = 0;
const CLOCK_MONOTONIC: i32 = 1;
const CLOCK_MONOTONIC_RAW: i32 = 4;
const CLOCK_REALTIME_COARSE: i32 = 5;
const CLOCK_MONOTONIC_COARSE: i32 = 6;
const CLOCK_BOOTTIME: i32 = 7;

/// The page before the object (the linker script defines the symbol), addressed without a relocation.
fn clock_page() -> *const ClockPage {
    let page;
    // SAFETY: computes an address, touches nothing.
    unsafe {
        asm!("lea {}, [rip + septum_clock_page]", out(reg) page, options(nomem, nostack, preserves_flags))
    };
    page
}

/// Nanoseconds of the monotonic and of the real-time clock.
fn now() -> (u64, u64) {
    let page = clock_page();
    loop {
        // SAFETY: 1. the kernel maps the clock page there, readable; 2. the sequence is an aligned u32, only read.
        let sequence = unsafe { &*(&raw const (*page).sequence).cast::<AtomicU32>() };
        let before = sequence.load(Ordering::Acquire);
        // SAFETY: any bit pattern is valid; a torn copy is thrown away below.
        let copy = unsafe { page.read_volatile() };
        let (low, high): (u32, u32);
        // SAFETY: reading the counter has no side effect. `lfence` keeps it behind the loads above.
        unsafe { asm!("lfence", "rdtsc", out("eax") low, out("edx") high, options(nomem, nostack)) };
        fence(Ordering::Acquire);
        if before & 1 == 0 && sequence.load(Ordering::Relaxed) == before {
            let tsc = u64::from(high) << 32 | u64::from(low);
            let ticks = tsc.saturating_sub(copy.base_tsc);
            let scaled = (u128::from(ticks) * u128::from(copy.multiplier)) >> (copy.shift & 63);
            let elapsed = scaled as u64;
            return (copy.monotonic_ns.wrapping_add(elapsed), copy.realtime_ns.wrapping_add(elapsed));
        }
    }
}

/// `clock_gettime(2)`
///
/// # Safety
///
/// Pointers are null where the system call allows it, else valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_gettime(clock: i32, time: *mut Timespec) -> i64 {
    let ns = match clock {
        CLOCK_REALTIME | CLOCK_REALTIME_COARSE => now().1,
        CLOCK_MONOTONIC | CLOCK_MONOTONIC_RAW | CLOCK_MONOTONIC_COARSE | CLOCK_BOOTTIME => now().0,
        _ => return system_call(228, clock as u64, time as u64),
    };
    // SAFETY: the caller gives a valid pointer, as with the system call.
    unsafe { time.write(Timespec { seconds: (ns / NS) as i64, nanoseconds: (ns % NS) as i64 }) };
    0
}

/// `clock_getres(2)`
///
/// # Safety
///
/// Pointers are null where the system call allows it, else valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_clock_getres(clock: i32, time: *mut Timespec) -> i64 {
    system_call(229, clock as u64, time as u64)
}

/// `gettimeofday(2)`
///
/// # Safety
///
/// Pointers are null where the system call allows it, else valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_gettimeofday(time: *mut Timeval, zone: *mut [i32; 2]) -> i64 {
    let ns = now().1;
    // SAFETY: the caller gives valid pointers or null, as with the system call.
    unsafe {
        if !time.is_null() {
            time.write(Timeval { seconds: (ns / NS) as i64, microseconds: (ns % NS / 1000) as i64 });
        }
        if !zone.is_null() {
            zone.write([0; 2]);
        }
    }
    0
}

/// `time(2)`
///
/// # Safety
///
/// Pointers are null where the system call allows it, else valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_time(time: *mut i64) -> i64 {
    let seconds = (now().1 / NS) as i64;
    if !time.is_null() {
        // SAFETY: the caller gives a valid pointer.
        unsafe { time.write(seconds) };
    }
    seconds
}

/// `getcpu(2)`
///
/// # Safety
///
/// Pointers are null where the system call allows it, else valid for writes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn __vdso_getcpu(cpu: *mut u32, node: *mut u32, _unused: u64) -> i64 {
    system_call(309, cpu as u64, node as u64)
}

fn system_call(number: u64, first: u64, second: u64) -> i64 {
    let result;
    // SAFETY: the kernel checks the arguments; rcx and r11 are declared clobbered.
    unsafe {
        asm!("syscall", inlateout("rax") number => result, in("rdi") first, in("rsi") second, in("rdx") 0,
            out("rcx") _, out("r11") _, options(nostack));
    }
    result
}

#[cfg(target_os = "none")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

// Signals (septum_guest_core::process::signal): the extended state is saved and restored here, in user mode.
// Entry: RDI, RSI, RDX = the handler's arguments, R9 = where the state goes, R10 = handler, RSP = the frame, at whose
// top the handler's return address lies. Return: R9 = where the state is, RSP = the context.
core::arch::global_asm!(
    ".pushsection .text.septum_signal_entry, \"ax\"",
    ".globl septum_signal_entry",
    "septum_signal_entry:",
    "mov r8, rdx",
    "mov eax, {components}",
    "xor edx, edx",
    "xsave64 [r9]",
    "mov rdx, r8",
    "xor eax, eax",
    "jmp r10",
    ".popsection",
    ".pushsection .text.septum_signal_return, \"ax\"",
    ".globl septum_signal_return",
    "septum_signal_return:",
    "mov eax, {components}",
    "xor edx, edx",
    "xrstor64 [r9]",
    "mov eax, {end}",
    "syscall",
    "ud2",
    ".popsection",
    // x87, SSE, AVX, AVX-512: what there is room for. A KVM in software may leave further ones of the host's on (AMX), whatever
    // the guest's XCR0 says.
    components = const 0xe7,
    end = const septum_abi::layout::SIGNAL_END_CALL,
);
