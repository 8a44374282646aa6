//! The KVM device and the processor behind it.

use std::fs;

use septum_hypervisor::{Capability, HostReport, KvmError, probe};

use super::Finding;

/// Everything about KVM.
pub(super) fn findings() -> Vec<Finding> {
    match probe() {
        Ok(report) => {
            let mut findings = vec![
                Finding::ok("kvm", "/dev/kvm can be opened and has every needed capability"),
                ring0(&report),
                capabilities(&report),
                Finding::ok("vcpus", format!("{} recommended, {} at most", report.vcpus.0, report.vcpus.1)),
            ];
            findings.extend(nested());
            findings
        }
        Err(error) => vec![unusable(&error)],
    }
}

fn unusable(error: &KvmError) -> Finding {
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let module = if cpuinfo.contains("AuthenticAMD") { "kvm_amd" } else { "kvm_intel" };
    let fix = match error {
        KvmError::Missing => format!(
            "turn on virtualization (VT-x or AMD-V) in the firmware and run 'sudo modprobe {module}'; in a virtual \
             machine ask its host for nested virtualization; in a container pass --device /dev/kvm"
        ),
        KvmError::Permission => septum_hypervisor::permission_advice(),
        KvmError::TooOld { .. } | KvmError::MissingCapability(_) => "use a newer Linux kernel".to_owned(),
        _ => "see the kernel's log ('dmesg')".to_owned(),
    };
    let mut found = error.to_string();
    if let Some(source) = std::error::Error::source(error) {
        found = format!("{found}: {source}");
    }
    Finding::missing("kvm", found, fix)
}

/// Not a defect, but the reason why there is no wall inside of a partition, and why other virtual machine monitors may not
/// start.
fn ring0(report: &HostReport) -> Finding {
    if report.stays_in_ring3 {
        Finding::warning(
            "virtualization",
            "in software: this KVM runs ring 3 natively and emulates ring 0, so kernel and program of a partition share \
             ring 3 (--privilege single)",
            "for a wall between the two inside of the partition use a host with VT-x or AMD-V, or --privilege ring0, \
             which is slow here",
        )
    } else {
        Finding::ok(
            "virtualization",
            "by the processor (VT-x or AMD-V): the guest kernel is in ring 0 (--privilege ring0)",
        )
    }
}

fn capabilities(report: &HostReport) -> Finding {
    let (present, absent): (Vec<&Capability>, Vec<&Capability>) =
        report.optional.iter().partition(|capability| capability.present);
    if absent.is_empty() {
        let names: Vec<&str> = present.iter().map(|capability| capability.name).collect();
        return Finding::ok("kvm-capabilities", format!("all optional ones: {}", names.join(", ")));
    }
    let list: Vec<String> =
        absent.iter().map(|capability| format!("{} ({})", capability.name, capability.purpose)).collect();
    Finding::warning("kvm-capabilities", format!("without {}", list.join(", ")), "use a newer Linux kernel")
}

/// Whether virtual machines on this host can have KVM themselves.
fn nested() -> Option<Finding> {
    let (module, value) = ["kvm_intel", "kvm_amd"].iter().find_map(|module| {
        fs::read_to_string(format!("/sys/module/{module}/parameters/nested"))
            .ok()
            .map(|value| (module, value))
    })?;
    Some(if matches!(value.trim(), "1" | "Y") {
        Finding::ok("nested", format!("{module} offers virtualization to virtual machines"))
    } else {
        Finding::warning(
            "nested",
            format!("{module} offers no virtualization to virtual machines"),
            format!(
                "only to run Septum inside a virtual machine: 'options {module} nested=1' in /etc/modprobe.d"
            ),
        )
    })
}
