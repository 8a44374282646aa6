//! Words to people, one write each. If nobody reads them, that is no reason to fail.

use std::io::Write as _;

/// Prints to standard output, as a command's result.
pub fn print(text: &str) {
    let mut output = std::io::stdout().lock();
    let _ = output.write_all(text.as_bytes()).and_then(|()| output.flush());
}

/// Tells one thing on standard error.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
