//! What `septum top` waits for: keys, signals, readings, in one channel.

use std::io;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use ratatui::crossterm::event::{self, Event, KeyEvent, KeyEventKind};
use rustix::process::{Signal, kill_current_process_group};
use signal_hook::consts::{SIGCONT, SIGHUP, SIGINT, SIGQUIT, SIGSTOP, SIGTERM, SIGTSTP};
use signal_hook::iterator::Signals;
use signal_hook::low_level::{emulate_default_handler, raise};

use super::reader::Reading;

/// Something happened.
pub enum Happening {
    /// Partitions were read.
    Reading(Reading),
    /// A key was pressed.
    Key(KeyEvent),
    /// The terminal has another size.
    Resized,
    /// A signal came.
    Signal(i32),
    /// Nothing can be read from the terminal any more.
    NoTerminal(io::Error),
}

/// Where they come from.
pub struct Sources {
    sender: Sender<Happening>,
    receiver: Receiver<Happening>,
}

impl Sources {
    /// Signals are taken from here on.
    pub fn start() -> io::Result<Self> {
        let (sender, receiver) = channel();
        let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGTSTP, SIGCONT])?;
        let to = sender.clone();
        thread::Builder::new().name("signals".into()).spawn(move || {
            for signal in signals.forever() {
                if to.send(Happening::Signal(signal)).is_err() {
                    return;
                }
            }
        })?;
        Ok(Self { sender, receiver })
    }

    /// Keys are taken from here on: the terminal must be set up for it.
    pub fn listen_to_keys(&self) -> io::Result<()> {
        let to = self.sender.clone();
        let take = move || {
            loop {
                let (happening, is_over) = match event::read() {
                    Ok(Event::Key(key)) if key.kind != KeyEventKind::Release => (Happening::Key(key), false),
                    Ok(Event::Resize(..)) => (Happening::Resized, false),
                    Ok(_) => continue,
                    Err(error) => (Happening::NoTerminal(error), true),
                };
                if to.send(happening).is_err() || is_over {
                    return;
                }
            }
        };
        thread::Builder::new().name("keys".into()).spawn(take)?;
        Ok(())
    }

    /// For another source.
    pub fn sender(&self) -> Sender<Happening> {
        self.sender.clone()
    }

    /// The next one.
    pub fn wait(&self) -> Happening {
        self.receiver.recv().unwrap_or_else(|error| Happening::NoTerminal(io::Error::other(error)))
    }

    /// Those that have come already.
    pub fn pending(&self) -> impl Iterator<Item = Happening> {
        self.receiver.try_iter()
    }
}

/// Whether a signal wants the process to stop for a while.
pub fn is_stop(signal: i32) -> bool {
    signal == SIGTSTP
}

/// Whether a signal wants it to end.
pub fn is_end(signal: i32) -> bool {
    [SIGTERM, SIGINT, SIGHUP, SIGQUIT].contains(&signal)
}

/// Ends as whoever takes no signals, so that the caller sees of what.
pub fn die_of(signal: i32) {
    let _ = emulate_default_handler(signal);
}

/// What the terminal would do if it still did anything with the key: the whole job stops, this one too.
pub fn stop_group() {
    let _ = kill_current_process_group(Signal::TSTP);
}

/// Stops; returns when it goes on.
pub fn stop() {
    let _ = raise(SIGSTOP);
}
