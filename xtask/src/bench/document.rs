//! The tables of `docs/specification.md`, made from the newest result of each lane.
//!
//! Everything between the two marker lines is written here; the text around them is written by people. Like the
//! other generated documents, `cargo xtask docs` writes it and `cargo xtask check` fails if it differs.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use super::cases::Mode;
use super::coordinator;
use super::report::missing;
use super::results::Results;
use super::results_folder;
use super::rows::{ROWS, Row, number};
use crate::test::Lane;
use crate::workspace::Workspace;

const BEGIN: &str = "<!-- measured: begin (written by `cargo xtask docs`) -->\n";
const END: &str = "<!-- measured: end -->\n";

/// The columns: where and how.
const COLUMNS: [(Lane, Mode); 5] = [
    (Lane::Direct, Mode::Native),
    (Lane::Direct, Mode::Single),
    (Lane::Direct, Mode::Ring0),
    (Lane::Nested, Mode::Native),
    (Lane::Nested, Mode::Ring0),
];

const TABLE_HEAD: &str = "\
| what | promise | direct: native | single | ring 0 | nested: native | ring 0 |
| --- | --- | ---: | ---: | ---: | ---: | ---: |
";

/// The document as it should be.
pub fn specification(workspace: &Workspace) -> Result<String> {
    let path = workspace.root().join("docs/specification.md");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
    let folder = results_folder(workspace);
    let lanes = Lanes {
        direct: Results::newest(&folder, Lane::Direct.name()),
        nested: Results::newest(&folder, Lane::Nested.name()),
    };
    let mut tables = lanes.tables()?;
    if let Some(results) = Results::newest(&folder, coordinator::NAME) {
        writeln!(tables, "{}", coordinator::table(&results))?;
    }
    replace(&text, &tables)
}

/// The text with other lines between the markers.
fn replace(text: &str, tables: &str) -> Result<String> {
    let (head, rest) =
        text.split_once(BEGIN).context("docs/specification.md has no marker of a beginning")?;
    let (_, tail) = rest.split_once(END).context("docs/specification.md has no marker of an end")?;
    Ok(format!("{head}{BEGIN}{tables}{END}{tail}"))
}

struct Lanes {
    direct: Option<Results>,
    nested: Option<Results>,
}

impl Lanes {
    fn of(&self, lane: Lane) -> Option<&Results> {
        match lane {
            Lane::Direct => self.direct.as_ref(),
            Lane::Nested => self.nested.as_ref(),
        }
    }

    fn tables(&self) -> Result<String> {
        let mut text = String::from("\n");
        for lane in [Lane::Direct, Lane::Nested] {
            let name = lane.name();
            match self.of(lane) {
                None => writeln!(text, "- *{name}*: not measured.")?,
                Some(results) => {
                    let (date, commit) = (results.text("date"), results.text("commit"));
                    let busy = results.disturbing_load().map_or_else(String::new, |load| {
                        format!("; the machine was not idle (load {load}), so times are too long")
                    });
                    writeln!(
                        text,
                        "- *{name}*: {date}, commit {commit}, {} rounds on {}{busy}.",
                        results.rounds(),
                        results.processor()
                    )?;
                }
            }
        }
        write!(text, "\n{TABLE_HEAD}")?;
        for row in ROWS.iter().filter(|row| row.promises.iter().any(Option::is_some)) {
            text += &self.line(row)?;
        }
        write!(text, "\nBeside them, without a promise, to compare with:\n\n{TABLE_HEAD}")?;
        for row in ROWS.iter().filter(|row| row.promises.iter().all(Option::is_none)) {
            text += &self.line(row)?;
        }
        text += &self.gaps()?;
        text.push('\n');
        Ok(text)
    }

    fn line(&self, row: &Row) -> Result<String> {
        let mut line = format!("| {} | {} ", row.label, promises(row));
        for (lane, mode) in COLUMNS {
            write!(line, "| {} ", self.cell(row, lane, mode))?;
        }
        Ok(line + "|\n")
    }

    fn cell(&self, row: &Row, lane: Lane, mode: Mode) -> String {
        let Some(results) = self.of(lane) else { return String::new() };
        let Some(value) = results.median(row, mode) else {
            return results.reason(row, mode).map_or_else(String::new, |_| "none".to_owned());
        };
        let shown = format!("{}{}", number(value), row.unit.symbol());
        if mode == Mode::Native {
            return shown;
        }
        let native = results.median(row, Mode::Native);
        let ratio = native.and_then(|native| row.unit.ratio(value, native));
        let shown = ratio.map_or(shown.clone(), |ratio| format!("{shown} ({ratio})"));
        let promise = row.promise(lane, mode, results.quick_mode());
        match promise.and_then(|promise| promise.is_kept(value, native)) {
            Some(false) => format!("**{shown}: missed**"),
            _ => shown,
        }
    }

    /// What could not be measured, with the reasons.
    fn gaps(&self) -> Result<String> {
        let mut text = String::new();
        for lane in [Lane::Direct, Lane::Nested] {
            for (label, mode, reason) in self.of(lane).map(missing).unwrap_or_default() {
                writeln!(text, "- {label}, {}, {}: {reason}", lane.name(), mode.name())?;
            }
        }
        Ok(if text.is_empty() { text } else { format!("\nNot measured:\n\n{text}") })
    }
}

/// The promises of a line in words, by lane where the lanes differ.
fn promises(row: &Row) -> String {
    let quick = match row.promises.map(|promise| promise.map(|promise| promise.text(row.unit))) {
        [Some(direct), Some(nested)] if direct == nested => direct,
        [Some(direct), Some(nested)] => format!("{direct}; nested {nested}"),
        [Some(direct), None] => format!("direct {direct}"),
        [None, Some(nested)] => format!("nested {nested}"),
        [None, None] => String::new(),
    };
    let ring0 = row.slow_ring0.map(|promise| format!("; ring 0 {}", promise.text(row.unit)));
    quick + &ring0.unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn only_what_is_between_the_markers_changes() {
        let text = format!("a\n{BEGIN}old\n{END}b\n");
        assert_eq!(replace(&text, "new\n").unwrap(), format!("a\n{BEGIN}new\n{END}b\n"));
        assert!(replace("a\nb\n", "new\n").is_err());
    }

    #[test]
    fn a_missed_promise_and_a_gap_are_told() {
        let entry_of = |series: &str, value: f64| {
            json!({ "rounds": 3, "unsupported": {}, "error": null,
                    "measured": { series: { "median": value, "min": value, "max": value } } })
        };
        let entry = |value| entry_of("getpid", value);
        let hello = |value| entry_of("wall_us", value);
        let refused = json!({ "rounds": 3, "error": null, "measured": {},
                              "unsupported": { "create_join": "Function not implemented" } });
        let results = Results::from_document(json!({
            "lane": "direct", "quick_mode": "single",
            "cases": { "getpid": { "native": entry(200.0), "single": entry(2500.0), "ring0": entry(1e5) },
                       "hello": { "native": hello(1e3), "single": hello(8e3), "ring0": hello(61e3) },
                       "create": { "single": refused } },
        }));
        let lanes = Lanes { direct: Some(results), nested: None };
        let tables = lanes.tables().unwrap();
        let line = "| getpid | ≤ 2 µs; nested ≤ 0.28 µs | 0.20 µs | **2.50 µs (12.5×): missed** | 100 µs (500×) |  |  |\n";
        assert!(tables.contains(line), "{tables}");
        let hello = "| 1.00 ms | 8.00 ms (8.00×) | **61.0 ms (61.0×): missed** |  |  |\n";
        assert!(tables.contains(hello), "{tables}");
        assert!(tables.contains("- pthread_create and join, direct, single: Function not implemented\n"));
        assert!(tables.contains("*nested*: not measured."));
    }
}
