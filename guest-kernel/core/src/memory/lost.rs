//! Pages of files that became shorter while they were mapped.
//!
//! Where a file's pages are the host's own ([`frame::window`](septum_guest_hal::frame::window)), and it is cut, the host has
//! nothing to put there any more. Whoever touches such a page gets a page fault at [`LOST_PAGE`](septum_abi::layout::LOST_PAGE),
//! which does not say where that was: so the files are looked at, and what lies beyond their ends is unmapped. The same access
//! then is an ordinary fault, which finds out by itself that there is no such page (SIGBUS).

use super::area::Backing;
use super::space::{AddressSpace, PAGE};
use crate::fs::inode::File;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_guest_hal::paging::Flush;
use septum_guest_hal::sync::Mutex;

/// Unmaps what mapped files do not have any more.
pub fn unmap(space: &Mutex<AddressSpace>) {
    let mut files: Vec<Arc<dyn File>> = Vec::new();
    for area in space.lock().areas() {
        if let Backing::File { file, .. } = &area.backing
            && !files.iter().any(|known| Arc::ptr_eq(known, file))
        {
            files.push(Arc::clone(file));
        }
    }
    for file in files {
        if let Some(pages) = file.pages_now() {
            space.lock().unmap_beyond(&file, pages);
        }
    }
}

impl AddressSpace {
    /// Unmaps the pages of `file` from number `end` on.
    fn unmap_beyond(&mut self, file: &Arc<dyn File>, end: u64) {
        let mut flush = Flush::new();
        for area in self.areas.values() {
            let Backing::File { file: mapped, offset, .. } = &area.backing else { continue };
            if !Arc::ptr_eq(mapped, file) {
                continue;
            }
            let kept = end.saturating_mul(PAGE).saturating_sub(*offset);
            let start = area.start.saturating_add(kept).min(area.end);
            // Without memory for a table, a large page stays as it is, and the access is tried again.
            if start < area.end && self.table.split_edges(start, area.end, &mut flush).is_ok() {
                self.table.unmap(start, area.end, &mut flush);
            }
        }
        flush.now();
    }
}
