//! What was typed after `septum suggest`.

use clap::Args;

/// Tell what is probably to be typed next, and why: by what partitions do, and by the commands that were typed before
#[derive(Debug, Args)]
#[command(
    after_help = "What is kept of commands: their words, the names of their options, when, at which shell, and whether they failed; no values, programs or
names. In 64 KiB of a file 'history' of the user alone, in ~/.local/state/septum (of root in /var/lib/septum). Only what is typed at a
terminal is kept; SEPTUM_HISTORY=off keeps nothing, SEPTUM_HISTORY=on what scripts do, too."
)]
pub struct Suggest {
    /// How many, at most
    #[arg(short, long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=20))]
    pub number: u8,

    /// Print JSON
    #[arg(long)]
    pub json: bool,

    /// Remove what was kept of commands
    #[arg(long, conflicts_with_all = ["json", "number"])]
    pub forget: bool,
}
