//! Guest memory: where RAM lies, and the host memory behind it.
//!
//! RAM is private anonymous memory that nobody touches before the guest does: `--memory` is a limit, not an
//! allocation. RAM below `BULK_RAM_START` (boot structures, kernel image, small programs) keeps small pages; the bulk is advised for huge pages, which a memfd
//! could not have on many hosts. If asked for, all of it is huge pages of the host's pool instead.
#![allow(unsafe_code, reason = "mappings and advice inside the mapping that this crate made")]

mod image;
mod mapping;
mod own_file;
mod plain;
mod reclaim;
mod still;
mod window;

pub use image::GuestImage;
pub use mapping::{HUGE_PAGE, Pages};
pub use own_file::OwnFile;
pub use plain::{Plain, boxed_zeros};
pub use reclaim::{populate, reclaim};
use septum_abi::layout::{BULK_RAM_START, HIGH_RAM_START, LOW_RAM_END, PAGE_SIZE};
use std::io;
use std::ops::Range;
pub use still::lies_still;
use thiserror::Error;
use vm_memory::{Address, GuestAddress, GuestMemory, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap};
pub use window::FileWindow;

/// Guest RAM.
pub type GuestRam = GuestMemoryMmap<()>;

/// What a partition needs at least, for the kernel and a small program.
pub const MINIMUM: u64 = 16 << 20;
/// The most that a partition can have: what the direct map and reference counts are laid out for.
pub const MAXIMUM: u64 = 128 << 30;

/// Why there is no guest memory.
#[derive(Debug, Error)]
pub enum MemoryError {
    /// Outside of [`MINIMUM`]..=[`MAXIMUM`].
    #[error("{0} bytes of memory is not between {MINIMUM} and {MAXIMUM}")]
    Size(u64),
    /// The host refused the address space.
    #[error("cannot reserve {0} bytes of address space")]
    Reserve(u64, #[source] io::Error),
    /// The host's pool has fewer huge pages.
    #[error("the host has no {0} bytes of huge pages left")]
    HugePages(u64, #[source] io::Error),
}

/// RAM ranges (start, length) for a partition of `bytes`, rounded up to whole pages.
#[must_use]
pub fn ranges(bytes: u64) -> Vec<(u64, u64)> {
    let bytes = bytes.next_multiple_of(PAGE_SIZE as u64);
    if bytes <= LOW_RAM_END {
        return vec![(0, bytes)];
    }
    vec![(0, LOW_RAM_END), (HIGH_RAM_START, bytes - LOW_RAM_END)]
}

/// Where this process has the memory mapped: host addresses.
#[must_use]
pub fn host_ranges(memory: &GuestMemoryMmap<()>) -> Vec<Range<u64>> {
    let range = |region: &GuestRegionMmap<()>| {
        let start = region.as_ptr().addr() as u64;
        start..start + region.len()
    };
    memory.iter().map(range).collect()
}

/// Reserves RAM of `bytes`; zero, and not yet backed by host memory. Of [`Pages::Huge`], whole ones are taken from the host's pool.
///
/// # Errors
/// The size is out of range, or the host has no address space for it.
pub fn allocate(bytes: u64, pages: Pages) -> Result<GuestRam, MemoryError> {
    if !(MINIMUM..=MAXIMUM).contains(&bytes) {
        return Err(MemoryError::Size(bytes));
    }
    let refused = |error| match pages {
        Pages::Ordinary => MemoryError::Reserve(bytes, error),
        Pages::Huge => MemoryError::HugePages(bytes, error),
    };
    let map = |(start, len)| {
        let mapping = mapping::map(usize::try_from(len).unwrap_or(usize::MAX), pages)?;
        let region = GuestRegionMmap::new(mapping, GuestAddress(start));
        let region = region.ok_or(io::ErrorKind::InvalidInput)?;
        if pages == Pages::Ordinary {
            // Huge pages are a wish: a host without them works too.
            let _ = advise(&region);
        }
        Ok(region)
    };
    let regions: Vec<_> = ranges(bytes).into_iter().map(map).collect::<io::Result<_>>().map_err(refused)?;
    GuestRam::from_regions(regions).map_err(|error| refused(io::Error::other(error.to_string())))
}

/// Asks for huge pages in the bulk, and for none below, where some hosts would give them unasked: a small program uses a
/// little here and there, and would be charged for megabytes.
fn advise(region: &GuestRegionMmap<()>) -> io::Result<()> {
    let whole = usize::try_from(region.len()).unwrap_or(0);
    let is_low = region.start_addr().raw_value() == 0;
    let small = if is_low { usize::try_from(BULK_RAM_START).unwrap_or(0).min(whole) } else { 0 };
    for (start, end, advice) in [(0, small, libc::MADV_NOHUGEPAGE), (small, whole, libc::MADV_HUGEPAGE)] {
        if start == end {
            continue;
        }
        // SAFETY: 1. the range lies in the region's own mapping; 2. the advice changes no contents.
        let result = unsafe { libc::madvise(region.as_ptr().add(start).cast(), end - start, advice) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ram_leaves_the_device_gib_free() {
        assert_eq!(ranges(512 << 20), [(0, 512 << 20)]);
        assert_eq!(ranges(4 << 30), [(0, LOW_RAM_END), (HIGH_RAM_START, 1 << 30)]);
        assert_eq!(ranges((16 << 20) + 1), [(0, (16 << 20) + 4096)]);
    }

    #[test]
    fn absurd_sizes_are_refused() {
        assert!(matches!(allocate(1, Pages::Ordinary), Err(MemoryError::Size(1))));
        assert!(matches!(allocate(u64::MAX, Pages::Huge), Err(MemoryError::Size(_))));
    }
}
