//! Copies a directory of an image to the host: what a volume begins with.
//!
//! What an image says is hostile. Everything is made anew below an empty directory of ours, and nothing that is there is ever followed: a name
//! that comes twice is an error, and so is a directory in two places. Devices and sockets are left out, and attributes that are not the users'.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::fs::{DirBuilder, File, Permissions};
use std::io::{self, Write as _};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, Mode, Timespec, Timestamps, XattrFlags, lsetxattr, mkfifoat, utimensat};
use septum_api_types::failure::Failure;
use septum_api_types::image::ImageSource;
use septum_erofs::{Error as Erofs, Image, Inode, Kind};

use crate::error::Error;
use crate::source::image::attributes;
use crate::storage::FileStorage;

/// Bytes copied at a time.
const PIECE: usize = 1 << 20;
/// Symbolic links followed on the way to the directory, as on Linux.
const LINK_LIMIT: u32 = 40;

/// A directory of an image.
#[derive(Debug)]
pub struct Directory {
    image: Image<FileStorage>,
    inode: Inode,
    name: String,
}

/// The directory that an image has at `path`, with links followed inside the image; `None` if it has none there.
///
/// # Errors
/// The image is not what it should be.
pub fn directory(source: &ImageSource, path: &Path) -> Result<Option<Directory>, Failure> {
    let file = crate::open(source)?;
    let what = format!("cannot read '{}' of image '{}'", path.display(), source.name);
    let storage = FileStorage::new(file)?;
    let damaged = |error: Erofs| Error::damaged("it", error.to_string()).failure(&what);
    let image = Image::open(storage).map_err(damaged)?;
    match find(&image, path) {
        Ok(inode) if inode.kind == Kind::Directory => {
            Ok(Some(Directory { image, inode, name: source.name.clone() }))
        }
        Ok(_) | Err(Erofs::Missing | Erofs::NotDirectory) => Ok(None),
        Err(error) => Err(damaged(error)),
    }
}

fn find(image: &Image<FileStorage>, path: &Path) -> Result<Inode, Erofs> {
    let parts = |path: &[u8]| -> Vec<Vec<u8>> {
        path.split(|&byte| byte == b'/').rev().filter(|part| !part.is_empty()).map(<[u8]>::to_vec).collect()
    };
    let mut left = parts(path.as_os_str().as_bytes());
    let mut way = vec![image.inode(image.root())?];
    let mut links = 0;
    while let Some(part) = left.pop() {
        let here = way.last().copied().ok_or(Erofs::Missing)?;
        match &part[..] {
            b"." => {}
            b".." => way.truncate((way.len() - 1).max(1)),
            name => {
                let next = image.inode(image.lookup(&here, name)?)?;
                if next.kind != Kind::Symlink {
                    way.push(next);
                    continue;
                }
                links += 1;
                if links > LINK_LIMIT {
                    return Err(Erofs::Missing);
                }
                let target = image.read_link(&next)?;
                if target.starts_with(b"/") {
                    way.truncate(1);
                }
                left.extend(parts(&target));
            }
        }
    }
    way.pop().ok_or(Erofs::Missing)
}

impl Directory {
    /// Whether there is nothing in it.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        let mut is_empty = true;
        let listed = self.image.list(&self.inode, 0, &mut |entry| {
            is_empty = matches!(entry.name, b"." | b"..");
            is_empty
        });
        // What makes no sense is told by whoever copies it.
        is_empty && listed.is_ok()
    }

    /// Copies it to an empty directory of the host, which gets its owner and permissions, too.
    ///
    /// # Errors
    /// The host does not let us, or the image makes no sense; a part may be there then.
    pub fn copy_to(&self, target: &Path) -> io::Result<()> {
        let mut directories = vec![(self.inode, target.to_owned())];
        let mut seen = HashSet::from([self.inode.number]);
        let mut linked: HashMap<u64, PathBuf> = HashMap::new();
        let mut at = 0;
        while let Some((inode, path)) = directories.get(at).cloned() {
            at += 1;
            let mut entries = Vec::new();
            let mut push = |entry: septum_erofs::Entry<'_>| {
                if !matches!(entry.name, b"." | b"..") {
                    entries.push((entry.number, path.join(OsStr::from_bytes(entry.name))));
                }
                true
            };
            self.image.list(&inode, 0, &mut push).map_err(|error| self.damaged(&error))?;
            for (number, path) in entries {
                let inode = self.image.inode(number).map_err(|error| self.damaged(&error))?;
                if inode.kind == Kind::Directory {
                    if !seen.insert(number) {
                        return Err(self.damaged(&"a directory is in two places"));
                    }
                    DirBuilder::new().mode(0o700).create(&path)?;
                    directories.push((inode, path));
                } else if let Some(first) = linked.get(&number) {
                    std::fs::hard_link(first, &path)?;
                } else if self.make(&inode, &path)? {
                    self.describe(&inode, &path)?;
                    if inode.links > 1 {
                        linked.insert(number, path);
                    }
                }
            }
        }
        // What is made in a directory changes its times, and may need rights that it takes away.
        directories.iter().rev().try_for_each(|(inode, path)| self.describe(inode, path))
    }

    fn damaged(&self, error: &dyn std::fmt::Display) -> io::Error {
        io::Error::other(format!("image '{}' is damaged: {error}", self.name))
    }

    /// Makes a file that is no directory; false if it is left out.
    fn make(&self, inode: &Inode, path: &Path) -> io::Result<bool> {
        match inode.kind {
            Kind::Regular => {
                let mut file = File::options().write(true).create_new(true).mode(0o600).open(path)?;
                self.copy(inode, &mut file)?;
            }
            Kind::Symlink => {
                let target = self.image.read_link(inode).map_err(|error| self.damaged(&error))?;
                symlink(OsStr::from_bytes(&target), path)?;
            }
            Kind::Fifo => mkfifoat(CWD, path, Mode::from_raw_mode(0o600))?,
            Kind::Directory | Kind::CharacterDevice | Kind::BlockDevice | Kind::Socket => return Ok(false),
        }
        Ok(true)
    }

    fn copy(&self, inode: &Inode, file: &mut File) -> io::Result<()> {
        let mut buffer = vec![0; PIECE.min(usize::try_from(inode.size).unwrap_or(PIECE))];
        let mut at = 0;
        while at < inode.size {
            let read = self.image.read_contents(inode, at, &mut buffer);
            let len = read.map_err(|error| self.damaged(&error))?;
            if len == 0 {
                return Err(self.damaged(&"a file ends before its end"));
            }
            file.write_all(&buffer[..len])?;
            at += u64::try_from(len).unwrap_or(0);
        }
        Ok(())
    }

    /// Owner, permissions, attributes and times of what was made.
    fn describe(&self, inode: &Inode, path: &Path) -> io::Result<()> {
        let described = attributes(&self.image, inode).map_err(|error| self.damaged(&error))?;
        match std::os::unix::fs::lchown(path, Some(inode.uid), Some(inode.gid)) {
            // Whoever is not root has all files for their own.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {}
            result => result?,
        }
        if inode.kind != Kind::Symlink {
            for (name, value) in &described.extended {
                if name.starts_with(b"user.") {
                    // A file system without them is no reason to have none of the files.
                    let _ = lsetxattr(path, OsStr::from_bytes(name), value, XattrFlags::empty());
                }
            }
            std::fs::set_permissions(path, Permissions::from_mode(inode.permissions))?;
        }
        let (tv_sec, nanoseconds) = inode.modified;
        let time = Timespec { tv_sec, tv_nsec: nanoseconds.into() };
        let times = Timestamps { last_access: time, last_modification: time };
        Ok(utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW)?)
    }
}
