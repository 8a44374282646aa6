//! System calls that became jumps: where the program's code was written over.
//!
//! Only in single-privilege mode, where `syscall` is dear ([`trampoline`]). A system call that has been made [`OFTEN`] times from one place
//! in a private mapping of a file that is code (the C library's, mostly) gets a trampoline, and a copy of its page with a jump to it takes the
//! page's place: the file and its other mappings stay as they are. Whoever reads the code sees the jump; whoever asks for the right to write it,
//! or moves it, gets the original back first.
//!
//! The page is away while it is exchanged, so that no other CPU fetches a part of the old code and a part of the new.

use super::area::{Area, Backing, Protection};
use super::space::{AddressSpace, PAGE};
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::UserAddr;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::paging::{Flush, Rights};
use septum_guest_hal::trampoline::{Site, Trampoline};

/// Calls from one place before it becomes a jump: what that costs is soon saved, and most places of a short program never come to it.
const OFTEN: u64 = 16;

/// Places that are counted; two that meet in one start over.
static COUNTS: [AtomicU64; 512] = [const { AtomicU64::new(0) }; 512];

/// Counts a call that `syscall` made. Whether it is time to [replace](AddressSpace::replace_call) it, which is said once.
pub fn is_often(pid: u32, back: u64) -> bool {
    const COUNT: u64 = 0xff;
    let mixed = (back ^ u64::from(pid) << 32).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let slot = &COUNTS[(mixed >> 55) as usize];
    // Two that count at once lose one, which matters to nobody.
    let before = slot.load(Ordering::Relaxed);
    let count = if before & !COUNT == mixed & !COUNT { (before & COUNT) + 1 } else { 1 };
    slot.store(mixed & !COUNT | count.min(OFTEN + 1), Ordering::Relaxed);
    count == OFTEN
}

/// What there is around an invalid instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Around {
    /// A jump in the place of a site, of which this was the second instruction.
    Jump(Site),
    /// The site itself: the jump was there a moment ago.
    Original,
}

/// One that is, or was, written over.
#[derive(Clone)]
struct CallSite {
    trampoline: Arc<Trampoline>,
    original: [u8; 8],
}

impl CallSite {
    fn len(&self) -> usize {
        self.trampoline.site().len()
    }
}

/// Those of an address space, by the address of their first byte.
#[derive(Clone, Default)]
pub struct CallSites {
    by_start: BTreeMap<u64, CallSite>,
    /// There are to be none.
    is_off: bool,
}

impl CallSites {
    fn starts_within(&self, start: u64, end: u64) -> Vec<u64> {
        self.by_start.range(start..end).map(|(start, _)| *start).collect()
    }
}

impl AddressSpace {
    /// Makes a jump of the system call, with that number, that returns to `back`, if it looks like one of those that can be.
    pub fn replace_call(&mut self, back: u64, number: u64) {
        let call = back.wrapping_sub(Site::CALL);
        if self.call_sites.is_off || !self.area_at(call).is_some_and(is_code) {
            return;
        }
        let offset = (call % PAGE) as usize;
        let Some(frame) = self.page_of(call) else { return };
        if offset < Site::BEFORE || offset + 8 > PAGE_SIZE {
            return;
        }
        let (mut before, mut from) = ([0; Site::BEFORE], [0; 8]);
        frame.read(offset - Site::BEFORE, &mut before);
        frame.read(offset, &mut from);
        drop(frame);
        let Some(site) = Site::find(before, from, number) else { return };
        let start = call - site.before_call();
        let before = self.call_sites.by_start.get(&start).filter(|before| before.trampoline.site() == site);
        let made = before.map(|before| Arc::clone(&before.trampoline));
        let Some(trampoline) = made.or_else(|| Trampoline::new(site, back).map(Arc::new)) else { return };
        let mut original = [0; 8];
        let jump = trampoline.jump();
        if self.rewrite(start, &jump[..site.len()], &mut original[..site.len()]).is_ok() {
            self.call_sites.by_start.insert(start, CallSite { trampoline, original });
        }
    }

    /// What makes an instruction at `rip` invalid that the program did not write, or did.
    #[must_use]
    pub fn around(&self, rip: u64) -> Option<Around> {
        let (start, site) = self.call_sites.by_start.range(..rip).next_back()?;
        let kind = site.trampoline.site();
        let second = start + if kind.before_call() > 0 { kind.before_call() } else { Site::CALL };
        if rip != second {
            return None;
        }
        // Contents that the program has given up come back from the file as they were.
        let Some(bytes) = self.bytes_at(*start, site.len()) else { return Some(Around::Original) };
        if bytes[..site.len()] == site.trampoline.jump()[..site.len()] {
            return Some(Around::Jump(kind));
        }
        (bytes[..site.len()] == site.original[..site.len()]).then_some(Around::Original)
    }

    /// Puts back what was there, of all sites that begin within the range or reach into it. ENOMEM if that takes a copy of a page, which
    /// only one takes that another process has too (after `fork`), and there is no memory for it: then some may be left.
    pub fn restore_calls(&mut self, start: u64, end: u64) -> Result<(), Errno> {
        for at in self.call_sites.starts_within(start.saturating_sub(7), end) {
            // It stays known: a thread may have come upon the jump a moment ago.
            let Some(site) = self.call_sites.by_start.get(&at).cloned() else { continue };
            if self.has_jump(at, &site) {
                self.rewrite(at, &site.original[..site.len()], &mut [0; 8][..site.len()])?;
            }
        }
        Ok(())
    }

    /// Puts everything back, if one of them begins at `rip`: whether one does, or did a moment ago. ENOMEM as in [`restore_calls`](Self::restore_calls).
    pub fn keep_calls_if_at(&mut self, rip: u64) -> Result<bool, Errno> {
        let is_there = self.call_sites.by_start.get(&rip).is_some_and(|site| {
            let original = &site.original[..site.len()];
            self.has_jump(rip, site)
                || self.bytes_at(rip, site.len()).is_none_or(|bytes| bytes[..site.len()] == *original)
        });
        if is_there {
            self.keep_calls()?;
        }
        Ok(is_there)
    }

    /// Puts everything back, and makes no more of them. ENOMEM as in [`restore_calls`](Self::restore_calls).
    pub fn keep_calls(&mut self) -> Result<(), Errno> {
        self.call_sites.is_off = true;
        self.restore_calls(0, u64::MAX)
    }

    /// Writes a part of a page that its process may only read, for a tracer: a private mapping's page that is there. EFAULT if it is another.
    pub fn poke(&mut self, address: u64, bytes: &[u8]) -> Result<(), Errno> {
        let page = address & !(PAGE - 1);
        let is_private = |area: &Area| match &area.backing {
            Backing::File { is_shared, .. } => !is_shared,
            Backing::Anonymous => true,
            _ => false,
        };
        if !self.area_at(address).is_some_and(is_private) {
            return Err(Errno::EFAULT);
        }
        self.restore_calls(page, page + PAGE)?;
        self.rewrite(address, bytes, &mut alloc::vec![0; bytes.len()])
    }

    /// The range is unmapped.
    pub(super) fn forget_calls(&mut self, start: u64, end: u64) {
        for at in self.call_sites.starts_within(start, end) {
            self.call_sites.by_start.remove(&at);
        }
    }

    fn page_of(&self, address: u64) -> Option<Frame> {
        self.table.query(UserAddr::new(address)?).map(|(frame, _)| frame)
    }

    fn bytes_at(&self, start: u64, len: usize) -> Option<[u8; 8]> {
        let mut bytes = [0; 8];
        self.page_of(start)?.read((start % PAGE) as usize, &mut bytes[..len]);
        Some(bytes)
    }

    fn has_jump(&self, start: u64, site: &CallSite) -> bool {
        let jump = site.trampoline.jump();
        self.bytes_at(start, site.len()).is_some_and(|bytes| bytes[..site.len()] == jump[..site.len()])
    }

    /// Has the page come back with these bytes at `start`, and tells what they replace. A page that others have too, a file's for one, is
    /// exchanged for a copy; ENOMEM if there is no memory for that.
    fn rewrite(&mut self, start: u64, bytes: &[u8], before: &mut [u8]) -> Result<(), Errno> {
        let user = UserAddr::new(start).ok_or(Errno::EFAULT)?;
        let (frame, rights) = self.table.query(user).ok_or(Errno::EFAULT)?;
        let (offset, page) = ((start % PAGE) as usize, user.page().get());
        let mut flush = Flush::new();
        let split = self.table.split_edges(page, page + PAGE, &mut flush);
        if split.is_ok() {
            self.table.unmap(page, page + PAGE, &mut flush);
        }
        flush.now();
        split.map_err(|_| Errno::ENOMEM)?;
        let is_own = frame.is_unique() && !frame.is_in_window();
        let copy = if is_own { None } else { Frame::uninit().filter(|copy| copy.try_copy_from(&frame)) };
        let is_changed = is_own || copy.is_some();
        let frame = copy.unwrap_or(frame);
        if is_changed {
            frame.read(offset, before);
            frame.write(offset, bytes);
        }
        let mut flush = Flush::new();
        // Its table is there still.
        let mapped = self.table.map(user, frame, Rights { write: false, ..rights }, &mut flush);
        flush.now();
        if is_changed && mapped.is_ok() { Ok(()) } else { Err(Errno::ENOMEM) }
    }
}

/// Whether it is code of a file that nobody can write.
fn is_code(area: &Area) -> bool {
    matches!(&area.backing, Backing::File { is_shared: false, .. })
        && area.protection.contains(Protection::EXECUTE)
        && !area.protection.contains(Protection::WRITE)
}
