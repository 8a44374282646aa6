//! An image in a file of the host.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_erofs::{SUPERBLOCK_OFFSET, Storage};

/// A file that holds an image.
#[derive(Debug)]
pub struct FileStorage {
    file: File,
    len: u64,
}

impl FileStorage {
    /// Of an open file.
    ///
    /// # Errors
    /// The host does not say how long it is.
    pub fn new(file: File) -> Result<Self, Failure> {
        Self::of(file).map_err(|error| Failure::new(Code::Path, "cannot read an image", error.to_string()))
    }

    pub(crate) fn of(file: File) -> io::Result<Self> {
        let len = file.metadata()?.len();
        Ok(Self { file, len })
    }

    /// The file.
    #[must_use]
    pub fn file(&self) -> &File {
        &self.file
    }
}

impl Storage for FileStorage {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        self.file.read_exact_at(into, offset).is_ok()
    }
}

/// Whether a path leads to a file that begins as an image does.
#[must_use]
pub fn is_image_file(path: &Path) -> bool {
    let is_regular = std::fs::metadata(path).is_ok_and(|metadata| metadata.is_file());
    let mut magic = [0; 4];
    let read = || File::open(path)?.read_exact_at(&mut magic, SUPERBLOCK_OFFSET);
    is_regular && { read }().is_ok() && magic == [0xe2, 0xe1, 0xf5, 0xe0]
}
