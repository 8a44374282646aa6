//! The rounds: in each, every program runs once, natively and in a partition, and its wall time is taken.
//!
//! Going round by round, instead of program by program, lets a slow minute of the machine fall on all of
//! them alike. The first rounds are thrown away (caches, and in the nested lane the translation of code).
//! A program that fails is measured no further and its reason stands in the result.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use serde_json::{Value, json};

use super::sample::Series;

const WARM_UP_ROUNDS: u32 = 2;

/// What a measuring run is told by `bench`.
#[derive(Args)]
pub struct MeasureOptions {
    #[arg(long)]
    rounds: u32,
    /// The `septum` binary.
    #[arg(long)]
    septum: PathBuf,
    /// The folder of the compiled programs and the input file.
    #[arg(long)]
    programs: PathBuf,
    /// Where the result goes.
    #[arg(long)]
    output: PathBuf,
}

/// One program, run in one way.
struct Case {
    name: &'static str,
    words: Vec<OsString>,
    /// What it must print, if that is known.
    expected: Option<&'static str>,
    /// Where a partition writes its own account.
    stats: Option<PathBuf>,
}

/// Measures and writes the result.
pub fn run(options: &MeasureOptions) -> Result<()> {
    let stats = std::env::temp_dir().join(format!("septum-stats-{}.json", std::process::id()));
    let cases = cases(options, &stats);
    let host = host();
    let mut series: BTreeMap<&str, Series> = BTreeMap::new();
    let mut errors: BTreeMap<&str, String> = BTreeMap::new();
    for round in 0..options.rounds + WARM_UP_ROUNDS {
        for case in &cases {
            if errors.contains_key(case.name) {
                continue;
            }
            match run_once(case, &options.programs) {
                Ok((wall_us, account)) if round >= WARM_UP_ROUNDS => {
                    let series = series.entry(case.name).or_default();
                    series.add("wall_us", wall_us);
                    series.add_numbers("", &account);
                }
                Ok(_) => {}
                Err(error) => {
                    eprintln!("{}: {error:#}", case.name);
                    errors.insert(case.name, format!("{error:#}"));
                }
            }
        }
    }
    // It is not there if no partition ran.
    let _ = fs::remove_file(stats);
    let results = cases.iter().map(|case| {
        let summary = series.get(case.name).map_or_else(|| json!({}), Series::summary);
        let error = errors.get(case.name).map_or(Value::Null, |error| Value::String(error.clone()));
        (case.name.to_owned(), json!({ "error": error, "measured": summary }))
    });
    let document = json!({ "host": host, "cases": Value::Object(results.collect()) });
    fs::write(&options.output, serde_json::to_string(&document)?)
        .with_context(|| format!("cannot write {}", options.output.display()))
}

fn cases(options: &MeasureOptions, stats: &Path) -> Vec<Case> {
    let program = |name: &str| options.programs.join(name).into_os_string();
    let hello = || vec![program("hello")];
    let digest = || vec!["sha256sum".into(), "input".into()];
    let partition = |words: Vec<OsString>| {
        let head: [OsString; 5] = [
            options.septum.clone().into_os_string(),
            "run".into(),
            "--json-stats".into(),
            stats.as_os_str().to_owned(),
            "--".into(),
        ];
        head.into_iter().chain(words).collect()
    };
    let native = |name, words, expected| Case { name, words, expected, stats: None };
    let isolated = |name, words, expected| {
        let words = partition(words);
        Case { name, words, expected, stats: Some(stats.to_owned()) }
    };
    vec![
        native("hello, native", hello(), Some("hello\n")),
        native("empty VM", vec![program("empty_vm")], None),
        isolated("hello, partition", hello(), Some("hello\n")),
        native("sha256sum, native", digest(), None),
        isolated("sha256sum, partition", digest(), None),
    ]
}

/// Runs a program to its end in a folder (a partition sees the folder that it is started in); its wall time in
/// microseconds, and the partition's account of itself.
fn run_once(case: &Case, folder: &Path) -> Result<(f64, Value)> {
    let (program, arguments) = case.words.split_first().context("no program")?;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if let Some(stats) = &case.stats {
        // What an earlier run left must not be taken for this one's.
        let _ = fs::remove_file(stats);
    }
    let start = Instant::now();
    let output = command.output().with_context(|| format!("cannot start {}", program.display()))?;
    let wall_us = start.elapsed().as_secs_f64() * 1e6;
    let message = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}: {}", output.status, message.trim());
    let printed = String::from_utf8_lossy(&output.stdout);
    ensure!(case.expected.is_none_or(|expected| expected == printed), "printed {printed:?}");
    let account = case.stats.as_ref().and_then(|path| fs::read_to_string(path).ok());
    let account = account.and_then(|text| serde_json::from_str(&text).ok()).unwrap_or(Value::Null);
    Ok((wall_us, account))
}

/// What a reader must know about the machine to compare.
fn host() -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processor": model.map(|(_, name)| name),
        "processors": std::thread::available_parallelism().map(std::num::NonZero::get).ok(),
        "load_average_before": read("/proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok()),
        "kvm_modules": read("/proc/modules")
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.starts_with("kvm"))
            .collect::<Vec<_>>(),
    })
}
