//! `septum stats`.

use clap::Args;

use super::Format;
use crate::complete;

/// Show what partitions use, each second anew
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  septum stats                      all that run, until Ctrl-C
  septum stats --no-stream web      one of them, once
  septum stats --json | jq .cpu     a JSON object a line, with everything that is counted")]
pub struct StatsOptions {
    /// Once, and no more
    #[arg(long)]
    pub no_stream: bool,

    /// How: a table, or a JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    format: Format,

    /// As JSON: the same as --format json
    #[arg(long, conflicts_with = "format")]
    json: bool,

    /// With JSON: each thread's processor time, too
    #[arg(long)]
    pub threads: bool,

    /// Their names, their identifiers or the beginnings of those; without any, all that run
    #[arg(value_name = "PARTITION", add = complete::live())]
    pub partitions: Vec<String>,
}

impl StatsOptions {
    /// How it is printed.
    pub fn format(&self) -> Format {
        if self.json { Format::Json } else { self.format }
    }
}
