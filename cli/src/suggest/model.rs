//! Which command comes next: counts of what followed the last one and the last two, mixed.
//!
//! A command is known by its *shape*: its words and the names of its options, `run --detach --name`. A shape's chance after others is
//!
//! ```text
//!   P(next | two before)   ◄─ counts of both, or else
//!   P(next | one before)   ◄─ its counts, or else
//!   P(next | its words)    ◄─ counts of the command whatever its options were, or else
//!   P(next)                ◄─ how often it is typed at all
//! ```
//!
//! "or else" by Witten and Bell: of N times that something followed, T different things, the longer context has N parts and what is
//! below it T. So a context that was followed by many different things says little, and one that was never seen says nothing.
//! `cargo xtask bench --suggest` reads this file too, and measures it.

use std::collections::{BTreeMap, HashMap};

/// What a guess may look back at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing: how often a shape is typed.
    None,
    /// The last command.
    One,
    /// The last two.
    Two,
}

/// What followed something, and how often.
#[derive(Debug, Default)]
struct Followers {
    counts: BTreeMap<String, u32>,
    total: u32,
}

impl Followers {
    fn count(&self, shape: &str) -> u32 {
        self.counts.get(shape).copied().unwrap_or(0)
    }
}

/// A shape that may come next.
#[derive(Clone, Debug, PartialEq)]
pub struct Guess {
    /// It.
    pub shape: String,
    /// Its chance, 0 to 1.
    pub chance: f64,
    /// How often it came in the longest context in which it ever did.
    pub count: u32,
    /// How often that context was seen.
    pub of: u32,
    /// How many commands are in that context: 2, 1, or 0.
    pub context: usize,
}

/// What was typed, counted.
#[derive(Debug, Default)]
pub struct Model {
    all: Followers,
    after: HashMap<String, Followers>,
}

/// The contexts of what comes after these, the longest first, each with the number of commands that it has.
fn contexts(before: &[&str], memory: Memory) -> Vec<(String, usize)> {
    let mut contexts = Vec::new();
    if let (Memory::Two, [.., first, second]) = (memory, before) {
        contexts.push((format!("{first}\n{second}"), 2));
    }
    if let (Memory::One | Memory::Two, [.., last]) = (memory, before) {
        contexts.push(((*last).to_owned(), 1));
        contexts.push((format!("\t{}", words(last)), 1));
    }
    contexts
}

/// A shape without its options.
pub fn words(shape: &str) -> &str {
    shape.split(" --").next().unwrap_or(shape)
}

impl Model {
    /// Counts what came after what was before.
    pub fn learn(&mut self, before: &[&str], shape: &str) {
        let contexts = contexts(before, Memory::Two).into_iter().map(|(context, _)| context);
        let add = |followers: &mut Followers| {
            *followers.counts.entry(shape.to_owned()).or_default() += 1;
            followers.total += 1;
        };
        contexts.for_each(|context| add(self.after.entry(context).or_default()));
        add(&mut self.all);
    }

    /// Counts all of a sequence.
    pub fn learn_all(&mut self, sequence: &[&str]) {
        for (at, shape) in sequence.iter().enumerate() {
            self.learn(&sequence[..at], shape);
        }
    }

    /// What may come next, the likeliest first. Of equal chances the first in the alphabet is first.
    pub fn guesses(&self, before: &[&str], memory: Memory) -> Vec<Guess> {
        let contexts = contexts(before, memory);
        let seen: Vec<(&Followers, usize)> = contexts
            .iter()
            .filter_map(|(context, length)| Some((self.after.get(context)?, *length)))
            .collect();
        let guess = |shape: &String| {
            let mut chance = f64::from(self.all.count(shape)) / f64::from(self.all.total.max(1));
            for (followers, _) in seen.iter().rev() {
                let kinds = u32::try_from(followers.counts.len()).unwrap_or(u32::MAX);
                let (count, total) = (f64::from(followers.count(shape)), f64::from(followers.total));
                chance = (count + f64::from(kinds) * chance) / (total + f64::from(kinds));
            }
            let longest = seen.iter().find(|(followers, _)| followers.count(shape) > 0);
            let (followers, context) = longest.copied().unwrap_or((&self.all, 0));
            Guess {
                shape: shape.clone(),
                chance,
                count: followers.count(shape),
                of: followers.total,
                context,
            }
        };
        let mut guesses: Vec<Guess> = self.all.counts.keys().map(guess).collect();
        guesses.sort_by(|one, other| other.chance.total_cmp(&one.chance));
        guesses
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(sequences: &[&[&str]]) -> Model {
        let mut model = Model::default();
        sequences.iter().for_each(|sequence| model.learn_all(sequence));
        model
    }

    fn first(model: &Model, before: &[&str], memory: Memory) -> String {
        model.guesses(before, memory).first().map(|guess| guess.shape.clone()).unwrap_or_default()
    }

    #[test]
    fn what_followed_comes_first() {
        let model =
            model(&[&["run", "logs", "rm"], &["run", "ps", "run", "logs", "rm"], &["ps", "ps", "ps", "ps"]]);
        assert_eq!(first(&model, &[], Memory::Two), "ps");
        assert_eq!(first(&model, &["run"], Memory::One), "logs");
        assert_eq!(first(&model, &["run", "logs"], Memory::Two), "rm");
        assert_eq!(first(&model, &["run"], Memory::None), "ps");
        let guess = model.guesses(&["run", "logs"], Memory::Two).remove(0);
        assert_eq!((guess.count, guess.of, guess.context), (2, 2, 2));
    }

    #[test]
    fn two_before_tell_apart_what_one_does_not() {
        let model = model(&[
            &["build", "run", "rm"],
            &["build", "run", "rm"],
            &["ps", "run", "logs"],
            &["ps", "run", "logs"],
        ]);
        assert_eq!(first(&model, &["build", "run"], Memory::Two), "rm");
        assert_eq!(first(&model, &["ps", "run"], Memory::Two), "logs");
    }

    #[test]
    fn options_that_were_never_seen_leave_the_command() {
        let model = model(&[&["run --detach", "logs"], &["run --detach", "logs"], &["ps", "ps", "ps", "ps"]]);
        assert_eq!(first(&model, &["run --detach --memory"], Memory::Two), "logs");
        assert_eq!(first(&model, &["never"], Memory::Two), "ps");
    }

    #[test]
    fn chances_are_a_distribution() {
        let model = model(&[&["a", "b", "c", "a", "b", "a"], &["c", "a"]]);
        for before in [&[][..], &["a"], &["a", "b"], &["x", "c"]] {
            let sum: f64 = model.guesses(before, Memory::Two).iter().map(|guess| guess.chance).sum();
            assert!((sum - 1.0).abs() < 1e-9, "{before:?}: {sum}");
        }
        assert!(Model::default().guesses(&["a"], Memory::Two).is_empty());
    }
}
