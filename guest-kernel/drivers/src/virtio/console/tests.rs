//! The console against a host with streams.

use super::{Console, Stream};
use crate::testing::{self, Answer, FakeMachine, Model, ProgramMemory};
use septum_abi::control::{HostMessage, host_message};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{File, FileKind, poll};
use septum_guest_core::io::{Destination, KernelDestination, KernelSource};
use std::collections::VecDeque;
use std::sync::Arc;

#[derive(Default)]
struct Host {
    output: Vec<u8>,
    error: Vec<u8>,
    /// What reads return; an empty one is the end. When used up, reads wait.
    input: VecDeque<Vec<u8>>,
    asked: Vec<usize>,
    /// To be announced before the next write comes back.
    failure: Option<HostMessage>,
    segments: Vec<usize>,
}

impl Model for Host {
    fn device_type(&self) -> u16 {
        3
    }
    fn features(&self) -> u64 {
        0b10
    }
    fn queue_sizes(&self) -> Vec<u16> {
        vec![64; 12]
    }
    fn request(&mut self, queue: u16, output: &[u8], capacity: usize) -> Answer {
        match queue {
            4 => {
                self.asked.push(capacity);
                return match self.input.front_mut() {
                    Some(bytes) if bytes.len() > capacity => Answer::Reply(bytes.drain(..capacity).collect()),
                    Some(_) => Answer::Reply(self.input.pop_front().unwrap()),
                    None => Answer::Later,
                };
            }
            7 => self.output.extend(output),
            9 => self.error.extend(output),
            10 => {
                let message = self.failure.take();
                return message.map_or(Answer::Later, |message| Answer::Reply(message.to_bytes().to_vec()));
            }
            _ => panic!("request on queue {queue}"),
        }
        Answer::Reply(Vec::new())
    }
    fn saw_segments(&mut self, queue: u16, readable: usize, _writable: usize) {
        if queue == 7 {
            self.segments.push(readable);
        }
    }
    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

fn console() -> (Arc<FakeMachine>, Arc<Console>) {
    let machine = testing::machine(vec![Box::new(Host::default())]);
    let console = Console::start(&testing::transport(&machine)).unwrap();
    (machine, Arc::new(console))
}

fn host<T>(machine: &FakeMachine, look: impl FnOnce(&mut Host) -> T) -> T {
    machine.with_model(0, look)
}

fn write(file: &Arc<dyn File>, bytes: &[u8]) -> Result<usize, Errno> {
    file.write_at(0, &mut KernelSource(bytes))
}

fn read(file: &Arc<dyn File>, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; len];
    let len = file.read_at(0, &mut KernelDestination(&mut bytes))?;
    bytes.truncate(len);
    Ok(bytes)
}

#[test]
fn it_is_up_after_few_register_accesses() {
    let (machine, _console) = console();
    assert!(machine.accesses() < 70, "{}", machine.accesses());
}

#[test]
fn writes_arrive_whole_from_pinned_pages() {
    let (machine, console) = console();
    let bytes: Vec<u8> = (0..600_000u32).map(|number| number.to_le_bytes()[1]).collect();
    let mut memory = ProgramMemory::holding(100, &bytes);
    let output = console.stdio(Stream::Output);
    assert_eq!(output.write_at(0, &mut memory), Ok(bytes.len()));
    assert_eq!(write(&console.stdio(Stream::Error), b"oh"), Ok(2));
    host(&machine, |host| {
        assert!(host.output == bytes);
        assert_eq!(host.error, b"oh");
        assert!(host.segments.iter().all(|&count| count <= 64));
    });
    assert_eq!(write(&output, b""), Ok(0));
}

#[test]
fn a_closed_output_is_closed_for_good() {
    let (machine, console) = console();
    let output = console.stdio(Stream::Output);
    assert_eq!(write(&output, b"one"), Ok(3));
    let message = HostMessage { kind: host_message::STDIO_ERROR, port: 2, errno: 32, reserved: 0 };
    host(&machine, |host| host.failure = Some(message));
    machine.with_device(0, |device, memory| device.serve(10, memory));
    assert_eq!(write(&output, b"two"), Err(Errno::EPIPE));
    assert_eq!(write(&output, b"three"), Err(Errno::EPIPE));
    assert_eq!(write(&console.stdio(Stream::Error), b"four"), Ok(4));
    assert_eq!(output.poll(), poll::OUT | poll::ERR);
}

#[test]
fn a_full_disk_is_told_once() {
    let (machine, console) = console();
    let output = console.stdio(Stream::Output);
    for _ in 0..10 {
        let message = HostMessage { kind: host_message::STDIO_ERROR, port: 2, errno: 28, reserved: 0 };
        host(&machine, |host| host.failure = Some(message));
        machine.with_device(0, |device, memory| device.serve(10, memory));
        assert_eq!(write(&output, b"two"), Err(Errno::ENOSPC));
        assert_eq!(write(&output, b"three"), Ok(5));
    }
}

#[test]
fn reads_ask_for_what_the_program_asks_and_keep_the_rest() {
    let (machine, console) = console();
    let input = console.stdio(Stream::Input);
    host(&machine, |host| host.input = [b"hello world".to_vec(), vec![], b"more".to_vec()].into());
    assert_eq!(read(&input, 5), Ok(b"hello".to_vec()));
    assert_eq!(read(&input, 100_000), Ok(b" world".to_vec()));
    assert_eq!(read(&input, 10), Ok(vec![]));
    assert_eq!(read(&input, 10), Ok(b"more".to_vec()));
    host(&machine, |host| assert_eq!(host.asked, [5, 16 * PAGE_SIZE, 10, 10]));
}

#[test]
fn a_large_read_goes_over_several_frames() {
    let (machine, console) = console();
    let input = console.stdio(Stream::Input);
    let bytes: Vec<u8> = (0..50_000u32).map(|number| number.to_le_bytes()[0]).collect();
    host(&machine, |host| host.input = [bytes.clone()].into());
    let mut memory = ProgramMemory::new(77, 60_000);
    assert_eq!(input.read_at(0, &mut memory), Ok(50_000));
    assert!(memory.filled(77) == bytes);
    assert_eq!(Destination::remaining(&memory), 10_000);
}

#[test]
fn what_arrives_after_a_read_was_given_up_is_for_the_next() {
    let (machine, console) = console();
    let input = console.stdio(Stream::Input);
    assert_eq!(read(&input, 100), Err(Errno::EAGAIN));
    assert_eq!(input.poll(), 0);
    host(&machine, |host| host.input = [b"late".to_vec()].into());
    machine.with_device(0, |device, memory| {
        device.serve(4, memory);
        assert_eq!(device.interrupts, 1);
    });
    assert_eq!(input.poll(), poll::IN);
    assert_eq!(input.available(), Ok(4));
    assert_eq!(read(&input, 2), Ok(b"la".to_vec()));
    assert_eq!(read(&input, 2), Ok(b"te".to_vec()));
    host(&machine, |host| host.input = [vec![]].into());
    assert_eq!(input.poll(), poll::IN | poll::HUP);
    assert_eq!(read(&input, 2), Ok(vec![]));
}

#[test]
fn streams_look_like_pipes() {
    let (_machine, console) = console();
    let inode = console.inode(Stream::Output);
    assert_eq!(inode.kind(), FileKind::Fifo);
    assert_eq!(inode.metadata().unwrap().inode, 2);
    assert!(!console.stdio(Stream::Output).is_seekable());
}
