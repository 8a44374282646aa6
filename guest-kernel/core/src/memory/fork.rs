//! `fork`: another address space with the same areas and, for now, the same frames.
//!
//! Both map every frame that was present, and neither may write to those that are private: the first store to one copies it ([`fault`](super::fault)).
//! So what a fork costs depends on the page tables, not on the memory. Frames of shared mappings stay shared, whoever touches them first.

use super::space::AddressSpace;
use alloc::collections::BTreeMap;
use septum_abi::linux::Errno;
use septum_guest_hal::paging::{Flush, PageTable};

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
        };
        let mut flush = Flush::new();
        let mut result = Ok(());
        for (start, area) in &self.areas {
            copy.areas.insert(*start, area.clone());
            let is_copied = !area.is_shared();
            result = copy.table.share(&mut self.table, area.start, area.end, is_copied, &mut flush);
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
