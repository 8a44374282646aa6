//! `septum doctor`: what this host can do, what is missing, and how to get it.
//!
//! A [`Finding`] is one line of the report. Findings that are *needed* decide whether partitions can run at all, and
//! with that the exit status; the others make them faster or more capable.

mod device;
mod system;

use std::process::ExitCode;

use septum_api_types::exit::Code;
use serde::Serialize;

use crate::args::Doctor;
use crate::message;

/// How good it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Partitions run, but something is slower or not possible.
    Warning,
    /// Partitions do not run.
    Missing,
}

/// One thing that was looked at.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Short name, stable for scripts.
    pub name: &'static str,
    /// How good it is.
    pub status: Status,
    /// What was found.
    pub found: String,
    /// How to make it better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Finding {
    fn ok(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, status: Status::Ok, found: found.into(), fix: None }
    }

    fn warning(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Status::Warning, found: found.into(), fix: Some(fix.into()) }
    }

    fn missing(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, status: Status::Missing, found: found.into(), fix: Some(fix.into()) }
    }
}

/// The whole report.
#[derive(Debug, Serialize)]
struct Report {
    can_run_partitions: bool,
    findings: Vec<Finding>,
}

/// Looks, and tells.
pub fn doctor(options: &Doctor) -> ExitCode {
    let mut findings = device::findings();
    findings.extend(system::findings());
    let can_run_partitions = findings.iter().all(|finding| finding.status != Status::Missing);
    let report = Report { can_run_partitions, findings };
    if options.json {
        let text = serde_json::to_string_pretty(&report).unwrap_or_default();
        message::print(&format!("{text}\n"));
    } else {
        message::print(&for_a_person(&report));
    }
    if can_run_partitions { ExitCode::SUCCESS } else { ExitCode::from(Code::Host.number()) }
}

fn for_a_person(report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let status = match finding.status {
            Status::Ok => "ok",
            Status::Warning => "warning",
            Status::Missing => "missing",
        };
        text.push_str(&format!("{status:<8} {:<18} {}\n", finding.name, finding.found));
        if let Some(fix) = &finding.fix {
            text.push_str(&format!("{:<8} {:<18} fix: {fix}\n", "", ""));
        }
    }
    let warnings = report.findings.iter().filter(|finding| finding.status == Status::Warning).count();
    text.push_str(match (report.can_run_partitions, warnings) {
        (false, _) => "\nThis host cannot run partitions: see what is missing above.\n",
        (true, 0) => "\nThis host can run partitions.\n",
        (true, _) => "\nThis host can run partitions; warnings tell what is slower or not possible.\n",
    });
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_comes_with_a_way_to_get_it() {
        let findings = vec![Finding::ok("a", "fine"), Finding::missing("b", "not there", "install it")];
        let text = for_a_person(&Report { can_run_partitions: false, findings });
        assert!(text.contains("missing  b"));
        assert!(text.contains("fix: install it"));
        assert!(text.contains("cannot run partitions"));
    }
}
