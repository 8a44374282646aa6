//! What a shell offers when a name is to be completed: partitions, images, volumes, looked up at that moment.
//!
//! The script of `septum completion` runs this program with [`VARIABLE`] set, which then prints candidates instead of doing anything.

use std::ffi::OsStr;

use clap_complete::engine::{
    ArgValueCandidates, ArgValueCompleter, CompletionCandidate, PathCompleter, ValueCompleter,
};
use clap_complete::env::{CompleteEnv, Shells};
use septum_registry::{Record, State};

use crate::{args, image, partitions, volume};

/// Names the shell that asks.
const VARIABLE: &str = "SEPTUM_COMPLETE";

/// Answers a shell and ends, if one asks.
pub fn answer_shell() {
    if std::env::var_os(VARIABLE).is_some() {
        CompleteEnv::with_factory(args::definition).var(VARIABLE).complete();
    }
}

/// The script by which a shell asks `program`. `None` for a shell that cannot.
pub fn script(shell: &str, program: &str) -> Option<Vec<u8>> {
    let mut script = Vec::new();
    let shells = Shells::builtins();
    shells.completer(shell)?.write_registration(VARIABLE, "septum", "septum", program, &mut script).ok()?;
    Some(script)
}

/// Partitions that live.
pub fn live() -> ArgValueCandidates {
    named_partitions(State::is_live)
}

/// Partitions.
pub fn any() -> ArgValueCandidates {
    named_partitions(|_| true)
}

fn named_partitions(is_wanted: fn(&State) -> bool) -> ArgValueCandidates {
    ArgValueCandidates::new(move || {
        let found = partitions::registry().list();
        let wanted = found.into_iter().map(|found| found.record).filter(|record| is_wanted(&record.state));
        wanted.map(|record| partition(&record)).collect()
    })
}

fn partition(record: &Record) -> CompletionCandidate {
    CompletionCandidate::new(record.name.as_ref().unwrap_or(&record.id)).help(Some(record.command().into()))
}

/// Images that have names.
pub fn images() -> ArgValueCandidates {
    ArgValueCandidates::new(|| image::names().into_iter().map(CompletionCandidate::new).collect())
}

/// Volumes.
pub fn volumes() -> ArgValueCandidates {
    ArgValueCandidates::new(|| volume::names().into_iter().map(CompletionCandidate::new).collect())
}

/// What `septum run` runs: an image or a file first, and files as its arguments.
pub fn program() -> ArgValueCompleter {
    ArgValueCompleter::new(Program)
}

struct Program;

impl ValueCompleter for Program {
    fn complete(&self, current: &OsStr) -> Vec<CompletionCandidate> {
        PathCompleter::any().complete(current)
    }

    fn complete_at(&self, index: usize, current: &OsStr) -> Vec<CompletionCandidate> {
        let mut found = self.complete(current);
        if let (0, Some(begun)) = (index, current.to_str()) {
            let images = image::names().into_iter().filter(|name| name.starts_with(begun));
            found.extend(images.map(CompletionCandidate::new));
        }
        found
    }
}
