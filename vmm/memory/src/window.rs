//! Files of the host in the guest's physical memory (virtio 1.2 section 5.11.6.2: the DAX window).
//!
//! ```text
//! window      2 MiB      2 MiB      2 MiB      2 MiB   …
//!          ┌──────────┬──────────┬──────────┬──────────┐
//!          │ nothing  │ file A   │ file A   │ file B   │   PROT_NONE, or MAP_SHARED of a part of a file
//!          └──────────┴──────────┴──────────┴──────────┘
//! ```
//!
//! Address space is reserved once; parts of it are mapped over and given back. Only the guest reads and writes the
//! contents, through KVM: this process never touches them, so that a file which somebody truncates meanwhile costs it
//! nothing. A unit may also be shown as a copy, in one page of 2 MiB, which KVM maps at once. How many mappings of the host the window consists of is bounded by who asks: the device maps in units of 2 MiB, of
//! which the last of a file may be shown in part.

use crate::still::{self, Still};
use septum_abi::layout::{FILE_WINDOW, FILE_WINDOW_UNIT, PAGE_SIZE};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use vm_memory::mmap::MmapRegionBuilder;
use vm_memory::{GuestAddress, GuestMemory, GuestMemoryMmap, GuestMemoryRegion, GuestRegionMmap};

/// The host's side of the window.
#[derive(Clone, Debug)]
pub struct FileWindow {
    memory: GuestMemoryMmap<()>,
}

/// What a unit that holds nothing is mapped as.
const NOTHING: i32 = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;

impl FileWindow {
    /// A window that holds nothing.
    ///
    /// # Errors
    /// The host has no address space for it.
    pub fn reserve() -> io::Result<Self> {
        still::prepare();
        let len = usize::try_from(FILE_WINDOW.end - FILE_WINDOW.start).map_err(io::Error::other)?;
        let region = MmapRegionBuilder::new(len).with_mmap_prot(libc::PROT_NONE).with_mmap_flags(NOTHING);
        let region = region.build().map_err(io::Error::other)?;
        let region = GuestRegionMmap::new(region, GuestAddress(FILE_WINDOW.start))
            .ok_or_else(|| io::Error::other("the window wraps around"))?;
        let memory = GuestMemoryMmap::from_regions(vec![region]).map_err(io::Error::other)?;
        Ok(Self { memory })
    }

    /// As memory for a slot of a virtual machine. Nobody else may access it.
    #[must_use]
    pub fn memory(&self) -> &GuestMemoryMmap<()> {
        &self.memory
    }

    /// Maps `len` bytes of a file from `offset` on at `at` in the window.
    ///
    /// # Errors
    /// `EINVAL` if something is no multiple of a page or outside of the window; what the host says.
    pub fn map(&self, at: u64, len: u64, file: RawFd, offset: u64, is_writable: bool) -> io::Result<()> {
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let end =
            offset.checked_add(len).filter(|end| *end <= i64::MAX.cast_unsigned()).ok_or_else(invalid)?;
        if !end.is_multiple_of(PAGE_SIZE as u64) {
            return Err(invalid());
        }
        let offset = i64::try_from(offset).map_err(|_| invalid())?;
        let protection = if is_writable { libc::PROT_READ | libc::PROT_WRITE } else { libc::PROT_READ };
        self.replace(at, len, protection, libc::MAP_SHARED, file, offset)
    }

    /// Shows `len` bytes of a file from `offset` on at `at`, as they are now and not as they become: a copy in large pages, which the guest
    /// can only read. What is there stays until the copy is complete.
    ///
    /// # Errors
    /// As for [`map`](Self::map); the file is shorter (`UnexpectedEof`), or is not known to [lie still](crate::lies_still). There is what was
    /// there, or nothing.
    pub fn copy(&self, at: u64, len: u64, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        let (place, len) = self.range(at, len)?;
        let _still = Still::keep(file)?;
        let copy = Copy::of(file, offset, len)?;
        // SAFETY: 1. the range lies in the region's own mapping, as was checked; 2. no reference to its contents exists or is ever made.
        let moved = unsafe { copy.move_to(place) };
        // It may have taken away what was there. Whatever the host maps into such a hole later, the guest could write to it.
        if moved.is_err() && self.unmap(at, len as u64).is_err() {
            std::process::abort();
        }
        moved
    }

    /// Makes `len` bytes at `at` hold nothing.
    ///
    /// # Errors
    /// As for [`map`](Self::map).
    pub fn unmap(&self, at: u64, len: u64) -> io::Result<()> {
        self.replace(at, len, libc::PROT_NONE, NOTHING, -1, 0)
    }

    fn replace(
        &self,
        at: u64,
        len: u64,
        protection: i32,
        flags: i32,
        file: RawFd,
        offset: i64,
    ) -> io::Result<()> {
        let (place, len) = self.range(at, len)?;
        // SAFETY: 1. the range lies in the region's own mapping, as was checked, so nothing else is mapped over; 2. no
        // reference to its contents exists or is ever made: it is the guest's alone; 3. a wrong descriptor is an error.
        let result =
            unsafe { libc::mmap(place.cast(), len, protection, flags | libc::MAP_FIXED, file, offset) };
        if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(()) }
    }

    /// Where whole pages within the window are in this process.
    fn range(&self, at: u64, len: u64) -> io::Result<(*mut u8, usize)> {
        let invalid = || io::Error::from_raw_os_error(libc::EINVAL);
        let region = self.memory.iter().next().ok_or_else(invalid)?;
        let is_whole = |value: u64| value.is_multiple_of(PAGE_SIZE as u64);
        let fits = at.checked_add(len).is_some_and(|end| end <= region.len());
        if len == 0 || !fits || !is_whole(at) || !is_whole(len) {
            return Err(invalid());
        }
        let (at, len) =
            (usize::try_from(at).map_err(|_| invalid())?, usize::try_from(len).map_err(|_| invalid())?);
        // SAFETY: the offset is within the region's mapping, as checked above.
        Ok((unsafe { region.as_ptr().add(at) }, len))
    }
}

/// A part of a file in memory of its own, in large pages where the host has some.
struct Copy {
    place: *mut u8,
    len: usize,
}

impl Copy {
    fn of(file: BorrowedFd<'_>, offset: u64, len: usize) -> io::Result<Self> {
        let copy = Self::reserve(len)?;
        // SAFETY: the range is the copy's own. Large pages are a wish.
        unsafe { libc::madvise(copy.place.cast(), len, libc::MADV_HUGEPAGE) };
        let mut done = 0;
        while done < len {
            let at = i64::try_from(offset.saturating_add(done as u64)).unwrap_or(i64::MAX);
            // SAFETY: the rest of the range is the copy's own, and no reference to it exists.
            let got = unsafe { libc::pread(file.as_raw_fd(), copy.place.add(done).cast(), len - done, at) };
            match usize::try_from(got) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(got) => done += got,
                Err(_) => return Err(io::Error::last_os_error()),
            }
        }
        // SAFETY: as for the advice.
        if unsafe { libc::mprotect(copy.place.cast(), len, libc::PROT_READ) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(copy)
    }

    /// Memory that holds nothing yet, aligned to a unit.
    fn reserve(len: usize) -> io::Result<Self> {
        let align = usize::try_from(FILE_WINDOW_UNIT).map_err(io::Error::other)?;
        let whole = len.checked_add(align).ok_or(io::ErrorKind::InvalidInput)?;
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        // SAFETY: a mapping at a place of the kernel's choice touches no other.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), whole, protection, NOTHING, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = start.cast::<u8>();
        let before = start.align_offset(align).min(align);
        // SAFETY: 1. both ends are parts of what was mapped above, whole pages of it; 2. nobody else knows of them.
        unsafe {
            if before > 0 {
                libc::munmap(start.cast(), before);
            }
            if before < align {
                libc::munmap(start.add(before + len).cast(), align - before);
            }
            Ok(Self { place: start.add(before), len })
        }
    }

    /// Moves it to `place`.
    ///
    /// # Safety
    ///
    /// There must be as many bytes of whole pages that nobody refers to.
    unsafe fn move_to(self, place: *mut u8) -> io::Result<()> {
        let flags = libc::MREMAP_MAYMOVE | libc::MREMAP_FIXED;
        // SAFETY: 1. the source is the copy's own; 2. the caller vouches for the destination.
        let moved = unsafe { libc::mremap(self.place.cast(), self.len, self.len, flags, place) };
        if moved == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        // What it was made in is not there any more.
        std::mem::forget(self);
        Ok(())
    }
}

impl Drop for Copy {
    fn drop(&mut self) {
        // SAFETY: the range is the copy's own.
        unsafe { libc::munmap(self.place.cast(), self.len) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::{AsFd, AsRawFd};

    #[test]
    fn only_whole_pages_within_the_window_are_mapped() {
        let window = FileWindow::reserve().unwrap();
        let file = std::fs::File::open("/proc/self/exe").unwrap();
        let (page, end) = (PAGE_SIZE as u64, FILE_WINDOW.end - FILE_WINDOW.start);
        let map = |at, len, offset| window.map(at, len, file.as_raw_fd(), offset, false);
        assert!(map(0, page, 0).is_ok());
        assert!(map(end - page, page, page).is_ok());
        let refused =
            [(end, page, 0), (u64::MAX - page + 1, page, 0), (1, page, 0), (0, page - 1, 0), (0, 0, 0)];
        let refused =
            refused.into_iter().chain([(0, page, 1), (0, page, u64::MAX - page + 1), (0, 2 * end, 0)]);
        for (at, len, offset) in refused {
            assert!(map(at, len, offset).is_err(), "{at:#x} {len:#x} {offset:#x}");
        }
        assert!(window.map(0, page, file.as_raw_fd(), 0, true).is_err(), "read-only file, writable mapping");
        assert!(window.map(0, page, -1, 0, false).is_err());
        assert!(window.copy(0, page, file.as_fd(), 1 << 40).is_err(), "beyond the file");
        assert!(window.copy(0, page, file.as_fd(), 7).is_ok());
        for (at, len) in [(end, page), (1, page), (0, page - 1), (0, 0), (u64::MAX - page + 1, page)] {
            assert!(window.copy(at, len, file.as_fd(), 0).is_err(), "{at:#x} {len:#x}");
        }
        assert!(window.unmap(0, end).is_ok());
        assert!(window.unmap(end, page).is_err());
    }
}
