//! Making a page present when the program, or the kernel on its behalf, touches it.
//!
//! ```text
//! resolve:   lock ─► find the area, map what is at hand ──────────────────────────► done
//!                        │ the file's page is not in memory
//!                   unlock ─► the file reads it ─► lock ─► same file and page still? ─► map it
//!                                                              no: from the start
//! ```
//!
//! A file may have to ask the host, which takes as long as it takes. So its page is got without the lock, and taken only if
//! the area found afterwards still asks for that page of that file: whatever another thread did meanwhile counts.

use super::area::{Area, Backing, Protection};
use super::reclaim;
use super::space::{AddressSpace, PAGE};
use crate::fs::inode::File;
use alloc::sync::Arc;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::{UserAddr, to_usize};
use septum_guest_hal::device_memory::DeviceMemory;
use septum_guest_hal::frame::large::{LARGE_PAGE, LargeFrame};
use septum_guest_hal::frame::{self, Frame, ZeroedFrames};
use septum_guest_hal::paging::{Flush, Rights};
use septum_guest_hal::sync::{Mutex, MutexGuard};

/// Pages of anonymous memory that one access makes present, if they are untouched: the usual number, then those for memory
/// that is touched in order.
const ANONYMOUS_AROUND: [u64; 3] = [16, 64, 512];
/// Pages of a file, already in the page cache, that one access maps.
const FILE_AROUND: u64 = 64;
/// Pages of 2 MiB of a file that one access maps.
const LARGE_AROUND: u64 = 16;
/// Pages that one store makes writable if nobody else holds them.
const OWN_AROUND: u64 = 64;
/// Pages of a file's private mapping that one store copies where a fault is dear.
const COPY_AROUND: u64 = 16;
/// Pages of anonymous memory that one store after a fork copies there: fewer, for the other side may never need its own.
const COPY_AROUND_FORKED: u64 = 4;

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
pub(super) fn faults_are_dear() -> bool {
    septum_guest_hal::paging::is_single_privilege()
}

/// A page that its file has to bring into memory before it can be mapped.
pub struct Wanted {
    file: Arc<dyn File>,
    index: u64,
    /// It is mapped, and was not there nevertheless: the file may have become shorter.
    is_suspect: bool,
}

/// A page that its file has brought.
pub struct Provided {
    wanted: Wanted,
    frame: Frame,
}

impl Wanted {
    /// Has the file bring it. Without the lock of any address space.
    fn bring(self) -> Result<Provided, Fault> {
        if self.is_suspect && self.file.pages_now().is_some_and(|pages| self.index >= pages) {
            return Err(Fault::BeyondFile);
        }
        match self.file.page(self.index) {
            Ok(Some(frame)) => Ok(Provided { wanted: self, frame }),
            Err(Errno::ENOMEM) => Err(Fault::OutOfMemory),
            Ok(None) | Err(_) => Err(Fault::BeyondFile),
        }
    }
}

impl Provided {
    /// The frame, if it is what the area that is there now asks for.
    fn take(self, file: &Arc<dyn File>, index: u64) -> Option<Frame> {
        (Arc::ptr_eq(&self.wanted.file, file) && self.wanted.index == index).then_some(self.frame)
    }
}

/// A copy for a private mapping. A page of a file that became shorter cannot be copied.
fn copy_of(frame: &Frame) -> Result<Frame, Fault> {
    let copy = Frame::uninit().ok_or(Fault::OutOfMemory)?;
    if copy.try_copy_from(frame) { Ok(copy) } else { Err(Fault::BeyondFile) }
}

/// Makes the page at `address` present with the right to do `access`.
pub fn resolve(space: &Mutex<AddressSpace>, address: u64, access: Access) -> Result<(), Fault> {
    resolve_locked(space, address, access).map(drop)
}

/// As [`resolve`]; the lock that is returned has been held since.
pub fn resolve_locked(
    space: &Mutex<AddressSpace>,
    address: u64,
    access: Access,
) -> Result<MutexGuard<'_, AddressSpace>, Fault> {
    let mut provided = None;
    loop {
        let mut locked = space.lock();
        match locked.fault(address, access, provided.take()) {
            Ok(None) => return Ok(locked),
            Ok(Some(wanted)) => {
                drop(locked);
                provided = Some(wanted.bring()?);
            }
            Err(Fault::OutOfMemory) => {
                drop(locked);
                if !reclaim::reclaim() {
                    return Err(Fault::OutOfMemory);
                }
            }
            Err(fault) => return Err(fault),
        }
    }
}

impl AddressSpace {
    /// Makes the page at `address` present with the right to do `access`, or says what has to be brought first, without the
    /// lock, and given to another try.
    fn fault(
        &mut self,
        address: u64,
        access: Access,
        provided: Option<Provided>,
    ) -> Result<Option<Wanted>, Fault> {
        let user = UserAddr::new(address).ok_or(Fault::NotMapped)?;
        let area = match self.area_at(address) {
            Some(area) => area.clone(),
            None => {
                self.grow_stack(address)?;
                self.area_at(address).ok_or(Fault::NotMapped)?.clone()
            }
        };
        // On x86, what can be written or executed can be read.
        let is_allowed = match access {
            Access::Read => !area.protection.is_empty(),
            _ => area.protection.contains(access.needs()),
        };
        if !is_allowed {
            return Err(Fault::NotAllowed);
        }
        if let Some((frame, rights)) = self.table.query(user) {
            let is_enough = rights.read && (access != Access::Write || rights.write);
            if is_enough
                && frame.is_in_window()
                && let Backing::File { file, .. } = &area.backing
            {
                let index = area.page_index(user.page().get());
                let is_looked_at = provided.and_then(|provided| provided.take(file, index)).is_some();
                let wanted = Wanted { file: Arc::clone(file), index, is_suspect: true };
                return Ok(if is_looked_at { None } else { Some(wanted) });
            }
            return self.upgrade(&area, user, frame, rights, access).map(|()| None);
        }
        match &area.backing {
            Backing::Anonymous => self.fault_anonymous(&area, user).map(|()| None),
            Backing::File { file, is_shared, .. } => {
                self.fault_file(&area, (file, *is_shared), user, access, provided)
            }
            Backing::Shared { memory, .. } => {
                let frame = memory.page(area.page_index(user.page().get())).ok_or(Fault::OutOfMemory)?;
                self.set(user, frame, area.protection.rights()).map(|()| None)
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
        if area.end - start > self.stack_limit || !self.is_free(start, key) {
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
        let is_alone = frame.is_held_by(2);
        if area.is_shared() || is_alone {
            drop(frame);
            if is_alone && self.own_around(area, user) {
                return Ok(());
            }
            return self.give_rights(user, wanted);
        }
        let copy = copy_of(&frame)?;
        let mut flush = Flush::new();
        self.table.map(user, copy, wanted, &mut flush).map_err(|_| Fault::OutOfMemory)?;
        self.copy_around(area, user, &mut flush);
        flush.now();
        Ok(())
    }

    /// Gives the right to write to what is there.
    fn give_rights(&mut self, user: UserAddr, rights: Rights) -> Result<(), Fault> {
        let mut flush = Flush::new();
        let (start, end) = (user.page().get(), user.page().get() + PAGE);
        self.table.split_edges(start, end, &mut flush).map_err(|_| Fault::OutOfMemory)?;
        self.table.protect(start, end, &mut flush, |_| rights);
        flush.now();
        Ok(())
    }

    /// After a fork whose other side is gone: gives the right to write to `user` and to its neighbours that nobody else holds
    /// either, all in one. False if there is more to do for `user`.
    fn own_around(&mut self, area: &Area, user: UserAddr) -> bool {
        let wanted = area.protection.rights();
        if self.table.query(user).is_none_or(|(_, rights)| Rights { write: true, ..rights } != wanted) {
            return false;
        }
        if self.table.own_large(user) {
            return true;
        }
        let around = OWN_AROUND * PAGE;
        let start = (user.get() & !(around - 1)).max(area.start);
        let end = ((user.get() | (around - 1)) + 1).min(area.end);
        if let Some(start) = UserAddr::new(start) {
            self.table.own(start, end, wanted);
        }
        self.table.query(user).is_some_and(|(_, rights)| rights == wanted)
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
    fn copy_around(&mut self, area: &Area, user: UserAddr, flush: &mut Flush) {
        let around = match area.backing {
            Backing::File { is_shared: false, .. } => COPY_AROUND,
            Backing::Anonymous => COPY_AROUND_FORKED,
            _ => return,
        };
        if !faults_are_dear() {
            return;
        }
        let rights = area.protection.rights();
        let start = (user.get() & !(around * PAGE - 1)).max(area.start);
        let end = ((user.get() | (around * PAGE - 1)) + 1).min(area.end);
        for address in (start..end).step_by(PAGE_SIZE).filter_map(UserAddr::new) {
            let Some((frame, present)) = self.table.query(address) else { continue };
            if present.write || !present.read || frame.is_held_by(2) {
                continue;
            }
            let Ok(copy) = copy_of(&frame) else { return };
            if self.table.map(address, copy, rights, flush).is_err() {
                return;
            }
        }
    }

    /// Maps memory of a device: the 2 MiB around `user`, as far as area and memory go, as one page if that is possible.
    fn fault_device(&mut self, area: &Area, memory: DeviceMemory, user: UserAddr) -> Result<(), Fault> {
        let block = user.get() & !(LARGE_PAGE - 1);
        let (start, end) = (block.max(area.start), (block + LARGE_PAGE).min(area.end));
        let part = memory.part(area.page_index(start), (end - start) / PAGE).ok_or(Fault::BeyondFile)?;
        if user.page().get() - start >= part.len() {
            return Err(Fault::BeyondFile);
        }
        let first = UserAddr::new(start).ok_or(Fault::NotMapped)?;
        self.table.map_device(first, part, area.protection.rights()).map_err(|_| Fault::OutOfMemory)
    }

    /// Maps 2 MiB of a file at once, and more of them that follow, where the file has them in such pieces.
    fn fault_large_of_file(&mut self, area: &Area, file: &Arc<dyn File>, user: UserAddr) -> bool {
        let rights = area.protection.rights();
        let rights = Rights { write: rights.write && area.is_shared(), ..rights };
        let first = user.get() & !(LARGE_PAGE - 1);
        for step in 0..LARGE_AROUND {
            let start = first + step * LARGE_PAGE;
            let is_within = start >= area.start && start + LARGE_PAGE <= area.end;
            let piece = || {
                let address = UserAddr::new(start).filter(|_| self.table.has_room_for_large(start))?;
                Some((address, file.large_page(area.page_index(start))?))
            };
            let Some((address, frame)) = (if is_within { piece() } else { None }) else { return step > 0 };
            if self.table.map_large(address, frame, rights).is_err() {
                return step > 0;
            }
        }
        true
    }

    fn fault_file(
        &mut self,
        area: &Area,
        (file, is_shared): (&Arc<dyn File>, bool),
        user: UserAddr,
        access: Access,
        provided: Option<Provided>,
    ) -> Result<Option<Wanted>, Fault> {
        let start = user.page();
        let index = area.page_index(start.get());
        if let Some(memory) = file.device_memory() {
            return self.fault_device(area, memory, user).map(|()| None);
        }
        if (is_shared || access != Access::Write) && self.fault_large_of_file(area, file, user) {
            return Ok(None);
        }
        let provided = provided.and_then(|provided| provided.take(file, index));
        let Some(frame) = provided.or_else(|| file.cached_page(index)) else {
            return Ok(Some(Wanted { file: Arc::clone(file), index, is_suspect: false }));
        };
        let rights = area.protection.rights();
        if is_shared {
            return self.set(user, frame, rights).map(|()| None);
        }
        if access == Access::Write {
            return self.set(user, copy_of(&frame)?, rights).map(|()| None);
        }
        // Pages around it that are in the page cache anyway come along, as far as the area and the window go.
        let window = FILE_AROUND * PAGE;
        let first = (start.get() & !(window - 1)).max(area.start);
        let count = (((start.get() | (window - 1)) + 1).min(area.end) - first) / PAGE;
        let own = (start.get() - first) / PAGE;
        let first_index = area.page_index(first);
        let first = UserAddr::new(first).ok_or(Fault::NotMapped)?;
        let rights = Rights { write: false, ..rights };
        let mut filling = self.table.filling(first, rights).map_err(|_| Fault::OutOfMemory)?;
        filling.put(own, core::slice::from_ref(&frame));
        file.cached_pages(first_index, count, &mut |step, frames| filling.put(step, frames));
        Ok(None)
    }
}
