//! Opening the partition's PCI functions, as the caller may, before the host is left behind; and saying what keeps that from working.
//!
//! A function reaches all of the partition's memory, so the host has to keep all of it in place: it counts against the caller's limit on
//! locked memory, and nothing of it goes back to the host before the partition ends.

use std::sync::Arc;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::privilege::PrivilegeChoice;
use septum_api_types::size::Size;
use septum_api_types::spec::PartitionSpec;
use septum_vfio::{Container, Function, VfioError};

use crate::outcome::without_number;

/// Opens them, in their order. Without any there is no container.
pub(crate) fn open(spec: &PartitionSpec) -> Result<(Option<Arc<Container>>, Vec<Function>), Failure> {
    let Some(first) = spec.devices.first() else { return Ok((None, Vec::new())) };
    if spec.devices.iter().enumerate().any(|(position, device)| spec.devices[..position].contains(device)) {
        return Err(Failure::new(Code::Usage, "cannot pass a device on twice", "it is named more than once"));
    }
    if spec.privilege == PrivilegeChoice::Single {
        let what = format!("cannot pass {first} on to a guest kernel in single-privilege mode");
        let why = "that is for hosts whose KVM has no hardware behind it";
        return Err(Failure::new(Code::Usage, what, why).hint("leave --privilege out"));
    }
    allow_locked_memory(spec.memory_bytes);
    let addresses: Vec<String> = spec.devices.iter().map(ToString::to_string).collect();
    let (container, functions) =
        septum_vfio::open(&addresses).map_err(|(address, error)| explain(&address, &error))?;
    Ok((Some(container), functions))
}

/// Lets this process lock as much as it may be allowed to: whoever may raise the limit needs none.
fn allow_locked_memory(bytes: u64) {
    let limit = getrlimit(Resource::Memlock);
    let is_enough = |limit: Option<u64>| limit.is_none_or(|limit| limit >= bytes);
    if is_enough(limit.current) {
        return;
    }
    let maximum = if is_enough(limit.maximum) { limit.maximum } else { Some(bytes) };
    // If it is refused, pinning says how much is missing.
    if setrlimit(Resource::Memlock, Rlimit { current: Some(bytes), maximum }).is_err() {
        let _ = setrlimit(Resource::Memlock, Rlimit { current: limit.maximum, maximum: limit.maximum });
    }
}

/// A function could not be opened.
fn explain(address: &str, error: &VfioError) -> Failure {
    let what = format!("cannot pass {address} on");
    let failure = |why: String, hint: String| Failure::new(Code::Host, what.clone(), why).hint(hint);
    let why = error.to_string();
    match error {
        VfioError::Missing => Failure::new(Code::Path, what.clone(), why)
            .hint("'septum devices' lists the functions that there are"),
        VfioError::OtherDriver(_) => {
            failure(why, format!("give it to vfio-pci: 'sudo septum devices bind {address}'"))
        }
        VfioError::NoIommu => failure(
            why,
            "turn on VT-d or AMD-Vi in the firmware and boot with intel_iommu=on or amd_iommu=on".to_owned(),
        ),
        VfioError::NotViable { others, .. } => failure(
            why,
            match others.first() {
                Some((other, _)) => format!(
                    "a group is passed on as a whole: 'sudo septum devices bind {other}', or put the device into another slot"
                ),
                None => "'septum devices' tells which functions are in the group".to_owned(),
            },
        ),
        VfioError::Busy(_) => {
            failure(why, "end the partition or the program that has it, and try again".to_owned())
        }
        VfioError::Open { path, source } => {
            let why = format!("'{path}' cannot be opened: {}", without_number(source));
            match source.kind() {
                std::io::ErrorKind::PermissionDenied => failure(
                    why,
                    format!("run this as root, or let this user have it: 'sudo chown $USER {path}'"),
                ),
                _ => {
                    failure(why, "load the modules: 'sudo modprobe -a vfio-pci vfio_iommu_type1'".to_owned())
                }
            }
        }
        VfioError::Lacks(_) => {
            failure(why, "this needs Linux 4.0 or newer, with vfio-pci and vfio_iommu_type1".to_owned())
        }
        VfioError::MemoryLimit { .. } => pinning(error),
        VfioError::Call { call, source } => failure(
            format!("{call} failed: {}", without_number(source)),
            "the kernel's log ('dmesg') may say more".to_owned(),
        ),
    }
}

/// The functions cannot be given the partition's memory.
pub(crate) fn pinning(error: &VfioError) -> Failure {
    let what = "cannot give the device the partition's memory";
    match error {
        VfioError::MemoryLimit { needed, limit } => {
            let why = format!(
                "all of it, {}, has to stay in place, and this user may lock {}",
                Size(*needed),
                Size(*limit)
            );
            let kib = needed.div_ceil(1024);
            Failure::new(Code::Host, what, why).hint(format!(
                "raise the limit to {kib} KiB ('ulimit -l {kib}' as root, 'memlock' in /etc/security/limits.conf, LimitMEMLOCK= of a \
                 systemd unit), or give the partition less with --memory"
            ))
        }
        VfioError::Call { call, source } => {
            Failure::new(Code::Host, what, format!("{call}: {}", without_number(source)))
                .hint("all of --memory has to be there at once: the host may have less; 'dmesg' may say more")
        }
        other => Failure::new(Code::Host, what, other.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_comes_with_what_to_do() {
        let says = |error: VfioError, parts: &[&str]| {
            let failure = explain("0000:41:00.0", &error);
            let text = format!("{failure:?}");
            for part in parts {
                assert!(text.contains(part), "{text} lacks {part}");
            }
        };
        says(
            VfioError::OtherDriver(Some("nvme".to_owned())),
            &["driver nvme", "septum devices bind 0000:41:00.0"],
        );
        let others = vec![("0000:41:00.1".to_owned(), Some("snd_hda_intel".to_owned()))];
        says(
            VfioError::NotViable { group: 12, others },
            &["group 12", "0000:41:00.1 belongs to the driver snd_hda_intel", "bind 0000:41:00.1"],
        );
        says(
            VfioError::MemoryLimit { needed: 1 << 30, limit: 8 << 20 },
            &["1G", "8M", "1048576 KiB", "limits.conf"],
        );
        says(VfioError::Busy(3), &["group 3 is in use", "end the partition"]);
        let open =
            |kind| VfioError::Open { path: "/dev/vfio/3".to_owned(), source: std::io::Error::from(kind) };
        says(open(std::io::ErrorKind::PermissionDenied), &["/dev/vfio/3", "chown"]);
        says(open(std::io::ErrorKind::NotFound), &["modprobe"]);
    }
}
