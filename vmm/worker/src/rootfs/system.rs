//! The host's system directories.
//!
//! On most hosts `/bin`, `/sbin` and `/lib*` are symbolic links into `/usr`; a link stays the link that it is, because
//! programs see and compare these paths.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use rustix::io::Errno;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

use super::namespace::refused;
use super::tree::{Access, Tree};
use crate::outcome::without_number;

/// Shared with every partition that brings no root of its own, as far as the host has them.
pub(super) const DIRECTORIES: [&str; 8] = ["usr", "bin", "sbin", "lib", "lib32", "lib64", "libx32", "opt"];

/// Directories that every root has, with their permissions.
const EMPTY: [(&str, u32); 14] = [
    ("dev", 0o755),
    ("etc", 0o755),
    ("home", 0o755),
    ("mnt", 0o755),
    ("proc", 0o555),
    ("root", 0o700),
    ("run", 0o755),
    ("srv", 0o755),
    ("sys", 0o555),
    ("tmp", 0o1777),
    ("var", 0o755),
    ("var/cache", 0o755),
    ("var/lib", 0o755),
    ("var/tmp", 0o1777),
];

/// One of [`DIRECTORIES`], ready to be put in place.
pub(super) enum Entry {
    Link(PathBuf),
    Tree(Tree),
}

/// Takes hold of the host's directories.
pub(super) fn collect() -> Result<Vec<(&'static str, Entry)>, Failure> {
    let mut entries = Vec::with_capacity(DIRECTORIES.len());
    for name in DIRECTORIES {
        let path = Path::new("/").join(name);
        match fs::read_link(&path) {
            Ok(target) => entries.push((name, Entry::Link(target))),
            Err(_) => match Tree::copy(&path, Access::ReadOnly) {
                Ok(tree) => entries.push((name, Entry::Tree(tree))),
                Err(Errno::NOENT) => {}
                Err(error) => return Err(refused(error, &format!("share /{name}"))),
            },
        }
    }
    Ok(entries)
}

/// Puts them, and the empty directories, below `base`.
pub(super) fn place(entries: Vec<(&'static str, Entry)>, base: &Path) -> Result<(), Failure> {
    for (name, permissions) in EMPTY {
        let path = base.join(name);
        make_directory(&path, permissions)?;
    }
    for (name, entry) in entries {
        let path = base.join(name);
        match entry {
            Entry::Link(target) => symlink(target, &path).map_err(|error| incomplete(&path, &error))?,
            Entry::Tree(tree) => {
                make_directory(&path, 0o755)?;
                tree.attach(&path).map_err(|error| refused(error, &format!("share /{name}")))?;
            }
        }
    }
    Ok(())
}

/// Makes a directory in the worker's own RAM file system.
pub(super) fn make_directory(path: &Path, permissions: u32) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().mode(permissions).create(path).map_err(|error| incomplete(path, &error))
}

/// Makes a directory in the worker's own RAM file system, and those that it is in.
pub(super) fn make_directories(path: &Path) -> Result<(), Failure> {
    use std::os::unix::fs::DirBuilderExt as _;
    let made = fs::DirBuilder::new().mode(0o755).recursive(true).create(path);
    made.map_err(|error| incomplete(path, &error))
}

/// Writes a file in the worker's own RAM file system.
pub(super) fn make_file(path: &Path, content: &[u8]) -> Result<(), Failure> {
    use std::io::Write as _;
    use std::os::unix::fs::OpenOptionsExt as _;
    let file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o644).open(path);
    file.and_then(|mut file| file.write_all(content)).map_err(|error| incomplete(path, &error))
}

/// Something in the worker's own RAM file system could not be made.
pub(super) fn incomplete(path: &Path, error: &std::io::Error) -> Failure {
    let what = format!("cannot make '{}' for the partition", path.display());
    Failure::new(Code::Internal, what, without_number(error))
}
