//! What this host could give to partitions, if nobody says how much.

use crate::admission::Capacity;

/// Of the RAM, so much is left for the host itself, its page cache, and what each partition's process needs besides its RAM.
const RESERVED: u64 = 16;
/// Processors of partitions on each of the host's: most wait for something, and the host's scheduler shares what there is.
const CPUS_EACH: u64 = 128;
/// Partitions that live at once: each is two processes and some forty descriptors.
const PARTITIONS: u64 = 4096;
/// If the host does not tell how much RAM it has.
const ASSUMED_BYTES: u64 = 1 << 30;

impl Capacity {
    /// Looks at the host.
    #[must_use]
    pub fn found() -> Self {
        let text = std::fs::read_to_string("/proc/meminfo").unwrap_or_default();
        let all = total(&text).unwrap_or(ASSUMED_BYTES);
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
        Self {
            memory_bytes: all - all / RESERVED,
            cpus: u64::try_from(processors).unwrap_or(u64::MAX).saturating_mul(CPUS_EACH),
            partitions: PARTITIONS,
        }
    }
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()?.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_says_how_much_it_has() {
        assert_eq!(total("MemTotal:       24564612 kB\nMemFree: 1 kB\n"), Some(24_564_612 << 10));
        assert_eq!(total("MemFree: 1 kB"), None);
        let found = Capacity::found();
        assert!(found.memory_bytes > 0 && found.cpus >= CPUS_EACH);
    }
}
