//! `septum-api`: the commands that speak HTTP or draw screens, and all others where they are for a coordinator, in a program of their own that `septum` becomes for them.
//!
//! What they are made of is large, and each start of a partition would pay for loading it
//! ([0037](../../../docs/decisions/0037-what-speaks-http-is-a-program-of-its-own.md),
//! [0051](../../../docs/decisions/0051-top-is-in-the-second-program.md),
//! [0057](../../../docs/decisions/0057-commands-at-a-coordinator.md)). Nobody calls this by its name.

#[path = "../stats/amounts.rs"]
mod amounts;
#[path = "../partitions/archive.rs"]
mod archive;
#[allow(
    dead_code,
    unused_imports,
    reason = "the definitions of all commands, of which some are septum's alone"
)]
#[path = "../args/mod.rs"]
mod args;
#[path = "../env_file.rs"]
mod env_file;
#[path = "../habits.rs"]
mod habits;
#[path = "../image/shown.rs"]
mod images_shown;
#[path = "../stats/latest.rs"]
mod latest;
#[path = "../partitions/lines.rs"]
mod lines;
#[allow(unused_imports, reason = "septum tells more than this program does")]
#[path = "../message.rs"]
mod message;
#[path = "../nearest.rs"]
mod nearest;
#[path = "../place.rs"]
mod place;
#[path = "../stats/rates.rs"]
mod rates;
#[path = "../stats/table.rs"]
mod stats_table;
#[path = "../partitions/table.rs"]
mod table;
#[allow(dead_code, reason = "septum tells more than this program does")]
#[path = "../tell.rs"]
mod tell;
#[allow(dead_code, reason = "as above")]
#[path = "../typed.rs"]
mod typed;
#[path = "../volume/shown.rs"]
mod volumes_shown;

mod apply;
mod ask;
mod complete;
mod contexts;
mod operation;
mod remote;
mod serve;
mod suggest;
mod top;

use std::process::ExitCode;

use args::{ApiCommand, Command};

fn main() -> ExitCode {
    let mut line = std::env::args_os().collect();
    let chosen = place::take(&mut line);
    let command = match args::parse(&line) {
        Ok(command) => command,
        Err(error) => return message::command_line(&error),
    };
    let place = &chosen.place;
    match command {
        command if chosen.is_typed && command.is_about_this_host() => remote::only_here(&line),
        Command::Api(ApiCommand::Serve(options)) => serve::serve(&options),
        Command::Api(ApiCommand::Context(options)) => contexts::context(&options.action),
        Command::Api(ApiCommand::Apply(options)) => apply::apply(place, &options),
        Command::Api(ApiCommand::Diff(options)) => apply::diff(place, &options),
        Command::Api(ApiCommand::Events(options)) => ask::events(place, &options),
        Command::Api(ApiCommand::Operation(options)) => operation::operation(place, &options.action),
        Command::Api(ApiCommand::Token(options)) => ask::token(place, options),
        Command::Api(ApiCommand::Top(options)) if *place == place::Place::Here => top::top(&options),
        command => remote::act(place, command, &line),
    }
}
