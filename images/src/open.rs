//! Opening an image that is what it should be.
//!
//! ```text
//! the file system guards it (fs-verity)?  its digest is the one?  ──► done: every block is checked when it is read
//!                 │ no
//! looked at since the host started, and not changed?  ──► done
//!                 │ no
//! all of it is hashed  ──► the digest is the one?  ──► that is written down
//! ```
//!
//! A page that is mapped cannot be checked when it is touched, and hashing gigabytes at each start would cost seconds. So a file is
//! looked at whole once after each start of the host, and again when its inode, length or times are others than then: whoever
//! writes to a file changes those. What changes below the file system while the host runs (a bit on the disk, read
//! again later) is found by fs-verity only.

use std::fs::File;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::Path;

use septum_api_types::failure::Failure;
use septum_api_types::image::ImageSource;

use crate::error::Error;
use crate::fs_verity;
use crate::verity::{Leaves, named};

/// Opens the file of an image and makes sure that it is what its digest says.
///
/// # Errors
/// It is not there, or not what it should be.
pub fn open(source: &ImageSource) -> Result<File, Failure> {
    open_checked(source).map_err(|error| {
        let failure = error.failure(&format!("cannot use image '{}'", source.name));
        match error {
            Error::Damaged { .. } => {
                failure.hint("remove it and build it again: septum image rm, septum image build")
            }
            _ => failure,
        }
    })
}

fn open_checked(source: &ImageSource) -> Result<File, Error> {
    let path = source.file.as_path();
    let file = File::open(path).map_err(Error::host("open", path))?;
    let Some(digest) = &source.digest else { return Ok(file) };
    if let Some(measured) = fs_verity::measure(&file) {
        return if named(&measured) == *digest { Ok(file) } else { Err(mismatch(path, "the file system")) };
    }
    let record = source.record.as_ref().map(|record| record.as_path());
    let state = state(&file).map_err(Error::host("read", path))?;
    if record.is_some_and(|record| is_written_down(record, &state)) {
        return Ok(file);
    }
    check(&file, path, digest)?;
    // If it changed meanwhile, nothing is known.
    if let Some(record) = record
        && crate::open::state(&file).is_ok_and(|now| now == state)
    {
        write_down(record, &state);
    }
    Ok(file)
}

fn mismatch(path: &Path, who: &str) -> Error {
    Error::damaged(format!("'{}'", path.display()), format!("{who} finds another digest than its own"))
}

/// Hashes the whole file.
pub(crate) fn check(file: &File, path: &Path, digest: &str) -> Result<(), Error> {
    let found = Leaves::of(file).map_err(Error::host("read", path))?;
    if named(&found.digest()) == *digest {
        return Ok(());
    }
    let kept = std::fs::read(path.with_extension("tree")).ok();
    let kept = kept.and_then(|bytes| Leaves::from_bytes(bytes, file.metadata().ok()?.len()));
    // Hashes that do not lead to the digest say nothing.
    let kept = kept.filter(|kept| named(&kept.digest()) == *digest);
    match kept.and_then(|kept| kept.first_difference(&found)) {
        Some(offset) => Err(Error::damaged(
            format!("'{}'", path.display()),
            format!("the 4096 bytes at offset {offset} are not those that were stored"),
        )),
        None => Err(mismatch(path, "hashing it")),
    }
}

/// What tells that a file is the same as before, and this the same run of the host.
fn state(file: &File) -> std::io::Result<String> {
    let metadata = file.metadata()?;
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    Ok(format!(
        "{} {} {} {}.{} {}.{} {}\n",
        metadata.dev(),
        metadata.ino(),
        metadata.len(),
        metadata.mtime(),
        metadata.mtime_nsec(),
        metadata.ctime(),
        metadata.ctime_nsec(),
        boot.trim()
    ))
}

/// Whether only we may write in a directory.
fn is_ours(directory: &Path) -> bool {
    let own = rustix::process::geteuid().as_raw();
    std::fs::symlink_metadata(directory)
        .is_ok_and(|metadata| metadata.is_dir() && metadata.uid() == own && metadata.mode() & 0o022 == 0)
}

fn is_written_down(record: &Path, state: &str) -> bool {
    record.parent().is_some_and(is_ours) && std::fs::read_to_string(record).is_ok_and(|text| text == state)
}

/// A wish: without it, the file is looked at again the next time.
fn write_down(record: &Path, state: &str) {
    let Some(directory) = record.parent() else { return };
    let _ = std::fs::DirBuilder::new().mode(0o700).recursive(true).create(directory);
    if !is_ours(directory) {
        return;
    }
    let unfinished = record.with_extension(std::process::id().to_string());
    if std::fs::write(&unfinished, state).and_then(|()| std::fs::rename(&unfinished, record)).is_err() {
        let _ = std::fs::remove_file(&unfinished);
    }
}
