//! `septum doctor`.

use clap::Args;

/// Tell what this host can do, what is missing, and how to get it
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}
