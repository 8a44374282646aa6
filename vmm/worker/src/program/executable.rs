//! A file that could be executed, wherever it is.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::sync::Arc;

use septum_erofs::Inode;

use crate::rootfs::{Place, RootImage, View};

/// An open file of the partition.
pub(super) struct Executable {
    source: Source,
    length: u64,
    permissions: u32,
}

enum Source {
    Host(File),
    Image(Arc<RootImage>, Inode),
}

impl Executable {
    /// Opens a regular file that was looked up.
    pub(super) fn open(place: Place, view: &View) -> io::Result<Self> {
        match (place, view.image()) {
            (Place::Host(path), _) => Self::of_host(File::open(path)?),
            (Place::Image(inode), Some(image)) => Ok(Self {
                length: inode.size,
                permissions: inode.permissions,
                source: Source::Image(Arc::clone(image), inode),
            }),
            _ => Err(io::ErrorKind::NotFound.into()),
        }
    }

    /// A file of the host.
    pub(super) fn of_host(file: File) -> io::Result<Self> {
        let metadata = file.metadata()?;
        Ok(Self { source: Source::Host(file), length: metadata.len(), permissions: metadata.mode() })
    }

    /// Bytes.
    pub(super) fn len(&self) -> u64 {
        self.length
    }

    /// Whether anybody may execute it.
    pub(super) fn is_executable(&self) -> bool {
        self.permissions & 0o111 != 0
    }

    /// Reads at `offset`; 0 at the end.
    pub(super) fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        match &self.source {
            Source::Host(file) => file.read_at(buffer, offset),
            Source::Image(image, inode) => {
                image.files().read_contents(inode, offset, buffer).map_err(io::Error::other)
            }
        }
    }

    /// Fills the buffer.
    pub(super) fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        let mut done = 0;
        while let Some(rest) = buffer.get_mut(done..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset.saturating_add(u64::try_from(done).unwrap_or(u64::MAX)))? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                count => done += count,
            }
        }
        Ok(())
    }
}
