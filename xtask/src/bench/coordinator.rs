//! `cargo xtask bench --coordinator`: what the coordinator's API takes, on this machine's KVM.
//!
//! One `septum serve` in folders of its own, asked by HTTP over its socket, a connection each, by threads of this process. The numbers contain
//! those threads, which share the processors with what they measure.

use std::io::{Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use super::cases::Mode;
use super::results::Results;
use super::rows::{Promise, Row, Unit, number};
use super::sample::Series;

/// The name of these results, among those of lanes.
pub const NAME: &str = "coordinator";

/// Partitions that a list has, those that live at once, and those that are asked for at once.
const LISTED: usize = 1000;
const LIVE: usize = 200;
const AT_ONCE: usize = 50;
/// How often a list is asked for, and a partition is made while nothing else happens.
const LISTS: usize = 200;
const CREATES: usize = 50;
/// How long the making of many at once goes on.
const SUSTAINED: Duration = Duration::from_secs(10);
/// How long something is waited for.
const PATIENCE: Duration = Duration::from_secs(120);

/// The lines.
pub const ROWS: &[Row] = &[
    row(
        "GET /v1/partitions with 1,000 partitions, p99",
        "list_p99_us",
        Unit::Milliseconds,
        Some(Promise::AtMost(20.0)),
    ),
    row("create to running, median", "create_us", Unit::Milliseconds, Some(Promise::AtMost(25.0))),
    row("create to running, p99", "create_p99_us", Unit::Milliseconds, None),
    row(
        "creates, 50 at once for 10 s, each `true` and gone",
        "creates_per_s",
        Unit::PerSecond,
        Some(Promise::AtLeast(50.0)),
    ),
    row("partitions that live at once", "live", Unit::Count, Some(Promise::AtLeast(200.0))),
    row(
        "the coordinator's memory with 200 of them",
        "memory_bytes",
        Unit::Mebibytes,
        Some(Promise::AtMost(40.0)),
    ),
    row("starting 200 of them, 50 at once", "started_us", Unit::Milliseconds, None),
    row("the coordinator's memory with 1,000 that do not run", "listed_bytes", Unit::Mebibytes, None),
];

const fn row(label: &'static str, series: &'static str, unit: Unit, promise: Option<Promise>) -> Row {
    Row { label, case: NAME, series, unit, promises: [promise, None], slow_ring0: None }
}

/// A coordinator of our own.
struct Serving {
    septum: PathBuf,
    folder: tempfile::TempDir,
    process: Child,
}

impl Serving {
    fn start(septum: &Path) -> Result<Self> {
        let folder = tempfile::tempdir().context("no temporary folder")?;
        for name in ["run", "data"] {
            std::fs::create_dir(folder.path().join(name))?;
        }
        let mut command = Command::new(septum);
        command.args(["serve", "--quiet"]).current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        let process =
            with_folders(&mut command, folder.path()).spawn().context("cannot start septum serve")?;
        let serving = Self { septum: septum.to_owned(), folder, process };
        let end = Instant::now() + PATIENCE;
        while serving.ask("GET", "/v1/health", "").is_err() {
            ensure!(Instant::now() < end, "septum serve does not answer");
            thread::sleep(Duration::from_millis(10));
        }
        Ok(serving)
    }

    /// Sends a request; returns status and body.
    fn ask(&self, method: &str, path: &str, body: &str) -> Result<(u16, String)> {
        let mut stream = UnixStream::connect(self.folder.path().join("run/septum.sock"))?;
        let length = body.len();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        let (head, body) = answer.split_once("\r\n\r\n").context("no answer")?;
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).context("no status")?;
        Ok((status, body.to_owned()))
    }

    fn create(&self, body: &str) -> Result<()> {
        match self.ask("POST", "/v1/partitions", body)? {
            (201, _) => Ok(()),
            (status, text) => bail!("a create was answered with {status}: {text}"),
        }
    }

    /// So many creates by fifty threads.
    fn create_many(&self, count: usize, body: impl Fn(usize) -> String + Sync) -> Result<()> {
        let next = std::sync::atomic::AtomicUsize::new(0);
        thread::scope(|scope| {
            let work = || -> Result<()> {
                loop {
                    match next.fetch_add(1, Ordering::Relaxed) {
                        index if index < count => self.create(&body(index))?,
                        _ => return Ok(()),
                    }
                }
            };
            let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
            threads
                .into_iter()
                .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
        })
    }

    fn remove_all(&self) -> Result<()> {
        let (_, text) = self.ask("GET", "/v1/partitions?limit=1000", "")?;
        let list: Value = serde_json::from_str(&text)?;
        for item in list.get("items").and_then(Value::as_array).context("no list")? {
            let id = item.get("id").and_then(Value::as_str).context("no identifier")?;
            self.ask("DELETE", &format!("/v1/partitions/{id}?force=true"), "")?;
        }
        Ok(())
    }

    fn live(&self) -> Result<f64> {
        let (_, text) = self.ask("GET", "/v1/health", "")?;
        let health: Value = serde_json::from_str(&text)?;
        health.get("live").and_then(Value::as_f64).context("no count")
    }

    fn memory_bytes(&self) -> Result<f64> {
        super::idle::pss_bytes(self.process.id())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        let _ = self.remove_all();
        let _ = self.process.kill();
        let _ = self.process.wait();
        // What came after the list.
        let left =
            std::fs::read_dir(self.folder.path().join("run/partitions")).into_iter().flatten().flatten();
        for entry in left {
            let mut command = Command::new(&self.septum);
            command.args(["rm", "-f"]).arg(entry.file_name()).stdout(Stdio::null()).stderr(Stdio::null());
            let _ = with_folders(&mut command, self.folder.path()).status();
        }
    }
}

fn with_folders<'a>(command: &'a mut Command, folder: &Path) -> &'a mut Command {
    command.env("SEPTUM_RUNTIME_DIR", folder.join("run")).env("SEPTUM_DATA_DIR", folder.join("data"))
}

fn sleeper(name: &str) -> String {
    json!({ "name": name, "memory": "32M", "command": ["sleep", "10000"] }).to_string()
}

/// Measures everything; the result has the form of a lane's.
pub fn measure(septum: &Path) -> Result<Value> {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split(' ').next().and_then(|load| load.parse::<f64>().ok());
    let mut series = Series::default();
    let serving = Serving::start(septum)?;
    create(&serving, &mut series)?;
    sustain(&serving, &mut series)?;
    live(&serving, &mut series)?;
    list(&serving, &mut series)?;
    let measured = json!({ "rounds": 1, "error": null, "unsupported": {}, "measured": series.summary() });
    Ok(json!({
        "host": { "load_average_before": load },
        "quick_mode": Mode::Single.name(),
        "cases": { NAME: { Mode::Single.name(): measured } },
    }))
}

/// One after the other, with nothing else going on.
fn create(serving: &Serving, series: &mut Series) -> Result<()> {
    let mut times = Vec::new();
    for index in 0..=CREATES {
        let start = Instant::now();
        serving.create(&sleeper(&format!("one-{index}")))?;
        let taken_us = start.elapsed().as_secs_f64() * 1e6;
        serving.remove_all()?;
        // The first one reads programs from the disk.
        if index > 0 {
            times.push(taken_us);
            series.add("create_us", taken_us);
        }
    }
    series.add("create_p99_us", percentile(&mut times));
    Ok(())
}

fn sustain(serving: &Serving, series: &mut Series) -> Result<()> {
    let (made, start) = (AtomicU32::new(0), Instant::now());
    let body = json!({ "memory": "32M", "command": ["true"], "auto_remove": true }).to_string();
    thread::scope(|scope| {
        let work = || -> Result<()> {
            while start.elapsed() < SUSTAINED {
                serving.create(&body)?;
                made.fetch_add(1, Ordering::Relaxed);
            }
            Ok(())
        };
        let threads: Vec<_> = (0..AT_ONCE).map(|_| scope.spawn(work)).collect();
        threads
            .into_iter()
            .try_for_each(|thread| thread.join().unwrap_or_else(|_| bail!("a thread panicked")))
    })?;
    series.add("creates_per_s", f64::from(made.into_inner()) / start.elapsed().as_secs_f64());
    let end = Instant::now() + PATIENCE;
    while serving.live()? > 0.0 {
        ensure!(Instant::now() < end, "partitions do not end");
        thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn live(serving: &Serving, series: &mut Series) -> Result<()> {
    let start = Instant::now();
    serving.create_many(LIVE, |index| sleeper(&format!("live-{index}")))?;
    series.add("started_us", start.elapsed().as_secs_f64() * 1e6);
    series.add("live", serving.live()?);
    series.add("memory_bytes", serving.memory_bytes()?);
    serving.remove_all()
}

fn list(serving: &Serving, series: &mut Series) -> Result<()> {
    serving.create_many(LISTED, |index| {
        json!({ "name": format!("listed-{index}"), "command": ["true"], "start": false }).to_string()
    })?;
    series.add("listed_bytes", serving.memory_bytes()?);
    let mut times = Vec::new();
    for _ in 0..LISTS {
        let start = Instant::now();
        let (status, text) = serving.ask("GET", "/v1/partitions?limit=1000", "")?;
        times.push(start.elapsed().as_secs_f64() * 1e6);
        ensure!(status == 200 && text.matches("\"listed-").count() >= LISTED, "the list is not whole");
    }
    series.add("list_p99_us", percentile(&mut times));
    Ok(())
}

/// The 99th of a hundred.
fn percentile(times: &mut [f64]) -> f64 {
    times.sort_by(f64::total_cmp);
    let last = times.len().saturating_sub(1);
    times.get((times.len() * 99 / 100).min(last)).copied().unwrap_or_default()
}

/// The lines as a table, for people and for the specification.
pub fn table(results: &Results) -> String {
    let mut text = format!(
        "*The coordinator*, on the direct lane: {}, commit {}{}.\n\n| what | promise | measured |\n| --- | --- | ---: |\n",
        results.text("date"),
        results.text("commit"),
        results.disturbing_load().map_or_else(String::new, |load| format!(
            "; the machine was not idle (load {load}), so times are too long"
        ))
    );
    for row in ROWS {
        let promise = row.promises[0];
        let told = promise.map(|promise| promise.text(row.unit)).unwrap_or_default();
        let measured = results.median(row, Mode::Single);
        let shown =
            measured.map_or_else(String::new, |value| format!("{}{}", number(value), row.unit.symbol()));
        let is_missed =
            measured.zip(promise).is_some_and(|(value, promise)| promise.is_kept(value, None) == Some(false));
        let shown = if is_missed { format!("**{shown}: missed**") } else { shown };
        text += &format!("| {} | {told} | {shown} |\n", row.label);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_99th_of_a_hundred() {
        assert!((percentile(&mut (1..=200).rev().map(f64::from).collect::<Vec<_>>()) - 199.0).abs() < 1e-9);
        assert!((percentile(&mut [7.0]) - 7.0).abs() < 1e-9);
    }

    #[test]
    fn a_missed_promise_is_told() {
        let series = |value: f64| json!({ "median": value, "min": value, "max": value });
        let measured = json!({ "list_p99_us": series(21e3), "live": series(200.0) });
        let results = Results::from_document(json!({
            "date": "2026-01-01", "commit": "abc", "cases": { NAME: { "single": { "measured": measured } } },
        }));
        let table = table(&results);
        assert!(table.contains("p99 | ≤ 20 ms | **21.0 ms: missed** |"), "{table}");
        assert!(table.contains("live at once | ≥ 200 | 200 |"), "{table}");
    }
}
