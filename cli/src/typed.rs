//! What was typed, for what is said about it later: the words, so that they can be shown once more with something changed.

use std::ffi::{OsStr, OsString};
use std::sync::OnceLock;

static TYPED: OnceLock<Typed> = OnceLock::new();

/// More than this of a command line is cut off where it is shown.
const SHOWN: usize = 160;
/// What is not shown, or was not kept.
const ELIDED: &str = "…";

/// A command line of `septum run`.
#[derive(Debug)]
pub struct Typed {
    /// What is between `septum run` and the program: options and their values.
    options: Vec<OsString>,
    /// `--`, the program and its arguments.
    program: Vec<OsString>,
}

/// Keeps the words of `septum run`, that one included, of which the last `program` are the program's.
pub fn keep_run(line: &[OsString], program: usize) {
    let end = line.len().saturating_sub(program);
    let end = if end > 1 && line[end - 1] == "--" { end - 1 } else { end };
    let typed = Typed { options: line[1.min(end)..end].to_vec(), program: line[end..].to_vec() };
    // The process has one command line.
    let _ = TYPED.set(typed);
}

/// The command line with other values of an option, as it can be typed.
pub fn again(option: &str, values: &[String]) -> String {
    TYPED.get().map_or_else(
        || ["septum run".to_owned(), with(option, values), ELIDED.to_owned()].join(" "),
        |typed| typed.again(option, values),
    )
}

fn with(option: &str, values: &[String]) -> String {
    values.iter().map(|value| format!("{option} {}", word(OsStr::new(value)))).collect::<Vec<_>>().join(" ")
}

impl Typed {
    fn again(&self, option: &str, values: &[String]) -> String {
        // Rules are added to those that there are.
        let replaces = option != "--allow-net";
        let is_it = |word: &OsStr| word == option || (option == "--memory" && word == "-m");
        let joined = |word: &OsStr| {
            let text = word.to_string_lossy();
            text.strip_prefix(option).is_some_and(|rest| rest.starts_with('='))
        };
        let mut shown = vec!["septum".to_owned(), "run".to_owned()];
        let mut words = self.options.iter().map(OsString::as_os_str);
        while let Some(next) = words.next() {
            if replaces && is_it(next) {
                words.next();
            } else if !(replaces && joined(next)) {
                shown.push(hidden(next).unwrap_or_else(|| word(next)));
                if takes_variable(next) {
                    shown.extend(words.next().map(without_value));
                }
            }
        }
        // The last one counts.
        let mut text = format!("{} {}", shown.join(" "), with(option, values));
        for next in &self.program {
            let next = word(next);
            if text.len() + next.len() > SHOWN {
                return format!("{text} {ELIDED}");
            }
            text = format!("{text} {next}");
        }
        text
    }
}

/// A variable of the environment may be a secret.
fn without_value(variable: &OsStr) -> String {
    match variable.to_string_lossy().split_once('=') {
        Some((key, _)) => format!("{}={ELIDED}", word(OsStr::new(key))),
        None => word(variable),
    }
}

/// Whether the next word is a variable: `--env`, `-e`, `-ie`.
fn takes_variable(word: &OsStr) -> bool {
    let text = word.to_string_lossy();
    text == "--env" || (text.starts_with('-') && !text.starts_with("--") && text.ends_with('e'))
}

/// What is shown instead, where option and variable are one word: `--env=A=1`, `-eA=1`, `-ieA=1`.
fn hidden(word: &OsStr) -> Option<String> {
    let text = word.to_string_lossy();
    if let Some(variable) = text.strip_prefix("--env=") {
        return Some(format!("--env={}", without_value(OsStr::new(variable))));
    }
    let (letters, rest) = text.strip_prefix('-').filter(|rest| !rest.starts_with('-'))?.split_once('e')?;
    rest.contains('=').then(|| format!("-{letters}e{}", without_value(OsStr::new(rest))))
}

/// A word as a shell takes it; what cannot be shown is left out.
pub fn word(word: &OsStr) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    match word.to_str() {
        Some(text) if !text.is_empty() && text.bytes().all(is_plain) => text.to_owned(),
        Some(text) if !text.chars().any(char::is_control) => format!("'{}'", text.replace('\'', "'\\''")),
        _ => ELIDED.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(options: &[&str], program: &[&str]) -> Typed {
        let words = |words: &[&str]| words.iter().map(OsString::from).collect();
        Typed { options: words(options), program: words(program) }
    }

    fn memory(options: &[&str], program: &[&str]) -> String {
        typed(options, program).again("--memory", &["1G".to_owned()])
    }

    #[test]
    fn one_value_takes_the_place_of_another() {
        let new = "septum run -d --memory 1G -- a b";
        for old in [&["-d"][..], &["--memory", "64M", "-d"], &["-d", "--memory=64M"], &["-m", "64M", "-d"]] {
            assert_eq!(memory(old, &["--", "a", "b"]), new, "{old:?}");
        }
    }

    #[test]
    fn rules_are_added() {
        let rules = ["a:80".to_owned(), "*.b".to_owned()];
        let again = typed(&["--allow-net", "c"], &["x"]).again("--allow-net", &rules);
        assert_eq!(again, "septum run --allow-net c --allow-net a:80 --allow-net '*.b' x");
    }

    #[test]
    fn secrets_are_not_repeated() {
        for options in [
            &["--env", "TOKEN=secret"][..],
            &["-e", "TOKEN=secret"],
            &["--env=TOKEN=secret"],
            &["-eTOKEN=secret"],
            &["-de", "TOKEN=secret"],
            &["-deTOKEN=a secret"],
        ] {
            let again = memory(options, &["x"]);
            assert!(again.contains("TOKEN=…") && !again.contains("secret"), "{again}");
        }
        assert_eq!(memory(&["-e", "TOKEN"], &["x"]), "septum run -e TOKEN --memory 1G x");
    }

    #[test]
    fn words_are_a_shells() {
        assert_eq!(
            memory(&[], &["--", "sh", "-c", "it's $HOME", "a\nb", ""]),
            "septum run --memory 1G -- sh -c 'it'\\''s $HOME' … ''"
        );
        assert!(memory(&[], &["x", &"y".repeat(500)]).ends_with("x …"));
    }
}
