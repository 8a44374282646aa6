//! Volumes that have names: directories that Septum keeps for partitions.
//!
//! ```text
//!   DATA/volumes/          0700, its owner's
//!     NAME/                locked (flock): shared by each partition that has it, exclusively while it is removed
//!       volume.json        when it was made, and its labels
//!       data/              what partitions see
//!       .fill-ID/          what that is to begin with, while it is copied; then it takes the place of the empty one
//!     .new-ID/             one that is being made, locked by who makes it
//!     .gone-ID/            one that is being removed, likewise
//! ```
//!
//! What holds at every moment: a folder without a dot is a whole volume. It appears, and goes, by being renamed. What somebody who was
//! killed has left begins with a dot and is locked by nobody, and goes with the next volume that is made or removed. A partition's lock is
//! its supervisor's, so it ends with it, however it ends; who has a volume is written in its [`Record`](crate::Record), for people.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind};
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, Mode, OFlags, flock, fstat, open};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::directory::new_id;
use crate::record::now_ms;

const DESCRIPTION: &str = "volume.json";
const DATA: &str = "data";
const NEW: &str = ".new-";
const GONE: &str = ".gone-";
const FILL: &str = ".fill-";
/// Bytes of the longest description that is read.
const DESCRIPTION_LIMIT: u64 = 1 << 20;
/// How long is waited for somebody who is about to remove a volume.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why something cannot be done with a volume.
#[derive(Debug, Error)]
pub enum VolumesError {
    /// A folder or file cannot be used.
    #[error("'{}' cannot be used: {}", .0.display(), reason(.1))]
    File(PathBuf, #[source] io::Error),
    /// There is none with this name.
    #[error("there is no volume '{0}'")]
    Missing(String),
    /// A partition has it.
    #[error("a partition uses it")]
    InUse,
}

/// What is written of a volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Description {
    /// When it was made, in ms since 1970.
    pub created_ms: u64,
    /// Whatever the user attached to it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether nobody gave it a name.
    #[serde(default)]
    pub is_anonymous: bool,
}

/// A volume in a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub name: String,
    /// What is written of it.
    pub description: Description,
    /// Where what partitions see is on the host.
    pub data: PathBuf,
    /// Whether a partition has it.
    pub is_used: bool,
}

/// A volume that stays for as long as this is kept, in this process and its copies.
#[derive(Debug)]
pub struct Held {
    /// Where what partitions see is on the host.
    pub data: PathBuf,
    /// Locked.
    handle: OwnedFd,
    /// Its folder.
    place: PathBuf,
}

/// All volumes of one user.
#[derive(Clone, Debug)]
pub struct Volumes {
    base: PathBuf,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> VolumesError + '_ {
    move |error| VolumesError::File(path.to_owned(), error)
}

fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}

impl Volumes {
    /// Of the volumes below a data directory, which need not exist.
    #[must_use]
    pub fn new(data: &Path) -> Self {
        Self { base: data.join("volumes") }
    }

    /// Makes a volume, unless there is one of that name. False if there was. The name is one by
    /// [`septum_api_types::volume::name`].
    ///
    /// # Errors
    /// The host does not let us; then nothing is left of it.
    pub fn create(&self, name: &str, description: &Description) -> Result<bool, VolumesError> {
        let place = self.base.join(name);
        if place.exists() {
            return Ok(false);
        }
        let made = DirBuilder::new().mode(0o700).recursive(true).create(&self.base);
        made.map_err(failed(&self.base))?;
        self.sweep();
        let mut attempts = 0;
        loop {
            let id = new_id().map_err(failed(&place))?;
            let fresh = self.base.join(format!("{NEW}{id}"));
            let made = Self::furnish(&fresh, &place, description);
            if !matches!(made, Ok(true)) {
                let _ = fs::remove_dir_all(&fresh);
            }
            match made {
                // Somebody has swept it away before it was locked.
                Err(error) if error.kind() == ErrorKind::NotFound && attempts < 8 => attempts += 1,
                made => return made.map_err(failed(&place)),
            }
        }
    }

    fn furnish(fresh: &Path, place: &Path, description: &Description) -> io::Result<bool> {
        DirBuilder::new().mode(0o700).create(fresh)?;
        let handle = open_folder(fresh)?;
        flock(&handle, FlockOperation::NonBlockingLockExclusive)?;
        fs::write(fresh.join(DESCRIPTION), serde_json::to_vec_pretty(description)?)?;
        let data = fresh.join(DATA);
        fs::create_dir(&data)?;
        // Whoever runs the program is to see what is in there, whatever this process's mask.
        fs::set_permissions(&data, fs::Permissions::from_mode(0o755))?;
        match fs::rename(fresh, place) {
            Ok(()) => Ok(true),
            // Somebody else has made it meanwhile: a folder that is not empty is not replaced.
            Err(error) if matches!(error.kind(), ErrorKind::DirectoryNotEmpty | ErrorKind::AlreadyExists) => {
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    /// The volume with this name, made if there is none, for as long as the caller keeps what is returned.
    ///
    /// # Errors
    /// The host does not let us.
    pub fn hold(&self, name: &str) -> Result<Held, VolumesError> {
        let place = self.base.join(name);
        let start = Instant::now();
        loop {
            match open_folder(&place) {
                Ok(handle) => match flock(&handle, FlockOperation::NonBlockingLockShared) {
                    Ok(()) if is_at(&handle, &place) => {
                        return Ok(Held { data: place.join(DATA), handle, place });
                    }
                    // Somebody removes it, or has.
                    Ok(()) | Err(Errno::WOULDBLOCK)
                        if start.elapsed() < PATIENCE || is_being_filled(&place) =>
                    {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    Ok(()) | Err(Errno::WOULDBLOCK) => return Err(VolumesError::InUse),
                    Err(error) => return Err(failed(&place)(error.into())),
                },
                Err(error) if error.kind() == ErrorKind::NotFound => {
                    let description = Description { created_ms: now_ms(), ..Description::default() };
                    self.create(name, &description)?;
                }
                Err(error) => return Err(failed(&place)(error)),
            }
        }
    }

    /// Copies something into a volume that is empty, and that nobody else has; until all of it is there, none of it is. `copy` gets an empty
    /// directory, whose owner and permissions become the volume's.
    ///
    /// # Errors
    /// The host does not let us; then the volume is as empty as it was.
    pub fn fill(&self, held: &Held, copy: impl FnOnce(&Path) -> io::Result<()>) -> Result<(), VolumesError> {
        let failed = failed(&held.place);
        let is_empty = || fs::read_dir(&held.data).is_ok_and(|mut entries| entries.next().is_none());
        if !is_empty() || flock(&held.handle, FlockOperation::NonBlockingLockExclusive).is_err() {
            // What was a lock is none while it is exchanged: it may have been lost, and is taken back in any case.
            return flock(&held.handle, FlockOperation::LockShared).map_err(|error| failed(error.into()));
        }
        let fresh = held.place.join(format!("{FILL}{}", new_id().map_err(&failed)?));
        let made = || -> io::Result<()> {
            for left in leftovers(&held.place) {
                remove_all(&left)?;
            }
            DirBuilder::new().mode(0o700).create(&fresh)?;
            copy(&fresh)?;
            // It takes the place of an empty directory, or nothing happens.
            fs::rename(&fresh, &held.data)
        };
        let made = if is_empty() { made() } else { Ok(()) };
        if made.is_err() {
            let _ = remove_all(&fresh);
        }
        let locked = flock(&held.handle, FlockOperation::LockShared).map_err(io::Error::from);
        made.and(locked).map_err(failed)
    }

    /// Removes a volume that the caller has, unless somebody else has it, too.
    ///
    /// # Errors
    /// See [`remove`](Self::remove).
    pub fn give_up(&self, held: Held) -> Result<(), VolumesError> {
        flock(&held.handle, FlockOperation::NonBlockingLockExclusive).map_err(|_| VolumesError::InUse)?;
        self.remove_locked(&held.handle, &held.place)
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// The host does not let us look.
    pub fn list(&self) -> Result<Vec<Listed>, VolumesError> {
        let entries = match fs::read_dir(&self.base) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(failed(&self.base)(error)),
        };
        let names = entries.flatten().filter_map(|entry| entry.file_name().into_string().ok());
        let mut names: Vec<String> = names.filter(|name| !name.starts_with('.')).collect();
        names.sort();
        Ok(names.into_iter().filter_map(|name| self.look(name)).collect())
    }

    /// The volume with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn find(&self, name: &str) -> Result<Listed, VolumesError> {
        let is_name = septum_api_types::volume::name(name.as_bytes()).is_ok();
        let found = if is_name { self.look(name.to_owned()) } else { None };
        found.ok_or_else(|| VolumesError::Missing(name.to_owned()))
    }

    fn look(&self, name: String) -> Option<Listed> {
        let place = self.base.join(&name);
        let handle = open_folder(&place).ok()?;
        let is_used = !is_free(&handle);
        drop(handle);
        let description = describe(&place).unwrap_or_else(|| Description {
            created_ms: fs::metadata(&place)
                .map_or(0, |metadata| u64::try_from(metadata.mtime()).unwrap_or(0).saturating_mul(1000)),
            ..Description::default()
        });
        Some(Listed { name, description, data: place.join(DATA), is_used })
    }

    /// Removes a volume with all that is in it.
    ///
    /// # Errors
    /// There is none, a partition has it, or the host does not let us: then it may be gone from the list, and a part of its files not
    /// from the disk.
    pub fn remove(&self, name: &str) -> Result<(), VolumesError> {
        self.find(name)?;
        let place = self.base.join(name);
        let missing = || VolumesError::Missing(name.to_owned());
        let handle = open_folder(&place).map_err(|_| missing())?;
        if !is_free(&handle) {
            return Err(VolumesError::InUse);
        }
        self.remove_locked(&handle, &place)
    }

    fn remove_locked(&self, handle: &OwnedFd, place: &Path) -> Result<(), VolumesError> {
        if !is_at(handle, place) {
            let name = place.file_name().unwrap_or_default().to_string_lossy();
            return Err(VolumesError::Missing(name.into_owned()));
        }
        let id = new_id().map_err(failed(place))?;
        let gone = self.base.join(format!("{GONE}{id}"));
        fs::rename(place, &gone).map_err(failed(place))?;
        self.sweep();
        remove_all(&gone).map_err(failed(&gone))
    }

    /// Removes what those who were killed have left.
    fn sweep(&self) {
        for entry in fs::read_dir(&self.base).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let is_left = name.to_str().is_some_and(|name| name.starts_with(NEW) || name.starts_with(GONE));
            if is_left
                && let Ok(handle) = open_folder(&entry.path())
                && flock(&handle, FlockOperation::NonBlockingLockExclusive).is_ok()
            {
                let _ = remove_all(&entry.path());
            }
        }
    }
}

/// What those have left who began to fill a volume.
fn leftovers(place: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(place).into_iter().flatten().flatten();
    let is_one = |entry: &fs::DirEntry| entry.file_name().to_str().is_some_and(|name| name.starts_with(FILL));
    entries.filter(is_one).map(|entry| entry.path()).collect()
}

/// Whether somebody who has the lock fills the volume, which may take long.
fn is_being_filled(place: &Path) -> bool {
    !leftovers(place).is_empty()
}

fn describe(place: &Path) -> Option<Description> {
    use std::io::Read as _;
    let mut text = Vec::new();
    File::open(place.join(DESCRIPTION)).ok()?.take(DESCRIPTION_LIMIT).read_to_end(&mut text).ok()?;
    serde_json::from_slice(&text).ok()
}

fn open_folder(path: &Path) -> io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    Ok(open(path, flags, Mode::empty())?)
}

/// Takes the lock if nobody has it, and keeps it as long as the folder is open. Whoever only looks has it for a moment, too.
fn is_free(handle: &OwnedFd) -> bool {
    (0..4).any(|attempt| {
        std::thread::sleep(Duration::from_millis(attempt));
        flock(handle, FlockOperation::NonBlockingLockExclusive).is_ok()
    })
}

/// Whether the folder that is open is the one with this name.
fn is_at(handle: &OwnedFd, place: &Path) -> bool {
    match (fstat(handle), fs::symlink_metadata(place)) {
        (Ok(open), Ok(named)) => (open.st_dev, open.st_ino) == (named.dev(), named.ino()),
        _ => false,
    }
}

/// Removes a folder with all that is in it, also where a program has taken its owner the right to look into it, and however deep it goes:
/// folders in folders are moved up, so that there is no path that is too long and nothing to come back from.
fn remove_all(folder: &Path) -> io::Result<()> {
    let id = new_id()?;
    let mut moved = 0_u64;
    loop {
        let mut has_folders = false;
        for entry in fs::read_dir(folder)? {
            let entry = entry?;
            // Of a link it is the link's own kind.
            if !entry.file_type()?.is_dir() {
                fs::remove_file(entry.path())?;
                continue;
            }
            has_folders = true;
            open_up(&entry.path());
            for inner in fs::read_dir(entry.path())? {
                let inner = inner?;
                if inner.file_type()?.is_dir() {
                    moved += 1;
                    open_up(&inner.path());
                    fs::rename(inner.path(), folder.join(format!("{id}-{moved}")))?;
                } else {
                    fs::remove_file(inner.path())?;
                }
            }
            fs::remove_dir(entry.path())?;
        }
        if !has_folders {
            return fs::remove_dir(folder);
        }
    }
}

/// Lets the owner of a folder remove and move what is in it. Where that fails, what follows does and tells why.
fn open_up(folder: &Path) {
    let _ = fs::set_permissions(folder, fs::Permissions::from_mode(0o700));
}

#[cfg(test)]
#[path = "volumes_tests.rs"]
mod tests;
