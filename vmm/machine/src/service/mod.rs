//! What the host wants of a guest kernel that runs: wishes wait here until the service vCPU comes for them.
//!
//! ```text
//!   wish ──► queue ──► NEXT of the service vCPU, which waits here, in its thread ──► the guest does it ──► NEXT ──► Notice::Done
//!   descriptor is ready ──┘
//! ```
//!
//! The vCPU is started when the first wish comes, by the guest ([`septum_abi::service`]). Wishes come from the thread that waits for
//! the machine's end, calls from vCPUs, any of them: a guest that has several wait only keeps its own threads from working.
//! [`sessions`] has the host's ends of what further programs, or a terminal, read and write.

mod sessions;

use crate::guest::{read, write_bytes};
use rustix::event::{EventfdFlags, PollFd, PollFlags, eventfd, poll};
use septum_abi::layout::{LAPIC_BASE, PAGE_SHIFT, PAGE_SIZE, REPORT};
use septum_abi::linux::Errno;
use septum_abi::report::GuestReport;
use septum_abi::service::{CALL, Call, FIRST_SESSION, PAGES, VECTOR, event, operation, program, stream};
use septum_hypervisor::Vm;
use septum_memory::{GuestRam, Plain};
use sessions::Sessions;
use std::collections::VecDeque;
use std::io;
use std::mem::offset_of;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use vm_memory::{Bytes as _, GuestAddress};

/// A program of a session.
#[derive(Debug)]
pub struct NewSession {
    /// Its number; not [`FIRST_SESSION`].
    pub number: u32,
    /// What is to be run, as [`septum_abi::service::program`] says.
    pub program: Vec<u8>,
    /// What it reads from, writes to, and writes errors to. They must not block.
    pub streams: [Option<OwnedFd>; 3],
    /// Its streams are a terminal: what is typed becomes signals there even if nobody reads.
    pub is_terminal: bool,
}

/// What a session is to run, as the guest reads it. No string contains a NUL.
pub fn encode_program(
    terminal: Option<[u16; 2]>,
    has_input: bool,
    workdir: &[u8],
    user: &[u8],
    arguments: &[&[u8]],
    environment: &[&[u8]],
) -> Vec<u8> {
    let mut flags = 0;
    if terminal.is_some() {
        flags |= program::TERMINAL;
    }
    if has_input {
        flags |= program::INPUT;
    }
    let [rows, columns] = terminal.unwrap_or_default().map(u32::from);
    let count = |list: &[&[u8]]| u32::try_from(list.len()).unwrap_or(u32::MAX);
    let words = [flags, rows, columns, count(arguments), count(environment)];
    let mut bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    for string in [workdir, user].iter().chain(arguments).chain(environment) {
        bytes.extend_from_slice(string);
        bytes.push(0);
    }
    bytes
}

/// The first signal of which each one counts.
const FIRST_REAL_TIME: u32 = 32;
/// How many of those wait at most.
const MOST_SIGNALS: usize = 4096;

/// Something that the guest kernel is to do.
#[derive(Debug)]
pub enum Wish {
    /// Send this signal to a session's program, or the first program. The same one twice while it waits is one, unless its number is a
    /// real-time one, as on Linux.
    Signal(u32, u32),
    /// Start a program.
    Begin(NewSession),
    /// A session's terminal has so many rows and columns.
    Resize(u32, [u16; 2]),
    /// A session's other end is gone.
    HangUp(u32),
}

/// How a session's program ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SessionEnd {
    /// It exited.
    Exited(u8),
    /// This signal killed it.
    Signaled(u32),
    /// It could not be started, for this Linux error number.
    NotStarted(u32),
}

/// What the guest has said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Notice {
    /// It has dealt with all wishes.
    Done,
    /// A session's program has ended.
    Ended(u32, SessionEnd),
}

/// Who is told what the guest says.
pub struct Listener(pub Box<dyn Fn(Notice) + Send + Sync>);

impl std::fmt::Debug for Listener {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Listener")
    }
}

/// What the guest gets to hear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Event {
    kind: u32,
    session: u32,
    stream: u32,
    detail: u32,
}

/// See above.
#[derive(Debug)]
pub struct Service {
    state: Mutex<State>,
    sessions: Mutex<Sessions>,
    /// Rung when there is something to do.
    bell: OwnedFd,
    listener: Listener,
}

#[derive(Debug, Default)]
struct State {
    events: VecDeque<Event>,
    /// Something was taken, and the guest has not come again since.
    is_working: bool,
    /// The guest was told that a service vCPU is wanted.
    is_wanted: bool,
}

impl Service {
    /// Without wishes.
    ///
    /// # Errors
    /// The host has no more descriptors.
    pub fn new(listener: Listener) -> io::Result<Self> {
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self { state: Mutex::default(), sessions: Mutex::default(), bell, listener })
    }

    /// Gives the first program a terminal, whose other end these are. Before the guest runs.
    pub fn give_terminal(&self, input: Option<OwnedFd>, output: Option<OwnedFd>, ram: &GuestRam) {
        self.begin_session(FIRST_SESSION, Vec::new(), [input, output, None], true);
        self.lock().is_wanted = true;
        ask_for_service(ram);
    }

    /// What the host has of a session whose program the guest is to be asked for.
    pub fn begin_session(
        &self,
        number: u32,
        program: Vec<u8>,
        streams: [Option<OwnedFd>; 3],
        is_terminal: bool,
    ) {
        self.sessions().begin(number, program, streams, is_terminal);
    }

    /// Wants something of the guest.
    pub fn want(&self, wish: Wish, ram: &GuestRam, vm: &Vm) {
        let none = Event { kind: event::NONE, session: 0, stream: 0, detail: 0 };
        let event = match wish {
            Wish::Signal(session, signal) => Event { kind: event::SIGNAL, session, detail: signal, ..none },
            Wish::Begin(NewSession { number, program, streams, is_terminal }) => {
                self.begin_session(number, program, streams, is_terminal);
                Event { kind: event::BEGIN, session: number, ..none }
            }
            Wish::Resize(session, [rows, columns]) => {
                let detail = u32::from(rows) << 16 | u32::from(columns);
                // The last one counts.
                self.lock().events.retain(|event| (event.kind, event.session) != (event::RESIZE, session));
                Event { kind: event::RESIZE, session, detail, ..none }
            }
            Wish::HangUp(session) => Event { kind: event::HANG_UP, session, ..none },
        };
        let mut state = self.lock();
        // A guest that takes none is not given more than it could keep.
        let is_queued = (event.kind, event.detail >= FIRST_REAL_TIME) == (event::SIGNAL, true)
            && state.events.len() < MOST_SIGNALS;
        if is_queued || !state.events.contains(&event) {
            state.events.push_back(event);
        }
        let is_first = !std::mem::replace(&mut state.is_wanted, true);
        drop(state);
        self.ring();
        if is_first {
            ask_for_service(ram);
            // If KVM does not interrupt, the guest looks at the next interrupt.
            let _ = vm.signal_msi(LAPIC_BASE, VECTOR);
        }
    }

    /// Whether a service vCPU is wanted.
    pub fn is_wanted(&self) -> bool {
        self.lock().is_wanted
    }

    /// Serves a call of the guest, which wrote `number` to the command port. Only NEXT waits; it returns early when `stop` is set and the
    /// thread gets a signal.
    pub fn call(&self, number: u32, ram: &GuestRam, stop: &AtomicBool) {
        let page = u64::from(number & !CALL) << PAGE_SHIFT;
        let Ok(Plain(mut call)) = read::<Plain<Call>>(ram, page) else { return };
        match call.operation {
            operation::NEXT => {
                let event = self.next(stop);
                call.event = event.map_or(event::NONE, |event| event.kind);
                if let Some(Event { session, stream, detail, .. }) = event {
                    (call.session, call.stream, call.detail) = (session, stream, detail);
                }
            }
            operation::READ => call.value = value_of(self.read(&call, ram)),
            operation::WRITE => call.value = value_of(self.write(&call, ram)),
            operation::CLOSE => self.sessions().close(call.session, call.stream),
            operation::ENDED => self.ended(&call),
            _ => call.event = event::NONE,
        }
        // It could be read.
        let _ = ram.write_obj(Plain(call), GuestAddress(page));
    }

    fn read(&self, call: &Call, ram: &GuestRam) -> Result<usize, Errno> {
        let len = usize::try_from(call.len).unwrap_or(usize::MAX).min(PAGES * PAGE_SIZE);
        if call.stream == stream::PROGRAM {
            let bytes = self.sessions().take_program(call.session, len);
            put(call, &bytes, ram)?;
            return Ok(bytes.len());
        }
        let descriptor = self.sessions().stream(call.session, call.stream).ok_or(Errno::EBADF)?;
        let mut bytes = vec![0; len];
        match rustix::io::read(&*descriptor, &mut bytes) {
            Ok(read) => put(call, &bytes[..read], ram).map(|()| read),
            Err(error) => Err(self.refused(call, &descriptor, PollFlags::IN, error)),
        }
    }

    fn write(&self, call: &Call, ram: &GuestRam) -> Result<usize, Errno> {
        let descriptor = self.sessions().stream(call.session, call.stream).ok_or(Errno::EPIPE)?;
        let bytes = get(call, ram)?;
        match rustix::io::write(&*descriptor, &bytes) {
            Ok(written) => Ok(written),
            Err(error) => Err(self.refused(call, &descriptor, PollFlags::OUT, error)),
        }
    }

    /// What the guest is told of an error; if it is to try again, it will be told when.
    fn refused(
        &self,
        call: &Call,
        descriptor: &Arc<OwnedFd>,
        events: PollFlags,
        error: rustix::io::Errno,
    ) -> Errno {
        match error {
            rustix::io::Errno::AGAIN | rustix::io::Errno::INTR => {
                self.sessions().watch(call.session, call.stream, descriptor, events);
                self.ring();
                Errno::EAGAIN
            }
            // The other end of a terminal is gone.
            rustix::io::Errno::IO => Errno::EIO,
            error => Errno::from_number(error.raw_os_error().unsigned_abs()).unwrap_or(Errno::EIO),
        }
    }

    fn ended(&self, call: &Call) {
        if !self.sessions().end(call.session) {
            return;
        }
        let end = match call.value {
            value @ 0..=255 => SessionEnd::Exited(value.to_le_bytes()[0]),
            value @ 256.. => SessionEnd::Signaled(value.unsigned_abs() - 256),
            value => SessionEnd::NotStarted(value.unsigned_abs()),
        };
        (self.listener.0)(Notice::Ended(call.session, end));
    }

    /// The next event; `None` if the machine ends.
    fn next(&self, stop: &AtomicBool) -> Option<Event> {
        loop {
            if stop.load(Ordering::Acquire) {
                return None;
            }
            let mut state = self.lock();
            let event = state.events.pop_front();
            let is_done = std::mem::replace(&mut state.is_working, event.is_some()) && event.is_none();
            drop(state);
            if is_done {
                (self.listener.0)(Notice::Done);
            }
            if event.is_some() {
                return event;
            }
            self.wait();
        }
    }

    /// Until somebody rings, a stream is ready, or a signal comes.
    fn wait(&self) {
        let watched = self.sessions().watched();
        let mut fds = vec![PollFd::new(&self.bell, PollFlags::IN)];
        fds.extend(watched.iter().map(|watch| PollFd::new(&*watch.descriptor, watch.events)));
        if poll(&mut fds, None).is_err() {
            return;
        }
        let is_ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
        drop(fds);
        if is_ready[0] {
            let _ = rustix::io::read(&self.bell, &mut [0; 8]);
        }
        for (watch, _) in watched.iter().zip(&is_ready[1..]).filter(|(_, is_ready)| **is_ready) {
            if self.sessions().unwatch(watch) {
                let (session, stream) = (watch.session, watch.stream);
                self.lock().events.push_back(Event { kind: event::READY, session, stream, detail: 0 });
            }
        }
    }

    /// Makes whoever waits look again.
    fn ring(&self) {
        // A bell that rings already wakes all the same.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn sessions(&self) -> MutexGuard<'_, Sessions> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn ask_for_service(ram: &GuestRam) {
    let place = REPORT + u64::try_from(offset_of!(GuestReport, service_wanted)).unwrap_or(0);
    // The report is RAM.
    let _ = write_bytes(ram, place, &1_u32.to_le_bytes());
}

fn value_of(result: Result<usize, Errno>) -> i32 {
    match result {
        Ok(len) => i32::try_from(len).unwrap_or(i32::MAX),
        Err(errno) => -i32::from(errno.number()),
    }
}

/// Where byte `at` of a call's data is.
fn address_of(call: &Call, at: usize) -> Option<GuestAddress> {
    let page = call.pages.get(at / PAGE_SIZE)?;
    Some(GuestAddress((u64::from(*page) << PAGE_SHIFT) + u64::try_from(at % PAGE_SIZE).ok()?))
}

/// Puts bytes into a call's pages.
fn put(call: &Call, bytes: &[u8], ram: &GuestRam) -> Result<(), Errno> {
    for (index, piece) in bytes.chunks(PAGE_SIZE).enumerate() {
        let at = address_of(call, index * PAGE_SIZE).ok_or(Errno::EFAULT)?;
        ram.write_slice(piece, at).map_err(|_| Errno::EFAULT)?;
    }
    Ok(())
}

/// The bytes that a call writes.
fn get(call: &Call, ram: &GuestRam) -> Result<Vec<u8>, Errno> {
    let [offset, len] = [call.offset, call.len].map(|number| usize::try_from(number).unwrap_or(usize::MAX));
    let end = offset.checked_add(len).filter(|end| *end <= PAGES * PAGE_SIZE).ok_or(Errno::EINVAL)?;
    let mut bytes = vec![0; len];
    let mut at = offset;
    while at < end {
        let piece = (PAGE_SIZE - at % PAGE_SIZE).min(end - at);
        let place = address_of(call, at).ok_or(Errno::EFAULT)?;
        ram.read_slice(&mut bytes[at - offset..at - offset + piece], place).map_err(|_| Errno::EFAULT)?;
        at += piece;
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_memory::Pages;

    const PAGE: u64 = 0x20_0000;
    const DATA: u64 = 0x30_0000;

    struct Bench {
        ram: GuestRam,
        service: Service,
        said: Arc<Mutex<Vec<Notice>>>,
    }

    fn bench() -> Bench {
        let said = Arc::new(Mutex::new(Vec::new()));
        let heard = Arc::clone(&said);
        let listener = Listener(Box::new(move |notice| heard.lock().unwrap().push(notice)));
        let ram = septum_memory::allocate(16 << 20, Pages::Ordinary).unwrap();
        Bench { ram, service: Service::new(listener).unwrap(), said }
    }

    impl Bench {
        fn call(&self, call: Call) -> Call {
            let number = CALL | u32::try_from(PAGE >> PAGE_SHIFT).unwrap();
            self.ram.write_obj(Plain(call), GuestAddress(PAGE)).unwrap();
            self.service.call(number, &self.ram, &AtomicBool::new(false));
            read::<Plain<Call>>(&self.ram, PAGE).unwrap().0
        }

        fn data(operation: u32, stream: u32, offset: u32, len: u32) -> Call {
            let page = u32::try_from(DATA >> PAGE_SHIFT).unwrap();
            let pages = [page, page + 1, page + 2, page + 3];
            Call { operation, session: 1, stream, offset, len, pages, ..Call::default() }
        }
    }

    #[test]
    fn streams_are_read_and_written_without_waiting() {
        let bench = bench();
        let (ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        let theirs = OwnedFd::from(theirs);
        let streams = [Some(theirs.try_clone().unwrap()), Some(theirs), None];
        bench.service.sessions().begin(1, b"what".to_vec(), streams, false);
        assert_eq!(bench.call(Bench::data(operation::READ, stream::PROGRAM, 0, 3)).value, 3);
        assert_eq!(bench.call(Bench::data(operation::READ, stream::PROGRAM, 0, 99)).value, 1);
        assert_eq!(bench.call(Bench::data(operation::READ, stream::PROGRAM, 0, 99)).value, 0);
        assert_eq!(bench.call(Bench::data(operation::READ, stream::INPUT, 0, 99)).value, -11);
        rustix::io::write(&ours, b"typed").unwrap();
        let next = bench.call(Call { operation: operation::NEXT, ..Call::default() });
        assert_eq!((next.event, next.session, next.stream), (event::READY, 1, stream::INPUT));
        assert_eq!(bench.call(Bench::data(operation::READ, stream::INPUT, 0, 99)).value, 5);
        bench.ram.write_slice(b"written", GuestAddress(DATA + 4090)).unwrap();
        assert_eq!(bench.call(Bench::data(operation::WRITE, stream::OUTPUT, 4090, 7)).value, 7);
        let mut bytes = [0; 7];
        rustix::io::read(&ours, &mut bytes).unwrap();
        assert_eq!(&bytes, b"written");
        bench.call(Call { operation: operation::ENDED, session: 1, value: 256 + 15, ..Call::default() });
        bench.call(Call { operation: operation::ENDED, session: 1, value: 3, ..Call::default() });
        assert_eq!(*bench.said.lock().unwrap(), [Notice::Ended(1, SessionEnd::Signaled(15))]);
    }

    #[test]
    fn nonsense_is_refused() {
        let bench = bench();
        let (_ours, theirs) = std::os::unix::net::UnixStream::pair().unwrap();
        bench.service.sessions().begin(1, Vec::new(), [None, Some(theirs.into()), None], false);
        let value = |call: Call| bench.call(call).value;
        assert_eq!(value(Bench::data(operation::WRITE, stream::OUTPUT, 0, u32::MAX)), -22);
        assert_eq!(value(Bench::data(operation::WRITE, stream::OUTPUT, u32::MAX, 2)), -22);
        assert_eq!(value(Bench::data(operation::WRITE, stream::OUTPUT, 16383, 2)), -22);
        assert_eq!(value(Bench::data(operation::WRITE, stream::ERROR, 0, 2)), -32);
        assert_eq!(value(Bench::data(operation::READ, 77, 0, 2)), -9);
        let outside =
            Call { pages: [u32::MAX >> 1; 4], ..Bench::data(operation::WRITE, stream::OUTPUT, 0, 9) };
        assert_eq!(value(outside), -14);
        for operation in [0, operation::CLOSE, operation::ENDED, 6, u32::MAX] {
            bench.call(Call { operation, session: 99, stream: u32::MAX, ..Call::default() });
        }
        bench.service.call(u32::MAX, &bench.ram, &AtomicBool::new(false));
        assert!(bench.said.lock().unwrap().is_empty());
    }
}
