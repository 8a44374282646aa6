//! What the worker itself costs: its memory, without the partition's.
//!
//! `/proc/self/smaps` is opened before the worker leaves the host's file system and read at the end. The proportional
//! set size counts a page shared by N processes as 1/N of a page, so the numbers of many workers add up.

use std::fs::File;
use std::io::Read as _;
use std::ops::Range;

/// The opened statistics; `None` if the host does not have them.
pub(crate) struct Usage {
    maps: Option<File>,
}

impl Usage {
    /// Opens the statistics of the calling process.
    pub(crate) fn open() -> Self {
        Self { maps: File::open("/proc/self/smaps").ok() }
    }

    /// Bytes of the worker without the mappings at these addresses; 0 if unknown.
    pub(crate) fn pss_without_bytes(self, guest_mappings: &[Range<u64>]) -> u64 {
        let mut text = String::new();
        match self.maps.map(|mut maps| maps.read_to_string(&mut text)) {
            Some(Ok(_)) => sum_pss_kib(&text, guest_mappings) * 1024,
            _ => 0,
        }
    }
}

/// Sums `Pss:` over the mappings that begin in none of the ranges.
fn sum_pss_kib(smaps: &str, without: &[Range<u64>]) -> u64 {
    let mut total = 0;
    let mut is_counted = true;
    for line in smaps.lines() {
        let mut words = line.split_ascii_whitespace();
        match words.next() {
            Some("Pss:") if is_counted => total += number(words.next()),
            // `start-end permissions offset device inode [path]`
            Some(word) if !word.ends_with(':') => {
                let start = word.split_once('-').and_then(|(start, _)| u64::from_str_radix(start, 16).ok());
                is_counted = start.is_some_and(|start| without.iter().all(|range| !range.contains(&start)));
            }
            _ => {}
        }
    }
    total
}

fn number(word: Option<&str>) -> u64 {
    word.and_then(|word| word.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    const SMAPS: &str = "\
55d0-55d1 r-xp 00000000 fe:00 123 /usr/bin/septum
Size:               4096 kB
Pss:                1000 kB
Pss_Dirty:             4 kB
7f00-7f01 rw-p 00000000 00:00 0
Size:             524288 kB
Pss:              262144 kB
7f01-7f02 rw-p 00100000 fe:00 123 /usr/bin/septum
Size:                  4 kB
Pss:                   4 kB
7fff-8000 rw-p 00000000 00:00 0 [stack]
Size:                132 kB
Pss:                  12 kB
";

    #[test]
    fn the_partition_is_not_counted() {
        assert_eq!(sum_pss_kib(SMAPS, std::slice::from_ref(&(0x7f00..0x7f02))), 1012);
        assert_eq!(sum_pss_kib(SMAPS, &[0x7f00..0x7f01, 0x7f01..0x7f02]), 1012);
        assert_eq!(sum_pss_kib(SMAPS, &[]), 263_160);
        assert_eq!(sum_pss_kib("", &[]), 0);
    }
}
