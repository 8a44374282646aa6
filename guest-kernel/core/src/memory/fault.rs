//! Making a page present when the program, or the kernel on its behalf, touches it.

use super::area::{Area, Backing, Protection};
use super::space::{AddressSpace, PAGE};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::{UserAddr, to_usize};
use septum_guest_hal::frame::large::{LARGE_PAGE, LargeFrame};
use septum_guest_hal::frame::{self, Frame, ZeroedFrames};
use septum_guest_hal::paging::{Flush, Rights};

/// Pages of anonymous memory that one access makes present, if they are untouched: the usual number, then those for memory
/// that is touched in order.
const ANONYMOUS_AROUND: [u64; 3] = [16, 64, 512];
/// Pages of a file, already in the page cache, that one access maps.
const FILE_AROUND: usize = 64;
/// Pages of a file's private mapping that one store copies where a fault is dear.
const COPY_AROUND: u64 = 16;

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

/// Whether entering the kernel costs more than copying some pages: where ring 0 is emulated, and the kernel is not in it.
fn faults_are_dear() -> bool {
    septum_guest_hal::paging::is_single_privilege()
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

    /// Makes a page present ahead of its use. ENOMEM if nothing is mapped there, EFAULT if it cannot be.
    pub fn make_present(&mut self, address: u64, access: Access) -> Result<(), Errno> {
        if UserAddr::new(address).is_some_and(|at| self.table.is_mapped(at)) && access != Access::Write {
            return Ok(());
        }
        self.fault(address, access).map_err(|fault| match fault {
            Fault::NotMapped | Fault::OutOfMemory => Errno::ENOMEM,
            Fault::NotAllowed | Fault::BeyondFile => Errno::EFAULT,
        })
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
        self.set(user, copy, wanted)?;
        self.copy_around(area, user);
        Ok(())
    }

    fn fault_anonymous(&mut self, area: &Area, user: UserAddr) -> Result<(), Fault> {
        let rights = area.protection.rights();
        if self.fault_large(area, user) {
            return Ok(());
        }
        let (first, count) = self.anonymous_window(area, user);
        let mut frames = ZeroedFrames::new(count);
        // The page that was touched comes first: memory may end on the way.
        let own = frames.next().ok_or(Fault::OutOfMemory)?;
        let mut own = Some(own);
        self.table.fill(user.page(), 1, rights, |_| own.take()).map_err(|_| Fault::OutOfMemory)?;
        if count > 1 {
            // The others are a present; without a table for them there is none.
            let _ = self.table.fill(first, count, rights, |_| frames.next());
        }
        Ok(())
    }

    /// Maps 2 MiB at once, if the program may have them and nothing of them is there.
    fn fault_large(&mut self, area: &Area, user: UserAddr) -> bool {
        let start = user.get() & !(LARGE_PAGE - 1);
        if !area.may_be_large() || start < area.start || start + LARGE_PAGE > area.end {
            return false;
        }
        if !self.table.has_room_for_large(start) {
            return false;
        }
        let Some((address, frame)) = UserAddr::new(start).zip(LargeFrame::zeroed()) else { return false };
        self.table.map_large(address, frame, area.protection.rights()).is_ok()
    }

    /// Pages around `user` that come along: more the longer the program has gone through memory in order, none
    /// if memory is short.
    fn anonymous_window(&self, area: &Area, user: UserAddr) -> (UserAddr, usize) {
        let at = user.page().get();
        let around = |pages: u64| {
            let start = at & !(pages * PAGE - 1);
            (start, start + pages * PAGE)
        };
        let usage = frame::usage();
        if usage.total - usage.used < usage.total / 16 {
            return (user.page(), 1);
        }
        let mut pages = ANONYMOUS_AROUND[0];
        for wider in &ANONYMOUS_AROUND[1..] {
            let start = around(pages).0;
            let is_present =
                |address: u64| UserAddr::new(address).is_some_and(|address| self.table.is_mapped(address));
            if start < area.start + pages * PAGE
                || !is_present(start - PAGE)
                || !is_present(start - pages * PAGE)
            {
                break;
            }
            pages = *wider;
        }
        let (start, end) = around(pages);
        let (start, end) = (start.max(area.start), end.min(area.end));
        UserAddr::new(start).map_or((user.page(), 1), |first| (first, to_usize((end - start) / PAGE)))
    }

    /// Copies pages around `user` that the program has mapped but not written, if that costs less than the faults it saves.
    fn copy_around(&mut self, area: &Area, user: UserAddr) {
        if !faults_are_dear() || !matches!(area.backing, Backing::File { is_shared: false, .. }) {
            return;
        }
        let rights = area.protection.rights();
        let start = (user.get() & !(COPY_AROUND * PAGE - 1)).max(area.start);
        let end = ((user.get() | (COPY_AROUND * PAGE - 1)) + 1).min(area.end);
        for address in (start..end).step_by(PAGE_SIZE).filter_map(UserAddr::new) {
            let Some((frame, present)) = self.table.query(address) else { continue };
            if present.write || !present.read || frame.is_held_by(2) {
                continue;
            }
            let Some(copy) = Frame::uninit() else { return };
            copy.copy_from(&frame);
            if self.set(address, copy, rights).is_err() {
                return;
            }
        }
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
        let mut frames: [Option<Frame>; FILE_AROUND] = [const { None }; FILE_AROUND];
        file.cached_pages(first_index, &mut frames[..count]);
        frames[own] = Some(frame);
        let first = UserAddr::new(first).ok_or(Fault::NotMapped)?;
        self.table
            .fill(first, count, Rights { write: false, ..rights }, |step| frames[step].take())
            .map_err(|_| Fault::OutOfMemory)?;
        Ok(())
    }
}
