//! Commands that speak HTTP: parsed by `septum`, which tells their help, and again by `septum-api`, which does them.

use clap::{Args, Subcommand};

/// See above.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// Serve the REST API for the partitions of this user
    Serve(Serve),
}

/// Serve the REST API for the partitions of this user
#[derive(Debug, Args)]
#[command(after_help = "The API is described by GET /v1/openapi.json:
  curl --unix-socket /run/septum/septum.sock http://septum/v1/partitions
Partitions go on without it, and are found again by the next one.")]
pub struct Serve {
    /// Say nothing about where it serves
    #[arg(short, long)]
    pub quiet: bool,
}
