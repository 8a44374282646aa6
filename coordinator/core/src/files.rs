//! Files of a partition that runs, as archives: packed and unpacked by the partition's own `tar`, as `septum cp` has it do.
//!
//! ```text
//!   out   exec tar -c -C FOLDER ./NAME ──► pipe ──► Packing::next, piece by piece
//!   in    Unpacking::write, piece by piece ──► pipe ──► exec tar -x -C FOLDER
//! ```
//!
//! So a path means what it means to programs there, and what is hostile in an archive that comes in meets nothing of the host. The pipes are
//! the only buffers; letting go hangs up on the program.

use std::path::Path;

use septum_api_types::v1::{ExecRequest, Problem, ProblemCode};
use septum_registry::control::Answer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::task::JoinHandle;

use crate::coordinator::Coordinator;
use crate::problems;
use crate::sessions::{Control, End, Session};

/// A shell's status for what it cannot find.
const NOT_FOUND: u8 = 127;
/// Most bytes of what a program says as errors that are told.
const MOST_WORDS: usize = 2048;
/// Bytes of a piece that is read.
const PIECE: usize = 64 << 10;

/// A `tar` in the partition.
#[derive(Debug)]
struct Tar {
    end: End,
    /// Kept: letting go hangs up.
    _control: Control,
    errors: Errors,
    what: String,
}

/// What it says on its standard error, as it comes.
#[derive(Debug)]
struct Errors(JoinHandle<String>);

impl Drop for Errors {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Files that come out.
#[derive(Debug)]
pub struct Packing {
    tar: Tar,
    output: pipe::Receiver,
    buffer: Vec<u8>,
}

/// Files that go in.
#[derive(Debug)]
pub struct Unpacking {
    tar: Tar,
    input: Option<pipe::Sender>,
    bytes: u64,
}

/// The folder and the name of what a client means; relative paths begin at the root.
fn place(path: &str, what: &str) -> Result<(String, Option<String>), Problem> {
    let wrong = |cause: &str| {
        let next = "give a path in the partition, such as /var/log/app.log";
        Problem::new(ProblemCode::Invalid, what, format!("field 'path': {cause}"), next)
    };
    if path.is_empty() {
        return Err(wrong("it is empty"));
    }
    if path.contains('\0') {
        return Err(wrong("it has a NUL"));
    }
    let whole = Path::new("/").join(path);
    let parts = || Some((whole.parent()?.to_str()?.to_owned(), whole.file_name()?.to_str()?.to_owned()));
    match parts() {
        Some((folder, name)) => Ok((folder, Some(name))),
        // The root, or what ends with '..'.
        None => Ok((whole.to_str().unwrap_or("/").to_owned(), None)),
    }
}

impl Coordinator {
    /// Has a partition pack a file, or a directory with all that is in it, under its own name.
    ///
    /// # Errors
    /// It does not run, or there is no such file.
    pub async fn pack(&self, wanted: &str, path: &str) -> Result<Packing, Problem> {
        let what = format!("cannot copy '{path}' out of partition '{wanted}'");
        let (folder, name) = place(path, &what)?;
        let name = name.ok_or_else(|| {
            let next = "name what is to be copied";
            Problem::new(ProblemCode::Invalid, &what, "field 'path': it has no name of its own", next)
        })?;
        let whole = format!("{folder}/{name}");
        self.expect_there(wanted, &["test", "-e", &whole, "-o", "-h", &whole], &what, "file or directory")
            .await?;
        let command = ["tar", "-c", "-f", "-", "-C", &folder, &format!("./{name}")];
        let (tar, input, output) = self.tar(wanted, &command, false, what).await?;
        drop(input);
        Ok(Packing { tar, output, buffer: vec![0; PIECE] })
    }

    /// Has a partition unpack what is written, into a directory that there is.
    ///
    /// # Errors
    /// It does not run, or there is no such directory.
    pub async fn unpack(&self, wanted: &str, path: &str) -> Result<Unpacking, Problem> {
        let what = format!("cannot copy files to '{path}' of partition '{wanted}'");
        let folder = match place(path, &what)? {
            (folder, Some(name)) => format!("{folder}/{name}"),
            (folder, None) => folder,
        };
        self.expect_there(wanted, &["test", "-d", &folder], &what, "directory").await?;
        let command = ["tar", "-x", "-o", "-f", "-", "-C", &folder];
        let (tar, input, output) = self.tar(wanted, &command, true, what).await?;
        drop(output);
        Ok(Unpacking { tar, input: Some(input), bytes: 0 })
    }

    async fn run(
        &self,
        wanted: &str,
        command: &[&str],
        has_input: bool,
        what: &str,
    ) -> Result<Session, Problem> {
        let request = ExecRequest {
            command: command.iter().map(ToString::to_string).collect(),
            workdir: Some("/".to_owned()),
            interactive: has_input,
            ..ExecRequest::default()
        };
        self.live(wanted, "copy files of")?
            .exec(&request)
            .await
            .map_err(|problem| Problem { message: what.to_owned(), ..problem })
    }

    /// Fails if a test in the partition says no. Where there is no such program, whoever comes next will tell.
    async fn expect_there(&self, wanted: &str, test: &[&str], what: &str, kind: &str) -> Result<(), Problem> {
        let mut session = self.run(wanted, test, false, what).await?;
        match session.end.wait().await {
            Ok(Answer::Ended(1)) => Err(Problem::new(
                ProblemCode::NotFound,
                what,
                format!("there is no such {kind} in the partition"),
                "septum exec PARTITION ls tells what there is",
            )),
            Ok(Answer::Refused(failure)) => Err(problems::failed(ProblemCode::Conflict, &failure)),
            Err(error) => Err(problems::unanswered(wanted, &error)),
            Ok(_) => Ok(()),
        }
    }

    async fn tar(
        &self,
        wanted: &str,
        command: &[&str],
        has_input: bool,
        what: String,
    ) -> Result<(Tar, pipe::Sender, pipe::Receiver), Problem> {
        let session = self.run(wanted, command, has_input, &what).await?;
        let Session { input, outputs: [output, errors], end, control } = session;
        let errors = Errors(tokio::spawn(words(errors)));
        Ok((Tar { end, _control: control, errors, what }, input, output))
    }
}

/// The beginning of what is said. Whoever says more is not kept from it.
async fn words(mut pipe: pipe::Receiver) -> String {
    let (mut said, mut buffer) = (Vec::new(), vec![0; MOST_WORDS]);
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let room = MOST_WORDS - said.len();
        said.extend_from_slice(&buffer[..length.min(room)]);
    }
    let text = String::from_utf8_lossy(&said);
    let lines = text.lines().map(|line| line.chars().filter(|it| !it.is_control()).collect::<String>());
    lines.collect::<Vec<_>>().join("; ")
}

impl Tar {
    /// Its end, once its streams have ended.
    async fn judge(&mut self) -> Result<(), Problem> {
        let conflict =
            |cause: String, next: &str| Problem::new(ProblemCode::Conflict, &self.what, cause, next);
        let answer = self.end.wait().await;
        match answer {
            Ok(Answer::Ended(0)) => Ok(()),
            Ok(Answer::Ended(NOT_FOUND) | Answer::Failed { status: NOT_FOUND, .. }) => Err(conflict(
                "there is no 'tar' in the partition".to_owned(),
                "give it one, or share a directory as a volume",
            )),
            Ok(Answer::Ended(status)) => {
                let words = (&mut self.errors.0).await.unwrap_or_default();
                let cause = format!("its tar failed with status {status}: {words}");
                Err(conflict(cause, "what came before that is there; see what it says"))
            }
            Ok(Answer::Failed { message, .. }) => {
                Err(conflict(message, "see 'septum logs' of the partition"))
            }
            Ok(Answer::Refused(failure)) => Err(problems::failed(ProblemCode::Conflict, &failure)),
            Ok(_) => Err(problems::internal(&self.what, "its supervisor gave a strange answer")),
            Err(error) => Err(conflict(error.to_string(), "the partition may have ended: look at its state")),
        }
    }
}

impl Packing {
    /// The next piece of the archive; `None` when it is whole.
    ///
    /// # Errors
    /// It is not, and will not be.
    pub async fn next(&mut self) -> Result<Option<Vec<u8>>, Problem> {
        match self.output.read(&mut self.buffer).await {
            Ok(length @ 1..) => Ok(Some(self.buffer[..length].to_vec())),
            _ => self.tar.judge().await.map(|()| None),
        }
    }
}

impl Unpacking {
    /// Unpacks the next piece of the archive; false if no more is wanted: [`Self::end`] tells why.
    pub async fn write(&mut self, piece: &[u8]) -> bool {
        self.bytes = self.bytes.saturating_add(u64::try_from(piece.len()).unwrap_or(u64::MAX));
        let Some(input) = &mut self.input else { return false };
        input.write_all(piece).await.is_ok()
    }

    /// The archive is whole; waits until all is unpacked.
    ///
    /// # Errors
    /// It is not.
    pub async fn end(mut self) -> Result<(), Problem> {
        if self.bytes == 0 {
            let next = "send an archive: application/x-tar";
            return Err(Problem::new(ProblemCode::Invalid, &self.tar.what, "the body is empty", next));
        }
        self.input = None;
        self.tar.judge().await
    }
}

#[cfg(test)]
mod tests {
    use super::place;

    #[test]
    fn paths_have_folders_and_names() {
        let parts = |path: &str| place(path, "x").ok();
        let some = |folder: &str, name: &str| Some((folder.to_owned(), Some(name.to_owned())));
        assert_eq!(parts("/a/b"), some("/a", "b"));
        assert_eq!(parts("b/"), some("/", "b"));
        assert_eq!(parts("/a/../b"), some("/a/..", "b"));
        assert_eq!(parts("-rf"), some("/", "-rf"));
        assert_eq!(parts("/"), Some(("/".to_owned(), None)));
        assert_eq!(parts("/a/.."), Some(("/a/..".to_owned(), None)));
        assert_eq!((parts(""), parts("a\0b")), (None, None));
    }
}
