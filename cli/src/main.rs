//! The `septum` command.
//!
//! ```text
//!   place (where) ─► args (what was typed) ─► resolve (what it means) ─► run: supervisor of one worker ─► exit status
//!                                          ├► image, volume, doctor, version
//!                                          └► serve, and all that is at a coordinator: becomes septum-api
//! ```

mod advice;
mod args;
mod become_api;
mod complete;
mod devices;
mod doctor;
mod documents;
mod env_file;
mod habits;
mod image;
mod keeper;
mod linux;
mod message;
mod nearest;
mod partitions;
mod place;
mod resolve;
mod run;
mod statistics;
mod stats;
mod suggest;
mod tell;
mod typed;
mod volume;

use std::process::ExitCode;

use args::Command;
use place::{Chosen, Place};

fn main() -> ExitCode {
    let epoch_ns = septum_worker::now_ns();
    // For septum serve alone: each of its starts goes through here.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "keeper") {
        let jail = words.next().and_then(|word| word.to_str()?.parse().ok());
        return keeper::keeper(jail.unwrap_or_default(), epoch_ns);
    }
    complete::answer_shell();
    let mut line = std::env::args_os().collect();
    let chosen = place::take(&mut line);
    let code = match args::parse(&line) {
        Ok(command) if is_elsewhere(&chosen, &command) => become_api::become_api(),
        Ok(command) => act(command, epoch_ns),
        Err(error) => message::command_line(&error),
    };
    suggest::history::keep(tell::status(code));
    code
}

fn act(command: Command, epoch_ns: u64) -> ExitCode {
    match command {
        Command::Run(run) => run::run(*run, epoch_ns),
        Command::Image(image) => image::image(image),
        Command::Volume(volume) => volume::volume(volume),
        Command::Ps(options) => partitions::list::ps(&options),
        Command::Stats(options) => stats::stats(&options),
        Command::Logs(options) => partitions::logs::logs(&options),
        Command::Attach(options) => partitions::attach::attach(options),
        Command::Exec(options) => partitions::exec::exec(options),
        Command::Cp(options) => partitions::copy::copy(&options),
        Command::Stop(options) => partitions::orders::stop(&options),
        Command::Kill(options) => partitions::orders::kill(&options),
        Command::Pause(which) => partitions::orders::pause(&which),
        Command::Unpause(which) => partitions::orders::resume(&which),
        Command::Wait(which) => partitions::orders::wait(&which),
        Command::Rm(options) => partitions::orders::rm(&options),
        Command::Inspect(which) => partitions::list::inspect(&which),
        Command::Api(_) => become_api::become_api(),
        Command::Suggest(options) => suggest::suggest(&options),
        Command::Devices(options) => devices::devices(&options),
        Command::Doctor(options) => doctor::doctor(&options),
        Command::Completion(options) => documents::completion(&options),
        Command::Man(options) => documents::man(&options),
        Command::Version => {
            message::print(&format!("septum {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
    }
}

/// Whether a command is for a coordinator. What is about this host in any case only is if somebody says so, and is told then that it cannot.
fn is_elsewhere(chosen: &Chosen, command: &Command) -> bool {
    chosen.place != Place::Here && (chosen.is_typed || !command.is_about_this_host())
}
