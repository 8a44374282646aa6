//! The host memory behind a range of guest RAM: one private anonymous mapping.
//!
//! It begins at a multiple of 2 MiB, as guest RAM does: only then can a huge page of the host be one of the guest too. (Not
//! every kernel places large mappings so by itself.) It stays until the process ends, as the machine that uses it does.
#![allow(unsafe_code, reason = "makes the mapping and describes it to vm-memory")]

use std::io;
use vm_memory::MmapRegion;

/// Bytes of a huge page.
pub const HUGE_PAGE: u64 = 2 << 20;

/// What the host backs guest RAM with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Pages {
    /// Memory as it is touched: pages of 4 KiB, in the bulk of 2 MiB where the host has them at hand.
    #[default]
    Ordinary,
    /// Pages of 2 MiB from the host's pool (`vm.nr_hugepages`), all of them set aside now.
    Huge,
}

/// Maps `len` bytes of zeros, a multiple of the page size (of 2 MiB, for huge pages).
pub(crate) fn map(len: usize, pages: Pages) -> io::Result<MmapRegion> {
    let (protection, private) = (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS);
    let (flags, spare) = match pages {
        // The pool's pages are aligned by nature, and reserved unless told otherwise.
        Pages::Huge => (private | libc::MAP_HUGETLB | libc::MAP_HUGE_2MB, 0),
        Pages::Ordinary => (private | libc::MAP_NORESERVE, usize::try_from(HUGE_PAGE).unwrap_or(0)),
    };
    let whole = len.checked_add(spare).ok_or(io::ErrorKind::OutOfMemory)?;
    // SAFETY: a new mapping at an address of the kernel's choice replaces nothing.
    let start = unsafe { libc::mmap(std::ptr::null_mut(), whole, protection, flags, -1, 0) };
    if start == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    let before = if spare == 0 { 0 } else { start.addr().next_multiple_of(spare) - start.addr() };
    let start = start.cast::<u8>();
    for (offset, len) in [(0, before), (before + len, spare - before)] {
        if len > 0 {
            // SAFETY: 1. the range lies in the mapping made above, and outside of the part that is kept; 2. nobody knows of it yet.
            // Should it fail, address space that nobody touches stays reserved.
            unsafe { libc::munmap(start.add(offset).cast(), len) };
        }
    }
    // SAFETY: 1. the range is mapped readable and writable, with these flags; 2. it stays so for ever: `MmapRegion` does not unmap
    // what it did not map, and nobody else knows it.
    unsafe { MmapRegion::build_raw(start.add(before), len, protection, flags) }
        .map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mappings_begin_where_huge_pages_may() {
        for len in [4096, 3 << 20, 64 << 20] {
            let region = map(len, Pages::Ordinary).unwrap();
            assert!(region.as_ptr().addr().is_multiple_of(2 << 20));
            assert_eq!(region.size(), len);
        }
    }

    #[test]
    fn more_than_the_pool_has_is_refused_at_once() {
        assert_eq!(map(1 << 46, Pages::Huge).unwrap_err().raw_os_error(), Some(libc::ENOMEM));
    }
}
