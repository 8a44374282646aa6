//! What is run, and in which ways.
//!
//! Every case runs natively and in a partition. Where the host lets the guest kernel run in ring 3
//! (`--privilege single`), that is the partition's mode, and ring 0, which such a host emulates instruction by
//! instruction, is measured by a few cheap cases only.

use std::path::Path;

use crate::test::Lane;

/// Debian's Python and its NumPy.
const PYTHON: &str = "/usr/bin/python3";
const NUMPY: &str = "/usr/lib/python3/dist-packages/numpy";

/// An image of a Debian with Python, in the folder of programs, and what names it there.
pub const PYTHON_IMAGE: &str = "python.erofs";
const PYTHON_IMAGE_OPTION: &str = "./python.erofs";
/// A program that waits as `idle` does, with some of Python's library.
const WAITING: &str = "import sys, json, re\nprint('ready')\nfor _ in sys.stdin: print('alive')";

/// Where a program runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// A process of the host.
    Native,
    /// In a partition, kernel and program both in ring 3.
    Single,
    /// In a partition, the kernel in ring 0.
    Ring0,
}

impl Mode {
    pub const ALL: [Self; 3] = [Self::Native, Self::Single, Self::Ring0];

    /// The mode's name in results; for partitions, what `--privilege` takes.
    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::Single => "single",
            Self::Ring0 => "ring0",
        }
    }
}

/// What a program says.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Output {
    /// Exactly this; its wall time is what counts.
    Text(&'static str),
    /// Anything; its wall time is what counts.
    Anything,
    /// Lines of results (`benches/programs/measure.h`).
    Results,
}

/// What happens in a case.
#[derive(Clone, PartialEq, Eq)]
pub enum Kind {
    /// A program runs to its end.
    Program { words: Vec<String>, output: Output },
    /// This many programs that wait for their input do so at the same time, and their memory is counted.
    Idle { count: u32, words: Vec<String> },
}

/// Where a case is worth its time.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Natively, and in partitions of each kind: it is cheap.
    EveryMode,
    /// Natively, and in the kind of partition that is quicker here.
    QuickMode,
    /// Natively only.
    NativeOnly,
}

/// One thing to measure.
pub struct Case {
    pub name: &'static str,
    pub kind: Kind,
    /// Options of `septum run`.
    pub options: &'static [&'static str],
    pub extent: Extent,
    /// Whether it is measured once after the rounds, instead of in each.
    pub is_once: bool,
    /// What is run natively right before, in each mode, and not measured.
    pub before: Option<Vec<String>>,
    /// What runs natively meanwhile: it says that it is ready, and ends when its input does.
    pub beside: Option<Vec<String>>,
}

/// Everything that is measured on a lane, in this order. `folder` holds the programs and the files.
pub fn all(lane: Lane, folder: &Path) -> Vec<Case> {
    let is_slow = lane == Lane::Nested;
    let program = |words: &[&str]| {
        let mut words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
        // A partition sees the folder that it is started in.
        if let Some(first) = words.first_mut() {
            *first = folder.join(&*first).to_string_lossy().into_owned();
        }
        words
    };
    let results = |name, words: &[&str], options| {
        let kind = Kind::Program { words: program(words), output: Output::Results };
        Case { name, kind, options, extent: Extent::QuickMode, is_once: false, before: None, beside: None }
    };
    let cheap = |name, words: &[&str]| Case { extent: Extent::EveryMode, ..results(name, words, &[]) };
    let wall = |name, words, output, extent| {
        let kind = Kind::Program { words, output };
        Case { name, kind, options: &[], extent, is_once: false, before: None, beside: None }
    };
    let idle = |name, count, is_once| Case {
        name,
        kind: Kind::Idle { count, words: program(&["idle"]) },
        options: &[],
        extent: Extent::QuickMode,
        is_once,
        before: None,
        beside: None,
    };
    // A host that is a virtual machine itself may have given its free memory back, and gets it again page by page, which takes
    // twenty times as long as all that is measured here. What was used a moment ago is still there.
    let on_warm_memory =
        |case: Case| Case { before: Some(program(&["kernel", "touch-huge", "384"])), ..case };
    let python = |words: &[&str]| {
        [&[PYTHON], words].concat().iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()
    };
    let compiling = ["gcc", "hello.c", "-o", "/tmp/septum-bench-hello"].map(str::to_owned).to_vec();
    let digest = vec!["sha256sum".to_owned(), "input".to_owned()];
    let tick_us = if is_slow { "4000" } else { "500" };
    let matrix_size = if is_slow { "256" } else { "1024" };
    let roomy: &[&str] = &["--memory", "1G"];
    let two: &[&str] = &["--cpus", "2"];
    // The port is that of `network.c`.
    let outside: &[&str] = &["--cpus", "2", "--allow-net", "host.septum.internal:47653"];
    let network = |name, what| Case {
        beside: Some(program(&["network", "serve"])),
        ..results(name, &["network", what], outside)
    };

    let mut cases = vec![
        wall("hello", program(&["hello"]), Output::Text("hello\n"), Extent::EveryMode),
        wall("empty_vm", program(&["empty_vm"]), Output::Anything, Extent::NativeOnly),
        cheap("getpid", &["kernel", "getpid"]),
        cheap("fault", &["kernel", "fault"]),
        on_warm_memory(results("touch", &["kernel", "touch", "256"], roomy)),
        on_warm_memory(results("touch-huge", &["kernel", "touch-huge", "256"], roomy)),
        results("map", &["kernel", "map"], &[]),
        results("signal", &["kernel", "signal"], &[]),
        results("timer", &["kernel", "timer"], &[]),
        results("ticks", &["kernel", "ticks", tick_us], &[]),
        results("pipe", &["kernel", "pipe"], &[]),
        results("names", &["kernel", "names", "input"], &[]),
        results("small-reads", &["files", "small", "medium"], &[]),
        results("read-medium", &["files", "read", "medium"], &[]),
        results("map-medium", &["files", "map", "medium"], &[]),
    ];
    if !is_slow && folder.join("large").exists() {
        cases.push(results("read-large", &["files", "read", "large"], &[]));
        cases.push(results("map-large", &["files", "map", "large"], &[]));
        let disk = &["--cpus", "2", "--block", "large:ro", "--env", "SEPTUM_DISK=/dev/vda"];
        cases.push(results("disk-read-large", &["disks", "read", "large"], disk));
        cases.push(results("disk-random-1-large", &["disks", "random", "large", "1"], disk));
        cases.push(results("disk-random-32-large", &["disks", "random", "large", "32"], disk));
    }
    cases.extend([
        results("create", &["threads", "create"], two),
        results("ping-pong-parked", &["threads", "parked"], two),
        results("ping-pong", &["threads", "quick"], two),
        results("ping-pong-spinning", &["threads", "spinning"], two),
        results("pipe-stream-1", &["threads", "pipe"], &[]),
        results("pipe-stream-2", &["threads", "pipe"], two),
        network("network-stream", "stream"),
        network("network-request", "request"),
        network("network-connect", "connect"),
        results("matrix-1", &["matrix", "1", matrix_size], &[]),
        results("matrix-2", &["matrix", "2", matrix_size], two),
        results("processes", &["processes"], &[]),
        wall("python", python(&["-c", "pass"]), Output::Text(""), Extent::QuickMode),
        wall("gcc", compiling, Output::Text(""), Extent::QuickMode),
        wall("sha256sum", digest, Output::Anything, Extent::QuickMode),
        idle("idle", 1, false),
        idle("idle-100", 100, true),
    ]);
    // The same Python, natively the host's.
    if !is_slow && folder.join(PYTHON_IMAGE).is_file() {
        let options = &["--image", PYTHON_IMAGE_OPTION];
        let waiting = Kind::Idle { count: 50, words: python(&["-u", "-c", WAITING]) };
        let image = wall("image-python", python(&["-c", "pass"]), Output::Text(""), Extent::QuickMode);
        cases.push(Case { options, ..image });
        cases.push(Case { kind: waiting, options, ..idle("image-idle-50", 50, true) });
    }
    if Path::new(NUMPY).is_dir() {
        cases.push(wall("numpy", python(&["-c", "import numpy"]), Output::Text(""), Extent::QuickMode));
        // Emulated, it takes longer than a run may.
        if !is_slow {
            let epoch = Kind::Program { words: python(&["epoch.py"]), output: Output::Results };
            cases.push(Case { kind: epoch, ..results("epoch", &["-"], &[]) });
        }
    }
    cases
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_case_has_a_name_of_its_own() {
        for lane in [Lane::Direct, Lane::Nested] {
            let cases = all(lane, Path::new("/"));
            let names: BTreeSet<&str> = cases.iter().map(|case| case.name).collect();
            assert_eq!(names.len(), cases.len());
        }
    }
}
