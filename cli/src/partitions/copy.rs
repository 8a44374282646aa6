//! `septum cp`: files into a partition that runs, and out of it, by the partition's own `tar`.
//!
//! ```text
//!   cp P:/a/b here    exec P tar -c ./b ──► unpacked beside its place, then renamed into it
//!   cp here P:/a/b    packed ──► exec P tar -x
//! ```
//!
//! What is done with archives here is in [`archive`].

use std::ffi::OsStr;
use std::io::{self, Read as _};
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;
use std::thread;

use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Request};

use super::archive::{self, Stage, Way, failed};
use super::{await_answer, connect, unanswered};
use crate::args::Copy;
use crate::message;

/// A shell's status for what it cannot find.
const NOT_FOUND: u8 = 127;
/// Most of what a program says as errors that is told.
const MOST_WORDS: u64 = 4096;

/// `septum cp`
pub fn copy(options: &Copy) -> ExitCode {
    let result = archive::way(options).and_then(|way| match way {
        Way::Out(partition, from, to) => copy_out(&partition, &from, &to),
        Way::In(from, partition, to) => copy_in(&from, &partition, &to),
    });
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

/// A program in the partition, and this side of its streams.
struct Program {
    partition: String,
    socket: UnixStream,
    input: Option<io::PipeWriter>,
    output: io::PipeReader,
    errors: thread::JoinHandle<String>,
}

impl Program {
    fn start(partition: &str, arguments: &[&OsStr], has_input: bool) -> Result<Self, Failure> {
        let internal = |error: io::Error| failed("cannot make a program's streams", error);
        let (_found, socket) = connect(partition)?;
        let (their_input, input) = io::pipe().map_err(internal)?;
        let (output, their_output) = io::pipe().map_err(internal)?;
        let (errors, their_errors) = io::pipe().map_err(internal)?;
        let request = Request::Exec(control::Exec {
            arguments: arguments.iter().map(|&argument| ByteString::from(argument)).collect(),
            environment: Vec::new(),
            working_directory: Some(ByteString::from("/")),
            user: None,
            terminal: None,
            has_input,
            is_detached: false,
        });
        let descriptors = [their_input.as_fd(), their_output.as_fd(), their_errors.as_fd()];
        control::send(&socket, &request, &descriptors).map_err(|error| unanswered(partition, &error))?;
        let errors = thread::spawn(move || {
            let mut words = Vec::new();
            let _ = (&errors).take(MOST_WORDS).read_to_end(&mut words);
            // Whoever writes more is not kept from it.
            let _ = io::copy(&mut &errors, &mut io::sink());
            String::from_utf8_lossy(&words).trim_end().to_owned()
        });
        let input = has_input.then_some(input);
        Ok(Self { partition: partition.to_owned(), socket, input, output, errors })
    }

    /// Its end: its status, and what it said.
    fn end(self) -> Result<(u8, String), Failure> {
        let Self { partition, socket, input, output, errors } = self;
        drop((input, output));
        let answer = await_answer(&partition, &socket)?;
        let words = errors.join().unwrap_or_default();
        match answer {
            Answer::Ended(status) => Ok((status, words)),
            Answer::Failed { status, message } => Ok((status, message)),
            _ => Err(Failure::new(
                Code::Internal,
                "the partition gave a strange answer",
                "it is not one to this",
            )),
        }
    }
}

/// What the partition's `tar` has to say.
fn judge_tar(what: &str, status: u8, words: String) -> Result<(), Failure> {
    match status {
        0 => Ok(()),
        NOT_FOUND => Err(failed(what, "there is no 'tar' in the partition")
            .hint("give it one, or share a directory with --volume")),
        _ => {
            let lines = words.lines().map(message::printable).collect::<Vec<_>>().join("; ");
            Err(failed(what, format!("its tar failed with status {status}: {lines}")))
        }
    }
}

fn copy_out(partition: &str, from: &Path, to: &Path) -> Result<(), Failure> {
    let what = format!("cannot copy '{}' out of partition '{partition}'", from.display());
    let (folder, name) = archive::source(&what, from)?;
    let stage = Stage::begin(&what, name.clone(), to)?;
    let member = Path::new(".").join(&name);
    let arguments = [
        "tar".as_ref(),
        "-c".as_ref(),
        "-f".as_ref(),
        "-".as_ref(),
        "-C".as_ref(),
        folder.as_os_str(),
        member.as_os_str(),
    ];
    let mut program = Program::start(partition, &arguments, false)?;
    let unpacked = stage.unpack(&mut program.output);
    // What comes after the end of the archive is padding; what comes after an error is not wanted.
    if unpacked.is_ok() {
        let _ = io::copy(&mut program.output, &mut io::sink());
    }
    let (status, words) = program.end()?;
    let is_refused = unpacked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
    if !is_refused {
        judge_tar(&what, status, words)?;
    }
    unpacked.map_err(|error| failed(&what, error))?;
    stage.finish(&what)
}

fn copy_in(from: &Path, partition: &str, to: &Path) -> Result<(), Failure> {
    let what = format!("cannot copy '{}' into partition '{partition}'", from.display());
    from.symlink_metadata().map_err(|error| failed(&what, error))?;
    let to = Path::new("/").join(to);
    let test = ["test".as_ref(), "-d".as_ref(), to.as_os_str()];
    let is_folder = to == Path::new("/") || Program::start(partition, &test, false)?.end()?.0 == 0;
    let (folder, name) = archive::destination(&what, from, to, is_folder)?;
    let arguments = [
        "tar".as_ref(),
        "-x".as_ref(),
        "-o".as_ref(),
        "-f".as_ref(),
        "-".as_ref(),
        "-C".as_ref(),
        folder.as_os_str(),
    ];
    let mut program = Program::start(partition, &arguments, true)?;
    let packed = program.input.take().map_or(Ok(()), |input| archive::pack(input, from, &name));
    let (status, words) = program.end()?;
    // One that ended early says why; that it could not be written to follows from that.
    judge_tar(&what, status, words)?;
    packed.map_err(|error| failed(&what, error))
}
