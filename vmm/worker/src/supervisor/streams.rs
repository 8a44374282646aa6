//! The streams of a partition in the background: its worker has one end of each, the supervisor the other.
//!
//! ```text
//!   attached client ──► input ──► worker ──► outputs ──► log
//!                                                   └──► attached clients
//! ```
//!
//! Nothing here blocks. A client that does not read is let go when too much waits for it: the partition and its log go on.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use rustix::event::{PollFd, PollFlags};
use rustix::io::{Errno, read, write};
use rustix::pipe::{PipeFlags, pipe_with};

use super::desk::ClientId;
use super::log::{Log, Stream};
use crate::keeping::Detached;

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// What may wait for a client that does not read.
const MOST_UNSENT: usize = 1 << 20;
/// What may wait for a program that does not read.
const MOST_INPUT: usize = 64 << 10;

/// One who is attached.
struct Attached {
    client: ClientId,
    input: Option<OwnedFd>,
    outputs: [OwnedFd; 2],
    unsent: [VecDeque<u8>; 2],
}

/// See above.
pub(super) struct Streams {
    log: Log,
    outputs: Vec<(Stream, OwnedFd)>,
    input: Option<OwnedFd>,
    typed: VecDeque<u8>,
    attached: Vec<Attached>,
}

/// What happened to those that are attached.
#[derive(Default)]
pub(super) struct Departures {
    /// They read too slowly, or are gone.
    pub(super) gone: Vec<ClientId>,
}

impl Streams {
    /// Makes the streams, and the worker's ends of them this process's standard streams.
    pub(super) fn open(detached: &Detached) -> io::Result<Self> {
        let log = Log::create(&detached.log_directory, detached.log_limits)?;
        let pipe = || pipe_with(PipeFlags::CLOEXEC);
        let input = match detached.keeps_input {
            true => {
                let (theirs, ours) = pipe()?;
                rustix::stdio::dup2_stdin(&theirs)?;
                Some(ours)
            }
            false => None,
        };
        if input.is_none() {
            let flags = rustix::fs::OFlags::RDONLY | rustix::fs::OFlags::CLOEXEC;
            rustix::stdio::dup2_stdin(rustix::fs::open("/dev/null", flags, rustix::fs::Mode::empty())?)?;
        }
        let (ours, theirs) = pipe()?;
        rustix::stdio::dup2_stdout(&theirs)?;
        let mut outputs = vec![(Stream::Output, ours)];
        let (ours, theirs) = pipe()?;
        rustix::stdio::dup2_stderr(&theirs)?;
        outputs.push((Stream::Error, ours));
        for descriptor in outputs.iter().map(|(_, descriptor)| descriptor).chain(&input) {
            rustix::io::ioctl_fionbio(descriptor, true)?;
        }
        Ok(Self { log, outputs, input, typed: VecDeque::new(), attached: Vec::new() })
    }

    /// Adds one whose input is read and to whom the outputs are copied.
    pub(super) fn attach(&mut self, client: ClientId, descriptors: Vec<OwnedFd>) -> io::Result<()> {
        let [input, output, error] = <[OwnedFd; 3]>::try_from(descriptors)
            .map_err(|_| io::Error::other("it takes three descriptors"))?;
        for descriptor in [&input, &output, &error] {
            rustix::io::ioctl_fionbio(descriptor, true)?;
        }
        let (input, outputs) = (Some(input), [output, error]);
        self.attached.push(Attached { client, input, outputs, unsent: Default::default() });
        Ok(())
    }

    /// Lets one go.
    pub(super) fn detach(&mut self, client: ClientId) {
        self.attached.retain(|attached| attached.client != client);
    }

    /// What to wait for.
    pub(super) fn poll<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        let watch = |descriptor: &'a OwnedFd, flags| PollFd::from_borrowed_fd(descriptor.as_fd(), flags);
        into.extend(self.outputs.iter().map(|(_, descriptor)| watch(descriptor, PollFlags::IN)));
        if let (Some(input), false) = (&self.input, self.typed.is_empty()) {
            into.push(watch(input, PollFlags::OUT));
        }
        for attached in &self.attached {
            if let (Some(input), true) = (&attached.input, self.typed.len() < MOST_INPUT) {
                into.push(watch(input, PollFlags::IN));
            }
            for (output, unsent) in attached.outputs.iter().zip(&attached.unsent) {
                if !unsent.is_empty() {
                    into.push(watch(output, PollFlags::OUT));
                }
            }
        }
    }

    /// Moves what can be moved.
    pub(super) fn serve(&mut self) -> Departures {
        self.move_outputs();
        let mut departures = Departures::default();
        let typed = &mut self.typed;
        self.attached.retain_mut(|attached| {
            attached.type_into(typed);
            let stays = attached.flush() && attached.unsent.iter().all(|unsent| unsent.len() <= MOST_UNSENT);
            if !stays {
                departures.gone.push(attached.client);
            }
            stays
        });
        self.move_input();
        departures
    }

    /// Whatever is still in the pipes; the worker is gone.
    pub(super) fn drain(&mut self) {
        while self.move_outputs() {}
        for attached in &mut self.attached {
            let _ = attached.flush();
        }
    }

    /// A new worker: what was typed for the last one is nothing for it.
    pub(super) fn forget_input(&mut self) {
        self.typed.clear();
    }

    fn move_outputs(&mut self) -> bool {
        let mut buffer = vec![0; PIECE];
        let mut has_moved = false;
        for (stream, descriptor) in &self.outputs {
            let Ok(length @ 1..) = read(descriptor, &mut buffer) else { continue };
            has_moved = true;
            self.log.add(*stream, &buffer[..length]);
            for attached in &mut self.attached {
                attached.unsent[usize::from(*stream == Stream::Error)].extend(&buffer[..length]);
            }
        }
        has_moved
    }

    fn move_input(&mut self) {
        let Some(input) = &self.input else { return self.typed.clear() };
        while !self.typed.is_empty() {
            let (front, _) = self.typed.as_slices();
            match write(input, front) {
                Ok(length) => drop(self.typed.drain(..length)),
                Err(_) => return,
            }
        }
    }
}

impl Attached {
    fn type_into(&mut self, typed: &mut VecDeque<u8>) {
        let mut buffer = [0; 4096];
        while typed.len() < MOST_INPUT
            && let Some(input) = &self.input
        {
            match read(input, &mut buffer) {
                // The end of one client's input is not the end of the program's: another may attach.
                Ok(0) => self.input = None,
                Ok(length) => typed.extend(&buffer[..length]),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.input = None,
            }
        }
    }

    /// False if it is gone.
    fn flush(&mut self) -> bool {
        for (output, unsent) in self.outputs.iter().zip(&mut self.unsent) {
            while !unsent.is_empty() {
                let (front, _) = unsent.as_slices();
                match write(output, front) {
                    Ok(length) => drop(unsent.drain(..length)),
                    Err(Errno::INTR) => {}
                    Err(Errno::AGAIN) => break,
                    Err(_) => return false,
                }
            }
        }
        true
    }
}
