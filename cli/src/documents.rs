//! What is made from the definitions of the command line: completions and man pages.

use std::path::Path;
use std::process::ExitCode;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

use crate::args::{Completion, Man, definition};
use crate::{complete, message};

/// `septum completion`
pub fn completion(options: &Completion) -> ExitCode {
    // By its name where that is how it was found, so that a newer one in its place is asked then.
    let typed = std::env::args_os().next().filter(|typed| !typed.as_encoded_bytes().contains(&b'/'));
    let program = match typed {
        Some(_) => "septum".to_owned(),
        None => {
            std::env::current_exe().map_or_else(|_| "septum".to_owned(), |path| path.display().to_string())
        }
    };
    let script = complete::script(&options.shell.to_string(), &program).unwrap_or_default();
    message::print(&String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// `septum man`
pub fn man(options: &Man) -> ExitCode {
    match write_pages(&options.directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let text = error.to_string();
            let why = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
            let what = format!("cannot write man pages into '{}'", options.directory.display());
            let failure = Failure::new(Code::Path, what, why).hint("give a directory that you may write to");
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn write_pages(directory: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(directory)?;
    clap_mangen::generate_to(definition(), directory)
}
