//! Words to people, one write each. If nobody reads them, that is no reason to fail.

use std::io::Write as _;

/// Tells one thing on standard error.
pub fn tell(text: &str) {
    let _ = std::io::stderr().lock().write_all(format!("{text}\n").as_bytes());
}
