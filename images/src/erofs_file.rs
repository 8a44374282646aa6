//! The image's file: `mkfs.erofs` writes it, and what the stage could not have is written into it.
//!
//! Inodes are extended ones, with room for everything, and contents of regular files are in whole blocks, so that every page can be mapped. Nothing
//! in the file depends on when, where or by whom it was made.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::process::{Command, Stdio};

use septum_erofs::{Image, Inode, Page, SUPERBLOCK_OFFSET};

use crate::error::Error;
use crate::stage::{NAMESPACES, Stage, WAITING};
use crate::storage::FileStorage;
use crate::tree::{Attributes, Body, Id, ROOT, Tree};

/// Attributes behind each inode, not shared: who shares one may not want it changed.
const NEVER_SHARED: &str = "-x1000000";
const NO_ATTRIBUTES: &str = "-x-1";
/// Bytes an entry of a directory, and where in it the kind is.
const ENTRY: u64 = 12;
const ENTRY_KIND: u64 = 10;

/// Writes the image of a stage to `target`.
pub(crate) fn write(tree: &Tree, stage: &Stage, target: &Path) -> Result<(), Error> {
    let mut mkfs = Command::new("mkfs.erofs");
    mkfs.arg("--quiet").args(["-T0", "-U", "00000000-0000-0000-0000-000000000000"]);
    mkfs.arg("-Enoinline_data,force-inode-extended");
    mkfs.arg(if stage.has_attributes { NEVER_SHARED } else { NO_ATTRIBUTES });
    mkfs.arg(target).arg(&stage.path).stdin(Stdio::null());
    let output = mkfs.output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => Error::NoTool,
        _ => Error::host("run", Path::new("mkfs.erofs"))(error),
    })?;
    if !output.status.success() {
        let said = [output.stderr, output.stdout].concat();
        let said = String::from_utf8_lossy(&said);
        let said = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it says nothing").trim();
        return Err(Error::Tool(said.to_owned()));
    }
    complete(tree, target)
}

/// Writes owners, permissions, times, kinds and namespaces into the image.
fn complete(tree: &Tree, target: &Path) -> Result<(), Error> {
    let file = File::options().read(true).write(true).open(target).map_err(Error::host("open", target))?;
    let copy = file.try_clone().map_err(Error::host("open", target))?;
    let storage = FileStorage::of(copy).map_err(Error::host("read", target))?;
    let image = Image::open(storage).map_err(|error| Error::Tool(error.to_string()))?;
    let patch = Patch { tree, image: &image, file: &file };
    patch.superblock().and_then(|()| patch.all()).map_err(Error::host("write", target))?;
    drop(image);
    file.sync_all().map_err(Error::host("write", target))?;
    let mut permissions = file.metadata().map_err(Error::host("read", target))?.permissions();
    permissions.set_readonly(true);
    fs::set_permissions(target, permissions).map_err(Error::host("write", target))
}

struct Patch<'a> {
    tree: &'a Tree,
    image: &'a Image<FileStorage>,
    file: &'a File,
}

impl Patch<'_> {
    /// The superblock's own checksum covers the first inodes: the whole file's digest makes it superfluous.
    fn superblock(&self) -> io::Result<()> {
        const CHECKSUM: u64 = SUPERBLOCK_OFFSET + 4;
        const FEATURES: u64 = SUPERBLOCK_OFFSET + 8;
        let mut features = [0; 4];
        self.file.read_exact_at(&mut features, FEATURES)?;
        features[0] &= !1;
        self.file.write_all_at(&features, FEATURES)?;
        self.file.write_all_at(&[0; 4], CHECKSUM)
    }

    /// Goes through image and tree side by side.
    fn all(&self) -> io::Result<()> {
        let mut waiting = vec![(ROOT, self.image.root())];
        while let Some((id, number)) = waiting.pop() {
            let inode = self.image.inode(number).map_err(io::Error::other)?;
            self.inode(id, &inode)?;
            let Some(entries) = self.tree.entries(id) else { continue };
            let mut at = 0;
            let mut found = Vec::new();
            let mut collect = |entry: septum_erofs::Entry<'_>| {
                if let Some(child) = entries.get(entry.name) {
                    found.push((child.id, entry.number, at));
                }
                at = entry.next;
                true
            };
            self.image.list(&inode, 0, &mut collect).map_err(io::Error::other)?;
            if found.len() != entries.len() {
                return Err(io::Error::other("mkfs.erofs left files out"));
            }
            for (child, number, at) in found {
                self.kind(&inode, at, &self.tree.node(child).body)?;
                waiting.push((child, number));
            }
        }
        Ok(())
    }

    /// Writes the kind into an entry of a directory, whose position is `at`.
    fn kind(&self, directory: &Inode, at: u64, body: &Body) -> io::Result<()> {
        let code = match body {
            Body::CharacterDevice(..) => 3,
            Body::BlockDevice(..) => 4,
            Body::Fifo => 5,
            Body::Socket => 6,
            _ => return Ok(()),
        };
        let (Page::Block { offset, .. } | Page::Inline { offset, .. }) =
            directory.page(at / septum_erofs::BLOCK).ok_or(io::ErrorKind::InvalidData)?;
        self.file.write_all_at(&[code], offset + at % septum_erofs::BLOCK * ENTRY + ENTRY_KIND)
    }

    fn inode(&self, id: Id, inode: &Inode) -> io::Result<()> {
        let node = self.tree.node(id);
        let Attributes { permissions, uid, gid, modified, extended } = &node.attributes;
        let (kind, device) = match &node.body {
            Body::Directory(_) => (0o040_000, None),
            Body::Regular(_) => (0o100_000, None),
            Body::Symlink(_) => (0o120_000, None),
            Body::CharacterDevice(major, minor) => (0o020_000, Some((*major, *minor))),
            Body::BlockDevice(major, minor) => (0o060_000, Some((*major, *minor))),
            Body::Fifo => (0o010_000, Some((0, 0))),
            Body::Socket => (0o140_000, Some((0, 0))),
        };
        if !inode.is_extended {
            return Err(io::Error::other("mkfs.erofs wrote short inodes"));
        }
        let mode = u16::try_from(kind | permissions & 0o7777).unwrap_or(0);
        let at = inode.offset;
        self.file.write_all_at(&mode.to_le_bytes(), at + 4)?;
        if let Some((major, minor)) = device {
            let number = (minor & 0xff) | (major & 0xfff) << 8 | (minor & 0x000f_ff00) << 12;
            self.file.write_all_at(&number.to_le_bytes(), at + 16)?;
        }
        self.file.write_all_at(&uid.to_le_bytes(), at + 24)?;
        self.file.write_all_at(&gid.to_le_bytes(), at + 28)?;
        self.file.write_all_at(&modified.0.to_le_bytes(), at + 32)?;
        self.file.write_all_at(&modified.1.min(999_999_999).to_le_bytes(), at + 40)?;
        for (namespace, number) in NAMESPACES.iter().filter(|(namespace, _)| *namespace != WAITING) {
            for rest in extended.keys().filter_map(|name| name.strip_prefix(*namespace)) {
                let waiting = [WAITING, rest].concat();
                // What the host did not take is not there.
                if let Ok(place) = self.image.attribute_prefix_place(inode, &waiting) {
                    self.file.write_all_at(&[*number], place)?;
                }
            }
        }
        Ok(())
    }
}
