//! Images of the coordinator's user, and making them from archives that clients send.
//!
//! ```text
//!   client ── archive ──► Upload: a file of its own ── begin ──► septum image build FILE, a process ──► the store
//! ```
//!
//! What is in an archive is hostile, so a process of its own reads it, that dies with the coordinator and whose half-made work the store
//! sweeps away. The store is the one of `septum image`, by the same code.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use septum_api_types::v1::{
    Image, ImageConfig, ImageDetails, Operation, OperationKind, OperationState, Problem, ProblemCode,
};
use septum_images::{Config, Error, Reference, Store};
use septum_registry::directory::new_id;
use septum_registry::record::now_ms;
use tokio::io::AsyncWriteExt as _;
use tokio::process::{Child, Command};
use tokio::sync::Notify;

use crate::coordinator::Coordinator;
use crate::problems;

/// The longest archive, in bytes.
const LONGEST: u64 = 64 << 30;
/// How often it is looked how far a build is.
const GLANCE: Duration = Duration::from_millis(200);

/// An archive that is being sent; it goes with this.
#[derive(Debug)]
pub struct Upload {
    path: PathBuf,
    file: tokio::fs::File,
    bytes: u64,
}

impl Drop for Upload {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

impl Upload {
    /// Takes the next part.
    ///
    /// # Errors
    /// The disk is full, or it is too long.
    pub async fn write(&mut self, part: &[u8]) -> Result<(), Problem> {
        self.bytes = self.bytes.saturating_add(u64::try_from(part.len()).unwrap_or(u64::MAX));
        if self.bytes > LONGEST {
            let cause = format!("it is longer than {} GiB", LONGEST >> 30);
            return Err(Problem::new(ProblemCode::TooLarge, MESSAGE, cause, "make several images of it"));
        }
        self.file.write_all(part).await.map_err(|error| not_written(&error))
    }
}

const MESSAGE: &str = "cannot make an image";

/// Where archives are as long as they are needed.
pub(crate) fn uploads(data: &Path) -> PathBuf {
    data.join("uploads")
}

impl Coordinator {
    fn images(&self) -> Store {
        Store::new(&self.configuration.data)
    }

    /// All images, by name.
    ///
    /// # Errors
    /// The host does not let us look.
    pub fn list_images(&self) -> Result<Vec<Image>, Problem> {
        let all = self.images().list().map_err(|error| problem("cannot list the images", &error))?;
        let all = all.into_iter().map(|image| Image {
            name: image.name.as_ref().map(ToString::to_string),
            digest: format!("sha256:{}", image.digits),
            size_bytes: image.stored.size,
            files: image.stored.entries,
            stored_ms: u64::try_from(image.stored_at).unwrap_or(0).saturating_mul(1000),
        });
        Ok(all.collect())
    }

    /// An image, by name or digest.
    ///
    /// # Errors
    /// There is none.
    pub fn image(&self, wanted: &str) -> Result<ImageDetails, Problem> {
        let store = self.images();
        let found = wanted.parse().and_then(|reference: Reference| {
            let digits = store.resolve(&reference)?;
            Ok((store.stored(&digits)?, digits))
        });
        let (stored, digits) =
            found.map_err(|error| problem(&format!("cannot find image '{wanted}'"), &error))?;
        Ok(ImageDetails {
            digest: format!("sha256:{digits}"),
            files_digest: stored.files,
            size_bytes: stored.size,
            files: stored.entries,
            config: config(&stored.config),
        })
    }

    /// Removes a name, and the image with its last one; by digest, the image. Partitions that run it keep its files.
    ///
    /// # Errors
    /// There is none, or the host does not let us.
    pub fn remove_image(&self, wanted: &str) -> Result<(), Problem> {
        let gone = wanted.parse().and_then(|reference: Reference| self.images().remove(&reference));
        gone.map(drop).map_err(|error| problem(&format!("cannot remove image '{wanted}'"), &error))
    }

    /// A place for an archive.
    ///
    /// # Errors
    /// It cannot be made.
    pub async fn upload(&self) -> Result<Upload, Problem> {
        let id = new_id().map_err(|error| problems::internal(MESSAGE, error))?;
        let path = uploads(&self.configuration.data).join(id);
        let made = tokio::fs::File::options().write(true).create_new(true).mode(0o600).open(&path).await;
        let file = made.map_err(|error| not_written(&error))?;
        Ok(Upload { path, file, bytes: 0 })
    }

    /// Makes an image of an archive, which takes its time.
    ///
    /// # Errors
    /// It cannot be begun.
    pub async fn build_image(
        self: &Arc<Self>,
        mut upload: Upload,
        name: Option<String>,
        owner: String,
    ) -> Result<Operation, Problem> {
        if upload.bytes == 0 {
            return Err(Problem::new(ProblemCode::Invalid, MESSAGE, "the body is empty", "send an archive"));
        }
        if let Some(name) = &name {
            let is_name = name.parse().is_ok_and(|reference| !matches!(reference, Reference::Digest(_)));
            if !is_name {
                let cause = format!("field 'name': '{name}' is no name of an image");
                let next = "a name is such as 'debian' or 'team/tool:1.2'";
                return Err(Problem::new(ProblemCode::Invalid, MESSAGE, cause, next));
            }
        }
        upload.file.flush().await.map_err(|error| not_written(&error))?;
        let (operation, cancelled) =
            self.begin_operation(OperationKind::ImageBuild, name, owner, upload.bytes)?;
        let (coordinator, begun) = (Arc::clone(self), operation.clone());
        tokio::spawn(async move {
            let state = coordinator.build(&begun, &upload, &cancelled).await;
            drop(upload);
            if !matches!(state, OperationState::Done { .. }) {
                let store = coordinator.images();
                let _ = tokio::task::spawn_blocking(move || store.sweep()).await;
            }
            coordinator.end_operation(&begun, state);
        });
        Ok(operation)
    }

    async fn build(&self, operation: &Operation, upload: &Upload, cancelled: &Notify) -> OperationState {
        let turn = tokio::select! {
            turn = self.operations.turns.acquire() => turn,
            () = cancelled.notified() => return OperationState::Cancelled { at_ms: now_ms() },
        };
        let built = match turn {
            Ok(_turn) => self.run_build(operation, upload, cancelled).await,
            Err(error) => Err(problems::internal(MESSAGE, error)),
        };
        let at_ms = now_ms();
        match built {
            Ok(Some(made)) => OperationState::Done { made, at_ms },
            Ok(None) => OperationState::Cancelled { at_ms },
            Err(problem) => OperationState::Failed { problem, at_ms },
        }
    }

    /// The digest of what was made; nothing if it was cancelled.
    async fn run_build(
        &self,
        operation: &Operation,
        upload: &Upload,
        cancelled: &Notify,
    ) -> Result<Option<String>, Problem> {
        let failed = |error: std::io::Error| problems::internal(MESSAGE, error);
        let mut command = Command::new(&self.configuration.keeper.0);
        // On this host, whatever its user has chosen.
        command.args([
            "--host",
            "local",
            "image",
            "build",
            "--quiet",
            "--with-parent",
            &std::process::id().to_string(),
        ]);
        command.args(operation.subject.iter().map(|name| format!("--tag={name}"))).arg(&upload.path);
        command.env("SEPTUM_RUNTIME_DIR", &self.configuration.runtime);
        command.env("SEPTUM_DATA_DIR", &self.configuration.data).current_dir("/");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let child = command.process_group(0).kill_on_drop(true).spawn().map_err(failed)?;
        let group = child.id();
        let output = tokio::select! {
            output = self.watch(operation, child) => output.map_err(failed)?,
            () = cancelled.notified() => {
                // With what it has started itself.
                if let Some(pid) = group.and_then(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
                    let _ = kill_process_group(pid, Signal::KILL);
                }
                return Ok(None);
            }
        };
        if output.status.success() {
            return Ok(Some(String::from_utf8_lossy(&output.stdout).trim().to_owned()));
        }
        let text = String::from_utf8_lossy(&output.stderr);
        let path = upload.path.display().to_string();
        Err(problems::of_words(ProblemCode::Invalid, MESSAGE, &text.replace(&path, "the archive")))
    }

    /// Waits for a build, and tells how much of the archive it has read.
    async fn watch(&self, operation: &Operation, child: Child) -> std::io::Result<std::process::Output> {
        let counters = child.id().map(|id| format!("/proc/{id}/io"));
        let mut output = std::pin::pin!(child.wait_with_output());
        loop {
            tokio::select! {
                output = &mut output => return output,
                () = tokio::time::sleep(GLANCE) => {}
            }
            let text = counters.as_ref().and_then(|path| std::fs::read_to_string(path).ok());
            let read =
                text.as_deref().and_then(|text| text.strip_prefix("rchar: ")?.lines().next()?.parse().ok());
            self.operations.progress(operation, read.unwrap_or(0));
        }
    }
}

fn config(config: &Config) -> ImageConfig {
    let text = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
    ImageConfig {
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        command: config.cmd().clone().unwrap_or_default(),
        env: config.env().clone().unwrap_or_default(),
        working_directory: text(config.working_dir()),
        user: text(config.user()),
        stop_signal: text(config.stop_signal()),
    }
}

fn not_written(error: &std::io::Error) -> Problem {
    if error.kind() == std::io::ErrorKind::StorageFull {
        let next = "make room below SEPTUM_DATA_DIR, then try again";
        return Problem::new(ProblemCode::StorageFull, MESSAGE, "the disk for archives is full", next);
    }
    problems::internal(MESSAGE, error)
}

fn problem(what: &str, error: &Error) -> Problem {
    let failure = error.failure(what);
    let code = match error {
        Error::Missing(_) | Error::Name(..) => ProblemCode::NotFound,
        Error::Ambiguous(_) => ProblemCode::Conflict,
        Error::Host { error, .. } if error.kind() == std::io::ErrorKind::StorageFull => {
            ProblemCode::StorageFull
        }
        Error::Host { .. } | Error::NoTool | Error::Tool(_) => ProblemCode::Internal,
        Error::Damaged { .. } | Error::Refused { .. } | Error::Limit { .. } | Error::Unusable(_) => {
            ProblemCode::Conflict
        }
    };
    Problem::new(code, &failure.what, &failure.why, &failure.hint)
}
