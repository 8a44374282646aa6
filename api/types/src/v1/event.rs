//! What happened, and what programs said: both are sent as Server-Sent Events.

use serde::{Deserialize, Serialize};

/// What happened to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    /// It was made here.
    Created,
    /// It was found: somebody else started it.
    Adopted,
    /// It waits for the host to have room.
    Pending,
    /// It waits no more: it was stopped before it was started.
    Withdrawn,
    /// It is being started.
    Starting,
    /// Its program runs.
    Running,
    /// It did not start.
    StartFailed,
    /// Its processors are held.
    Paused,
    /// They go on.
    Resumed,
    /// It has ended and will be started again.
    Restarting,
    /// It is over.
    Exited,
    /// It died with its supervisor.
    Lost,
    /// What makes it is another now.
    Changed,
    /// Nothing is left of it.
    Removed,
}

impl EventKind {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Adopted => "adopted",
            Self::Pending => "pending",
            Self::Withdrawn => "withdrawn",
            Self::Starting => "starting",
            Self::Running => "running",
            Self::StartFailed => "start_failed",
            Self::Paused => "paused",
            Self::Resumed => "resumed",
            Self::Restarting => "restarting",
            Self::Exited => "exited",
            Self::Lost => "lost",
            Self::Changed => "changed",
            Self::Removed => "removed",
        }
    }
}

/// One thing that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Event {
    /// Its number, which grows; also the identifier of the Server-Sent Event.
    pub sequence: u64,
    /// When, in ms since 1970.
    pub at_ms: u64,
    /// What.
    pub kind: EventKind,
    /// To which partition.
    pub partition: String,
    /// The partition's name.
    pub name: Option<String>,
    /// Exit status or reason, where there is one.
    pub detail: Option<String>,
}

/// A piece of a log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct LogLine {
    /// When it was said (RFC 3339).
    pub time: String,
    /// Whether it went to standard error.
    pub is_error: bool,
    /// Whether the line ends with it.
    pub is_whole: bool,
    /// What was said; a list of bytes if it is no UTF-8.
    #[cfg_attr(feature = "openapi", schema(value_type = String))]
    pub text: crate::bytes::ByteString,
}
