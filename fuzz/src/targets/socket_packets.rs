//! A guest sends the socket device anything.
//!
//! ```text
//! input   [operation][which fields][…][length, 2][contents …]   again and again
//! ```

use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::event::{EventfdFlags, eventfd};
use septum_abi::vsock::{GUEST_CID, HEADER, HOST_CID, Header, kind, operation};
use septum_devices::virtio::vsock::{
    FromGuest, HostSide, News, Opened, Refused, Request, StreamId, ToGuest, Vsock,
};

use super::device;
use crate::bytes::Bytes;
use crate::driver::INDIRECT_DESCRIPTORS;
use crate::machine::Machine;
use crate::virtqueue::{readable, writable};

const TYPE: u32 = 19;
const RECEIVE: usize = 0;
const TRANSMIT: usize = 1;
const PACKETS: u32 = 48;
const ROOM: usize = 8192;
/// What a connection holds before it would block.
const HELD: usize = 4096;

/// Sends back what it gets, and keeps a little.
pub(super) struct Echo {
    event: OwnedFd,
    streams: HashMap<StreamId, Vec<u8>>,
    next: StreamId,
    readable: Vec<StreamId>,
    writable: Vec<StreamId>,
}

impl Echo {
    pub(super) fn new() -> Self {
        let event = eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC).unwrap();
        Self { event, streams: HashMap::new(), next: 0, readable: Vec::new(), writable: Vec::new() }
    }

    fn ring(&self) {
        let _ = rustix::io::write(&self.event, &1_u64.to_ne_bytes());
    }
}

impl HostSide for Echo {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.event.as_fd()
    }

    fn happened(&mut self, news: &mut Vec<News>) {
        let _ = rustix::io::read(&self.event, &mut [0; 8]);
        news.extend(self.readable.drain(..).map(News::Readable));
        news.extend(self.writable.drain(..).map(News::Writable));
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Opened, Refused> {
        if request.port & 1 == 1 || self.streams.len() > 100 {
            return Err(Refused(request.contents.to_vec()));
        }
        self.next += 1;
        self.streams.insert(self.next, Vec::new());
        Ok(Opened { stream: self.next, answer: Some(Vec::new()) })
    }

    fn write(&mut self, stream: StreamId, from: &mut FromGuest<'_, '_>) -> io::Result<usize> {
        let held = self.streams.get_mut(&stream).ok_or(io::ErrorKind::NotConnected)?;
        let room = HELD - held.len().min(HELD);
        if room == 0 {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let mut piece = vec![0; room.min(from.len())];
        let len = from.copy_to(&mut piece)?;
        held.extend(&piece[..len]);
        self.readable.push(stream);
        self.ring();
        Ok(len)
    }

    fn read(&mut self, stream: StreamId, to: &mut ToGuest<'_, '_>) -> io::Result<usize> {
        let held = self.streams.get_mut(&stream).ok_or(io::ErrorKind::NotConnected)?;
        if held.is_empty() {
            return Err(io::ErrorKind::WouldBlock.into());
        }
        let len = held.len().min(to.room());
        let piece: Vec<u8> = held.drain(..len).collect();
        let len = to.put(&piece)?;
        self.writable.push(stream);
        self.ring();
        Ok(len)
    }

    fn finish(&mut self, stream: StreamId) {
        assert!(self.streams.contains_key(&stream), "a stream that nobody has is finished");
    }

    fn accepted(&mut self, _stream: StreamId) {}

    fn closing(&mut self, _stream: StreamId) {}

    fn close(&mut self, stream: StreamId, _is_reset: bool) {
        assert!(self.streams.remove(&stream).is_some(), "a stream is closed twice");
    }

    fn close_all(&mut self) {
        self.streams.clear();
    }
}

/// A header that is right but for the fields that the input names.
pub(super) fn header(bytes: &mut Bytes<'_>, source: u64, destination: u64) -> Header {
    let (operation, fields) = (bytes.byte(), bytes.byte());
    let mut header = Header {
        source_cid: source,
        destination_cid: destination,
        source_port: 1000 + u32::from(fields & 1),
        destination_port: 2,
        kind: kind::STREAM,
        operation: u16::from(operation),
        buffer_size: 4096,
        ..Header::default()
    };
    if fields & 2 != 0 {
        header.flags = bytes.word();
    }
    if fields & 4 != 0 {
        (header.buffer_size, header.forwarded) = (bytes.word(), bytes.word());
    }
    if fields & 8 != 0 {
        (header.source_port, header.destination_port) = (bytes.word(), bytes.word());
    }
    if fields & 16 != 0 {
        header.kind = bytes.half();
    }
    if fields & 32 != 0 {
        (header.source_cid, header.destination_cid) = (bytes.long(), bytes.long());
    }
    if fields & 64 != 0 {
        header.len = bytes.word();
    }
    if fields & 128 != 0 {
        header.operation = bytes.half();
    }
    header
}

pub(super) fn run(input: &[u8]) {
    let machine = Machine::new();
    let device = Vsock::new(Box::new(Echo::new()), machine.thread.handle()).unwrap();
    machine.bus.add_virtio(Box::new(device)).unwrap();
    let (driver, mut queues) = device::started(&machine, TYPE, !INDIRECT_DESCRIPTORS, &[(0, 64), (1, 64)]);
    let (packet, buffer) = (machine.allocate(HEADER + ROOM), machine.allocate(4096 * 4));
    let mut bytes = Bytes::new(input);
    for _ in 0..PACKETS {
        if bytes.is_empty() {
            break;
        }
        let how = bytes.byte();
        let mut header = header(&mut bytes, GUEST_CID, HOST_CID);
        let contents = bytes.piece();
        if header.len == 0 {
            header.len = contents.len() as u32;
        }
        machine.store(packet, &header.to_bytes());
        machine.store(packet + HEADER as u64, contents);
        let length = if how & 1 == 0 { HEADER + contents.len() } else { usize::from(how) };
        if length > 0 && !device::ask(&driver, &mut queues[TRANSMIT], &[readable(packet, length)]) {
            break;
        }
        if how & 2 == 0 {
            let size = if how & 4 == 0 { 4096 } else { usize::from(how) };
            queues[RECEIVE].add(&[writable(buffer + 4096 * u64::from(how >> 6), size)]);
            queues[RECEIVE].kick();
        }
        while queues[RECEIVE].take_used().is_some() {}
    }
    assert!(machine.thread.is_running(), "the device's thread died");
}

/// One packet.
pub(super) fn packet(operation: u16, contents: &[u8]) -> Vec<u8> {
    let mut bytes = vec![operation as u8, 0];
    bytes.extend((contents.len() as u16).to_le_bytes());
    bytes.extend(contents);
    bytes
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let session = [
        packet(operation::REQUEST, b""),
        packet(operation::DATA, &[5; 3000]),
        packet(operation::DATA, &[6; 3000]),
        packet(operation::CREDIT, b""),
        packet(operation::CREDIT_REQUEST, b""),
        vec![operation::SHUTDOWN as u8, 2, 3, 0, 0, 0, 0, 0],
        packet(operation::RESET, b""),
    ];
    let whole: Vec<u8> = session.iter().flat_map(|packet| [&[0][..], packet].concat()).collect();
    let unanswered: Vec<u8> = session.iter().flat_map(|packet| [&[2][..], packet].concat()).collect();
    vec![whole, unanswered, [&[0][..], &packet(operation::DATA, b"nobody")].concat()]
}
