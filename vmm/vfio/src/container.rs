//! The container: groups that reach the same memory, and what that is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use vfio_bindings::bindings::vfio::{VFIO_API_VERSION, VFIO_TYPE1v2_IOMMU};
use vm_memory::{Address as _, GuestMemory as _, GuestMemoryMmap, GuestMemoryRegion as _};

use crate::error::VfioError;
use crate::function::Function;
use crate::ioctl;
use crate::sysfs::Sysfs;

/// Groups that are passed on together.
#[derive(Debug)]
pub struct Container {
    file: File,
    groups: BTreeMap<u32, File>,
    /// What the functions reach: kept mapped for as long as they may.
    memory: OnceLock<GuestMemoryMmap<()>>,
}

fn open_file(path: &str) -> Result<File, VfioError> {
    File::options()
        .read(true)
        .write(true)
        .open(path)
        .map_err(|source| VfioError::Open { path: path.to_owned(), source })
}

/// Opens functions, by their addresses as sysfs has them, and resets those that can be. They reach no memory yet. An error comes with the
/// address of the function that it is about.
///
/// # Errors
/// See [`VfioError`].
pub fn open(addresses: &[String]) -> Result<(Arc<Container>, Vec<Function>), (String, VfioError)> {
    let of = |address: &String| {
        let address = address.clone();
        move |error| (address, error)
    };
    let sysfs = Sysfs(Path::new("/sys").to_owned());
    let Some(first) = addresses.first() else { return Err((String::new(), VfioError::Missing)) };
    let mut groups = BTreeMap::new();
    let mut of_functions = Vec::new();
    // All of sysfs first: it says more than VFIO does.
    for address in addresses {
        of_functions.push((address, sysfs.group(address).map_err(of(address))?));
    }
    let file = open_file("/dev/vfio/vfio").map_err(of(first))?;
    if ioctl::api_version(&file).cast_unsigned() != VFIO_API_VERSION {
        return Err(of(first)(VfioError::Lacks("interface that this program knows")));
    }
    if !ioctl::has_extension(&file, VFIO_TYPE1v2_IOMMU) {
        return Err(of(first)(VfioError::Lacks("IOMMU of type 1; load the module vfio_iommu_type1")));
    }
    for &(address, group) in &of_functions {
        if groups.contains_key(&group) {
            continue;
        }
        let opened = open_group(&sysfs, group, &file).map_err(of(address))?;
        if groups.is_empty() {
            ioctl::set_iommu(&file, VFIO_TYPE1v2_IOMMU).map_err(of(address))?;
        }
        groups.insert(group, opened);
    }
    let mut opened = Vec::new();
    for (address, group) in of_functions {
        let Some(group) = groups.get(&group) else { continue };
        opened.push(ioctl::device(group, address).map_err(of(address))?);
    }
    let container = Arc::new(Container { file, groups, memory: OnceLock::new() });
    let functions = addresses
        .iter()
        .zip(opened)
        .map(|(address, file)| Function::new(address, file, Arc::clone(&container)).map_err(of(address)))
        .collect::<Result<_, _>>()?;
    Ok((container, functions))
}

fn open_group(sysfs: &Sysfs, group: u32, container: &File) -> Result<File, VfioError> {
    let file = open_file(&format!("/dev/vfio/{group}")).map_err(|error| match error {
        VfioError::Open { source, .. } if source.raw_os_error() == Some(libc::EBUSY) => {
            VfioError::Busy(group)
        }
        other => other,
    })?;
    let not_viable = || VfioError::NotViable { group, others: sysfs.others(group) };
    if !ioctl::is_viable(&file)? {
        return Err(not_viable());
    }
    ioctl::set_container(&file, container).map_err(|error| match &error {
        // Somebody took one of its functions meanwhile.
        VfioError::Call { .. } if !sysfs.others(group).is_empty() => not_viable(),
        _ => error,
    })?;
    Ok(file)
}

impl Container {
    /// Its groups, for KVM to know.
    pub fn groups(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.groups.values().map(|file| file.as_fd())
    }

    /// Lets the functions reach all of `memory`, once, at its guest-physical addresses: the host keeps all of it in place from now on. It
    /// must not be given back, or mapped over, by anybody: the functions would still reach what was there.
    ///
    /// # Errors
    /// The caller may not lock so much memory, or VFIO refused.
    pub fn pin(&self, memory: &GuestMemoryMmap<()>) -> Result<(), VfioError> {
        let call = "VFIO_IOMMU_MAP_DMA";
        let again = || io::Error::from_raw_os_error(libc::EEXIST);
        self.memory.set(memory.clone()).map_err(|_| VfioError::Call { call, source: again() })?;
        let needed = memory.iter().map(|region| region.len()).sum();
        for region in memory.iter() {
            let (bus, address) = (region.start_addr().raw_value(), region.as_ptr().addr() as u64);
            // SAFETY: 1. a region of guest memory is mapped, and kept so by `self.memory`; 2. it is only ever accessed as memory that others
            // change, by volatile accesses.
            unsafe { ioctl::map_dma(&self.file, bus, address, region.len()) }.map_err(|source| {
                match memory_limit() {
                    limit if source.raw_os_error() == Some(libc::ENOMEM) && limit < needed => {
                        VfioError::MemoryLimit { needed, limit }
                    }
                    _ => VfioError::Call { call, source },
                }
            })?;
        }
        Ok(())
    }
}

/// Bytes that this process may lock.
fn memory_limit() -> u64 {
    let mut limit = libc::rlimit { rlim_cur: 0, rlim_max: 0 };
    // SAFETY: the kernel fills a structure that lives here.
    let result = unsafe { libc::getrlimit(libc::RLIMIT_MEMLOCK, &raw mut limit) };
    if result == 0 { limit.rlim_cur } else { 0 }
}
