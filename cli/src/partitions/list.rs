//! `septum ps` and `septum inspect`.

use std::process::ExitCode;

use septum_api_types::v1::PartitionState;
use septum_registry::Record;
use serde::Serialize;

use super::table::{Row, table};
use super::why::{Why, why};
use super::{find, registry};
use crate::args::{Format, Ps, Several};
use crate::message;

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
        Format::Table => table(&shown.into_iter().map(row).collect::<Vec<_>>()),
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

fn row(record: &Record) -> Row {
    Row {
        id: record.id.clone(),
        name: record.name.clone(),
        state: PartitionState::from(&record.state),
        created_ms: record.created_ms,
        started_ms: record.started_ms,
        command: record.command(),
        short: why(record).and_then(|why| why.short),
    }
}
