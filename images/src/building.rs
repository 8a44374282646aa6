//! Where a build keeps what it unpacks.
//!
//! Each build has a directory of its own in the store, on the same file system, so that the result only has to be renamed. As long as the
//! build lives it holds a lock on a file there, which the host's kernel gives back however the build ends; who begins a build, or removes an
//! image, takes away directories whose lock nobody holds.

use std::fs::{self, File};
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};

use crate::error::Error;
use crate::verity::hexadecimal;

const LOCK: &str = "lock";

/// A build's directory; it goes with this.
#[derive(Debug)]
pub(crate) struct Building {
    path: PathBuf,
    _lock: File,
    contents: u64,
}

impl Building {
    /// A new one in `directory`.
    pub(crate) fn begin(directory: &Path) -> Result<Self, Error> {
        let mut random = [0_u8; 8];
        let _ = rustix::rand::getrandom(&mut random, rustix::rand::GetRandomFlags::empty());
        let path = directory.join(format!("{}-{}", std::process::id(), hexadecimal(&random)));
        // It appears with its lock held, so that nobody takes it for a dead one's.
        let unlocked = path.with_extension("new");
        make_directory(&unlocked)?;
        let lock_path = unlocked.join(LOCK);
        let lock = File::create(&lock_path).map_err(Error::host("make", &lock_path))?;
        flock(&lock, FlockOperation::NonBlockingLockExclusive)
            .map_err(|error| Error::host("lock", &lock_path)(error.into()))?;
        fs::rename(&unlocked, &path).map_err(Error::host("make", &path))?;
        let building = Self { path, _lock: lock, contents: 0 };
        make_directory(&building.path.join("contents"))?;
        Ok(building)
    }

    /// The directory.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// A new place for contents, and its number.
    pub(crate) fn place(&mut self) -> (u64, PathBuf) {
        self.contents += 1;
        (self.contents, self.contents_path(self.contents))
    }

    /// Where contents are.
    pub(crate) fn contents_path(&self, number: u64) -> PathBuf {
        self.path.join("contents").join(number.to_string())
    }
}

impl Drop for Building {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.path);
    }
}

/// Removes what builds have left that ended without doing so.
pub(crate) fn sweep(directory: &Path) {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let path = entry.path();
        let lock = File::open(path.join(LOCK));
        let is_alive = match &lock {
            Ok(lock) => flock(lock, FlockOperation::NonBlockingLockExclusive).is_err(),
            // About to be locked, for a moment.
            Err(_) => is_young(&path),
        };
        let is_about_to_be = path.extension().is_some() && is_young(&path);
        if !is_alive && !is_about_to_be {
            let _ = fs::remove_dir_all(&path);
        }
    }
}

fn is_young(path: &Path) -> bool {
    let age =
        fs::metadata(path).and_then(|metadata| metadata.modified()).ok().and_then(|time| time.elapsed().ok());
    age.is_none_or(|age| age.as_secs() < 60)
}

/// Makes a directory that only we can look into.
pub(crate) fn make_directory(path: &Path) -> Result<(), Error> {
    fs::DirBuilder::new().mode(0o700).create(path).map_err(Error::host("make", path))
}
