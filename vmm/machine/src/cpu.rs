//! The state in which a vCPU starts: 64-bit mode, ring 0, everything set up.

use crate::image::LoadedKernel;
use crate::spec::PrivilegeChoice;
use septum_abi::boot::Privilege;
use septum_abi::layout::{
    BOOT_PAGE_TABLES, DIRECT_MAP, FIRST_VCPU_AREA, IDT_PAGE, LAPIC_BASE, VCPU_GDT, VCPU_GDT_SIZE,
    VCPU_KERNEL_STACK_TOP, VCPU_LOCAL, VCPU_SYSCALL_ENTRY, VCPU_TSS, VCPU_TSS_SIZE, selector,
};
use septum_hypervisor::{
    CpuId, KvmError, Vcpu, VcpuState, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs, kvm_xcrs,
};
use septum_memory::GuestRam;

const CR0_PE_MP_ET_NE_WP_AM_PG: u64 = 0x8005_0033;
const CR4_PAE_PGE_OSFXSR_OSXMMEXCPT: u64 = 1 << 5 | 1 << 7 | 1 << 9 | 1 << 10;
const CR4_UMIP: u64 = 1 << 11;
const CR4_FSGSBASE: u64 = 1 << 16;
const CR4_OSXSAVE: u64 = 1 << 18;
const CR4_SMEP: u64 = 1 << 20;
const EFER_SCE_LME_LMA_NXE: u64 = 0xd01;
const APIC_BASE_ENABLED: u64 = 0x800;
const APIC_BASE_X2APIC: u64 = 0x400;
const APIC_BASE_BSP: u64 = 0x100;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_CSTAR: u32 = 0xc000_0083;
const MSR_SFMASK: u32 = 0xc000_0084;
/// TF, IF, DF, IOPL, NT and AC are off when a system call enters the kernel.
const SFMASK: u64 = 0x4_7700;
/// In single-privilege mode IF stays as it is: nothing in ring 3 could turn it on again.
const SFMASK_SINGLE: u64 = SFMASK & !0x200;
const APIC_SPURIOUS: usize = 0xf0;
const APIC_LVT_TIMER: usize = 0x320;
const APIC_TIMER_DIVIDE: usize = 0x3e0;
const TIMER_VECTOR: u32 = 32;
const TIMER_TSC_DEADLINE: u32 = 2 << 17;
/// x87, SSE, AVX, AVX-512: what a program may use.
const XCR0_ALLOWED: u64 = 0xe7;
/// CPUID.1:ECX: XSAVE and AVX.
const CPUID_XSAVE_AVX: u32 = 1 << 26 | 1 << 28;
/// CPUID.0:EBX of Intel's processors, "Genu".
const CPUID_INTEL: u32 = 0x756e_6547;

/// The CPUID of a partition: what KVM supports, told as one socket of `cpus`.
#[derive(Clone, Debug)]
pub struct CpuPolicy {
    cpuid: CpuId,
    cr4: u64,
    xcr0: u64,
    privilege: Privilege,
    /// Whether the local APIC timer has the TSC-deadline mode.
    pub has_tsc_deadline: bool,
}

impl CpuPolicy {
    /// From what KVM supports, for ring 0.
    pub fn new(mut cpuid: CpuId, cpus: u32) -> Self {
        let mut cr4 = CR4_PAE_PGE_OSFXSR_OSXMMEXCPT;
        let mut xcr0 = 0;
        let vectors = unlisted_vectors(&cpuid);
        for entry in cpuid.as_mut_slice() {
            match (entry.function, entry.index) {
                (1, _) => {
                    entry.ebx = (entry.ebx & 0x0000_ffff) | (cpus.min(255) << 16);
                    // x2APIC, TSC-deadline timer, hypervisor present. KVM does not list the timer, but has it.
                    entry.ecx |= 1 << 21 | 1 << 24 | 1 << 31 | vectors;
                    if entry.ecx & 1 << 26 != 0 {
                        cr4 |= CR4_OSXSAVE;
                    }
                }
                (7, 0) => {
                    cr4 |= if entry.ebx & 1 != 0 { CR4_FSGSBASE } else { 0 };
                    cr4 |= if entry.ebx & 1 << 7 != 0 { CR4_SMEP } else { 0 };
                    cr4 |= if entry.ecx & 1 << 2 != 0 { CR4_UMIP } else { 0 };
                }
                (0xb | 0x1f, 0) => (entry.eax, entry.ebx) = (0, 1),
                (0xb | 0x1f, 1) => {
                    entry.eax = 32 - cpus.saturating_sub(1).leading_zeros();
                    entry.ebx = cpus;
                }
                (0xd, 0) => xcr0 = u64::from(entry.eax) | u64::from(entry.edx) << 32,
                // KVM's paravirtual features are not offered: nothing in a partition uses them.
                (0x4000_0001, _) => (entry.eax, entry.edx) = (0, 0),
                _ => {}
            }
        }
        let xcr0 = if cr4 & CR4_OSXSAVE != 0 { xcr0 & XCR0_ALLOWED | 1 } else { 1 };
        Self { cpuid, cr4, xcr0, privilege: Privilege::Ring0, has_tsc_deadline: true }
    }

    /// The same for another privilege mode. The CPUID does not depend on it.
    #[must_use]
    pub fn for_privilege(self, privilege: Privilege) -> Self {
        // The deadline is a model-specific register, out of reach of ring 3.
        Self { privilege, has_tsc_deadline: privilege == Privilege::Ring0, ..self }
    }

    /// Finds out where the guest kernel is to run, on the first vCPU, which knows its CPUID and has not run. Uses RAM that the boot structures go
    /// to later.
    ///
    /// # Errors
    /// KVM refused; `None` if what is asked for cannot be.
    pub fn choose(
        &self,
        choice: PrivilegeChoice,
        vcpu: &mut Vcpu,
        ram: &GuestRam,
    ) -> Result<Option<Privilege>, KvmError> {
        if choice == PrivilegeChoice::Ring0 {
            return Ok(Some(Privilege::Ring0));
        }
        Ok(match (vcpu.stays_in_ring3(ram, BOOT_PAGE_TABLES)?, choice) {
            (true, _) => Some(Privilege::Single),
            (false, PrivilegeChoice::Single) => None,
            (false, _) => Some(Privilege::Ring0),
        })
    }

    /// What the CPUID instruction says on `vcpu`. Once, before it runs.
    pub fn identify(&self, vcpu: &Vcpu) -> Result<(), KvmError> {
        vcpu.set_cpuid(&self.cpuid)
    }

    /// Makes `vcpu`, which knows its CPUID, start at `entry` in the kernel, with the area at guest-physical `area`.
    pub fn apply(&self, vcpu: &Vcpu, area: u64, kernel: &LoadedKernel, entry: u64) -> Result<(), KvmError> {
        vcpu.set_state(&VcpuState {
            regs: kvm_regs {
                rip: entry,
                rsp: DIRECT_MAP + area + VCPU_KERNEL_STACK_TOP,
                rflags: match self.privilege {
                    Privilege::Ring0 => 2,
                    Privilege::Single => 0x202,
                },
                ..kvm_regs::default()
            },
            sregs: self.special_registers(vcpu.sregs()?, area),
            msrs: self.msrs(kernel, area),
            lapic: self.lapic(),
            xcrs: {
                let mut xcrs = kvm_xcrs { nr_xcrs: 1, ..kvm_xcrs::default() };
                xcrs.xcrs[0].value = self.xcr0;
                xcrs
            },
        })
    }

    fn special_registers(&self, reset: kvm_sregs, area: u64) -> kvm_sregs {
        let base = DIRECT_MAP + area;
        let mut sregs = reset;
        let (code, data) = match self.privilege {
            Privilege::Ring0 => (selector::KERNEL_CODE, selector::KERNEL_DATA),
            Privilege::Single => (selector::USER_CODE, selector::USER_DATA),
        };
        sregs.cs = segment(code, 11, true);
        let data = segment(data, 3, false);
        (sregs.ds, sregs.es, sregs.ss, sregs.fs, sregs.gs) = (data, data, data, data, data);
        sregs.gs.base = base + VCPU_LOCAL;
        sregs.tr = kvm_segment {
            base: base + VCPU_TSS,
            limit: u32::try_from(VCPU_TSS_SIZE - 1).unwrap_or(0),
            selector: selector::TSS,
            type_: 11,
            present: 1,
            ..kvm_segment::default()
        };
        sregs.ldt = kvm_segment { unusable: 1, ..kvm_segment::default() };
        sregs.gdt.base = base + VCPU_GDT;
        sregs.gdt.limit = u16::try_from(VCPU_GDT_SIZE - 1).unwrap_or(0);
        sregs.idt.base = DIRECT_MAP + IDT_PAGE;
        sregs.idt.limit = 0xfff;
        sregs.cr0 = CR0_PE_MP_ET_NE_WP_AM_PG;
        sregs.cr3 = BOOT_PAGE_TABLES;
        sregs.cr4 = self.cr4;
        sregs.efer = EFER_SCE_LME_LMA_NXE;
        // Ring 3 reaches the local APIC where it is memory.
        sregs.apic_base = LAPIC_BASE
            | match self.privilege {
                Privilege::Ring0 => APIC_BASE_ENABLED | APIC_BASE_X2APIC,
                Privilege::Single => APIC_BASE_ENABLED,
            };
        if area == FIRST_VCPU_AREA {
            sregs.apic_base |= APIC_BASE_BSP;
        }
        sregs
    }

    fn msrs(&self, kernel: &LoadedKernel, area: u64) -> Vec<kvm_msr_entry> {
        let star = u64::from(selector::USER_CODE_32) << 48 | u64::from(selector::KERNEL_CODE) << 32;
        let (entry, mask) = match self.privilege {
            Privilege::Ring0 => (kernel.syscall_entry, SFMASK),
            Privilege::Single => (DIRECT_MAP + area + VCPU_SYSCALL_ENTRY, SFMASK_SINGLE),
        };
        let entries = [(MSR_STAR, star), (MSR_LSTAR, entry), (MSR_CSTAR, entry), (MSR_SFMASK, mask)];
        entries.map(|(index, data)| kvm_msr_entry { index, data, ..kvm_msr_entry::default() }).to_vec()
    }

    fn lapic(&self) -> Vec<(usize, u32)> {
        let mode = if self.has_tsc_deadline { TIMER_TSC_DEADLINE } else { 0 };
        vec![(APIC_SPURIOUS, 0x1ff), (APIC_LVT_TIMER, TIMER_VECTOR | mode), (APIC_TIMER_DIVIDE, 0xb)]
    }
}

/// Of XSAVE and AVX in leaf 1, what KVM does not list there although its leaf 0xD has their state. Software KVM does so on
/// Intel hosts, and answers programs that ask the processor by what the vCPU's CR4 says; on AMD hosts programs see the processor's own answer.
fn unlisted_vectors(cpuid: &CpuId) -> u32 {
    let leaf = |function, index| {
        cpuid.as_slice().iter().find(move |entry| (entry.function, entry.index) == (function, index))
    };
    let is_intel = leaf(0, 0).is_some_and(|entry| entry.ebx == CPUID_INTEL);
    let has_state = leaf(0xd, 0).is_some_and(|entry| entry.eax & 7 == 7);
    if is_intel && has_state { CPUID_XSAVE_AVX } else { 0 }
}

fn segment(selector: u16, type_: u8, is_code: bool) -> kvm_segment {
    kvm_segment {
        base: 0,
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: u8::try_from(selector & 3).unwrap_or(0),
        db: u8::from(!is_code),
        s: 1,
        l: u8::from(is_code),
        g: 1,
        ..kvm_segment::default()
    }
}
