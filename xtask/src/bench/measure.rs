//! The rounds: in each, every case runs once in each of its modes.
//!
//! Going round by round, instead of case by case, lets a slow minute of the machine fall on all of them alike. The
//! first round is thrown away (caches, and in the nested lane the translation of code). No round begins when the
//! time for them is used up, so a slow lane gets fewer of them. A case that fails in a mode is measured no
//! further in that mode, and its reason stands in the result; the others go on.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use clap::Args;
use serde_json::{Value, json};

use super::cases::{self, Case, Extent, Kind, Mode, Output};
use super::idle;
use super::run::{Outcome, Starter};
use super::sample::Series;
use crate::test::Lane;

const WARM_UP_ROUNDS: u32 = 1;

/// What a measuring run is told by `bench`.
#[derive(Args)]
pub struct MeasureOptions {
    #[arg(long, value_enum)]
    lane: Lane,
    #[arg(long)]
    rounds: u32,
    /// No round begins after this many seconds
    #[arg(long)]
    limit: u64,
    /// Only cases whose name contains this
    #[arg(long)]
    filter: Option<String>,
    /// The `septum` binary
    #[arg(long)]
    septum: PathBuf,
    /// The folder of the compiled programs and the files
    #[arg(long)]
    programs: PathBuf,
    /// Where the result goes
    #[arg(long)]
    output: PathBuf,
}

/// Measures and writes the result.
pub fn run(options: &MeasureOptions) -> Result<()> {
    let starter = Starter {
        septum: options.septum.clone(),
        folder: options.programs.clone(),
        stats: std::env::temp_dir().join(format!("septum-stats-{}.json", std::process::id())),
        limit: if options.lane == Lane::Nested { "60s" } else { "20s" },
    };
    let mut cases = cases::all(options.lane, &options.programs);
    if let Some(filter) = &options.filter {
        cases.retain(|case| case.name.contains(filter));
    }
    let quick = quick_mode(&starter, options.lane);
    let host = host(&options.programs);
    let mut measuring = Measuring { starter: &starter, quick, outcomes: BTreeMap::new(), native_bytes: None };
    let deadline = Instant::now() + Duration::from_secs(options.limit);
    for round in 0..options.rounds + WARM_UP_ROUNDS {
        // One round that counts there must be.
        if round > WARM_UP_ROUNDS && Instant::now() > deadline {
            eprintln!("time is up after {} rounds", round - WARM_UP_ROUNDS);
            break;
        }
        for case in cases.iter().filter(|case| !case.is_once) {
            measuring.run(case, round < WARM_UP_ROUNDS);
        }
    }
    for case in cases.iter().filter(|case| case.is_once) {
        measuring.run(case, false);
    }
    // It is not there if no partition ran.
    let _ = fs::remove_file(&starter.stats);
    let document = json!({ "host": host, "quick_mode": quick.name(), "cases": measuring.summary() });
    fs::write(&options.output, serde_json::to_string(&document)?)
        .with_context(|| format!("cannot write {}", options.output.display()))
}

/// The kind of partition that is quicker here. Ring 3 is tried where ring 0 may be emulated.
fn quick_mode(starter: &Starter, lane: Lane) -> Mode {
    let hello = [starter.folder.join("hello").to_string_lossy().into_owned()];
    let try_single = || {
        let mut outcome = Outcome::default();
        starter.run(Mode::Single, &[], &hello, Output::Text("hello\n"), &mut outcome, true)
    };
    match lane {
        Lane::Nested => Mode::Ring0,
        Lane::Direct => match try_single() {
            Ok(()) => Mode::Single,
            Err(error) => {
                eprintln!("no single-privilege mode here: {error:#}");
                Mode::Ring0
            }
        },
    }
}

struct Measuring<'a> {
    starter: &'a Starter,
    quick: Mode,
    outcomes: BTreeMap<(&'static str, Mode), Outcome>,
    /// What an idle program needs by itself.
    native_bytes: Option<f64>,
}

impl Measuring<'_> {
    /// Runs a case once in each of its modes.
    fn run(&mut self, case: &Case, is_warm_up: bool) {
        for mode in Mode::ALL {
            let is_wanted = match case.extent {
                _ if mode == Mode::Native => true,
                Extent::NativeOnly => false,
                Extent::QuickMode => mode == self.quick,
                Extent::EveryMode => mode == self.quick || mode == Mode::Ring0,
            };
            let outcome = self.outcomes.entry((case.name, mode)).or_default();
            if !is_wanted || outcome.error.is_some() {
                continue;
            }
            if let Some(words) = &case.before
                && let Err(error) = self.starter.run(
                    Mode::Native,
                    &[],
                    words,
                    Output::Anything,
                    &mut Outcome::default(),
                    true,
                )
            {
                eprintln!("{}, before {}: {error:#}", case.name, mode.name());
            }
            // It lives until the case has run in this mode.
            let beside = match case.beside.as_deref().map(|words| self.starter.beside(words)).transpose() {
                Ok(beside) => beside,
                Err(error) => {
                    eprintln!("{}, beside {}: {error:#}", case.name, mode.name());
                    outcome.error = Some(format!("{error:#}"));
                    continue;
                }
            };
            let result = match &case.kind {
                Kind::Program { words, output } => {
                    self.starter.run(mode, case.options, words, *output, outcome, is_warm_up)
                }
                Kind::Idle { count, words } => {
                    let mut series = Series::default();
                    let native = self.native_bytes.map(|bytes| bytes * f64::from(*count));
                    let result =
                        idle::measure(self.starter, mode, case.options, (*count, words), native, &mut series);
                    if mode == Mode::Native
                        && let Some(bytes) = series.last("pss_bytes")
                    {
                        self.native_bytes = Some(bytes / f64::from(*count));
                    }
                    if !is_warm_up {
                        outcome.series.append(series);
                    }
                    result
                }
            };
            drop(beside);
            match result {
                Ok(()) if is_warm_up => {}
                Ok(()) => outcome.rounds += 1,
                Err(error) => {
                    eprintln!("{}, {}: {error:#}", case.name, mode.name());
                    outcome.error = Some(format!("{error:#}"));
                }
            }
        }
    }

    fn summary(&self) -> Value {
        let mut cases = serde_json::Map::new();
        for ((name, mode), outcome) in &self.outcomes {
            if outcome.rounds == 0 && outcome.error.is_none() {
                continue;
            }
            let entry = json!({
                "rounds": outcome.rounds,
                "error": outcome.error,
                "unsupported": outcome.unsupported,
                "measured": outcome.series.summary(),
            });
            let modes = cases.entry(*name).or_insert_with(|| json!({}));
            if let Some(modes) = modes.as_object_mut() {
                modes.insert(mode.name().to_owned(), entry);
            }
        }
        Value::Object(cases)
    }
}

/// What a reader must know about the machine to compare.
fn host(programs: &Path) -> Value {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default().trim().to_owned();
    let processors = read("/proc/cpuinfo");
    let model = processors.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    json!({
        "kernel": read("/proc/sys/kernel/osrelease"),
        "processor": model.map(|(_, name)| name),
        "processors": std::thread::available_parallelism().map(std::num::NonZero::get).ok(),
        "load_average_before": read("/proc/loadavg").split(' ').next().and_then(|load| load.parse::<f64>().ok()),
        "transparent_huge_pages": read("/sys/kernel/mm/transparent_hugepage/enabled"),
        "large_file": programs.join("large").exists(),
        "kvm_modules": read("/proc/modules")
            .lines()
            .filter_map(|line| line.split(' ').next())
            .filter(|name| name.starts_with("kvm"))
            .collect::<Vec<_>>(),
    })
}
