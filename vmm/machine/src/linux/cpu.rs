//! The processors of a Linux guest: what CPUID says of each, and the state in which the first one enters the kernel.
//!
//! The 64-bit boot protocol (`Documentation/arch/x86/boot.rst`): flat segments with the selectors 0x10 and 0x18, the first 4 GiB mapped
//! where they are, interrupts off, RSI to the zero page. The others wait for the first one to wake them (INIT, SIPI), which is KVM's work.

use super::kernel::LinuxError;
use super::layout::{GDT, PAGE_TABLES, ZERO_PAGE};
use crate::guest::{write_bytes, write_words};
use septum_hypervisor::{
    CpuId, KvmError, Vcpu, VcpuState, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs, kvm_xcrs,
};
use septum_memory::GuestRam;

/// APIC ids below that of "all".
pub const MOST: u32 = 254;

const CR0_PE_ET_PG: u64 = 0x8000_0011;
const CR4_PAE: u64 = 1 << 5;
const EFER_LME_LMA: u64 = 0x500;
const CODE: u16 = 0x10;
const DATA: u16 = 0x18;
const TASK: u16 = 0x20;
/// Null, unused, code, data, task state; flat.
const DESCRIPTORS: [u64; 6] = [0, 0, 0x00af_9b00_0000_ffff, 0x00cf_9300_0000_ffff, 0x0000_8b00_0000_0067, 0];
/// Memory types: write-back unless a range says otherwise, as firmware leaves it (Intel SDM vol. 3 §12.11.2.1).
const MSR_MTRR_DEFAULT: u32 = 0x2ff;
const MTRR_ENABLED_WRITE_BACK: u64 = 1 << 11 | 6;

/// Present, writable.
const ENTRY: u64 = 3;
const LARGE: u64 = 1 << 7;
const PAGE: u64 = 0x1000;

/// From what KVM supports, what the processor with this number of `count` says of itself.
#[must_use]
pub fn cpuid(supported: &CpuId, number: u32, count: u32) -> CpuId {
    let mut cpuid = supported.clone();
    for entry in cpuid.as_mut_slice() {
        match (entry.function, entry.index) {
            (1, _) => {
                entry.ebx = (entry.ebx & 0xffff) | count << 16 | number << 24;
                // x2APIC, TSC-deadline timer, hypervisor present. KVM does not list the timer, but has it. No VMX.
                entry.ecx = (entry.ecx | 1 << 21 | 1 << 24 | 1 << 31) & !(1 << 5);
                entry.edx |= u32::from(count > 1) << 28;
            }
            (0xb | 0x1f, 0) => (entry.eax, entry.ebx, entry.ecx, entry.edx) = (0, 1, 0x100, number),
            (0xb | 0x1f, 1) => {
                entry.eax = 32 - count.saturating_sub(1).leading_zeros();
                (entry.ebx, entry.ecx, entry.edx) = (count, 0x201, number);
            }
            // No SVM: machines in the guest's own hands would be a far larger surface of the host's KVM.
            (0x8000_0001, _) => entry.ecx &= !(1 << 2),
            (0x8000_0008, _) => entry.ecx = (entry.ecx & !0xf0ff) | count.saturating_sub(1),
            (0x8000_001e, _) => (entry.eax, entry.ebx, entry.ecx) = (number, number & 0xff, 0),
            _ => {}
        }
    }
    cpuid
}

/// Writes what the entry needs in memory.
///
/// # Errors
/// There is none.
pub fn write_tables(ram: &GuestRam) -> Result<(), LinuxError> {
    let descriptors: Vec<u8> = DESCRIPTORS.iter().flat_map(|word| word.to_le_bytes()).collect();
    let second = PAGE_TABLES + PAGE;
    let third = |gib: u64| second + PAGE * (1 + gib);
    let gibs: Vec<u64> = (0..4).map(|gib| third(gib) | ENTRY).collect();
    let pages: Vec<u64> = (0..4 * 512).map(|number| number << 21 | ENTRY | LARGE).collect();
    write_bytes(ram, GDT, &descriptors)
        .and_then(|()| write_words(ram, PAGE_TABLES, &[second | ENTRY]))
        .and_then(|()| write_words(ram, second, &gibs))
        .and_then(|()| write_words(ram, third(0), &pages))
        .map_err(|_| LinuxError::Structures)
}

/// Makes the first processor, which knows its CPUID, enter the kernel at `entry`.
///
/// # Errors
/// KVM refused.
pub fn enter_at(vcpu: &Vcpu, entry: u64) -> Result<(), KvmError> {
    let msr =
        kvm_msr_entry { index: MSR_MTRR_DEFAULT, data: MTRR_ENABLED_WRITE_BACK, ..kvm_msr_entry::default() };
    let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
    xcrs.xcrs[0].value = 1;
    vcpu.set_state(&VcpuState {
        regs: kvm_regs { rip: entry, rsi: ZERO_PAGE, rflags: 2, ..kvm_regs::default() },
        sregs: special_registers(vcpu.sregs()?),
        msrs: vec![msr],
        lapic: Vec::new(),
        xcrs,
    })
}

fn special_registers(reset: kvm_sregs) -> kvm_sregs {
    let mut sregs = reset;
    sregs.cs = segment(CODE, 11, true);
    let data = segment(DATA, 3, false);
    (sregs.ds, sregs.es, sregs.ss, sregs.fs, sregs.gs) = (data, data, data, data, data);
    sregs.tr = kvm_segment { limit: 0x67, selector: TASK, type_: 11, present: 1, ..kvm_segment::default() };
    sregs.ldt = kvm_segment { unusable: 1, ..kvm_segment::default() };
    sregs.gdt.base = GDT;
    sregs.gdt.limit = 8 * 6 - 1;
    sregs.idt.limit = 0;
    (sregs.cr0, sregs.cr3, sregs.cr4, sregs.efer) = (CR0_PE_ET_PG, PAGE_TABLES, CR4_PAE, EFER_LME_LMA);
    sregs
}

fn segment(selector: u16, type_: u8, is_code: bool) -> kvm_segment {
    kvm_segment {
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        db: u8::from(!is_code),
        s: 1,
        l: u8::from(is_code),
        g: 1,
        ..kvm_segment::default()
    }
}
