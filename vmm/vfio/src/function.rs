//! One function: its configuration space, its BARs, its interrupts.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::fd::AsRawFd as _;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

use vfio_bindings::bindings::vfio::{
    VFIO_PCI_CONFIG_REGION_INDEX, VFIO_PCI_MSI_IRQ_INDEX, VFIO_PCI_MSIX_IRQ_INDEX,
};
use vm_memory::MmapRegion;
use vmm_sys_util::eventfd::EventFd;

use crate::container::Container;
use crate::error::VfioError;
use crate::ioctl;
use crate::region::Region;

/// The region that is the configuration space; those before are the BARs (six) and the expansion ROM.
pub const CONFIGURATION: usize = VFIO_PCI_CONFIG_REGION_INDEX as usize;

/// How a function interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interrupts {
    /// MSI.
    Msi,
    /// MSI-X.
    MsiX,
}

impl Interrupts {
    fn index(self) -> u32 {
        match self {
            Self::Msi => VFIO_PCI_MSI_IRQ_INDEX,
            Self::MsiX => VFIO_PCI_MSIX_IRQ_INDEX,
        }
    }
}

/// An open function. Threads share it.
#[derive(Debug)]
pub struct Function {
    name: String,
    file: File,
    regions: Vec<Region>,
    can_reset: bool,
    /// Open for as long as the function is.
    _container: Arc<Container>,
}

impl Function {
    pub(crate) fn new(name: &str, file: File, container: Arc<Container>) -> Result<Self, VfioError> {
        let can_reset = ioctl::can_reset(&file)?;
        let region =
            |index| ioctl::region(&file, index).and_then(|words| Region::parse(&words)).unwrap_or_default();
        let regions = (0..=VFIO_PCI_CONFIG_REGION_INDEX).map(region).collect();
        if can_reset {
            ioctl::reset(&file)?;
        }
        Ok(Self { name: name.to_owned(), file, regions, can_reset, _container: container })
    }

    /// Its address on the host.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether the host can reset it. Of one that it cannot, the next user finds what the last one left.
    #[must_use]
    pub fn can_reset(&self) -> bool {
        self.can_reset
    }

    /// A region; one that the function does not have is empty.
    #[must_use]
    pub fn region(&self, index: usize) -> Region {
        self.regions.get(index).cloned().unwrap_or_default()
    }

    /// Reads from a region; what cannot be read is all ones, as on a bus.
    pub fn read(&self, region: usize, offset: u64, data: &mut [u8]) {
        let read = self.place(region, offset, data.len()).map(|at| self.file.read_exact_at(data, at));
        if !matches!(read, Some(Ok(()))) {
            data.fill(0xff);
        }
    }

    /// Writes to a region; what cannot be written is dropped.
    pub fn write(&self, region: usize, offset: u64, data: &[u8]) {
        if let Some(at) = self.place(region, offset, data.len()) {
            // As on a bus, nobody is told.
            let _ = self.file.write_all_at(data, at);
        }
    }

    fn place(&self, region: usize, offset: u64, len: usize) -> Option<u64> {
        let region = self.regions.get(region)?;
        let end = offset.checked_add(u64::try_from(len).ok()?)?;
        if end > region.bytes { None } else { region.offset.checked_add(offset) }
    }

    /// Maps whole pages of a region that are [mappable](Region::mappable), for good.
    ///
    /// # Errors
    /// It is not, or the host refused.
    pub fn map(&self, index: usize, part: &Range<u64>) -> io::Result<MmapRegion> {
        let region = self.regions.get(index).filter(|region| {
            let is_inside = |mappable: &Range<u64>| mappable.start <= part.start && part.end <= mappable.end;
            !part.is_empty() && region.mappable.iter().any(is_inside)
        });
        let region = region.ok_or(io::ErrorKind::InvalidInput)?;
        let len = usize::try_from(part.end - part.start).map_err(io::Error::other)?;
        let offset =
            region.offset.checked_add(part.start).and_then(|offset| libc::off_t::try_from(offset).ok());
        let offset = offset.ok_or(io::ErrorKind::InvalidInput)?;
        let (protection, flags) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED);
        // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
        let start = unsafe {
            libc::mmap(std::ptr::null_mut(), len, protection, flags, self.file.as_raw_fd(), offset)
        };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: 1. the range is mapped readable and writable, with these flags; 2. it stays so for ever: `MmapRegion` does not unmap what
        // it did not map, and nobody else knows it.
        unsafe { MmapRegion::build_raw(start.cast(), len, protection, flags) }
            .map_err(|error| io::Error::other(error.to_string()))
    }

    /// How many vectors of a kind it has.
    #[must_use]
    pub fn vectors(&self, kind: Interrupts) -> u32 {
        ioctl::interrupts(&self.file, kind.index())
    }

    /// Has each vector of a kind signal an event; without events that kind is off.
    ///
    /// # Errors
    /// The host refused.
    pub fn set_interrupts(&self, kind: Interrupts, events: &[EventFd]) -> io::Result<()> {
        ioctl::set_interrupts(&self.file, kind.index(), events)
    }
}
