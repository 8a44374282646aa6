//! What is kept.
//!
//! ```text
//! images/
//! ├── names/NAME:TAG         the digest of a configuration; a slash in a name is a plus
//! ├── configs/DIGEST.json    the configuration, and the digest of its files        (its name is its SHA-256)
//! ├── files/DIGEST.erofs     the files                                             (its name is its digest as of fs-verity)
//! ├── files/DIGEST.tree      the hashes that the digest is made of
//! ├── building/              builds that are under way
//! └── lock                   held while any of the above is renamed or removed
//! ```
//!
//! Everything is written elsewhere first and renamed, files before the configuration that names them, that before the name that names it: who
//! finds a name finds all. What a build that was killed left behind nobody refers to, and the next build or removal takes it away. Images of
//! running partitions may be removed: they keep what they have mapped.

use std::fs::{self, File};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{FlockOperation, flock};
use septum_api_types::image::ImageSource;
use sha2::{Digest as _, Sha256};

use crate::building::{Building, sweep};
use crate::config::{Config, Stored, VERSION};
use crate::error::Error;
use crate::reference::Reference;
use crate::source::{self, Loaded};
use crate::verity::{Leaves, hexadecimal, named};
use crate::{Limits, erofs_file, export, fs_verity, stage};

/// Configurations that are larger than this are none.
const LARGEST_CONFIG: u64 = 8 << 20;

/// The images of a user.
#[derive(Clone, Debug)]
pub struct Store {
    path: PathBuf,
}

/// An image in a list.
#[derive(Clone, Debug)]
pub struct Listed {
    /// Its name; `None` if it has none any more.
    pub name: Option<Reference>,
    /// The digits of its digest.
    pub digits: String,
    /// What is kept of it.
    pub stored: Stored,
    /// When it was stored, in seconds since 1970.
    pub stored_at: i64,
}

/// What to build.
#[derive(Clone, Debug, Default)]
pub struct Order {
    /// What from.
    pub source: PathBuf,
    /// Names for it.
    pub names: Vec<Reference>,
    /// How much it may be.
    pub limits: Limits,
}

/// What a build made.
#[derive(Clone, Debug)]
pub struct Built {
    /// The digits of its digest.
    pub digits: String,
    /// What is kept of it.
    pub stored: Stored,
    /// Extended attributes that could not be kept.
    pub attributes_lost: u64,
}

impl Store {
    /// The store in a data directory ([`septum_api_types::places::data_directory`]). Nothing is made yet.
    #[must_use]
    pub fn new(data_directory: &Path) -> Self {
        Self { path: data_directory.join("images") }
    }

    /// Whether there is anything.
    #[must_use]
    pub fn exists(&self) -> bool {
        self.path.is_dir()
    }

    /// Where the files with this digest are.
    pub(crate) fn file(&self, digest: &str) -> PathBuf {
        let digits = digest.strip_prefix("sha256:").unwrap_or(digest);
        self.path.join("files").join(format!("{digits}.erofs"))
    }

    fn config_file(&self, digits: &str) -> PathBuf {
        self.path.join("configs").join(format!("{digits}.json"))
    }

    fn name_file(&self, reference: &Reference) -> Option<PathBuf> {
        Some(self.path.join("names").join(reference.file_name()?))
    }

    /// Makes the directories that are not there.
    fn prepare(&self) -> Result<(), Error> {
        for directory in ["names", "configs", "files", "building"] {
            let path = self.path.join(directory);
            let mut builder = fs::DirBuilder::new();
            builder.mode(0o700).recursive(true).create(&path).map_err(Error::host("make", &path))?;
        }
        Ok(())
    }

    /// Keeps others from renaming and removing until it is dropped.
    fn lock(&self) -> Result<File, Error> {
        let path = self.path.join("lock");
        let file = File::options().write(true).create(true).truncate(false).open(&path);
        let file = file.map_err(Error::host("make", &path))?;
        flock(&file, FlockOperation::LockExclusive)
            .map_err(|error| Error::host("lock", &path)(error.into()))?;
        Ok(file)
    }

    /// Builds an image and stores it.
    ///
    /// # Errors
    /// See [`Error`]; then nothing is left of it.
    pub fn build(&self, order: &Order) -> Result<Built, Error> {
        self.prepare()?;
        sweep(&self.path.join("building"));
        let mut building = Building::begin(&self.path.join("building"))?;
        let loaded = source::load(&order.source, self, &mut building, order.limits)?;
        self.finish(loaded, &building, &order.names)
    }

    /// Removes what builds have left that were killed.
    pub fn sweep(&self) {
        sweep(&self.path.join("building"));
    }

    fn finish(&self, loaded: Loaded, building: &Building, names: &[Reference]) -> Result<Built, Error> {
        let Loaded { tree, config } = loaded;
        let staged = stage::place(&tree, building)?;
        let unnamed = building.path().join("image.erofs");
        erofs_file::write(&tree, &staged, &unnamed)?;
        let file = File::open(&unnamed).map_err(Error::host("open", &unnamed))?;
        let leaves = Leaves::of(&file).map_err(Error::host("read", &unnamed))?;
        let tree_file = building.path().join("image.tree");
        write_whole(&tree_file, leaves.as_bytes())?;
        // Where the host can: else it is looked at whole when it is opened.
        fs_verity::enable(&file);
        let stored = Stored {
            version: VERSION,
            files: named(&leaves.digest()),
            size: file.metadata().map_err(Error::host("read", &unnamed))?.len(),
            entries: tree.count(),
            config,
        };
        let (digits, text) = serialize(&stored)?;
        let config_file = building.path().join("config.json");
        write_whole(&config_file, &text)?;

        let _lock = self.lock()?;
        let rename = |from: &Path, to: &Path| fs::rename(from, to).map_err(Error::host("store", to));
        let place = self.file(&stored.files);
        // One that is there already may be in use, and is the same.
        if !is_whole(&place, stored.size) {
            rename(&tree_file, &place.with_extension("tree"))?;
            rename(&unnamed, &place)?;
        }
        rename(&config_file, &self.config_file(&digits))?;
        for name in names {
            self.set_name(name, &digits, building)?;
        }
        self.sync();
        Ok(Built { digits, stored, attributes_lost: staged.attributes_lost })
    }

    /// Makes what was renamed outlast a power failure.
    fn sync(&self) {
        for directory in ["files", "configs", "names"] {
            let _ = File::open(self.path.join(directory)).and_then(|directory| directory.sync_all());
        }
    }

    fn set_name(&self, name: &Reference, digits: &str, building: &Building) -> Result<(), Error> {
        let Some(place) = self.name_file(name) else {
            return Err(Error::Name(name.to_string(), "is a digest, which says itself what it names"));
        };
        let unnamed = building.path().join("name");
        write_whole(&unnamed, format!("{digits}\n").as_bytes())?;
        fs::rename(&unnamed, &place).map_err(Error::host("store", &place))
    }

    /// The digits that a reference leads to.
    ///
    /// # Errors
    /// There is no such image, or several.
    pub fn resolve(&self, reference: &Reference) -> Result<String, Error> {
        let missing = || Error::Missing(reference.to_string());
        match (reference, self.name_file(reference)) {
            (Reference::Digest(start), _) => {
                let mut found = self.configs().into_iter().filter(|digits| digits.starts_with(start));
                match (found.next(), found.next()) {
                    (Some(digits), None) => Ok(digits),
                    (Some(_), Some(_)) => Err(Error::Ambiguous(reference.to_string())),
                    (None, _) => Err(missing()),
                }
            }
            (_, Some(place)) => {
                let text = fs::read_to_string(&place).map_err(|_| missing())?;
                let digits = text.trim();
                if digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                    Ok(digits.to_owned())
                } else {
                    Err(Error::damaged(format!("'{}'", place.display()), "it holds no digest"))
                }
            }
            (_, None) => Err(missing()),
        }
    }

    /// What is kept of an image.
    ///
    /// # Errors
    /// There is none, or its configuration is not what its digest says.
    pub fn stored(&self, digits: &str) -> Result<Stored, Error> {
        let path = self.config_file(digits);
        let missing = || Error::Missing(format!("sha256:{digits}"));
        let len = fs::metadata(&path).map_err(|_| missing())?.len();
        let damaged = |why: &str| Error::damaged(format!("'{}'", path.display()), why);
        if len > LARGEST_CONFIG {
            return Err(damaged("it is too long for a configuration"));
        }
        let text = fs::read(&path).map_err(Error::host("read", &path))?;
        if hexadecimal(&Sha256::digest(&text)) != digits {
            return Err(damaged("its digest is another one than its name says"));
        }
        let stored: Stored = serde_json::from_slice(&text).map_err(|error| damaged(&error.to_string()))?;
        if stored.version == VERSION {
            Ok(stored)
        } else {
            Err(damaged("another version of septum wrote it"))
        }
    }

    /// An image as a partition takes it. `runtime_directory` is where is written down what was looked at.
    ///
    /// # Errors
    /// As for [`resolve`](Self::resolve) and [`stored`](Self::stored).
    pub fn find(
        &self,
        reference: &Reference,
        runtime_directory: &Path,
    ) -> Result<(ImageSource, Config), Error> {
        let stored = self.stored(&self.resolve(reference)?)?;
        let digits = stored.files.trim_start_matches("sha256:").to_owned();
        let source = ImageSource {
            name: reference.to_string(),
            file: self.file(&stored.files).into_os_string().into(),
            record: Some(runtime_directory.join("images").join(digits).into_os_string().into()),
            digest: Some(stored.files),
            user: None,
            working_directory: None,
        };
        Ok((source, stored.config))
    }

    /// All images, by name, those without one last.
    ///
    /// # Errors
    /// The host does not let us look.
    pub fn list(&self) -> Result<Vec<Listed>, Error> {
        let mut listed = Vec::new();
        let mut nameless = self.configs();
        for name in self.names() {
            let Ok(digits) = self.resolve(&name) else { continue };
            nameless.retain(|known| *known != digits);
            listed.extend(self.listed(Some(name), digits));
        }
        listed.sort_by_key(|image| image.name.as_ref().map(ToString::to_string));
        listed.extend(nameless.into_iter().filter_map(|digits| self.listed(None, digits)));
        Ok(listed)
    }

    fn listed(&self, name: Option<Reference>, digits: String) -> Option<Listed> {
        let stored = self.stored(&digits).ok()?;
        let stored_at = fs::metadata(self.config_file(&digits)).map_or(0, |metadata| metadata.mtime());
        Some(Listed { name, digits, stored, stored_at })
    }

    fn names(&self) -> Vec<Reference> {
        let entries = fs::read_dir(self.path.join("names")).into_iter().flatten().flatten();
        entries.filter_map(|entry| Reference::of_file_name(entry.file_name().to_str()?)).collect()
    }

    /// The digits of all configurations.
    fn configs(&self) -> Vec<String> {
        let entries = fs::read_dir(self.path.join("configs")).into_iter().flatten().flatten();
        let mut digits: Vec<String> = entries
            .filter_map(|entry| Some(entry.file_name().to_str()?.strip_suffix(".json")?.to_owned()))
            .collect();
        digits.sort();
        digits
    }

    /// Gives an image another name.
    ///
    /// # Errors
    /// There is no such image; the host does not let us.
    pub fn tag(&self, image: &Reference, name: &Reference) -> Result<(), Error> {
        let digits = self.resolve(image)?;
        self.prepare()?;
        let building = Building::begin(&self.path.join("building"))?;
        let _lock = self.lock()?;
        self.stored(&digits)?;
        self.set_name(name, &digits, &building)?;
        self.sync();
        Ok(())
    }

    /// Writes an image as an archive that is both an OCI layout and one of `docker save`.
    ///
    /// # Errors
    /// There is no such image, or it is damaged; the host does not let us.
    pub fn export(&self, reference: &Reference, target: &mut dyn Write) -> Result<(), Error> {
        self.prepare()?;
        let mut building = Building::begin(&self.path.join("building"))?;
        export::export(self, reference, &mut building, target)
    }

    /// Removes a name, and the image if that was its last one. By digest, the image with all its names. Returns what went.
    ///
    /// # Errors
    /// There is no such image; the host does not let us.
    pub fn remove(&self, reference: &Reference) -> Result<Vec<String>, Error> {
        let digits = self.resolve(reference)?;
        sweep(&self.path.join("building"));
        let _lock = self.lock()?;
        let mut gone = Vec::new();
        let is_of_image = |name: &Reference| self.resolve(name).is_ok_and(|found| found == digits);
        let names: Vec<Reference> = self.names().into_iter().filter(is_of_image).collect();
        let is_whole = matches!(reference, Reference::Digest(_)) || names == [reference.clone()];
        for name in names.into_iter().filter(|name| is_whole || name == reference) {
            if let Some(place) = self.name_file(&name) {
                fs::remove_file(&place).map_err(Error::host("remove", &place))?;
                gone.push(name.to_string());
            }
        }
        if is_whole {
            let place = self.config_file(&digits);
            fs::remove_file(&place).map_err(Error::host("remove", &place))?;
            gone.push(format!("sha256:{digits}"));
        }
        self.remove_unused_files()?;
        Ok(gone)
    }

    /// Removes files that no configuration names. With the lock held.
    fn remove_unused_files(&self) -> Result<(), Error> {
        let mut used = Vec::new();
        for digits in self.configs() {
            match self.stored(&digits) {
                Ok(stored) => used.push(stored.files.trim_start_matches("sha256:").to_owned()),
                // It may name any of them.
                Err(_) => return Ok(()),
            }
        }
        for entry in fs::read_dir(self.path.join("files")).into_iter().flatten().flatten() {
            let name = entry.file_name();
            let digits = name.to_str().and_then(|name| name.split('.').next()).unwrap_or_default();
            if !used.iter().any(|used| used == digits) {
                fs::remove_file(entry.path()).map_err(Error::host("remove", &entry.path()))?;
            }
        }
        Ok(())
    }
}

/// Whether a stored file is there: as long as it should be, and what is in it is looked at when it is used.
fn is_whole(path: &Path, size: u64) -> bool {
    fs::metadata(path).is_ok_and(|metadata| metadata.len() == size)
}

fn serialize(stored: &Stored) -> Result<(String, Vec<u8>), Error> {
    // By way of a value, whose keys are sorted: the digest depends on nothing else.
    let text = serde_json::to_value(stored).and_then(|value| serde_json::to_vec_pretty(&value));
    let text = text.map_err(|error| Error::Unusable(error.to_string()))?;
    Ok((hexadecimal(&Sha256::digest(&text)), text))
}

/// Writes a file that is whole on the disk when this returns.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let write = || {
        let mut file = File::create(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(Error::host("write", path))
}
