//! What the kernel tells of a region: a BAR or the configuration space.
//!
//! ```text
//! vfio_region_info: argsz, flags, index, cap_offset (32 bits each), size, offset (64)
//! capability at cap_offset: id, version (16 each), offset of the next (32), body
//! ```

use std::ops::Range;

use vfio_bindings::bindings::vfio::{
    VFIO_REGION_INFO_CAP_SPARSE_MMAP, VFIO_REGION_INFO_FLAG_CAPS, VFIO_REGION_INFO_FLAG_MMAP,
};

/// A region of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Region {
    /// Its size.
    pub bytes: u64,
    /// Where it is in the function's file.
    pub(crate) offset: u64,
    /// What of it can be mapped: whole pages, in order.
    pub mappable: Vec<Range<u64>>,
}

/// More capabilities than a region has, so the list has a loop.
const MOST: usize = 32;
const PAGE: u64 = 4096;

impl Region {
    /// From the words that the kernel gave.
    pub(crate) fn parse(words: &[u32]) -> Option<Self> {
        let long = |at: usize| Some(u64::from(*words.get(at)?) | u64::from(*words.get(at + 1)?) << 32);
        let (flags, first) = (*words.get(1)?, *words.get(3)?);
        let (bytes, offset) = (long(4)?, long(6)?);
        let mut region = Self { bytes, offset, mappable: Vec::new() };
        if flags & VFIO_REGION_INFO_FLAG_MMAP == 0 {
            return Some(region);
        }
        let mut next = if flags & VFIO_REGION_INFO_FLAG_CAPS != 0 { first } else { 0 };
        for _ in 0..MOST {
            let at = usize::try_from(next / 4).ok()?;
            let Some(&header) = words.get(at).filter(|_| at >= 8) else { break };
            if header & 0xffff == VFIO_REGION_INFO_CAP_SPARSE_MMAP {
                let count = usize::try_from(*words.get(at + 2)?).ok()?;
                let areas = (0..count)
                    .map_while(|index| Some((long(at + 4 + 4 * index)?, long(at + 6 + 4 * index)?)));
                region.mappable = areas.filter_map(|(start, len)| region.whole_pages(start, len)).collect();
                return Some(region);
            }
            next = words.get(at + 1).copied()?;
        }
        region.mappable = region.whole_pages(0, bytes).into_iter().collect();
        Some(region)
    }

    fn whole_pages(&self, start: u64, len: u64) -> Option<Range<u64>> {
        let end = start.checked_add(len)?.min(self.bytes) & !(PAGE - 1);
        (start.is_multiple_of(PAGE) && start < end).then_some(start..end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CAN_BE_MAPPED: u32 = 0b111;

    #[test]
    fn a_region_is_mapped_whole_in_pieces_or_not_at_all() {
        let plain = [32, CAN_BE_MAPPED, 0, 0, 0x10_0000, 0, 0, 0x100];
        let region = Region::parse(&plain).unwrap();
        assert_eq!((region.bytes, region.offset), (0x10_0000, 0x100_0000_0000));
        assert_eq!(region.mappable.as_slice(), std::slice::from_ref(&(0..0x10_0000)));
        assert_eq!(Region::parse(&[32, 0b011, 0, 0, 0x1000, 0, 0, 0]).unwrap().mappable, []);
        // Two pieces around a page; before them, a capability of another kind.
        let mut sparse = plain.to_vec();
        sparse[1] |= VFIO_REGION_INFO_FLAG_CAPS;
        sparse[3] = 32;
        sparse.extend([0x1_0003, 40]);
        sparse.extend([0x1_0001, 0, 2, 0, 0, 0, 0x2000, 0, 0x3000, 0, 0xf_d800, 0]);
        assert_eq!(Region::parse(&sparse).unwrap().mappable, [0..0x2000, 0x3000..0x10_0000]);
    }

    #[test]
    fn what_makes_no_sense_is_not_mapped() {
        assert_eq!(Region::parse(&[32, 7, 0, 0]), None);
        // Smaller than a page; a list that leads to itself; one that leads out.
        assert_eq!(Region::parse(&[32, CAN_BE_MAPPED, 0, 0, 256, 0, 0, 0]).unwrap().mappable, []);
        let page = std::slice::from_ref(&(0..0x1000));
        let around = [40, 15, 0, 32, 0x1000, 0, 0, 0, 0x1_0009, 32];
        assert_eq!(Region::parse(&around).unwrap().mappable, page);
        let out = [40, 15, 0, 4000, 0x1000, 0, 0, 0, 0, 0];
        assert_eq!(Region::parse(&out).unwrap().mappable, page);
    }
}
