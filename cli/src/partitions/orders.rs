//! `septum stop`, `kill`, `pause`, `unpause`, `wait` and `rm`: the same order for each partition that is named.

use std::process::ExitCode;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::signal::Signal;
use septum_registry::State;
use septum_registry::control::{Answer, Request};

use super::{ask, find, registry};
use crate::args::{Kill, Rm, Several, Stop};
use crate::message;
use crate::volume::remove_nameless;

/// Does something for each; what fails is told, and the first failure is the exit status.
fn for_each(which: &Several, act: impl Fn(&str) -> Result<String, Failure>) -> ExitCode {
    let mut status = 0;
    for wanted in &which.partitions {
        match act(wanted) {
            Ok(line) => message::print(&format!("{line}\n")),
            Err(failure) => {
                message::failure(&failure);
                status = if status == 0 { failure.code.number() } else { status };
            }
        }
    }
    ExitCode::from(status)
}

/// `septum stop`
pub fn stop(options: &Stop) -> ExitCode {
    // -1 is no number of seconds.
    let request = Request::Stop { seconds: u32::try_from(options.time).ok() };
    for_each(&options.partitions, |wanted| ended_already(wanted, ask(wanted, &request, &[])))
}

/// `septum kill`
pub fn kill(options: &Kill) -> ExitCode {
    if options.signal == Signal::KILL {
        return for_each(&options.partitions, |wanted| {
            ended_already(wanted, ask(wanted, &Request::Kill, &[]))
        });
    }
    let request = Request::Signal(options.signal);
    for_each(&options.partitions, |wanted| ask(wanted, &request, &[]).map(|_| wanted.to_owned()))
}

/// `septum pause`
pub fn pause(which: &Several) -> ExitCode {
    for_each(which, |wanted| ask(wanted, &Request::Pause, &[]).map(|_| wanted.to_owned()))
}

/// `septum unpause`
pub fn resume(which: &Several) -> ExitCode {
    for_each(which, |wanted| ask(wanted, &Request::Resume, &[]).map(|_| wanted.to_owned()))
}

/// `septum wait`
pub fn wait(which: &Several) -> ExitCode {
    for_each(which, |wanted| {
        let recorded = || match find(wanted)?.record.state {
            State::Exited { status, .. } => Ok(Some(status.to_string())),
            _ => Ok(None),
        };
        if let Some(status) = recorded()? {
            return Ok(status);
        }
        match ask(wanted, &Request::Wait, &[]) {
            Ok(Answer::Ended(status)) => Ok(status.to_string()),
            Ok(_) => Err(unexpected(wanted)),
            // It may have ended since it was looked at.
            Err(failure) => recorded()?.ok_or(failure),
        }
    })
}

/// `septum rm`
pub fn rm(options: &Rm) -> ExitCode {
    for_each(&options.partitions, |wanted| {
        let mut found = find(wanted)?;
        let what = || format!("cannot remove partition '{wanted}'");
        if found.record.state.is_live() {
            if !options.force {
                let failure =
                    Failure::new(Code::Usage, what(), format!("it is {}", found.record.state.name()));
                return Err(failure.hint(format!(
                    "'septum stop {wanted}' ends it first, 'septum rm --force {wanted}' does both at once"
                )));
            }
            let id = found.record.id.clone();
            ended_already(&id, ask(&id, &Request::Kill, &[]))?;
            // One that was not to be kept is gone by itself.
            for _ in 0..200 {
                let Ok(now) = find(&id) else { return Ok(wanted.to_owned()) };
                found = now;
                if !found.record.state.is_live() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
        }
        if let Some(log) = &found.record.log {
            let _ = std::fs::remove_dir_all(log);
        }
        for _ in 0..100 {
            if found.remove(&registry()) {
                if options.volumes {
                    remove_nameless(&found.record.volumes);
                }
                return Ok(wanted.to_owned());
            }
            // Its supervisor is about to go.
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        Err(Failure::new(Code::Path, what(), "its record cannot be removed").hint("try again"))
    })
}

/// An order that ends a partition is obeyed if that has ended by itself.
fn ended_already(wanted: &str, answer: Result<Answer, Failure>) -> Result<String, Failure> {
    match answer {
        Ok(_) => Ok(wanted.to_owned()),
        Err(failure) => match find(wanted) {
            Ok(found) if matches!(found.record.state, State::Exited { .. }) => Ok(wanted.to_owned()),
            _ => Err(failure),
        },
    }
}

fn unexpected(wanted: &str) -> Failure {
    Failure::new(
        Code::Internal,
        format!("partition '{wanted}' gave a strange answer"),
        "it is not one to this question",
    )
}
