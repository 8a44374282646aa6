//! The tree as files of the host, for `mkfs.erofs`: names, links and contents.
//!
//! Whoever builds may not be able to give files away or make devices, so owners, permissions, times and devices are written into the
//! image afterwards ([`erofs_file`](crate::erofs_file)): the result does not depend on who builds. Extended attributes are all of users here, for the
//! same reason. What cannot be kept is counted.

use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::{collections::HashMap, ffi::OsStr};

use rustix::fs::XattrFlags;

use crate::building::{Building, make_directory};
use crate::error::Error;
use crate::tree::{Body, Id, ROOT, Tree};

/// A tree on the host.
pub(crate) struct Stage {
    pub(crate) path: PathBuf,
    /// Whether some file has extended attributes.
    pub(crate) has_attributes: bool,
    /// Extended attributes that the host would not take.
    pub(crate) attributes_lost: u64,
}

/// Where a namespace's attributes wait: those of others cannot be set by everybody.
pub(crate) const WAITING: &[u8] = b"user.";

/// The namespaces that an image keeps, and the numbers that EROFS has for them.
pub(crate) const NAMESPACES: [(&[u8], u8); 3] = [(b"user.", 1), (b"trusted.", 4), (b"security.", 6)];

/// Places all files.
pub(crate) fn place(tree: &Tree, building: &Building) -> Result<Stage, Error> {
    let mut stage = Stage { path: building.path().join("root"), has_attributes: false, attributes_lost: 0 };
    make_directory(&stage.path)?;
    let mut placed: HashMap<Id, PathBuf> = HashMap::new();
    let mut waiting = vec![(ROOT, stage.path.clone())];
    while let Some((id, path)) = waiting.pop() {
        stage.set_attributes(tree, id, &path);
        for (name, entry) in tree.entries(id).into_iter().flatten() {
            let place = path.join(OsStr::from_bytes(name));
            match placed.get(&entry.id) {
                Some(first) => fs::hard_link(first, &place).map_err(Error::host("make", &place))?,
                None => {
                    make(tree, entry.id, &place, building)?;
                    if tree.entries(entry.id).is_none() {
                        stage.set_attributes(tree, entry.id, &place);
                        placed.insert(entry.id, place);
                        continue;
                    }
                }
            }
            if tree.entries(entry.id).is_some() {
                waiting.push((entry.id, place));
            }
        }
    }
    Ok(stage)
}

fn make(tree: &Tree, id: Id, place: &Path, building: &Building) -> Result<(), Error> {
    match &tree.node(id).body {
        Body::Directory(_) => make_directory(place),
        Body::Regular(number) => {
            fs::rename(building.contents_path(*number), place).map_err(Error::host("make", place))
        }
        Body::Symlink(target) => {
            symlink(OsStr::from_bytes(target), place).map_err(Error::host("make", place))
        }
        // Stands for what is written into the image.
        Body::CharacterDevice(..) | Body::BlockDevice(..) | Body::Fifo | Body::Socket => {
            fs::write(place, []).map_err(Error::host("make", place))
        }
    }
}

impl Stage {
    fn set_attributes(&mut self, tree: &Tree, id: Id, path: &Path) {
        for (name, value) in &tree.node(id).attributes.extended {
            let rest = NAMESPACES.iter().find_map(|(namespace, _)| name.strip_prefix(*namespace));
            let is_set = rest.is_some_and(|rest| {
                let name = [WAITING, rest].concat();
                rustix::fs::lsetxattr(path, name.as_slice(), value, XattrFlags::CREATE).is_ok()
            });
            self.has_attributes |= is_set;
            self.attributes_lost += u64::from(!is_set);
        }
    }
}
