//! Why a partition is not running, and what can be done about it.

use std::ffi::OsStr;

use septum_api_types::exit::Code;
use septum_api_types::size::Size;
use septum_registry::{Record, State};
use serde::Serialize;

use crate::{advice, message, tell, typed};

/// What a person wants to know of a partition that does not do what it should.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Why {
    /// In two or three words.
    #[serde(skip)]
    pub short: Option<&'static str>,
    /// In a sentence.
    pub why: String,
    /// A command.
    pub next: String,
}

/// Nothing, if all is well with it.
pub fn why(record: &Record) -> Option<Why> {
    let name = record.shown_name();
    let logs = format!("septum logs {name}");
    match &record.state {
        State::Exited { status, message: Some(message), .. } => {
            let problem = message.split(tell::HINT).next().unwrap_or_default();
            let why = message::printable(problem.strip_prefix("septum: ").unwrap_or(problem));
            let code = Code::of_number(*status);
            let next = match code {
                Some(Code::OutOfMemory) => {
                    let more = Size(advice::more_memory(record.memory_bytes));
                    anew(record, &format!("--memory {more}"))
                }
                Some(Code::Timeout) => anew(record, "--timeout LONGER"),
                Some(Code::Host) => "septum doctor".to_owned(),
                _ => logs,
            };
            Some(Why { short: code.map(Code::in_short), why, next })
        }
        State::Exited { status: 0, .. } => None,
        State::Exited { status, .. } => {
            let refused = advice::refusals(record.log.as_ref());
            let rules = advice::rules(&refused);
            if rules.is_empty() {
                return Some(Why {
                    short: None,
                    why: format!("its program ended with status {status}"),
                    next: logs,
                });
            }
            let why = format!(
                "its program ended with status {status}, and was refused connections that no rule allows ({})",
                rules.join(", ")
            );
            let rules = rules.iter().map(|rule| format!("--allow-net {}", typed::word(OsStr::new(rule))));
            let next = anew(record, &rules.collect::<Vec<_>>().join(" "));
            Some(Why { short: Some("connections refused"), why, next })
        }
        State::Restarting { .. } => {
            let why =
                format!("it has ended, and is about to be started again ({} times so far)", record.restarts);
            Some(Why { short: None, why, next: logs })
        }
        State::Lost => {
            let why = "its supervisor was killed, and it died with it".to_owned();
            Some(Why { short: None, why, next: format!("septum rm {name}") })
        }
        State::Paused => {
            Some(Why { short: None, why: "it is paused".to_owned(), next: format!("septum unpause {name}") })
        }
        State::Starting | State::Running => None,
    }
}

/// How to start one like it with another option. A record does not have all that it was started with: that is `…`.
pub fn anew(record: &Record, option: &str) -> String {
    let name = record.name.as_ref().map(|name| format!(" --name {name}")).unwrap_or_default();
    let option = if option.is_empty() { String::new() } else { format!(" {option}") };
    let program = typed::word(OsStr::new(&*record.program.to_string()));
    let rest = if record.arguments.is_empty() { "" } else { " …" };
    format!("septum run -d{name}{option} … -- {program}{rest}")
}
