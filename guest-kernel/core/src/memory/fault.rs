//! Making a page present when the program, or the kernel on its behalf, touches it.

use super::area::{Area, Backing, Protection};
use super::space::{AddressSpace, PAGE};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::{UserAddr, to_usize};
use septum_guest_hal::frame::Frame;
use septum_guest_hal::paging::{Flush, Rights};

/// Pages of anonymous memory that one store makes present, if they are untouched.
const ANONYMOUS_AROUND: usize = 8;
/// Pages of a file, already in the page cache, that one access maps.
const FILE_AROUND: usize = 16;

/// What was tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// A load.
    Read,
    /// A store.
    Write,
    /// An instruction fetch.
    Execute,
}

impl Access {
    fn needs(self) -> Protection {
        match self {
            Self::Read => Protection::READ,
            Self::Write => Protection::WRITE,
            Self::Execute => Protection::EXECUTE,
        }
    }
}

/// Why a page cannot be made present.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Nothing is mapped there: SIGSEGV, SEGV_MAPERR.
    NotMapped,
    /// It is not allowed: SIGSEGV, SEGV_ACCERR.
    NotAllowed,
    /// The file has no such page: SIGBUS, BUS_ADRERR.
    BeyondFile,
    /// Memory ran out.
    OutOfMemory,
}

impl AddressSpace {
    /// Makes the page at `address` present with the right to do `access`.
    pub fn fault(&mut self, address: u64, access: Access) -> Result<(), Fault> {
        let user = UserAddr::new(address).ok_or(Fault::NotMapped)?;
        if self.area_at(address).is_none() {
            self.grow_stack(address)?;
        }
        let area = self.area_at(address).ok_or(Fault::NotMapped)?;
        // On x86, what can be written or executed can be read.
        let is_allowed = match access {
            Access::Read => !area.protection.is_empty(),
            _ => area.protection.contains(access.needs()),
        };
        if !is_allowed {
            return Err(Fault::NotAllowed);
        }
        let area = area.clone();
        if let Some((frame, rights)) = self.table.query(user) {
            return self.upgrade(&area, user, frame, rights, access);
        }
        match &area.backing {
            Backing::Anonymous => self.fault_anonymous(&area, user),
            Backing::File { .. } => self.fault_file(&area, user, access),
            Backing::Shared { memory, .. } => {
                let frame = memory.page(area.page_index(user.page().get())).ok_or(Fault::OutOfMemory)?;
                self.set(user, frame, area.protection.rights())
            }
            Backing::Kernel => Err(Fault::NotAllowed),
        }
    }

    fn set(&mut self, user: UserAddr, frame: Frame, rights: Rights) -> Result<(), Fault> {
        let mut flush = Flush::new();
        self.table.map(user, frame, rights, &mut flush).map_err(|_| Fault::OutOfMemory)?;
        flush.now();
        Ok(())
    }

    fn grow_stack(&mut self, address: u64) -> Result<(), Fault> {
        let (&key, area) = self.areas.range(address..).next().ok_or(Fault::NotMapped)?;
        if address < area.grows_to || area.grows_to == area.start {
            return Err(Fault::NotMapped);
        }
        let start = address & !(PAGE - 1);
        if !self.is_free(start, key) {
            return Err(Fault::NotMapped);
        }
        let Some(mut area) = self.areas.remove(&key) else { return Err(Fault::NotMapped) };
        self.size += area.start - start;
        area.start = start;
        self.areas.insert(start, area);
        Ok(())
    }

    /// The page is there, but not with all rights: a copy is due, or nothing (the CPU remembered an older state).
    fn upgrade(
        &mut self,
        area: &Area,
        user: UserAddr,
        frame: Frame,
        rights: Rights,
        access: Access,
    ) -> Result<(), Fault> {
        let wanted = area.protection.rights();
        if access != Access::Write || rights.write {
            return if rights == wanted {
                Ok(())
            } else {
                self.set(user, frame, Rights { write: rights.write, ..wanted })
            };
        }
        // Held by the page table and by `frame` here; anyone else must not see the store.
        if area.is_shared() || frame.is_held_by(2) {
            return self.set(user, frame, wanted);
        }
        let copy = Frame::uninit().ok_or(Fault::OutOfMemory)?;
        copy.copy_from(&frame);
        self.set(user, copy, wanted)
    }

    fn fault_anonymous(&mut self, area: &Area, user: UserAddr) -> Result<(), Fault> {
        let left = to_usize((area.end - user.page().get()) / PAGE);
        let rights = area.protection.rights();
        let mapped = self
            .table
            .fill(user.page(), ANONYMOUS_AROUND.min(left), rights, |_| Frame::zeroed())
            .map_err(|_| Fault::OutOfMemory)?;
        if mapped == 0 { Err(Fault::OutOfMemory) } else { Ok(()) }
    }

    fn fault_file(&mut self, area: &Area, user: UserAddr, access: Access) -> Result<(), Fault> {
        let Backing::File { file, is_shared, .. } = &area.backing else { return Err(Fault::NotMapped) };
        let start = user.page();
        let index = area.page_index(start.get());
        let frame = match file.page(index) {
            Ok(Some(frame)) => frame,
            Ok(None) => return Err(Fault::BeyondFile),
            Err(Errno::ENOMEM) => return Err(Fault::OutOfMemory),
            Err(_) => return Err(Fault::BeyondFile),
        };
        let rights = area.protection.rights();
        if *is_shared {
            return self.set(user, frame, rights);
        }
        if access == Access::Write {
            let copy = Frame::uninit().ok_or(Fault::OutOfMemory)?;
            copy.copy_from(&frame);
            return self.set(user, copy, rights);
        }
        // Pages around it that are in the page cache anyway come along, as far as the area and the window go.
        let window = FILE_AROUND as u64 * PAGE;
        let first = (start.get() & !(window - 1)).max(area.start);
        let count = to_usize(((start.get() | (window - 1)) + 1).min(area.end) - first) / PAGE_SIZE;
        let own = to_usize(start.get() - first) / PAGE_SIZE;
        let first_index = area.page_index(first);
        let mut frames: [Option<Frame>; FILE_AROUND] = Default::default();
        file.cached_pages(first_index, &mut frames[..count]);
        frames[own] = Some(frame);
        let first = UserAddr::new(first).ok_or(Fault::NotMapped)?;
        self.table
            .fill(first, count, Rights { write: false, ..rights }, |step| frames[step].take())
            .map_err(|_| Fault::OutOfMemory)?;
        Ok(())
    }
}
