//! The KVM device.

use crate::vm::Vm;
use kvm_bindings::{CpuId, KVM_MAX_CPUID_ENTRIES};
use kvm_ioctls::{Cap, Kvm as Device};
use std::io;
use std::os::unix::fs::MetadataExt as _;
use thiserror::Error;

/// The only version there has been since Linux 2.6.22.
const API_VERSION: i32 = 12;

/// What every partition needs of KVM.
const NEEDED: [(Cap, &str); 8] = [
    (Cap::UserMemory, "KVM_CAP_USER_MEMORY"),
    (Cap::SetTssAddr, "KVM_CAP_SET_TSS_ADDR"),
    (Cap::ExtCpuid, "KVM_CAP_EXT_CPUID"),
    (Cap::Irqchip, "KVM_CAP_IRQCHIP"),
    (Cap::SignalMsi, "KVM_CAP_SIGNAL_MSI"),
    (Cap::Ioeventfd, "KVM_CAP_IOEVENTFD"),
    (Cap::Xcrs, "KVM_CAP_XCRS"),
    (Cap::ImmediateExit, "KVM_CAP_IMMEDIATE_EXIT"),
];

/// Why KVM cannot be used, or refused a call.
#[derive(Debug, Error)]
pub enum KvmError {
    /// There is no device.
    #[error("/dev/kvm does not exist")]
    Missing,
    /// The caller may not open it.
    #[error("no permission to open /dev/kvm")]
    Permission,
    /// It cannot be opened.
    #[error("cannot open /dev/kvm")]
    Open(#[source] io::Error),
    /// It speaks another version.
    #[error("KVM API version {found} is not {API_VERSION}")]
    TooOld {
        /// What it speaks.
        found: i32,
    },
    /// It lacks something.
    #[error("this KVM lacks {0}")]
    MissingCapability(&'static str),
    /// An ioctl failed.
    #[error("{call} failed")]
    Call {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What lets a user open the device, by who may now.
#[must_use]
pub fn permission_advice() -> String {
    let who = std::fs::metadata("/dev/kvm").map(|metadata| (metadata.mode(), metadata.gid()));
    advice_for(who.ok())
}

fn advice_for(who: Option<(u32, u32)>) -> String {
    match who {
        // Root's group is nobody's to join.
        Some((mode, group)) if mode & 0o060 != 0o060 || group == 0 => {
            "let the group kvm use it ('sudo chgrp kvm /dev/kvm && sudo chmod 660 /dev/kvm', until the next start) and join that \
             group: 'sudo usermod -aG kvm $USER', then log in again; or run this as root"
        }
        _ => "join the group that owns /dev/kvm: 'sudo usermod -aG kvm $USER', then log in again",
    }
    .to_owned()
}

/// For `map_err`: `call` failed.
pub(crate) fn failed(call: &'static str) -> impl Fn(kvm_ioctls::Error) -> KvmError {
    move |error| KvmError::Call { call, source: io::Error::from_raw_os_error(error.errno()) }
}

/// The opened device, which has what partitions need.
#[derive(Debug)]
pub struct Kvm {
    device: Device,
}

impl Kvm {
    /// Opens the device and checks it.
    ///
    /// # Errors
    /// It is missing, not accessible, too old or incomplete.
    pub fn open() -> Result<Self, KvmError> {
        let device = Device::new().map_err(|error| match error.errno() {
            libc::ENOENT | libc::ENODEV | libc::ENXIO => KvmError::Missing,
            libc::EACCES | libc::EPERM => KvmError::Permission,
            errno => KvmError::Open(io::Error::from_raw_os_error(errno)),
        })?;
        let found = device.get_api_version();
        if found != API_VERSION {
            return Err(KvmError::TooOld { found });
        }
        match NEEDED.iter().find(|(cap, _)| !device.check_extension(*cap)) {
            Some((_, name)) => Err(KvmError::MissingCapability(name)),
            None => Ok(Self { device }),
        }
    }

    /// A new virtual machine.
    ///
    /// # Errors
    /// KVM refused.
    pub fn create_vm(&self) -> Result<Vm, KvmError> {
        // A pending signal may interrupt the creation, which then has to be repeated.
        loop {
            match self.device.create_vm() {
                Err(error) if error.errno() == libc::EINTR => {}
                result => return Ok(Vm::new(result.map_err(failed("KVM_CREATE_VM"))?)),
            }
        }
    }

    /// The CPUID leaves that KVM can give to a guest.
    ///
    /// # Errors
    /// KVM refused.
    pub fn supported_cpuid(&self) -> Result<CpuId, KvmError> {
        self.device.get_supported_cpuid(KVM_MAX_CPUID_ENTRIES).map_err(failed("KVM_GET_SUPPORTED_CPUID"))
    }

    /// vCPUs that a virtual machine can have at most.
    #[must_use]
    pub fn max_vcpus(&self) -> usize {
        self.device.get_max_vcpus()
    }

    pub(crate) fn device(&self) -> &Device {
        &self.device
    }
}

#[cfg(test)]
mod tests {
    use super::advice_for;

    #[test]
    fn a_group_that_may_not_use_the_device_is_not_worth_joining() {
        for (mode, group) in [(0o600, 0), (0o660, 0), (0o640, 106), (0o600, 106)] {
            assert!(advice_for(Some((mode, group))).contains("chmod"), "{mode:o} {group}");
        }
        for who in [Some((0o660, 106)), None] {
            assert!(advice_for(who).starts_with("join"));
        }
    }
}
