//! `septum-api`: the commands that speak HTTP or draw screens, in a program of their own that `septum` becomes for them.
//!
//! What they are made of is large, and each start of a partition would pay for loading it
//! ([0037](../../../docs/decisions/0037-what-speaks-http-is-a-program-of-its-own.md),
//! [0051](../../../docs/decisions/0051-top-is-in-the-second-program.md)). Nobody calls this by its name.

#[path = "../stats/amounts.rs"]
mod amounts;

mod apply;
#[path = "../args/api.rs"]
mod args;
mod ask;
#[allow(dead_code, reason = "septum tells more than this program does")]
#[path = "../tell.rs"]
mod message;
#[path = "../nearest.rs"]
mod nearest;
mod operation;
#[path = "../stats/rates.rs"]
mod rates;
mod serve;
mod top;

use std::process::ExitCode;

use clap::Parser as _;

use args::ApiCommand;

/// The same words as `septum`'s.
#[derive(Debug, clap::Parser)]
#[command(name = "septum", version)]
struct Arguments {
    #[command(subcommand)]
    command: ApiCommand,
}

fn main() -> ExitCode {
    let arguments = match Arguments::try_parse() {
        Ok(arguments) => arguments,
        Err(error) => {
            let _ = error.print();
            return ExitCode::from(septum_api_types::exit::Code::Usage.number());
        }
    };
    match arguments.command {
        ApiCommand::Serve(options) => serve::serve(&options),
        ApiCommand::Apply(options) => apply::apply(&options),
        ApiCommand::Diff(options) => apply::diff(&options),
        ApiCommand::Events(options) => ask::events(&options),
        ApiCommand::Operation(options) => operation::operation(&options.action),
        ApiCommand::Token(options) => ask::token(options),
        ApiCommand::Top(options) => top::top(&options),
    }
}
