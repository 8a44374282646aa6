//! The `septum` command.
//!
//! ```text
//!   args (what was typed) ─► resolve (what it means) ─► run: supervisor of one worker ─► exit status
//!                                                    ├► image, volume, doctor, version
//!                                                    └► serve: becomes septum-api
//! ```

mod args;
mod become_api;
mod complete;
mod devices;
mod doctor;
mod documents;
mod env_file;
mod image;
mod keeper;
mod linux;
mod message;
mod partitions;
mod resolve;
mod run;
mod statistics;
mod stats;
mod tell;
mod volume;

use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let epoch_ns = septum_worker::now_ns();
    // For septum serve alone: each of its starts goes through here.
    let mut words = std::env::args_os().skip(1);
    if words.next().is_some_and(|word| word == "keeper") {
        let jail = words.next().and_then(|word| word.to_str()?.parse().ok());
        return keeper::keeper(jail.unwrap_or_default(), epoch_ns);
    }
    complete::answer_shell();
    match args::parse() {
        Ok(Command::Run(run)) => run::run(*run, epoch_ns),
        Ok(Command::Image(image)) => image::image(image),
        Ok(Command::Volume(volume)) => volume::volume(volume),
        Ok(Command::Ps(options)) => partitions::list::ps(&options),
        Ok(Command::Stats(options)) => stats::stats(&options),
        Ok(Command::Logs(options)) => partitions::logs::logs(&options),
        Ok(Command::Attach(options)) => partitions::attach::attach(options),
        Ok(Command::Exec(options)) => partitions::exec::exec(options),
        Ok(Command::Cp(options)) => partitions::copy::copy(&options),
        Ok(Command::Stop(options)) => partitions::orders::stop(&options),
        Ok(Command::Kill(options)) => partitions::orders::kill(&options),
        Ok(Command::Pause(which)) => partitions::orders::pause(&which),
        Ok(Command::Unpause(which)) => partitions::orders::resume(&which),
        Ok(Command::Wait(which)) => partitions::orders::wait(&which),
        Ok(Command::Rm(options)) => partitions::orders::rm(&options),
        Ok(Command::Inspect(which)) => partitions::list::inspect(&which),
        Ok(Command::Api(_)) => become_api::become_api(),
        Ok(Command::Devices(options)) => devices::devices(&options),
        Ok(Command::Doctor(options)) => doctor::doctor(&options),
        Ok(Command::Completion(options)) => documents::completion(&options),
        Ok(Command::Man(options)) => documents::man(&options),
        Ok(Command::Version) => {
            message::print(&format!("septum {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
