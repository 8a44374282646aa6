//! One connection, as both the socket and the device's queues know it.

use super::Device;
use super::credit::Credit;
use super::packets::Buffer;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_abi::vsock::{END_OF_MESSAGE, GUEST_CID, HOST_CID, Header, kind, operation, shutdown};
use septum_guest_core::io::Source;
use septum_guest_core::net::outside::{End, Wire};
use septum_guest_hal::sync::{Mutex, Once};

/// How far it is.
mod phase {
    /// Asked for, not answered.
    pub const ASKED: u32 = 0;
    /// Both sides may send.
    pub const OPEN: u32 = 1;
    /// Nothing more is sent.
    pub const OVER: u32 = 2;
}

struct State {
    credit: Credit,
    /// Somebody found no room.
    wants_room: bool,
}

/// A connection.
pub struct Line {
    device: &'static Device,
    /// The port here, and there.
    pub ports: (u32, u32),
    /// Bytes or messages, as packets say it.
    pub kind: u16,
    phase: AtomicU32,
    state: Mutex<State>,
    end: Once<Arc<dyn End>>,
}

impl Line {
    pub fn new(device: &'static Device, ports: (u32, u32), kind: u16, room: u32, is_open: bool) -> Self {
        Self {
            device,
            ports,
            kind,
            phase: AtomicU32::new(if is_open { phase::OPEN } else { phase::ASKED }),
            state: Mutex::new(State { credit: Credit::new(room), wants_room: false }),
            end: Once::new(),
        }
    }

    /// Sets whom it belongs to.
    pub fn set_end(&self, end: Arc<dyn End>) {
        self.end.call_once(|| end);
    }

    pub fn end(&self) -> Option<&Arc<dyn End>> {
        self.end.get()
    }

    /// A header of this connection's next packet.
    pub fn header(&self, operation: u16, flags: u32) -> Header {
        let (buffer_size, forwarded) = self.state.lock().credit.tell();
        Header {
            source_cid: GUEST_CID,
            destination_cid: HOST_CID,
            source_port: self.ports.0,
            destination_port: self.ports.1,
            len: 0,
            kind: self.kind,
            operation,
            flags,
            buffer_size,
            forwarded,
        }
    }

    /// The host has agreed. False if it had before.
    pub fn opened(&self) -> bool {
        let (from, to) = (phase::ASKED, phase::OPEN);
        self.phase.compare_exchange(from, to, Ordering::SeqCst, Ordering::SeqCst).is_ok()
    }

    /// It is over. True if it was open.
    pub fn over(&self) -> bool {
        self.phase.swap(phase::OVER, Ordering::SeqCst) != phase::ASKED
    }

    fn is_open(&self) -> bool {
        self.phase.load(Ordering::SeqCst) == phase::OPEN
    }

    /// A packet tells what the host keeps and has passed on.
    pub fn credit_came(&self, header: &Header) {
        self.state.lock().credit.learn(header.buffer_size, header.forwarded);
        self.tell_of_room();
    }

    /// Tells the end if it wanted room and there is some.
    pub fn tell_of_room(&self) {
        let mut state = self.state.lock();
        let is_told = state.wants_room && state.credit.has_room();
        state.wants_room &= !is_told;
        drop(state);
        if is_told && let Some(end) = self.end.get() {
            end.has_room();
        }
    }

    /// Bytes came; false if they were not allowed.
    pub fn arrived(&self, len: usize) -> bool {
        u32::try_from(len).is_ok_and(|len| self.state.lock().credit.receive(len))
    }

    /// Tells the host what is kept and was taken.
    pub fn tell_credit(&self) {
        if self.is_open() {
            self.device.transmit(&self.header(operation::CREDIT, 0), &[]);
        }
    }

    /// Sets room aside for data: from `least` to `most` bytes. EAGAIN if there is less, and then the end is told when there is more.
    fn reserve(&self, least: usize, most: usize) -> Result<usize, Errno> {
        match self.phase.load(Ordering::SeqCst) {
            phase::OPEN => {}
            phase::ASKED => return Err(Errno::EAGAIN),
            _ => return Err(Errno::EPIPE),
        }
        let mut state = self.state.lock();
        let len = usize::try_from(state.credit.room()).unwrap_or(usize::MAX).min(most);
        if len < least {
            state.wants_room = true;
            return Err(Errno::EAGAIN);
        }
        state.credit.send(u32::try_from(len).unwrap_or(0));
        Ok(len)
    }

    /// Sends one packet of data. Returns how many bytes of the program are in it.
    fn send_data(&self, contents: &[u8], from: &mut dyn Source, least: usize) -> Result<usize, Errno> {
        let most = from.remaining().min(Buffer::MOST - contents.len()) + contents.len();
        let reserved = self.reserve(least + contents.len(), most)?;
        let sent = self.send_reserved(contents, from, reserved - contents.len());
        let used = sent.map_or(0, |len| contents.len() + len);
        self.state.lock().credit.send_not(u32::try_from(reserved - used).unwrap_or(0));
        sent
    }

    fn send_reserved(&self, contents: &[u8], from: &mut dyn Source, most: usize) -> Result<usize, Errno> {
        let device = self.device;
        let taken = device.sending.lock().take(&device.send);
        let mut buffer = taken.inspect_err(|_| {
            self.state.lock().wants_room = true;
            device.starve();
        })?;
        let filled = buffer.fill(from, most);
        if filled.is_err() {
            device.sending.lock().give_back(buffer);
            return filled;
        }
        let flags = if self.kind == kind::MESSAGES { END_OF_MESSAGE } else { 0 };
        let header = self.header(operation::DATA, flags);
        device.sending.lock().send(&device.send, &header, contents, buffer);
        device.sent();
        filled
    }
}

impl Wire for Line {
    fn send(&self, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut total = 0;
        // As much as there is room for: who sends much has fewer waits.
        while from.remaining() > 0 {
            match self.send_data(&[], from, 1) {
                Ok(0) => break,
                Ok(len) => total += len,
                Err(_) if total > 0 => break,
                Err(errno) => return Err(errno),
            }
        }
        Ok(total)
    }

    fn send_message(&self, header: &[u8], from: &mut dyn Source) -> Result<usize, Errno> {
        if header.len() + from.remaining() > Buffer::MOST {
            return Err(Errno::EMSGSIZE);
        }
        let len = from.remaining();
        self.send_data(header, from, len)
    }

    fn has_room(&self) -> bool {
        if !self.is_open() {
            return false;
        }
        let mut state = self.state.lock();
        let has_credit = state.credit.has_room();
        state.wants_room |= !has_credit;
        drop(state);
        if has_credit && !self.device.sending.lock().has_room() {
            self.state.lock().wants_room = true;
            self.device.starve();
            return false;
        }
        has_credit
    }

    fn unsent(&self) -> usize {
        usize::try_from(self.state.lock().credit.unsent()).unwrap_or(0)
    }

    fn taken(&self, len: usize) {
        let is_due = self.state.lock().credit.pass(u32::try_from(len).unwrap_or(u32::MAX));
        if is_due {
            self.tell_credit();
        }
    }

    fn finish(&self) {
        if self.is_open() {
            self.device.transmit(&self.header(operation::SHUTDOWN, shutdown::SEND), &[]);
        }
    }

    fn close(&self, is_reset: bool) {
        let was = self.phase.swap(phase::OVER, Ordering::SeqCst);
        if was != phase::OVER {
            let header = if is_reset || was == phase::ASKED {
                self.header(operation::RESET, 0)
            } else {
                self.header(operation::SHUTDOWN, shutdown::BOTH)
            };
            self.device.transmit(&header, &[]);
        }
        self.device.forget(self.ports);
    }
}
