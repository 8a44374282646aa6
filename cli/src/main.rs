//! The `septum` command.
//!
//! ```text
//!   args (what was typed) ─► resolve (what it means) ─► run: supervisor of one worker ─► exit status
//!                                                    └► doctor, version
//! ```
//!
//! The same file is also the worker: executed under the name of [`septum_worker::PROCESS_NAME`] it never looks at a
//! command line. That is why the first thing here is to look at the name, and why nothing happens before.

mod args;
mod doctor;
mod message;
mod resolve;
mod run;
mod statistics;

use std::ffi::OsStr;
use std::process::ExitCode;

use args::Command;

fn main() -> ExitCode {
    let epoch_ns = septum_worker::now_ns();
    let mut arguments = std::env::args_os();
    if arguments.next().as_deref() == Some(OsStr::new(septum_worker::PROCESS_NAME)) {
        return septum_worker::main(arguments);
    }
    match args::parse() {
        Ok(Command::Run(run)) => run::run(*run, epoch_ns),
        Ok(Command::Doctor(options)) => doctor::doctor(&options),
        Ok(Command::Version) => {
            message::print(&format!("septum {}\n", env!("CARGO_PKG_VERSION")));
            ExitCode::SUCCESS
        }
        Err(code) => code,
    }
}
