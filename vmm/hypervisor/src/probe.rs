//! What this host's KVM is and can do, for `septum doctor`.

use crate::privilege::stays_in_ring3;
use crate::system::{Kvm, KvmError};
use kvm_ioctls::Cap;

/// A capability, whether it is there, and what it is for.
#[derive(Clone, Copy, Debug)]
pub struct Capability {
    /// KVM's name.
    pub name: &'static str,
    /// Whether this KVM has it.
    pub present: bool,
    /// What Septum does with it.
    pub purpose: &'static str,
}

/// What was found.
#[derive(Clone, Debug)]
pub struct HostReport {
    /// Capabilities that are useful but not necessary.
    pub optional: Vec<Capability>,
    /// vCPUs that KVM recommends at most, and its hard limit.
    pub vcpus: (usize, usize),
    /// Whether `syscall` stays in ring 3, which tells of a KVM that emulates ring 0 in software.
    pub stays_in_ring3: bool,
}

const OPTIONAL: [(Cap, &str, &str); 6] = [
    (Cap::Irqfd, "KVM_CAP_IRQFD", "interrupts of passed-through devices without an exit"),
    (Cap::TscDeadlineTimer, "KVM_CAP_TSC_DEADLINE_TIMER", "precise timers"),
    (Cap::SplitIrqchip, "KVM_CAP_SPLIT_IRQCHIP", "interrupts without legacy controllers"),
    (Cap::GetTscKhz, "KVM_CAP_GET_TSC_KHZ", "time without system calls"),
    (Cap::Xsave, "KVM_CAP_XSAVE", "snapshots"),
    (Cap::ReadonlyMem, "KVM_CAP_READONLY_MEM", "images mapped read-only"),
];

/// Opens KVM and looks.
///
/// # Errors
/// As [`Kvm::open`].
pub fn probe() -> Result<HostReport, KvmError> {
    let kvm = Kvm::open()?;
    let device = kvm.device();
    let optional = OPTIONAL
        .iter()
        .map(|&(cap, name, purpose)| Capability { name, present: device.check_extension(cap), purpose })
        .collect();
    Ok(HostReport {
        optional,
        vcpus: (device.get_nr_vcpus(), device.get_max_vcpus()),
        stays_in_ring3: stays_in_ring3(&kvm)?,
    })
}
