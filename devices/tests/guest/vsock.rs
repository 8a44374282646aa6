//! The socket device, with a host behind it that sends back what it gets.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use septum_abi::vsock::{GUEST_CID, HEADER, HOST_CID, Header, kind, operation};
use septum_devices::core::Fault;
use septum_devices::virtio::vsock::{
    FromGuest, HostSide, News, Opened, Refused, Request, StreamId, ToGuest, Vsock,
};

use crate::driver::Driver;
use crate::garbage::Noise;
use crate::machine::Machine;
use crate::virtqueue::{Virtqueue, readable, writable};

pub const TYPE: u32 = 19;
const RECEIVE: u16 = 0;
const TRANSMIT: u16 = 1;
/// Connections to this port are refused.
const CLOSED: u32 = 9;

/// Each connection is a pair of sockets: what is written to one comes out of the other.
pub struct Echo {
    epoll: OwnedFd,
    streams: HashMap<StreamId, (File, File)>,
    next: StreamId,
}

impl Echo {
    pub fn new() -> Self {
        Self { epoll: epoll::create(CreateFlags::CLOEXEC).unwrap(), streams: HashMap::new(), next: 0 }
    }

    fn of(&mut self, stream: StreamId) -> io::Result<&mut (File, File)> {
        self.streams.get_mut(&stream).ok_or_else(|| io::ErrorKind::NotConnected.into())
    }
}

impl HostSide for Echo {
    fn descriptor(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }

    fn happened(&mut self, news: &mut Vec<News>) {
        let mut events = [const { std::mem::MaybeUninit::<epoll::Event>::uninit() }; 64];
        let now = rustix::event::Timespec { tv_sec: 0, tv_nsec: 0 };
        let Ok((events, _)) = epoll::wait(&self.epoll, &mut events[..], Some(&now)) else { return };
        for event in &*events {
            let stream = StreamId::try_from(event.data.u64() >> 1).unwrap();
            let is_output = event.data.u64() & 1 == 0;
            news.push(if is_output { News::Readable(stream) } else { News::Writable(stream) });
        }
    }

    fn open(&mut self, request: &Request<'_>) -> Result<Opened, Refused> {
        if request.port == CLOSED {
            return Err(Refused(b"closed".to_vec()));
        }
        let (input, output) = UnixStream::pair().unwrap();
        self.next += 1;
        for (socket, tag, flags) in [(&output, 0, EventFlags::IN), (&input, 1, EventFlags::OUT)] {
            socket.set_nonblocking(true).unwrap();
            let data = EventData::new_u64(u64::from(self.next) << 1 | tag);
            epoll::add(&self.epoll, socket, data, flags | EventFlags::ET).unwrap();
        }
        let files = (OwnedFd::from(input).into(), OwnedFd::from(output).into());
        self.streams.insert(self.next, files);
        Ok(Opened { stream: self.next, answer: Some(Vec::new()) })
    }

    fn write(&mut self, stream: StreamId, from: &mut FromGuest<'_, '_>) -> io::Result<usize> {
        if from.is_empty() { Ok(0) } else { from.write_to(&mut self.of(stream)?.0) }
    }

    fn read(&mut self, stream: StreamId, to: &mut ToGuest<'_, '_>) -> io::Result<usize> {
        to.read_from(&mut self.of(stream)?.1)
    }

    fn finish(&mut self, stream: StreamId) {
        let input = &self.of(stream).expect("a stream that is not closed").0;
        rustix::net::shutdown(input, rustix::net::Shutdown::Write).unwrap();
    }

    fn accepted(&mut self, _stream: StreamId) {}

    fn closing(&mut self, _stream: StreamId) {}

    fn close(&mut self, stream: StreamId, _is_reset: bool) {
        assert!(self.streams.remove(&stream).is_some(), "closed twice");
    }

    fn close_all(&mut self) {
        self.streams.clear();
    }
}

fn machine() -> Machine {
    let machine = Machine::new();
    machine
        .bus
        .add_virtio(Box::new(Vsock::new(Box::new(Echo::new()), machine.thread.handle()).unwrap()))
        .unwrap();
    machine
}

fn header(port: u32, operation: u16) -> Header {
    Header {
        source_cid: GUEST_CID,
        destination_cid: HOST_CID,
        source_port: 1000,
        destination_port: port,
        kind: kind::STREAM,
        operation,
        buffer_size: 1 << 16,
        ..Header::default()
    }
}

struct Guest<'a> {
    machine: &'a Machine,
    receive: Virtqueue<'a>,
    transmit: Virtqueue<'a>,
}

impl<'a> Guest<'a> {
    fn new(machine: &'a Machine) -> Self {
        let mut driver = Driver::probe(machine, TYPE);
        driver.begin(0);
        let (receive, transmit) = (driver.queue(RECEIVE, 16), driver.queue(TRANSMIT, 16));
        driver.finish();
        Self { machine, receive, transmit }
    }

    fn send(&mut self, header: Header, data: &[u8]) {
        let header = Header { len: u32::try_from(data.len()).unwrap(), ..header };
        let packet = self.machine.place(&[&header.to_bytes()[..], data].concat());
        self.transmit.request(&[readable(packet, HEADER + data.len())]);
    }

    /// The next packet for the guest.
    fn take(&mut self) -> (Header, Vec<u8>) {
        let buffer = self.machine.allocate(4096);
        let len = self.receive.request(&[writable(buffer, 4096)]);
        let bytes = self.machine.load(buffer, usize::try_from(len).unwrap());
        (Header::from_bytes(bytes[..HEADER].try_into().unwrap()), bytes[HEADER..].to_vec())
    }
}

#[test]
fn what_a_guest_sends_comes_back() {
    let machine = machine();
    let mut guest = Guest::new(&machine);
    guest.send(header(7, operation::REQUEST), &[]);
    assert_eq!(guest.take().0.operation, operation::RESPONSE);
    let text: Vec<u8> = (0..3000_u32).map(|byte| byte as u8).collect();
    guest.send(header(7, operation::DATA), &text);
    let mut back = Vec::new();
    while back.len() < text.len() {
        let (header, data) = guest.take();
        assert!(matches!(header.operation, operation::DATA | operation::CREDIT));
        back.extend(data);
    }
    assert_eq!(back, text);
    guest.send(Header { flags: 3, ..header(7, operation::SHUTDOWN) }, &[]);
    assert_eq!(guest.take().0.operation, operation::RESET);
    guest.send(header(CLOSED, operation::REQUEST), &[]);
    assert_eq!(
        guest.take(),
        (Header { operation: operation::RESET, len: 6, ..guest_sees(CLOSED) }, b"closed".to_vec())
    );
    guest.send(header(8, operation::DATA), b"no connection");
    assert_eq!(guest.take().0.operation, operation::RESET);
    assert_eq!(machine.bus.misbehaviour()[0].total(), 0);
}

/// A header without credit, as a refusal has it.
fn guest_sees(port: u32) -> Header {
    Header {
        source_cid: HOST_CID,
        destination_cid: GUEST_CID,
        source_port: port,
        destination_port: 1000,
        kind: kind::STREAM,
        ..Header::default()
    }
}

#[test]
fn packets_of_noise_are_survived() {
    let machine = machine();
    for seed in 1..=20 {
        let mut noise = Noise(seed);
        let mut guest = Guest::new(&machine);
        let buffers: Vec<u64> = (0..4).map(|_| machine.allocate(4096)).collect();
        let packet = machine.allocate(HEADER + 256);
        for _ in 0..400 {
            let mut header = header(noise.pick(&[7, 8, CLOSED, 1 << 30]), noise.below(9) as u16);
            header.source_port = noise.pick(&[1000, 1001, 1002]);
            header.flags = noise.pick(&[0, 1, 2, 3, u32::MAX]);
            header.buffer_size = noise.pick(&[0, 1, 4096, u32::MAX]);
            header.forwarded = noise.pick(&[0, 1, 1 << 31, u32::MAX]);
            header.len = noise.pick(&[0, 1, 200, 256, 257, u32::MAX]);
            match noise.below(20) {
                0 => header.kind = noise.next() as u16,
                1 => header.source_cid = noise.value(),
                2 => header.destination_cid = noise.value(),
                3 => header.kind = kind::MESSAGES,
                _ => {}
            }
            machine.store(packet, &header.to_bytes());
            let length = noise.pick(&[0, 1, HEADER - 1, HEADER, HEADER + 1, HEADER + 256]);
            guest.transmit.request(&[readable(packet, length)]);
            if noise.below(3) == 0 {
                let size = noise.pick(&[0, 1, HEADER, HEADER + 1, 4096]);
                guest.receive.add(&[writable(noise.pick(&buffers), size)]);
                guest.receive.kick();
            }
        }
        assert!(machine.thread.is_running());
    }
    assert!(machine.bus.misbehaviour()[0].of(Fault::Request) > 100);
    // After a reset it is as new.
    let mut guest = Guest::new(&machine);
    guest.send(header(7, operation::REQUEST), &[]);
    assert_eq!(guest.take().0.operation, operation::RESPONSE);
}
