//! How a terminal treats what is typed and printed: `struct termios`.
//!
//! ```text
//! +0 input flags (u32)  +4 output flags  +8 control flags  +12 local flags  +16 discipline (u8)  +17 characters [19]  +36
//! ```

/// Bytes of a `termios` as the kernel has it.
pub const LEN: usize = 36;
/// Characters with a meaning.
const CHARACTERS: usize = 19;

/// Places of the characters (asm-generic/termbits.h).
pub mod character {
    /// ^C
    pub const INTERRUPT: usize = 0;
    /// ^\
    pub const QUIT: usize = 1;
    /// Backspace.
    pub const ERASE: usize = 2;
    /// ^U
    pub const KILL: usize = 3;
    /// ^D
    pub const END_OF_FILE: usize = 4;
    /// Tenths of a second that a reader waits.
    pub const TIME: usize = 5;
    /// Bytes that a reader waits for.
    pub const LEAST: usize = 6;
    /// ^Q
    pub const START: usize = 8;
    /// ^S
    pub const STOP: usize = 9;
    /// ^Z
    pub const SUSPEND: usize = 10;
    /// Another end of a line.
    pub const END_OF_LINE: usize = 11;
    /// ^W
    pub const ERASE_WORD: usize = 14;
    /// ^V
    pub const LITERAL: usize = 15;
    /// One more end of a line.
    pub const END_OF_LINE_2: usize = 16;
}

/// Input flags.
pub mod input {
    /// ISTRIP
    pub const STRIP: u32 = 0o40;
    /// INLCR
    pub const NEWLINE_IS_RETURN: u32 = 0o100;
    /// IGNCR
    pub const NO_RETURN: u32 = 0o200;
    /// ICRNL
    pub const RETURN_IS_NEWLINE: u32 = 0o400;
    /// IXON
    pub const STOPS: u32 = 0o2000;
}

/// Output flags.
pub mod output {
    /// OPOST
    pub const PROCESS: u32 = 0o1;
    /// ONLCR
    pub const NEWLINE_RETURNS: u32 = 0o4;
    /// OCRNL
    pub const RETURN_IS_NEWLINE: u32 = 0o10;
    /// ONLRET
    pub const NO_RETURN: u32 = 0o40;
}

/// Local flags.
pub mod local {
    /// ISIG
    pub const SIGNALS: u32 = 0o1;
    /// ICANON
    pub const LINES: u32 = 0o2;
    /// ECHO
    pub const ECHO: u32 = 0o10;
    /// ECHOE
    pub const ECHO_ERASE: u32 = 0o20;
    /// ECHOK
    pub const ECHO_KILL: u32 = 0o40;
    /// ECHONL
    pub const ECHO_NEWLINE: u32 = 0o100;
    /// NOFLSH
    pub const KEEPS: u32 = 0o200;
    /// TOSTOP
    pub const STOPS_OUTPUT: u32 = 0o400;
    /// ECHOCTL
    pub const ECHO_CONTROL: u32 = 0o1000;
    /// ECHOKE
    pub const ECHO_KILL_ERASES: u32 = 0o4000;
    /// IEXTEN
    pub const EXTENDED: u32 = 0o10_0000;
}

/// The settings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// [`input`] flags.
    pub input: u32,
    /// [`output`] flags.
    pub output: u32,
    /// Speeds and sizes, which mean nothing here.
    pub control: u32,
    /// [`local`] flags.
    pub local: u32,
    /// Line discipline; there is one.
    discipline: u8,
    /// [`character`]s.
    pub characters: [u8; CHARACTERS],
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            input: input::RETURN_IS_NEWLINE | input::STOPS,
            output: output::PROCESS | output::NEWLINE_RETURNS,
            // B38400, CS8, CREAD
            control: 0o17 | 0o60 | 0o200,
            local: local::SIGNALS
                | local::LINES
                | local::ECHO
                | local::ECHO_ERASE
                | local::ECHO_KILL
                | local::ECHO_CONTROL
                | local::ECHO_KILL_ERASES
                | local::EXTENDED,
            discipline: 0,
            characters: [
                3, 0x1c, 0x7f, 0x15, 4, 0, 1, 0, 0x11, 0x13, 0x1a, 0, 0x12, 0xf, 0x17, 0x16, 0, 0, 0,
            ],
        }
    }
}

impl Settings {
    /// Whether the character at `place` is `byte`. One that is 0 is none.
    #[must_use]
    pub fn is(&self, place: usize, byte: u8) -> bool {
        byte != 0 && self.characters[place] == byte
    }

    /// Whether a local flag is set.
    #[must_use]
    pub fn has(&self, flag: u32) -> bool {
        self.local & flag != 0
    }

    /// Whether output is stopped and started by ^S and ^Q, and nothing else.
    #[must_use]
    pub fn has_usual_stops(&self) -> bool {
        let [start, stop] = [character::START, character::STOP].map(|place| self.characters[place]);
        self.input & input::STOPS != 0 && (start, stop) == (0x11, 0x13)
    }

    /// As programs have it.
    #[must_use]
    pub fn layout(&self) -> [u8; LEN] {
        let mut bytes = [0; LEN];
        for (bytes, value) in
            bytes.chunks_exact_mut(4).zip([self.input, self.output, self.control, self.local])
        {
            bytes.copy_from_slice(&value.to_le_bytes());
        }
        bytes[16] = self.discipline;
        bytes[17..].copy_from_slice(&self.characters);
        bytes
    }

    /// From what programs have.
    #[must_use]
    pub fn parse(bytes: &[u8; LEN]) -> Self {
        let word = |at: usize| u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]]);
        let mut characters = [0; CHARACTERS];
        characters.copy_from_slice(&bytes[17..]);
        Self {
            input: word(0),
            output: word(4),
            control: word(8),
            local: word(12),
            discipline: bytes[16],
            characters,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_laid_out_is_understood() {
        let settings = Settings::default();
        assert_eq!(Settings::parse(&settings.layout()), settings);
        assert_eq!(settings.layout()[12..16], [0x3b, 0x8a, 0, 0]);
    }
}
