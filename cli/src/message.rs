//! What a person reads: `septum: what failed: why`, then `hint: what to do next`.
//!
//! Messages go to standard error in one write each. If nobody reads them, that is no reason to fail.

use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

use crate::habits;
pub use crate::tell::{note_status, print, tell, try_print, without_hints};

/// A guest's words on one line, without control characters.
pub fn printable(text: &str) -> String {
    text.chars().filter(|character| !character.is_control()).collect()
}

/// Tells a failure.
pub fn failure(failure: &Failure) {
    note_status(failure.code.number());
    tell(&failure.to_string());
}

/// Prints help and version, or tells what is wrong with a command line. Returns the exit status.
pub fn command_line(error: &clap::Error) -> ExitCode {
    if !error.use_stderr() {
        let _ = error.print();
        return ExitCode::SUCCESS;
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        let _ = error.print();
    } else {
        failure(&usage(error));
    }
    ExitCode::from(Code::Usage.number())
}

/// A wrong command line as a failure.
pub fn usage(error: &clap::Error) -> Failure {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.clone()),
        Some(ContextValue::Strings(texts)) => texts.first().cloned(),
        _ => None,
    };
    let argument = text(ContextKind::InvalidArg);
    let suggested = text(ContextKind::SuggestedArg);
    let wrong = |what: String, why: String| Failure::new(Code::Usage, what, why);
    let command = habits::command_of(error);
    let did_you_mean = |failure: Failure| match &suggested {
        Some(suggestion) => {
            failure.hint(format!("did you mean '{suggestion}'? '{command} --help' tells all"))
        }
        None if command == "septum run" => {
            failure.hint("'septum run --help' tells all options; a program's own follow the program")
        }
        None => failure.hint(format!("'{command} --help' tells all options")),
    };
    match error.kind() {
        ErrorKind::UnknownArgument => {
            let option = argument.unwrap_or_default();
            if matches!(option.as_str(), "--host" | "--context") {
                let failure = wrong("wrong command line".to_owned(), format!("'{option}' comes too late"));
                return failure.hint(format!("it stands before the command: septum {option} … COMMAND"));
            }
            did_you_mean(wrong("wrong command line".to_owned(), format!("there is no option '{option}'")))
        }
        ErrorKind::InvalidSubcommand => {
            let typed = text(ContextKind::InvalidSubcommand).unwrap_or_default();
            let why = format!("'{command}' has no command '{typed}'");
            wrong("wrong command line".to_owned(), why).hint(habits::unknown_command(&command, &typed))
        }
        ErrorKind::MissingRequiredArgument if command == "septum run" => {
            wrong("wrong command line".to_owned(), "no program is given".to_owned())
                .hint("septum run [OPTIONS] [--] PROGRAM [ARGS]")
        }
        ErrorKind::MissingRequiredArgument => {
            let missing = match error.get(ContextKind::InvalidArg) {
                Some(ContextValue::Strings(all)) => all.join(" "),
                _ => argument.unwrap_or_default(),
            };
            let failure = wrong("wrong command line".to_owned(), format!("{missing} is missing"));
            failure.hint(habits::usage_of(error).unwrap_or_else(|| format!("'{command} --help' tells all")))
        }
        ErrorKind::ValueValidation | ErrorKind::InvalidValue => {
            let option = argument.unwrap_or_default();
            let option = option.split(' ').next().unwrap_or_default();
            let value = text(ContextKind::InvalidValue).unwrap_or_default();
            let why = match std::error::Error::source(error) {
                Some(source) => format!("'{value}' {}", sentence(&source.to_string())),
                None if value.is_empty() => "it needs a value".to_owned(),
                None => format!("'{value}' is not possible"),
            };
            let failure = wrong(format!("wrong option '{option}'"), why);
            match (text(ContextKind::SuggestedValue), error.get(ContextKind::ValidValue)) {
                (Some(suggestion), _) => failure.hint(format!("did you mean '{suggestion}'?")),
                (None, Some(ContextValue::Strings(valid))) if !valid.is_empty() => {
                    failure.hint(format!("it is one of {}", valid.join(", ")))
                }
                _ => failure.hint(format!("see '{command} --help'")),
            }
        }
        _ => {
            let text = error.to_string();
            let line = text.lines().next().unwrap_or_default();
            let line = line.strip_prefix("error: ").unwrap_or(line);
            wrong("wrong command line".to_owned(), line.to_owned())
        }
    }
}

/// Lets a reason follow the quoted value: some are predicates already, others are not.
fn sentence(reason: &str) -> String {
    if ["is ", "has ", "must ", "may ", "names ", "cannot "].iter().any(|start| reason.starts_with(start)) {
        reason.to_owned()
    } else {
        format!("is not possible: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_follow_the_value() {
        assert_eq!(sentence("is empty"), "is empty");
        assert_eq!(sentence("invalid digit"), "is not possible: invalid digit");
    }
}
