//! The file of `--json-stats`: created before the partition starts, so that a wrong path costs nothing, and written
//! when it has ended.

use std::fs::File;
use std::io::Write as _;
use std::path::PathBuf;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::stats::PartitionStats;

/// An open file for the statistics.
pub struct StatisticsFile {
    path: PathBuf,
    file: File,
}

impl StatisticsFile {
    /// Creates the file, empty.
    pub fn create(path: PathBuf) -> Result<Self, Failure> {
        match File::create(&path) {
            Ok(file) => Ok(Self { path, file }),
            Err(error) => {
                Err(failure(&path, &error).hint("give a file in a directory that exists and is writable"))
            }
        }
    }

    /// Writes the document.
    pub fn write(mut self, stats: &PartitionStats) -> Result<(), Failure> {
        let mut text = serde_json::to_vec_pretty(stats)
            .map_err(|error| failure(&self.path, &std::io::Error::other(error)))?;
        text.push(b'\n');
        self.file.write_all(&text).map_err(|error| {
            failure(&self.path, &error).hint("the program has run; only its statistics are incomplete")
        })
    }
}

fn failure(path: &std::path::Path, error: &std::io::Error) -> Failure {
    let text = error.to_string();
    let why = text.split(" (os error").next().unwrap_or(&text).to_lowercase();
    Failure::new(Code::Path, format!("cannot write statistics to '{}'", path.display()), why)
}
