//! What the definitions of the command line want to know for shells: `septum` answers those, so that nothing is looked up here.

use clap_complete::engine::{ArgValueCandidates, ArgValueCompleter, PathCompleter};

/// As in `septum`.
pub fn live() -> ArgValueCandidates {
    ArgValueCandidates::new(Vec::new)
}

/// As in `septum`.
pub fn any() -> ArgValueCandidates {
    live()
}

/// As in `septum`.
pub fn images() -> ArgValueCandidates {
    live()
}

/// As in `septum`.
pub fn volumes() -> ArgValueCandidates {
    live()
}

/// As in `septum`.
pub fn program() -> ArgValueCompleter {
    ArgValueCompleter::new(PathCompleter::any())
}
