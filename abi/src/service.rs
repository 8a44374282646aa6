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

/// Pages of data that a call may name.
pub const PAGES: usize = 4;
/// The session of the first program, if it has a terminal; others count up.
pub const FIRST_SESSION: u32 = 0;

/// Streams of a session.
pub mod stream {
    /// What its program reads, or what is typed at its terminal.
    pub const INPUT: u32 = 0;
    /// What it writes, or what its terminal shows.
    pub const OUTPUT: u32 = 1;
    /// What it writes as errors; a terminal has none.
    pub const ERROR: u32 = 2;
    /// What is to be run (see [`program`](super::program)), until its end.
    pub const PROGRAM: u32 = 3;
}

/// What is to be run: words of 32 bits, little endian, then strings, each ended by a NUL.
///
/// ```text
/// +0  flags   +4  rows   +8  columns   +12 arguments   +16 variables
/// +20 working directory and USER[:GROUP] ("": as the first program's), arguments, variables of the environment besides those of the first program
/// ```
pub mod program {
    /// Bytes before the strings.
    pub const HEADER: usize = 20;
    /// It has a terminal.
    pub const TERMINAL: u32 = 1;
    /// There is an input.
    pub const INPUT: u32 = 2;
    /// Most bytes.
    pub const MOST: usize = 512 << 10;
}

/// What the kernel wants of the worker; `Call::operation`.
pub mod operation {
    /// What is to be done next? Waits until there is something; the answer is an [`event`](super::event).
    pub const NEXT: u32 = 1;
    /// Read from a stream of a session into the pages; `value` is then how much, 0 at the end, or minus a Linux error number. Never waits:
    /// after EAGAIN, READY says that it is worth another try.
    pub const READ: u32 = 2;
    /// The same for writing `len` bytes from `offset` of the pages on.
    pub const WRITE: u32 = 3;
    /// A stream is not needed any more.
    pub const CLOSE: u32 = 4;
    /// A session's program has ended; `value` is its exit code, 256 and a signal's number, or minus a Linux error number if it could not be
    /// started.
    pub const ENDED: u32 = 5;
}

/// What the worker wants; `Call::event`.
pub mod event {
    /// Nothing. The partition is about to end, or the call was not understood.
    pub const NONE: u32 = 0;
    /// Send signal `Call::detail` to the program of session `Call::session`; [`FIRST_SESSION`](super::FIRST_SESSION) is the first program,
    /// terminal or not.
    pub const SIGNAL: u32 = 1;
    /// Start the program of session `Call::session`.
    pub const BEGIN: u32 = 2;
    /// `Call::stream` of the session can be used again.
    pub const READY: u32 = 3;
    /// The session's terminal has as many rows (upper half of `Call::detail`) and columns (lower half).
    pub const RESIZE: u32 = 4;
    /// Nobody is there any more at the session's other end.
    pub const HANG_UP: u32 = 5;
}

/// A call, at the start of a page.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Call {
    /// One of [`operation`].
    pub operation: u32,
    /// Answer to NEXT: one of [`event`].
    pub event: u32,
    /// The session concerned.
    pub session: u32,
    /// One of [`stream`].
    pub stream: u32,
    /// What the event is about.
    pub detail: u32,
    /// See the operations.
    pub value: i32,
    /// Of WRITE: where in the pages.
    pub offset: u32,
    /// How many bytes; of READ: at most.
    pub len: u32,
    /// Numbers of the pages with the data, as far as they are needed.
    pub pages: [u32; PAGES],
}
