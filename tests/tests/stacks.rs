//! Real stacks, unmodified: what people install, natively and in a partition.
//!
//! The programs are in `tests/stacks`, those that must be compiled in `tests/guests`. A stack that this machine does not have is
//! counted as skipped, with what would bring it. Numbers are compared to the last bit: the processor is the same, so are the
//! libraries, and both sides get two threads.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use septum_tests::lane::{self, Lane};
use septum_tests::{Case, Files, Link, Septum};

/// Where Debian puts Python's packages.
const PACKAGES: &str = "/usr/lib/python3/dist-packages";

/// Debian's Python, which has Debian's packages.
const PYTHON: &str = "/usr/bin/python3";

fn program(name: &str) -> Vec<u8> {
    let path = lane::workspace().join("tests/stacks").join(name);
    fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Leaves the test, counted as skipped, unless it is worth its time on this lane.
macro_rules! direct_only {
    () => {
        if Lane::current() == Lane::Nested {
            return lane::skip("it takes minutes in the nested lane, and shows nothing new there");
        }
    };
}

/// A program of `tests/stacks` in its language's interpreter, with what two processors need.
fn script(interpreter: &str, name: &str) -> Case {
    let case = Case::tool(interpreter).input(name, program(name)).argument(name);
    let case = case.option("--cpus", "2").option("--memory", "2G").deadline(Duration::from_secs(240));
    case.environment("OPENBLAS_NUM_THREADS", "2")
        .environment("OMP_NUM_THREADS", "2")
        .environment("HOME", "/tmp")
}

mod python {
    use super::{Case, Files, Lane, PACKAGES, PYTHON, Path, lane, script};

    /// Runs the program if Python has all these packages.
    fn with_packages(wanted: &[&str], case: &Case) {
        match wanted.iter().find(|name| !Path::new(PACKAGES).join(name).is_dir()) {
            Some(absent) => lane::skip(&format!("no {absent}; Debian's package python3-{absent} brings it")),
            None => case.conform(),
        }
    }

    #[test]
    fn in_daily_use() {
        direct_only!();
        if !Path::new("/usr/lib/python3.11/ensurepip").is_dir() {
            return lane::skip("no ensurepip; Debian's package python3.11-venv brings it");
        }
        script("bash", "daily.sh").files(Files::Ram).conform();
    }

    /// Not in system directories, and not cut into packages.
    #[test]
    fn built_as_by_pyenv() {
        direct_only!();
        let prefix = lane::workspace().join("target/conformance/pyenv/versions/3.11.2");
        let python = prefix.join("bin/python");
        if !python.exists() {
            return lane::skip("it is not built; 'cargo xtask conformance pyenv' does it");
        }
        let share = format!("{0}:{0}:ro", prefix.display());
        let case = script("bash", "daily.sh").files(Files::Ram).option("--volume", &share);
        case.environment("DAILY_PYTHON", &python.to_string_lossy()).conform();
    }

    #[test]
    fn numpy_learns_digits() {
        with_packages(&["numpy", "sklearn"], &script(PYTHON, "digits.py"));
    }

    #[test]
    fn scipy_and_scikit_learn() {
        direct_only!();
        with_packages(&["numpy", "scipy", "sklearn"], &script(PYTHON, "estimators.py"));
    }

    #[test]
    fn pytorch_learns_digits() {
        direct_only!();
        with_packages(&["numpy", "sklearn", "torch"], &script(PYTHON, "torch_digits.py"));
    }
}

mod compiled {
    use super::{Case, Link};

    #[test]
    fn openmp() {
        let case = Case::guest("parallel_loops", Link::Dynamic).option("--cpus", "2");
        case.environment("OMP_NUM_THREADS", "2").conform();
    }

    #[test]
    fn plugins_in_cpp() {
        Case::guest("plugins", Link::Dynamic).library("plugin").conform();
    }

    #[test]
    fn rust_with_tokio_and_rayon() {
        let processors = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).to_string();
        Case::file(env!("CARGO_BIN_EXE_async_and_parallel")).option("--cpus", &processors).conform();
    }
}

/// Debian 11's Julia, in an image that `cargo xtask test` makes.
mod julia {
    use super::{Duration, Lane, Path, PathBuf, Septum, fs, lane, program, script};
    use septum_tests::{Case, Place, needs_partitions};

    pub fn image() -> PathBuf {
        lane::workspace().join("target/stacks/julia")
    }

    pub const ABSENT: &str =
        "no image of Julia below target/stacks; mmdebstrap makes it, where Debian's packages can be had";

    /// Julia of the image among the host's files: the same natively and in the partition.
    pub fn beside(case: Case) -> Case {
        let image = image();
        let libraries = image.join("usr/lib/x86_64-linux-gnu");
        let found = format!("{0}:{0}/openblas-pthread", libraries.display());
        let volume = format!("{0}:{0}:ro", image.display());
        case.environment("LD_LIBRARY_PATH", &found)
            .environment("JULIA_NUM_THREADS", "2")
            .option("--volume", &volume)
    }

    pub fn interpreter() -> Option<String> {
        let path = image().join("usr/bin/julia");
        path.is_file().then(|| path.display().to_string())
    }

    #[test]
    fn threads_and_faults() {
        direct_only!();
        let Some(julia) = interpreter() else { return lane::skip(ABSENT) };
        beside(script(&julia, "safepoints.jl")).conform();
    }

    #[test]
    fn linear_algebra() {
        direct_only!();
        let Some(julia) = interpreter() else { return lane::skip(ABSENT) };
        beside(script(&julia, "linear.jl")).conform();
    }

    #[test]
    fn in_an_image_of_its_own() {
        direct_only!();
        needs_partitions!();
        if interpreter().is_none() {
            return lane::skip(ABSENT);
        }
        let place = Place::new();
        place.file("linear.jl", program("linear.jl"));
        let run =
            Septum::run("julia").argument("linear.jl").option("--rootfs", image()).option("--memory", "2G");
        let run =
            run.volume(place.path(), "/work").option("--workdir", "/work").deadline(Duration::from_secs(240));
        let output = run.output();
        output.expect_code(0);
        let text = output.stdout_text();
        assert!(text.starts_with("1.5.3\n2.02180042") && text.ends_with("500500.0\n"), "{text}");
        assert!(
            fs::exists(place.join("linear.jl")).is_ok_and(|is_there| is_there) && Path::new("/usr").is_dir()
        );
    }
}

#[test]
fn four_languages_on_one_buffer() {
    direct_only!();
    let Some(julia) = julia::interpreter() else { return lane::skip(julia::ABSENT) };
    if !Path::new(PACKAGES).join("numpy").is_dir() {
        return lane::skip("no numpy; Debian's package python3-numpy brings it");
    }
    let flowers = fs::read(lane::data("iris.csv")).expect("the test data is there");
    let case = script(PYTHON, "languages.py").argument(julia).input("iris.csv", flowers);
    let case = case.input("languages.jl", program("languages.jl"));
    julia::beside(case.library("columns_centred").library("columns_scaled")).conform();
}

mod tools {
    use super::{Case, Files, Lane, lane, script};

    fn with_tools(wanted: &[&str], case: &Case) {
        match wanted.iter().find(|name| lane::host_tool(name).is_none()) {
            Some(absent) => lane::skip(&format!("the host has no {absent}")),
            None => case.conform(),
        }
    }

    #[test]
    fn git_tar_perl_make() {
        let wanted = ["git", "tar", "xz", "find", "perl", "make"];
        with_tools(&wanted, &script("bash", "tools.sh").files(Files::Ram));
    }

    #[test]
    fn compiling_in_the_partition() {
        direct_only!();
        with_tools(&["gcc", "g++", "python3"], &script("bash", "compiling.sh").files(Files::Ram));
    }

    #[test]
    fn curl_and_a_server() {
        direct_only!();
        with_tools(&["curl", "python3"], &script("bash", "serving.sh").files(Files::Ram));
    }
}

/// `stress-ng`, which verifies what it does.
mod stress {
    use super::{Lane, Septum, lane};
    use septum_tests::needs_partitions;

    /// `name: stressor options…;` runs two of the stressor for two seconds.
    macro_rules! stressors {
        ($($name:ident: $stressor:literal $($option:literal)*;)*) => {
            $(#[test]
            fn $name() {
                direct_only!();
                verified($stressor, &[$($option),*]);
            })*
        };
    }

    stressors! {
        processor: "cpu";
        memory: "vm" "--vm-bytes" "64M";
        mapping: "mmap" "--mmap-bytes" "32M";
        forking: "fork";
        threads: "pthread";
        futexes: "futex";
        pipes: "pipe";
        polling: "poll";
        signals: "signal";
        timers: "timer";
        switching: "switch";
        allocating: "malloc";
        copying: "memcpy";
        matrices: "matrix";
        vectors: "vecmath";
    }

    fn verified(stressor: &str, options: &[&str]) {
        needs_partitions!();
        if lane::host_tool("stress-ng").is_none() {
            return lane::skip("no stress-ng; Debian's package stress-ng brings it");
        }
        let run = Septum::run("stress-ng")
            .option("--cpus", "2")
            .option("--memory", "1G")
            .option("--workdir", "/tmp");
        let run =
            run.arguments([&format!("--{stressor}"), "2", "--timeout", "2", "--verify", "--metrics-brief"]);
        let output = run.arguments(options).output();
        output.expect_code(0);
        let said = format!("{}{}", output.stdout_text(), output.stderr_text());
        assert!(!said.contains("fail:"), "{said}");
        assert!(said.contains("successful run completed"), "{said}");
        let rounds = said.lines().find_map(|line| {
            let (_, measured) = line.split_once("metrc:")?;
            let mut words = measured.split_whitespace().skip(1);
            (words.next()? == stressor).then(|| words.next()?.parse::<u64>().ok())?
        });
        assert!(rounds.is_some_and(|rounds| rounds > 0), "it did nothing: {said}");
    }
}
