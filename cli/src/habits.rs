//! What people type who know another tool, or slip: which command of ours they may have meant.

use clap::error::{ContextKind, ContextValue};

use crate::args::definition;
use crate::nearest::nearest;

/// Words of Docker's and Podman's, and what does the same here.
const WORDS: [(&str, &str); 21] = [
    ("build", "septum image build SOURCE -t NAME"),
    ("commit", "septum image build SOURCE -t NAME"),
    ("container", "septum ps"),
    ("containers", "septum ps"),
    ("create", "septum run -d … PROGRAM"),
    ("images", "septum image ls"),
    ("import", "septum image build ARCHIVE -t NAME"),
    ("info", "septum doctor"),
    ("list", "septum ps"),
    ("load", "septum image build ARCHIVE -t NAME"),
    ("ls", "septum ps"),
    ("port", "septum inspect PARTITION"),
    ("prune", "septum volume prune"),
    ("pull", "skopeo copy docker://IMAGE docker-archive:FILE && septum image build FILE -t NAME"),
    ("restart", "septum stop PARTITION, then septum run"),
    ("rmi", "septum image rm IMAGE"),
    ("save", "septum image export IMAGE -o FILE"),
    ("shell", "septum exec -it PARTITION sh"),
    ("tag", "septum image tag IMAGE NAME"),
    ("up", "septum apply -f FILE"),
    ("volumes", "septum volume ls"),
];

/// The command that was typed, without its options: `septum volume`.
pub fn command_of(error: &clap::Error) -> String {
    // Errors about values do not say.
    let Some(usage) = usage_of(error) else { return command_among(std::env::args().skip(1)) };
    let words = usage.split(' ').take_while(|word| word.bytes().all(|byte| byte.is_ascii_lowercase()));
    words.collect::<Vec<_>>().join(" ")
}

/// The first of these words, as far as they are commands.
fn command_among(words: impl Iterator<Item = String>) -> String {
    let (mut at, mut command) = (&definition(), "septum".to_owned());
    for word in words {
        let Some(next) = at.find_subcommand(&word) else { break };
        command = format!("{command} {}", next.get_name());
        at = next;
    }
    command
}

/// The commands of a command.
fn commands_of(command: &str) -> Vec<String> {
    let mut at = &definition();
    for word in command.split(' ').skip(1) {
        let Some(next) = at.find_subcommand(word) else { return Vec::new() };
        at = next;
    }
    at.get_subcommands().flat_map(clap::Command::get_name_and_visible_aliases).map(str::to_owned).collect()
}

/// How it is to be typed.
pub fn usage_of(error: &clap::Error) -> Option<String> {
    let Some(ContextValue::StyledStr(usage)) = error.get(ContextKind::Usage) else { return None };
    let text = usage.to_string();
    Some(text.strip_prefix("Usage: ")?.lines().next()?.to_owned())
}

/// What to do about a word that `command` does not have.
pub fn unknown_command(command: &str, typed: &str) -> String {
    let help = format!("'{command} --help' lists all");
    if command == "septum"
        && let Some((_, ours)) = WORDS.iter().find(|(word, _)| *word == typed)
    {
        return format!("that is: {ours}");
    }
    match nearest(typed, commands_of(command)) {
        Some(meant) => format!("did you mean '{command} {meant}'? {help}"),
        None if command == "septum" => format!("{help}; a program is run by 'septum run -- {typed}'"),
        None => help,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_that_were_meant() {
        for (command, typed, hint) in [
            ("septum", "rnu", "did you mean 'septum run'?"),
            ("septum", "lgos", "did you mean 'septum logs'?"),
            ("septum volume", "prun", "did you mean 'septum volume prune'?"),
            ("septum", "rmi", "that is: septum image rm"),
            ("septum image", "rmi", "did you mean 'septum image rm'?"),
            ("septum", "python3", "'septum run -- python3'"),
            ("septum token", "zzzzzz", "'septum token --help' lists all"),
        ] {
            assert!(unknown_command(command, typed).contains(hint), "{}", unknown_command(command, typed));
        }
    }

    #[test]
    fn other_tools_words_are_none_of_ours_and_ours_exist() {
        let ours = commands_of("septum");
        for (word, command) in WORDS {
            assert!(!ours.iter().any(|own| own == word), "{word}");
            let own = command.split(' ').skip_while(|word| *word != "septum").nth(1).unwrap_or_default();
            assert!(ours.iter().any(|it| it == own), "{command}");
        }
    }

    #[test]
    fn words_are_commands_as_far_as_they_go() {
        let words = |words: &[&str]| command_among(words.iter().map(|word| (*word).to_owned()));
        assert_eq!(words(&["image", "build", "rm", "x"]), "septum image build");
        assert_eq!(words(&["resume", "--all"]), "septum unpause");
        assert_eq!(words(&[]), "septum");
    }
}
