//! The console: standard streams, the handshake, errors, and a slow reader.

use std::fs::File;
use std::io::{Read, Seek, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use septum_abi::control::{HostMessage, host_message, port};
use septum_devices::virtio::console::{Console, ConsolePorts, ControlPort, ControlSender};

use crate::driver::{Driver, EVENT_INDEX};
use crate::machine::Machine;
use crate::virtqueue::{Range, Virtqueue, readable, writable};

pub const TYPE: u32 = 3;
const MULTIPORT: u64 = 2;

const STDIN: usize = 4;
const STDOUT: usize = 7;
const STDERR: usize = 9;
const CONTROL_IN: usize = 10;
const CONTROL_OUT: usize = 11;

#[derive(Default)]
pub struct Messages(pub Mutex<Vec<Vec<u8>>>);

impl ControlPort for Messages {
    fn message(&self, message: &[u8]) {
        self.0.lock().unwrap().push(message.to_vec());
    }
}

struct Fixture {
    machine: &'static Machine,
    queues: Vec<Virtqueue<'static>>,
    messages: Arc<Messages>,
    sender: ControlSender,
    driver: Driver<'static>,
}

impl Fixture {
    fn new(ports: ConsolePorts) -> Self {
        Self::with_features(ports, MULTIPORT)
    }

    fn with_features(ports: ConsolePorts, features: u64) -> Self {
        // Leaked on purpose: queues borrow it, and a test is short.
        let machine: &'static Machine = Box::leak(Box::new(Machine::new()));
        let messages = Arc::new(Messages::default());
        let console = Console::new(ports, messages.clone(), machine.thread.handle()).unwrap();
        let sender = console.control_sender();
        machine.bus.add_virtio(Box::new(console)).unwrap();
        let mut driver = Driver::probe(machine, TYPE);
        driver.begin(features);
        let queues = (0..12).map(|number| driver.queue(number, 64)).collect();
        driver.finish();
        Self { machine, queues, messages, sender, driver }
    }

    fn write(&mut self, queue: usize, bytes: &[u8]) {
        let address = self.machine.place(bytes);
        self.queues[queue].request(&[readable(address, bytes.len())]);
    }

    /// Posts a buffer of `size` bytes; returns its address.
    fn post(&mut self, queue: usize, size: usize) -> u64 {
        let address = self.machine.allocate(size);
        self.queues[queue].add(&[writable(address, size)]);
        self.queues[queue].kick();
        address
    }

    fn read(&mut self, queue: usize, size: usize) -> Vec<u8> {
        let address = self.post(queue, size);
        let (_, length) = self.queues[queue].wait_used();
        self.machine.load(address, length as usize)
    }

    fn control(&mut self, port: u32, event: u16, value: u16) {
        let mut message = port.to_le_bytes().to_vec();
        message.extend(event.to_le_bytes());
        message.extend(value.to_le_bytes());
        self.write(3, &message);
    }

    /// The next control message: port, event, value, name.
    fn next_control(&mut self) -> (u32, u16, u16, String) {
        let bytes = self.read(2, 64);
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let name = String::from_utf8(bytes[8..].to_vec()).unwrap();
        (u32::from(half(0)), half(4), half(6), name)
    }
}

fn pipe() -> (File, OwnedFd) {
    let (read, write) = std::io::pipe().unwrap();
    (File::from(OwnedFd::from(read)), write.into())
}

fn host_message_of(bytes: &[u8]) -> HostMessage {
    HostMessage::from_bytes(bytes.try_into().unwrap())
}

fn ranges(address: u64, pieces: &[usize]) -> Vec<Range> {
    let mut at = address;
    let next = |length: &usize| {
        let range = readable(at, *length);
        at += *length as u64;
        range
    };
    pieces.iter().map(next).collect()
}

#[test]
fn the_handshake_names_every_port() {
    let (_reader, stdin) = pipe();
    let mut fixture = Fixture::new(ConsolePorts { stdin: Some(stdin), ..ConsolePorts::default() });
    assert_eq!(u32::from_le_bytes(fixture.machine.read(fixture.driver.config + 4)), port::COUNT);
    fixture.control(0, 0, 1);
    for number in 0..port::COUNT {
        assert_eq!(fixture.next_control(), (number, 1, 1, String::new()));
    }
    let names = ["septum.log", "septum.stdin", "septum.stdout", "septum.stderr", "septum.control"];
    for (number, name) in (0..).zip(names) {
        fixture.control(number, 3, 1);
        if number == 0 {
            assert_eq!(fixture.next_control(), (0, 4, 1, String::new()));
        }
        assert_eq!(fixture.next_control(), (number, 7, 1, name.to_owned()));
        assert_eq!(fixture.next_control(), (number, 6, 1, String::new()));
    }
    assert_eq!(fixture.machine.bus.misbehaviour()[0].total(), 0);
    fixture.control(5, 3, 1);
    fixture.control(0, 99, 1);
    assert_eq!(fixture.machine.bus.misbehaviour()[0].total(), 2);
}

#[test]
fn streams_are_separate_and_binary_safe() {
    let ((mut log, l), (mut output, o), (mut errors, e)) = (pipe(), pipe(), pipe());
    let mut fixture =
        Fixture::new(ConsolePorts { log: Some(l), stdout: Some(o), stderr: Some(e), stdin: None });
    let bytes: Vec<u8> = (0..=255).collect();
    fixture.write(STDOUT, &bytes);
    fixture.write(STDERR, b"error\n");
    fixture.write(1, b"kernel\n");
    let mut read = [0; 256];
    output.read_exact(&mut read).unwrap();
    assert_eq!(read[..], bytes);
    let mut read = [0; 6];
    errors.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"error\n");
    let mut read = [0; 7];
    log.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"kernel\n");
}

#[test]
fn scattered_buffers_are_written_in_order() {
    let mut file = tempfile::tempfile().unwrap();
    let output = OwnedFd::from(file.try_clone().unwrap());
    let mut fixture = Fixture::new(ConsolePorts { stdout: Some(output), ..ConsolePorts::default() });
    let bytes: Vec<u8> = (0..100_000_u32).flat_map(u32::to_le_bytes).collect();
    let address = fixture.machine.place(&bytes);
    fixture.queues[STDOUT].request(&ranges(address, &[1, 4095, 0, 100_000, 295_904]));
    fixture.queues[STDOUT].request(&ranges(address, &[5]));
    file.rewind().unwrap();
    let mut written = Vec::new();
    file.read_to_end(&mut written).unwrap();
    assert_eq!(written.len(), bytes.len() + 5);
    assert_eq!(written[..bytes.len()], bytes);
}

#[test]
fn a_full_pipe_delays_its_port_only() {
    let ((mut output, o), (mut errors, e)) = (pipe(), pipe());
    let mut fixture = Fixture::with_features(
        ConsolePorts { stdout: Some(o), stderr: Some(e), ..ConsolePorts::default() },
        MULTIPORT | EVENT_INDEX,
    );
    let bytes: Vec<u8> = (0..1_000_000_u32).map(|number| number as u8 ^ (number >> 8) as u8).collect();
    let address = fixture.machine.place(&bytes);
    fixture.queues[STDOUT].add(&[readable(address, bytes.len())]);
    fixture.queues[STDOUT].add(&[readable(address, bytes.len())]);
    fixture.queues[STDOUT].kick();
    fixture.write(STDERR, b"still here");
    let mut read = [0; 10];
    errors.read_exact(&mut read).unwrap();
    assert_eq!(&read, b"still here");
    assert_eq!(fixture.queues[STDOUT].take_used(), None);
    for _ in 0..2 {
        let mut read = vec![0; bytes.len()];
        output.read_exact(&mut read).unwrap();
        assert!(read == bytes);
        fixture.queues[STDOUT].wait_used();
    }
}

#[test]
fn a_non_blocking_pipe_works_the_same() {
    let (mut output, o) = pipe();
    let flags = rustix::fs::fcntl_getfl(&o).unwrap();
    rustix::fs::fcntl_setfl(&o, flags | rustix::fs::OFlags::NONBLOCK).unwrap();
    let mut fixture = Fixture::new(ConsolePorts { stdout: Some(o), ..ConsolePorts::default() });
    let bytes = vec![7; 500_000];
    let address = fixture.machine.place(&bytes);
    fixture.queues[STDOUT].add(&[readable(address, bytes.len())]);
    fixture.queues[STDOUT].kick();
    let mut read = vec![0; bytes.len()];
    output.read_exact(&mut read).unwrap();
    fixture.queues[STDOUT].wait_used();
}

#[test]
fn a_stopped_terminal_delays_its_port_only() {
    use rustix::pty::{OpenptFlags, openpt, ptsname, unlockpt};
    let controller = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    unlockpt(&controller).unwrap();
    let path = ptsname(&controller, Vec::new()).unwrap().into_string().unwrap();
    let terminal = || {
        let open = File::options().read(true).write(true).open(&path).unwrap();
        let mut modes = rustix::termios::tcgetattr(&open).unwrap();
        modes.make_raw();
        rustix::termios::tcsetattr(&open, rustix::termios::OptionalActions::Now, &modes).unwrap();
        OwnedFd::from(open)
    };
    let (mut errors, e) = pipe();
    let mut fixture = Fixture::new(ConsolePorts {
        stdin: Some(terminal()),
        stdout: Some(terminal()),
        stderr: Some(e),
        log: None,
    });
    let bytes = vec![b'x'; 200_000];
    let address = fixture.machine.place(&bytes);
    fixture.queues[STDOUT].add(&[readable(address, bytes.len())]);
    fixture.queues[STDOUT].kick();
    fixture.write(STDERR, b"still here");
    let mut read = [0; 10];
    errors.read_exact(&mut read).unwrap();
    let mut screen = File::from(controller);
    let mut read = vec![0; bytes.len()];
    screen.read_exact(&mut read).unwrap();
    assert!(read == bytes);
    fixture.queues[STDOUT].wait_used();
    screen.write_all(b"typed").unwrap();
    assert_eq!(fixture.read(STDIN, 100), b"typed");
}

#[test]
fn a_closed_output_is_reported_before_its_buffer_returns() {
    let (output, o) = pipe();
    drop(output);
    let mut fixture = Fixture::new(ConsolePorts { stdout: Some(o), ..ConsolePorts::default() });
    let posted = fixture.post(CONTROL_IN, 16);
    fixture.write(STDOUT, b"lost");
    let (_, length) = fixture.queues[CONTROL_IN].take_used().expect("message before buffer");
    assert_eq!(length, 16);
    let message = host_message_of(&fixture.machine.load(posted, 16));
    let expected = HostMessage {
        kind: host_message::STDIO_ERROR,
        port: port::STDOUT,
        errno: libc::EPIPE.unsigned_abs(),
        reserved: 0,
    };
    assert_eq!(message, expected);
    // Without a posted buffer the message waits for one.
    fixture.write(STDOUT, b"lost");
    assert_eq!(host_message_of(&fixture.read(CONTROL_IN, 64)), expected);
}

#[test]
fn a_full_disk_is_reported() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut fixture = Fixture::new(ConsolePorts { stderr: Some(full.into()), ..ConsolePorts::default() });
    fixture.write(STDERR, b"lost");
    let message = host_message_of(&fixture.read(CONTROL_IN, 16));
    assert_eq!((message.port, message.errno), (port::STDERR, libc::ENOSPC.unsigned_abs()));
}

#[test]
fn input_is_read_on_demand_and_never_ahead() {
    let (stdin, writer) = pipe();
    let mut writer = File::from(writer);
    let mut rest = stdin.try_clone().unwrap();
    let mut fixture = Fixture::new(ConsolePorts { stdin: Some(stdin.into()), ..ConsolePorts::default() });
    writer.write_all(b"first second third").unwrap();
    assert_eq!(fixture.read(STDIN, 6), b"first ");
    assert_eq!(fixture.read(STDIN, 7), b"second ");
    let mut third = [0; 5];
    rest.read_exact(&mut third).unwrap();
    assert_eq!(&third, b"third");
    // A buffer that waits gets what comes, at once.
    let address = fixture.post(STDIN, 4096);
    std::thread::sleep(std::time::Duration::from_millis(20));
    assert_eq!(fixture.queues[STDIN].take_used(), None);
    writer.write_all(b"later").unwrap();
    assert_eq!(fixture.queues[STDIN].wait_used().1, 5);
    assert_eq!(fixture.machine.load(address, 5), b"later");
}

#[test]
fn the_end_of_input_is_an_empty_buffer_and_a_closed_port() {
    let (stdin, writer) = pipe();
    let mut fixture = Fixture::new(ConsolePorts { stdin: Some(stdin.into()), ..ConsolePorts::default() });
    let waiting = fixture.post(STDIN, 16);
    drop(writer);
    assert_eq!(fixture.queues[STDIN].wait_used().1, 0);
    assert_eq!(fixture.machine.load(waiting, 1), [0]);
    assert_eq!(fixture.next_control(), (port::STDIN, 6, 0, String::new()));
    assert_eq!(fixture.read(STDIN, 16), b"");
}

#[test]
fn input_may_be_a_file_or_nothing() {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&[9; 10_000]).unwrap();
    file.rewind().unwrap();
    let mut fixture = Fixture::new(ConsolePorts { stdin: Some(file.into()), ..ConsolePorts::default() });
    assert_eq!(fixture.read(STDIN, 8192), vec![9; 8192]);
    assert_eq!(fixture.read(STDIN, 8192), vec![9; 1808]);
    assert_eq!(fixture.read(STDIN, 8192), b"");
    let mut fixture = Fixture::new(ConsolePorts::default());
    assert_eq!(fixture.read(STDIN, 8192), b"");
    fixture.write(STDOUT, b"swallowed");
}

#[test]
fn a_directory_as_input_is_an_error() {
    let directory = File::open("/").unwrap();
    let mut fixture = Fixture::new(ConsolePorts { stdin: Some(directory.into()), ..ConsolePorts::default() });
    assert_eq!(fixture.read(STDIN, 100), b"");
    let message = host_message_of(&fixture.read(CONTROL_IN, 16));
    assert_eq!((message.port, message.errno), (port::STDIN, libc::EISDIR.unsigned_abs()));
}

#[test]
fn messages_travel_both_ways_on_the_control_port() {
    let mut fixture = Fixture::new(ConsolePorts::default());
    fixture.write(CONTROL_OUT, b"hello host");
    assert_eq!(*fixture.messages.0.lock().unwrap(), [b"hello host".to_vec()]);
    let message = HostMessage { kind: 7, port: 1, errno: 2, reserved: 0 };
    assert!(fixture.sender.send(message));
    assert_eq!(host_message_of(&fixture.read(CONTROL_IN, 16)), message);
    fixture.post(CONTROL_IN, 16);
    assert!(fixture.sender.send(message));
    fixture.queues[CONTROL_IN].wait_used();
    // Nobody takes these: they do not pile up for ever.
    assert!((0..1000).any(|_| !fixture.sender.send(message)));
}

#[test]
fn reset_forgets_the_buffers_in_progress() {
    let ((mut output, o), (stdin, writer)) = (pipe(), pipe());
    let mut fixture =
        Fixture::new(ConsolePorts { stdout: Some(o), stdin: Some(stdin.into()), ..ConsolePorts::default() });
    fixture.post(STDIN, 100);
    let bytes = fixture.machine.place(&[1; 1 << 20]);
    fixture.queues[STDOUT].add(&[readable(bytes, 1 << 20)]);
    fixture.queues[STDOUT].kick();
    let mut some = [0; 1000];
    output.read_exact(&mut some).unwrap();
    let machine = fixture.machine;
    let mut driver = Driver::probe(machine, TYPE);
    driver.begin(MULTIPORT);
    fixture.queues = (0..12).map(|number| driver.queue(number, 64)).collect();
    driver.finish();
    File::from(writer).write_all(b"in").unwrap();
    assert_eq!(fixture.read(STDIN, 100), b"in");
    let drain = std::thread::spawn(move || {
        let mut tail = [0; 3];
        while &tail != b"end" {
            tail.rotate_left(1);
            output.read_exact(&mut tail[2..]).unwrap();
        }
    });
    fixture.write(STDOUT, b"end");
    drain.join().unwrap();
}
