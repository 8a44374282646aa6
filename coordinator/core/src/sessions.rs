//! Programs whose streams are a client's: further ones in a partition, and the first one, attached to.
//!
//! The streams are pipes between this process and the partition's worker, which waits for nobody: whoever does not read here makes
//! the program wait, and nothing is kept in memory. Letting go of a [`Session`] hangs up.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use septum_api_types::bytes::ByteString;
use septum_api_types::signal::Signal;
use septum_api_types::v1::{ExecRequest, Problem, ProblemCode, TerminalSize};
use septum_registry::Found;
use septum_registry::control::{self, Answer, ControlError, Exec, Reader, Request, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;
use tokio::net::unix::pipe;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};

use crate::coordinator::Coordinator;
use crate::machine::Refusal;
use crate::problems;

/// A partition that lives, for a session.
#[derive(Debug)]
pub struct Live {
    wanted: String,
    found: Found,
}

/// This side of a program.
#[derive(Debug)]
pub struct Session {
    /// What it reads.
    pub input: pipe::Sender,
    /// What it writes to standard output and standard error.
    pub outputs: [pipe::Receiver; 2],
    /// What its supervisor says about it.
    pub end: End,
    /// What is said to its supervisor.
    pub control: Control,
}

/// See [`Session::end`].
#[derive(Debug)]
pub struct End(OwnedReadHalf);

/// See [`Session::control`].
#[derive(Debug)]
pub struct Control(OwnedWriteHalf);

impl Coordinator {
    /// The partition that a client means, which must live.
    ///
    /// # Errors
    /// There is none, or it does not.
    pub fn live(&self, wanted: &str, what: &str) -> Result<Live, Problem> {
        let id = self.meant(wanted)?;
        match self.look(&id).filter(|found| found.record.state.is_live()) {
            Some(found) => Ok(Live { wanted: wanted.to_owned(), found }),
            None => {
                let state = self.get(&id)?.state;
                let refusal = Refusal::NotLive(if state.is_live() { "not there yet" } else { state.name() });
                Err(problems::refused(what, wanted, &refusal))
            }
        }
    }
}

/// What a supervisor is asked to start.
fn order(request: &ExecRequest, is_detached: bool) -> Exec {
    let word = |word: &String| ByteString::from(word.as_str());
    Exec {
        arguments: request.command.iter().map(word).collect(),
        environment: request.env.iter().map(word).collect(),
        working_directory: request.workdir.as_ref().map(word),
        user: request.user.as_ref().map(word),
        terminal: request.tty.map(|size| [size.rows, size.columns]),
        has_input: request.interactive,
        is_detached,
    }
}

/// What must be so before a supervisor is asked.
fn checked(request: &ExecRequest) -> Result<(), Problem> {
    let strings = || request.command.iter().chain(&request.env).chain(&request.workdir).chain(&request.user);
    let cause = if request.command.is_empty() {
        "field 'command': it is empty"
    } else if strings().any(|string| string.contains('\0')) {
        "no text may contain a NUL"
    } else if request.user.as_deref() == Some("") {
        "field 'user': it is empty"
    } else {
        return Ok(());
    };
    Err(Problem::new(
        ProblemCode::Invalid,
        "cannot start another program in the partition",
        cause,
        "GET /v1/openapi.json describes what it should be",
    ))
}

impl Live {
    /// Starts another program whose streams are the caller's.
    ///
    /// # Errors
    /// The request makes no sense, or nobody is there for it. That the program cannot be started is its end.
    pub async fn exec(self, request: &ExecRequest) -> Result<Session, Problem> {
        checked(request)?;
        self.open(Request::Exec(order(request, false))).await
    }

    /// Starts another program for which nobody waits.
    ///
    /// # Errors
    /// The request makes no sense, or the supervisor refuses it.
    pub async fn exec_detached(self, request: &ExecRequest) -> Result<(), Problem> {
        checked(request)?;
        let request = Request::Exec(order(request, true));
        match crate::control::ask(&self.found, &request).await {
            Ok(Answer::Refused(failure)) => Err(problems::failed(ProblemCode::Conflict, &failure)),
            Ok(_) => Ok(()),
            Err(error) => Err(problems::unanswered(&self.wanted, &error)),
        }
    }

    /// Makes the caller part of the first program's streams.
    ///
    /// # Errors
    /// Nobody is there any more.
    pub async fn attach(self) -> Result<Session, Problem> {
        self.open(Request::Attach).await
    }

    async fn open(self, request: Request) -> Result<Session, Problem> {
        let Self { wanted, found } = self;
        let opened = tokio::task::spawn_blocking(move || -> Result<_, ControlError> {
            let (their_input, input) = io::pipe().map_err(ControlError::Io)?;
            let (output, their_output) = io::pipe().map_err(ControlError::Io)?;
            let (errors, their_errors) = io::pipe().map_err(ControlError::Io)?;
            let socket = found.connect().map_err(ControlError::Io)?;
            let theirs = [their_input.as_fd(), their_output.as_fd(), their_errors.as_fd()];
            control::send(&socket, &request, &theirs)?;
            socket.set_nonblocking(true).map_err(ControlError::Io)?;
            Ok((OwnedFd::from(input), [OwnedFd::from(output), OwnedFd::from(errors)], socket))
        });
        let opened = opened.await.map_err(|error| problems::internal("cannot open the streams", error))?;
        let (input, [output, errors], socket) =
            opened.map_err(|error| problems::unanswered(&wanted, &error))?;
        let internal = |error: io::Error| problems::internal("cannot open the streams", error);
        let (read, write) = UnixStream::from_std(socket).map_err(internal)?.into_split();
        Ok(Session {
            input: pipe::Sender::from_owned_fd(input).map_err(internal)?,
            outputs: [
                pipe::Receiver::from_owned_fd(output).map_err(internal)?,
                pipe::Receiver::from_owned_fd(errors).map_err(internal)?,
            ],
            end: End(read),
            control: Control(write),
        })
    }
}

impl End {
    /// Waits for it.
    ///
    /// # Errors
    /// The supervisor is gone.
    pub async fn wait(&mut self) -> Result<Answer, ControlError> {
        let mut reader = Reader::default();
        let mut buffer = [0; 4096];
        loop {
            if let Some((answer, _)) = reader.take()? {
                return Ok(answer);
            }
            match self.0.read(&mut buffer).await {
                Ok(0) => return Err(ControlError::Closed),
                Ok(length) => reader.add(&buffer[..length], Vec::new()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(ControlError::Closed);
                }
                Err(error) => return Err(ControlError::Io(error)),
            }
        }
    }
}

impl Control {
    /// The terminal has another size.
    pub async fn resize(&mut self, size: TerminalSize) {
        self.say(&Request::Resize { size: [size.rows, size.columns] }).await;
    }

    /// The program gets a signal.
    pub async fn signal(&mut self, signal: Signal) {
        self.say(&Request::SignalHere(signal)).await;
    }

    /// Whoever is gone has said so, or will be missed.
    async fn say(&mut self, request: &Request) {
        if let Ok(frame) = frame(request) {
            let _ = self.0.write_all(&frame).await;
        }
    }
}
