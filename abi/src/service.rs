//! The service vCPU: how the host asks a running kernel for something.
//!
//! ```text
//! worker   service_wanted := 1, interrupt VECTOR to the first vCPU
//! kernel   first vCPU, in the kernel: StartService               (once; the area is at layout::SERVICE_AREA)
//! worker   starts the vCPU, with the next number, at the kernel's secondary entry
//! kernel   service vCPU: Call { operation: NEXT } ──► the worker's answer: what it wants next
//! ```
//!
//! A call is a page of the guest's, of which the kernel writes the number (a 32-bit word with [`CALL`] set) to the command port.
//! The worker reads it, and the answer is in it when the vCPU goes on. NEXT waits, in the worker: while nobody wants anything the vCPU
//! is not in the guest, and nothing has to wake it there. The call after tells the worker that the one before was dealt with.

/// Set in what is written to the command port, the rest of which is the number of the page with the [`Call`].
pub const CALL: u32 = 1 << 31;
/// Interrupt vector that makes the first vCPU look whether a service vCPU is wanted: the one by which vCPUs wake each other.
pub const VECTOR: u32 = 33;

/// What the kernel wants of the worker; `Call::operation`.
pub mod operation {
    /// What is to be done next? Waits until there is something; the answer is an [`event`](super::event).
    pub const NEXT: u32 = 1;
}

/// What the worker wants; `Call::event`.
pub mod event {
    /// Nothing. The partition is about to end, or the call was not understood.
    pub const NONE: u32 = 0;
    /// Send signal `Call::number` to the first program.
    pub const SIGNAL: u32 = 1;
}

/// A call, at the start of a page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// One of [`operation`].
    pub operation: u32,
    /// Answer to NEXT: one of [`event`].
    pub event: u32,
    /// What the event is about.
    pub number: u32,
    /// Zero.
    pub reserved: u32,
}
