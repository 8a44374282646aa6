//! What sysfs says of a function: whose it is, and whom else its group has.

use std::fs;
use std::path::{Path, PathBuf};

use crate::error::VfioError;

/// The driver that functions are passed on by.
const DRIVER: &str = "vfio-pci";
/// Drivers that may have a function of a group without keeping the others from being passed on: they do no DMA of their own
/// (Linux, Documentation/driver-api/vfio.rst).
const HARMLESS: [&str; 3] = [DRIVER, "pci-stub", "pcieport"];

fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// Where functions are found.
#[derive(Clone, Debug)]
pub struct Sysfs(pub PathBuf);

impl Sysfs {
    fn function(&self, address: &str) -> PathBuf {
        self.0.join("bus/pci/devices").join(address)
    }

    fn driver(&self, address: &str) -> Option<String> {
        link_name(&self.function(address).join("driver"))
    }

    /// The group of a function that may be passed on.
    pub fn group(&self, address: &str) -> Result<u32, VfioError> {
        let directory = self.function(address);
        if !directory.is_dir() {
            return Err(VfioError::Missing);
        }
        let driver = self.driver(address);
        if driver.as_deref() != Some(DRIVER) {
            return Err(VfioError::OtherDriver(driver));
        }
        let group = link_name(&directory.join("iommu_group")).and_then(|name| name.parse().ok());
        group.ok_or(VfioError::NoIommu)
    }

    /// Functions that keep a group from being passed on, and whose they are.
    pub fn others(&self, group: u32) -> Vec<(String, Option<String>)> {
        let entries = fs::read_dir(self.0.join(format!("kernel/iommu_groups/{group}/devices")));
        let names = entries.into_iter().flatten().flatten();
        let mut others: Vec<_> = names
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .map(|address| (address.clone(), self.driver(&address)))
            .filter(|(_, driver)| driver.as_ref().is_some_and(|driver| !HARMLESS.contains(&driver.as_str())))
            .collect();
        others.sort();
        others
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const ADDRESS: &str = "0000:00:03.0";

    #[test]
    fn the_driver_and_the_group_decide() {
        let folder = tempfile::tempdir().unwrap();
        let sysfs = Sysfs(folder.path().into());
        assert!(matches!(sysfs.group(ADDRESS), Err(VfioError::Missing)));
        let function = folder.path().join("bus/pci/devices").join(ADDRESS);
        fs::create_dir_all(&function).unwrap();
        assert!(matches!(sysfs.group(ADDRESS), Err(VfioError::OtherDriver(None))));
        symlink("/drivers/nvme", function.join("driver")).unwrap();
        let error = sysfs.group(ADDRESS).unwrap_err();
        assert_eq!(error.to_string(), "it belongs to the driver nvme");
        let members = folder.path().join("kernel/iommu_groups/7/devices");
        fs::create_dir_all(members.join(ADDRESS)).unwrap();
        assert_eq!(sysfs.others(7), [(ADDRESS.to_owned(), Some("nvme".to_owned()))]);
        fs::remove_file(function.join("driver")).unwrap();
        symlink("/drivers/vfio-pci", function.join("driver")).unwrap();
        assert!(matches!(sysfs.group(ADDRESS), Err(VfioError::NoIommu)));
        symlink("/groups/7", function.join("iommu_group")).unwrap();
        assert_eq!(sysfs.group(ADDRESS).unwrap(), 7);
        assert_eq!(sysfs.others(7), []);
    }
}
