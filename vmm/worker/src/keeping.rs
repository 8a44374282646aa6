//! How a partition is kept on its host: what others may know of it and do with it while it runs, and what follows its end.

use std::collections::BTreeMap;
use std::path::PathBuf;

use septum_api_types::restart::Restart;

/// See above.
#[derive(Clone, Debug)]
pub struct Keeping {
    /// Where running partitions are described.
    pub runtime: PathBuf,
    /// The name that was given, which no other that lives may have.
    pub name: Option<String>,
    /// Whatever the user attaches to it.
    pub labels: BTreeMap<String, String>,
    /// Whether it is started again.
    pub restart: Restart,
    /// Whether the caller's signals go to the program; else they stop the partition.
    pub passes_signals: bool,
    /// How it goes on without whoever started it, if it does.
    pub detached: Option<Detached>,
}

/// A partition in the background.
#[derive(Clone, Debug)]
pub struct Detached {
    /// Its identifier.
    pub id: String,
    /// Folder of what it says; made when it starts.
    pub log_directory: PathBuf,
    /// How much of it is kept.
    pub log_limits: LogLimits,
    /// Whether its standard input stays open for those that attach to it; else it is at its end.
    pub keeps_input: bool,
    /// Whether nothing is to be left of it at its end.
    pub removes_itself: bool,
}

/// How much of the output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LogLimits {
    /// Bytes of one file.
    pub file_bytes: u64,
    /// Files.
    pub files: u32,
}

impl Default for LogLimits {
    fn default() -> Self {
        Self { file_bytes: 16 << 20, files: 2 }
    }
}
