//! What clients want of a partition's programs: another one, their streams, signals to them.

use std::os::fd::OwnedFd;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::signal::Signal;
use septum_registry::control::{Answer, Exec};

use super::desk::ClientId;
use super::{Supervision, not_now};
use crate::protocol::{ToWorker, send};

impl Supervision {
    pub(super) fn exec(&mut self, client: ClientId, exec: Exec, descriptors: Vec<OwnedFd>) -> Option<Answer> {
        let Some(current) = &self.current else { return Some(not_now("it does not run at the moment")) };
        if current.is_paused {
            let failure = Failure::new(
                Code::Usage,
                "cannot start another program in the partition",
                "it is paused, and nothing in it runs",
            );
            return Some(Answer::Refused(failure.hint("'septum unpause' lets it go on")));
        }
        if current.stopping.is_some() {
            return Some(not_now("it is ending"));
        }
        self.sessions.begin(client, exec, descriptors, &current.socket)
    }

    /// A signal for the program that a client has started, or is attached to.
    pub(super) fn signal_here(&mut self, client: ClientId, signal: Signal) {
        let Some(number) = self.sessions.number_of(client) else {
            // Whether it reaches the program that is attached to, the client sees there.
            self.send_signal(signal);
            return;
        };
        if let (Some(current), Ok(signal)) = (&self.current, u32::try_from(signal.number())) {
            // A worker that is gone is noticed by the watch.
            let _ = send(&current.socket, &ToWorker::Signal { number, signal });
        }
    }

    /// A terminal has another size.
    pub(super) fn resize(&self, number: u32, size: [u16; 2]) {
        if let Some(current) = &self.current {
            // A worker that is gone is noticed by the watch.
            let _ = send(&current.socket, &ToWorker::Resize { number, size });
        }
    }

    pub(super) fn attach(&mut self, client: ClientId, descriptors: Vec<OwnedFd>) -> Option<Answer> {
        let Some(streams) = &mut self.streams else {
            let failure = Failure::new(
                Code::Usage,
                "cannot attach to the partition",
                "it runs in the foreground, and its streams are its caller's",
            );
            return Some(Answer::Refused(
                failure.hint("only partitions started with --detach can be attached to"),
            ));
        };
        streams.attach(client, descriptors).err().map(|error| not_now(&error.to_string()))
    }
}
