//! A directory of the host.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::Path;

use rustix::fs::{Mode, OFlags};

use super::Unpacking;
use crate::error::Error;
use crate::tree::{Attributes, Body, Tree};

/// The longest extended attribute (XATTR_SIZE_MAX), and list of their names.
const LONGEST: usize = 65_536;

/// Adds what is below `source` to the tree, below `target`. A file is added alone, as `target`. If an `owner` is given, all of it is theirs.
pub(crate) fn load(
    source: &Path,
    target: &[u8],
    owner: Option<(u32, u32)>,
    tree: &mut Tree,
    unpacking: &mut Unpacking<'_>,
) -> Result<(), Error> {
    let mut linked: HashMap<(u64, u64), Vec<u8>> = HashMap::new();
    let mut waiting = vec![(source.to_owned(), target.to_vec())];
    while let Some((path, place)) = waiting.pop() {
        unpacking.count()?;
        let metadata = fs::symlink_metadata(&path).map_err(Error::host("read", &path))?;
        let key = (metadata.dev(), metadata.ino());
        if metadata.nlink() > 1 && !metadata.is_dir() {
            if let Some(first) = linked.get(&key) {
                tree.link(&place, first)?;
                continue;
            }
            linked.insert(key, place.clone());
        }
        let body = body(&path, &metadata, unpacking)?;
        let is_directory = matches!(body, Body::Directory(_));
        let mut attributes = attributes(&path, &metadata);
        if let Some((uid, gid)) = owner {
            (attributes.uid, attributes.gid) = (uid, gid);
        }
        tree.insert(&place, body, attributes)?;
        if !is_directory {
            continue;
        }
        for entry in fs::read_dir(&path).map_err(Error::host("read", &path))? {
            let entry = entry.map_err(Error::host("read", &path))?;
            let inside = [&place, entry.file_name().as_bytes()].join(&b'/');
            waiting.push((entry.path(), inside));
        }
    }
    Ok(())
}

fn body(path: &Path, metadata: &fs::Metadata, unpacking: &mut Unpacking<'_>) -> Result<Body, Error> {
    let kind = metadata.file_type();
    let device = || {
        let number = metadata.rdev();
        (rustix::fs::major(number), rustix::fs::minor(number))
    };
    Ok(if kind.is_dir() {
        Body::Directory(BTreeMap::new())
    } else if kind.is_symlink() {
        Body::Symlink(fs::read_link(path).map_err(Error::host("read", path))?.into_os_string().into_vec())
    } else if kind.is_char_device() {
        let (major, minor) = device();
        Body::CharacterDevice(major, minor)
    } else if kind.is_block_device() {
        let (major, minor) = device();
        Body::BlockDevice(major, minor)
    } else if kind.is_fifo() {
        Body::Fifo
    } else if kind.is_socket() {
        Body::Socket
    } else {
        unpacking.expect(metadata.len())?;
        Body::Regular(copy(path, metadata.len(), unpacking)?)
    })
}

/// Copies contents; as many bytes as were expected, should the file grow meanwhile.
fn copy(path: &Path, len: u64, unpacking: &mut Unpacking<'_>) -> Result<u64, Error> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::empty()).map_err(std::io::Error::from);
    let mut from = File::from(file.map_err(Error::host("open", path))?);
    let (number, place) = unpacking.building.place();
    let mut to = File::create(&place).map_err(Error::host("make", &place))?;
    std::io::copy(&mut std::io::Read::take(&mut from, len), &mut to).map_err(Error::host("copy", path))?;
    Ok(number)
}

fn attributes(path: &Path, metadata: &fs::Metadata) -> Attributes {
    Attributes {
        permissions: metadata.mode() & 0o7777,
        uid: metadata.uid(),
        gid: metadata.gid(),
        modified: (metadata.mtime(), u32::try_from(metadata.mtime_nsec()).unwrap_or(0)),
        extended: extended(path),
    }
}

/// The extended attributes that can be read; those of SELinux are the host's, not the file's.
fn extended(path: &Path) -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mut names = vec![0; LONGEST];
    let Ok(len @ 1..) = rustix::fs::llistxattr(path, &mut names[..]) else { return BTreeMap::new() };
    let names = names[..len].split(|&byte| byte == 0);
    let wanted = names.filter(|name| !name.is_empty() && *name != b"security.selinux");
    wanted
        .filter_map(|name| {
            let mut value = vec![0; LONGEST];
            let len = rustix::fs::lgetxattr(path, name, &mut value[..]).ok()?;
            value.truncate(len);
            Some((name.to_vec(), value))
        })
        .collect()
}
