//! The process that makes a partition's sockets, as its supervisor sees it.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_netproxy::Outside;

use super::fork::{Forked, Kind};
use super::wait;
use crate::broker;
use crate::jail;
use crate::network::MOST_REFUSALS;
use crate::protocol::{FromBroker, receive};

/// How long one may take to leave.
const LEAVING: Duration = Duration::from_secs(1);

/// One of them. It goes when this does.
pub(super) struct Broker {
    /// `None` once it has been waited for.
    process: Option<Forked>,
    socket: UnixStream,
    /// What it has refused, each once.
    refused: BTreeSet<String>,
}

/// What it has said.
#[derive(Default)]
pub(super) struct Heard {
    /// What it refuses.
    pub(super) refused: Vec<String>,
    /// Why the partition cannot go on.
    pub(super) failure: Option<Failure>,
}

impl Broker {
    /// Starts it; there must be a single thread.
    pub(super) fn start(held: &[i32], spec: &PartitionSpec, outside: Outside) -> std::io::Result<Self> {
        let (process, socket) = Forked::fork(Kind::Broker, held, |socket, supervisor| {
            broker::serve(socket, supervisor, &spec.network, spec.jail, outside)
        })?;
        Ok(Self { process: Some(process), socket, refused: BTreeSet::new() })
    }

    /// What to wait for, as long as it is there.
    pub(super) fn poll(&self) -> Option<PollFd<'_>> {
        self.process.as_ref().map(|_| PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN))
    }

    /// Takes in what it has said.
    pub(super) fn hear(&mut self) -> Heard {
        let mut heard = Heard::default();
        let now = Timespec { tv_sec: 0, tv_nsec: 0 };
        while let Some(fd) = self.poll() {
            if poll(&mut [fd], Some(&now)) != Ok(1) {
                break;
            }
            match receive(&self.socket) {
                Ok(FromBroker::Refused(line)) => {
                    if self.refused.len() < MOST_REFUSALS && self.refused.insert(line.clone()) {
                        heard.refused.push(line);
                    }
                }
                Ok(FromBroker::Failed(failure)) => heard.failure = Some(failure),
                // It has ended, or is no broker any more.
                Err(_) => {
                    let why = self.why_it_ended();
                    heard.failure = heard.failure.or(why);
                }
            }
        }
        heard
    }

    /// What it has refused.
    pub(super) fn refused(&self) -> Vec<String> {
        self.refused.iter().cloned().collect()
    }

    /// Waits for it. `None` if its worker is gone, which is told elsewhere.
    fn why_it_ended(&mut self) -> Option<Failure> {
        let process = self.process.take()?;
        // It has closed its socket, which is the last thing but one that it does.
        let leaves = wait::wait_at_most(process.pid(), LEAVING);
        let status = if leaves { process.wait() } else { process.end() };
        let why = match status.map(|status| (status, status.exit_status())) {
            Some((_, Some(broker::GONE))) => return None,
            Some((_, Some(broker::MALFORMED))) => {
                "the worker asked it for something that no partition asks for".to_owned()
            }
            Some((status, _)) => match jail::report::take() {
                Some(call) if status.terminating_signal() == Some(libc::SIGSYS) => {
                    format!("it made a system call that its jail forbids: {}", call.describe())
                }
                _ => wait::describe(status),
            },
            None => "its status is unknown".to_owned(),
        };
        let failure =
            Failure::new(Code::Worker, "the process that makes the partition's connections ended", why);
        Some(failure.hint(
            "either somebody has taken over the partition's worker, or this is a bug of Septum: please report it, with the \
             output of 'septum doctor'",
        ))
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            process.end();
        }
    }
}
