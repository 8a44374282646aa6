//! The supervisor's side: start a worker, pass on what the caller's user wants, learn how it ended.
//!
//! ```text
//!              fork                  Ended                  worker gone
//!   (nothing) ───────► running ──────────────► leaving ───────────────► result
//!                        │ signal, timeout        ▲
//!                        ▼                        │ Ended
//!                     stopping ───────────────────┘
//!                        │ second signal, or GRACE passed
//!                        ▼
//!                     killed ──────────────────────────────────────────► result
//! ```
//!
//! From every state the end of the socket leads on: a worker that closed it without having said `Ended` has died, and
//! its wait status tells of what. The function returns only after the worker has been waited for.

mod cpus;
mod fork;
mod signals;
mod wait;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::WaitStatus;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::stats::{CpuStats, PartitionStats};

use crate::entry;
use crate::protocol::{
    End, Ended, FromWorker, Order, ProtocolError, Stage, StopCause, ToWorker, receive, send,
};
use cpus::Confinement;
use fork::Worker;
use signals::Signals;

/// How long a worker may take to stop, and to leave after it has said how its partition ended.
const GRACE: Duration = Duration::from_secs(5);

/// Runs a partition to its end. `stage` is called for every stage, if the order is verbose.
///
/// From this call on, SIGINT, SIGTERM, SIGHUP and SIGQUIT stop the partition instead of the calling process. Must be
/// called by a process with a single thread, which then has nothing else to do.
pub fn run(order: Order, stage: &mut dyn FnMut(&Stage)) -> Ended {
    match start(order) {
        Ok(mut supervision) => supervision.watch(stage),
        Err(failure) => ended(End::Failed(failure)),
    }
}

/// Whether this host lets a worker isolate itself: tries it in a process of its own. As with [`run`], there must be a single
/// thread.
///
/// # Errors
/// What failed, and what to change on the host.
pub fn try_isolation() -> Result<(), Failure> {
    let internal = |why: String| Failure::new(Code::Internal, "cannot start the worker process", why);
    let (worker, socket) = Worker::fork(|socket, _| entry::try_isolation(&socket))
        .map_err(|error| internal(error.to_string()))?;
    let answer = receive::<Option<Failure>>(&socket);
    let status = worker.wait();
    match answer {
        Ok(None) => Ok(()),
        Ok(Some(failure)) => Err(failure),
        Err(_) => Err(internal(status.map_or_else(|| "its status is unknown".to_owned(), wait::describe))),
    }
}

/// How partitions are kept to their processors (`--cpus`) on this host, for the caller: `cgroup-v1`, `cgroup-v2` or `affinity`.
#[must_use]
pub fn cpu_confinement() -> &'static str {
    cpus::try_out().name()
}

/// One running worker.
struct Supervision {
    /// `None` once it has been waited for.
    worker: Option<Worker>,
    socket: UnixStream,
    signals: Signals,
    /// When the time limit passes.
    timeout_at: Option<Instant>,
    /// Why it is to stop, and when to stop asking.
    stopping: Option<(StopCause, Instant)>,
    /// Whether it was killed here.
    killed: bool,
    /// Processors that the partition may use.
    cpus: u32,
    /// How it is kept to them, once that is necessary.
    confinement: Option<Confinement>,
}

impl Drop for Supervision {
    fn drop(&mut self) {
        if let Some(confinement) = self.confinement.take() {
            confinement.end();
        }
    }
}

fn start(order: Order) -> Result<Supervision, Failure> {
    let internal = |why: String| Failure::new(Code::Internal, "cannot start the worker process", why);
    // Held before the worker exists, so that it is born ignoring what the terminal sends to both.
    let signals = Signals::hold().map_err(|error| internal(reason(error)))?;
    let timeout = order.spec.timeout.map(|span| span.as_duration());
    let cpus = order.spec.cpus;
    let (worker, socket) = Worker::fork(|socket, supervisor| entry::serve(socket, supervisor, order))
        .map_err(|error| internal(format!("fork failed: {error}")))?;
    Ok(Supervision {
        worker: Some(worker),
        socket,
        signals,
        timeout_at: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
        stopping: None,
        killed: false,
        cpus,
        confinement: None,
    })
}

/// What the watch woke up for.
#[derive(Default)]
struct Wake {
    worker: bool,
    signal: Option<i32>,
}

impl Supervision {
    fn watch(&mut self, stage: &mut dyn FnMut(&Stage)) -> Ended {
        loop {
            let wake = self.sleep();
            if wake.worker {
                match receive(&self.socket) {
                    Ok(FromWorker::Stage(completed)) => stage(&completed),
                    Ok(FromWorker::Crowded) => self.confine(),
                    Ok(FromWorker::Ended(mut last_word)) => {
                        self.reap();
                        last_word.stats.cpus = self.cpu_stats();
                        return *last_word;
                    }
                    Err(ProtocolError::Closed) => return self.worker_died(),
                    Err(error) => return self.worker_babbled(&error),
                }
            }
            if let Some(signal) = wake.signal {
                self.signal_came(signal);
            }
            let now = Instant::now();
            if self.timeout_at.is_some_and(|at| now >= at) {
                self.timeout_at = None;
                self.stop(StopCause::Timeout);
            }
            if self.stopping.is_some_and(|(_, until)| now >= until) {
                self.kill();
            }
        }
    }

    /// The partition could use more processors than it may.
    fn confine(&mut self) {
        if let (None, Some(worker)) = (&self.confinement, &self.worker) {
            self.confinement = cpus::confine(worker.pid(), self.cpus);
        }
    }

    fn cpu_stats(&self) -> CpuStats {
        let kept_by = self.confinement.as_ref().map(|confinement| confinement.name().to_owned());
        CpuStats { count: self.cpus, kept_by }
    }

    /// Until the worker says something, a signal comes, or a deadline passes.
    fn sleep(&self) -> Wake {
        let deadline = match (self.timeout_at, self.stopping.map(|(_, until)| until)) {
            _ if self.killed => None,
            (Some(timeout), Some(until)) => Some(timeout.min(until)),
            (timeout, until) => timeout.or(until),
        };
        let timeout =
            deadline.and_then(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())).ok());
        let mut fds = [
            PollFd::from_borrowed_fd(self.socket.as_fd(), PollFlags::IN),
            PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN),
        ];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Cannot fail otherwise; if it does, the worker's own word is awaited.
            Err(_) => return Wake { worker: true, signal: None },
        }
        Wake {
            worker: !fds[0].revents().is_empty(),
            signal: if fds[1].revents().is_empty() { None } else { self.signals.take() },
        }
    }

    /// The first signal asks, the second kills; SIGQUIT kills at once.
    fn signal_came(&mut self, signal: i32) {
        let asked_before = matches!(self.stopping, Some((StopCause::Signal(_), _)));
        self.stop(StopCause::Signal(signal));
        if asked_before || signal == libc::SIGQUIT {
            self.kill();
        }
    }

    fn stop(&mut self, cause: StopCause) {
        let until = self.stopping.map_or_else(|| Instant::now() + GRACE, |(_, until)| until);
        // A signal after the timeout, or the other way round, does not change what the caller is told.
        let first_cause = self.stopping.map_or(cause, |(first, _)| first);
        self.stopping = Some((first_cause, until));
        // A worker that is gone is noticed by the watch.
        let _ = send(&self.socket, &ToWorker::Stop(cause));
    }

    fn kill(&mut self) {
        self.killed = true;
        if let Some(worker) = &self.worker {
            worker.kill();
        }
    }

    /// Waits until the worker is gone; makes sure that it goes. Returns how it went.
    fn reap(&mut self) -> Option<WaitStatus> {
        if self.worker.as_ref().is_some_and(|worker| !wait::wait_at_most(worker.pid(), GRACE)) {
            self.kill();
        }
        self.worker.take()?.wait()
    }

    fn worker_died(&mut self) -> Ended {
        let status = self.reap();
        if let (true, Some((cause, _))) = (self.killed, self.stopping) {
            return ended(End::Stopped(cause));
        }
        let why = status.map_or_else(|| "its status is unknown".to_owned(), wait::describe);
        let hint = match status.and_then(WaitStatus::terminating_signal) {
            Some(libc::SIGKILL) => {
                "somebody killed it, or the host ran out of memory ('dmesg' says so): use less with --memory"
            }
            _ => Code::Worker.advice(),
        };
        ended(End::Failed(Failure::new(Code::Worker, "the worker process died", why).hint(hint)))
    }

    fn worker_babbled(&mut self, error: &ProtocolError) -> Ended {
        self.kill();
        self.reap();
        ended(End::Failed(Failure::new(
            Code::Internal,
            "cannot understand the worker process",
            error.to_string(),
        )))
    }
}

/// An end of which nothing else is known.
fn ended(end: End) -> Ended {
    Ended { end, stats: PartitionStats::default(), log: String::new() }
}

fn reason(error: Errno) -> String {
    crate::outcome::reason(error)
}
