//! The guest's serial port on the partition's standard streams: a 16550 by `vm-superio`, with its two ends.
//!
//! ```text
//!   vCPU: OUT ──► Serial ──► Output: write(stdout), which may wait
//!   vCPU: IN  ◄── Serial ◄── "console": read(stdin), as much as the port's queue has room for
//!            line 4 ◄──┘
//! ```
//!
//! * What the guest says is written before the vCPU goes on: a slow reader slows the guest down, and nothing is kept or lost. A vCPU that waits for
//!   one stops waiting when the partition ends.
//! * Input is read when the guest's driver listens, and never more than the port takes: what the guest does not read stays for the next
//!   reader. A line has no end: that of standard input is not told.

use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use rustix::io::Errno;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vm_superio::serial::SerialEvents;
use vm_superio::{Serial, Trigger};
use vmm_sys_util::eventfd::EventFd;

/// Interrupt enable register: received data.
const RECEIVED: u8 = 1;

/// The interrupt line.
struct Line(EventFd);

impl Trigger for Line {
    type E = io::Error;

    fn trigger(&self) -> io::Result<()> {
        self.0.write(1)
    }
}

/// Tells the thread that reads input that there is room.
struct Room(Arc<OwnedFd>);

impl SerialEvents for Room {
    fn buffer_read(&self) {}
    fn out_byte(&self) {}
    fn tx_lost_byte(&self) {}
    fn in_buffer_empty(&self) {
        ring(&self.0);
    }
}

/// It counts, and is never full.
fn ring(event: &OwnedFd) {
    let _ = rustix::io::write(event, &1_u64.to_ne_bytes());
}

/// Where the guest's bytes go.
struct Output {
    stream: Option<OwnedFd>,
    is_ending: Arc<AtomicBool>,
}

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        while let Some(stream) = &self.stream {
            match rustix::io::write(stream, bytes) {
                Ok(count) => return Ok(count),
                Err(Errno::AGAIN) => {
                    let _ = poll(&mut [PollFd::new(stream, PollFlags::OUT)], None);
                }
                Err(Errno::INTR) => {}
                // Nobody reads any more. A serial line does not notice.
                Err(_) => self.stream = None,
            }
            if self.is_ending.load(Ordering::Acquire) {
                break;
            }
        }
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The port.
pub struct SerialPort {
    model: Mutex<Serial<Line, Room, Output>>,
    room: Arc<OwnedFd>,
    is_ending: Arc<AtomicBool>,
}

impl SerialPort {
    /// A port whose interrupts are events of `line`, and whose output goes to `stdout`.
    ///
    /// # Errors
    /// The host has no more descriptors.
    pub fn new(line: EventFd, stdout: Option<OwnedFd>) -> io::Result<Self> {
        let room = Arc::new(eventfd(0, EventfdFlags::NONBLOCK | EventfdFlags::CLOEXEC)?);
        let is_ending = Arc::new(AtomicBool::new(false));
        let output = Output { stream: stdout, is_ending: Arc::clone(&is_ending) };
        let model = Mutex::new(Serial::with_events(Line(line), Room(Arc::clone(&room)), output));
        Ok(Self { model, room, is_ending })
    }

    fn lock(&self) -> MutexGuard<'_, Serial<Line, Room, Output>> {
        self.model.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The guest reads a register, which is a byte.
    pub fn read(&self, register: u8, data: &mut [u8]) {
        data.fill(0xff);
        if let Some(first) = data.first_mut() {
            *first = self.lock().read(register);
        }
    }

    /// It writes one.
    pub fn write(&self, register: u8, data: &[u8]) {
        let Some(&value) = data.first() else { return };
        let mut model = self.lock();
        // An interrupt that cannot be raised is lost; output never fails.
        let _ = model.write(register, value);
        if register == 1 && is_listening(&model) {
            ring(&self.room);
        }
    }

    /// Nobody waits for a reader of the output any more.
    pub fn end(&self) {
        self.is_ending.store(true, Ordering::Release);
    }

    /// Carries `stdin` to the guest, until it ends or cannot be read. For a thread of its own.
    pub fn carry(&self, stdin: &OwnedFd) {
        loop {
            let room = self.listening_room();
            let mut fds = vec![PollFd::new(&*self.room, PollFlags::IN)];
            if room > 0 {
                fds.push(PollFd::new(stdin, PollFlags::IN));
            }
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(_) => return,
            }
            let has_input = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            // Whatever it counted, the room is looked at anew.
            let _ = rustix::io::read(&*self.room, &mut [0; 8]);
            if !has_input {
                continue;
            }
            let mut bytes = vec![0; room];
            match rustix::io::read(stdin, &mut bytes) {
                Ok(0) => return,
                Ok(count) => self.receive(&bytes[..count]),
                Err(Errno::INTR | Errno::AGAIN) => {}
                Err(_) => return,
            }
        }
    }

    /// Bytes that the port takes, if the guest's driver listens.
    fn listening_room(&self) -> usize {
        let model = self.lock();
        if is_listening(&model) { model.fifo_capacity() } else { 0 }
    }

    fn receive(&self, bytes: &[u8]) {
        // There was room, which only grows; a guest that has its port in loop mode gets none.
        let _ = self.lock().enqueue_raw_bytes(bytes);
    }
}

/// A driver that has just been set up throws away what came before it wanted to know.
fn is_listening(model: &Serial<Line, Room, Output>) -> bool {
    model.state().interrupt_enable & RECEIVED != 0
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;
    use vmm_sys_util::eventfd::EFD_NONBLOCK;

    fn port(stdout: Option<OwnedFd>) -> (Arc<SerialPort>, EventFd) {
        let line = EventFd::new(EFD_NONBLOCK).unwrap();
        (Arc::new(SerialPort::new(line.try_clone().unwrap(), stdout).unwrap()), line)
    }

    #[test]
    fn input_waits_for_a_driver_and_comes_whole() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (port, line) = port(None);
        let sent: Vec<u8> = (0..200).collect();
        rustix::io::write(&writer, &sent).unwrap();
        drop(writer);
        let carrier = Arc::clone(&port);
        let thread = std::thread::spawn(move || carrier.carry(&reader));
        let mut status = [0];
        std::thread::sleep(Duration::from_millis(20));
        port.read(5, &mut status);
        assert_eq!(status[0] & 1, 0, "nobody listens");
        port.write(1, &[RECEIVED]);
        let mut got = Vec::new();
        while got.len() < sent.len() {
            port.read(5, &mut status);
            if status[0] & 1 == 0 {
                std::thread::yield_now();
                continue;
            }
            let mut byte = [0];
            port.read(0, &mut byte);
            got.push(byte[0]);
        }
        assert_eq!(got, sent);
        assert!(line.read().unwrap() > 0, "the guest was interrupted");
        thread.join().unwrap();
    }

    #[test]
    fn output_is_written_and_a_reader_that_is_gone_is_no_matter() {
        let (reader, writer) = rustix::pipe::pipe().unwrap();
        let (port, _line) = port(Some(writer));
        port.write(0, b"a");
        port.write(0, b"");
        let mut byte = [0; 2];
        assert_eq!(rustix::io::read(&reader, &mut byte).unwrap(), 1);
        assert_eq!(byte[0], b'a');
        drop(reader);
        port.write(0, b"b");
        port.write(0, b"c");
    }
}
