//! What the state of things asks for, whatever was typed before.

use septum_api_types::exit::Code;
use septum_registry::{Record, State};

use super::Suggestion;
use super::history::Line;
use crate::partitions::why::why;

/// A failure that is older (in ms) is no news.
const NEWS: u64 = 24 * 3600 * 1000;
/// Partitions that have failed and are told of.
const MOST: usize = 2;

/// Of the partitions, the newest first, and of the last command.
pub fn suggestions(records: &[&Record], last: Option<&Line>, now_ms: u64) -> Vec<Suggestion> {
    let mut all = Vec::new();
    match last.and_then(|line| Code::of_number(line.status)) {
        Some(Code::Host) => all.push(Suggestion {
            command: "septum doctor".to_owned(),
            why: "the last command said that this host cannot run partitions; this says what is missing"
                .to_owned(),
        }),
        Some(Code::Worker | Code::Panic | Code::Internal) => all.push(Suggestion {
            command: "septum doctor".to_owned(),
            why: "the last command failed within Septum; a report of it needs what this says".to_owned(),
        }),
        _ => {}
    }
    let is_news = |record: &&&Record| match record.state {
        State::Exited { at_ms, .. } => now_ms.saturating_sub(at_ms) < NEWS,
        _ => true,
    };
    let failed = records.iter().filter(is_news).filter_map(|record| {
        let why = why(record)?;
        Some(Suggestion { command: why.next, why: format!("partition {}: {}", record.shown_name(), why.why) })
    });
    all.extend(failed.take(MOST));
    all
}

/// For whoever has typed nothing yet, or is known for nothing.
pub fn beginnings(records: &[&Record], has_history: bool) -> Vec<Suggestion> {
    let suggestion =
        |command: &str, why: &str| Suggestion { command: command.to_owned(), why: why.to_owned() };
    let mut all = Vec::new();
    if let Some(live) = records.iter().find(|record| record.state.is_live() && record.is_detached) {
        let name = live.shown_name();
        all.push(suggestion(
            &format!("septum logs -f {name}"),
            "it runs in the background, and this shows what it says",
        ));
    }
    if !has_history && records.is_empty() {
        all.push(suggestion("septum doctor", "nothing has been run yet: this says whether this host can"));
    }
    all.push(suggestion("septum run -- uname -a", "a program of this host in a partition of its own"));
    all
}
