//! Running one host process, with a deadline.
//!
//! An [`Invocation`] describes the process; [`Invocation::run`] waits for its end and [`Invocation::spawn`] gives a
//! [`Running`] one, for tests that send signals or kill something on the way. Every process is put in a process
//! group of its own, so that a test that gives up can take the whole group with it. The streams are moved by one
//! thread each, and whoever keeps a stream open after the process has gone (a leaked worker, say) is noticed: the
//! run is then reported as timed out.

use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Write};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal};

use crate::lane::Lane;
use crate::stream::Stream;

/// How long a stream may stay open after its process has ended.
const STREAM_GRACE: Duration = Duration::from_secs(5);

/// What a process finds on its standard input.
#[derive(Clone, Debug)]
pub enum Input {
    /// End of file at once.
    Empty,
    /// These bytes, by a pipe, then end of file.
    Bytes(Vec<u8>),
    /// This file, opened for reading.
    File(PathBuf),
    /// A pipe that the test holds: [`Running::write`] and [`Running::close_stdin`], else silent until the end.
    Held,
    /// No descriptor 0 at all.
    Closed,
}

/// Where a process's standard output or error goes.
#[derive(Clone, Debug)]
pub enum Sink {
    /// Collected into [`Output`].
    Capture,
    /// Collected up to this many bytes, then the reading end is closed.
    CloseAfter(usize),
    /// This file, opened for writing.
    File(PathBuf),
    /// No descriptor at all.
    Closed,
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It exited with this status.
    Exited(i32),
    /// This signal ended it.
    Signalled(i32),
    /// The harness's own deadline passed; the process was killed.
    TimedOut,
}

impl Status {
    /// The status as a shell reports it: 128 + N for signal N; -1 when the deadline passed.
    pub fn code(self) -> i32 {
        match self {
            Self::Exited(code) => code,
            Self::Signalled(signal) => 128 + signal,
            Self::TimedOut => -1,
        }
    }
}

/// What was observed of a process that ended.
#[derive(Clone, Debug)]
pub struct Output {
    /// How it ended.
    pub status: Status,
    /// What it wrote on descriptor 1.
    pub stdout: Vec<u8>,
    /// What it wrote on descriptor 2.
    pub stderr: Vec<u8>,
    /// From the start of the process to its end.
    pub duration: Duration,
}

impl Output {
    /// The exit status as a shell reports it.
    pub fn code(&self) -> i32 {
        self.status.code()
    }

    /// Standard output as text, with anything that is not UTF-8 replaced.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text, with anything that is not UTF-8 replaced.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }

    /// Asserts the exit status; shows both streams when it is another.
    #[track_caller]
    pub fn expect_code(&self, code: i32) -> &Self {
        assert!(
            self.status == Status::Exited(code),
            "expected exit status {code}, got {:?} after {:?}\n--- stdout\n{}\n--- stderr\n{}",
            self.status,
            self.duration,
            clip(&self.stdout_text()),
            clip(&self.stderr_text()),
        );
        self
    }

    /// Asserts that standard error contains `text`, whatever its case.
    #[track_caller]
    pub fn expect_stderr(&self, text: &str) -> &Self {
        let stderr = self.stderr_text();
        assert!(
            stderr.to_lowercase().contains(&text.to_lowercase()),
            "expected {text:?} on stderr (status {:?}), got:\n{}",
            self.status,
            clip(&stderr)
        );
        self
    }

    /// Asserts that standard output is exactly `text`.
    #[track_caller]
    pub fn expect_stdout(&self, text: &str) -> &Self {
        let stdout = self.stdout_text();
        assert!(
            stdout == text,
            "expected stdout {:?} (status {:?}), got:\n{}\n--- stderr\n{}",
            clip(text),
            self.status,
            clip(&stdout),
            clip(&self.stderr_text())
        );
        self
    }
}

fn clip(text: &str) -> String {
    const MOST: usize = 4000;
    if text.chars().count() <= MOST {
        return text.to_owned();
    }
    let shown: String = text.chars().take(MOST).collect();
    format!("{shown}… ({} bytes in all)", text.len())
}

/// A process to be run.
#[derive(Clone, Debug)]
pub struct Invocation {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
    directory: Option<PathBuf>,
    stdin: Input,
    stdout: Sink,
    stderr: Sink,
    deadline: Duration,
}

impl Invocation {
    /// A process with no arguments, an environment of only `PATH`, no input and captured output.
    pub fn new(program: impl AsRef<Path>) -> Self {
        Self {
            program: program.as_ref().to_path_buf(),
            arguments: Vec::new(),
            environment: vec![("PATH".into(), "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin".into())],
            directory: None,
            stdin: Input::Empty,
            stdout: Sink::Capture,
            stderr: Sink::Capture,
            deadline: Lane::current().deadline(),
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

    /// Sets an environment variable.
    pub fn environment(mut self, key: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.retain(|(known, _)| known != key.as_ref());
        self.environment.push((key.as_ref().to_os_string(), value.as_ref().to_os_string()));
        self
    }

    /// Sets the current directory.
    pub fn directory(mut self, directory: impl AsRef<Path>) -> Self {
        self.directory = Some(directory.as_ref().to_path_buf());
        self
    }

    /// Sets what standard input is.
    pub fn stdin(mut self, stdin: Input) -> Self {
        self.stdin = stdin;
        self
    }

    /// Sets where standard output goes.
    pub fn stdout(mut self, stdout: Sink) -> Self {
        self.stdout = stdout;
        self
    }

    /// Sets where standard error goes.
    pub fn stderr(mut self, stderr: Sink) -> Self {
        self.stderr = stderr;
        self
    }

    /// Sets how long the harness waits.
    pub fn deadline(mut self, deadline: Duration) -> Self {
        self.deadline = deadline;
        self
    }

    /// Runs the process to its end, or to the deadline.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn run(&self) -> Output {
        self.spawn().wait()
    }

    /// Starts the process.
    ///
    /// # Panics
    ///
    /// When it cannot be started.
    #[track_caller]
    pub fn spawn(&self) -> Running {
        let mut command = self.command();
        command.args(&self.arguments).env_clear().process_group(0);
        command.envs(self.environment.iter().map(|(key, value)| (key, value)));
        if let Some(directory) = &self.directory {
            command.current_dir(directory);
        }
        command.stdin(match &self.stdin {
            Input::Empty | Input::Closed => Stdio::null(),
            Input::Bytes(_) | Input::Held => Stdio::piped(),
            Input::File(path) => Stdio::from(open(path, false)),
        });
        command.stdout(stdio(&self.stdout)).stderr(stdio(&self.stderr));
        let started = Instant::now();
        let mut child = start(&mut command)
            .unwrap_or_else(|error| panic!("cannot start {}: {error}", self.program.display()));
        // The writer ends with the pipe: the process reads everything, or closes its end, or dies.
        let held = child.stdin.take().and_then(|mut pipe| match &self.stdin {
            Input::Bytes(bytes) => {
                let bytes = bytes.clone();
                thread::spawn(move || pipe.write_all(&bytes));
                None
            }
            _ => Some(pipe),
        });
        let stdout = child.stdout.take().map(|pipe| Stream::collect(pipe, most(&self.stdout)));
        let stderr = child.stderr.take().map(|pipe| Stream::collect(pipe, most(&self.stderr)));
        Running {
            child,
            stdin: held,
            stdout,
            stderr,
            started,
            deadline: started + self.deadline,
            is_over: false,
        }
    }

    /// A shell closes the descriptors that must not be there: doing it in this process would need unsafe code.
    fn command(&self) -> Command {
        let mut redirections = String::new();
        if matches!(self.stdin, Input::Closed) {
            redirections.push_str(" <&-");
        }
        if matches!(self.stdout, Sink::Closed) {
            redirections.push_str(" >&-");
        }
        if matches!(self.stderr, Sink::Closed) {
            redirections.push_str(" 2>&-");
        }
        if redirections.is_empty() {
            return Command::new(&self.program);
        }
        let mut command = Command::new("/bin/sh");
        command.arg("-c").arg(format!("exec \"$@\"{redirections}")).arg("sh").arg(&self.program);
        command
    }
}

/// A program that was just written may be busy: another thread's fork holds its descriptor until it execs.
fn start(command: &mut Command) -> std::io::Result<Child> {
    for _ in 0..1000 {
        match command.spawn() {
            Err(error) if error.kind() == ErrorKind::ExecutableFileBusy => {
                thread::sleep(Duration::from_millis(2))
            }
            result => return result,
        }
    }
    command.spawn()
}

fn open(path: &Path, is_output: bool) -> File {
    let opened =
        OpenOptions::new().read(!is_output).write(is_output).create(is_output).truncate(false).open(path);
    opened.unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn most(sink: &Sink) -> usize {
    if let Sink::CloseAfter(most) = sink { *most } else { usize::MAX }
}

fn stdio(sink: &Sink) -> Stdio {
    match sink {
        Sink::Capture | Sink::CloseAfter(_) => Stdio::piped(),
        Sink::File(path) => Stdio::from(open(path, true)),
        Sink::Closed => Stdio::null(),
    }
}

/// A started process. Dropped before its end, it is killed together with its process group.
#[derive(Debug)]
pub struct Running {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: Option<Stream>,
    stderr: Option<Stream>,
    started: Instant,
    deadline: Instant,
    is_over: bool,
}

impl Running {
    /// Its process identifier.
    ///
    /// # Panics
    ///
    /// Never: a started process has one.
    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    /// Sends a signal to the process alone.
    ///
    /// # Panics
    ///
    /// When the process has gone.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the process has gone");
    }

    /// Whether it has ended.
    pub fn has_ended(&mut self) -> bool {
        matches!(self.child.try_wait(), Ok(Some(_)))
    }

    /// Gives the process more input; only with [`Input::Held`]. A process that reads no more is no error.
    ///
    /// # Panics
    ///
    /// When standard input is not held.
    pub fn write(&mut self, bytes: &[u8]) {
        let pipe = self.stdin.as_mut().expect("standard input is held");
        let _ = pipe.write_all(bytes);
    }

    /// Ends the input.
    pub fn close_stdin(&mut self) {
        self.stdin = None;
    }

    /// Waits until standard output contains `text`.
    ///
    /// # Panics
    ///
    /// When it ends without, or the deadline passes.
    #[track_caller]
    pub fn wait_for_stdout(&self, text: &str) {
        let stream = self.stdout.as_ref().expect("standard output is captured");
        if !stream.wait_for(text.as_bytes(), self.deadline) {
            let got = String::from_utf8_lossy(&stream.bytes()).into_owned();
            let errors = self.stderr.as_ref().map(Stream::bytes).unwrap_or_default();
            panic!("waited for {text:?}, got {got:?}; stderr: {}", String::from_utf8_lossy(&errors));
        }
    }

    /// What standard output holds so far.
    ///
    /// # Panics
    ///
    /// When it is not captured.
    pub fn stdout_so_far(&self) -> String {
        let stream = self.stdout.as_ref().expect("standard output is captured");
        String::from_utf8_lossy(&stream.bytes()).into_owned()
    }

    /// Waits until the process has written `text` to its standard error.
    ///
    /// # Panics
    ///
    /// When it does not before the deadline.
    pub fn wait_for_stderr(&self, text: &str) {
        let stream = self.stderr.as_ref().expect("standard error is captured");
        if !stream.wait_for(text.as_bytes(), self.deadline) {
            panic!("waited for {text:?}, got {:?}", String::from_utf8_lossy(&stream.bytes()));
        }
    }

    /// Waits for the end of the process and of its streams, or for the deadline.
    ///
    /// # Panics
    ///
    /// When the process cannot be waited for.
    pub fn wait(mut self) -> Output {
        let mut pause = Duration::from_micros(200);
        let mut status = loop {
            match self.child.try_wait().expect("a child can be waited for") {
                Some(status) => match (status.code(), status.signal()) {
                    (Some(code), _) => break Status::Exited(code),
                    (None, Some(signal)) => break Status::Signalled(signal),
                    (None, None) => unreachable!("a process ends by exit or by signal"),
                },
                None if Instant::now() >= self.deadline => break Status::TimedOut,
                None => thread::sleep(pause),
            }
            pause = (pause * 2).min(Duration::from_millis(5));
        };
        let duration = self.started.elapsed();
        if status == Status::TimedOut {
            self.kill();
        }
        // A stream outlives the process only if another process holds it.
        drop(self.stdin.take());
        let last = Instant::now() + STREAM_GRACE;
        let mut take = |stream: Option<Stream>| -> Vec<u8> {
            let Some(stream) = stream else { return Vec::new() };
            if !stream.wait_for_end(last) {
                status = Status::TimedOut;
            }
            stream.bytes()
        };
        let stdout = take(self.stdout.take());
        let stderr = take(self.stderr.take());
        self.is_over = true;
        Output { status, stdout, stderr, duration }
    }

    fn kill(&mut self) {
        let _ = rustix::process::kill_process_group(self.pid(), Signal::KILL);
        let _ = self.child.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if !self.is_over {
            self.kill();
        }
    }
}
