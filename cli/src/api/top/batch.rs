//! Tables one after the other, for pipes and files.

use std::fmt::Write as _;
use std::time::Instant;

use septum_api_types::failure::Failure;
use septum_registry::Registry;

use super::fleet::{Fleet, Member};
use super::reader::{FIRST_PERIOD, read};
use super::state::{COLUMNS, State};
use crate::args::{Column, Top};
use crate::message;

/// Prints until there is enough, or nobody reads.
pub fn run(options: &Top, registry: &Registry) -> Result<(), Failure> {
    let mut fleet = Fleet::default();
    let state = State::new(options.sort, options.filter.clone());
    // Rates need a past.
    fleet.update(read(registry, options.delay, None));
    std::thread::sleep(options.delay.min(FIRST_PERIOD));
    let mut printed = 0;
    loop {
        let started = Instant::now();
        fleet.update(read(registry, options.delay, None));
        if !message::try_print(&table(&state.listed(&fleet), printed > 0)) {
            return Ok(());
        }
        printed += 1;
        if options.count.is_some_and(|count| printed >= count) {
            return Ok(());
        }
        std::thread::sleep(options.delay.saturating_sub(started.elapsed()));
    }
}

/// A line for each, with a line of heads; `has_before`: after an empty one.
fn table(listed: &[&Member], has_before: bool) -> String {
    let heads = COLUMNS.iter().map(|(.., head)| (*head).to_owned()).chain(["COMMAND".to_owned()]);
    let mut rows: Vec<Vec<String>> = vec![heads.collect()];
    rows.extend(listed.iter().map(|member| {
        let remark = member.remark.map(|remark| format!(" ({remark})")).unwrap_or_default();
        let cells = COLUMNS.iter().map(|(column, ..)| match column {
            Column::Name => format!("{}{remark}", member.name),
            column => member.usage.text(*column),
        });
        cells.chain([member.command.clone()]).collect()
    }));
    let widths: Vec<usize> = (0..=COLUMNS.len())
        .map(|at| rows.iter().map(|row| row[at].chars().count()).max().unwrap_or(0))
        .collect();
    let mut text = String::from(if has_before { "\n" } else { "" });
    for row in rows {
        let mut line = String::new();
        for (at, (cell, width)) in row.iter().zip(&widths).enumerate() {
            let is_text = at == 0 || at == COLUMNS.len();
            let _ = if is_text { write!(line, "{cell:<width$}  ") } else { write!(line, "{cell:>width$}  ") };
        }
        text += line.trim_end();
        text.push('\n');
    }
    text
}
