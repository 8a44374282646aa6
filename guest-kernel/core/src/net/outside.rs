//! The way out of the partition: streams that a device carries to a proxy on the host.
//!
//! ```text
//! Socket ── Connection ── Ends ── incoming: Channel ◄── StreamEnd ◄──┐
//!                           └──── outgoing: Wire ──────────────────► Carrier (the device's driver) ──► proxy
//! Socket ── Mailbox ─────────────────────────────◄── DatagramEnd ◄──┘
//! ```
//!
//! Here is what both sides agree on. The [`Carrier`] moves packets and keeps count of what may be sent; it calls an [`End`] for what has
//! come, never with a lock that a [`Wire`]'s methods take. Who looks for what has come is whoever waits for a socket or asks about one
//! ([`look`]): the kernel has no thread of its own.
//!
//! Without a carrier there is no way out, and [`route`](super::route) says so.

use crate::io::Source;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::Errno;
use septum_abi::net::Answer;
use septum_guest_hal::sync::Once;

/// Bytes that a connection keeps for its program, besides which the proxy sends no more.
pub const RECEIVED: u32 = 1 << 20;

/// What a connection is opened with.
pub struct Opening<'a> {
    /// The port of the host.
    pub port: u32,
    /// Whether it carries messages instead of bytes.
    pub carries_messages: bool,
    /// What goes with the request.
    pub contents: &'a [u8],
    /// Bytes that are kept for the program.
    pub room: u32,
}

/// One connection, as the driver has it.
pub trait Wire: Send + Sync {
    /// Sends bytes, as many as the other side and the device have room for. EAGAIN if none, EPIPE if it is over.
    fn send(&self, from: &mut dyn Source) -> Result<usize, Errno>;

    /// Sends a message, `header` first. EAGAIN if there is no room for it.
    fn send_message(&self, header: &[u8], from: &mut dyn Source) -> Result<usize, Errno>;

    /// Whether something can be sent. If not, the end is told when it can.
    fn has_room(&self) -> bool;

    /// Bytes that were sent and that the other side has not passed on.
    fn unsent(&self) -> usize;

    /// The program has taken so many bytes.
    fn taken(&self, len: usize);

    /// Nothing more will be sent.
    fn finish(&self);

    /// It is over: after what was sent is passed on, or, if it is to be reset, at once.
    fn close(&self, is_reset: bool);
}

/// Who has a connection. Called by whoever looks.
pub trait End: Send + Sync {
    /// The host has agreed, or not.
    fn answered(&self, answer: Result<Answer, Errno>);

    /// Something came. All of it is to be taken.
    fn arrived(&self, from: &mut dyn Source);

    /// There is room to send again.
    fn has_room(&self);

    /// The other side will send no more.
    fn finished(&self);

    /// The other side is gone.
    fn reset(&self);
}

/// The driver of the device.
pub trait Carrier: Send + Sync {
    /// Begins a connection. ENETUNREACH if the device cannot be used.
    fn open(&self, opening: &Opening<'_>, end: Arc<dyn End>) -> Result<Arc<dyn Wire>, Errno>;

    /// Brings the device up, so that others can connect.
    fn listen(&self);

    /// Takes in what has come.
    fn look(&self);

    /// Somebody begins or stops to wait: the device interrupts meanwhile. False if it is not up, and will not.
    fn set_waiting(&self, waits: bool) -> bool;

    /// Whether something has just come, so that looking for more may pay.
    fn is_busy(&self) -> bool;
}

static CARRIER: Once<&'static dyn Carrier> = Once::new();
/// Whether there is one, so that those without pay one load.
static IS_BOUND: AtomicBool = AtomicBool::new(false);

/// Sets the carrier; the first call counts.
pub fn bind(carrier: &'static dyn Carrier) {
    CARRIER.call_once(|| carrier);
    IS_BOUND.store(true, Ordering::Release);
}

/// The carrier, if there is a way out.
#[must_use]
pub fn carrier() -> Option<&'static dyn Carrier> {
    if !IS_BOUND.load(Ordering::Acquire) {
        return None;
    }
    CARRIER.get().copied()
}

/// Takes in what has come from outside.
pub fn look() {
    if let Some(carrier) = carrier() {
        carrier.look();
    }
}
