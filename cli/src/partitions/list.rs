//! `septum ps` and `septum inspect`.

use std::process::ExitCode;

use septum_registry::record::now_ms;
use septum_registry::{Record, State};
use serde::Serialize;

use super::why::{Why, why};
use super::{find, registry};
use crate::args::{Format, Ps, Several};
use crate::message;

/// Columns of a command that are shown.
const COMMAND_WIDTH: usize = 40;

/// `septum ps`
pub fn ps(options: &Ps) -> ExitCode {
    let all = registry().list();
    // The newest first, as in Docker.
    let shown: Vec<&Record> = all
        .iter()
        .rev()
        .map(|found| &found.record)
        .filter(|record| options.all || record.state.is_live())
        .collect();
    let text: String = match options.format {
        _ if options.quiet => shown.iter().map(|record| format!("{}\n", record.id)).collect(),
        Format::Json => shown.iter().map(|record| json(record) + "\n").collect(),
        Format::Table => table(&shown),
    };
    message::print(&text);
    ExitCode::SUCCESS
}

/// `septum inspect`
pub fn inspect(which: &Several) -> ExitCode {
    let mut records = Vec::new();
    let mut status = 0;
    for wanted in &which.partitions {
        match find(wanted) {
            Ok(found) => records.push(found.record),
            Err(failure) => {
                message::failure(&failure);
                status = failure.code.number();
            }
        }
    }
    let shown: Vec<Inspected> = records.into_iter().map(Inspected::of).collect();
    let text = serde_json::to_string_pretty(&shown).unwrap_or_default();
    message::print(&format!("{text}\n"));
    ExitCode::from(status)
}

/// A record, and what a person wants to know of one that does not do what it should.
#[derive(Serialize)]
struct Inspected {
    #[serde(flatten)]
    record: Record,
    #[serde(flatten)]
    why: Option<Why>,
}

impl Inspected {
    fn of(record: Record) -> Self {
        Self { why: why(&record), record }
    }
}

fn json(record: &Record) -> String {
    serde_json::to_string(record).unwrap_or_default()
}

fn table(records: &[&Record]) -> String {
    let mut rows = vec![["ID", "NAME", "STATUS", "CREATED", "COMMAND"].map(str::to_owned)];
    let now = now_ms();
    for record in records {
        rows.push([
            record.id.clone(),
            record.name.clone().unwrap_or_default(),
            status(record, now),
            format!("{} ago", span(now.saturating_sub(record.created_ms))),
            shortened(&record.command()),
        ]);
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths = [0, 1, 2, 3].map(width);
    let line = |row: &[String; 5]| {
        let cells = row.iter().zip(widths).map(|(cell, width)| format!("{cell:width$}   "));
        cells.collect::<String>() + &row[4] + "\n"
    };
    rows.iter().map(line).collect()
}

fn status(record: &Record, now: u64) -> String {
    let ago = |ms: u64| span(now.saturating_sub(ms));
    match &record.state {
        State::Running => format!("up {}", ago(record.started_ms.unwrap_or(record.created_ms))),
        State::Exited { status, at_ms, .. } => {
            let short = why(record).and_then(|why| why.short);
            let short = short.map(|short| format!(", {short}")).unwrap_or_default();
            format!("exited ({status}{short}) {} ago", ago(*at_ms))
        }
        other => other.name().to_owned(),
    }
}

/// `5 seconds`, `1 hour`.
fn span(ms: u64) -> String {
    let seconds = ms / 1000;
    let (number, unit) = match seconds {
        0..60 => (seconds, "second"),
        60..3600 => (seconds / 60, "minute"),
        3600..86_400 => (seconds / 3600, "hour"),
        _ => (seconds / 86_400, "day"),
    };
    format!("{number} {unit}{}", if number == 1 { "" } else { "s" })
}

fn shortened(command: &str) -> String {
    match command.char_indices().nth(COMMAND_WIDTH) {
        Some((end, _)) => format!("{}…", &command[..end]),
        None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_and_commands_are_short() {
        assert_eq!(span(0), "0 seconds");
        assert_eq!(span(61_000), "1 minute");
        assert_eq!(span(7_200_000), "2 hours");
        assert_eq!(span(86_400_000 * 3), "3 days");
        assert_eq!(shortened("ls"), "ls");
        assert_eq!(shortened(&"é".repeat(50)).chars().count(), 41);
    }
}
