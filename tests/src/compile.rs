//! The compile cache: every guest program is compiled once, whoever asks first.
//!
//! ```text
//!   target/guests/hello.static.3f9a0c…      name . link . hash of everything that goes into it
//!   target/guests/hello.static.3f9a0c….lock  held while one process compiles it
//! ```
//!
//! The name carries a hash of the source, the shared header and the command line, so a file that is there is the
//! right one. Tests run in parallel, in several processes: a file lock makes the others wait for the first. Where
//! there is no compiler (the nested lane), `prebuild-guests` has been run beforehand on the outer host.

use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::guests::{self, Guest, Language, Link};
use crate::lane;

/// Where the compiled programs are kept: `SEPTUM_GUESTS`, else `target/guests`.
pub fn folder() -> PathBuf {
    env::var_os("SEPTUM_GUESTS").map_or_else(|| lane::workspace().join("target/guests"), PathBuf::from)
}

/// The compiled program, from the cache if it is there.
///
/// # Panics
///
/// When it does not compile.
pub fn cached(guest: &Guest, link: Link) -> PathBuf {
    let (compiler, arguments) = command_line(guest, link);
    let mut hash = Hash::new();
    hash.add(guest.text.as_bytes());
    hash.add(&fs::read(guests::header()).unwrap_or_default());
    hash.add(compiler.as_bytes());
    arguments.iter().for_each(|argument| hash.add(argument.as_bytes()));
    let path = folder().join(format!("{}.{}.{:016x}", guest.name, link.word(), hash.value));
    if !path.is_file() {
        build(guest, compiler, &arguments, &path);
    }
    path
}

fn build(guest: &Guest, compiler: &str, arguments: &[String], path: &Path) {
    fs::create_dir_all(folder()).unwrap_or_else(|error| panic!("{}: {error}", folder().display()));
    let lock_path = with_suffix(path, "lock");
    let lock = File::create(&lock_path).unwrap_or_else(|error| panic!("{}: {error}", lock_path.display()));
    lock.lock().expect("a file lock");
    if path.is_file() {
        return;
    }
    let unfinished = with_suffix(path, "new");
    let mut command = Command::new(compiler);
    // Libraries come after what needs them.
    let (libraries, options): (Vec<_>, Vec<_>) =
        arguments.iter().partition(|argument| argument.starts_with("-l"));
    command.args(options).arg("-o").arg(&unfinished).arg(&guest.source).args(libraries);
    let output = command.output().unwrap_or_else(|error| {
        panic!(
            "{} is not compiled and {compiler} does not start ({error}): run prebuild-guests first",
            guest.name
        )
    });
    assert!(
        output.status.success(),
        "{} does not compile: {command:?}\n{}",
        guest.name,
        String::from_utf8_lossy(&output.stderr)
    );
    fs::rename(&unfinished, path).expect("the finished program moves into place");
    let _ = fs::remove_file(lock_path);
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = path.as_os_str().to_os_string();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}

fn command_line(guest: &Guest, link: Link) -> (&'static str, Vec<String>) {
    let words: &[&str] = match (guest.language, link) {
        (Language::Rust, Link::Static) => {
            &["-C", "target-feature=+crt-static", "-C", "relocation-model=static"]
        }
        (Language::Rust, Link::StaticPie) => &["-C", "target-feature=+crt-static"],
        (_, Link::Static) => &["-static"],
        (_, Link::StaticPie) => &["-static-pie"],
        (_, Link::DynamicFixed) => &["-no-pie", "-fno-pie"],
        (_, Link::Dynamic | Link::Script) => &[],
    };
    let (compiler, base): (&str, &[&str]) = match guest.language {
        Language::C => ("gcc", &["-O1", "-Wall", "-Wextra", "-std=gnu17"]),
        Language::Cpp => ("g++", &["-O1", "-Wall", "-Wextra", "-std=c++20"]),
        Language::Rust => ("rustc", &["--edition=2024", "-C", "opt-level=1", "-C", "strip=symbols"]),
        Language::Shell => ("sh", &[]),
    };
    let given = guest.flags.iter().map(String::as_str);
    (compiler, base.iter().chain(words).copied().chain(given).map(str::to_owned).collect())
}

/// FNV-1a: a name for content, not a defence against anybody.
struct Hash {
    value: u64,
}

impl Hash {
    fn new() -> Self {
        Self { value: 0xcbf2_9ce4_8422_2325 }
    }

    fn add(&mut self, bytes: &[u8]) {
        // The terminator keeps "ab","c" apart from "a","bc".
        for byte in bytes.iter().chain(&[0xff]) {
            self.value = (self.value ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }
}
