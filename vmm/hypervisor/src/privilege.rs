//! Whether this host's KVM emulates ring 0, found out by running a few instructions.
//!
//! ```text
//! ring 3:  syscall ──► LSTAR:  mov eax, cs
//!                              in ring 3 still? then wrfsbase and rdfsbase have to work as well
//!                              mov [no memory], eax ──► exit
//! ```
//!
//! A processor with virtualization goes to ring 0 with `syscall`. A software KVM that runs the guest's ring 3 natively may
//! load RIP only; where it does, and where FS can be set without ring 0, the guest kernel can stay in ring 3 with its program.

use crate::system::{Kvm, KvmError};
use crate::vcpu::{Exit, Vcpu};
use kvm_bindings::{kvm_msr_entry, kvm_regs, kvm_segment};
use std::io;
use vm_memory::{Bytes, GuestAddress, GuestMemoryMmap};

/// Offsets in the memory of the trial.
const TOP_TABLE: u64 = 0;
const SECOND_TABLE: u64 = 0x1000;
const THIRD_TABLE: u64 = 0x2000;
const DESCRIPTORS: u64 = 0x3000;
const PROGRAM: u64 = 0x4000;
const SYSCALL_ENTRY: u64 = 0x4100;
/// Bytes of guest memory that a trial uses.
const MEMORY: usize = 0x5000;
/// Where neither RAM nor a device is yet: a store exits. Mapped at 2 MiB.
const NOWHERE: u64 = 0xdfe0_0000;
const USER_CODE: u16 = 0x33;
const USER_DATA: u16 = 0x2b;

/// Present, writable, for ring 3, accessed, dirty.
const ENTRY: u64 = 0x67;
const LARGE: u64 = 1 << 7;

const CR0_PE_MP_ET_NE_WP_AM_PG: u64 = 0x8005_0033;
const CR4_PAE_OSFXSR: u64 = 1 << 5 | 1 << 9;
const EFER_SCE_LME_LMA_NXE: u64 = 0xd01;
const MSR_STAR: u32 = 0xc000_0081;
const MSR_LSTAR: u32 = 0xc000_0082;
const MSR_SFMASK: u32 = 0xc000_0084;

/// `syscall`, and nothing that would be reached after it.
const PROGRAM_CODE: [u8; 4] = [0x0f, 0x05, 0x0f, 0x0b];
const SYSCALL_CODE: [u8; 35] = [
    0x8c, 0xc8, // mov eax, cs
    0xa8, 0x03, // test al, 3
    0x74, 0x16, // jz answer
    0xbb, 0x45, 0x23, 0x01, 0x00, // mov ebx, 0x12345
    0xf3, 0x48, 0x0f, 0xae, 0xd3, // wrfsbase rbx
    0xf3, 0x48, 0x0f, 0xae, 0xc1, // rdfsbase rcx
    0x48, 0x39, 0xcb, // cmp rbx, rcx
    0x74, 0x02, // je answer
    0x31, 0xc0, // xor eax, eax
    // answer:
    0x89, 0x04, 0x25, 0x00, 0x00, 0x20, 0x00, // mov [2 MiB], eax
];

/// Whether a guest kernel can, and here should, share ring 3 with its program: `syscall` does not leave ring 3.
///
/// Tried in a virtual machine of its own.
///
/// # Errors
/// KVM refused it.
pub fn stays_in_ring3(kvm: &Kvm) -> Result<bool, KvmError> {
    let ram =
        GuestMemoryMmap::<()>::from_ranges(&[(GuestAddress(0), MEMORY)]).map_err(|_| KvmError::Call {
            call: "mapping memory for a trial",
            source: io::Error::from_raw_os_error(libc::ENOMEM),
        })?;
    let vm = kvm.create_vm()?;
    vm.add_ram(&ram)?;
    let mut vcpu = vm.create_vcpu(0)?;
    vcpu.set_cpuid(&kvm.supported_cpuid()?)?;
    vcpu.stays_in_ring3(&ram, 0)
}

impl Vcpu {
    /// As [`stays_in_ring3`], on a vCPU that has its CPUID and has not run, in a machine with this RAM: a virtual machine of
    /// its own for the trial costs as much as that of the partition.
    ///
    /// Uses 20 KiB of RAM from `at` on (below 2 MiB, on a page), which are zero afterwards. The vCPU is left without a state
    /// of use.
    ///
    /// # Errors
    /// KVM refused, or there is no such RAM.
    pub fn stays_in_ring3(&mut self, ram: &GuestMemoryMmap<()>, at: u64) -> Result<bool, KvmError> {
        let refused = |_| KvmError::Call {
            call: "writing memory for a trial",
            source: io::Error::from_raw_os_error(libc::EFAULT),
        };
        write_memory(ram, at).map_err(refused)?;
        let mut sregs = self.sregs()?;
        sregs.cs = segment(USER_CODE, 11, true);
        let data = segment(USER_DATA, 3, false);
        (sregs.ds, sregs.es, sregs.ss, sregs.fs, sregs.gs) = (data, data, data, data, data);
        sregs.gdt.base = at + DESCRIPTORS;
        sregs.gdt.limit = 0x3f;
        sregs.idt.limit = 0;
        sregs.cr0 = CR0_PE_MP_ET_NE_WP_AM_PG;
        sregs.cr3 = at + TOP_TABLE;
        sregs.cr4 = CR4_PAE_OSFXSR;
        sregs.efer = EFER_SCE_LME_LMA_NXE;
        let program = at + PROGRAM;
        let regs = kvm_regs { rip: program, rsp: program, rflags: 2, ..kvm_regs::default() };
        let msrs =
            [(MSR_STAR, 0x23 << 48 | 0x10 << 32), (MSR_LSTAR, at + SYSCALL_ENTRY), (MSR_SFMASK, 0x4_7700)];
        let msrs = msrs.map(|(index, data)| kvm_msr_entry { index, data, ..kvm_msr_entry::default() });
        self.set_trial_state(&sregs, &regs, &msrs)?;
        let answer = match self.run()? {
            Exit::MmioWrite(NOWHERE, data) => data.first() == Some(&u8::try_from(USER_CODE).unwrap_or(0)),
            // It shut down at an instruction that it does not have in ring 3, or something stranger.
            _ => false,
        };
        self.finish_exit();
        ram.write_slice(&[0; MEMORY], GuestAddress(at)).map_err(refused)?;
        Ok(answer)
    }
}

fn write_memory(ram: &GuestMemoryMmap<()>, at: u64) -> Result<(), vm_memory::GuestMemoryError> {
    let descriptors: [u64; 8] = [
        0,
        0,
        0x00af_9b00_0000_ffff, // 0x10 kernel code
        0x00cf_9300_0000_ffff, // 0x18 kernel data
        0x00cf_fb00_0000_ffff, // 0x20 user code, 32-bit
        0x00cf_f300_0000_ffff, // 0x28 user data
        0x00af_fb00_0000_ffff, // 0x30 user code
        0,
    ];
    for (number, descriptor) in (0..).zip(descriptors) {
        ram.write_obj(descriptor, GuestAddress(at + DESCRIPTORS + number * 8))?;
    }
    ram.write_obj((at + SECOND_TABLE) | ENTRY, GuestAddress(at + TOP_TABLE))?;
    ram.write_obj((at + THIRD_TABLE) | ENTRY, GuestAddress(at + SECOND_TABLE))?;
    // The first 2 MiB are where they are; the second lead nowhere.
    ram.write_obj(ENTRY | LARGE, GuestAddress(at + THIRD_TABLE))?;
    ram.write_obj(NOWHERE | ENTRY | LARGE, GuestAddress(at + THIRD_TABLE + 8))?;
    ram.write_slice(&PROGRAM_CODE, GuestAddress(at + PROGRAM))?;
    ram.write_slice(&SYSCALL_CODE, GuestAddress(at + SYSCALL_ENTRY))
}

fn segment(selector: u16, type_: u8, is_code: bool) -> kvm_segment {
    kvm_segment {
        limit: 0xffff_ffff,
        selector,
        type_,
        present: 1,
        dpl: 3,
        db: u8::from(!is_code),
        s: 1,
        l: u8::from(is_code),
        g: 1,
        ..kvm_segment::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_is_the_same_each_time_and_follows_the_processor() {
        let Ok(kvm) = Kvm::open() else {
            eprintln!("SKIPPED: no usable /dev/kvm");
            return;
        };
        let first = stays_in_ring3(&kvm).unwrap();
        assert_eq!(stays_in_ring3(&kvm).unwrap(), first);
        // With VT-x or SVM ring 0 is real. Without them it may or may not be emulated.
        let processors = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
        let has_virtualization = processors.split_whitespace().any(|flag| flag == "vmx" || flag == "svm");
        assert!(!(has_virtualization && first));
    }
}
