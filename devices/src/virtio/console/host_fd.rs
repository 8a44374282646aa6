//! A descriptor of the caller's, of a kind that we do not choose: pipe, terminal, socket, file, device.
//!
//! It may be shared with processes that know nothing of us, so its flags stay as they are: a blocking descriptor
//! remains blocking. To write to one without being blocked, we ask first how much it takes:
//!
//! ```text
//! kind        written at once                                        readiness
//! immediate   everything: files, /dev/null, non-blocking (EAGAIN)    always, or by EAGAIN
//! pipe        its capacity when empty, else a page when poll says so epoll
//! stream      a page when poll says so: sockets, other terminals     epoll
//! ```
//!
//! A terminal is opened once more, for us alone and non-blocking, where `/proc` and permissions allow it: it may be
//! stopped for hours, and takes less than a page.
//!
//! Another process that fills a shared pipe between question and write can still block us until the pipe's reader
//! reads; that is also what would happen to any program that wrote there.
//!
//! Readiness is watched with one-shot events: a hang-up that nobody waits for must not keep the event loop busy.

use std::fs::File;
use std::io::{self, IsTerminal};
use std::os::fd::{AsRawFd, OwnedFd};

use event_manager::{EventOps, EventSet, Events};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fcntl_getfl, fstat};

use crate::core::index;

/// Bytes that a pipe, terminal or socket takes without blocking when it says that it is writable.
const PAGE: usize = 4096;
/// Bytes of one write to a descriptor that takes everything: bounds the time in which others wait.
const MOST_AT_ONCE: usize = 1 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Immediate,
    Pipe { capacity: usize },
    Stream,
}

/// The same file as a non-blocking description that nobody shares.
fn reopen(descriptor: &OwnedFd, flags: OFlags) -> Option<OwnedFd> {
    let path = format!("/proc/self/fd/{}", descriptor.as_raw_fd());
    let flags = flags & OFlags::ACCMODE | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    rustix::fs::open(path, flags, Mode::empty()).ok()
}

/// Whether the event loop knows the descriptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Unknown,
    Known { is_armed: bool },
}

/// A host descriptor behind a port.
pub(super) struct HostFd {
    file: File,
    kind: Kind,
    watch: Watch,
    tag: u32,
}

impl HostFd {
    /// Examines `descriptor`; its events will carry `tag`.
    pub(super) fn new(descriptor: OwnedFd, tag: u32) -> io::Result<Self> {
        let flags = fcntl_getfl(&descriptor)?;
        let own = descriptor.is_terminal().then(|| reopen(&descriptor, flags)).flatten();
        let is_nonblocking = own.is_some() || flags.contains(OFlags::NONBLOCK);
        let descriptor = own.unwrap_or(descriptor);
        let kind = match FileType::from_raw_mode(fstat(&descriptor)?.st_mode) {
            _ if is_nonblocking => Kind::Immediate,
            FileType::Fifo => {
                let capacity = rustix::pipe::fcntl_getpipe_size(&descriptor).unwrap_or(PAGE);
                Kind::Pipe { capacity }
            }
            FileType::Socket => Kind::Stream,
            FileType::CharacterDevice if descriptor.is_terminal() => Kind::Stream,
            _ => Kind::Immediate,
        };
        Ok(Self { file: File::from(descriptor), kind, watch: Watch::Unknown, tag })
    }

    pub(super) fn file(&mut self) -> &mut File {
        &mut self.file
    }

    /// How many bytes can be written now without being blocked; `None`: none.
    pub(super) fn writable_bytes(&self) -> Option<usize> {
        match self.kind {
            Kind::Immediate => Some(MOST_AT_ONCE),
            Kind::Pipe { capacity } if rustix::io::ioctl_fionread(&self.file) == Ok(0) => Some(capacity),
            Kind::Pipe { .. } | Kind::Stream => self.is_ready(PollFlags::OUT).then_some(PAGE),
        }
    }

    /// Whether a read returns without waiting.
    pub(super) fn is_readable(&self) -> bool {
        self.is_ready(PollFlags::IN)
    }

    /// Asks the event loop for one event when the descriptor is readable.
    pub(super) fn watch_readable(&mut self, operations: &mut EventOps) -> bool {
        self.watch(EventSet::IN, operations)
    }

    /// Asks the event loop for one event when the descriptor is writable.
    pub(super) fn watch_writable(&mut self, operations: &mut EventOps) -> bool {
        self.watch(EventSet::OUT, operations)
    }

    /// The event came.
    pub(super) fn event_came(&mut self) {
        self.watch = Watch::Known { is_armed: false };
    }

    /// False if the descriptor cannot be watched, as regular files cannot: then it never needs to be waited for.
    fn watch(&mut self, interest: EventSet, operations: &mut EventOps) -> bool {
        let events = Events::with_data(&self.file, self.tag, interest | EventSet::ONE_SHOT);
        let result = match self.watch {
            Watch::Known { is_armed: true } => Ok(()),
            Watch::Known { is_armed: false } => operations.modify(events),
            Watch::Unknown => operations.add(events),
        };
        match result {
            Ok(()) => {
                self.watch = Watch::Known { is_armed: true };
                true
            }
            Err(error) => {
                log::debug!("descriptor of a port cannot be watched: {error}");
                self.kind = Kind::Immediate;
                false
            }
        }
    }

    fn is_ready(&self, interest: PollFlags) -> bool {
        let mut polled = [PollFd::new(&self.file, interest)];
        // Errors and hang-ups count as ready: the read or write then says what they are.
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        index(poll(&mut polled, Some(&now)).unwrap_or(0)) > 0
    }
}
