//! Partitions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// How it goes with a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum PartitionState {
    /// It is known, and nobody has started it.
    Created,
    /// It is to be started, and waits for the host to have room.
    Pending {
        /// What it waits for.
        reason: Waiting,
        /// Since when, in ms since 1970.
        since_ms: u64,
    },
    /// It is being started.
    Starting,
    /// Its program runs.
    Running,
    /// Its processors are held.
    Paused,
    /// It has ended, and its supervisor will start it again.
    Restarting {
        /// When, in ms since 1970.
        at_ms: u64,
    },
    /// It is over.
    Exited {
        /// Exit status, as `septum run` would have given it.
        status: u8,
        /// Why, if that needs words.
        message: Option<String>,
        /// When, in ms since 1970.
        at_ms: u64,
    },
    /// Its supervisor was killed, or the host was started anew, and it died with that.
    Lost,
    /// It is being removed.
    Removing,
}

impl PartitionState {
    /// Its name, in lists and filters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Pending { .. } => "pending",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Restarting { .. } => "restarting",
            Self::Exited { .. } => "exited",
            Self::Lost => "lost",
            Self::Removing => "removing",
        }
    }

    /// Whether a program runs, or is about to.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(
            self,
            Self::Pending { .. } | Self::Starting | Self::Running | Self::Paused | Self::Restarting { .. }
        )
    }
}

/// What a partition waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Waiting {
    /// Others come first.
    Turn,
    /// RAM of the host.
    Memory,
    /// Processors of the host.
    Cpus,
    /// A place: as many live as may at once.
    Places,
    /// A host that gives more to its partitions than this one.
    LargerHost,
}

impl Waiting {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Memory => "memory",
            Self::Cpus => "cpus",
            Self::Places => "places",
            Self::LargerHost => "larger_host",
        }
    }
}

/// Who is started first when partitions wait for room: all of a class come before those of the next.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Priority {
    /// What may wait for ever.
    Idle,
    /// What nobody waits for.
    #[default]
    Batch,
    /// What somebody waits for.
    Interactive,
}

/// What is wanted of a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Desired {
    /// That it runs.
    Running,
    /// That it is there and does not run.
    Stopped,
    /// That nothing of it is left.
    Removed,
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Partition {
    /// Twelve hexadecimal digits.
    pub id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// What it runs, as one line.
    pub command: String,
    /// How it goes.
    pub state: PartitionState,
    /// What is wanted.
    pub desired: Desired,
    /// Raised by every change; the ETag.
    pub revision: u64,
    /// When it was asked for, in ms since 1970.
    pub created_ms: u64,
    /// When its program last began to run, in ms since 1970.
    pub started_ms: Option<u64>,
    /// How often it was started again.
    pub restarts: u32,
    /// RAM, in bytes; `null` until it has run for the first time.
    pub memory_bytes: Option<u64>,
    /// Processors; `null` until it has run for the first time.
    pub cpus: Option<u32>,
    /// Names of the volumes that it has.
    pub volumes: Vec<String>,
    /// Whatever the user attached to it.
    pub labels: BTreeMap<String, String>,
    /// Who shares the host with others: the name of the token that made it, or `local`.
    pub owner: String,
    /// Who is started first.
    pub priority: Priority,
    /// Whether it was made by this API, and can be started again.
    pub is_managed: bool,
    /// Whether what it says is kept.
    pub has_log: bool,
    /// Whether its program has a terminal.
    #[serde(default)]
    pub has_terminal: bool,
}

/// A page of partitions, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct PartitionList {
    /// The partitions.
    pub items: Vec<Partition>,
    /// To be given as `cursor` for the next page; `null` if this is the last.
    pub next: Option<String>,
}

/// What makes a partition: the options of `septum run`, by their names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreatePartition {
    /// The program and its arguments; left out for an image that says what to run.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[cfg_attr(feature = "openapi", schema(min_items = 1))]
    pub command: Vec<String>,
    /// Its name, which no other may have.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Whether it comes before others when they wait for room; without, `batch`.
    #[serde(default, skip_serializing_if = "is_usual")]
    pub priority: Priority,
    /// Whether to start it at once, or as soon as there is room.
    #[serde(default = "yes")]
    pub start: bool,
    /// The image that is its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// A program instead of the image's entry point.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entrypoint: Option<String>,
    /// A directory of the host that is its root.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs: Option<String>,
    /// A directory of the host that it sees, read-only, at its own path, and that relative paths start at.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Where the program starts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// `KEY=VALUE` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// RAM, such as `512M`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<String>,
    /// Whether RAM is taken from the host's pool of 2 MiB pages.
    #[serde(default, skip_serializing_if = "is_no")]
    pub hugepages: bool,
    /// Processors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<u32>,
    /// Threads that may exist at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub threads: Option<u32>,
    /// Where the guest kernel runs: `auto`, `ring0`, `single`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub privilege: Option<String>,
    /// `HOST|NAME:GUEST[:ro]` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub volumes: Vec<String>,
    /// `DIR[:OPTIONS]` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub tmpfs: Vec<String>,
    /// `FILE[:ro]` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub disks: Vec<String>,
    /// Host name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    /// `USER[:GROUP]` that runs the program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Groups that it belongs to besides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub groups: Vec<String>,
    /// `NAME=SOFT[:HARD]` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ulimits: Vec<String>,
    /// Whether writes are refused everywhere but in volumes and in RAM.
    #[serde(default, skip_serializing_if = "is_no")]
    pub read_only: bool,
    /// What it may reach, and what reaches it; without, nothing.
    #[serde(default, skip_serializing_if = "NetworkRequest::is_nothing")]
    pub network: NetworkRequest,
    /// How long it may run, such as `10s`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<String>,
    /// What asks the program to end, such as `TERM`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stop_signal: Option<String>,
    /// Whether it is started again when it has ended: `no`, `on-failure[:TIMES]`, `always`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<String>,
    /// Whatever the user attaches to it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// How much of its output is kept: `max-size=SIZE`, `max-file=N`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub log_options: Vec<String>,
    /// Whether standard input stays open for those that attach.
    #[serde(default, skip_serializing_if = "is_no")]
    pub interactive: bool,
    /// Whether the program has a terminal.
    #[serde(default, skip_serializing_if = "is_no")]
    pub tty: bool,
    /// Whether nothing is left of it when it ends.
    #[serde(default, skip_serializing_if = "is_no")]
    pub auto_remove: bool,
}

impl CreatePartition {
    /// Whether a partition that runs as this one says has to be started anew to be as the other one says. What only the coordinator
    /// looks at changes at once: labels, priority, and whether making it starts it.
    #[must_use]
    pub fn needs_new_start(&self, other: &Self) -> bool {
        let Self { labels, priority, start, .. } = other.clone();
        Self { labels, priority, start, ..self.clone() } != *other
    }
}

/// The network of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct NetworkRequest {
    /// `HOST[:PORT][/udp]` that it may reach, each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allow: Vec<String>,
    /// `[[IP:]HOSTPORT:]PORT[/udp]` of the host that lead into it, each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub publish: Vec<String>,
    /// Ports that other partitions may reach: of TCP a number, of either protocol `PORT[/udp]`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose: Vec<ExposedPort>,
    /// `NAME:ADDRESS` each.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// `ADDRESS[:PORT]` of nameservers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub dns: Vec<String>,
}

/// A port that other partitions may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(untagged)]
pub enum ExposedPort {
    /// One of TCP.
    Tcp(u16),
    /// `PORT[/udp]`.
    Text(String),
}

impl std::fmt::Display for ExposedPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Tcp(port) => port.fmt(f),
            Self::Text(text) => text.fmt(f),
        }
    }
}

impl NetworkRequest {
    /// Whether it reaches nothing.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        *self == Self::default()
    }
}

/// How a partition is to be stopped.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct StopRequest {
    /// Seconds that the program has to end; without, 10.
    #[serde(default)]
    pub seconds: Option<u32>,
}

/// Which signal is sent.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct KillRequest {
    /// Its name or number; without, `KILL`, which ends the partition at once.
    #[serde(default)]
    pub signal: Option<String>,
}

/// Whether a text can be a partition's name: it ends up as a host name.
///
/// # Errors
/// It cannot; what follows the quoted text.
pub fn name(text: &str) -> Result<(), String> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.len() > 63 {
        Err("must have 1 to 63 characters".to_owned())
    } else if !text.chars().all(is_plain) || text.starts_with(['-', '.']) {
        let why = "may hold letters, digits, '-', '_' and '.', and must start with a letter, a digit or '_'";
        Err(why.to_owned())
    } else {
        Ok(())
    }
}

/// The label of partitions that `septum apply` has made: it changes no others.
pub const APPLIED: &str = "septum.apply";

const fn yes() -> bool {
    true
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_no(value: &bool) -> bool {
    !*value
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_usual(value: &Priority) -> bool {
    *value == Priority::default()
}
