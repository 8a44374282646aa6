//! The ioctls, each as a function that takes what it needs and checks what comes back.

use std::ffi::CString;
use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _};

use vfio_bindings::bindings::vfio::{
    VFIO_BASE, VFIO_DEVICE_FLAGS_PCI, VFIO_DEVICE_FLAGS_RESET, VFIO_DMA_MAP_FLAG_READ,
    VFIO_DMA_MAP_FLAG_WRITE, VFIO_GROUP_FLAGS_VIABLE, VFIO_IRQ_SET_ACTION_TRIGGER, VFIO_IRQ_SET_DATA_EVENTFD,
    VFIO_IRQ_SET_DATA_NONE, VFIO_TYPE, vfio_device_info, vfio_group_status, vfio_iommu_type1_dma_map,
    vfio_irq_info,
};
use vmm_sys_util::eventfd::EventFd;

use crate::error::VfioError;

/// `_IO(VFIO_TYPE, VFIO_BASE + number)`: VFIO encodes neither size nor direction.
const fn number(number: u32) -> libc::c_ulong {
    ((VFIO_TYPE as libc::c_ulong) << 8) | (VFIO_BASE + number) as libc::c_ulong
}

const GET_API_VERSION: libc::c_ulong = number(0);
const CHECK_EXTENSION: libc::c_ulong = number(1);
const SET_IOMMU: libc::c_ulong = number(2);
const GROUP_GET_STATUS: libc::c_ulong = number(3);
const GROUP_SET_CONTAINER: libc::c_ulong = number(4);
const GROUP_GET_DEVICE_FD: libc::c_ulong = number(6);
const DEVICE_GET_INFO: libc::c_ulong = number(7);
const DEVICE_GET_REGION_INFO: libc::c_ulong = number(8);
const DEVICE_GET_IRQ_INFO: libc::c_ulong = number(9);
const DEVICE_SET_IRQS: libc::c_ulong = number(10);
const DEVICE_RESET: libc::c_ulong = number(11);
const IOMMU_MAP_DMA: libc::c_ulong = number(13);

fn failed(call: &'static str) -> VfioError {
    VfioError::Call { call, source: io::Error::last_os_error() }
}

fn size<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or(u32::MAX)
}

/// An ioctl whose argument is a number.
fn with_number(file: &File, request: libc::c_ulong, argument: libc::c_ulong) -> i32 {
    // SAFETY: 1. the callers use it for requests only whose argument is a number or absent; 2. a wrong descriptor is an error.
    unsafe { libc::ioctl(file.as_raw_fd(), request, argument) }
}

/// An ioctl whose argument is a structure or some words, of which the kernel reads and writes no more than `argsz`, the first word, says.
fn with_structure<T>(file: &File, request: libc::c_ulong, argument: &mut T) -> i32 {
    // SAFETY: 1. the argument is a live, exclusive `T`; 2. the callers set its first word to the size of `T` or less; 3. every field is
    // an integer, so that whatever the kernel writes is valid.
    unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_mut(argument)) }
}

pub fn api_version(container: &File) -> i32 {
    with_number(container, GET_API_VERSION, 0)
}

pub fn has_extension(container: &File, extension: u32) -> bool {
    with_number(container, CHECK_EXTENSION, libc::c_ulong::from(extension)) > 0
}

pub fn set_iommu(container: &File, kind: u32) -> Result<(), VfioError> {
    match with_number(container, SET_IOMMU, libc::c_ulong::from(kind)) {
        0.. => Ok(()),
        _ => Err(failed("VFIO_SET_IOMMU")),
    }
}

/// Whether all functions of the group are VFIO's, or nobody's.
pub fn is_viable(group: &File) -> Result<bool, VfioError> {
    let mut status = vfio_group_status { argsz: size::<vfio_group_status>(), flags: 0 };
    match with_structure(group, GROUP_GET_STATUS, &mut status) {
        0.. => Ok(status.flags & VFIO_GROUP_FLAGS_VIABLE != 0),
        _ => Err(failed("VFIO_GROUP_GET_STATUS")),
    }
}

pub fn set_container(group: &File, container: &File) -> Result<(), VfioError> {
    let mut descriptor = container.as_raw_fd();
    // SAFETY: the kernel reads one descriptor from the argument, which lives here.
    let result = unsafe { libc::ioctl(group.as_raw_fd(), GROUP_SET_CONTAINER, &raw mut descriptor) };
    if result < 0 { Err(failed("VFIO_GROUP_SET_CONTAINER")) } else { Ok(()) }
}

pub fn device(group: &File, name: &str) -> Result<File, VfioError> {
    let name = CString::new(name).map_err(|_| VfioError::Missing)?;
    // SAFETY: the kernel reads a string that ends with a NUL, and gives a new descriptor or a negative number.
    let descriptor = unsafe { libc::ioctl(group.as_raw_fd(), GROUP_GET_DEVICE_FD, name.as_ptr()) };
    if descriptor < 0 {
        return Err(failed("VFIO_GROUP_GET_DEVICE_FD"));
    }
    // SAFETY: it is new, so nobody else has it.
    let file = unsafe { File::from_raw_fd(descriptor) };
    // SAFETY: a number is all that is passed. That it stays open in programs is what would be wrong; there are none.
    unsafe { libc::fcntl(descriptor, libc::F_SETFD, libc::FD_CLOEXEC) };
    Ok(file)
}

/// Whether the device, which is a PCI function, can be reset.
pub fn can_reset(device: &File) -> Result<bool, VfioError> {
    let argsz = size::<vfio_device_info>();
    let mut info = vfio_device_info { argsz, flags: 0, num_regions: 0, num_irqs: 0, cap_offset: 0, pad: 0 };
    match with_structure(device, DEVICE_GET_INFO, &mut info) {
        0.. if info.flags & VFIO_DEVICE_FLAGS_PCI == 0 => Err(VfioError::Lacks("PCI function of this name")),
        0.. => Ok(info.flags & VFIO_DEVICE_FLAGS_RESET != 0),
        _ => Err(failed("VFIO_DEVICE_GET_INFO")),
    }
}

pub fn reset(device: &File) -> Result<(), VfioError> {
    match with_number(device, DEVICE_RESET, 0) {
        0.. => Ok(()),
        _ => Err(failed("VFIO_DEVICE_RESET")),
    }
}

/// What is known of a region, as words of 32 bits: a `vfio_region_info` and the capabilities behind it. `None` if there is no such region.
pub fn region(device: &File, index: u32) -> Option<Vec<u32>> {
    /// Bytes of `vfio_region_info`.
    const PLAIN: usize = 32;
    /// More capabilities than any region has.
    const MOST: usize = 64 << 10;
    let mut words = vec![0_u32; PLAIN / 4];
    for _ in 0..2 {
        let argsz = u32::try_from(words.len() * 4).ok()?;
        words[..3].copy_from_slice(&[argsz, 0, index]);
        // SAFETY: 1. the argument is `argsz` bytes of live, exclusive memory; 2. it is aligned for 32 bits, and the kernel copies bytes.
        let result = unsafe { libc::ioctl(device.as_raw_fd(), DEVICE_GET_REGION_INFO, words.as_mut_ptr()) };
        if result < 0 {
            return None;
        }
        let wanted = usize::try_from(words[0]).ok()?;
        if wanted <= words.len() * 4 {
            return Some(words);
        }
        words = vec![0; wanted.min(MOST).div_ceil(4)];
    }
    Some(words)
}

/// How many interrupts of a kind there are.
pub fn interrupts(device: &File, index: u32) -> u32 {
    let mut info = vfio_irq_info { argsz: size::<vfio_irq_info>(), flags: 0, index, count: 0 };
    if with_structure(device, DEVICE_GET_IRQ_INFO, &mut info) < 0 { 0 } else { info.count }
}

/// Has each interrupt of a kind signal an event; without events there are no such interrupts.
pub fn set_interrupts(device: &File, index: u32, events: &[EventFd]) -> io::Result<()> {
    let count = u32::try_from(events.len()).map_err(io::Error::other)?;
    let data = if count == 0 { VFIO_IRQ_SET_DATA_NONE } else { VFIO_IRQ_SET_DATA_EVENTFD };
    let argsz = 20 + 4 * count;
    let mut words = vec![argsz, data | VFIO_IRQ_SET_ACTION_TRIGGER, index, 0, count];
    words.extend(events.iter().map(|event| event.as_raw_fd().cast_unsigned()));
    // SAFETY: 1. the argument is `argsz` bytes of live memory, which the kernel reads; 2. wrong descriptors are an error, and the kernel keeps
    // events alive by itself.
    let result = unsafe { libc::ioctl(device.as_raw_fd(), DEVICE_SET_IRQS, words.as_ptr()) };
    match result {
        0 => Ok(()),
        // So many there are, which is too few: none is on.
        1.. => Err(io::ErrorKind::QuotaExceeded.into()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Lets the container's functions read and write `len` bytes of this process at `address`, which they find at `bus`.
///
/// # Safety
/// The range is memory that anybody may change at any time: guest RAM. It stays mapped, as what it is, for as long as the container is open.
pub unsafe fn map_dma(container: &File, bus: u64, address: u64, len: u64) -> io::Result<()> {
    let mut map = vfio_iommu_type1_dma_map {
        argsz: size::<vfio_iommu_type1_dma_map>(),
        flags: VFIO_DMA_MAP_FLAG_READ | VFIO_DMA_MAP_FLAG_WRITE,
        vaddr: address,
        iova: bus,
        size: len,
    };
    if with_structure(container, IOMMU_MAP_DMA, &mut map) < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_the_kernels() {
        // From <linux/vfio.h>, as strace knows them.
        assert_eq!(GET_API_VERSION, 0x3b64);
        assert_eq!(GROUP_GET_DEVICE_FD, 0x3b6a);
        assert_eq!(DEVICE_SET_IRQS, 0x3b6e);
        assert_eq!(IOMMU_MAP_DMA, 0x3b71);
    }
}
