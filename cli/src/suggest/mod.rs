//! `septum suggest`: what is probably to be typed next, and why.
//!
//! ```text
//!   rules      what the state asks for: partitions that failed, a host that lacks something       first, at most two and one
//!   model      what this user typed after the last commands, by history                           then
//!   rules      how to begin                                                                        if there is room
//! ```
//!
//! Shapes of the model become commands with names of partitions that there are; those for which there is none are left out.

pub mod history;
#[allow(dead_code, reason = "cargo xtask bench --suggest looks back less far, too")]
mod model;
mod rules;

use std::process::ExitCode;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::record::now_ms;
use septum_registry::{Record, State};
use serde::Serialize;

use self::history::Line;
use self::model::{Guess, Memory, Model};
use crate::args::{Suggest, definition};
use crate::message;
use crate::partitions::registry;

/// Between two commands that have nothing to do with each other: so many seconds.
const PAUSE: u64 = 4 * 3600;
/// A guess that is less likely than this is none.
const LEAST_CHANCE: f64 = 0.05;

/// Something to type.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Suggestion {
    /// It.
    pub command: String,
    /// Why it may be wanted.
    pub why: String,
}

/// `septum suggest`
pub fn suggest(options: &Suggest) -> ExitCode {
    let path = history::path();
    if options.forget {
        return forget(path.as_deref());
    }
    let lines = path.map(|path| history::read(&path)).unwrap_or_default();
    let found = registry().list();
    let records: Vec<&Record> = found.iter().rev().map(|found| &found.record).collect();
    let all = suggestions(&records, &lines, history::shell(), usize::from(options.number), now_ms());
    let text = if options.json {
        serde_json::to_string_pretty(&all).unwrap_or_default() + "\n"
    } else {
        all.iter().map(|one| format!("{}\n    {}\n", one.command, message::printable(&one.why))).collect()
    };
    message::print(&text);
    ExitCode::SUCCESS
}

fn forget(path: Option<&std::path::Path>) -> ExitCode {
    match path.map_or(Ok(0), history::forget) {
        Ok(count) => {
            message::print(&format!("forgotten: {count} commands\n"));
            ExitCode::SUCCESS
        }
        Err(error) => {
            let shown = path.map(|path| path.display().to_string()).unwrap_or_default();
            let failure = Failure::new(Code::Path, format!("cannot remove '{shown}'"), error.to_string());
            message::failure(&failure.hint("remove it as the user who owns it"));
            ExitCode::from(Code::Path.number())
        }
    }
}

fn suggestions(records: &[&Record], lines: &[Line], shell: u32, most: usize, now_ms: u64) -> Vec<Suggestion> {
    let here: Vec<&Line> = lines.iter().filter(|line| line.shell == shell).collect();
    let here = if here.is_empty() { lines.iter().collect() } else { here };
    let mut all = rules::suggestions(records, here.last().copied(), now_ms);
    let mut model = Model::default();
    sequences(lines).iter().for_each(|sequence| model.learn_all(sequence));
    let before: Vec<&str> = here.iter().map(|line| line.shape.as_str()).collect();
    let guesses = model.guesses(&before, Memory::Whole);
    let likely = guesses.iter().filter(|guess| guess.chance >= LEAST_CHANCE);
    all.extend(likely.filter_map(|guess| {
        let command = command(&guess.shape, records)?;
        Some(Suggestion { command, why: explained(guess, &before) })
    }));
    all.extend(rules::beginnings(records, !lines.is_empty()));
    let mut kept: Vec<Suggestion> = Vec::new();
    for one in all {
        if kept.len() < most && kept.iter().all(|other| other.command != one.command) {
            kept.push(one);
        }
    }
    kept
}

/// What was typed at one shell without a long pause, each.
fn sequences(lines: &[Line]) -> Vec<Vec<&str>> {
    let mut all: Vec<(u32, u64, Vec<&str>)> = Vec::new();
    for line in lines {
        let goes_on = |(shell, at, _): &&mut (u32, u64, Vec<&str>)| {
            *shell == line.shell && line.at.saturating_sub(*at) < PAUSE
        };
        match all.iter_mut().rev().find(goes_on) {
            Some((_, at, shapes)) => {
                *at = line.at;
                shapes.push(&line.shape);
            }
            None => all.push((line.shell, line.at, vec![&line.shape])),
        }
    }
    all.into_iter().map(|(_, _, shapes)| shapes).collect()
}

/// Why it was guessed.
fn explained(guess: &Guess, before: &[&str]) -> String {
    let Guess { count, of, .. } = guess;
    let name = |back: usize| {
        before
            .len()
            .checked_sub(back)
            .and_then(|at| before.get(at))
            .map(|shape| model::words(shape))
            .unwrap_or_default()
    };
    match (guess.ago, guess.context) {
        (Some(1), _) => "it is the last command that was typed".to_owned(),
        (Some(ago), _) => format!("it was typed {ago} commands ago"),
        (None, 2) => format!(
            "after 'septum {}' and 'septum {}' you have typed this {count} of {of} times",
            name(2),
            name(1)
        ),
        (None, 1) => format!("after 'septum {}' you have typed this {count} of {of} times", name(1)),
        (None, _) => format!("{count} of the last {of} commands were this"),
    }
}

/// A shape with the names that there are. `None` if nothing is there that it could be about.
fn command(shape: &str, records: &[&Record]) -> Option<String> {
    let mut at = &definition();
    let mut words = vec!["septum".to_owned()];
    for word in model::words(shape).split(' ') {
        at = at.find_subcommand(word)?;
        words.push(word.to_owned());
    }
    let is_typed = |id: &str| shape.split(" --").skip(1).any(|typed| typed == id);
    for argument in at.get_arguments().filter(|argument| !argument.is_positional()) {
        let Some(option) = argument.get_long().filter(|_| is_typed(argument.get_id().as_str())) else {
            continue;
        };
        words.push(format!("--{option}"));
        if argument.get_action().takes_values() {
            words.push(placeholder(argument));
        }
    }
    for argument in at.get_positionals() {
        let name = placeholder(argument);
        match argument.get_id().as_str() {
            "partition" | "partitions" if argument.is_required_set() => {
                words.push(partition(model::words(shape), records)?);
            }
            id if argument.is_required_set() || is_typed(id) => words.push(name),
            _ => {}
        }
    }
    Some(words.join(" "))
}

fn placeholder(argument: &clap::Arg) -> String {
    let names = argument.get_value_names().unwrap_or_default();
    names.first().map_or_else(|| "…".to_owned(), ToString::to_string)
}

/// The newest partition that a command can be about.
fn partition(command: &str, records: &[&Record]) -> Option<String> {
    let is_one = |record: &&&Record| match command {
        "stop" | "kill" | "exec" | "attach" => record.state.is_live(),
        "pause" => record.state == State::Running,
        "unpause" => record.state == State::Paused,
        "rm" => !record.state.is_live(),
        "logs" => record.log.is_some(),
        _ => true,
    };
    records.iter().find(is_one).map(|record| record.shown_name().to_owned())
}

#[cfg(test)]
mod tests;
