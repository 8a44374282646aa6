//! The results of one lane: from the measuring run, or from the file that keeps them.
//!
//! One file a run: `benches/results/DATE-LANE-COMMIT.json`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use super::cases::Mode;
use super::rows::Row;
use crate::process;
use crate::workspace::Workspace;

/// A load average from which on the times are those of a busy machine.
const BUSY: f64 = 0.5;

/// The version of the files' shape; those of another are not read.
const VERSION: u64 = 2;

/// What was measured on a lane, when, and from which commit.
pub struct Results {
    document: Value,
}

impl Results {
    /// Puts the measured values together with when and from what they come.
    pub fn new(workspace: &Workspace, lane: &str, measured: &Value) -> Result<Self> {
        let date = process::capture(Command::new("date").args(["-u", "+%F"]))?.trim().to_owned();
        let mut git = Command::new("git");
        git.current_dir(workspace.root()).args(["-c", "safe.directory=*", "describe", "--always", "--dirty"]);
        // A source archive has no history.
        let commit =
            process::capture(&mut git).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
        let time = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs();
        let document = json!({
            "version": VERSION,
            "date": date,
            "time": time,
            "lane": lane,
            "commit": commit,
            "host": measured.get("host"),
            "quick_mode": measured.get("quick_mode"),
            "cases": measured.get("cases"),
        });
        Ok(Self { document })
    }

    /// The latest results of a lane, or of the coordinator, among the files of a folder.
    pub fn newest(folder: &Path, lane: &str) -> Option<Self> {
        let entries = fs::read_dir(folder).ok()?.flatten();
        let documents = entries.filter_map(|entry| {
            let document: Value = serde_json::from_str(&fs::read_to_string(entry.path()).ok()?).ok()?;
            let is_wanted =
                document.get("version")?.as_u64()? == VERSION && document.get("lane")?.as_str()? == lane;
            is_wanted.then_some(Self { document })
        });
        documents.max_by_key(|results| results.document.get("time").and_then(Value::as_u64))
    }

    /// Writes the file and returns its path.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let name = format!("{}-{}-{}.json", self.text("date"), self.text("lane"), self.text("commit"));
        let path = folder.join(name);
        let text = serde_json::to_string_pretty(&self.document)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// A word about the run: its `date`, `lane` or `commit`.
    pub fn text(&self, key: &str) -> &str {
        self.document.get(key).and_then(Value::as_str).unwrap_or("unknown")
    }

    /// The processor's name for itself: what is emulated costs many times as much on one as on another.
    pub fn processor(&self) -> &str {
        self.document.pointer("/host/processor").and_then(Value::as_str).unwrap_or("an unknown processor")
    }

    /// The kind of partition that was measured in full.
    pub fn quick_mode(&self) -> Mode {
        if self.text("quick_mode") == Mode::Single.name() { Mode::Single } else { Mode::Ring0 }
    }

    /// How many rounds counted: those of the first case of all.
    pub fn rounds(&self) -> u64 {
        self.entry("hello", Mode::Native).and_then(|entry| entry.get("rounds")?.as_u64()).unwrap_or_default()
    }

    /// The load of the machine before, if that was too much.
    pub fn disturbing_load(&self) -> Option<f64> {
        let load = self.document.pointer("/host/load_average_before").and_then(Value::as_f64);
        load.filter(|load| *load > BUSY)
    }

    /// The median of a line in a mode, in the unit that is shown.
    pub fn median(&self, row: &Row, mode: Mode) -> Option<f64> {
        Some(row.unit.shown(self.series(row, mode)?.get("median")?.as_f64()?))
    }

    /// How far the rounds lie apart, in percent of the median.
    pub fn spread_percent(&self, row: &Row, mode: Mode) -> Option<f64> {
        let series = self.series(row, mode)?;
        let number = |which: &str| series.get(which).and_then(Value::as_f64);
        let spread = (number("max")? - number("min")?) / number("median")? * 100.0;
        spread.is_finite().then_some(spread)
    }

    /// Why a line has no number in a mode, if the case was tried.
    pub fn reason(&self, row: &Row, mode: Mode) -> Option<&str> {
        let entry = self.entry(row.case, mode)?;
        let of_result = entry.get("unsupported").and_then(|reasons| reasons.get(row.series)?.as_str());
        of_result.or_else(|| entry.get("error")?.as_str())
    }

    /// How often the guest left to the worker, by reason.
    pub fn exits(&self) -> Option<String> {
        let series = self.entry("hello", self.quick_mode())?.get("measured")?.as_object()?;
        let exits = series.iter().filter_map(|(name, values)| {
            let reason = name.strip_prefix("exits.")?;
            Some(format!("{reason} {}", values.get("median")?.as_f64()?))
        });
        let exits: Vec<String> = exits.collect();
        (!exits.is_empty()).then(|| exits.join(", "))
    }

    fn entry(&self, case: &str, mode: Mode) -> Option<&Value> {
        self.document.get("cases")?.get(case)?.get(mode.name())
    }

    fn series(&self, row: &Row, mode: Mode) -> Option<&Value> {
        self.entry(row.case, mode)?.get("measured")?.get(row.series)
    }

    #[cfg(test)]
    pub fn from_document(document: Value) -> Self {
        Self { document }
    }
}
