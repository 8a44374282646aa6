//! The supervisor's desk: where others on the host come with requests while it watches over its partition.
//!
//! ```text
//!   septum stop, wait, … ──control socket──► Client ──► Demand ──► supervisor
//!                                             ▲                       │
//!                                             └──────── Answer ◄──────┘
//! ```
//!
//! One thread serves everybody: nothing here ever blocks. What cannot be sent at once waits for its client, up to a limit, beyond which
//! the client is let go. The partition goes on without a desk if its record cannot be written (a full disk, say).

mod client;

use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags};
use septum_api_types::signal::Signal;
use septum_registry::control::{Answer, Exec, Request, is_allowed};
use septum_registry::{Entry, Record};

use client::Client;

/// Most clients at once; further ones wait to be accepted.
const MOST_CLIENTS: usize = 256;

/// Says which client something is about.
pub(super) type ClientId = u64;

/// What is wanted of the supervisor.
#[derive(Debug)]
pub(super) enum Demand {
    Stop(Option<Duration>),
    Kill,
    Signal(Signal),
    Pause,
    Resume,
    Wait,
    Stats {
        threads: bool,
    },
    Attach(Vec<OwnedFd>),
    Exec(Exec, Vec<OwnedFd>),
    Resize([u16; 2]),
    /// For what the client has started, or is attached to.
    SignalHere(Signal),
    /// The client has gone without having had its answer.
    Gone,
}

/// The desk.
pub(super) struct Desk {
    entry: Option<Entry>,
    listener: Option<UnixListener>,
    /// What is known of the partition, as last written.
    pub(super) record: Record,
    clients: Vec<Client>,
    next: ClientId,
}

impl Desk {
    /// With a place in the registry.
    pub(super) fn open(record: Record, place: Option<(Entry, UnixListener)>) -> Self {
        let (entry, listener) = place.unzip();
        Self { entry, listener, record, clients: Vec::new(), next: 0 }
    }

    /// The partition's folder in the registry, if it has one.
    pub(super) fn folder(&self) -> Option<&Path> {
        self.entry.as_ref().map(Entry::folder)
    }

    /// Changes the record. What cannot be written is not known to others, and that is all.
    pub(super) fn note(&mut self, change: impl FnOnce(&mut Record)) {
        change(&mut self.record);
        if let Some(entry) = &self.entry {
            let _ = entry.update(&self.record);
        }
    }

    /// What to wait for.
    pub(super) fn poll<'a>(&'a self, into: &mut Vec<PollFd<'a>>) {
        if let Some(listener) = &self.listener {
            let wanted = if self.clients.len() < MOST_CLIENTS { PollFlags::IN } else { PollFlags::empty() };
            into.push(PollFd::from_borrowed_fd(listener.as_fd(), wanted));
        }
        into.extend(self.clients.iter().map(Client::poll));
    }

    /// Serves whom `ready` says, in the order of [`poll`](Self::poll).
    pub(super) fn serve(&mut self, ready: &[PollFlags]) -> Vec<(ClientId, Demand)> {
        let mut ready = ready.iter();
        let has_new = self.listener.is_some() && ready.next().is_some_and(|flags| !flags.is_empty());
        let mut demands = Vec::new();
        for (client, flags) in self.clients.iter_mut().zip(ready) {
            if !flags.is_empty() {
                client.serve(&mut demands);
            }
        }
        self.sweep();
        if has_new {
            self.welcome();
        }
        demands
    }

    fn welcome(&mut self) {
        let Some(listener) = &self.listener else { return };
        while self.clients.len() < MOST_CLIENTS
            && let Ok((socket, _)) = listener.accept()
        {
            if is_allowed(&socket) && socket.set_nonblocking(true).is_ok() {
                self.clients.push(Client::new(self.next, socket));
                self.next += 1;
            }
        }
    }

    fn sweep(&mut self) {
        self.clients.retain(|client| !client.is_over());
    }

    /// Answers a client, if it is still there.
    pub(super) fn answer(&mut self, to: ClientId, answer: &Answer) {
        if let Some(client) = self.clients.iter_mut().find(|client| client.id() == to) {
            client.answer(answer);
        }
        self.sweep();
    }

    /// Tells all clients that wait how the partition ended, and waits a moment for those that are slow to hear.
    pub(super) fn tell_all(&mut self, status: u8) {
        for client in &mut self.clients {
            client.answer(&Answer::Ended(status));
        }
        for _ in 0..50 {
            self.sweep();
            if self.clients.is_empty() {
                return;
            }
            let mut fds: Vec<PollFd<'_>> = self.clients.iter().map(Client::poll).collect();
            let moment = rustix::event::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };
            let _ = rustix::event::poll(&mut fds, Some(&moment));
            drop(fds);
            self.clients.iter_mut().for_each(Client::flush);
        }
    }

    /// The partition is over. `keeps`: its record stays.
    pub(super) fn close(self, keeps: bool) {
        let Self { entry, record, .. } = self;
        match entry {
            Some(entry) if keeps => entry.keep(&record),
            Some(entry) => entry.remove(),
            None => {}
        }
    }
}

/// What a request asks of the supervisor.
fn demand(request: Request, descriptors: Vec<OwnedFd>) -> Demand {
    match request {
        Request::Stop { seconds } => Demand::Stop(seconds.map(|seconds| Duration::from_secs(seconds.into()))),
        Request::Kill => Demand::Kill,
        Request::Signal(signal) => Demand::Signal(signal),
        Request::Pause => Demand::Pause,
        Request::Resume => Demand::Resume,
        Request::Wait => Demand::Wait,
        Request::Stats { threads } => Demand::Stats { threads },
        Request::Exec(exec) => Demand::Exec(exec, descriptors),
        Request::Resize { size } => Demand::Resize(size),
        Request::SignalHere(signal) => Demand::SignalHere(signal),
        Request::Attach => Demand::Attach(descriptors),
    }
}
