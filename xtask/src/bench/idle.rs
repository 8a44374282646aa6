//! The memory of programs that wait: proportional set sizes, seen from the host.
//!
//! ```text
//!   septum run ── supervisor ── worker        native: the program alone
//!        supervisor_pss_bytes   worker_pss_bytes
//!                 └──── pss_bytes ────┘       pss_bytes
//! ```
//!
//! The worker's set size contains what the guest has touched of its RAM: kernel, page tables, the program's pages.
//! *beyond_bytes* is the worker's less that of the same program as a plain process, which is what the wall costs.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Child, ChildStdin, ChildStdout, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use super::cases::Mode;
use super::run::Starter;
use super::sample::Series;

/// Until memory that a start needed has been given back.
const SETTLING: Duration = Duration::from_millis(300);

/// A partition of many waits until the last of them was started.
const LIMIT: &str = "10m";

/// A waiting program. Dropped, it ends because its input does.
struct Waiting {
    child: Child,
    input: ChildStdin,
    output: BufReader<ChildStdout>,
}

impl Waiting {
    fn start(starter: &Starter, mode: Mode, options: &[&str], words: &[String]) -> Result<Self> {
        let mut command = starter.command(mode, LIMIT, options, words)?;
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = command.spawn().context("cannot start an idle program")?;
        let input = child.stdin.take().context("no input")?;
        let output = BufReader::new(child.stdout.take().context("no output")?);
        let mut waiting = Self { child, input, output };
        waiting.expect("ready")?;
        Ok(waiting)
    }

    fn is_alive(&mut self) -> bool {
        self.input.write_all(b"?\n").is_ok() && self.expect("alive").is_ok()
    }

    fn expect(&mut self, wanted: &str) -> Result<()> {
        let mut line = String::new();
        self.output.read_line(&mut line)?;
        ensure!(line.trim() == wanted, "an idle program said {line:?} instead of {wanted:?}");
        Ok(())
    }

    /// Ends it in the ordinary way: its input is over.
    fn finish(self) -> Result<()> {
        let Self { mut child, input, output } = self;
        drop((input, output));
        let status = child.wait()?;
        ensure!(status.success(), "an idle program ended with {status}");
        Ok(())
    }
}

/// Starts `count` programs, looks at them while they wait, and ends them.
pub fn measure(
    starter: &Starter,
    mode: Mode,
    options: &[&str],
    (count, words): (u32, &[String]),
    native_bytes: Option<f64>,
    series: &mut Series,
) -> Result<()> {
    let start = Instant::now();
    let mut all = Vec::new();
    for _ in 0..count {
        match Waiting::start(starter, mode, options, words) {
            Ok(waiting) => all.push(waiting),
            Err(error) => {
                finish(all)?;
                return Err(error);
            }
        }
    }
    series.add("started_us", start.elapsed().as_secs_f64() * 1e6);
    thread::sleep(SETTLING);
    let children = children();
    let (mut roots, mut others, mut image) = (0.0, 0.0, 0.0);
    for waiting in &all {
        roots += pss_bytes(waiting.child.id())?;
        for process in descendants(&children, waiting.child.id()) {
            others += pss_bytes(process)?;
            image += image_pss_bytes(process)?;
        }
    }
    series.add("pss_bytes", roots + others);
    if mode != Mode::Native {
        series.add("supervisor_pss_bytes", roots);
        series.add("worker_pss_bytes", others);
        if image > 0.0 {
            series.add("image_pss_bytes", image);
        }
        if let Some(native) = native_bytes {
            series.add("beyond_bytes", others - native);
        }
    }
    let alive = all.iter_mut().map(Waiting::is_alive).filter(|is_alive| *is_alive).count();
    series.add("alive", f64::from(u32::try_from(alive)?));
    finish(all)
}

/// Ends all of them, even if one does not end well.
fn finish(all: Vec<Waiting>) -> Result<()> {
    let ends: Vec<Result<()>> = all.into_iter().map(Waiting::finish).collect();
    ends.into_iter().collect()
}

/// The proportional set size of a process.
pub fn pss_bytes(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/smaps_rollup");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:")).context("no Pss in smaps_rollup")?;
    let kibibytes: f64 = line.split_whitespace().next().unwrap_or_default().parse()?;
    Ok(kibibytes * 1024.0)
}

/// The proportional set size of an image that a process has mapped.
fn image_pss_bytes(process: u32) -> Result<f64> {
    let path = format!("/proc/{process}/smaps");
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {path}"))?;
    let (mut is_image, mut kibibytes) = (false, 0.0);
    for line in text.lines() {
        let first = line.split_whitespace().next().unwrap_or_default();
        if !first.ends_with(':') {
            is_image = line.ends_with(super::cases::PYTHON_IMAGE);
        } else if is_image && first == "Pss:" {
            kibibytes += line.split_whitespace().nth(1).unwrap_or_default().parse::<f64>()?;
        }
    }
    Ok(kibibytes * 1024.0)
}

/// The children of every process.
fn children() -> BTreeMap<u32, Vec<u32>> {
    let mut children: BTreeMap<u32, Vec<u32>> = BTreeMap::new();
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let Some(process) = entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        // A process may have ended since it was listed.
        let text = fs::read_to_string(entry.path().join("stat")).unwrap_or_default();
        if let Some(parent) = parent_of(&text) {
            children.entry(parent).or_default().push(process);
        }
    }
    children
}

/// The parent in the text of `/proc/PID/stat`: the second word after the name, which may hold anything.
fn parent_of(stat: &str) -> Option<u32> {
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

fn descendants(children: &BTreeMap<u32, Vec<u32>>, process: u32) -> Vec<u32> {
    let mut found = children.get(&process).cloned().unwrap_or_default();
    let mut next = 0;
    while let Some(child) = found.get(next) {
        found.extend(children.get(child).into_iter().flatten().copied());
        next += 1;
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parent_of("12 (a) b (c) S 7 12 12 0"), Some(7));
        assert_eq!(parent_of(""), None);
    }

    #[test]
    fn descendants_are_children_of_children_too() {
        let children = BTreeMap::from([(1, vec![2, 3]), (3, vec![4]), (9, vec![10])]);
        assert_eq!(descendants(&children, 1), [2, 3, 4]);
        assert!(descendants(&children, 4).is_empty());
    }
}
