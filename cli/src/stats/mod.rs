//! `septum stats`: what partitions use, as a table that is written anew each second, or once, or as JSON.
//!
//! Rates are differences of two readings. The guest's numbers are its own word, and so are the names of its threads.

pub mod amounts;
mod latest;
mod rates;
mod table;

use std::io::IsTerminal as _;
use std::process::ExitCode;
use std::time::Duration;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::v1::Stats;
use septum_registry::{Found, readings};

use crate::args::{Format, StatsOptions};
use crate::message;
use crate::partitions::{find, registry};
use latest::Latest;

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(1);
/// Between the two readings that a single table needs.
const FIRST_PERIOD: Duration = Duration::from_millis(300);

/// `septum stats`
pub fn stats(options: &StatsOptions) -> ExitCode {
    match run(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn run(options: &StatsOptions) -> Result<(), Failure> {
    let mut latest = Latest::default();
    let is_screen =
        !options.no_stream && options.format() == Format::Table && std::io::stdout().is_terminal();
    let mut is_first = true;
    loop {
        let read = read(options)?;
        if is_first && options.format() == Format::Table {
            // Rates need a past.
            latest.update(&read);
            std::thread::sleep(FIRST_PERIOD);
            is_first = false;
            continue;
        }
        let rates = latest.update(&read);
        let text = table::text(&read, &rates, options.format(), is_screen);
        if options.no_stream {
            message::print(&text);
            return Ok(());
        }
        // Whoever reads is gone.
        if !message::try_print(&text) {
            return Ok(());
        }
        std::thread::sleep(PERIOD);
    }
}

/// Those that are meant, or all that run; one that was named must run.
fn read(options: &StatsOptions) -> Result<Vec<Stats>, Failure> {
    let read_them = |found: &[Found]| readings::read(found.iter(), readings::PATIENCE, |_| options.threads);
    if options.partitions.is_empty() {
        let all = registry().list();
        return Ok(read_them(&all).into_iter().flatten().collect());
    }
    let found: Vec<Found> = options.partitions.iter().map(|name| find(name)).collect::<Result<_, _>>()?;
    let read = read_them(&found);
    let named = options.partitions.iter().zip(&found).zip(read);
    named
        .map(|((name, found), stats)| {
            stats.ok_or_else(|| {
                let what = format!("cannot read statistics of partition '{name}'");
                match found.record.state.is_live() {
                    true => Failure::new(Code::Worker, what, "it does not answer").hint("see 'septum ps -a'"),
                    false => Failure::new(Code::Usage, what, format!("it is {}", found.record.state.name()))
                        .hint("'septum ps' lists those that run"),
                }
            })
        })
        .collect()
}
