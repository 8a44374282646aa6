//! The table that a person reads after a run.

use std::fmt;

use super::cases::Mode;
use super::results::Results;
use super::rows::{ROWS, Row, number};
use crate::test::Lane;

/// The results of one lane, to be shown.
pub struct Report<'a> {
    pub lane: Lane,
    pub results: &'a Results,
}

impl Report<'_> {
    fn line(&self, row: &Row, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quick = self.results.quick_mode();
        let cell = |mode: Mode| match self.results.median(row, mode) {
            Some(value) => number(value),
            None if self.results.reason(row, mode).is_some() => "none".to_owned(),
            None => String::new(),
        };
        write!(f, "{:<48}", row.label)?;
        for mode in Mode::ALL {
            write!(f, "{:>10}", cell(mode))?;
        }
        let native = self.results.median(row, Mode::Native);
        let partition = self.results.median(row, quick);
        let ratio = partition.zip(native).and_then(|(partition, native)| row.unit.ratio(partition, native));
        let spread = self.results.spread_percent(row, quick).map(|spread| format!("±{:.0}%", spread / 2.0));
        write!(
            f,
            " {:<8}{:>9}{:>7}",
            row.unit.symbol(),
            ratio.unwrap_or_default(),
            spread.unwrap_or_default()
        )?;
        for mode in Mode::ALL {
            let Some(promise) = row.promise(self.lane, mode, quick) else { continue };
            let measured = self.results.median(row, mode);
            let verdict = match measured.and_then(|measured| promise.is_kept(measured, native)) {
                Some(true) => "kept",
                Some(false) => "MISSED",
                None => "not measured",
            };
            let which = if mode == quick { "" } else { "in ring 0 " };
            write!(f, "   {which}{}: {verdict}", promise.text(row.unit))?;
        }
        writeln!(f)
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane, results } = self;
        let rounds = results.rounds();
        let (commit, date) = (results.text("commit"), results.text("date"));
        writeln!(f, "{} lane, medians of {rounds} rounds, commit {commit}, {date}", lane.name())?;
        if let Some(load) = results.disturbing_load() {
            writeln!(f, "this machine was busy (load average {load}): these times are too long")?;
        }
        writeln!(
            f,
            "{:<48}{:>10}{:>10}{:>10} {:<8}{:>9}{:>7}   promised",
            "", "native", "single", "ring 0", "", "ratio", "spread"
        )?;
        for row in ROWS {
            self.line(row, f)?;
        }
        writeln!(f, "ratio and spread: of the partition in {} mode", results.quick_mode().name())?;
        if let Some(exits) = results.exits() {
            writeln!(f, "exits of the static hello, by reason: {exits}")?;
        }
        for (label, mode, reason) in missing(results) {
            writeln!(f, "not measured: {label}, {}: {reason}", mode.name())?;
        }
        Ok(())
    }
}

/// The numbers that were tried to get in vain, and why.
pub fn missing(results: &Results) -> Vec<(&'static str, Mode, &str)> {
    let mut missing = Vec::new();
    for row in ROWS {
        for mode in Mode::ALL {
            // What no native process has, such as a worker, is not missing there.
            if results.median(row, mode).is_none()
                && let Some(reason) = results.reason(row, mode)
            {
                missing.push((row.label, mode, reason));
            }
        }
    }
    missing
}
