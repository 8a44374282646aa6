//! The handshake on the control queues (virtio 1.2 section 5.3.6.2).
//!
//! ```text
//! driver                      device
//! DEVICE_READY(1) ──────────►
//!                 ◄────────── DEVICE_ADD, once for each port
//! PORT_READY(port, 1) ──────►
//!                 ◄────────── CONSOLE_PORT (port 0), PORT_NAME + name, PORT_OPEN(port, 1)
//! PORT_OPEN(port, 0 or 1) ──►                                  of interest to nobody here
//! ```
//!
//! Answers wait until the driver has posted buffers, up to a limit.

use std::collections::VecDeque;

use septum_abi::control::port;

use super::super::chain::copy_out;
use super::super::ring::Ring;
use crate::core::index;

/// Events of the control queues.
pub(crate) mod event {
    /// Driver: ready for ports, or not.
    pub const DEVICE_READY: u16 = 0;
    /// Device: there is a port.
    pub const DEVICE_ADD: u16 = 1;
    /// Driver: ready for a port, or not.
    pub const PORT_READY: u16 = 3;
    /// Device: the port is for a console.
    pub const CONSOLE_PORT: u16 = 4;
    /// Either: the port was opened or closed on this side.
    pub const PORT_OPEN: u16 = 6;
    /// Device: the port's name follows.
    pub const PORT_NAME: u16 = 7;
}

/// Bytes of a message without its name: port (4), event (2), value (2).
pub(crate) const MESSAGE_SIZE: usize = 8;

/// Messages that may wait for buffers: three times the handshake.
const LIMIT: usize = 64;

/// Names of the ports.
const NAMES: [&str; 5] = ["septum.log", "septum.stdin", "septum.stdout", "septum.stderr", "septum.control"];

/// The device's side of the handshake.
pub(super) struct Control {
    waiting: VecDeque<Vec<u8>>,
    is_input_open: bool,
}

impl Control {
    pub(super) fn new(is_input_open: bool) -> Self {
        Self { waiting: VecDeque::new(), is_input_open }
    }

    /// Answers a message of the driver.
    pub(super) fn handle(&mut self, message: [u8; MESSAGE_SIZE]) -> Result<(), &'static str> {
        let [p0, p1, p2, p3, e0, e1, v0, v1] = message;
        let number = u32::from_le_bytes([p0, p1, p2, p3]);
        let value = u16::from_le_bytes([v0, v1]);
        match u16::from_le_bytes([e0, e1]) {
            event::DEVICE_READY if value == 1 => (0..port::COUNT)
                .try_for_each(|number| self.post(number, event::DEVICE_ADD, 1, ""))
                .ok_or("too many console control messages wait for buffers"),
            event::PORT_READY if value == 1 => {
                let name = NAMES.get(index(number)).ok_or("console port does not exist")?;
                self.introduce(number, name).ok_or("too many console control messages wait for buffers")
            }
            // A driver that is not ready, and what it opens and closes, changes nothing here.
            event::DEVICE_READY | event::PORT_READY | event::PORT_OPEN => Ok(()),
            _ => Err("unknown console control message"),
        }
    }

    /// Tells the driver that the input port was closed or opened by the host, if that is news.
    pub(super) fn set_input_open(&mut self, is_open: bool) {
        if self.is_input_open != is_open {
            self.is_input_open = is_open;
            // Without room there is no driver that listens.
            let _ = self.post(port::STDIN, event::PORT_OPEN, u16::from(is_open), "");
        }
    }

    /// Delivers what the driver has buffers for.
    pub(super) fn flush(&mut self, ring: &mut Ring) {
        while let Some(message) = self.waiting.front() {
            let Some(chain) = ring.pop() else {
                if ring.arm() {
                    continue;
                }
                break;
            };
            let head = chain.head_index();
            match copy_out(&chain, message) {
                Ok(written) => {
                    ring.push(head, written);
                    self.waiting.pop_front();
                }
                Err(error) => ring.reject(head, error.describe()),
            }
        }
        ring.notify();
    }

    /// Forgets what waits.
    pub(super) fn forget(&mut self) {
        self.waiting.clear();
    }

    fn introduce(&mut self, number: u32, name: &str) -> Option<()> {
        if number == port::LOG {
            self.post(number, event::CONSOLE_PORT, 1, "")?;
        }
        self.post(number, event::PORT_NAME, 1, name)?;
        let is_open = number != port::STDIN || self.is_input_open;
        self.post(number, event::PORT_OPEN, u16::from(is_open), "")
    }

    fn post(&mut self, number: u32, event: u16, value: u16, name: &str) -> Option<()> {
        let mut message = Vec::with_capacity(MESSAGE_SIZE + name.len());
        message.extend(number.to_le_bytes());
        message.extend(event.to_le_bytes());
        message.extend(value.to_le_bytes());
        message.extend(name.as_bytes());
        (self.waiting.len() < LIMIT).then(|| self.waiting.push_back(message))
    }
}
