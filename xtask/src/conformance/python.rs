//! A test suite in Python, each test natively and in a partition.
//!
//! A module is one run of the suite's script in `tests/suites/` in each place. A test that hangs or brings Python down ends its run: it
//! counts as failed, and another run goes on behind it, a few times. Tests that differ are tried once more, in both places and by
//! themselves, because some of them measure time; what differs twice is a difference.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use super::place::{Bench, End, Limits, Place};
use super::record::Record;
use super::verdicts::{Verdict, Verdicts};
use super::{Context, Suite};

/// Debian's, which has the packages; a `python3.11` that comes earlier in a path may be another.
pub const DEBIAN: &str = "/usr/bin/python3.11";

const LIMITS: Limits = Limits { whole: Duration::from_secs(900), without_progress: Duration::from_secs(120) };

/// How many runs one module may need.
const RUNS: usize = 6;

/// If more tests differ, they do so for one reason, and trying again is a waste.
const SECOND_TRIES: usize = 60;

/// A suite and what it is run with.
pub struct Script {
    pub suite: Suite,
    /// The interpreter.
    pub python: PathBuf,
    /// A folder that a partition sees besides the system's, read-only.
    pub share: Option<PathBuf>,
    /// Its file in `tests/suites/`: `SCRIPT RESULTS FOLDER MODULE ARGUMENT…`.
    pub file: &'static str,
    /// More arguments, for a module.
    pub arguments: fn(&str) -> Vec<&'static str>,
    /// The partition's memory.
    pub memory: &'static str,
}

/// Runs the modules, or those that were asked for, and says what differs without an explanation.
pub fn run(context: &Context, script: &Script, all: &[&'static str]) -> Result<Vec<String>> {
    let modules = context.modules(script.suite, all);
    let mut news = Vec::new();
    for (index, module) in modules.iter().enumerate() {
        let record = compare(context, script, module).with_context(|| format!("cannot run {module}"))?;
        println!(
            "[{}/{}] {module}: {} pass natively in {:.0} s, {} of these in a partition in {:.0} s",
            index + 1,
            modules.len(),
            record.native,
            record.native_seconds,
            record.partition,
            record.partition_seconds
        );
        record.differences.iter().for_each(|difference| println!("    {difference}"));
        news.extend(super::settle(context, script.suite, record)?);
    }
    Ok(news)
}

fn compare(context: &Context, script: &Script, module: &str) -> Result<Record> {
    let mut bench = Bench::new(context.workspace, &context.septum, script.suite.name(), script.memory)?;
    bench.share(script.share.as_deref());
    let session = Session { context, script, bench, module };
    let (native, native_seconds) = session.run(Place::Native, &[])?;
    if !native.is_complete {
        // What did not run here could not differ there.
        bail!(
            "natively it does not reach its end; see {}",
            session.bench.log(module, Place::Native).display()
        );
    }
    if native.len() == 0 {
        bail!("natively it has no tests; see {}", session.bench.log(module, Place::Native).display());
    }
    let (partition, partition_seconds) = session.run(Place::Partition, &[])?;
    let mut differences = native.differences(&partition);
    if !differences.is_empty() && differences.len() <= SECOND_TRIES {
        let tests: Vec<String> = differences.iter().map(|difference| difference.test.clone()).collect();
        let (native, _) = session.run(Place::Native, &tests)?;
        let (partition, _) = session.run(Place::Partition, &tests)?;
        let twice = native.differences(&partition);
        differences.retain(|first| {
            let is_different = twice.iter().any(|second| second.test == first.test);
            if !is_different {
                println!("    at the second try no difference: {first}");
            }
            is_different
        });
    }
    let passed = native.count(Verdict::Passed);
    Ok(Record {
        name: module.to_owned(),
        native: u64::try_from(passed)?,
        partition: u64::try_from(passed - differences.len())?,
        native_seconds,
        partition_seconds,
        origin: context.origin.clone(),
        differences,
    })
}

struct Session<'a> {
    context: &'a Context<'a>,
    script: &'a Script,
    bench: Bench<'a>,
    module: &'a str,
}

impl Session<'_> {
    /// Runs the module, or only the named tests of it, in one place, as often as it takes to reach its end.
    fn run(&self, place: Place, only: &[String]) -> Result<(Verdicts, f64)> {
        self.bench.empty()?;
        let log = self.bench.log(self.module, place);
        if only.is_empty() {
            drop(fs::remove_file(log));
        }
        let folder = self.bench.folder();
        let file = self.script.file;
        fs::copy(self.context.workspace.root().join("tests/suites").join(file), folder.join(file))?;
        fs::write(folder.join("only"), only.iter().map(|test| format!("{test}\n")).collect::<String>())?;
        let results = folder.join("results");
        let begin = Instant::now();
        let mut verdicts = Verdicts::default();
        for _ in 0..RUNS {
            let before = verdicts.len();
            let end = self.once(place)?;
            verdicts = Verdicts::parse(&fs::read_to_string(&results).unwrap_or_default());
            if verdicts.is_complete {
                break;
            }
            println!("    {} {}: ended after {} tests: {end:?}", self.module, place.name(), verdicts.len());
            if verdicts.len() == before {
                break;
            }
        }
        Ok((verdicts, begin.elapsed().as_secs_f64()))
    }

    fn once(&self, place: Place) -> Result<End> {
        let folder = self.bench.folder();
        let python = self.script.python.to_str().context("the interpreter's path is no text")?;
        let mut program = vec![python, self.script.file, "results", "work", self.module];
        program.extend((self.script.arguments)(self.module));
        self.bench.run(place, self.module, &program, &folder.join("results"), LIMITS)
    }
}
