//! What was typed.
//!
//! Flags become typed values here and nothing else happens: no file is looked at, no default depends on the host. Each command, or
//! family of commands, has a file; [`values`] parses what several of them take.

mod api;
mod devices;
mod doctor;
mod documents;
mod image;
mod network;
mod partitions;
mod run;
mod stats;
mod suggest;
mod surroundings;
mod values;
mod volume;

use std::ffi::OsString;

use clap::{Args as _, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};

pub use self::api::ApiCommand;
#[allow(
    unused_imports,
    reason = "for septum-api, which does them; septum parses them, for help and errors"
)]
pub use self::api::{
    Apply, Column, Context, ContextAction, Diff, Events, Operation, OperationAction, Serve, Specs, Token,
    TokenAction, Top,
};
pub use self::devices::{DeviceAction, Devices};
pub use self::doctor::Doctor;
pub use self::documents::{Completion, Man};
pub use self::image::{Action, Build, Export, Image, Inspect, List, Remove, Tag};
pub use self::partitions::{Attach, Copy, Exec, Format, Kill, Logs, Ps, Rm, Several, Stop, Tail};
pub use self::run::Run;
pub use self::stats::StatsOptions;
pub use self::suggest::Suggest;
pub use self::values::LogOption;
pub use self::volume::{
    CreateVolume, InspectVolumes, ListVolumes, PruneVolumes, RemoveVolumes, Volume, VolumeAction,
    VolumeFilter,
};
use crate::suggest::history;
use crate::{message, typed};

/// Run unmodified Linux programs in KVM virtual machines that start like processes.
#[derive(Debug, Parser)]
#[command(name = "septum", version, args_override_self = true, after_help = EXAMPLES)]
struct Arguments {
    /// Where partitions are meant
    #[command(flatten)]
    place: Place,
    #[command(subcommand)]
    command: Command,
}

/// Taken off a command line before it comes here ([`crate::place`]): these are for help, and for the word of what is missing.
#[derive(Debug, clap::Args)]
#[allow(dead_code, reason = "see above")]
struct Place {
    /// Act at a coordinator: unix:PATH, https://HOST[:PORT] or, on this host, http://127.0.0.1:PORT. 'local' is this host without one. Without
    /// this option SEPTUM_HOST counts; SEPTUM_TOKEN, SEPTUM_TOKEN_FILE and SEPTUM_CA go with both
    #[arg(long, value_name = "ADDRESS", conflicts_with = "context")]
    host: Option<String>,

    /// Act at the coordinator of a context ('septum context'); without, of SEPTUM_CONTEXT, or of the one in use
    #[arg(long, value_name = "NAME")]
    context: Option<String>,
}

const EXAMPLES: &str = "Examples:
  septum run -- sha256sum README.md         an unmodified program of the host, reading a host file
  septum run ./program arg1 < in > out      streams are the caller's
  septum image build ./rootfs -t tools      an image; then: septum run tools COMMAND
  septum doctor                             what this host can do, and what is missing";

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run a program in a partition of its own
    Run(Box<Run>),
    /// Make images, and look after those that there are
    Image(Image),
    /// Make volumes, and look after those that there are
    Volume(Volume),
    /// List partitions
    Ps(Ps),
    /// Show what partitions use, each second anew
    Stats(StatsOptions),
    /// Show what a partition in the background has said
    Logs(Logs),
    /// Be part of the streams of a partition in the background
    Attach(Attach),
    /// Start another program in a partition that runs
    Exec(Exec),
    /// Copy files into a partition that runs, or out of it
    Cp(Copy),
    /// Ask the programs of partitions to end, and end the partitions when time is up
    Stop(Stop),
    /// Send the programs of partitions a signal, or end the partitions at once
    Kill(Kill),
    /// Hold the processors of partitions
    Pause(Several),
    /// Let paused partitions go on
    #[command(visible_alias = "resume")]
    Unpause(Several),
    /// Wait until partitions end, and print their exit statuses
    Wait(Several),
    /// Remove the records and logs of partitions that have ended
    Rm(Rm),
    /// Print all that is known of partitions, as JSON
    Inspect(Several),
    #[command(flatten)]
    Api(ApiCommand),
    /// Tell what is probably to be typed next, and why
    Suggest(Suggest),
    /// List PCI functions, and give them to partitions' driver or back
    Devices(Devices),
    /// Tell what this host can do, what is missing, and how to get it
    Doctor(Doctor),
    /// Print the script by which a shell completes command lines
    Completion(Completion),
    /// Write man pages, one for each command
    Man(Man),
    /// Print the version
    Version,
}

impl Command {
    /// Whether it has nothing to do with partitions, which may be elsewhere.
    pub fn is_about_this_host(&self) -> bool {
        let is_api = matches!(self, Self::Api(ApiCommand::Serve(_) | ApiCommand::Context(_)));
        is_api
            || matches!(
                self,
                Self::Devices(_) | Self::Doctor(_) | Self::Completion(_) | Self::Man(_) | Self::Version
            )
    }
}

/// Everything that can be typed.
pub fn definition() -> clap::Command {
    Arguments::command()
}

/// Parses a command line from which [`crate::place`] has taken what is its.
pub fn parse(line: &[OsString]) -> Result<Command, clap::Error> {
    if line.get(1).is_none_or(|word| word != "run") {
        let matches = Arguments::command().try_get_matches_from(line)?;
        note(&matches);
        return Ok(Arguments::from_arg_matches(&matches)?.command);
    }
    parse_run(&line[1..]).map(|run| Command::Run(Box::new(run)))
}

/// What `septum run` takes. What other commands take is put together only for them: that is a part of each start.
pub fn run_options() -> clap::Command {
    Run::augment_args(clap::Command::new("run").bin_name("septum run"))
}

/// Parses the words of `septum run`, that one included.
pub fn parse_run(line: &[OsString]) -> Result<Run, clap::Error> {
    let matches = run_matches(line)?;
    let mut run = Run::from_arg_matches(&matches)?;
    let before = line.len().checked_sub(run.program.len() + 1).and_then(|at| line.get(at));
    run.is_program_for_sure = before.is_some_and(|word| word == "--");
    history::remember("run", &matches);
    typed::keep_run(line, run.program.len());
    if run.quiet {
        message::without_hints();
    }
    Ok(run)
}

/// The options of `septum run` that were typed.
pub fn run_matches(line: &[OsString]) -> Result<clap::ArgMatches, clap::Error> {
    run_options().try_get_matches_from(line)
}

/// What is kept of a command that is none of `run`, and whether its caller wants no hints.
fn note(matches: &clap::ArgMatches) {
    history::remember("", matches);
    let mut last = matches;
    while let Some((_, inner)) = last.subcommand() {
        last = inner;
    }
    if last.try_get_one::<bool>("quiet").is_ok_and(|quiet| quiet == Some(&true)) {
        message::without_hints();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_definition_is_consistent() {
        Arguments::command().debug_assert();
    }
}

/// For tests of other modules.
#[cfg(test)]
pub mod tests_support {
    use super::{Command, OsString, Run, parse};

    /// The options of `septum run` from a command line without its first two words.
    pub fn run(line: &[&str]) -> Result<Run, clap::Error> {
        let line: Vec<OsString> = ["septum", "run"].iter().chain(line).map(OsString::from).collect();
        parse(&line).map(|command| match command {
            Command::Run(run) => *run,
            other => panic!("{other:?}"),
        })
    }
}
