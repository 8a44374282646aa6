//! One program, run by the host's Linux and in a partition, and everything observable compared.
//!
//! ```text
//!   fresh directory ─► native run ─► snapshot ─┐
//!   same directory, fresh again ─► partition ─►┴► equal?
//! ```
//!
//! Both runs happen in the same directory under the same path, one after the other, so that a program that prints
//! its directory prints the same. The directory holds the program and the case's input files. Depending on
//! [`Files`], the partition sees it read-only (the default for a current directory), as a writable volume, or the
//! program is told to work in a directory of the partition's own RAM file system.
//!
//! A program that finds something wrong prints a line that starts with `FAIL`: on either side the case fails. So
//! programs check what differs between two machines themselves, and print only what must be the same.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use crate::guests::{Guest, Link};
use crate::lane;
use crate::process::{Input, Invocation, Output, Sink, Status};
use crate::septum::Septum;
use crate::{diff, tree};

/// Where a program's files are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Files {
    /// It writes none: the current directory is read-only in the partition.
    None,
    /// In the current directory, which is a writable volume. Afterwards the directories are compared.
    Volume,
    /// In a directory below `/tmp`, which the partition holds in RAM. The program makes it: `STORY_DIRECTORY`.
    Ram,
}

/// The environment variable that tells a program to make this directory and to work in it.
pub const STORY_DIRECTORY: &str = "STORY_DIRECTORY";

/// What both sides run.
#[derive(Clone, Debug)]
pub struct Case {
    program: Program,
    arguments: Vec<OsString>,
    environment: Vec<(String, String)>,
    inputs: Vec<(String, Vec<u8>)>,
    stdin: Input,
    stdout: Sink,
    files: Files,
    code: i32,
    options: Vec<String>,
    leaves: Vec<PathBuf>,
    needs_extended_attributes: bool,
    deadline: Duration,
}

#[derive(Clone, Debug)]
enum Program {
    Guest { name: String, link: Link },
    File(PathBuf),
    Tool(String),
}

impl Case {
    /// A guest program of `tests/guests`.
    pub fn guest(name: &str, link: Link) -> Self {
        Self::new(Program::Guest { name: name.to_owned(), link })
    }

    /// A program that was built elsewhere.
    pub fn file(path: impl AsRef<Path>) -> Self {
        Self::new(Program::File(path.as_ref().to_path_buf()))
    }

    /// A program that the host has installed.
    pub fn tool(name: &str) -> Self {
        Self::new(Program::Tool(name.to_owned()))
    }

    fn new(program: Program) -> Self {
        Self {
            program,
            arguments: Vec::new(),
            environment: vec![("LC_ALL".to_owned(), "C".to_owned())],
            inputs: Vec::new(),
            stdin: Input::Empty,
            stdout: Sink::Capture,
            files: Files::None,
            code: 0,
            options: Vec::new(),
            leaves: Vec::new(),
            needs_extended_attributes: false,
            deadline: lane::Lane::current().deadline(),
        }
    }

    /// Adds one argument.
    pub fn argument(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_os_string());
        self
    }

    /// Adds arguments.
    pub fn arguments<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.arguments.extend(arguments.into_iter().map(|argument| argument.as_ref().to_os_string()));
        self
    }

    /// Sets a variable of the program's environment.
    pub fn environment(mut self, key: &str, value: &str) -> Self {
        self.environment.retain(|(known, _)| known != key);
        self.environment.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Puts a file into the current directory before each run.
    pub fn input(mut self, name: &str, content: impl Into<Vec<u8>>) -> Self {
        self.inputs.push((name.to_owned(), content.into()));
        self
    }

    /// Puts a compiled guest program, or library, into the current directory before each run.
    pub fn library(self, name: &str) -> Self {
        let path = Guest::named(name).executable(Link::Dynamic);
        self.input(name, fs::read(path).expect("a compiled library can be read"))
    }

    /// Sets what standard input is.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.stdin = stdin;
        self
    }

    /// Gives these bytes on standard input.
    pub fn stdin_bytes(self, bytes: impl Into<Vec<u8>>) -> Self {
        self.stdin(Input::Bytes(bytes.into()))
    }

    /// Sets where standard output goes.
    pub fn stdout(mut self, stdout: Sink) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets where the program's files are.
    pub fn files(mut self, files: Files) -> Self {
        self.files = files;
        self
    }

    /// Sets the exit status that the program is known to have; 0 unless told.
    pub fn code(mut self, code: i32) -> Self {
        self.code = code;
        self
    }

    /// Adds an option of `septum run`, for the partition only.
    pub fn option(mut self, name: &str, value: &str) -> Self {
        self.options.extend([name.to_owned(), value.to_owned()]);
        self
    }

    /// Names a file that the program makes outside its directory: natively it must be there afterwards and is
    /// removed, and the partition must not leave one on the host.
    pub fn leaves(mut self, path: impl AsRef<Path>) -> Self {
        self.leaves.push(path.as_ref().to_path_buf());
        self
    }

    /// Skips the case where the host's own temporary directory has no extended attributes.
    pub fn needs_extended_attributes(mut self) -> Self {
        self.needs_extended_attributes = true;
        self
    }

    /// Sets how long the harness waits for each side.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs both sides and compares. Counted as skipped when the program or KVM is not on this machine.
    ///
    /// # Panics
    ///
    /// When the two sides differ, or the program is not itself natively.
    #[track_caller]
    pub fn conform(&self) {
        let Some(source) = self.source() else {
            return lane::skip(&format!("the host has no {}", self.command_name().display()));
        };
        let place = tempfile::Builder::new().prefix("story").tempdir().expect("a temporary directory");
        let directory = place.path().canonicalize().expect("a directory has a path");
        let ram = ram_directory();
        if self.needs_extended_attributes && !has_extended_attributes(&directory) {
            return lane::skip(&format!("{} has no extended attributes", directory.display()));
        }

        self.prepare(&directory, &source);
        let native = self.native(&directory, &ram);
        let native_tree = tree::read(&directory);
        let _ = fs::remove_dir_all(&ram);
        self.check_native(&native);
        for path in &self.leaves {
            fs::remove_file(path).unwrap_or_else(|error| panic!("natively, {}: {error}", path.display()));
        }

        if let Err(reason) = lane::partitions_available() {
            return lane::skip(&reason);
        }
        self.prepare(&directory, &source);
        let partition = self.partition(&directory, &ram);
        let partition_tree = tree::read(&directory);
        for path in self.leaves.iter().chain([&ram]) {
            assert!(!path.exists(), "the partition wrote {} on the host", path.display());
        }

        let mut found = self.streams(&native, &partition);
        found.extend(tree::differences(&native_tree, &partition_tree));
        assert!(
            found.is_empty(),
            "{:?} is not the same in a partition\n{}\n--- the partition's stderr\n{}",
            self.program,
            found.join("\n"),
            partition.stderr_text()
        );
    }

    /// Where the program's file is, before it is copied anywhere. A tool that is not installed has none.
    fn source(&self) -> Option<PathBuf> {
        match &self.program {
            Program::Guest { name, link } => Some(Guest::named(name).executable(*link)),
            Program::File(path) => Some(path.clone()),
            Program::Tool(name) => lane::host_tool(name),
        }
    }

    /// What is written on the command line: tools are found by the search path, programs lie in the directory.
    fn command_name(&self) -> PathBuf {
        match &self.program {
            Program::Guest { name, .. } => Path::new("./").join(name),
            Program::File(path) => Path::new("./").join(path.file_name().unwrap_or_default()),
            Program::Tool(name) => PathBuf::from(name),
        }
    }

    fn prepare(&self, directory: &Path, source: &Path) {
        for item in fs::read_dir(directory).expect("the directory can be read") {
            let path = item.expect("a directory entry").path();
            let removed = if path.is_dir() && !path.is_symlink() {
                fs::remove_dir_all(&path)
            } else {
                fs::remove_file(&path)
            };
            removed.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        }
        if !matches!(self.program, Program::Tool(_)) {
            fs::copy(source, directory.join(self.command_name())).expect("the program can be copied");
        }
        for (name, content) in &self.inputs {
            fs::write(directory.join(name), content).expect("an input file can be written");
        }
    }

    fn native(&self, directory: &Path, ram: &Path) -> Output {
        let mut run = Invocation::new(self.command_name())
            .arguments(&self.arguments)
            .directory(directory)
            .stdin(self.stdin.clone())
            .stdout(self.stdout.clone())
            .deadline(self.deadline);
        for (key, value) in &self.environment {
            run = run.environment(key, value);
        }
        if self.files == Files::Ram {
            run = run.environment(STORY_DIRECTORY, ram);
        }
        run.run()
    }

    fn partition(&self, directory: &Path, ram: &Path) -> Output {
        let mut run = Septum::run(self.command_name())
            .arguments(&self.arguments)
            .directory(directory)
            .stdin(self.stdin.clone())
            .stdout(self.stdout.clone())
            .deadline(self.deadline);
        for pair in self.options.chunks(2) {
            run = run.option(&pair[0], &pair[1]);
        }
        for (key, value) in &self.environment {
            run = run.env(key, value);
        }
        match self.files {
            Files::None => {}
            Files::Volume => run = run.volume(directory, directory),
            Files::Ram => run = run.env(STORY_DIRECTORY, &ram.display().to_string()),
        }
        run.output()
    }

    #[track_caller]
    fn check_native(&self, native: &Output) {
        let is_well = native.code() == self.code && failures(native).is_empty();
        assert!(
            is_well,
            "{:?} natively: status {:?}, expected {}\n--- stdout\n{}\n--- stderr\n{}",
            self.program,
            native.status,
            self.code,
            native.stdout_text().chars().take(4000).collect::<String>(),
            native.stderr_text()
        );
    }

    fn streams(&self, native: &Output, partition: &Output) -> Vec<String> {
        let mut found = failures(partition);
        if partition.status == Status::TimedOut {
            found.push(format!("the partition did not end within {:?}", self.deadline));
        } else if native.code() != partition.code() {
            found.push(format!(
                "exit status {} natively, {} in the partition ({:?})",
                native.code(),
                partition.code(),
                partition.status
            ));
        }
        found.extend(diff::difference("stdout", &native.stdout, &partition.stdout));
        found.extend(diff::difference("stderr", &native.stderr, &partition.stderr));
        found
    }
}

/// The lines in which a program says that something is wrong.
fn failures(output: &Output) -> Vec<String> {
    let text = output.stdout_text();
    text.lines().filter(|line| line.starts_with("FAIL")).map(str::to_owned).collect()
}

/// Whether files in a directory of the host can have extended attributes.
fn has_extended_attributes(directory: &Path) -> bool {
    let flags = rustix::fs::XattrFlags::empty();
    let has = rustix::fs::setxattr(directory, "user.probe", b"x", flags).is_ok();
    let _ = rustix::fs::removexattr(directory, "user.probe");
    has
}

/// A path below `/tmp` that nothing uses.
fn ram_directory() -> PathBuf {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    let number = COUNT.fetch_add(1, Ordering::Relaxed);
    PathBuf::from(format!("/tmp/story-{}-{number}", std::process::id()))
}
