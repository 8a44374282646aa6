//! CPython's own test suite (Debian's `libpython3.11-testsuite`), each test natively and in a partition.
//!
//! A module is one run of `tests/suites/cpython.py` in each place. A test that hangs or brings Python down ends its run:
//! it counts as failed, and another run goes on behind it, a few times. Tests that differ are tried once more, in both
//! places and by themselves, because some of them measure time; what differs twice is a difference.

use std::fs;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};

use super::place::{Bench, End, Limits, Place};
use super::record::Record;
use super::verdicts::{Verdict, Verdicts};
use super::{Context, Suite};
use crate::setup;
use crate::test::Lane;

const PYTHON: &str = "python3.11";

/// All that the suite can use, without what is too large, too slow or somebody else's.
const RESOURCES: &[&str] =
    &["all", "-audio", "-cpu", "-gui", "-largefile", "-network", "-tzdata", "-urlfetch"];

/// The modules at which parity is promised, and others that are near.
const MODULES: &[&str] = &[
    // Files.
    "test_os",
    "test_posix",
    "test_posixpath",
    "test_io",
    "test_fileio",
    "test_file",
    "test_tempfile",
    "test_shutil",
    "test_pathlib",
    "test_glob",
    "test_stat",
    "test_largefile",
    "test_mmap",
    "test_fcntl",
    "test_zipfile",
    "test_tarfile",
    "test_gzip",
    "test_bz2",
    "test_lzma",
    "test_zipimport",
    "test_import",
    "test_venv",
    "test_dbm",
    // Processes, threads, signals, waiting.
    "test_subprocess",
    "test_threading",
    "test_thread",
    "test_threadsignals",
    "test_threading_local",
    "test_queue",
    "test_multiprocessing_fork",
    "test_multiprocessing_spawn",
    "test_multiprocessing_forkserver",
    "test_concurrent_futures",
    "test_signal",
    "test_eintr",
    "test_wait3",
    "test_wait4",
    "test_fork1",
    "test_poll",
    "test_select",
    "test_selectors",
    "test_epoll",
    "test_asyncio",
    "test_socket",
    "test_socketserver",
    "test_ssl",
    "test_httplib",
    "test_httpservers",
    "test_time",
    "test_resource",
    "test_pty",
    "test_openpty",
    "test_ioctl",
    "test_faulthandler",
    // The language and its libraries.
    "test_ctypes",
    "test_json",
    "test_pickle",
    "test_hashlib",
    "test_struct",
    "test_array",
    "test_decimal",
    "test_math",
    "test_random",
    "test_re",
    "test_locale",
    "test_platform",
    "test_cmd_line",
    "test_sys",
];

/// Modules that are nothing without a resource which the others do without.
const MORE_RESOURCES: &[(&str, &str)] = &[("test_largefile", "largefile")];

const LIMITS: Limits = Limits { whole: Duration::from_secs(900), without_progress: Duration::from_secs(120) };

/// How many runs one module may need.
const RUNS: usize = 6;

/// If more tests differ, they do so for one reason, and trying again is a waste.
const SECOND_TRIES: usize = 60;

/// Runs the modules that were asked for and says what differs without an explanation.
pub fn run(context: &Context) -> Result<Vec<String>> {
    setup::cpython_suite()?;
    if let Some(reason) = Lane::Direct.obstacle() {
        println!("\n== cpython: skipped: {reason}");
        return Ok(Vec::new());
    }
    let asked: Vec<&str> = context.options.module.iter().map(String::as_str).collect();
    let modules = if asked.is_empty() { MODULES } else { &asked };
    let mut news = Vec::new();
    for (index, module) in modules.iter().enumerate() {
        let record = compare(context, module).with_context(|| format!("cannot run {module}"))?;
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
        news.extend(super::settle(context, Suite::Cpython, record)?);
    }
    Ok(news)
}

fn compare(context: &Context, module: &str) -> Result<Record> {
    let suite = Suite::Cpython.name();
    let bench = Bench::new(context.workspace, &context.septum, suite)?;
    let session = Session { context, bench, module };
    let (native, native_seconds) = session.run(Place::Native, &[])?;
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
        fs::copy(self.context.workspace.root().join("tests/suites/cpython.py"), folder.join("cpython.py"))?;
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
        let more =
            MORE_RESOURCES.iter().filter(|(module, _)| *module == self.module).map(|(_, resource)| *resource);
        let mut program = vec![PYTHON, "cpython.py", "results", "work", self.module];
        program.extend(RESOURCES.iter().copied().chain(more));
        self.bench.run(place, self.module, &program, &folder.join("results"), LIMITS)
    }
}
