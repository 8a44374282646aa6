//! `fork`: another address space with the same areas and, for now, the same frames.
//!
//! Both map every frame that was present, and neither may write to those that are private: the first store to one copies it ([`fault`](super::fault)).
//! So what a fork costs depends on the page tables, not on the memory. Frames of shared mappings stay shared, whoever touches them first.
//!
//! Where a fault costs more than copying some pages, mappings of which only a few pages were written are copied at once: the variables of
//! a program and its libraries, the part of the stack that is in use, a small heap. Both sides would write to them next.

use super::area::Advice;
use super::fault::faults_are_dear;
use super::space::AddressSpace;
use alloc::collections::BTreeMap;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::paging::{Flush, PageTable};

/// Pages of one mapping that are copied at once.
const FEW: usize = 24;
/// Pages of all mappings together.
const AT_ONCE: usize = 256;

impl AddressSpace {
    /// A copy of it. ENOMEM leaves nothing behind but pages that are asked for once more.
    pub fn fork(&mut self) -> Result<Self, Errno> {
        let mut copy = Self {
            table: PageTable::new().map_err(|_| Errno::ENOMEM)?,
            areas: BTreeMap::new(),
            layout: self.layout,
            floor: self.floor,
            break_start: self.break_start,
            break_end: self.break_end,
            size: self.size,
            stack_limit: self.stack_limit,
            future: Advice::empty(),
            // A child has none of what its parent has under way.
            transfers: Vec::new(),
            call_sites: self.call_sites.clone(),
        };
        let mut flush = Flush::new();
        let mut result = Ok(());
        let mut at_once = if faults_are_dear() { AT_ONCE } else { 0 };
        for (start, area) in &self.areas {
            if area.advice.contains(Advice::NOT_FOR_CHILDREN) {
                copy.size -= area.end - area.start;
                continue;
            }
            let mut child = area.clone();
            child.advice.remove(Advice::LOCKED);
            copy.areas.insert(*start, child);
            if area.advice.contains(Advice::EMPTY_FOR_CHILDREN) {
                continue;
            }
            let is_copied = !area.is_shared();
            let (start, end) = (area.start, area.end);
            let few =
                if is_copied && at_once > 0 { self.table.count_writable(start, end, FEW + 1) } else { 0 };
            result = if (1..=FEW.min(at_once)).contains(&few) {
                at_once -= few;
                copy.table.copy(&mut self.table, start, end)
            } else {
                copy.table.share(&mut self.table, start, end, is_copied, &mut flush)
            };
            if result.is_err() {
                break;
            }
        }
        // Even if it failed: what was taken away is taken away.
        flush.now();
        result.map_err(|_| Errno::ENOMEM)?;
        Ok(copy)
    }
}
