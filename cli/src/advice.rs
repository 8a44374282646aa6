//! What to do next, as a command that can be typed.
//!
//! Whoever fails says what failed and why, and gives the advice that always holds ([`Failure`](septum_api_types::failure::Failure)). Here,
//! where the command line and the other partitions are known, better advice takes its place.

use std::path::{Path, PathBuf};

use septum_api_types::duration::Span;
use septum_api_types::exit::Code;
use septum_api_types::network::Rule;
use septum_api_types::size::Size;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::EndStats;
use septum_worker::Ended;

use crate::nearest::nearest;
use crate::tell::HINT;
use crate::{partitions, typed};

/// The most rules that are proposed at once.
const MOST_RULES: usize = 3;
/// The file beside the log of a partition in the background that says what it was refused.
const REFUSED: &str = "refused";

/// What is told of an end, if anything. `refused` is what the partition's network rules have refused.
pub fn of_end(end: &EndStats, spec: &PartitionSpec, refused: &[String]) -> Option<String> {
    let Some(message) = &end.message else {
        return of_refusals(refused).filter(|_| end.status != 0);
    };
    let (problem, usual) = message.split_once(HINT).unwrap_or((message, ""));
    let better = Code::of_number(end.status).and_then(|code| better(code, problem, spec));
    let hint = better.unwrap_or_else(|| usual.to_owned());
    Some(if hint.is_empty() { problem.to_owned() } else { format!("{problem}{HINT}{hint}") })
}

fn better(code: Code, problem: &str, spec: &PartitionSpec) -> Option<String> {
    match code {
        Code::OutOfMemory | Code::Memory => {
            let least = problem.split_once("the least is ").map(|(_, least)| least.to_owned());
            // What the host does not have is not to be had by asking for more.
            let is_used_up = code == Code::OutOfMemory || problem.starts_with("septum: cannot start ");
            let more =
                least.or_else(|| is_used_up.then(|| Size(more_memory(spec.memory_bytes)).to_string()))?;
            Some(format!("give it more: {}", typed::again("--memory", &[more])))
        }
        Code::Timeout => {
            let more = more_time(spec.timeout?);
            Some(format!("give it more time: {}", typed::again("--timeout", &[more.to_string()])))
        }
        Code::Program if spec.image.is_none() && spec.root.is_none() => {
            let (_, searched) = problem.split_once("there is no such program in ")?;
            let program = spec.program.to_string();
            let meant = nearest(&program, programs(searched.split(", ")))?;
            Some(format!("did you mean '{meant}'? Else install it on the host, or give its path"))
        }
        Code::Host if problem.contains("make a network namespace") => Some(format!(
            "run as root, or let the host make one more ('sudo sysctl -w user.max_net_namespaces=10000'); without the wall that it is: {}",
            typed::again("--jail", &["degraded".to_owned()])
        )),
        Code::Path if problem.contains(" is taken by partition ") => {
            let other = typed::again("--name", &[free_name(&spec.name)]);
            Some(format!("'septum stop {}' ends that one; or take another name: {other}", spec.name))
        }
        _ => None,
    }
}

/// Twice as much.
pub fn more_memory(bytes: u64) -> u64 {
    bytes.saturating_mul(2)
}

/// Twice as long.
fn more_time(limit: Span) -> Span {
    Span { ns: limit.ns.saturating_mul(2) }
}

/// `NAME-2`, or the first such that nobody has.
fn free_name(name: &str) -> String {
    let registry = partitions::registry();
    let mut names = (2..100).map(|number| format!("{name}-{number}"));
    names.find(|name| registry.find(name).is_err()).unwrap_or_else(|| "NAME".to_owned())
}

/// The names of what is in these directories of the host.
fn programs<'a>(directories: impl Iterator<Item = &'a str>) -> impl Iterator<Item = String> {
    let entries =
        directories.flat_map(|directory| std::fs::read_dir(directory).into_iter().flatten().flatten());
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned())
}

/// What was refused to a program that failed, and which rules would allow it.
fn of_refusals(refused: &[String]) -> Option<String> {
    let (first, hint) = (refused.first()?, typed::again("--allow-net", &rules(refused)));
    let more = match refused.len() {
        1 => String::new(),
        several => format!(" (and {} more; -v tells all)", several - 1),
    };
    let what = first.split("; ").next().unwrap_or(first);
    let what = crate::message::printable(what.strip_prefix("network: ").unwrap_or(what));
    let problem = format!("septum: the network of the partition is limited: {what}{more}");
    Some(if rules(refused).is_empty() { problem } else { format!("{problem}{HINT}if that is meant: {hint}") })
}

/// The rules that would allow what was refused. The names in them are a guest's, so that only what is a rule is passed on.
pub fn rules(refused: &[String]) -> Vec<String> {
    let rule = |line: &String| {
        let (_, rest) = line.split_once("--allow-net ")?;
        let rule: Rule = rest.split(' ').next()?.parse().ok()?;
        Some(rule.to_string())
    };
    let mut rules: Vec<String> = Vec::new();
    for rule in refused.iter().filter_map(rule) {
        if rules.len() < MOST_RULES && !rules.contains(&rule) {
            rules.push(rule);
        }
    }
    rules
}

/// Keeps what a partition in the background was refused, beside its log.
pub fn keep_refusals(log: &Path, ended: &Ended) {
    let refused = &ended.stats.network.refused;
    if !refused.is_empty() {
        // Nobody is there to be told that it could not be written.
        let _ = std::fs::write(log.join(REFUSED), refused.join("\n"));
    }
}

/// What it was refused.
pub fn refusals(log: Option<&PathBuf>) -> Vec<String> {
    let text = log.and_then(|log| std::fs::read_to_string(log.join(REFUSED)).ok()).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(lines: &[&str]) -> Vec<String> {
        rules(&lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn rules_are_read_from_what_was_refused() {
        let lines = [
            "network: connection to example.com:80 refused; --allow-net example.com:80 would allow it",
            "network: name example.com not looked up; --allow-net example.com would allow it",
            "network: connection to 10.0.0.1:53/udp refused; it is the host itself, which --allow-net host.septum.internal:53/udp would allow",
            "network: connection to 127.0.0.1:1 refused; no rule can allow such an address",
            "network: connection to example.com:80 refused; --allow-net example.com:80 would allow it",
        ];
        assert_eq!(refused(&lines), ["example.com:80", "example.com", "host.septum.internal:53/udp"]);
    }

    #[test]
    fn no_guest_puts_words_into_a_persons_mouth() {
        assert!(refused(&["network: name x;id not looked up; --allow-net x;id would allow it"]).is_empty());
        assert!(refused(&["network: name $(id) not looked up; --allow-net $(id) would allow it"]).is_empty());
        let many: Vec<String> = (0..50).map(|n| format!("x; --allow-net a{n}:1 would allow it")).collect();
        assert_eq!(rules(&many).len(), MOST_RULES);
    }
}
