//! `image`.

use std::io::{self, Read as _};
use std::path::PathBuf;
use std::time::Duration;

use septum_api_client::{Bytes, Client, Pieces};
use septum_api_types::size::Size;
use septum_api_types::v1::{OperationState, Problem, ProblemCode};
use tokio::sync::mpsc;
use tokio::task::{JoinHandle, spawn_blocking};

use super::words::wrong;
use crate::args::{Action, Build};
use crate::images_shown::{self, Shown};
use crate::message;

/// Pieces on their way, and bytes of one.
const PIECES: usize = 4;
const PIECE: usize = 64 << 10;
/// Between two looks at an image that is being made.
const GLANCE: Duration = Duration::from_millis(100);
/// What the options that the API does not have are if nobody gives them.
const USUAL: (u64, u64) = (16 << 30, 2_000_000);

/// `septum image`
pub async fn image(client: &Client, action: Action) -> Result<u8, Problem> {
    match action {
        Action::Ls(list) => {
            let all = client.images().await?.into_iter().map(|image| Shown {
                digest: image.digest,
                files: image.files,
                name: image.name,
                size: image.size_bytes,
                stored_at: i64::try_from(image.stored_ms / 1000).unwrap_or(0),
            });
            message::print(&images_shown::list(&all.collect::<Vec<_>>(), list.json));
        }
        Action::Inspect(inspect) => {
            let image = client.image(&inspect.image).await?;
            let json = serde_json::json!({
                "digest": image.digest,
                "files_digest": image.files_digest,
                "size": image.size_bytes,
                "files": image.files,
                "config": image.config,
            });
            message::print(&(serde_json::to_string_pretty(&json).unwrap_or_default() + "\n"));
        }
        Action::Rm(remove) => {
            for name in &remove.images {
                client.remove_image(name).await?;
                message::print(&format!("{name}\n"));
            }
        }
        Action::Build(build) => make(client, build).await?,
        Action::Export(_) | Action::Tag(_) => {
            let what = "cannot do 'septum image export' and 'septum image tag' at a coordinator";
            return Err(wrong(what, "they are not in the API", "run them on that host"));
        }
    }
    Ok(0)
}

/// `septum image build`
async fn make(client: &Client, build: Build) -> Result<(), Problem> {
    let what = format!("cannot build an image from '{}'", build.source.display());
    let wrong = |why: String, next: &str| Problem::new(ProblemCode::Invalid, &what, why, next);
    if build.tag.len() > 1 {
        return Err(wrong("a coordinator gives it one name".to_owned(), "give one with -t"));
    }
    if (build.max_size.0, build.max_files) != USUAL {
        return Err(wrong(
            "a coordinator has limits of its own".to_owned(),
            "leave out --max-size and --max-files",
        ));
    }
    let metadata = build.source.metadata().map_err(|error| wrong(error.to_string(), "name what there is"))?;
    let (pieces, sending) = send(build.source, metadata.is_dir());
    let begun = client.build_image(build.tag.first().map(String::as_str), pieces).await;
    let sent = sending.await.map_err(|error| wrong(error.to_string(), "try again"))?;
    if let Err(error) = sent
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(wrong(error.to_string(), "see whether all of it can be read"));
    }
    let mut operation = begun?;
    while operation.state == OperationState::Running {
        tokio::time::sleep(GLANCE).await;
        operation = client.operation(&operation.id).await?;
    }
    match operation.state {
        OperationState::Done { made, .. } => {
            message::print(&format!("{made}\n"));
            if !build.quiet {
                let image = client.image(&made).await?;
                let called = build.tag.first().map_or("it has no name", String::as_str);
                message::tell(&format!("{called}: {} files, {}", image.files, Size(image.size_bytes)));
            }
            Ok(())
        }
        OperationState::Failed { problem, .. } => Err(problem),
        other => Err(wrong(format!("operation {} is {}", operation.id, other.name()), "ask for it again")),
    }
}

/// Sends an archive as it is; a directory, the root of an image or an OCI layout, as an archive of what is in it.
fn send(source: PathBuf, is_directory: bool) -> (Pieces, JoinHandle<io::Result<()>>) {
    let (sender, pieces) = mpsc::channel(PIECES);
    let sending = spawn_blocking(move || {
        let sent = if is_directory {
            let output = io::BufWriter::with_capacity(PIECE, super::copy::Sending(sender.clone()));
            pack(output, &source)
        } else {
            pass_on(&source, &sender)
        };
        if let Err(error) = &sent {
            // A part is not taken for the whole.
            let _ = sender.blocking_send(Err(io::Error::other(error.to_string())));
        }
        sent
    });
    (pieces, sending)
}

fn pack(output: impl io::Write, folder: &std::path::Path) -> io::Result<()> {
    let mut archive = tar::Builder::new(output);
    archive.follow_symlinks(false);
    archive.append_dir_all(".", folder)?;
    io::Write::flush(&mut archive.into_inner()?)
}

fn pass_on(path: &std::path::Path, sender: &mpsc::Sender<io::Result<Bytes>>) -> io::Result<()> {
    let mut file = std::fs::File::open(path)?;
    let mut buffer = vec![0; PIECE];
    loop {
        let length = file.read(&mut buffer)?;
        if length == 0 {
            return Ok(());
        }
        let piece = Bytes::copy_from_slice(&buffer[..length]);
        sender.blocking_send(Ok(piece)).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
}
