//! CPython's own test suite (Debian's `libpython3.11-testsuite`).

use std::path::PathBuf;

use anyhow::Result;

use super::place::MEMORY;
use super::python::{self, Script};
use super::{Context, Suite};
use crate::setup;

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

/// Runs the modules that were asked for and says what differs without an explanation.
pub fn run(context: &Context) -> Result<Vec<String>> {
    setup::cpython_suite()?;
    let script = Script {
        suite: Suite::Cpython,
        python: PathBuf::from(python::DEBIAN),
        share: None,
        file: "cpython.py",
        arguments: resources,
        memory: MEMORY,
    };
    python::run(context, &script, MODULES)
}

/// What the suite's own runner is told that it may use.
pub fn resources(module: &str) -> Vec<&'static str> {
    let more = MORE_RESOURCES.iter().filter(|(needy, _)| *needy == module).map(|(_, resource)| *resource);
    RESOURCES.iter().copied().chain(more).collect()
}
