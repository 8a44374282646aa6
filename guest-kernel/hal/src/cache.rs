//! The CPU's caches, as CPUID tells them (Intel SDM vol. 2A, leaf 4; AMD APM vol. 3, leaf 8000_001D, which is of the same form).

use alloc::vec::Vec;
use core::arch::x86_64::{__cpuid, __cpuid_count};

/// What a cache holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheKind {
    /// Data.
    Data,
    /// Instructions.
    Instruction,
    /// Both.
    #[default]
    Unified,
}

/// A cache.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cache {
    /// 1 is nearest to the CPU.
    pub level: u32,
    /// What it holds.
    pub kind: CacheKind,
    /// Bytes of a line.
    pub line_bytes: u32,
    /// Lines with one tag.
    pub partitions: u32,
    /// Ways of associativity.
    pub ways: u32,
    /// Sets.
    pub sets: u32,
}

impl Cache {
    /// Its size.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        [self.line_bytes, self.partitions, self.ways, self.sets].into_iter().map(u64::from).product()
    }

    /// From the registers of a subleaf; `None` behind the last cache.
    fn of(eax: u32, ebx: u32, ecx: u32) -> Option<Self> {
        let kind = match eax & 31 {
            1 => CacheKind::Data,
            2 => CacheKind::Instruction,
            3 => CacheKind::Unified,
            _ => return None,
        };
        Some(Self {
            level: eax >> 5 & 7,
            kind,
            line_bytes: (ebx & 0xfff) + 1,
            partitions: (ebx >> 12 & 0x3ff) + 1,
            ways: (ebx >> 22) + 1,
            sets: ecx.saturating_add(1),
        })
    }
}

/// This CPU's. Nothing if it does not tell.
#[must_use]
pub fn caches() -> Vec<Cache> {
    /// More than any CPU has.
    const MOST: u32 = 8;
    const AMD: u32 = 0x8000_001d;
    const TOPOLOGY_EXTENSIONS: u32 = 1 << 22;
    let leaf = if __cpuid(0x8000_0000).eax >= AMD && __cpuid(0x8000_0001).ecx & TOPOLOGY_EXTENSIONS != 0 {
        AMD
    } else if __cpuid(0).eax >= 4 {
        4
    } else {
        return Vec::new();
    };
    (0..MOST)
        .map_while(|index| {
            let registers = __cpuid_count(leaf, index);
            Cache::of(registers.eax, registers.ebx, registers.ecx)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_subleaf_is_a_cache_until_the_last() {
        // 32 KiB, 8 ways, 64 sets of 64 bytes.
        let cache = Cache::of(0x121, 0x01c0_003f, 0x3f).unwrap();
        assert_eq!((cache.level, cache.kind, cache.bytes()), (1, CacheKind::Data, 32 << 10));
        assert_eq!((cache.ways, cache.sets, cache.line_bytes), (8, 64, 64));
        assert_eq!(Cache::of(0, 0, 0), None);
    }
}
