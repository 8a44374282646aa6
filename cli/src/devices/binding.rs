//! Giving a function to vfio-pci, and giving it back.
//!
//! ```text
//!   driver_override = vfio-pci ─► unbind from its driver ─► drivers_probe ─► is it vfio-pci's?
//!                                                                               no: all the way back
//! ```

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::Path;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::pci::Address;

use super::inventory::{Function, Host, VFIO};

fn write(path: &Path, text: &str) -> io::Result<()> {
    // Never made: a file that sysfs does not have is an error.
    fs::OpenOptions::new().write(true).open(path)?.write_all(text.as_bytes())
}

fn find(host: &Host, address: Address, what: &str) -> Result<Function, Failure> {
    let missing = |why: String| {
        Failure::new(Code::Path, what, why).hint("'septum devices' lists the functions that there are")
    };
    if !host.bus().is_dir() {
        return Err(missing("this host shows no PCI bus (no /sys/bus/pci)".to_owned()));
    }
    host.function(address).ok_or_else(|| missing(format!("there is no PCI function {address}")))
}

fn refused(what: &str, why: impl Into<String>, hint: &str) -> Failure {
    Failure::new(Code::Host, what, why).hint(hint)
}

/// A file of sysfs could not be written.
fn unwritable(what: &str, path: &Path, error: &io::Error) -> Failure {
    let hint = match error.kind() {
        io::ErrorKind::PermissionDenied => "run this as root",
        io::ErrorKind::ReadOnlyFilesystem => {
            "sysfs is read-only here, as in most containers: run this on the host"
        }
        _ => "the kernel's log ('dmesg') may say more",
    };
    refused(what, format!("'{}' cannot be written: {error}", path.display()), hint)
}

/// Gives the function to vfio-pci. What the host needs stays.
pub fn bind(host: &Host, address: Address) -> Result<(), Failure> {
    let what = format!("cannot give {address} to {VFIO}");
    let function = find(host, address, &what)?;
    if function.driver.as_deref() == Some(VFIO) {
        return Ok(());
    }
    if function.kind == "bridge" {
        return Err(refused(&what, "it is a bridge", "name the functions behind it"));
    }
    if !function.used_for.is_empty() {
        let why = format!("this host needs it: {}", function.used_for.join(", "));
        return Err(refused(&what, why, "free it first: unmount, swapoff, or another route"));
    }
    if function.group.is_none() {
        return Err(refused(
            &what,
            "it is behind no IOMMU, which would keep its DMA within the partition",
            "turn on VT-d or AMD-Vi in the firmware and boot with intel_iommu=on or amd_iommu=on",
        ));
    }
    if !host.bus().join("drivers").join(VFIO).is_dir() {
        return Err(refused(&what, "this kernel has no such driver loaded", "sudo modprobe vfio-pci"));
    }
    let result = move_to(host, address, function.driver.as_deref(), VFIO, &what).and_then(|()| {
        match host.driver(address) {
            Some(driver) if driver == VFIO => Ok(()),
            _ => Err(refused(&what, "the driver did not take it", "the kernel's log ('dmesg') says why")),
        }
    });
    if result.is_err() {
        // As it was, as far as that can be; the first failure is what is told.
        let _ = move_to(host, address, None, "\n", &what);
    }
    result
}

/// Lets the function's own driver have it, if there is one.
pub fn unbind(host: &Host, address: Address) -> Result<Option<String>, Failure> {
    let what = format!("cannot take {address} from {VFIO}");
    let function = find(host, address, &what)?;
    if function.driver.as_deref() != Some(VFIO) {
        let why = match function.driver {
            Some(driver) => format!("it belongs to the driver {driver}"),
            None => "no driver has it".to_owned(),
        };
        return Err(
            Failure::new(Code::Usage, what, why).hint("'septum devices' tells whose each function is")
        );
    }
    // The kernel would wait for whoever has it, without end.
    if let Some(group) = function.group
        && let Err(error) =
            File::options().read(true).write(true).open(host.dev.join(format!("vfio/{group}")))
        && error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error())
    {
        let why = format!("somebody uses its group {group}");
        return Err(refused(&what, why, "end the partition or the program that has it, and try again"));
    }
    move_to(host, address, Some(VFIO), "\n", &what)?;
    Ok(host.driver(address))
}

/// Takes the function from `driver`, and has the one that it is `wanted` for look at it; a newline stands for any that knows it.
fn move_to(
    host: &Host,
    address: Address,
    driver: Option<&str>,
    wanted: &str,
    what: &str,
) -> Result<(), Failure> {
    let put = |path: &Path, text: &str| write(path, text).map_err(|error| unwritable(what, path, &error));
    put(&host.directory(address).join("driver_override"), wanted)?;
    if let Some(driver) = driver {
        put(&host.bus().join("drivers").join(driver).join("unbind"), &address.to_string())?;
    }
    let probe = host.bus().join("drivers_probe");
    match write(&probe, &address.to_string()) {
        // No driver knows it.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput && wanted == "\n" => Ok(()),
        other => other.map_err(|error| unwritable(what, &probe, &error)),
    }
}
