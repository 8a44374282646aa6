//! Fuzz targets: everything that reads what an enemy wrote.
//!
//! ```text
//! guest → host   fuse-requests  socket-packets  disk-requests  registers  service
//! host → guest   fuse-answers   socket-answers
//! files          erofs  archive  elf
//! words          control-frames  options
//! ```
//!
//! A target takes any bytes and must neither panic, nor hang, nor grow without bound. `cargo xtask fuzz` runs them with libFuzzer, guided by
//! coverage; the ordinary tests replay `seeds/` and some thousand mutations of them, so that a target that broke is noticed at once
//! (`tests/replay.rs`).
#![allow(clippy::unwrap_used, clippy::cast_possible_truncation, reason = "a tool for tests")]

use std::io;
use std::path::Path;

mod bytes;
mod mutation;
mod program;
mod targets;

// What the devices' own tests drive them with.
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../devices/tests/guest/driver.rs"]
mod driver;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../devices/tests/guest/machine.rs"]
mod machine;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../devices/tests/guest/virtqueue.rs"]
mod virtqueue;

// What is no other crate's business.
#[allow(dead_code, reason = "the machine uses more of it")]
#[path = "../../vmm/machine/src/guest.rs"]
mod guest;
#[allow(dead_code, reason = "the machine uses more of it")]
#[path = "../../vmm/machine/src/service/mod.rs"]
mod service;

pub use mutation::Mutator;
pub use targets::TARGETS;

/// One thing that is fuzzed.
#[derive(Debug)]
pub struct Target {
    /// What it is called on the command line, and in `seeds/`.
    pub name: &'static str,
    /// What is fuzzed, for people.
    pub what: &'static str,
    /// Takes an input.
    pub run: fn(&[u8]),
    /// Inputs that make sense, besides those in `seeds/`.
    pub seeds: fn() -> Vec<Vec<u8>>,
}

impl Target {
    /// Writes the seeds to files in a folder.
    ///
    /// # Errors
    /// They cannot be written.
    pub fn write_seeds(&self, folder: &Path) -> io::Result<()> {
        for (index, seed) in (self.seeds)().into_iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{index}")), seed)?;
        }
        Ok(())
    }
}

/// Keeps a fuzzing process from filling the disk: files end at 4 MiB.
pub fn confine() {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let most = Rlimit { current: Some(4 << 20), maximum: Some(4 << 20) };
    setrlimit(Resource::Fsize, most).expect("a lower limit is always allowed");
    // Beyond it there is EFBIG instead of a signal.
    // Beyond it there is EFBIG instead of a signal; and EPIPE where nobody reads, as in all of Rust's programs.
    ignore(libc::SIGXFSZ);
    ignore(libc::SIGPIPE);
}

#[allow(unsafe_code, reason = "no wrapper of signal() ignores a signal")]
fn ignore(signal: i32) {
    // SAFETY: 1. The callers' signals exist. 2. SIG_IGN runs no code.
    unsafe { libc::signal(signal, libc::SIG_IGN) };
}
