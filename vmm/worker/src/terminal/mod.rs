//! The caller's terminal: its size, and its raw mode, in which every key reaches the program.

mod ends;

use std::io::{self, IsTerminal as _};
use std::sync::{Mutex, PoisonError};

pub(crate) use ends::ends;

use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr};

/// What a terminal that does not tell its size is taken for.
const USUAL_SIZE: [u16; 2] = [24, 80];

/// Rows and columns of the terminal that this process has; `None` if it has none.
#[must_use]
pub fn size() -> Option<[u16; 2]> {
    let size =
        [tcgetwinsize(io::stdin()).ok(), tcgetwinsize(io::stdout()).ok()].into_iter().flatten().next()?;
    Some(if size.ws_row == 0 || size.ws_col == 0 { USUAL_SIZE } else { [size.ws_row, size.ws_col] })
}

/// The same, or what is usual.
#[must_use]
pub fn size_or_usual() -> [u16; 2] {
    size().unwrap_or(USUAL_SIZE)
}

/// What standard input was before it became raw.
static BEFORE: Mutex<Option<Termios>> = Mutex::new(None);

/// Makes standard input what it was before it became raw, if it did: for those that leave without dropping anything.
pub fn restore() {
    if let Some(before) = &*BEFORE.lock().unwrap_or_else(PoisonError::into_inner) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, before);
    }
}

/// Standard input as a raw terminal, until this is dropped.
#[derive(Debug)]
pub struct Raw {
    before: Termios,
}

impl Raw {
    /// `None` if standard input is no terminal.
    #[must_use]
    pub fn enter() -> Option<Self> {
        if !io::stdin().is_terminal() {
            return None;
        }
        let raw = Self { before: tcgetattr(io::stdin()).ok()? };
        *BEFORE.lock().unwrap_or_else(PoisonError::into_inner) = Some(raw.before.clone());
        raw.again();
        Some(raw)
    }

    /// Raw once more, after it was [left](Self::leave).
    pub fn again(&self) {
        let mut settings = self.before.clone();
        settings.make_raw();
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &settings);
    }

    /// As it was before.
    pub fn leave(&self) {
        let _ = tcsetattr(io::stdin(), OptionalActions::Drain, &self.before);
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        self.leave();
    }
}
