//! What the definitions of the command line want to be remembered for suggestions: `septum` has done that, before it became this program.

/// As in `septum`.
pub mod history {
    /// As in `septum`, nothing.
    pub fn remember(_command: &str, _matches: &clap::ArgMatches) {}
}
