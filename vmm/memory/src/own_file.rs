//! Parts of this program's own file as guest memory.
//!
//! What is embedded in the program, the guest kernel, lies in the host's page cache already. Mapped from there, nobody copies it, and all
//! partitions share one. The guest may write to it: the mapping is private, so a page that is written becomes its own.

use crate::GuestRam;
use septum_abi::layout::PAGE_SIZE;
use std::fs::File;
use std::os::fd::AsRawFd as _;
use vm_memory::{Address as _, GuestAddress, GuestMemory as _, GuestMemoryRegion as _};

/// The file of this program, and where it was loaded.
#[derive(Debug)]
pub struct OwnFile {
    file: File,
}

impl OwnFile {
    /// Opens it; `None` if the host does not show it.
    #[must_use]
    pub fn open() -> Option<Self> {
        File::open("/proc/self/exe").ok().map(|file| Self { file })
    }

    /// Puts whole pages of `bytes`, which are embedded in the program and begin on a page, to guest-physical `at`. Returns how many bytes that
    /// were: none if it is not possible. What was in that memory is gone.
    pub fn place(&self, ram: &GuestRam, at: u64, bytes: &'static [u8]) -> usize {
        let len = bytes.len() / PAGE_SIZE * PAGE_SIZE;
        if len == 0
            || !at.is_multiple_of(PAGE_SIZE as u64)
            || !bytes.as_ptr().addr().is_multiple_of(PAGE_SIZE)
        {
            return 0;
        }
        let Some(region) = ram.find_region(GuestAddress(at)) else { return 0 };
        let offset = at - region.start_addr().raw_value();
        let (Ok(start), Ok(size)) = (usize::try_from(offset), usize::try_from(region.len())) else {
            return 0;
        };
        if start.checked_add(len).is_none_or(|end| end > size) {
            return 0;
        }
        let Some(offset) = file_offset(bytes.as_ptr().addr(), len) else { return 0 };
        let Ok(offset) = libc::off_t::try_from(offset) else { return 0 };
        // SAFETY:
        // 1. the target lies in the region's own mapping, as checked, and on pages;
        // 2. guest memory is reached by volatile accesses only, so that its contents may change at any time;
        // 3. the mapping is of memory as before: private, readable and writable, and stays as the region does.
        let result = unsafe {
            libc::mmap(
                region.as_ptr().add(start).cast(),
                len,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_PRIVATE | libc::MAP_FIXED | libc::MAP_NORESERVE,
                self.file.as_raw_fd(),
                offset,
            )
        };
        if result == libc::MAP_FAILED {
            refill(region.as_ptr().wrapping_add(start).cast(), len);
            return 0;
        }
        len
    }
}

/// Makes memory again of the `len` bytes of guest memory at `start`, from which a mapping that failed may have taken what was there: whatever
/// the host maps into such a hole later, the guest could write to it.
fn refill(start: *mut libc::c_void, len: usize) {
    let protection = libc::PROT_READ | libc::PROT_WRITE;
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_FIXED | libc::MAP_NORESERVE;
    // SAFETY: 1. as for the mapping that failed: the target is guest memory's own.
    let result = unsafe { libc::mmap(start, len, protection, flags, -1, 0) };
    if result == libc::MAP_FAILED {
        std::process::abort();
    }
}

/// Where in the program's file the `len` bytes at `address` come from, if they are read-only and whole in it.
fn file_offset(address: usize, len: usize) -> Option<u64> {
    struct Search {
        address: usize,
        len: usize,
        found: Option<u64>,
    }
    extern "C" fn look(info: *mut libc::dl_phdr_info, _size: usize, data: *mut libc::c_void) -> libc::c_int {
        // SAFETY: 1. `data` is the search below, which nobody else uses meanwhile.
        let search = unsafe { &mut *data.cast::<Search>() };
        // SAFETY: 1. the C library passes valid information, and as many headers as it says.
        let (base, headers) = unsafe {
            let info = &*info;
            (info.dlpi_addr, std::slice::from_raw_parts(info.dlpi_phdr, usize::from(info.dlpi_phnum)))
        };
        for header in headers {
            let is_constant = header.p_type == libc::PT_LOAD && header.p_flags & libc::PF_W == 0;
            let start = usize::try_from(base.wrapping_add(header.p_vaddr)).ok();
            let inside = start.and_then(|start| search.address.checked_sub(start));
            let room = usize::try_from(header.p_filesz).unwrap_or(0);
            if let Some(inside) = inside.filter(|_| is_constant)
                && inside.checked_add(search.len).is_some_and(|end| end <= room)
            {
                search.found = u64::try_from(inside).ok().map(|inside| header.p_offset + inside);
            }
        }
        // The program itself comes first; its libraries are of no interest.
        1
    }
    let mut search = Search { address, len, found: None };
    // SAFETY: 1. `look` has the right signature and does not unwind; 2. `search` outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(look), (&raw mut search).cast()) };
    search.found
}

#[cfg(test)]
mod tests {
    use super::*;
    use vm_memory::Bytes as _;

    #[repr(align(4096))]
    struct Page([u8; 2 * PAGE_SIZE + 100]);
    static EMBEDDED: Page = Page([0x5a; 2 * PAGE_SIZE + 100]);

    #[test]
    fn embedded_pages_become_guest_memory_that_can_be_written() {
        let ram = crate::allocate(crate::MINIMUM, crate::Pages::Ordinary).unwrap();
        let own = OwnFile::open().unwrap();
        assert_eq!(own.place(&ram, 0x10_0000, &EMBEDDED.0), 2 * PAGE_SIZE);
        let mut bytes = [0; 8];
        ram.read_slice(&mut bytes, GuestAddress(0x10_0ffc)).unwrap();
        assert_eq!(bytes, [0x5a; 8]);
        ram.read_slice(&mut bytes, GuestAddress(0x10_2000)).unwrap();
        assert_eq!(bytes, [0; 8], "only whole pages");
        ram.write_slice(&[1; 8], GuestAddress(0x10_0000)).unwrap();
        assert_eq!(EMBEDDED.0[0], 0x5a, "the guest's write is its own");
        assert_eq!(own.place(&ram, 0x10_0001, &EMBEDDED.0), 0);
        assert_eq!(own.place(&ram, crate::MINIMUM - 4096, &EMBEDDED.0), 0, "beyond RAM");
        static HEAP: std::sync::OnceLock<Vec<u8>> = std::sync::OnceLock::new();
        let heap = HEAP.get_or_init(|| vec![0; 3 * PAGE_SIZE]);
        let skip = heap.as_ptr().align_offset(PAGE_SIZE);
        assert_eq!(own.place(&ram, 0x10_0000, &heap[skip..]), 0, "not in the file");
    }
}
