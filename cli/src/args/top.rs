//! `septum top`.

use std::time::Duration;

use clap::{Args, ValueEnum};

/// Watch what partitions use, on a screen that answers keys
#[derive(Debug, Args)]
#[command(after_help = "Keys are explained by '?' on the screen: sort, filter, look at one partition, leave.
Examples:
  septum top                        all that run, each second anew
  septum top -d 5 --sort memory     every five seconds, those with the most memory first
  septum top --batch -n 2           two tables, for a pipe or a file")]
pub struct Top {
    /// Seconds between two readings, from 0.1 to 60
    #[arg(short, long, value_name = "SECONDS", default_value = "1", value_parser = seconds)]
    pub delay: Duration,

    /// How many readings; without, until it is told to end
    #[arg(short = 'n', long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub count: Option<u32>,

    /// Print tables one after the other: no screen, no keys
    #[arg(short, long)]
    pub batch: bool,

    /// What they are sorted by at first
    #[arg(short, long, value_name = "COLUMN", default_value = "cpu")]
    pub sort: Column,

    /// Only those whose name, identifier or command contains this
    #[arg(short, long, value_name = "TEXT", default_value = "", hide_default_value = true)]
    pub filter: String,

    /// Panics when the screen is there, to show that the terminal is left as it was
    #[arg(long, hide = true)]
    pub debug_panic: bool,
}

/// What is shown of each partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Column {
    /// Its name, else its identifier
    Name,
    /// Processor time
    Cpu,
    /// Memory in use
    Memory,
    /// System calls
    Syscalls,
    /// Page faults
    Faults,
    /// Returns from guest to worker
    Exits,
    /// Bytes to and from the network
    Net,
    /// Bytes to and from files and disks
    Files,
    /// Threads of its programs
    Threads,
}

fn seconds(text: &str) -> Result<Duration, String> {
    let seconds: f64 = text.parse().map_err(|_| "is no number of seconds".to_owned())?;
    if !(0.1..=60.0).contains(&seconds) {
        return Err("must be from 0.1 to 60".to_owned());
    }
    Ok(Duration::from_secs_f64(seconds))
}
