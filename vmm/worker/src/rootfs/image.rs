//! The image that is the partition's root, as the worker sees it: a file that it maps for the guest, and reads to find the program.

use std::ffi::OsStr;
use std::fs::File;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::image::ImageSource;
use septum_erofs::{Error, Image, Inode, Kind as FileKind};
use septum_images::FileStorage;
use septum_machine::GuestImage;

use super::view::{Found, Kind, LookupError, Place, Step};
use crate::outcome::without_number;

/// An open image.
pub(crate) struct RootImage {
    name: String,
    files: Image<FileStorage>,
}

impl RootImage {
    /// Opens an image that is what it should be.
    pub(super) fn open(source: &ImageSource) -> Result<Self, Failure> {
        let file = septum_images::open(source)?;
        let failure = |error: Error| {
            Failure::new(Code::Path, format!("cannot use image '{}'", source.name), error.to_string())
                .hint("build it again: septum image build")
        };
        let files = Image::open(FileStorage::new(file)?).map_err(failure)?;
        Ok(Self { name: source.name.clone(), files })
    }

    /// Maps it for the guest.
    pub(crate) fn map(&self) -> Result<GuestImage, Failure> {
        let file: &File = self.files.storage().file();
        GuestImage::map(file).map_err(|error| {
            Failure::new(Code::Path, format!("cannot map image '{}'", self.name), without_number(&error))
                .hint(format!("an image has at most {} GiB", GuestImage::LIMIT >> 30))
        })
    }

    /// Its files.
    pub(crate) fn files(&self) -> &Image<FileStorage> {
        &self.files
    }

    /// What is at an absolute path of which all but the last component is a directory without links.
    pub(super) fn step(&self, path: &Path) -> Result<Step, LookupError> {
        let inode = self.find(path).map_err(|error| match error {
            Error::Missing => LookupError::Missing(path.to_owned()),
            Error::NotDirectory => LookupError::NotDirectory(path.to_owned()),
            other => LookupError::Io(path.to_owned(), std::io::Error::other(other)),
        })?;
        let kind = match inode.kind {
            FileKind::Symlink => {
                let target = self.files.read_link(&inode);
                let target =
                    target.map_err(|error| LookupError::Io(path.to_owned(), std::io::Error::other(error)))?;
                return Ok(Step::Link(PathBuf::from(std::ffi::OsString::from_vec(target))));
            }
            FileKind::Directory => Kind::Directory,
            FileKind::Regular => Kind::Regular,
            _ => Kind::Other,
        };
        Ok(Step::File(Found { kind, place: Place::Image(inode) }))
    }

    /// Whether there is a directory.
    pub(super) fn has_directory(&self, path: &Path) -> bool {
        self.find(path).is_ok_and(|inode| inode.kind == FileKind::Directory)
    }

    fn find(&self, path: &Path) -> Result<Inode, Error> {
        let names = path.as_os_str().as_bytes().split(|&byte| byte == b'/').filter(|name| !name.is_empty());
        names.map(OsStr::from_bytes).try_fold(self.files.inode(self.files.root())?, |inode, name| {
            self.files.inode(self.files.lookup(&inode, name.as_bytes())?)
        })
    }

    /// As the caller named it.
    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// The whole text of a file, if it is one of at most so many bytes.
    pub(super) fn text(&self, path: &str, most_bytes: u64) -> Option<String> {
        let inode = self.find(Path::new(path)).ok()?;
        if inode.kind != FileKind::Regular || inode.size > most_bytes {
            return None;
        }
        let mut bytes = vec![0; usize::try_from(inode.size).ok()?];
        let len = self.files.read_contents(&inode, 0, &mut bytes).ok()?;
        bytes.truncate(len);
        Some(String::from_utf8_lossy(&bytes).into_owned())
    }
}
