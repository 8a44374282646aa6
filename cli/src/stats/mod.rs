//! `septum stats`: what partitions use, as a table that is written anew each second, or once, or as JSON.
//!
//! Rates are differences of two readings. The guest's numbers are its own word, and so are the names of its threads.

pub mod amounts;
mod latest;
mod rates;

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
use amounts::{bytes, count, percent};
use latest::Latest;
use rates::Rates;

/// Between two readings.
const PERIOD: Duration = Duration::from_secs(1);
/// Between the two readings that a single table needs.
const FIRST_PERIOD: Duration = Duration::from_millis(300);
/// Goes to the first line and the first column (ECMA-48 CUP).
const HOME: &str = "\x1b[H";
/// Clears from here to the end of the line (EL), and of the screen (ED).
const CLEAR_LINE: &str = "\x1b[K";
const CLEAR_REST: &str = "\x1b[J";

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
        let text = match options.format() {
            Format::Json => read.iter().map(json).collect(),
            Format::Table => table(&read, &rates),
        };
        let text = match is_screen {
            true => format!("{HOME}{}{CLEAR_REST}", text.replace('\n', &format!("{CLEAR_LINE}\n"))),
            false => text,
        };
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

fn json(stats: &Stats) -> String {
    serde_json::to_string(stats).unwrap_or_default() + "\n"
}

/// What Docker's has, and what only this one can know.
const HEADS: [&str; 10] = [
    "ID",
    "NAME",
    "CPU %",
    "MEM USAGE / LIMIT",
    "MEM %",
    "NET I/O",
    "FILE I/O",
    "SYSCALLS/s",
    "FAULTS/s",
    "THREADS",
];

fn table(read: &[Stats], rates: &[Rates]) -> String {
    let mut rows = vec![HEADS.map(str::to_owned)];
    rows.extend(read.iter().zip(rates).map(|(stats, rates)| row(stats, rates)));
    let widths: Vec<usize> = (0..HEADS.len())
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    let line = |row: &[String; HEADS.len()]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}   "));
        cells.collect::<String>().trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

fn row(stats: &Stats, rates: &Rates) -> [String; HEADS.len()] {
    let memory = &stats.memory;
    let [net, files] = [&["vsock"][..], &["fs", "block"][..]].map(|kinds| amounts::traffic(stats, kinds));
    [
        stats.partition.clone(),
        stats.name.clone().unwrap_or_default() + if stats.is_paused { " (paused)" } else { "" },
        percent(rates.cpu_percent),
        format!("{} / {}", bytes(memory.used_bytes), bytes(memory.limit_bytes)),
        percent(amounts::share(memory.used_bytes, memory.limit_bytes)),
        format!("{} / {}", bytes(net.0), bytes(net.1)),
        format!("{} / {}", bytes(files.0), bytes(files.1)),
        count(rates.syscalls),
        count(rates.page_faults),
        stats.counters.as_ref().map_or(0, |counters| counters.vcpus).to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_aligned() {
        let stats = Stats { partition: "0123456789ab".into(), name: Some("web".into()), ..Stats::default() };
        let text = table(&[stats], &[Rates { cpu_percent: 12.34, syscalls: 1234.0, page_faults: 0.4 }]);
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0].find("CPU %"), lines[1].find("12.3%"));
        assert!(lines[1].contains("1.2k"), "{text}");
    }
}
