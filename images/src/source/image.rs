//! An image of the store, as what another is made from.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::Write as _;

use septum_erofs::{Image, Inode, Kind, device_number};

use super::{Loaded, Unpacking};
use crate::error::Error;
use crate::open;
use crate::reference::Reference;
use crate::storage::FileStorage;
use crate::store::Store;
use crate::tree::{Attributes, Body, Tree};

/// Bytes copied at a time.
const PIECE: usize = 1 << 20;

/// Reads an image of the store.
pub(super) fn load(
    reference: &Reference,
    store: &Store,
    unpacking: &mut Unpacking<'_>,
) -> Result<Loaded, Error> {
    let stored = store.stored(&store.resolve(reference)?)?;
    let image = open_files(store, &stored.files)?;
    let what = reference.to_string();
    let damaged = |error: septum_erofs::Error| Error::damaged(format!("image '{what}'"), error.to_string());
    let mut tree = Tree::new();
    let mut linked: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut waiting = vec![(image.root(), Vec::new())];
    while let Some((number, path)) = waiting.pop() {
        unpacking.count()?;
        let inode = image.inode(number).map_err(damaged)?;
        if let Some(first) = linked.get(&number) {
            if inode.kind == Kind::Directory {
                return Err(Error::damaged(format!("image '{what}'"), "a directory is in two places"));
            }
            tree.link(&path, first)?;
            continue;
        }
        linked.insert(number, path.clone());
        let (major, minor) = device_number(inode.device);
        let body = match inode.kind {
            Kind::Directory => Body::Directory(BTreeMap::new()),
            Kind::Regular => Body::Regular(copy(&image, &inode, &what, unpacking)?),
            Kind::Symlink => Body::Symlink(image.read_link(&inode).map_err(damaged)?),
            Kind::CharacterDevice => Body::CharacterDevice(major, minor),
            Kind::BlockDevice => Body::BlockDevice(major, minor),
            Kind::Fifo => Body::Fifo,
            Kind::Socket => Body::Socket,
        };
        tree.insert(&path, body, attributes(&image, &inode).map_err(damaged)?)?;
        if inode.kind == Kind::Directory {
            let mut push = |entry: septum_erofs::Entry<'_>| {
                if !matches!(entry.name, b"." | b"..") {
                    waiting.push((entry.number, [&path[..], entry.name].join(&b'/')));
                }
                true
            };
            image.list(&inode, 0, &mut push).map_err(damaged)?;
        }
    }
    Ok(Loaded { tree, config: stored.config })
}

/// Opens the files of a stored image, which are what their digest says.
pub(crate) fn open_files(store: &Store, digest: &str) -> Result<Image<FileStorage>, Error> {
    let path = store.file(digest);
    let file = File::open(&path).map_err(Error::host("open", &path))?;
    open::check(&file, &path, digest)?;
    let storage = FileStorage::of(file).map_err(Error::host("read", &path))?;
    Image::open(storage).map_err(|error| Error::damaged(format!("'{}'", path.display()), error.to_string()))
}

pub(crate) fn attributes(
    image: &Image<FileStorage>,
    inode: &Inode,
) -> Result<Attributes, septum_erofs::Error> {
    let names = image.attribute_names(inode)?;
    let names = names.split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let extended = names.map(|name| Ok((name.to_vec(), image.attribute(inode, name)?)));
    Ok(Attributes {
        permissions: inode.permissions,
        uid: inode.uid,
        gid: inode.gid,
        modified: inode.modified,
        extended: extended.collect::<Result<_, _>>()?,
    })
}

/// Copies contents to a file of our own.
fn copy(
    image: &Image<FileStorage>,
    inode: &Inode,
    what: &str,
    unpacking: &mut Unpacking<'_>,
) -> Result<u64, Error> {
    unpacking.expect(inode.size)?;
    let (number, place) = unpacking.building.place();
    let mut file = File::create(&place).map_err(Error::host("make", &place))?;
    let mut buffer = vec![0; PIECE.min(usize::try_from(inode.size).unwrap_or(PIECE))];
    let mut at = 0;
    while at < inode.size {
        let read = image.read_contents(inode, at, &mut buffer);
        let len = read.map_err(|error| Error::damaged(format!("image '{what}'"), error.to_string()))?;
        file.write_all(&buffer[..len]).map_err(Error::host("write", &place))?;
        at += u64::try_from(len).unwrap_or(0).max(1);
    }
    Ok(number)
}
