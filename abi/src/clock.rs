//! The clock page: how the guest turns its time-stamp counter into time.
//!
//! It is mapped read-only into every program right below the vDSO, which reads it without a system call. The
//! writer (today the host, once, before the first instruction) makes `sequence` odd while it writes.

/// The clock page, at [`crate::layout::CLOCK_PAGE`].
///
/// `ns = base_ns + ((tsc - base_tsc) * multiplier >> shift)`, computed in 128 bits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct ClockPage {
    /// Even: consistent. Odd: being written.
    pub sequence: u32,
    /// See the formula.
    pub shift: u32,
    /// See the formula; nanoseconds a tick, scaled by `2^shift`.
    pub multiplier: u64,
    /// Value of the counter at the moment of the bases.
    pub base_tsc: u64,
    /// CLOCK_MONOTONIC (also BOOTTIME) at `base_tsc`, ns.
    pub monotonic_ns: u64,
    /// CLOCK_REALTIME at `base_tsc`, ns since 1970.
    pub realtime_ns: u64,
}

/// Shift that keeps full precision for counters from 100 MHz to 10 GHz.
pub const CLOCK_SHIFT: u32 = 32;

impl ClockPage {
    /// The multiplier for a counter of `khz`.
    #[must_use]
    pub fn multiplier_for(khz: u64) -> u64 {
        let khz = u128::from(khz.max(1));
        let scaled = (1_000_000u128 << CLOCK_SHIFT) / khz;
        u64::try_from(scaled).unwrap_or(u64::MAX)
    }

    /// Nanoseconds since the bases, at counter value `tsc`.
    #[must_use]
    pub fn elapsed_ns(&self, tsc: u64) -> u64 {
        let ticks = u128::from(tsc.saturating_sub(self.base_tsc));
        u64::try_from((ticks * u128::from(self.multiplier)) >> (self.shift & 63)).unwrap_or(u64::MAX)
    }
}
