//! Commands that speak HTTP: parsed by `septum`, which tells their help, and again by `septum-api`, which does them.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use septum_api_types::duration::Span;
use septum_api_types::jail::JailChoice;
use septum_api_types::size::Size;
use septum_api_types::v1::Scope;

/// See above.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// Serve the REST API for the partitions of this user
    Serve(Serve),
    /// Tell what happens to partitions, as the coordinator sees it
    Events(Events),
    /// Make tokens for those who come to the coordinator by TCP, and look after those that there are
    Token(Token),
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

    /// RAM that partitions may have together; without, 15/16 of the host's. What does not fit waits
    #[arg(long, value_name = "SIZE")]
    pub max_memory: Option<Size>,

    /// Processors that partitions may have together, on those of the host; without, 128 on each
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_cpus: Option<u32>,

    /// Partitions that live at once; without, 4096
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub max_partitions: Option<u32>,

    /// What becomes of partitions on a host that lacks a part of what holds their workers ('septum doctor' tells): on refuses them, degraded
    /// does without. Whoever uses the API has no say in it
    #[arg(long, value_name = "MODE", default_value_t)]
    pub jail: JailChoice,

    /// Serve by TCP as well, to those who have a token ('septum token create')
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<SocketAddr>,

    /// The certificate and those above it (PEM); without, TCP is not encrypted
    #[arg(long, value_name = "FILE", requires = "listen", requires = "tls_key")]
    pub tls_cert: Option<PathBuf>,

    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    pub tls_key: Option<PathBuf>,

    /// Serve by TCP without TLS, on a loopback address: everybody on this host can listen in on tokens
    #[arg(long, requires = "listen", conflicts_with = "tls_cert")]
    pub plain_tcp: bool,
}

/// Tell what happens to partitions, as the coordinator sees it
#[derive(Debug, Args)]
pub struct Events {
    /// Begin after the event with this number; 0: with the oldest that is kept
    #[arg(long, value_name = "NUMBER")]
    pub after: Option<u64>,

    /// End with the newest that is kept
    #[arg(long, requires = "after")]
    pub no_follow: bool,

    /// A JSON object a line
    #[arg(long)]
    pub json: bool,
}

/// Make tokens for those who come to the coordinator by TCP, and look after those that there are
#[derive(Debug, Args)]
pub struct Token {
    /// What to do
    #[command(subcommand)]
    pub action: TokenAction,
}

/// See above.
#[derive(Debug, Subcommand)]
pub enum TokenAction {
    /// Make one, and print it: it is not told again
    Create {
        /// Who will have it
        #[arg(value_name = "NAME")]
        name: String,
        /// What it lets its bearer do: read, write (run programs as this user) or admin (make tokens)
        #[arg(long, value_name = "SCOPE", default_value = "read")]
        scope: Scope,
        /// For how long, such as 12h; without, until it is revoked
        #[arg(long, value_name = "DURATION")]
        expires: Option<Span>,
    },
    /// List them; what they are themselves nobody can tell
    #[command(visible_alias = "list")]
    Ls,
    /// Make one worthless from now on
    #[command(visible_alias = "rm")]
    Revoke {
        /// Its identifier
        #[arg(value_name = "ID")]
        id: String,
    },
}
