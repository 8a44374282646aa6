//! One run of one program: its wall time, the results it prints, and the partition's account of itself.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::cases::{Mode, Output};
use super::sample::Series;

/// How programs are started.
pub struct Starter {
    /// The `septum` binary.
    pub septum: PathBuf,
    /// The folder of programs and files, where everything is started.
    pub folder: PathBuf,
    /// Where a partition writes its own account.
    pub stats: PathBuf,
    /// Time limit of a partition whose program ends by itself.
    pub limit: &'static str,
}

/// What is known of one case in one mode.
#[derive(Default)]
pub struct Outcome {
    pub series: Series,
    pub rounds: u32,
    /// Results that the program could not get, by name, and why.
    pub unsupported: BTreeMap<String, String>,
    /// Why it was measured no further.
    pub error: Option<String>,
}

impl Starter {
    /// The command line that runs these words in a mode, from the folder of programs.
    pub fn command(&self, mode: Mode, limit: &str, options: &[&str], words: &[String]) -> Result<Command> {
        let mut line: Vec<OsString> = Vec::new();
        if mode != Mode::Native {
            line.push(self.septum.clone().into_os_string());
            line.extend(["run", "--privilege", mode.name(), "--timeout", limit].map(OsString::from));
            line.extend(options.iter().map(OsString::from));
            line.push("--".into());
        }
        line.extend(words.iter().map(OsString::from));
        let (program, arguments) = line.split_first().context("no program")?;
        let mut command = Command::new(program);
        command.args(arguments).current_dir(&self.folder);
        Ok(command)
    }

    /// Starts what is to run beside a case, and waits until it is ready.
    pub fn beside(&self, words: &[String]) -> Result<Beside> {
        let mut command = self.command(Mode::Native, self.limit, &[], words)?;
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let mut output = BufReader::new(child.stdout.take().context("no output")?);
        let beside = Beside { child };
        let mut line = String::new();
        output.read_line(&mut line)?;
        ensure!(line.trim() == "ready", "{words:?} said {line:?} instead of being ready");
        Ok(beside)
    }

    /// Runs a program to its end and adds what was measured, unless this is a warm-up.
    ///
    /// Whoever wants statistics waits until they are gathered, so the time is that of a run without; where there are some, another run gives them.
    pub fn run(
        &self,
        mode: Mode,
        options: &[&str],
        words: &[String],
        output: Output,
        outcome: &mut Outcome,
        is_warm_up: bool,
    ) -> Result<()> {
        let (printed, wall_us) = self.run_once(mode, options, words, output, (outcome, is_warm_up))?;
        check_text(&printed, output)?;
        if !is_warm_up {
            outcome.series.add("wall_us", wall_us);
        }
        if mode == Mode::Native || output == Output::Results {
            return Ok(());
        }
        // What an earlier run left must not be taken for this one's.
        let _ = fs::remove_file(&self.stats);
        let stats = self.stats.to_string_lossy();
        let options = [options, &["--json-stats", &*stats]].concat();
        let (printed, _) = self.run_once(mode, &options, words, output, (outcome, is_warm_up))?;
        check_text(&printed, output)?;
        let text = fs::read_to_string(&self.stats).context("no statistics")?;
        let account: Value = serde_json::from_str(&text).context("the statistics are no JSON")?;
        let privilege = account.get("privilege").and_then(Value::as_str);
        ensure!(privilege.is_none_or(|privilege| privilege == mode.name()), "ran in {privilege:?}");
        if !is_warm_up {
            outcome.series.add_numbers("", &account);
        }
        Ok(())
    }

    /// Returns what the program printed, and how long it took, microseconds; what it measured itself is added.
    fn run_once(
        &self,
        mode: Mode,
        options: &[&str],
        words: &[String],
        output: Output,
        (outcome, is_warm_up): (&mut Outcome, bool),
    ) -> Result<(String, f64)> {
        let mut command = self.command(mode, self.limit, options, words)?;
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let start = Instant::now();
        let ended = command.output().with_context(|| format!("cannot start {words:?}"))?;
        let wall_us = start.elapsed().as_secs_f64() * 1e6;
        let printed = String::from_utf8_lossy(&ended.stdout).into_owned();
        if output == Output::Results {
            // Before looking at the status: what was measured before a failure was measured.
            read_results(&printed, outcome, is_warm_up);
        }
        let message = String::from_utf8_lossy(&ended.stderr);
        let message = message.lines().next().unwrap_or_default();
        ensure!(ended.status.success(), "{}: {message}", ended.status);
        Ok((printed, wall_us))
    }
}

fn check_text(printed: &str, output: Output) -> Result<()> {
    if let Output::Text(expected) = output {
        ensure!(printed == expected, "printed {printed:?}");
    }
    Ok(())
}

/// A program beside the measured one. Its input ends when this is dropped, and then it ends itself.
pub struct Beside {
    child: Child,
}

impl Drop for Beside {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Reads `NAME VALUE` and `NAME error: REASON`.
fn read_results(printed: &str, outcome: &mut Outcome, is_warm_up: bool) {
    for (name, result) in printed.lines().filter_map(|line| line.split_once(' ')) {
        if let Some(reason) = result.strip_prefix("error: ") {
            outcome.unsupported.insert(name.to_owned(), reason.to_owned());
        } else if let Ok(value) = result.parse()
            && !is_warm_up
        {
            outcome.series.add(name, value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_and_reasons_are_told_apart() {
        let mut outcome = Outcome::default();
        let printed = "getpid 1.5\ncreate_join error: Function not implemented\nnonsense\n";
        read_results(printed, &mut outcome, true);
        assert_eq!(outcome.series.summary(), serde_json::json!({}));
        read_results(printed, &mut outcome, false);
        assert_eq!(outcome.series.summary()["getpid"]["median"], 1.5);
        assert_eq!(outcome.unsupported["create_join"], "Function not implemented");
    }
}
