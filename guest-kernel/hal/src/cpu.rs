//! The few privileged instructions that are used outside of traps and paging.

use crate::report;
use crate::single;
use alloc::string::String;
use core::arch::asm;

unsafe extern "C" {
    fn septum_halt();
}

/// Turns interrupts on, sleeps until one was handled, turns them off.
pub fn halt() {
    report::counters().halt();
    if single::is_single() {
        return single::halt();
    }
    // SAFETY: 1. the kernel's handlers for interrupts keep every register; 2. an interrupt that is there already, or comes
    // between its two instructions, ends the halt: no wake-up is lost.
    unsafe { septum_halt() };
}

/// The time-stamp counter.
#[must_use]
pub fn timestamp() -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: reading the counter has no side effect.
    unsafe { asm!("rdtsc", out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags)) };
    u64::from(high) << 32 | u64::from(low)
}

/// The lines of `/proc/cpuinfo` that describe this CPU.
#[must_use]
pub fn description() -> String {
    use core::arch::x86_64::__cpuid;
    use core::fmt::Write;
    let text = |words: &[u32]| {
        let bytes: alloc::vec::Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        String::from_utf8_lossy(&bytes).trim_matches(['\0', ' ']).into()
    };
    let leaf = __cpuid(0);
    let vendor: String = text(&[leaf.ebx, leaf.edx, leaf.ecx]);
    let name: alloc::vec::Vec<u32> = (0x8000_0002..=0x8000_0004)
        .map(__cpuid)
        .flat_map(|leaf| [leaf.eax, leaf.ebx, leaf.ecx, leaf.edx])
        .collect();
    let name: String = text(&name);
    let signature = __cpuid(1).eax;
    let family = (signature >> 8 & 0xf) + (signature >> 20 & 0xff);
    let model = (signature >> 4 & 0xf) | (signature >> 12 & 0xf0);
    let (stepping, khz) = (signature & 0xf, crate::boot::page().tsc_khz);
    let flags = crate::features::names(|leaf, subleaf| {
        let registers = core::arch::x86_64::__cpuid_count(leaf, subleaf);
        [registers.eax, registers.ebx, registers.ecx, registers.edx]
    });
    let cache = crate::cache::caches().last().map_or(0, crate::cache::Cache::bytes) / 1024;
    let widths = __cpuid(0x8000_0008).eax;
    let (physical, linear) = (widths & 0xff, widths >> 8 & 0xff);
    let mut lines = String::new();
    let _ = write!(
        lines,
        "vendor_id\t: {vendor}\ncpu family\t: {family}\nmodel\t\t: {model}\nmodel name\t: {name}\nstepping\t: {stepping}\n\
         cpu MHz\t\t: {}.{:03}\ncache size\t: {cache} KB\nfpu\t\t: yes\nfpu_exception\t: yes\ncpuid level\t: {}\nwp\t\t: yes\n\
         flags\t\t: {flags}\nclflush size\t: 64\ncache_alignment\t: 64\naddress sizes\t: {physical} bits physical, {linear} bits virtual\n",
        khz / 1000,
        khz % 1000,
        leaf.eax,
    );
    lines
}

/// What AT_HWCAP (CPUID.1:EDX) and AT_HWCAP2 (bit 1: FSGSBASE may be used) tell programs.
#[must_use]
pub fn hardware_capabilities() -> (u64, u64) {
    const FSGSBASE: u64 = 1 << 16;
    let cr4: u64;
    if single::is_single() {
        // It works, but trampolines have a use for GS.
        cr4 = 0;
    } else {
        // SAFETY: reading CR4 at ring 0 has no side effect.
        unsafe { asm!("mov {}, cr4", out(reg) cr4, options(nomem, nostack, preserves_flags)) };
    }
    (u64::from(core::arch::x86_64::__cpuid(1).edx), if cr4 & FSGSBASE != 0 { 2 } else { 0 })
}

/// Writes a model-specific register.
///
/// # Safety
///
/// The value must leave the machine in a state that the kernel expects.
pub(crate) unsafe fn write_msr(register: u32, value: u64) {
    let (low, high) = (value as u32, (value >> 32) as u32);
    // SAFETY: the caller vouches for the value.
    unsafe {
        asm!("wrmsr", in("ecx") register, in("eax") low, in("edx") high, options(nostack, preserves_flags))
    };
}

/// Reads a model-specific register that exists.
///
/// # Safety
///
/// The register must exist.
pub(crate) unsafe fn read_msr(register: u32) -> u64 {
    let (low, high): (u32, u32);
    // SAFETY: the caller vouches for the register; reading has no side effect.
    unsafe {
        asm!("rdmsr", in("ecx") register, out("eax") low, out("edx") high, options(nomem, nostack, preserves_flags))
    };
    u64::from(high) << 32 | u64::from(low)
}

/// Sends an interrupt to the vCPU with this number.
pub(crate) fn send_interrupt(number: u32, vector: u8) {
    const MSR_X2APIC_ICR: u32 = 0x830;
    const LEVEL_ASSERT: u64 = 1 << 14;
    if single::is_single() {
        return single::apic::send(number, vector);
    }
    // SAFETY: 1. the vector has a handler on every vCPU; 2. the destination is a local APIC's identifier, and one that is not
    // there gets nothing.
    unsafe { write_msr(MSR_X2APIC_ICR, u64::from(number) << 32 | LEVEL_ASSERT | u64::from(vector)) };
}

/// Gives the worker a command; it may never let this vCPU go on.
pub(crate) fn command(command: septum_abi::control::Command) {
    write_command(command as u32);
}

/// Writes to the command port.
pub(crate) fn write_command(number: u32) {
    let selector: u64;
    // SAFETY: reading a selector.
    unsafe { asm!("mov {}, cs", out(reg) selector, options(nomem, nostack, preserves_flags)) };
    // A fatal exception may come here from ring 0 in either mode.
    if selector & 3 != 0 {
        return single::command(number);
    }
    // SAFETY: the port belongs to the worker; it uses the report, and the page that a service call gives it.
    unsafe {
        asm!("out dx, eax", in("dx") septum_abi::layout::COMMAND_PORT, in("eax") number,
            options(nostack, preserves_flags));
    }
}
