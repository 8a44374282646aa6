//! Words to people, one write each. If nobody reads them, that is no reason to fail.

use std::io::Write as _;

/// Prints to standard output, as a command's result.
pub fn print(text: &str) {
    let _ = try_print(text);
}

/// The same, for commands that go on: whether somebody still reads.
pub fn try_print(text: &str) -> bool {
    let mut output = std::io::stdout().lock();
    output.write_all(text.as_bytes()).and_then(|()| output.flush()).is_ok()
}

/// Tells one thing on standard error.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
