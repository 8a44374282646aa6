//! A host of a test's own: its partitions and images are found in folders that nobody else looks into, and end with the test.

use std::fs;
use std::thread::sleep;
use std::time::{Duration, Instant};

use crate::{Invocation, Link, Place, Septum, lane};

/// How long something that a partition does may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// A folder with the state that `septum` keeps.
pub struct Host {
    /// Where `septum` is called.
    pub place: Place,
}

impl Host {
    /// A host without partitions and images.
    #[expect(clippy::new_without_default, reason = "it makes folders")]
    pub fn new() -> Self {
        let place = Place::new();
        place.directory("run");
        place.directory("data");
        Self { place }
    }

    /// `septum` with these arguments.
    pub fn septum(&self, arguments: &[&str]) -> Invocation {
        self.with_state(Septum::raw(arguments))
    }

    /// The same, started by a program of the tests' own that prepares what it finds.
    pub fn septum_by(&self, guest: &str, arguments: &[&str]) -> Invocation {
        let program = self.place.guest(guest, Link::Static);
        self.with_state(Invocation::new(program).argument(lane::septum_binary()).arguments(arguments))
    }

    /// A script of this shell that may call `septum` itself.
    pub fn in_shell(&self, shell: &str, script: &str) -> Invocation {
        self.with_state(Invocation::new(shell).arguments(["-c", script]))
    }

    fn with_state(&self, invocation: Invocation) -> Invocation {
        invocation
            .directory(self.place.path())
            .environment("SEPTUM_RUNTIME_DIR", self.place.join("run"))
            .environment("SEPTUM_DATA_DIR", self.place.join("data"))
    }

    /// What `septum`, which must succeed, prints, without the line's end.
    #[track_caller]
    pub fn ask(&self, arguments: &[&str]) -> String {
        let output = self.septum(arguments).run();
        output.expect_code(0);
        output.stdout_text().trim_end().to_owned()
    }

    /// Starts a small partition in the background; returns its identifier.
    #[track_caller]
    pub fn start(&self, options: &[&str], program: &[&str]) -> String {
        self.ask(&[&["run", "-d", "--memory", "64M"], options, &["--"], program].concat())
    }

    /// Waits until the log of a partition has a text.
    ///
    /// # Panics
    /// It never comes.
    #[track_caller]
    pub fn wait_for_log(&self, partition: &str, text: &str) {
        let end = Instant::now() + PATIENCE;
        while !self.ask(&["logs", partition]).contains(text) {
            assert!(Instant::now() < end, "'{text}' never came: {}", self.ask(&["logs", partition]));
            sleep(Duration::from_millis(20));
        }
    }

    /// Whether nothing of any partition is left.
    pub fn is_empty(&self) -> bool {
        fs::read_dir(self.place.join("run/partitions")).is_ok_and(|mut entries| entries.next().is_none())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        let Ok(entries) = fs::read_dir(self.place.join("run/partitions")) else { return };
        for entry in entries.flatten() {
            // It may be gone, or be no partition's: that is another test's matter.
            let _ = self.septum(&["rm", "-f", &entry.file_name().to_string_lossy()]).run();
        }
    }
}
