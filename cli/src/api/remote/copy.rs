//! `cp`: files of a partition, packed and unpacked there by the coordinator's word, and here by the same code as on this host.
//!
//! ```text
//!   out   coordinator ─► Archive ─► pipe ─► a thread that unpacks
//!   in    a thread that packs ─► pieces ─► coordinator
//! ```

use std::ffi::OsString;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use septum_api_client::{Bytes, Client, Pieces, Said};
use septum_api_types::failure::Failure;
use septum_api_types::v1::{ExecRequest, FromProgram, Problem, ProblemCode};
use tokio::io::AsyncWriteExt as _;
use tokio::net::unix::pipe;
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::words::text;
use crate::archive::{self, Stage, Way, failed};
use crate::args::Copy;

/// Pieces on their way, and bytes of one.
const PIECES: usize = 4;
const PIECE: usize = 64 << 10;

/// `septum cp`
pub async fn copy(client: &Client, options: &Copy) -> Result<u8, Problem> {
    match archive::way(options).map_err(of_files)? {
        Way::Out(partition, from, to) => copy_out(client, &partition, &from, &to).await?,
        Way::In(from, partition, to) => copy_in(client, from, &partition, &to).await?,
    }
    Ok(0)
}

/// What fails on this side, with the status that it has without a coordinator.
fn of_files(failure: Failure) -> Problem {
    let mut problem = Problem::new(ProblemCode::Invalid, failure.what, failure.why, failure.hint);
    problem.exit_status = Some(failure.code.number());
    problem
}

async fn copy_out(client: &Client, partition: &str, from: &Path, to: &Path) -> Result<(), Problem> {
    let what = format!("cannot copy '{}' out of partition '{partition}'", from.display());
    let internal = |error: io::Error| of_files(failed(&what, error));
    let (_, name) = archive::source(&what, from).map_err(of_files)?;
    let stage = Stage::begin(&what, name, to).map_err(of_files)?;
    let mut archive = client.pack(partition, &text(from.as_os_str())?).await?;
    let (mut reader, writer) = io::pipe().map_err(internal)?;
    let unpacking = spawn_blocking(move || {
        let unpacked = stage.unpack(&mut reader);
        // What comes after the end of the archive is padding; what comes after an error is not wanted.
        if unpacked.is_ok() {
            let _ = io::copy(&mut reader, &mut io::sink());
        }
        (stage, unpacked)
    });
    let mut writer = pipe::Sender::from_owned_fd(writer.into()).map_err(internal)?;
    let received = loop {
        match archive.next().await {
            Ok(Some(piece)) => {
                if writer.write_all(&piece).await.is_err() {
                    break Ok(());
                }
            }
            Ok(None) => break Ok(()),
            Err(problem) => break Err(problem),
        }
    };
    drop(writer);
    let (stage, unpacked) = unpacking.await.map_err(|error| internal(io::Error::other(error)))?;
    // What this side refuses is the reason; else what the other side says.
    match unpacked {
        Err(error) if error.kind() == io::ErrorKind::InvalidData => Err(internal(error)),
        unpacked => {
            received?;
            unpacked.map_err(internal)?;
            stage.finish(&what).map_err(of_files)
        }
    }
}

async fn copy_in(client: &Client, from: PathBuf, partition: &str, to: &Path) -> Result<(), Problem> {
    let what = format!("cannot copy '{}' into partition '{partition}'", from.display());
    let internal = |error: io::Error| of_files(failed(&what, error));
    from.symlink_metadata().map_err(internal)?;
    let to = Path::new("/").join(to);
    let is_folder = to == Path::new("/") || is_folder(client, partition, &text(to.as_os_str())?).await?;
    let (folder, name) = archive::destination(&what, &from, to, is_folder).map_err(of_files)?;
    let (pieces, packing) = pack(from, name);
    let unpacked = client.unpack(partition, &text(folder.as_os_str())?, pieces).await;
    let packed = packing.await.map_err(|error| internal(io::Error::other(error)))?;
    match packed {
        // Nobody took any more: why, the other side says.
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(internal(error)),
        _ => unpacked,
    }
}

/// Whether there is a directory in a partition.
async fn is_folder(client: &Client, partition: &str, path: &str) -> Result<bool, Problem> {
    let command = ["test", "-d", path].map(str::to_owned).to_vec();
    let request = ExecRequest { command, workdir: Some("/".to_owned()), ..ExecRequest::default() };
    let (_speaker, mut listener) = client.exec(partition, &request).await?;
    while let Some(said) = listener.next().await? {
        match said {
            Said::Last(FromProgram::Refused(problem)) => return Err(problem),
            Said::Last(last) => return Ok(last == FromProgram::Ended { status: 0 }),
            Said::Output(_) | Said::Errors(_) => {}
        }
    }
    Ok(false)
}

/// Packs files of this host, as somebody takes them.
fn pack(from: PathBuf, name: OsString) -> (Pieces, JoinHandle<io::Result<()>>) {
    let (sender, pieces) = mpsc::channel(PIECES);
    let packing = spawn_blocking(move || {
        let output = BufWriter::with_capacity(PIECE, Sending(sender.clone()));
        let packed = archive::pack(output, &from, &name);
        if let Err(error) = &packed {
            // A part is not taken for the whole.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
        packed
    });
    (pieces, packing)
}

/// Sends what is written, piece by piece.
pub struct Sending(pub mpsc::Sender<io::Result<Bytes>>);

impl Write for Sending {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let piece = Bytes::copy_from_slice(bytes);
        self.0.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
