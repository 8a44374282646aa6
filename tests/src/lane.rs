//! Where the tests run, and what to do when they cannot.
//!
//! There are two lanes: *direct* uses the host's own `/dev/kvm`, *nested* runs inside an emulated host that was
//! started for the purpose. A machine without a usable `/dev/kvm` can still compile the programs and run their
//! native halves; what it could not run says so on a line of its own,
//!
//! ```text
//! SKIPPED conformance::hello_static: /dev/kvm: No such file or directory (os error 2)
//! ```
//!
//! written past the test harness's capture, so that whoever started the tests can count the lines. In the nested
//! lane nothing may be skipped for want of KVM: providing it is that lane's whole purpose.

use std::env;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::Duration;

/// The kind of host that the tests were started on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lane {
    /// This machine's own `/dev/kvm`.
    Direct,
    /// Inside an emulated host, with a KVM of its own: everything is 10–30 times slower.
    Nested,
}

impl Lane {
    /// The lane named by `SEPTUM_LANE`; direct unless told otherwise.
    ///
    /// # Panics
    ///
    /// When the variable names neither lane.
    pub fn current() -> Self {
        match env::var("SEPTUM_LANE").as_deref() {
            Err(_) | Ok("" | "direct") => Self::Direct,
            Ok("nested") => Self::Nested,
            Ok(other) => panic!("SEPTUM_LANE is {other:?}: neither direct nor nested"),
        }
    }

    /// How long one program may take before the harness gives up on it.
    pub fn deadline(self) -> Duration {
        match self {
            Self::Direct => Duration::from_secs(120),
            Self::Nested => Duration::from_secs(100),
        }
    }
}

/// Whether this is the nested lane, and said to be why a test is skipped: `reason`.
#[must_use]
pub fn skips_in_nested(reason: &str) -> bool {
    let is_nested = Lane::current() == Lane::Nested;
    if is_nested {
        skip(reason);
    }
    is_nested
}

/// Why partitions cannot run here, if they cannot.
///
/// # Errors
///
/// A sentence for a person. In the nested lane, where KVM must be there, this panics instead.
pub fn partitions_available() -> Result<(), String> {
    let opened = OpenOptions::new().read(true).write(true).open("/dev/kvm");
    match (opened, Lane::current()) {
        (Ok(_), _) => Ok(()),
        (Err(error), Lane::Direct) => Err(format!("/dev/kvm: {error}")),
        (Err(error), Lane::Nested) => panic!("the nested lane has no usable /dev/kvm: {error}"),
    }
}

/// Counts the running test as skipped.
pub fn skip(reason: &str) {
    let thread = std::thread::current();
    let line = format!("SKIPPED {}: {reason}\n", thread.name().unwrap_or("unnamed test"));
    // `eprintln!` would be captured and thrown away, because the test passes.
    let _ = std::io::stderr().write_all(line.as_bytes());
}

/// Leaves the test, counted as skipped, unless partitions can run on this machine.
#[macro_export]
macro_rules! needs_partitions {
    () => {
        if let Err(reason) = $crate::lane::partitions_available() {
            $crate::lane::skip(&reason);
            return;
        }
    };
}

/// The top of the source tree: `SEPTUM_WORKSPACE`, else where this crate was compiled.
pub fn workspace() -> PathBuf {
    if let Some(path) = env::var_os("SEPTUM_WORKSPACE") {
        return PathBuf::from(path);
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

/// The `septum` binary under test.
pub fn septum_binary() -> PathBuf {
    env::var_os("SEPTUM").map_or_else(|| workspace().join("target/release/septum"), PathBuf::from)
}

/// A file of `tests/data`.
pub fn data(name: &str) -> PathBuf {
    workspace().join("tests/data").join(name)
}

/// A program of the host, found on the usual search path.
pub fn host_tool(name: &str) -> Option<PathBuf> {
    let search = env::var_os("PATH").unwrap_or_else(|| "/usr/bin:/bin:/usr/sbin:/sbin".into());
    env::split_paths(&search).map(|folder| folder.join(name)).find(|path| path.is_file())
}
