//! Time: the time-stamp counter, turned into nanoseconds as the clock page says.

#[cfg(target_os = "none")]
mod imp {
    use crate::cpu::timestamp;
    use septum_abi::clock::ClockPage;
    use septum_abi::layout::{CLOCK_PAGE, DIRECT_MAP};

    fn page() -> ClockPage {
        // SAFETY: 1. the host wrote the page before the first instruction; 2. any bit pattern is valid.
        unsafe { ((DIRECT_MAP + CLOCK_PAGE) as *const ClockPage).read_volatile() }
    }

    /// CLOCK_MONOTONIC, ns.
    #[must_use]
    pub fn monotonic_ns() -> u64 {
        let page = page();
        page.monotonic_ns + page.elapsed_ns(timestamp())
    }

    /// CLOCK_REALTIME, ns since 1970.
    #[must_use]
    pub fn realtime_ns() -> u64 {
        let page = page();
        page.realtime_ns + page.elapsed_ns(timestamp())
    }

    /// Wakes this CPU (its next halt ends) `ns` from now, or earlier if that is farther ahead than its timer can count: tells
    /// in how many ns. One deadline a CPU; a new one replaces it.
    pub fn set_deadline_in(ns: u64) -> u64 {
        crate::trap::timer::arm(ns)
    }
}

#[cfg(not(target_os = "none"))]
mod imp {
    //! Tests: the host's own clocks.
    use std::time::{Instant, SystemTime, UNIX_EPOCH};

    fn ns(duration: core::time::Duration) -> u64 {
        u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
    }

    /// CLOCK_MONOTONIC, ns.
    #[must_use]
    pub fn monotonic_ns() -> u64 {
        static START: std::sync::OnceLock<Instant> = std::sync::OnceLock::new();
        ns(START.get_or_init(Instant::now).elapsed())
    }

    /// CLOCK_REALTIME, ns since 1970.
    #[must_use]
    pub fn realtime_ns() -> u64 {
        SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ns)
    }

    /// Nothing halts here.
    pub fn set_deadline_in(ns: u64) -> u64 {
        ns
    }
}

pub use imp::{monotonic_ns, realtime_ns, set_deadline_in};
