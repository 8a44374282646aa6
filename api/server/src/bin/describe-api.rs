//! Prints `api/openapi.json`; `cargo xtask docs` puts it there.

use std::io::Write as _;
use std::process::ExitCode;

fn main() -> ExitCode {
    let written = septum_api_server::description()
        .map_err(std::io::Error::from)
        .and_then(|text| std::io::stdout().lock().write_all(text.as_bytes()));
    if written.is_ok() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}
