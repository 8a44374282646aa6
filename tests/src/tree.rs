//! A directory as a value: every path below it with its kind, mode and content.
//!
//! Two programs had the same effect on a directory when its trees are equal. Times, owners and inode numbers are
//! left out: they are never the same twice.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::diff;

/// One thing in a directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A directory, with its permission bits.
    Directory { mode: u32 },
    /// A regular file, with its permission bits, its number of names and its bytes.
    File { mode: u32, links: u64, content: Vec<u8> },
    /// A symbolic link.
    Symlink { target: PathBuf },
    /// A device, socket or pipe.
    Special { mode: u32 },
}

/// Everything below one directory, by relative path.
pub type Tree = BTreeMap<PathBuf, Entry>;

/// Reads a directory and everything below it.
///
/// # Panics
///
/// When something in it cannot be read.
pub fn read(root: &Path) -> Tree {
    let mut tree = Tree::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        let listing = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        for item in listing {
            let path = item.expect("a directory entry").path();
            let entry = entry(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            if matches!(entry, Entry::Directory { .. }) {
                folders.push(path.clone());
            }
            tree.insert(path.strip_prefix(root).expect("below the root").to_path_buf(), entry);
        }
    }
    tree
}

fn entry(path: &Path) -> std::io::Result<Entry> {
    let metadata = fs::symlink_metadata(path)?;
    let mode = metadata.permissions().mode() & 0o7777;
    let kind = metadata.file_type();
    Ok(if kind.is_dir() {
        Entry::Directory { mode }
    } else if kind.is_symlink() {
        Entry::Symlink { target: fs::read_link(path)? }
    } else if kind.is_file() {
        Entry::File { mode, links: metadata.nlink(), content: fs::read(path)? }
    } else {
        Entry::Special { mode }
    })
}

/// How the second tree differs from the first, one line for each path; empty when they are equal.
pub fn differences(native: &Tree, partition: &Tree) -> Vec<String> {
    let mut paths: Vec<&PathBuf> = native.keys().chain(partition.keys()).collect();
    paths.sort();
    paths.dedup();
    let mut found = Vec::new();
    for path in paths {
        let name = path.as_os_str().as_bytes().escape_ascii();
        match (native.get(path), partition.get(path)) {
            (Some(_), None) => found.push(format!("{name}: the partition did not leave it")),
            (None, Some(_)) => found.push(format!("{name}: only the partition left it")),
            (Some(ours), Some(theirs)) if ours != theirs => {
                found.push(format!("{name}: {}", change(ours, theirs)))
            }
            _ => {}
        }
    }
    found
}

fn change(ours: &Entry, theirs: &Entry) -> String {
    if let (
        Entry::File { mode, links, content },
        Entry::File { mode: their_mode, links: their_links, content: their_content },
    ) = (ours, theirs)
    {
        if (mode, links) != (their_mode, their_links) {
            return format!(
                "mode {mode:o} and {links} links natively, {their_mode:o} and {their_links} in the partition"
            );
        }
        return diff::difference("content", content, their_content).unwrap_or_default();
    }
    format!("{ours:?} natively, {theirs:?} in the partition")
}

#[cfg(test)]
mod tests {
    use super::{differences, read};
    use std::fs;

    #[test]
    fn a_changed_byte_and_a_missing_file_are_found() {
        let left = tempfile::tempdir().expect("a directory");
        let right = tempfile::tempdir().expect("a directory");
        for (folder, text) in [(&left, "one"), (&right, "two")] {
            fs::create_dir(folder.path().join("sub")).expect("a directory");
            fs::write(folder.path().join("sub/file"), text).expect("a file");
        }
        fs::write(left.path().join("extra"), "").expect("a file");
        let found = differences(&read(left.path()), &read(right.path()));
        assert_eq!(found.len(), 2, "{found:?}");
        assert!(found[0].starts_with("extra:"), "{found:?}");
        assert!(found[1].starts_with("sub/file: content differs at byte 0"), "{found:?}");
    }
}
