//! What is said between the coordinator and the process that it starts for each partition.
//!
//! ```text
//!   septum serve                       septum keeper                         supervisor
//!   ────────────  Order, on stdin ───► parses, resolves ── fork ───────────► lives on, in the folder
//!                 ◄── Verdict, stdout  exits
//! ```
//!
//! Orders come on standard input, whole or not at all: a coordinator that is killed in the middle has ordered nothing. Words of command
//! lines, which others can see, hold no secrets that way.

use septum_api_types::failure::Failure;
use septum_api_types::v1::CreatePartition;
use serde::{Deserialize, Serialize};

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Order {
    /// The partition's identifier.
    pub id: String,
    /// What makes it.
    pub create: CreatePartition,
    /// Only say whether it could be.
    pub only_check: bool,
}

/// What became of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Verdict {
    /// The order can be understood; nothing was started.
    Good,
    /// The program runs.
    Started,
    /// The order asks for what cannot be.
    Refused(Failure),
    /// It was tried, and the program never ran.
    Failed {
        /// Exit status of `septum run`.
        status: u8,
        /// What `septum run` would have printed.
        message: String,
    },
}
