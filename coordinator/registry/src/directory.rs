//! The folder of records.

use std::fs;
use std::io::{self, ErrorKind, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::{MetadataExt as _, OpenOptionsExt as _, symlink};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use rustix::process::geteuid;
use thiserror::Error;

use crate::record::{Record, State, VERSION};

const RECORD: &str = "record.json";
const CONTROL: &str = "control";
/// The file whose bytes say which virtual machines are being taken apart (`septum_worker::ending`).
pub const ENDING: &str = "ending";
/// Folders that are being made begin with this.
const NEW: &str = ".new-";
/// One that is being made is not for longer than this.
const MAKING_LIMIT: Duration = Duration::from_secs(60);
/// Bytes of the longest record that is read: arguments may be long, but not endless.
const RECORD_LIMIT: u64 = 8 << 20;

/// Why a partition is not in the registry.
#[derive(Debug, Error)]
pub enum RegistryError {
    /// A folder or file cannot be used.
    #[error("'{0}' cannot be used")]
    File(PathBuf, #[source] io::Error),
    /// Others could change what is in there.
    #[error("'{0}' belongs to somebody else, or others may write there")]
    NotOurs(PathBuf),
    /// A partition with this name lives.
    #[error("the name '{name}' is taken by partition {id}")]
    NameTaken {
        /// The name.
        name: String,
        /// By whom.
        id: String,
    },
}

/// Why there is no such partition.
#[derive(Debug, Error, PartialEq, Eq)]
pub enum FindError {
    /// Nobody is called so.
    #[error("there is no partition '{0}'")]
    None(String),
    /// Several identifiers begin so.
    #[error("'{0}' is the beginning of several identifiers")]
    Several(String),
}

/// All partitions of one user.
#[derive(Clone, Debug)]
pub struct Registry {
    base: PathBuf,
}

/// The folder of a partition, held by its supervisor.
#[derive(Debug)]
pub struct Entry {
    registry: Registry,
    folder: PathBuf,
    name: Option<String>,
    /// Locked.
    handle: OwnedFd,
}

/// A partition as somebody else sees it.
#[derive(Debug)]
pub struct Found {
    /// What its supervisor wrote; its state is [`State::Lost`] if that is dead.
    pub record: Record,
    folder: PathBuf,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> RegistryError + '_ {
    move |error| RegistryError::File(path.to_owned(), error)
}

impl Registry {
    /// Of the partitions described below `runtime`, which need not exist.
    #[must_use]
    pub fn new(runtime: PathBuf) -> Self {
        Self { base: runtime }
    }

    /// The folder of all records.
    #[must_use]
    pub fn partitions(&self) -> PathBuf {
        self.base.join("partitions")
    }

    pub(crate) fn names(&self) -> PathBuf {
        self.base.join("names")
    }

    /// Enters a partition, whose control socket listens from here on. The record's name, if it has one, is taken with it.
    ///
    /// # Errors
    /// See [`RegistryError`]. Nothing is left behind.
    pub fn register(&self, record: &Record) -> Result<(Entry, UnixListener), RegistryError> {
        let partitions = self.partitions();
        let (fresh, folder) = (partitions.join(format!("{NEW}{}", record.id)), partitions.join(&record.id));
        match make_folder(&fresh) {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                self.prepare()?;
                make_folder(&fresh)
            }
            result => result,
        }
        .map_err(failed(&fresh))?;
        let made = self.fill(record, &fresh, &folder);
        if made.is_err() {
            let _ = fs::remove_dir_all(&fresh);
        }
        made
    }

    fn fill(
        &self,
        record: &Record,
        fresh: &Path,
        folder: &Path,
    ) -> Result<(Entry, UnixListener), RegistryError> {
        let failed = failed(fresh);
        let handle = open_folder(fresh).map_err(&failed)?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive).map_err(|error| failed(error.into()))?;
        write_record(fresh, record).map_err(&failed)?;
        // A path through the descriptor is short whatever the folder is called.
        let listener = UnixListener::bind(through(&handle, CONTROL)).map_err(&failed)?;
        listener.set_nonblocking(true).map_err(&failed)?;
        if let Some(name) = &record.name {
            self.take_name(name, &record.id)?;
        }
        if let Err(error) = fs::rename(fresh, folder) {
            self.free_name(record.name.as_deref(), &record.id);
            return Err(failed(error));
        }
        let entry =
            Entry { registry: self.clone(), folder: folder.to_owned(), name: record.name.clone(), handle };
        Ok((entry, listener))
    }

    /// Makes the folders above, and makes sure that they are ours alone.
    fn prepare(&self) -> Result<(), RegistryError> {
        for folder in [self.base.clone(), self.partitions(), self.names()] {
            let mut builder = fs::DirBuilder::new();
            std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
            builder.create(&folder).map_err(failed(&folder))?;
            let metadata = fs::symlink_metadata(&folder).map_err(failed(&folder))?;
            let is_ours = metadata.is_dir() && metadata.uid() == geteuid().as_raw();
            if !is_ours || metadata.mode() & 0o022 != 0 {
                return Err(RegistryError::NotOurs(folder));
            }
        }
        // Whoever cannot make it waits at the end.
        let _ = open(
            self.base.join(ENDING),
            OFlags::RDONLY | OFlags::CREATE | OFlags::CLOEXEC,
            Mode::RUSR | Mode::WUSR,
        );
        Ok(())
    }

    /// A name is taken by whoever makes the link; one whose partition is over is free.
    fn take_name(&self, name: &str, id: &str) -> Result<(), RegistryError> {
        let link = self.names().join(name);
        for _ in 0..8 {
            match symlink(id, &link) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == ErrorKind::NotFound => self.prepare()?,
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                    let owner = fs::read_link(&link).unwrap_or_default();
                    let folder = self.partitions().join(&owner);
                    // Locked: alive. A record of its own name: kept for `septum logs` and the like. Else left by one that died.
                    if folder.join(RECORD).exists() && !is_abandoned(&folder) {
                        let id = owner.to_string_lossy().into_owned();
                        return Err(RegistryError::NameTaken { name: name.to_owned(), id });
                    }
                    let _ = fs::remove_file(&link);
                }
                Err(error) => return Err(failed(&link)(error)),
            }
        }
        Err(failed(&link)(ErrorKind::AlreadyExists.into()))
    }

    fn free_name(&self, name: Option<&str>, id: &str) {
        let Some(name) = name else { return };
        let link = self.names().join(name);
        if fs::read_link(&link).is_ok_and(|owner| owner == Path::new(id)) {
            let _ = fs::remove_file(link);
        }
    }

    /// All partitions, oldest first. What killed supervisors have left is removed, unless it is to be kept until `septum rm`.
    #[must_use]
    pub fn list(&self) -> Vec<Found> {
        let entries = fs::read_dir(self.partitions()).into_iter().flatten().flatten();
        let mut found: Vec<Found> = entries.filter_map(|entry| self.look(&entry.path())).collect();
        found.sort_by(|one, other| {
            (one.record.created_ms, &one.record.id).cmp(&(other.record.created_ms, &other.record.id))
        });
        found
    }

    fn look(&self, folder: &Path) -> Option<Found> {
        let name = folder.file_name()?.to_str()?;
        if name.starts_with(NEW) {
            let age = fs::metadata(folder).and_then(|metadata| metadata.modified()).ok();
            let age = age.and_then(|made| SystemTime::now().duration_since(made).ok());
            if age.is_some_and(|age| age > MAKING_LIMIT) && is_abandoned(folder) {
                let _ = fs::remove_dir_all(folder);
            }
            return None;
        }
        let mut record = read_record(folder).filter(|record| record.id == name);
        // The record is read before the lock is looked at, and again after it, as it may have ended in between.
        let needs_supervisor = record.as_ref().is_none_or(|record| record.state.is_live());
        if needs_supervisor && is_abandoned(folder) {
            record = read_record(folder).filter(|record| record.id == name);
            match &mut record {
                // Nobody will ever understand this folder.
                None => drop(fs::remove_dir_all(folder)),
                Some(lost) if lost.state.is_live() && !lost.is_detached => {
                    self.free_name(lost.name.as_deref(), &lost.id);
                    let _ = fs::remove_dir_all(folder);
                    return None;
                }
                Some(lost) if lost.state.is_live() => lost.state = State::Lost,
                Some(_) => {}
            }
        }
        Some(Found { record: record?, folder: folder.to_owned() })
    }

    /// The partition with exactly this identifier.
    #[must_use]
    pub fn get(&self, id: &str) -> Option<Found> {
        let is_id = !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric());
        is_id.then(|| self.look(&self.partitions().join(id))).flatten()
    }

    /// Makes the folders, if they are not there, and makes sure that they are their owner's alone.
    ///
    /// # Errors
    /// See [`RegistryError`].
    pub fn make(&self) -> Result<(), RegistryError> {
        self.prepare()
    }

    /// The partition with this name, this identifier, or an identifier that begins so.
    ///
    /// # Errors
    /// See [`FindError`].
    pub fn find(&self, wanted: &str) -> Result<Found, FindError> {
        let mut all = self.list();
        let named = |found: &Found| found.record.name.as_deref() == Some(wanted) || found.record.id == wanted;
        // Of several that had a name one after the other, the last one is meant.
        if let Some(at) = all.iter().rposition(named) {
            return Ok(all.swap_remove(at));
        }
        let is_prefix = |found: &Found| !wanted.is_empty() && found.record.id.starts_with(wanted);
        let mut matching = all.into_iter().filter(is_prefix);
        match (matching.next(), matching.next()) {
            (None, _) => Err(FindError::None(wanted.to_owned())),
            (Some(found), None) => Ok(found),
            _ => Err(FindError::Several(wanted.to_owned())),
        }
    }
}

impl Entry {
    /// Writes how it goes now.
    ///
    /// # Errors
    /// The disk is full, for instance; what was there is there still.
    pub fn update(&self, record: &Record) -> io::Result<()> {
        write_record(&self.folder, record)
    }

    /// Takes the partition out.
    pub fn remove(self) {
        self.registry.free_name(self.name.as_deref(), &self.id());
        // A lock that is let go before the folder is gone would make it look abandoned.
        let _ = fs::remove_file(self.folder.join(CONTROL));
        let _ = fs::remove_file(self.folder.join(RECORD));
        if fs::remove_dir(&self.folder).is_err() {
            // It exposed ports.
            let _ = fs::remove_dir_all(&self.folder);
        }
        drop(self.handle);
    }

    /// Its folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// It is over, and its record stays.
    pub fn keep(self, record: &Record) {
        let _ = fs::remove_file(self.folder.join(CONTROL));
        let _ = write_record(&self.folder, record);
        drop(self.handle);
    }

    fn id(&self) -> String {
        self.folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
    }
}

impl Found {
    /// A connection to its supervisor.
    ///
    /// # Errors
    /// There is none any more.
    pub fn connect(&self) -> io::Result<UnixStream> {
        let handle = open_folder(&self.folder)?;
        UnixStream::connect(through(&handle, CONTROL))
    }

    /// Removes the record of a partition that is over. False if it is not.
    #[must_use]
    pub fn remove(&self, registry: &Registry) -> bool {
        if !is_abandoned(&self.folder) {
            return false;
        }
        registry.free_name(self.record.name.as_deref(), &self.record.id);
        fs::remove_dir_all(&self.folder).is_ok()
    }
}

fn make_folder(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

pub(crate) fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

pub(crate) fn through(folder: &OwnedFd, name: &str) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}/{name}", folder.as_raw_fd()))
}

/// Whether no supervisor holds the folder.
fn is_abandoned(folder: &Path) -> bool {
    open_folder(folder).is_ok_and(|handle| flock(&handle, FlockOperation::NonBlockingLockShared).is_ok())
}

fn read_record(folder: &Path) -> Option<Record> {
    use std::io::Read as _;
    let file = fs::OpenOptions::new().read(true).custom_flags(NOFOLLOW).open(folder.join(RECORD)).ok()?;
    let mut text = Vec::new();
    file.take(RECORD_LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice::<Record>(&text).ok().filter(|record| record.version == VERSION)
}

/// O_NOFOLLOW | O_NONBLOCK: a link or a pipe is no record.
const NOFOLLOW: i32 = 0o400_000 | 0o4000;

/// Replaces the record as a whole: who reads sees the old or the new one.
fn write_record(folder: &Path, record: &Record) -> io::Result<()> {
    let (fresh, place) = (folder.join(".record"), folder.join(RECORD));
    let text = serde_json::to_vec(record)?;
    let written = fs::OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&fresh)
        .and_then(|mut file| file.write_all(&text))
        .and_then(|()| fs::rename(&fresh, place));
    if written.is_err() {
        let _ = fs::remove_file(fresh);
    }
    written
}

/// A new identifier: twelve hexadecimal digits that nobody guesses or has.
///
/// # Errors
/// The host gives no random numbers.
pub fn new_id() -> io::Result<String> {
    let mut bytes = [0; 6];
    rustix::rand::getrandom(&mut bytes, rustix::rand::GetRandomFlags::empty())?;
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
#[path = "directory_tests.rs"]
pub(crate) mod tests;
