//! Words to people, one write each. If nobody reads them, that is no reason to fail.

use std::io::Write as _;
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// Between what failed and what to do next.
pub const HINT: &str = "\nhint: ";
/// Set to `off`, no hints are told.
const VARIABLE: &str = "SEPTUM_HINTS";

/// Why this command failed, if Septum says so: a status of its own.
static STATUS: AtomicU8 = AtomicU8::new(0);
static IS_QUIET: AtomicBool = AtomicBool::new(false);

/// From here on nobody is told what to do next (`--quiet`).
pub fn without_hints() {
    IS_QUIET.store(true, Ordering::Relaxed);
}

/// This command fails with a status of Septum's own.
pub fn note_status(status: u8) {
    STATUS.store(status, Ordering::Relaxed);
}

/// How a command that ends so went: 0, a status of Septum's own, or 1.
pub fn status(code: ExitCode) -> u8 {
    match STATUS.load(Ordering::Relaxed) {
        _ if code == ExitCode::SUCCESS => 0,
        0 => 1,
        own => own,
    }
}

fn wants_hints() -> bool {
    let is_off = || std::env::var_os(VARIABLE).is_some_and(|value| value == "off" || value == "0");
    !IS_QUIET.load(Ordering::Relaxed) && !is_off()
}

/// Prints to standard output, as a command's result.
pub fn print(text: &str) {
    let _ = try_print(text);
}

/// The same, for commands that go on: whether somebody still reads.
pub fn try_print(text: &str) -> bool {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_ok()
}

/// Tells one thing on standard error, without its hint if those are not wanted.
pub fn tell(text: &str) {
    let shown = match text.split_once(HINT) {
        Some((problem, _)) if !wants_hints() => problem,
        _ => text,
    };
    let _ = std::io::stderr().lock().write_all(format!("{shown}\n").as_bytes());
}
