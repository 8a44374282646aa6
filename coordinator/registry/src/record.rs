//! What is known of a partition.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use septum_api_types::bytes::ByteString;
use septum_api_types::v1::PartitionState;
use serde::{Deserialize, Serialize};

/// Version of [`Record`]'s form; others are not understood.
pub const VERSION: u32 = 1;

/// How it goes with a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum State {
    /// It has been asked for, and its program does not run yet.
    Starting,
    /// Its program runs.
    Running,
    /// Its processors are held.
    Paused,
    /// It has ended, and will be started again at this time (ms since 1970).
    Restarting {
        /// When.
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
    /// Its supervisor was killed, and it died with it. Never written: seen.
    Lost,
}

impl State {
    /// Whether there is a supervisor to talk to.
    #[must_use]
    pub fn is_live(&self) -> bool {
        PartitionState::from(self).is_live()
    }

    /// Its name, in lists and filters.
    #[must_use]
    pub fn name(&self) -> &'static str {
        PartitionState::from(self).name()
    }
}

/// What a supervisor may say is a part of what the API says; names and meaning are there.
impl From<&State> for PartitionState {
    fn from(state: &State) -> Self {
        match state {
            State::Starting => Self::Starting,
            State::Running => Self::Running,
            State::Paused => Self::Paused,
            State::Restarting { at_ms } => Self::Restarting { at_ms: *at_ms },
            State::Exited { status, message, at_ms } => {
                Self::Exited { status: *status, message: message.clone(), at_ms: *at_ms }
            }
            State::Lost => Self::Lost,
        }
    }
}

/// One partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// [`VERSION`].
    pub version: u32,
    /// Twelve hexadecimal digits.
    pub id: String,
    /// The name that it was given.
    pub name: Option<String>,
    /// The program, as typed.
    pub program: ByteString,
    /// Its arguments.
    pub arguments: Vec<ByteString>,
    /// When it was asked for, in ms since 1970.
    pub created_ms: u64,
    /// When its program last began to run.
    pub started_ms: Option<u64>,
    /// How it goes.
    pub state: State,
    /// Process that watches over it.
    pub supervisor: u32,
    /// Process that it lives in.
    pub worker: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
    /// Whether it goes on without whoever started it.
    pub is_detached: bool,
    /// Whether its standard streams are a terminal.
    #[serde(default)]
    pub has_terminal: bool,
    /// Where its output is kept, if it is.
    pub log: Option<PathBuf>,
    /// RAM, in bytes.
    pub memory_bytes: u64,
    /// Processors.
    pub cpus: u32,
    /// Names of the volumes that it has.
    #[serde(default)]
    pub volumes: Vec<String>,
    /// Whatever the user attached to it.
    pub labels: BTreeMap<String, String>,
}

impl Record {
    /// What it runs, as one line.
    #[must_use]
    pub fn command(&self) -> String {
        let words = std::iter::once(&self.program).chain(&self.arguments);
        words.map(ToString::to_string).collect::<Vec<_>>().join(" ")
    }

    /// What people call it.
    #[must_use]
    pub fn shown_name(&self) -> &str {
        self.name.as_deref().unwrap_or(&self.id)
    }
}

/// Now, in ms since 1970.
#[must_use]
pub fn now_ms() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(now.as_millis()).unwrap_or(u64::MAX)
}
