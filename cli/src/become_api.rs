//! Becoming `septum-api`, which lies beside this program.

use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

use crate::message;
use crate::suggest::history;

/// The other program's name.
const NAME: &str = "septum-api";

/// Goes on as the other program, with the same words. Returns only if that is not possible.
pub fn become_api() -> ExitCode {
    let what = "cannot speak HTTP";
    let failure = match std::env::current_exe() {
        Err(error) => {
            Failure::new(Code::Host, what, format!("where this program lies is not known: {error}"))
        }
        Ok(own) => {
            let path = own.with_file_name(NAME);
            // How it goes, nobody here will know.
            history::keep(0);
            let error = Command::new(&path).args(std::env::args_os().skip(1)).exec();
            Failure::new(Code::Host, what, format!("'{}' cannot be run: {error}", path.display()))
                .hint(format!("install {NAME} beside septum; both are built together"))
        }
    };
    message::failure(&failure);
    ExitCode::from(failure.code.number())
}
