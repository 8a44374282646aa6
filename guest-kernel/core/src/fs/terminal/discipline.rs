//! The line discipline: what becomes of bytes between who types and the program that reads.
//!
//! ```text
//!   typed ──► signals, editing ──► line ──(newline, ^D)──► ready ──► read
//!                │ echo
//!                ▼
//!   seen  ◄── output ◄── newline becomes return and newline ◄── written
//! ```
//!
//! No locks and no waiting are here, only bytes. In canonical mode a reader gets a line at a time: `ends` says where each ends, and two equal
//! ends are a line of nothing, the end of the file.

use super::settings::{Settings, character, input, local, output};
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use septum_abi::linux::signal;

/// Most bytes that are typed and not read.
const MOST_INPUT: usize = 4096;
/// Most bytes that are written and not seen.
const MOST_OUTPUT: usize = 65_536;
/// Columns between tabulators.
const TAB: usize = 8;

/// A terminal's bytes.
#[derive(Debug, Default)]
pub struct Discipline {
    /// How they are treated.
    pub settings: Settings,
    /// What is being edited.
    line: Vec<u8>,
    ready: VecDeque<u8>,
    /// Ends of lines, counted from the first byte ever read.
    ends: VecDeque<u64>,
    read: u64,
    output: VecDeque<u8>,
    /// The next byte is taken as it is (^V).
    is_literal: bool,
    /// Output is stopped (^S).
    pub is_stopped: bool,
}

impl Discipline {
    /// Takes what is typed, as far as there is room; says how much, and calls `send` for each signal that is typed.
    pub fn type_in(&mut self, bytes: &[u8], mut send: impl FnMut(u32)) -> usize {
        for (index, &byte) in bytes.iter().enumerate() {
            if self.ready.len() + self.line.len() >= MOST_INPUT && !self.settings.has(local::LINES) {
                return index;
            }
            self.type_one(byte, &mut send);
        }
        bytes.len()
    }

    fn type_one(&mut self, byte: u8, send: &mut impl FnMut(u32)) {
        let settings = self.settings;
        let byte = if settings.input & input::STRIP != 0 { byte & 0x7f } else { byte };
        if core::mem::take(&mut self.is_literal) {
            return self.keep(byte);
        }
        let byte = match byte {
            b'\r' if settings.input & input::NO_RETURN != 0 => return,
            b'\r' if settings.input & input::RETURN_IS_NEWLINE != 0 => b'\n',
            b'\n' if settings.input & input::NEWLINE_IS_RETURN != 0 => b'\r',
            byte => byte,
        };
        if settings.input & input::STOPS != 0 {
            if settings.is(character::STOP, byte) {
                self.is_stopped = true;
                return;
            }
            if settings.is(character::START, byte) {
                self.is_stopped = false;
                return;
            }
        }
        if settings.has(local::SIGNALS)
            && let Some(signal) = self.signal_of(byte)
        {
            if !settings.has(local::KEEPS) {
                self.forget_input();
                self.output.clear();
            }
            self.echo(byte);
            self.is_stopped = false;
            return send(signal);
        }
        if settings.has(local::LINES) { self.edit(byte) } else { self.keep(byte) }
    }

    fn signal_of(&self, byte: u8) -> Option<u32> {
        let meanings = [
            (character::INTERRUPT, signal::SIGINT),
            (character::QUIT, signal::SIGQUIT),
            (character::SUSPEND, signal::SIGTSTP),
        ];
        meanings.iter().find(|(place, _)| self.settings.is(*place, byte)).map(|&(_, signal)| signal)
    }

    fn edit(&mut self, byte: u8) {
        let settings = self.settings;
        let is_extended = settings.has(local::EXTENDED);
        if settings.is(character::ERASE, byte) {
            self.erase();
        } else if settings.is(character::KILL, byte) {
            self.kill(byte);
        } else if is_extended && settings.is(character::ERASE_WORD, byte) {
            while self.line.last() == Some(&b' ') {
                self.erase();
            }
            while self.line.last().is_some_and(|&last| last != b' ') {
                self.erase();
            }
        } else if is_extended && settings.is(character::LITERAL, byte) {
            self.is_literal = true;
            if settings.has(local::ECHO) && settings.has(local::ECHO_CONTROL) {
                self.show(b"^\x08");
            }
        } else if settings.is(character::END_OF_FILE, byte) {
            self.finish_line();
        } else if byte == b'\n'
            || settings.is(character::END_OF_LINE, byte)
            || (is_extended && settings.is(character::END_OF_LINE_2, byte))
        {
            self.keep(byte);
            self.finish_line();
        } else {
            self.keep(byte);
        }
    }

    /// Adds a byte to the line, or to what can be read if there are no lines.
    fn keep(&mut self, byte: u8) {
        if self.settings.has(local::LINES) {
            // Of a line that is too long the rest is lost, but not its end.
            if self.line.len() + self.ready.len() >= MOST_INPUT && byte != b'\n' {
                return;
            }
            self.line.push(byte);
        } else {
            self.ready.push_back(byte);
        }
        self.echo(byte);
    }

    fn finish_line(&mut self) {
        self.ready.extend(self.line.drain(..));
        self.ends.push_back(self.read + self.ready.len() as u64);
    }

    fn erase(&mut self) {
        let Some(byte) = self.line.pop() else { return };
        // The bytes of one character go together.
        let mut first = byte;
        while first & 0xc0 == 0x80 {
            let Some(more) = self.line.pop() else { break };
            first = more;
        }
        if !self.settings.has(local::ECHO) {
            return;
        }
        if self.settings.has(local::ECHO_ERASE) {
            let is_wide = self.settings.has(local::ECHO_CONTROL) && is_control(first) && first != b'\t';
            let columns = if first == b'\t' { TAB } else { 1 + usize::from(is_wide) };
            for _ in 0..columns {
                self.show(b"\x08 \x08");
            }
        } else {
            let erase = self.settings.characters[character::ERASE];
            self.echo(erase);
        }
    }

    fn kill(&mut self, byte: u8) {
        if self.settings.has(local::ECHO_KILL_ERASES) && self.settings.has(local::ECHO_ERASE) {
            while !self.line.is_empty() {
                self.erase();
            }
            return;
        }
        self.line.clear();
        self.echo(byte);
        if self.settings.has(local::ECHO_KILL) {
            self.show(b"\n");
        }
    }

    fn echo(&mut self, byte: u8) {
        let settings = self.settings;
        if !settings.has(local::ECHO) {
            let shows_newline = settings.has(local::ECHO_NEWLINE) && settings.has(local::LINES);
            if byte == b'\n' && shows_newline {
                self.show(b"\n");
            }
            return;
        }
        if settings.has(local::ECHO_CONTROL) && is_control(byte) && byte != b'\t' && byte != b'\n' {
            self.show(&[b'^', byte ^ 0x40]);
        } else {
            self.show(&[byte]);
        }
    }

    fn show(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.print_one(byte);
        }
    }

    fn print_one(&mut self, byte: u8) {
        let flags = self.settings.output;
        match byte {
            _ if flags & output::PROCESS == 0 => self.output.push_back(byte),
            b'\n' if flags & output::NEWLINE_RETURNS != 0 => self.output.extend(b"\r\n"),
            b'\r' if flags & output::RETURN_IS_NEWLINE != 0 => self.output.push_back(b'\n'),
            b'\r' if flags & output::NO_RETURN != 0 => {}
            byte => self.output.push_back(byte),
        }
    }

    /// Bytes that may be written now.
    #[must_use]
    pub fn output_room(&self) -> usize {
        if self.is_stopped { 0 } else { MOST_OUTPUT.saturating_sub(self.output.len()) }
    }

    /// Takes what a program writes; there is [room](Self::output_room).
    pub fn print(&mut self, bytes: &[u8]) {
        self.show(bytes);
    }

    /// Takes up to `most` bytes of what is to be seen.
    pub fn see(&mut self, most: usize) -> Vec<u8> {
        let most = most.min(self.output.len());
        self.output.drain(..most).collect()
    }

    /// Bytes that are to be seen.
    #[must_use]
    pub fn unseen(&self) -> usize {
        self.output.len()
    }

    /// Bytes that a reader gets at once; `None` if it has to wait.
    #[must_use]
    pub fn readable(&self) -> Option<usize> {
        if self.settings.has(local::LINES) {
            let end = self.ends.front()?;
            return usize::try_from(end.saturating_sub(self.read)).ok();
        }
        let least = usize::from(self.settings.characters[character::LEAST]).max(1);
        (self.ready.len() >= least).then_some(self.ready.len())
    }

    /// Bytes that can be read without waiting, whatever a reader waits for.
    #[must_use]
    pub fn waiting(&self) -> usize {
        if self.settings.has(local::LINES) { self.readable().unwrap_or(0) } else { self.ready.len() }
    }

    /// Takes up to `most` bytes that are readable.
    pub fn read(&mut self, most: usize) -> Vec<u8> {
        let most = most.min(self.waiting());
        let bytes: Vec<u8> = self.ready.drain(..most).collect();
        self.read += most as u64;
        while self.ends.front().is_some_and(|&end| end <= self.read) {
            self.ends.pop_front();
            if self.settings.has(local::LINES) {
                break;
            }
        }
        // A file's end is told by itself, not with the line before.
        if !bytes.is_empty()
            && bytes.last() != Some(&b'\n')
            && self.ends.front() == Some(&self.read)
            && !self.settings.has(local::LINES)
        {
            self.ends.pop_front();
        }
        bytes
    }

    /// Other settings. What is being edited can be read if there are no lines any more.
    pub fn set(&mut self, settings: Settings) {
        let had_lines = self.settings.has(local::LINES);
        self.settings = settings;
        if had_lines && !settings.has(local::LINES) {
            self.ready.extend(self.line.drain(..));
            self.ends.clear();
        } else if !had_lines && settings.has(local::LINES) && !self.ready.is_empty() {
            self.ends.push_back(self.read + self.ready.len() as u64);
        }
        if settings.input & input::STOPS == 0 {
            self.is_stopped = false;
        }
    }

    /// Forgets what was typed and not read.
    pub fn forget_input(&mut self) {
        self.read += self.ready.len() as u64;
        self.line.clear();
        self.ready.clear();
        self.ends.clear();
    }

    /// Forgets what was written and not seen.
    pub fn forget_output(&mut self) {
        self.output.clear();
    }
}

fn is_control(byte: u8) -> bool {
    byte < 0x20 || byte == 0x7f
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(discipline: &mut Discipline, bytes: &[u8]) -> Vec<u32> {
        let mut signals = Vec::new();
        assert_eq!(discipline.type_in(bytes, |signal| signals.push(signal)), bytes.len());
        signals
    }

    #[test]
    fn lines_are_edited_echoed_and_read_one_by_one() {
        let mut discipline = Discipline::default();
        typed(&mut discipline, b"helo\x7f\x7flo");
        assert_eq!(discipline.readable(), None);
        typed(&mut discipline, b"\rbad words\x17\x17good\rx");
        assert_eq!(discipline.see(9), b"helo\x08 \x08\x08 ");
        assert_eq!((discipline.readable(), discipline.read(3)), (Some(5), b"hel".to_vec()));
        assert_eq!((discipline.read(99), discipline.read(99)), (b"o\n".to_vec(), b"good\n".to_vec()));
        assert_eq!((discipline.readable(), discipline.read(9)), (None, Vec::new()));
        typed(&mut discipline, b"\x04\x04");
        assert_eq!((discipline.read(9), discipline.readable()), (b"x".to_vec(), Some(0)));
        assert_eq!((discipline.read(9), discipline.readable()), (Vec::new(), None));
    }

    #[test]
    fn signals_are_typed_and_forget_the_line() {
        let mut discipline = Discipline::default();
        assert_eq!(
            typed(&mut discipline, b"abc\x03\x1c\x1a"),
            [signal::SIGINT, signal::SIGQUIT, signal::SIGTSTP]
        );
        assert_eq!(discipline.see(99), b"^Z");
        typed(&mut discipline, b"\n");
        assert_eq!(discipline.read(9), b"\n");
        typed(&mut discipline, b"\x16\x03\n");
        assert_eq!(discipline.read(9), b"\x03\n");
    }

    #[test]
    fn without_lines_bytes_come_as_they_are() {
        let mut discipline = Discipline::default();
        typed(&mut discipline, b"part");
        let mut raw = discipline.settings;
        (raw.local, raw.input, raw.output) = (0, 0, 0);
        discipline.set(raw);
        assert_eq!(typed(&mut discipline, b"\x03\r"), []);
        assert_eq!(discipline.read(99), b"part\x03\r");
        raw.characters[character::LEAST] = 3;
        discipline.set(raw);
        typed(&mut discipline, b"ab");
        assert_eq!((discipline.readable(), discipline.waiting()), (None, 2));
        discipline.see(99);
        discipline.print(b"a\nb");
        assert_eq!(discipline.see(99), b"a\nb");
    }

    #[test]
    fn output_stops_and_goes_on() {
        let mut discipline = Discipline::default();
        discipline.print(b"a\nb");
        assert_eq!(discipline.see(99), b"a\r\nb");
        typed(&mut discipline, b"\x13");
        assert_eq!(discipline.output_room(), 0);
        typed(&mut discipline, b"\x11");
        assert!(discipline.output_room() > 0);
    }
}
