//! Where commands act: on this host, or at a coordinator. What says so, the first that does:
//!
//! ```text
//!   septum --host ADDRESS …, septum --context NAME …     an option, before the command
//!   SEPTUM_HOST, SEPTUM_CONTEXT                          the environment
//!   septum context use NAME                              the file 'current' in the folder of contexts
//! ```
//!
//! `local` is this host, as is nothing. Here it is only decided: `septum` becomes `septum-api` for whatever is not on this host.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};

use septum_api_types::places;

/// The word for this host, without a coordinator.
pub const LOCAL: &str = "local";
/// The file that names the context in use.
pub const CURRENT: &str = "current";

/// Where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// On this host: what needs a coordinator asks the one of this user.
    Here,
    /// At the coordinator of an address.
    Address(OsString),
    /// At that of a context.
    Context(OsString),
}

/// Where, and how that is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Chosen {
    /// Where.
    pub place: Place,
    /// Whether the command line itself says so; else what it was started in does, and commands that are about this host in any case need not care.
    pub is_typed: bool,
}

/// The folder of contexts, if there can be one.
pub fn contexts() -> Option<PathBuf> {
    places::config_directory().map(|config| config.join("contexts"))
}

/// Takes `--host` and `--context` off the front of a command line, and tells what is chosen. What lacks a value, or is said twice, stays: the parser tells
/// what is wrong with it.
pub fn take(line: &mut Vec<OsString>) -> Chosen {
    let typed = take_option(line);
    let is_typed = typed.is_some();
    let place = typed.or_else(|| of_environment(&|name| std::env::var_os(name))).or_else(in_use);
    Chosen { place: place.unwrap_or(Place::Here), is_typed }
}

fn take_option(line: &mut Vec<OsString>) -> Option<Place> {
    let word = line.get(1)?;
    let (name, value, words) = match word.to_str()?.split_once('=') {
        Some((name, value)) => (name.to_owned(), OsString::from(value), 1),
        None => (word.to_str()?.to_owned(), line.get(2)?.clone(), 2),
    };
    let place = match name.as_str() {
        "--host" => address(value),
        "--context" => context(value),
        _ => return None,
    };
    line.drain(1..=words);
    Some(place)
}

fn of_environment(variables: &dyn Fn(&str) -> Option<OsString>) -> Option<Place> {
    let given = |name| variables(name).filter(|value| !value.is_empty());
    given("SEPTUM_HOST").map(address).or_else(|| given("SEPTUM_CONTEXT").map(context))
}

fn in_use() -> Option<Place> {
    current(&contexts()?).map(context)
}

/// The context in use; `None` is this host.
pub fn current(contexts: &Path) -> Option<OsString> {
    let text = std::fs::read_to_string(contexts.join(CURRENT)).ok()?;
    Some(text.trim()).filter(|name| !name.is_empty()).map(OsString::from)
}

fn address(value: OsString) -> Place {
    if value == OsStr::new(LOCAL) { Place::Here } else { Place::Address(value) }
}

fn context(value: OsString) -> Place {
    if value == OsStr::new(LOCAL) { Place::Here } else { Place::Context(value) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(line: &[&str]) -> (Option<Place>, Vec<String>) {
        let mut line = line.iter().map(OsString::from).collect();
        let place = take_option(&mut line);
        (place, line.into_iter().filter_map(|word| word.into_string().ok()).collect())
    }

    #[test]
    fn what_stands_before_the_command_is_taken() {
        let host = |text: &str| Some(Place::Address(text.into()));
        assert_eq!(
            taken(&["septum", "--host", "unix:/a", "ps"]),
            (host("unix:/a"), vec!["septum".into(), "ps".into()])
        );
        assert_eq!(taken(&["septum", "--host=x=y", "run", "--host"]).0, host("x=y"));
        assert_eq!(taken(&["septum", "--context=lab", "ps"]).0, Some(Place::Context("lab".into())));
        assert_eq!(taken(&["septum", "--context", "local", "ps"]).0, Some(Place::Here));
        for line in [
            &["septum"][..],
            &["septum", "--host"],
            &["septum", "ps", "--host", "x"],
            &["septum", "--hosts", "x"],
        ] {
            assert_eq!(taken(line), (None, line.iter().map(ToString::to_string).collect()), "{line:?}");
        }
    }

    #[test]
    fn an_address_counts_more_than_a_context() {
        let with = |given: &'static [(&str, &str)]| {
            of_environment(&move |name| {
                given.iter().find(|(key, _)| *key == name).map(|(_, value)| value.into())
            })
        };
        assert_eq!(with(&[]), None);
        assert_eq!(with(&[("SEPTUM_HOST", ""), ("SEPTUM_CONTEXT", "a")]), Some(Place::Context("a".into())));
        assert_eq!(
            with(&[("SEPTUM_HOST", "unix:/a"), ("SEPTUM_CONTEXT", "a")]),
            Some(Place::Address("unix:/a".into()))
        );
        assert_eq!(with(&[("SEPTUM_HOST", "local"), ("SEPTUM_CONTEXT", "a")]), Some(Place::Here));
    }
}
