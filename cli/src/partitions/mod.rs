//! Commands about partitions that run or have run: looked up in the registry, done by their supervisors.

mod archive;
pub mod attach;
pub mod copy;
pub mod exec;
mod keys;
mod lines;
pub mod list;
pub mod logs;
pub mod orders;
mod table;
mod typing;
pub mod why;

use std::os::fd::BorrowedFd;
use std::os::unix::net::UnixStream;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::places;
use septum_registry::control::{self, Answer, ControlError, Request};
use septum_registry::{Found, Registry, State};

use crate::nearest::did_you_mean;
use why::{anew, why};

/// The caller's partitions.
pub fn registry() -> Registry {
    Registry::new(places::runtime_directory(rustix::process::getuid().as_raw()))
}

/// One of them.
pub fn find(wanted: &str) -> Result<Found, Failure> {
    registry().find(wanted).map_err(|error| {
        let known = registry().list();
        let names = known.iter().map(|found| found.record.shown_name());
        Failure::new(Code::Usage, format!("cannot find partition '{wanted}'"), error.to_string())
            .hint(did_you_mean(wanted, names, "'septum ps -a' lists all"))
    })
}

/// One that is alive, and a connection to its supervisor.
fn connect(wanted: &str) -> Result<(Found, UnixStream), Failure> {
    let found = find(wanted)?;
    let what = format!("cannot talk to partition '{wanted}'");
    match &found.record.state {
        State::Exited { status, .. } => {
            let reason = why(&found.record).and_then(|why| why.short);
            let reason = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
            let failure =
                Failure::new(Code::Usage, what, format!("it has ended, with status {status}{reason}"));
            let name = found.record.shown_name();
            let anew = anew(&found.record, "");
            return Err(
                failure.hint(format!("'septum logs {name}' shows what it said; to start it again: {anew}"))
            );
        }
        State::Lost => {
            let failure = Failure::new(Code::Usage, what, "its supervisor was killed, and it died with it");
            return Err(failure.hint(format!("to start it again: {}", anew(&found.record, ""))));
        }
        _ => {}
    }
    match found.connect() {
        Ok(socket) => Ok((found, socket)),
        Err(error) => {
            Err(Failure::new(Code::Worker, what, format!("its supervisor does not answer: {error}"))
                .hint("it may have ended just now: see 'septum ps -a'"))
        }
    }
}

/// Asks for something and waits for the answer.
fn ask(wanted: &str, request: &Request, descriptors: &[BorrowedFd<'_>]) -> Result<Answer, Failure> {
    let (_, socket) = connect(wanted)?;
    control::send(&socket, request, descriptors).map_err(|error| unanswered(wanted, &error))?;
    await_answer(wanted, &socket)
}

/// Waits for the answer.
fn await_answer(wanted: &str, socket: &UnixStream) -> Result<Answer, Failure> {
    match control::receive::<Answer>(socket) {
        Ok((Answer::Refused(failure), _)) => Err(failure),
        Ok((answer, _)) => Ok(answer),
        Err(error) => Err(unanswered(wanted, &error)),
    }
}

fn unanswered(wanted: &str, error: &ControlError) -> Failure {
    let what = format!("partition '{wanted}' did not answer");
    Failure::new(Code::Worker, what, error.to_string())
        .hint("its supervisor may have been killed: see 'septum ps -a'")
}
