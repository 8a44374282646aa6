//! The image that is the guest's root, in its physical memory.
//!
//! The file is mapped shared and read-only: what the guest reads, executes and maps is the host's page cache, one copy for all
//! partitions. This process never touches the contents, so that a file which is cut short meanwhile costs it nothing.

use crate::mapping::HUGE_PAGE;
use septum_abi::layout::{IMAGE_WINDOW, PAGE_SIZE};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd as _;
use vm_memory::{GuestAddress, GuestMemoryMmap, GuestRegionMmap, MmapRegion};

/// A mapped image.
#[derive(Clone, Debug)]
pub struct GuestImage {
    memory: GuestMemoryMmap<()>,
    len: u64,
}

impl GuestImage {
    /// The most bytes that one can have.
    pub const LIMIT: u64 = IMAGE_WINDOW.end - IMAGE_WINDOW.start;

    /// Maps the whole pages of a file, of which there must be one, and at most [`LIMIT`](Self::LIMIT) bytes.
    ///
    /// # Errors
    /// The file's length is out of range; what the host says.
    pub fn map(file: &File) -> io::Result<Self> {
        let len = file.metadata()?.len() / PAGE_SIZE as u64 * PAGE_SIZE as u64;
        if len == 0 || len > Self::LIMIT {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, format!("it has {len} bytes")));
        }
        let size = usize::try_from(len).map_err(io::Error::other)?;
        let region = map_aligned(file, size)?;
        let region = GuestRegionMmap::new(region, GuestAddress(IMAGE_WINDOW.start));
        let region = region.ok_or_else(|| io::Error::other("the image wraps around"))?;
        let memory = GuestMemoryMmap::from_regions(vec![region]).map_err(io::Error::other)?;
        Ok(Self { memory, len })
    }

    /// As memory for a slot of a virtual machine. Nobody else may access it.
    #[must_use]
    pub fn memory(&self) -> &GuestMemoryMmap<()> {
        &self.memory
    }

    /// Bytes that are mapped.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Never: there is a page.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }
}

/// Maps at a multiple of 2 MiB, as the guest sees it: then where the host keeps the file in large pages, the guest's may be too.
fn map_aligned(file: &File, len: usize) -> io::Result<MmapRegion> {
    let align = usize::try_from(HUGE_PAGE).map_err(io::Error::other)?;
    let whole = len.checked_add(align).ok_or(io::ErrorKind::OutOfMemory)?;
    let nothing = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), whole, libc::PROT_NONE, nothing, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let before = start.addr().next_multiple_of(align) - start.addr();
    // SAFETY: `before` is less than `align`, so `len` bytes from there on are inside of what was mapped above.
    let place = unsafe { start.cast::<u8>().add(before) };
    let (protection, flags) = (libc::PROT_READ, libc::MAP_SHARED);
    // SAFETY: 1. the range is a part of the mapping made above, which nobody else knows of; 2. the descriptor is open; 3. no reference to the
    // contents exists or is ever made: they are the guest's alone.
    let mapped =
        unsafe { libc::mmap(place.cast(), len, protection, flags | libc::MAP_FIXED, file.as_raw_fd(), 0) };
    if mapped == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: 1. the range is mapped readable, with these flags; 2. it stays so for ever: `MmapRegion` does not unmap what it did not map.
    unsafe { MmapRegion::build_raw(place, len, protection, flags) }.map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::GuestMemory as _;

    #[test]
    fn whole_pages_of_a_file_are_mapped() {
        let path = std::env::temp_dir().join(format!("septum-image-{}", std::process::id()));
        for (bytes, len) in [(4095, None), (4096, Some(4096)), (10_000, Some(8192))] {
            std::fs::write(&path, vec![7; bytes]).unwrap();
            let image = GuestImage::map(&File::open(&path).unwrap());
            assert_eq!(image.as_ref().ok().map(GuestImage::len), len);
            if let Ok(image) = image {
                let region = image.memory().iter().next().unwrap();
                assert!(region.as_ptr().addr().is_multiple_of(2 << 20));
            }
        }
        std::fs::remove_file(&path).unwrap();
    }
}
