//! Which command comes next: counts of what followed the last one and the last two, mixed with what was typed lately.
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
//!
//! That is one half of a guess. The other is what was typed lately, whatever followed what: people and documents repeat themselves, and
//! counts learn that too slowly. A command weighs four fifths of the one typed after it.
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
    /// The last two, and what was typed lately: what [`septum suggest`](super) guesses from.
    Whole,
}

/// What a command weighs of the one that was typed after it.
const FADING: f64 = 0.8;
/// The part of a guess that is what was typed lately.
const LATELY: f64 = 0.5;

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
    /// It is a guess more because it was typed so many commands ago (1: the last) than because of what it followed.
    pub ago: Option<usize>,
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
    if let (Memory::Two | Memory::Whole, [.., first, second]) = (memory, before) {
        contexts.push((format!("{first}\n{second}"), 2));
    }
    if let (Memory::One | Memory::Two | Memory::Whole, [.., last]) = (memory, before) {
        contexts.push(((*last).to_owned(), 1));
        contexts.push((format!("\t{}", words(last)), 1));
    }
    contexts
}

/// What was typed lately: its part of all that was, which fades, and how many commands ago it was typed last.
fn lately<'a>(before: &[&'a str]) -> HashMap<&'a str, (f64, usize)> {
    let (mut parts, mut weight, mut sum) = (HashMap::new(), 1.0, 0.0);
    // What is further back weighs less than a thousandth.
    for (ago, shape) in before.iter().rev().take(32).enumerate() {
        parts.entry(*shape).or_insert((0.0, ago + 1)).0 += weight;
        sum += weight;
        weight *= FADING;
    }
    parts.values_mut().for_each(|(part, _)| *part /= sum);
    parts
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
        let lately = if memory == Memory::Whole { lately(before) } else { HashMap::new() };
        let guess = |shape: &String| {
            let mut chance = f64::from(self.all.count(shape)) / f64::from(self.all.total.max(1));
            for (followers, _) in seen.iter().rev() {
                let kinds = u32::try_from(followers.counts.len()).unwrap_or(u32::MAX);
                let (count, total) = (f64::from(followers.count(shape)), f64::from(followers.total));
                chance = (count + f64::from(kinds) * chance) / (total + f64::from(kinds));
            }
            let mut ago = None;
            if !lately.is_empty() {
                let recent = lately.get(shape.as_str());
                let (counted, recalled) =
                    ((1.0 - LATELY) * chance, LATELY * recent.map_or(0.0, |(part, _)| *part));
                chance = counted + recalled;
                ago = recent.map(|(_, ago)| *ago).filter(|_| recalled > counted);
            }
            let longest = seen.iter().find(|(followers, _)| followers.count(shape) > 0);
            let (followers, context) = longest.copied().unwrap_or((&self.all, 0));
            let (count, of) = (followers.count(shape), followers.total);
            Guess { shape: shape.clone(), chance, count, of, context, ago }
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
    fn what_was_typed_lately_is_typed_again() {
        let model = model(&[&["ps", "ps", "ps", "ps"], &["run", "logs", "rm"]]);
        let guesses = model.guesses(&["run", "rm", "rm"], Memory::Whole);
        assert_eq!((guesses[0].shape.as_str(), guesses[0].ago), ("rm", Some(1)));
        // What always followed is stronger than what was typed long ago.
        let guesses = model.guesses(&["rm", "exec", "exec", "exec", "exec", "run"], Memory::Whole);
        let ranks: Vec<&str> = guesses.iter().map(|guess| guess.shape.as_str()).collect();
        let rank = |shape| ranks.iter().position(|it| *it == shape);
        assert!(rank("logs") < rank("rm"), "{ranks:?}");
    }

    #[test]
    fn chances_are_a_distribution() {
        let model = model(&[&["a", "b", "c", "a", "b", "a"], &["c", "a"]]);
        for before in [&[][..], &["a"], &["a", "b"], &["x", "c"]] {
            for memory in [Memory::None, Memory::One, Memory::Two] {
                let sum: f64 = model.guesses(before, memory).iter().map(|guess| guess.chance).sum();
                assert!((sum - 1.0).abs() < 1e-9, "{before:?}: {sum}");
            }
        }
        let sum: f64 = model.guesses(&["a", "b", "a"], Memory::Whole).iter().map(|guess| guess.chance).sum();
        assert!((sum - 1.0).abs() < 1e-9, "{sum}");
        assert!(Model::default().guesses(&["a"], Memory::Two).is_empty());
    }
}
