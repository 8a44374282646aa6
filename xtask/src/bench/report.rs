//! The table that a person reads, and the file that keeps the numbers.
//!
//! One file a run: `benches/results/DATE-LANE-COMMIT.json`. Limits that the project promises are printed
//! beside what was measured.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};

use crate::process;
use crate::test::Lane;
use crate::workspace::Workspace;

/// A line of the table.
struct Line {
    label: &'static str,
    case: &'static str,
    series: &'static str,
    unit: Unit,
    /// The promised limit on the direct and on the nested lane, in the table's unit.
    limits: [Option<f64>; 2],
}

#[derive(Clone, Copy)]
enum Unit {
    /// Measured in µs, shown in ms.
    Milliseconds,
    /// Measured in bytes, shown in MiB.
    Mebibytes,
    Count,
}

const fn line(
    label: &'static str,
    case: &'static str,
    series: &'static str,
    unit: Unit,
    limits: [Option<f64>; 2],
) -> Line {
    Line { label, case, series, unit, limits }
}

/// A load average from which on the times are those of a busy machine.
const BUSY: f64 = 0.5;

const NONE: [Option<f64>; 2] = [None, None];
const HELLO: &str = "hello, partition";
const DIGEST: &str = "sha256sum, partition";

const LINES: &[Line] = &[
    line("static hello, plain process", "hello, native", "wall_us", Unit::Milliseconds, NONE),
    line("empty virtual machine in C", "empty VM", "wall_us", Unit::Milliseconds, NONE),
    line(
        "static hello, partition: exec to exit",
        HELLO,
        "wall_us",
        Unit::Milliseconds,
        [Some(60.0), Some(160.0)],
    ),
    line("  to the worker's start", HELLO, "timings_us.worker_start", Unit::Milliseconds, NONE),
    line("  to the machine being ready", HELLO, "timings_us.machine_ready", Unit::Milliseconds, NONE),
    line(
        "  to the first guest instruction",
        HELLO,
        "timings_us.first_guest_instruction",
        Unit::Milliseconds,
        [Some(5.0), None],
    ),
    line(
        "  to the first user instruction",
        HELLO,
        "timings_us.first_user_instruction",
        Unit::Milliseconds,
        NONE,
    ),
    line("  to the program's exit", HELLO, "timings_us.exit", Unit::Milliseconds, NONE),
    line("  page faults", HELLO, "page_faults", Unit::Count, NONE),
    line("sha256sum of 4 MiB, plain process", "sha256sum, native", "wall_us", Unit::Milliseconds, NONE),
    line("sha256sum of 4 MiB, partition", DIGEST, "wall_us", Unit::Milliseconds, NONE),
    line(
        "worker's own memory (PSS without guest RAM)",
        HELLO,
        "memory.worker_pss_bytes",
        Unit::Mebibytes,
        [Some(5.0), Some(5.0)],
    ),
    line("guest kernel's memory", HELLO, "memory.kernel_bytes", Unit::Mebibytes, [Some(4.0), Some(4.0)]),
    line("guest's peak memory", HELLO, "memory.guest_peak_bytes", Unit::Mebibytes, NONE),
];

/// The results of one lane.
pub struct Report {
    lane: Lane,
    rounds: u32,
    date: String,
    commit: String,
    measured: Value,
}

impl Report {
    /// Puts the measured values together with when and from what they come.
    pub fn new(workspace: &Workspace, lane: Lane, rounds: u32, measured: Value) -> Result<Self> {
        let date = process::capture(Command::new("date").args(["-u", "+%F"]))?.trim().to_owned();
        let mut git = Command::new("git");
        git.current_dir(workspace.root()).args(["-c", "safe.directory=*", "describe", "--always", "--dirty"]);
        // A source archive has no history.
        let commit =
            process::capture(&mut git).map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned());
        Ok(Self { lane, rounds, date, commit, measured })
    }

    /// Writes the file and returns its path.
    pub fn save(&self, folder: &Path) -> Result<PathBuf> {
        let document = json!({
            "date": self.date,
            "lane": self.lane.name(),
            "commit": self.commit,
            "rounds": self.rounds,
            "host": self.measured.get("host"),
            "cases": self.measured.get("cases"),
        });
        fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
        let path = folder.join(format!("{}-{}-{}.json", self.date, self.lane.name(), self.commit));
        let text = serde_json::to_string_pretty(&document)? + "\n";
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path)
    }

    /// How often the guest left to the worker, by reason.
    fn exits(&self) -> Option<String> {
        let series = self.measured.get("cases")?.get(HELLO)?.get("measured")?.as_object()?;
        let exits = series.iter().filter_map(|(name, values)| {
            let reason = name.strip_prefix("exits.")?;
            Some(format!("{reason} {}", values.get("median")?.as_f64()?))
        });
        let exits: Vec<String> = exits.collect();
        (!exits.is_empty()).then(|| exits.join(", "))
    }

    fn value(&self, line: &Line, which: &str) -> Option<f64> {
        let series = self.measured.get("cases")?.get(line.case)?.get("measured")?.get(line.series)?;
        let value = series.get(which)?.as_f64()?;
        Some(match line.unit {
            Unit::Milliseconds => value / 1e3,
            Unit::Mebibytes => value / f64::from(1 << 20),
            Unit::Count => value,
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rounds, commit, date, .. } = self;
        writeln!(f, "{} lane, medians of {rounds} rounds, commit {commit}, {date}", self.lane.name())?;
        let load = self.measured.pointer("/host/load_average_before").and_then(Value::as_f64);
        if let Some(load) = load.filter(|load| *load > BUSY) {
            writeln!(f, "this machine was busy (load average {load}): these times are too long")?;
        }
        writeln!(f, "{:<46}{:>10} {:>10} {:>10}        limit", "", "median", "min", "max")?;
        for line in LINES {
            let (Some(median), Some(min), Some(max)) =
                (self.value(line, "median"), self.value(line, "min"), self.value(line, "max"))
            else {
                writeln!(f, "{:<46}{:>10}", line.label, "-")?;
                continue;
            };
            let (unit, digits) = match line.unit {
                Unit::Milliseconds => ("ms", 2),
                Unit::Mebibytes => ("MiB", 2),
                Unit::Count => ("", 0),
            };
            write!(
                f,
                "{:<46}{median:>10.digits$} {min:>10.digits$} {max:>10.digits$} {unit:<4}",
                line.label
            )?;
            let [direct, nested] = line.limits;
            let limit = if self.lane == Lane::Direct { direct } else { nested };
            if let Some(limit) = limit {
                let verdict = if median <= limit { "ok" } else { "OVER" };
                write!(f, "   ≤ {limit} {verdict}")?;
            }
            writeln!(f)?;
        }
        if let Some(exits) = self.exits() {
            writeln!(f, "exits of the static hello, by reason: {exits}")?;
        }
        let cases = self.measured.get("cases").and_then(Value::as_object).into_iter().flatten();
        for (name, case) in cases {
            if let Some(error) = case.get("error").and_then(Value::as_str) {
                writeln!(f, "not measured: {name}: {error}")?;
            }
        }
        Ok(())
    }
}
