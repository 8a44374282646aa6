//! The terminal while it is a screen, and as it was afterwards, whatever happens in between.

use std::io::{self, Stdout, stdout};
use std::panic;
use std::sync::Once;

use ratatui::backend::CrosstermBackend;
use ratatui::crossterm::cursor::Show;
use ratatui::crossterm::execute;
use ratatui::crossterm::terminal::{
    self, Clear, ClearType, EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode,
};
use ratatui::layout::{Rect, Size};
use ratatui::{Frame, Terminal, TerminalOptions, Viewport};

/// The status of a process that panicked (as Rust's own).
const PANICKED: i32 = 101;

/// Why there is no screen any more.
pub enum Ended {
    /// Somebody has seen enough.
    ByKey,
    /// A signal came.
    BySignal(i32),
    /// The terminal does not do what it should.
    Terminal(io::Error),
}

/// See above.
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    size: Size,
}

impl Screen {
    /// Takes the terminal.
    pub fn open() -> io::Result<Self> {
        restore_on_panic();
        enter()?;
        let opened = terminal::size().and_then(|size| {
            let size = Size::from(size);
            Ok(Self { terminal: terminal(size)?, size })
        });
        if opened.is_err() {
            leave();
        }
        opened
    }

    /// Shows what `draw` draws.
    pub fn draw(&mut self, draw: impl FnOnce(&mut Frame<'_>)) -> io::Result<()> {
        let size = Size::from(terminal::size()?);
        if size != self.size {
            self.size = size;
            self.begin()?;
        }
        self.terminal.draw(draw).map(drop)
    }

    /// Gives the terminal back while `others` have it.
    pub fn leave_while(&mut self, others: fn()) -> io::Result<()> {
        leave();
        others();
        enter()?;
        self.begin()
    }

    /// The process was stopped, and not asked: a shell may have written there, and changed settings.
    pub fn forget(&mut self) -> io::Result<()> {
        disable_raw_mode()?;
        enter()?;
        self.begin()
    }

    /// From an empty screen. (ratatui's own way there asks the terminal where its cursor is, and waits for an answer that not all give.)
    fn begin(&mut self) -> io::Result<()> {
        execute!(stdout(), Clear(ClearType::All))?;
        self.terminal = terminal(self.size)?;
        Ok(())
    }
}

/// What draws, of a size that is looked at here.
fn terminal(size: Size) -> io::Result<Terminal<CrosstermBackend<Stdout>>> {
    let viewport = Viewport::Fixed(Rect::new(0, 0, size.width, size.height));
    Terminal::with_options(CrosstermBackend::new(stdout()), TerminalOptions { viewport })
}

impl Drop for Screen {
    fn drop(&mut self) {
        leave();
    }
}

fn enter() -> io::Result<()> {
    enable_raw_mode()?;
    let entered = execute!(stdout(), EnterAlternateScreen);
    if entered.is_err() {
        leave();
    }
    entered
}

/// As far as it goes: the terminal may be gone.
fn leave() {
    let _ = execute!(stdout(), LeaveAlternateScreen, Show);
    let _ = disable_raw_mode();
}

/// A panic of any thread is told on a terminal that can be read, and ends the process.
fn restore_on_panic() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let usual = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            leave();
            usual(info);
            std::process::exit(PANICKED);
        }));
    });
}
