//! Ordinary commands, for partitions of a coordinator: the same words and the same output as on this host, by the API.
//!
//! ```text
//!   ps, inspect, stats      list, stats ─┐
//!   stop, kill, rm …        orders ──────┤
//!   logs                    logs ────────┼─► Client ─► coordinator
//!   exec, attach            session ─────┤
//!   cp                      copy ────────┤
//!   volume, image           resources ───┘
//! ```
//!
//! How tables, logs and statistics look is in modules that `septum` has as well. What cannot be done from here says why.

mod copy;
mod image;
#[path = "../../partitions/keys.rs"]
mod keys;
mod list;
mod logs;
mod orders;
mod run;
mod session;
mod stats;
mod volume;
mod words;

use std::ffi::OsString;
use std::process::ExitCode;

use septum_api_client::Client;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::v1::{Problem, ProblemCode};

use crate::args::{ApiCommand, Command};
use crate::ask::talk;
use crate::message;
use crate::place::Place;

/// Does a command at the coordinator of a place; `line` is what was typed.
pub fn act(place: &Place, command: Command, line: &[OsString]) -> ExitCode {
    let name = line.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    match command {
        Command::Ps(options) => told(place, async |client| list::ps(&client, &options).await),
        Command::Inspect(which) => told(place, async |client| list::inspect(&client, &which).await),
        Command::Logs(options) => told(place, async |client| logs::logs(&client, &options).await),
        Command::Stats(options) => told(place, async |client| stats::stats(&client, &options).await),
        Command::Exec(options) => told(place, async |client| session::exec(&client, options).await),
        Command::Attach(options) => told(place, async |client| session::attach(&client, &options).await),
        Command::Cp(options) => told(place, async |client| copy::copy(&client, &options).await),
        Command::Api(ApiCommand::Start(which)) => {
            told(place, async |client| orders::start(&client, &which).await)
        }
        Command::Stop(options) => told(place, async |client| orders::stop(&client, &options).await),
        Command::Kill(options) => told(place, async |client| orders::kill(&client, &options).await),
        Command::Pause(which) => told(place, async |client| orders::pause(&client, &which).await),
        Command::Unpause(which) => told(place, async |client| orders::resume(&client, &which).await),
        Command::Wait(which) => told(place, async |client| orders::wait(&client, &which).await),
        Command::Rm(options) => told(place, async |client| orders::rm(&client, &options).await),
        Command::Volume(volume) => told(place, async |client| volume::volume(&client, volume.action).await),
        Command::Image(image) => told(place, async |client| image::image(&client, image.action).await),
        Command::Run(run) => told(place, async |client| run::run(&client, *run, &line[1..]).await),
        Command::Api(ApiCommand::Top(_)) => refuse(
            &name,
            "it reads what partitions count many times a second, on the host that they run on",
            "'septum stats' and the page of septum serve show partitions of another host",
        ),
        _ => refuse(
            &name,
            "it is not in the API",
            "run it on that host; here, 'septum --host local' acts on this one",
        ),
    }
}

/// A command about this host was asked of a coordinator.
pub fn only_here(line: &[OsString]) -> ExitCode {
    let name = line.get(1).map(|word| word.to_string_lossy().into_owned()).unwrap_or_default();
    refuse(
        &name,
        "it is about the host that it runs on",
        "leave out --host and --context, or run it on that host",
    )
}

/// Says that a command is not possible at a coordinator, why, and what to do.
fn refuse(name: &str, why: &str, next: &str) -> ExitCode {
    let what = format!("cannot do 'septum {name}' at a coordinator");
    message::failure(&Failure::new(Code::Usage, what, why).hint(next));
    ExitCode::from(Code::Usage.number())
}

/// A conversation whose problems are told as this host would tell them.
fn told(place: &Place, conversation: impl AsyncFnOnce(Client) -> Result<u8, Problem>) -> ExitCode {
    talk(place, async |client| Ok(conversation(client).await.unwrap_or_else(tell)))
}

/// Tells a problem; returns the exit status that goes with it.
fn tell(problem: Problem) -> u8 {
    let hint = words::hint(&problem);
    message::tell(&format!(
        "septum: {}\nhint: {}",
        message::printable(&problem.to_string()),
        message::printable(&hint)
    ));
    status(&problem)
}

/// The status that the same failure has on this host.
fn status(problem: &Problem) -> u8 {
    let code = match problem.code {
        ProblemCode::Malformed
        | ProblemCode::Invalid
        | ProblemCode::NotFound
        | ProblemCode::Conflict
        | ProblemCode::Changed => Code::Usage,
        _ => Code::Host,
    };
    problem.exit_status.unwrap_or(code.number())
}
