//! Further programs in the partition, and who waits for each.

use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;

use rustix::io::Errno;
use septum_api_types::exit::{self, Code};
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Exec};

use super::desk::ClientId;
use crate::outcome::reason;
use crate::protocol::{SessionEnd, ToWorker, send};

/// Most programs at once that somebody waits for.
const MOST: usize = 64;
/// Statuses of a shell for what it cannot run, and cannot find.
const CANNOT_RUN: u8 = 126;
const NOT_FOUND: u8 = 127;
/// The first program's.
pub(super) const FIRST: u32 = 0;

/// One that somebody waits for.
#[derive(Debug)]
struct Session {
    client: ClientId,
    program: String,
}

/// See above.
#[derive(Debug, Default)]
pub(super) struct Sessions {
    waited_for: BTreeMap<u32, Session>,
    last: u32,
}

impl Sessions {
    /// Has the worker start a program for a client. The answer, if there is one already.
    pub(super) fn begin(
        &mut self,
        client: ClientId,
        exec: Exec,
        descriptors: Vec<OwnedFd>,
        worker: &UnixStream,
    ) -> Option<Answer> {
        let refuse = |why: &str, hint: &str| {
            let failure = Failure::new(Code::Usage, "cannot start another program in the partition", why);
            Some(Answer::Refused(failure.hint(hint)))
        };
        if self.waited_for.len() >= MOST {
            let why = format!("{MOST} are waited for already");
            return refuse(&why, "end one of them first, or start it with --detach");
        }
        let is_complete = descriptors.len() == if exec.is_detached { 0 } else { control::DESCRIPTORS };
        let has_nul = |string: &septum_api_types::bytes::ByteString| string.0.contains(&0);
        let strings = || {
            exec.arguments.iter().chain(&exec.environment).chain(&exec.working_directory).chain(&exec.user)
        };
        if !is_complete || exec.arguments.is_empty() || strings().any(has_nul) {
            return refuse(
                "the request is malformed",
                "use 'septum exec' of the version that started the partition",
            );
        }
        if strings().map(|string| string.0.len() + 1).sum::<usize>() > MOST_BYTES {
            return refuse(
                "its arguments and environment are too long",
                "pass what is long by standard input",
            );
        }
        // They are pipes of the client's, and the worker must never wait for it.
        if descriptors.iter().any(|descriptor| rustix::io::ioctl_fionbio(descriptor, true).is_err()) {
            return refuse("its streams cannot be used", "they must be pipes");
        }
        self.last = self.last.checked_add(1).unwrap_or(FIRST + 1);
        let (number, is_detached) = (self.last, exec.is_detached);
        let program = exec.arguments[0].to_string();
        let borrowed: Vec<_> = descriptors.iter().map(|descriptor| descriptor.as_fd()).collect();
        if let Err(error) = control::send(worker, &ToWorker::Begin { number, exec }, &borrowed) {
            return refuse(&error.to_string(), "it may be ending");
        }
        if is_detached {
            return Some(Answer::Done);
        }
        self.waited_for.insert(number, Session { client, program });
        None
    }

    /// A program has ended: whom to tell what.
    pub(super) fn ended(&mut self, number: u32, end: SessionEnd) -> Option<(ClientId, Answer)> {
        let Session { client, program } = self.waited_for.remove(&number)?;
        let answer = match end {
            SessionEnd::Exited(code) => Answer::Ended(code),
            SessionEnd::Signaled(signal) => Answer::Ended(exit::of_signal(signal)),
            SessionEnd::NotStarted(errno) => {
                let errno = Errno::from_raw_os_error(i32::try_from(errno).unwrap_or(libc::EIO));
                if errno == Errno::SRCH {
                    let message = format!(
                        "cannot start '{program}' in the partition: its /etc/passwd or /etc/group has no such user or group; give a number with --user"
                    );
                    return Some((client, Answer::Failed { status: CANNOT_RUN, message }));
                }
                let is_missing = matches!(errno, Errno::NOENT | Errno::NOTDIR);
                let (status, what) = if is_missing {
                    (NOT_FOUND, "cannot find it, or its interpreter or working directory")
                } else {
                    (CANNOT_RUN, "cannot run it")
                };
                let message = format!("cannot start '{program}' in the partition: {what}: {}", reason(errno));
                Answer::Failed { status, message }
            }
        };
        Some((client, answer))
    }

    /// A client is gone. What it waited for is told.
    pub(super) fn gone(&mut self, client: ClientId, worker: Option<&UnixStream>) {
        let number = self.number_of(client);
        if let Some(number) = number.filter(|&number| number != FIRST) {
            self.waited_for.remove(&number);
            if let Some(worker) = worker {
                // A worker that is gone is noticed by the watch.
                let _ = send(worker, &ToWorker::HangUp { number });
            }
        }
    }

    /// The number of what a client waits for; whoever is not here is attached to the first program.
    pub(super) fn number_of(&self, client: ClientId) -> Option<u32> {
        self.waited_for.iter().find(|(_, session)| session.client == client).map(|(&number, _)| number)
    }

    /// The partition is over, and all of them with it.
    pub(super) fn end_all(&mut self) -> Vec<(ClientId, Answer)> {
        let killed = exit::of_signal(libc::SIGKILL.unsigned_abs());
        std::mem::take(&mut self.waited_for)
            .into_values()
            .map(|Session { client, program }| {
                let message = format!("'{program}' was killed: the partition has ended");
                (client, Answer::Failed { status: killed, message })
            })
            .collect()
    }
}

/// Most bytes of arguments and environment; a frame to the worker holds them, escaped.
const MOST_BYTES: usize = 128 << 10;
