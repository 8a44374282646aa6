//! What an image can be made from.

mod archive;
mod directory;
mod docker;
pub(crate) mod image;
mod layer;
mod oci;
mod recipe;
mod tar_reader;
mod zstd;

use std::fs::{self, File};
use std::io::{Read as _, Seek as _};
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use archive::Archive;
use layer::Known;

use crate::building::Building;
use crate::config::Config;
use crate::error::Error;
use crate::limits::Limits;
use crate::store::Store;
use crate::tree::Tree;

/// The files and the configuration of a source.
#[derive(Debug)]
pub(crate) struct Loaded {
    pub(crate) tree: Tree,
    pub(crate) config: Config,
}

/// Where contents go, and how many there were.
pub(crate) struct Unpacking<'a> {
    pub(crate) building: &'a mut Building,
    pub(crate) limits: Limits,
    pub(crate) bytes: u64,
    pub(crate) entries: u64,
}

impl Unpacking<'_> {
    /// Counts a file.
    pub(crate) fn count(&mut self) -> Result<(), Error> {
        self.entries += 1;
        self.limits.check_entries(self.entries)
    }

    /// Counts contents that are about to be written.
    pub(crate) fn expect(&mut self, bytes: u64) -> Result<(), Error> {
        self.bytes = self.bytes.saturating_add(bytes);
        self.limits.check_bytes(self.bytes)
    }
}

/// Reads a source. `store` is where images are that it names.
pub(crate) fn load(
    path: &Path,
    store: &Store,
    building: &mut Building,
    limits: Limits,
) -> Result<Loaded, Error> {
    let mut unpacking = Unpacking { building, limits, bytes: 0, entries: 0 };
    let is_recipe = path.extension().is_some_and(|extension| extension == recipe::EXTENSION);
    if is_recipe && path.is_file() {
        return recipe::load(path, store, &mut unpacking);
    }
    load_from(path, &mut unpacking)
}

/// Reads a source that is no recipe.
fn load_from(path: &Path, unpacking: &mut Unpacking<'_>) -> Result<Loaded, Error> {
    let metadata = fs::metadata(path).map_err(Error::host("read", path))?;
    if metadata.is_dir() {
        if path.join(oci::MARK).is_file() {
            return oci::load(&Archive::Directory(path.to_owned()), unpacking);
        }
        let mut tree = Tree::new();
        let path = path.canonicalize().map_err(Error::host("read", path))?;
        directory::load(&path, b"", None, &mut tree, unpacking)?;
        return Ok(Loaded { tree, config: Config::default() });
    }
    if !metadata.is_file() {
        return Err(Error::Unusable(format!("'{}' is neither a file nor a directory", path.display())));
    }
    let what = format!("'{}'", path.display());
    let file = plain(path, &what, unpacking)?;
    let archive = Archive::open(file.try_clone().map_err(Error::host("read", path))?, &what)?;
    if archive.has(oci::MARK) && archive.has("index.json") {
        oci::load(&archive, unpacking)
    } else if archive.has(docker::MANIFEST) {
        docker::load(&archive, unpacking)
    } else {
        // A root in a tar.
        let mut tree = Tree::new();
        let mut file = file;
        file.rewind().map_err(Error::host("read", path))?;
        layer::unpack(file, &what, Known::default(), &mut tree, unpacking)?;
        Ok(Loaded { tree, config: Config::default() })
    }
}

/// An archive, uncompressed.
fn plain(path: &Path, what: &str, unpacking: &mut Unpacking<'_>) -> Result<File, Error> {
    let file = File::open(path).map_err(Error::host("open", path))?;
    let mut magic = [0; 2];
    let is_compressed =
        file.read_exact_at(&mut magic, 0).is_ok() && matches!(magic, [0x1f, 0x8b] | [0x28, 0xb5]);
    if !is_compressed {
        return Ok(file);
    }
    let (_, place) = unpacking.building.place();
    let whole = File::options().read(true).write(true).create_new(true).open(&place);
    let mut whole = whole.map_err(Error::host("make", &place))?;
    let most = unpacking.limits.bytes.saturating_add(1);
    let mut archive = layer::decompress(file, what)?.take(most);
    let copied = std::io::copy(&mut archive, &mut whole)
        .map_err(|error| Error::damaged(what, tar_reader::unreadable(&error)))?;
    unpacking.limits.check_bytes(copied)?;
    whole.rewind().map_err(Error::host("read", &place))?;
    Ok(whole)
}
