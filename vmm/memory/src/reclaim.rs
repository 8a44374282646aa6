//! Guest memory that goes back to the host, or comes from it ahead of its use, while the partition runs.
#![allow(unsafe_code, reason = "madvise on the mapping that this crate made")]

use crate::GuestRam;
use septum_abi::layout::PAGE_SIZE;
use std::io;
use vm_memory::{GuestAddress, GuestMemory, GuestMemoryRegion, MemoryRegionAddress};

/// Takes the host memory behind `len` bytes of guest memory from `start` on: the guest finds there what was in its memory at first,
/// which is zeros everywhere but in its kernel's image.
///
/// # Errors
/// The range is empty, not made of whole pages, or not wholly in one region of guest RAM (`InvalidInput`, and nothing has
/// changed); or the host refused.
pub fn reclaim(ram: &GuestRam, start: u64, len: u64) -> io::Result<()> {
    let (place, len) = range(ram, start, len)?;
    // SAFETY: 1. the range lies in the region's own mapping, as was checked; 2. the mapping is private, so
    // only the guest's own changes are lost; 3. nobody holds a Rust reference to guest memory, whose contents may change at any time.
    let result = unsafe { libc::madvise(place.cast(), len, libc::MADV_DONTNEED) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Takes host memory for `len` bytes of guest memory from `start` on, as if each page had been written, but with what it holds.
///
/// # Errors
/// As for [`reclaim`]; then some of it may be there.
pub fn populate(ram: &GuestRam, start: u64, len: u64) -> io::Result<()> {
    let (place, len) = range(ram, start, len)?;
    // SAFETY: 1. the range lies in the region's own mapping, as was checked; 2. contents stay what they are.
    let result = unsafe { libc::madvise(place.cast(), len, libc::MADV_POPULATE_WRITE) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Where the range is mapped, if it is one.
fn range(ram: &GuestRam, start: u64, len: u64) -> io::Result<(*mut u8, usize)> {
    let page = PAGE_SIZE as u64;
    let region = ram.to_region_addr(GuestAddress(start)).filter(|(region, MemoryRegionAddress(offset))| {
        len > 0 && start.is_multiple_of(page) && len.is_multiple_of(page) && len <= region.len() - offset
    });
    let (region, MemoryRegionAddress(offset)) = region.ok_or(io::ErrorKind::InvalidInput)?;
    let too_large = |_| io::Error::from(io::ErrorKind::InvalidInput);
    let (offset, len) =
        (usize::try_from(offset).map_err(too_large)?, usize::try_from(len).map_err(too_large)?);
    // SAFETY: the offset is within the region's mapping, as checked above.
    Ok((unsafe { region.as_ptr().add(offset) }, len))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Pages, allocate};
    use septum_abi::layout::{HIGH_RAM_START, LOW_RAM_END};
    use vm_memory::Bytes;

    const PAGE: u64 = PAGE_SIZE as u64;

    #[test]
    fn reclaimed_pages_are_zero_and_their_neighbours_are_not() {
        let ram = allocate(16 << 20, Pages::Ordinary).unwrap();
        for page in 0..4 {
            ram.write_obj(page + 1, GuestAddress(page * PAGE)).unwrap();
        }
        reclaim(&ram, PAGE, 2 * PAGE).unwrap();
        let values = [0, 1, 2, 3].map(|page| ram.read_obj::<u64>(GuestAddress(page * PAGE)).unwrap());
        assert_eq!(values, [1, 0, 0, 4]);
    }

    #[test]
    fn what_is_populated_keeps_what_it_holds() {
        let ram = allocate(16 << 20, Pages::Ordinary).unwrap();
        ram.write_obj(7_u64, GuestAddress(PAGE)).unwrap();
        populate(&ram, 0, 4 * PAGE).unwrap();
        let values = [0, 1, 2, 3].map(|page| ram.read_obj::<u64>(GuestAddress(page * PAGE)).unwrap());
        assert_eq!(values, [0, 7, 0, 0]);
    }

    #[test]
    fn what_is_not_guest_memory_is_refused() {
        let ram = allocate(LOW_RAM_END + (16 << 20), Pages::Ordinary).unwrap();
        let end = HIGH_RAM_START + (16 << 20);
        ram.write_obj(7_u64, GuestAddress(LOW_RAM_END - PAGE)).unwrap();
        let refused = [
            (0, 0),
            (1, PAGE),
            (0, PAGE - 1),
            (LOW_RAM_END - PAGE, 2 * PAGE),
            (LOW_RAM_END, PAGE),
            (LOW_RAM_END - PAGE, HIGH_RAM_START - LOW_RAM_END + 2 * PAGE),
            (end - PAGE, 2 * PAGE),
            (end, PAGE),
            (0, u64::MAX - PAGE + 1),
            (u64::MAX - PAGE + 1, PAGE),
        ];
        for (start, len) in refused {
            for result in [reclaim(&ram, start, len), populate(&ram, start, len)] {
                assert_eq!(result.unwrap_err().kind(), io::ErrorKind::InvalidInput, "{start:#x}+{len:#x}");
            }
        }
        assert_eq!(ram.read_obj::<u64>(GuestAddress(LOW_RAM_END - PAGE)).unwrap(), 7);
    }
}
