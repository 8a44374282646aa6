//! `cargo xtask bench --suggest`: how often the next command is among the first three that `septum suggest` would guess.
//!
//! No histories of people are to be had, so that what is replayed are documents: what was written for others to type. Each is left out once
//! and guessed, command by command, by a model of the others; as in the product, the model learns what was typed so far. The
//! baseline guesses what is typed most often, and learns the same.

mod corpus;
#[allow(dead_code, reason = "the product's, of which a part is measured")]
#[path = "../../../../cli/src/suggest/model.rs"]
mod model;

use std::fmt::Write as _;

use anyhow::Result;

use self::corpus::{Corpus, Document};
use self::model::{Memory, Model, words};
use crate::workspace::Workspace;

/// Suggestions that are shown.
const SHOWN: usize = 3;

/// Guesses and hits.
#[derive(Clone, Copy, Default)]
struct Score {
    guesses: u32,
    first: u32,
    among: u32,
    /// The command is among them, whatever its options.
    command: u32,
}

/// How to guess.
#[derive(Clone, Copy)]
enum Way {
    Model(Memory),
    /// What was typed most often in this document.
    Own,
    /// The last that were typed in this document, each once.
    Recent,
}

/// Reads the corpora, replays them, and prints the table.
pub fn measure(workspace: &Workspace) -> Result<()> {
    let folder = workspace.target().join("suggest");
    let packages =
        [("docker-doc", "documentation of Docker", "docker"), ("podman", "manual pages of Podman", "podman")];
    let mut corpora = vec![corpus::of_repository(workspace.root())?];
    for (package, name, tool) in packages {
        match corpus::of_package(&folder, package, name, tool) {
            Ok(corpus) => corpora.push(corpus),
            Err(error) => println!("{name}: skipped: the package {package} cannot be had: {error:#}"),
        }
    }
    print!("{}", table(&corpora)?);
    Ok(())
}

fn table(corpora: &[Corpus]) -> Result<String> {
    let mut text = String::new();
    writeln!(
        text,
        "| replayed | guessed from | commands | first | first {SHOWN} | first {SHOWN}, options aside |"
    )?;
    writeln!(text, "| --- | --- | ---: | ---: | ---: | ---: |")?;
    for corpus in corpora {
        let count = corpus.documents.len();
        let ways = [
            ("how often each is typed in all", Way::Model(Memory::None)),
            ("how often each was typed in the same document", Way::Own),
            ("what was typed last in it", Way::Recent),
            ("the last command", Way::Model(Memory::One)),
            ("the last two", Way::Model(Memory::Two)),
            ("the last two, and what was typed last (`septum suggest`)", Way::Model(Memory::Whole)),
        ];
        for (way, guess) in ways {
            let score = replay(&corpus.documents, guess);
            let percent =
                |hits: u32| format!("{:.0} %", 100.0 * f64::from(hits) / f64::from(score.guesses.max(1)));
            writeln!(
                text,
                "| {} ({count}) | {way} | {} | {} | {} | {} |",
                corpus.name,
                score.guesses,
                percent(score.first),
                percent(score.among),
                percent(score.command)
            )?;
        }
    }
    Ok(text)
}

/// Each document guessed by a model of the others.
fn replay(documents: &[Document], way: Way) -> Score {
    let mut score = Score::default();
    for (at, document) in documents.iter().enumerate() {
        let mut model = Model::default();
        for (_, other) in documents.iter().enumerate().filter(|(other, _)| *other != at) {
            model.learn_all(&shapes(other));
        }
        let shapes = shapes(document);
        model.learn(&[], shapes[0]);
        for (at, shape) in shapes.iter().enumerate().skip(1) {
            let before = &shapes[..at];
            let shown: Vec<String> = match way {
                Way::Model(memory) => {
                    let guesses = model.guesses(before, memory).into_iter();
                    guesses.take(SHOWN).map(|guess| guess.shape).collect()
                }
                Way::Own => {
                    let mut own = Model::default();
                    own.learn_all(before);
                    own.guesses(&[], Memory::None).into_iter().take(SHOWN).map(|guess| guess.shape).collect()
                }
                Way::Recent => recent(before),
            };
            score.guesses += 1;
            score.first += u32::from(shown.first().is_some_and(|guess| guess == shape));
            score.among += u32::from(shown.iter().any(|guess| guess == shape));
            score.command += u32::from(shown.iter().any(|guess| words(guess) == words(shape)));
            model.learn(before, shape);
        }
    }
    score
}

fn recent(before: &[&str]) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for shape in before.iter().rev() {
        if shown.len() < SHOWN && !shown.iter().any(|other| other == shape) {
            shown.push((*shape).to_owned());
        }
    }
    shown
}

fn shapes(document: &Document) -> Vec<&str> {
    document.shapes.iter().map(String::as_str).collect()
}
