//! The host's pool of huge pages: how much of it a partition can have.
//!
//! ```text
//! total ──── of which free ──── of which reserved (promised to mappings that have not touched them)
//! overcommit: as many more the kernel makes when asked, if memory is not fragmented
//! ```
//!
//! The pool is looked at before the machine is built, so that what is missing can be told with numbers; the mapping itself decides.

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::size::Size;
use septum_machine::HUGE_PAGE;
use std::fs;

const FOLDER: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

/// The pool, in pages of 2 MiB.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pool {
    /// Set aside by the administrator.
    pub total: u64,
    /// Of those, not in use and not promised to anybody.
    pub available: u64,
    /// What the kernel may add by itself.
    pub more: u64,
}

impl Pool {
    /// The host's; `None` if its kernel has no such pool.
    #[must_use]
    pub fn read() -> Option<Self> {
        let number =
            |name: &str| fs::read_to_string(format!("{FOLDER}/{name}")).ok()?.trim().parse::<u64>().ok();
        let surplus = number("surplus_hugepages").unwrap_or(0);
        Some(Self {
            total: number("nr_hugepages")?.saturating_sub(surplus),
            available: number("free_hugepages")?.saturating_sub(number("resv_hugepages").unwrap_or(0)),
            more: number("nr_overcommit_hugepages").unwrap_or(0).saturating_sub(surplus),
        })
    }

    /// How to have `needed` pages available.
    fn hint(self, needed: u64) -> String {
        let total = self.total + needed.saturating_sub(self.available);
        format!("sudo sysctl vm.nr_hugepages={total}, or leave --hugepages out")
    }
}

/// Pages that `bytes` of memory take.
fn pages(bytes: u64) -> u64 {
    bytes.div_ceil(HUGE_PAGE)
}

fn refused(bytes: u64, why: String) -> Failure {
    Failure::new(Code::Memory, format!("cannot take {} of memory from huge pages", Size(bytes)), why)
}

/// Whether the pool has `bytes`.
pub(crate) fn check(pool: Option<Pool>, bytes: u64) -> Result<(), Failure> {
    let Some(pool) = pool else {
        let why = "this host's kernel has no pool of 2 MiB pages".to_owned();
        return Err(refused(bytes, why).hint("leave --hugepages out"));
    };
    let needed = pages(bytes);
    if pool.available + pool.more >= needed {
        return Ok(());
    }
    Err(too_few(pool, bytes))
}

/// The mapping was refused all the same: the pool was looked at too early, or it is another limit. `why` is the host's word.
pub(crate) fn refused_late(bytes: u64, why: String) -> Failure {
    let needed = pages(bytes);
    refused(bytes, format!("{why}; {needed} pages of 2 MiB are needed"))
        .hint("'septum doctor' tells how many are free; or leave --hugepages out")
}

fn too_few(pool: Pool, bytes: u64) -> Failure {
    let needed = pages(bytes);
    let why = format!(
        "{needed} pages of 2 MiB are needed, and of the host's {} only {} are free",
        pool.total,
        pool.available + pool.more
    );
    refused(bytes, why).hint(pool.hint(needed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_told_in_pages() {
        let pool = Pool { total: 100, available: 30, more: 10 };
        assert!(check(Some(pool), 40 << 21).is_ok());
        let failure = check(Some(pool), (40 << 21) + 1).unwrap_err();
        assert_eq!(failure.why, "41 pages of 2 MiB are needed, and of the host's 100 only 40 are free");
        assert_eq!(failure.hint, "sudo sysctl vm.nr_hugepages=111, or leave --hugepages out");
        assert!(check(None, 1).unwrap_err().why.contains("no pool"));
    }
}
