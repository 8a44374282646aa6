//! Pieces of a log, printed as `septum logs` does.

use std::io::{self, Write as _};

/// Prints them, each to the stream that it was said on.
#[derive(Debug)]
pub struct Printer {
    timestamps: bool,
    in_line: [bool; 2],
}

impl Printer {
    /// `timestamps`: with the time before each line.
    pub fn new(timestamps: bool) -> Self {
        Self { timestamps, in_line: [false; 2] }
    }

    /// The next piece, said at `time`; `is_whole`: a line ends with it.
    pub fn print(&mut self, time: &str, is_error: bool, is_whole: bool, text: &[u8]) -> io::Result<()> {
        let in_line = &mut self.in_line[usize::from(is_error)];
        let mut bytes = Vec::with_capacity(text.len() + 40);
        if self.timestamps && !*in_line {
            bytes.extend_from_slice(time.as_bytes());
            bytes.push(b' ');
        }
        bytes.extend_from_slice(text);
        if is_whole {
            bytes.push(b'\n');
        }
        *in_line = !is_whole;
        if is_error { io::stderr().write_all(&bytes) } else { io::stdout().write_all(&bytes) }
    }
}
