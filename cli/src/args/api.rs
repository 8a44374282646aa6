//! Commands that are large: parsed by `septum`, which tells their help, and again by `septum-api`, which does them.

#[path = "top.rs"]
mod top;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Args, Subcommand};
use septum_api_types::duration::Span;
use septum_api_types::jail::JailChoice;
use septum_api_types::size::Size;
use septum_api_types::v1::Scope;

pub use self::top::{Column, Top};
use super::Several;

/// See above.
#[derive(Debug, Subcommand)]
pub enum ApiCommand {
    /// Serve the REST API for the partitions of this user
    Serve(Serve),
    /// Keep the addresses and tokens of coordinators, and choose the one that commands act at
    Context(Context),
    /// Start partitions that a coordinator has made and that do not run
    Start(Several),
    /// Make partitions what files say: create, change and start them
    Apply(Apply),
    /// Tell what 'septum apply' would do: status 0 if nothing, 1 if something
    Diff(Diff),
    /// Tell what happens to partitions, as the coordinator sees it
    Events(Events),
    /// Look after long work of the coordinator, such as images that it makes of archives that were sent
    Operation(Operation),
    /// Make tokens for those who come to the coordinator by TCP, and look after those that there are
    Token(Token),
    /// Watch what partitions use, on a screen that answers keys
    Top(Top),
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

/// What partitions there are to be.
#[derive(Debug, Args)]
pub struct Specs {
    /// A file of specs, TOML or YAML (JSON); - is standard input; repeatable
    #[arg(short, long = "file", value_name = "FILE", required = true)]
    pub files: Vec<String>,

    /// Remove what 'septum apply' has made before, has the labels of --selector, and is in none of the files
    #[arg(long, requires = "selector")]
    pub prune: bool,

    /// Labels of what --prune may remove; repeatable: all must match
    #[arg(short = 'l', long, value_name = "KEY[=VALUE]", requires = "prune")]
    pub selector: Vec<String>,

    /// The plan, or what was done, as JSON
    #[arg(long)]
    pub json: bool,
}

/// Make partitions what files say: create, change and start them
#[derive(Debug, Args)]
#[command(
    after_help = "A file has the fields of one partition, or a list 'partitions' of several (docs/apply.md):
  name = \"web\"
  memory = \"256M\"
  command = [\"python3\", \"-m\", \"http.server\"]
  network.publish = [\"8080:8000\"]
Partitions that others have made are left alone. Applying twice does nothing the second time."
)]
pub struct Apply {
    #[command(flatten)]
    pub specs: Specs,

    /// Only tell what would be done
    #[arg(long)]
    pub dry_run: bool,

    /// Wait until all run, or have ended with status 0
    #[arg(long, value_name = "TIMEOUT", num_args = 0..=1, require_equals = true)]
    #[expect(clippy::option_option, reason = "an option that may have a value")]
    pub wait: Option<Option<Span>>,
}

/// Tell what 'septum apply' would do: status 0 if nothing, 1 if something
#[derive(Debug, Args)]
#[command(
    after_help = "Exit status: 0 if everything is as the files say, 1 if not, 241 and above if that is not known."
)]
pub struct Diff {
    #[command(flatten)]
    pub specs: Specs,
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

/// Look after long work of the coordinator, such as images that it makes of archives that were sent
#[derive(Debug, Args)]
pub struct Operation {
    /// What to do
    #[command(subcommand)]
    pub action: OperationAction,
}

/// See above.
#[derive(Debug, Subcommand)]
pub enum OperationAction {
    /// List the last thousand
    #[command(visible_alias = "list")]
    Ls {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Print one, as JSON
    Show {
        /// Its identifier
        #[arg(value_name = "ID")]
        id: String,
    },
    /// Wait until it has ended, and print what it has made; status 1 if it failed, was cancelled, or is lost
    Wait {
        /// Its identifier
        #[arg(value_name = "ID")]
        id: String,
        /// Do not tell how far it is
        #[arg(short, long)]
        quiet: bool,
    },
    /// End it; it leaves nothing
    Cancel {
        /// Its identifier
        #[arg(value_name = "ID")]
        id: String,
    },
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

/// Keep the addresses and tokens of coordinators, and choose the one that commands act at
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  septum context create lab https://lab.example:7443 --token-file lab.token --ca lab.pem
  septum context use lab; septum ps      partitions of that host
  septum --context local ps              of this one; 'septum context use local' for good")]
pub struct Context {
    /// What to do
    #[command(subcommand)]
    pub action: ContextAction,
}

/// See above.
#[derive(Debug, Subcommand)]
pub enum ContextAction {
    /// Keep an address by a name
    Create {
        /// What it is called
        #[arg(value_name = "NAME", value_parser = context_name)]
        name: String,
        /// Where it is: unix:PATH, https://HOST[:PORT], or http://127.0.0.1:PORT
        #[arg(value_name = "ADDRESS")]
        address: String,
        /// The file with the token that it wants, which is copied; - is standard input
        #[arg(long, value_name = "FILE")]
        token_file: Option<PathBuf>,
        /// Trust whoever these certificates (PEM), which are copied, have signed, instead of those whom this host trusts
        #[arg(long, value_name = "FILE")]
        ca: Option<PathBuf>,
    },
    /// List them
    #[command(visible_alias = "list")]
    Ls {
        /// Only their names
        #[arg(short, long)]
        quiet: bool,
    },
    /// Have commands act at this one from now on; 'local' is this host without a coordinator
    Use {
        /// What it is called
        #[arg(value_name = "NAME")]
        name: String,
    },
    /// Forget some, with their tokens
    #[command(visible_alias = "remove")]
    Rm {
        /// What they are called
        #[arg(value_name = "NAME", required = true)]
        names: Vec<String>,
    },
    /// Print what is kept, as JSON, without the token; of the one in use if none is named
    Inspect {
        /// What they are called
        #[arg(value_name = "NAME")]
        names: Vec<String>,
    },
}

/// It is the name of a folder.
fn context_name(text: &str) -> Result<String, String> {
    if text == "local" {
        return Err("is taken: it means this host, without a coordinator".to_owned());
    }
    septum_api_types::v1::partition::name(text).map(|()| text.to_owned())
}
