//! `septum top`: what partitions use, on a screen that answers keys, or as tables for a pipe.
//!
//! ```text
//!   reader ── a Reading each period ──┐
//!   keys ──── Key, Resize ────────────┼─► one channel ─► State ─► draw ─► screen
//!   signals ─ Signal ─────────────────┘      │
//!   reader ◄── which one is looked at ───────┘
//! ```
//!
//! Three threads wait, each for one thing; the main thread takes in what they tell and draws. So a partition that does not answer holds
//! up nothing but the next reading. What is known is [`fleet`]; what is shown of it [`state`], which keys change; how, [`draw`].
//! Numbers that guests count are their word, and so are names: they lose control characters where they come in.

mod batch;
mod draw;
mod fleet;
mod happenings;
mod history;
mod reader;
mod screen;
mod state;
#[cfg(test)]
mod tests;
mod usage;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::places;
use septum_registry::Registry;

use crate::args::Top;
use crate::message;

use fleet::Fleet;
use happenings::{Happening, Sources};
use reader::Reader;
use screen::{Ended, Screen};
use state::{Outcome, State};

/// `septum top`
pub fn top(options: &Top) -> ExitCode {
    let registry = Registry::new(places::runtime_directory(rustix::process::getuid().as_raw()));
    let result = match options.batch {
        true => batch::run(options, &registry),
        false => watch(options, registry),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::tell(&failure.to_string());
            ExitCode::from(failure.code.number())
        }
    }
}

const WHAT: &str = "cannot show a screen";

fn watch(options: &Top, registry: Registry) -> Result<(), Failure> {
    if !std::io::stdout().is_terminal() {
        let failure = Failure::new(Code::Usage, WHAT, "standard output is not a terminal");
        return Err(failure.hint("--batch prints tables; so does 'septum stats --no-stream'"));
    }
    let host = |error: std::io::Error| Failure::new(Code::Host, WHAT, error.to_string());
    // Signals first: from here on none of them leaves the terminal as it is.
    let sources = Sources::start().map_err(host)?;
    let mut screen = Screen::open().map_err(|error| {
        let failure = Failure::new(Code::Host, WHAT, format!("the terminal cannot be used: {error}"));
        failure.hint("--batch prints tables")
    })?;
    let reader = Reader::start(registry, options.delay, sources.sender()).map_err(host)?;
    sources.listen_to_keys().map_err(host)?;
    let ended = follow(options, &mut screen, &sources, &reader);
    drop(screen);
    match ended {
        Ended::ByKey => Ok(()),
        Ended::BySignal(signal) => {
            happenings::die_of(signal);
            Ok(())
        }
        Ended::Terminal(error) => {
            Err(Failure::new(Code::Host, WHAT, format!("the terminal is gone: {error}")))
        }
    }
}

/// Until somebody wants it to end.
fn follow(options: &Top, screen: &mut Screen, sources: &Sources, reader: &Reader) -> Ended {
    let mut fleet = Fleet::default();
    let mut state = State::new(options.sort, options.filter.clone());
    let mut readings: u32 = 0;
    loop {
        if let Err(error) = screen.draw(|frame| draw::draw(frame, &fleet, &mut state)) {
            return Ended::Terminal(error);
        }
        assert!(!options.debug_panic, "as --debug-panic wants it");
        // What has come meanwhile is one picture.
        let first = sources.wait();
        for happening in std::iter::once(first).chain(sources.pending()) {
            match happening {
                Happening::Reading(reading) => {
                    if !state.is_held {
                        fleet.update(reading);
                    }
                    readings = readings.saturating_add(1);
                    if options.count.is_some_and(|count| readings > count) {
                        return Ended::ByKey;
                    }
                }
                Happening::Key(key) => match state.key(key, &mut fleet) {
                    Outcome::Stay => {}
                    Outcome::Watch(id) => reader.watch(id),
                    Outcome::Quit => return Ended::ByKey,
                    Outcome::Stop => happenings::stop_group(),
                },
                Happening::Resized => {}
                Happening::Signal(signal) if happenings::is_stop(signal) => {
                    if let Err(error) = screen.leave_while(happenings::stop) {
                        return Ended::Terminal(error);
                    }
                }
                Happening::Signal(signal) if happenings::is_end(signal) => return Ended::BySignal(signal),
                Happening::Signal(_) => {
                    if let Err(error) = screen.forget() {
                        return Ended::Terminal(error);
                    }
                }
                Happening::NoTerminal(error) => return Ended::Terminal(error),
            }
        }
    }
}
