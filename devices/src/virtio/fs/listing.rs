//! Directories as the host lists them: names, kinds and numbers, without a look at each file.
//!
//! The passthrough file system opens every entry to learn its number, which the host's listing holds already.

use std::ffi::CStr;
use std::io;
use std::mem::MaybeUninit;
use std::path::Path;

use rustix::fs::{CWD, FileType, Mode, OFlags, RawDir, ResolveFlags, SeekFrom, fstat, openat2, seek, statfs};

/// What the numbers in a file system's listings are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Numbers {
    /// Those of the files, but for what is mounted over some of them: as programs of the host see it.
    Own,
    /// Something else, or the file system holds the places where others are mounted.
    Other,
}

impl Numbers {
    /// By the kind of file system that `directory` is on.
    pub(super) fn of(directory: &Path) -> Self {
        /// Overlays list the numbers of what they are made of.
        const OVERLAY: i64 = 0x794c_7630;
        /// The shared tree's own directories are in RAM.
        const RAM: i64 = 0x0102_1994;
        match statfs(directory) {
            Ok(status) if !matches!(status.f_type, OVERLAY | RAM) => Self::Own,
            _ => Self::Other,
        }
    }
}

/// An entry as the host lists it.
pub(super) struct Listed<'a> {
    pub(super) name: &'a CStr,
    pub(super) number: u64,
    /// `DT_…`.
    pub(super) kind: u8,
    /// The position after it.
    pub(super) next: u64,
}

/// Tells of the entries of `directory` from position `from` on, as many as fit `size` bytes of the host's own form, until `tell` wants no more.
/// False if what is at that path now is not the file `identity` (device and number): then nothing was told.
///
/// # Errors
/// What the host says, or `tell`.
pub(super) fn list(
    directory: &Path,
    identity: (u64, u64),
    from: u64,
    size: usize,
    mut tell: impl FnMut(Listed<'_>) -> io::Result<bool>,
) -> io::Result<bool> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    // The path was true a moment ago.
    let Ok(opened) = openat2(
        CWD,
        directory,
        flags,
        Mode::empty(),
        ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS,
    ) else {
        return Ok(false);
    };
    let status = fstat(&opened)?;
    if (status.st_dev, status.st_ino) != identity {
        return Ok(false);
    }
    if from > 0 {
        seek(&opened, SeekFrom::Start(from))?;
    }
    let mut buffer: Vec<MaybeUninit<u8>> = vec![MaybeUninit::uninit(); size];
    let mut entries = RawDir::new(&opened, &mut buffer);
    while let Some(entry) = entries.next() {
        let entry = entry?;
        let listed = Listed {
            name: entry.file_name(),
            number: entry.ino(),
            kind: kind(entry.file_type()),
            next: entry.next_entry_cookie(),
        };
        if !matches!(listed.name.to_bytes(), b"." | b"..") && !tell(listed)? {
            break;
        }
        if entries.is_buffer_empty() {
            // Another call to the host would be for more than was asked.
            break;
        }
    }
    Ok(true)
}

fn kind(kind: FileType) -> u8 {
    match kind {
        FileType::RegularFile => libc::DT_REG,
        FileType::Directory => libc::DT_DIR,
        FileType::Symlink => libc::DT_LNK,
        FileType::Fifo => libc::DT_FIFO,
        FileType::Socket => libc::DT_SOCK,
        FileType::CharacterDevice => libc::DT_CHR,
        FileType::BlockDevice => libc::DT_BLK,
        FileType::Unknown => libc::DT_UNKNOWN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;
    use std::fs;
    use std::os::unix::fs::MetadataExt as _;

    #[test]
    fn all_entries_in_small_pieces() {
        let folder = std::env::temp_dir().join(format!("septum-listing-{}", std::process::id()));
        fs::create_dir_all(folder.join("inner")).unwrap();
        let names: Vec<String> = (0..300).map(|number| format!("file {number}")).collect();
        names.iter().for_each(|name| fs::write(folder.join(name), "").unwrap());
        let status = fs::metadata(&folder).unwrap();
        let identity = (status.dev(), status.ino());

        let mut found = BTreeMap::new();
        let mut position = 0;
        loop {
            let before = found.len();
            let is_it = list(&folder, identity, position, 512, |entry| {
                found.insert(entry.name.to_str().unwrap().to_owned(), (entry.number, entry.kind));
                position = entry.next;
                Ok(found.len() % 5 != 0)
            });
            assert!(is_it.unwrap());
            if found.len() == before {
                break;
            }
        }
        assert_eq!(found.len(), 301);
        for (name, (number, kind)) in &found {
            let expected = if name == "inner" { libc::DT_DIR } else { libc::DT_REG };
            assert_eq!((*number, *kind), (fs::metadata(folder.join(name)).unwrap().ino(), expected));
        }

        let other = (identity.0, identity.1 + 1);
        assert!(!list(&folder, other, 0, 512, |_| panic!("told")).unwrap());
        let link = folder.join("link");
        std::os::unix::fs::symlink(&folder, &link).unwrap();
        assert!(!list(&link, identity, 0, 512, |_| panic!("told")).unwrap());
        assert!(!list(&folder.join("absent"), identity, 0, 512, |_| panic!("told")).unwrap());
        fs::remove_dir_all(folder).unwrap();
    }
}
