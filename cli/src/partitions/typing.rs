//! Streams of a program in a partition, here: what is typed goes there, what it writes comes from there, until the answer.
//!
//! ```text
//!   what is typed ──► pipe ──► partition
//!   what is seen  ◄── pipes ◄── partition
//!   answer, signals ──► this thread
//! ```

use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::process::exit;
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::process::{Signal, getpid, kill_process};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Request};
use septum_worker::supervisor::Signals;
use septum_worker::terminal::{self, Raw};

use super::await_answer;
use super::keys::Detector;
use crate::message;

const SIGHUP: i32 = 1;
const SIGINT: i32 = 2;
const SIGQUIT: i32 = 3;
const SIGTERM: i32 = 15;
const SIGTSTP: i32 = 20;
const SIGWINCH: i32 = 28;

/// The partition's ends of the streams.
pub struct Theirs(pub [OwnedFd; 3]);

/// This side.
pub struct Streams {
    input: Option<io::PipeWriter>,
    outputs: [io::PipeReader; 2],
    /// The caller's terminal, which is the program's as well.
    raw: Option<(Raw, Signals)>,
}

impl Streams {
    /// Makes the streams. `is_terminal`: the program's are a terminal; the caller's, if there is one, becomes raw.
    pub fn open(is_terminal: bool) -> Result<(Self, Theirs), Failure> {
        let internal = |error: io::Error| {
            Failure::new(Code::Internal, "cannot make the program's streams", error.to_string())
        };
        let (their_input, input) = io::pipe().map_err(internal)?;
        let (output, their_output) = io::pipe().map_err(internal)?;
        let (errors, their_errors) = io::pipe().map_err(internal)?;
        // Before there are threads.
        let raw = if is_terminal { Raw::enter() } else { None };
        let raw = match raw {
            None => None,
            Some(raw) => {
                let caught = Signals::catch(vec![SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGTSTP, SIGWINCH]);
                Some((raw, caught.map_err(|error| internal(error.into()))?))
            }
        };
        let theirs = Theirs([their_input.into(), their_output.into(), their_errors.into()]);
        Ok((Self { input: Some(input), outputs: [output, errors], raw }, theirs))
    }

    /// Moves what there is to move, until the answer. `keys`, if there are any, end this process when they are typed; without `reads`, what is
    /// typed is nobody's.
    pub fn serve(
        self,
        partition: &str,
        socket: &UnixStream,
        keys: &[u8],
        reads: bool,
    ) -> Result<Answer, Failure> {
        let Self { input, outputs: [output, errors], raw } = self;
        let copies = [copy(output, io::stdout()), copy(errors, io::stderr())];
        if reads && let Some(input) = input {
            let keys = keys.to_vec();
            thread::spawn(move || type_into(input, &keys));
        }
        if let Some((raw, signals)) = &raw {
            watch(raw, signals, socket);
        }
        let answer = await_answer(partition, socket);
        // What it said last comes before the word of its end.
        for copy in copies {
            let _ = copy.join();
        }
        answer
    }
}

fn copy(mut from: io::PipeReader, mut to: impl io::Write + Send + 'static) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut buffer = vec![0; 64 << 10];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            if to.write_all(&buffer[..length]).and_then(|()| to.flush()).is_err() {
                return;
            }
        }
    })
}

/// Until there is an answer: signals are what they would be without the raw terminal, and its size is passed on.
fn watch(raw: &Raw, signals: &Signals, socket: &UnixStream) {
    loop {
        let mut fds =
            [PollFd::new(socket, PollFlags::IN), PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)];
        if poll(&mut fds, None).is_err() {
            continue;
        }
        let [has_answer, _] = [0, 1].map(|index| !fds[index].revents().is_empty());
        while let Some(signal) = signals.take() {
            match signal {
                SIGWINCH => {}
                SIGTSTP => {
                    raw.leave();
                    let _ = kill_process(getpid(), Signal::STOP);
                    raw.again();
                }
                signal => {
                    raw.leave();
                    exit(128 + signal);
                }
            }
            let size = terminal::size_or_usual();
            // Whoever is gone has answered, or will be missed.
            let _ = control::send(socket, &Request::Resize { size }, &[]);
        }
        if has_answer {
            return;
        }
    }
}

/// Passes on what is typed; the keys end this process.
fn type_into(mut input: io::PipeWriter, keys: &[u8]) {
    let mut keys = Detector::new(keys);
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = io::stdin().read(&mut buffer) {
        let (typed, is_over) = keys.take(&buffer[..length]);
        if is_over {
            terminal::restore();
            message::tell("septum: detached; the partition goes on");
            exit(0);
        }
        if input.write_all(&typed).is_err() {
            return;
        }
    }
}
