//! The image that is the root: an EROFS file system in the guest's physical memory, which nobody writes.
//!
//! ```text
//! image window   │ superblock, inodes, directories │ contents, in whole pages │      the host's page cache, shared by all partitions
//!                     copied piece by piece, checked     mapped, and read, as they are
//! ```
//!
//! [`septum_erofs`] knows the format and distrusts it; here it becomes inodes and files. Nothing is cached but what cannot be mapped:
//! the last page of a file whose contents end behind its inode, or that is followed by something else than zeros.
//! What makes no sense is EUCLEAN.

mod directory;
mod file;
mod inode;
#[cfg(test)]
mod tests;

use self::inode::ErofsInode;
use super::inode::InodeRef;
use super::ramfs::anonymous_device;
use alloc::boxed::Box;
use alloc::sync::Arc;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_erofs::{Error, Image, Storage};
use septum_guest_hal::frame::Frame;
use septum_guest_hal::user::read_frame;

/// EROFS_SUPER_MAGIC_V1
const MAGIC: u64 = 0xe0f5_e1e2;
const PAGE: u64 = PAGE_SIZE as u64;

/// Finds the frame of a page of the image; `None` if there is no memory for its tables.
pub type FrameOf = dyn Fn(u64) -> Option<Frame> + Send + Sync;

/// The image as memory.
struct Window {
    len: u64,
    frame_of: Box<FrameOf>,
}

impl Storage for Window {
    fn len(&self) -> u64 {
        self.len
    }

    fn read(&self, offset: u64, into: &mut [u8]) -> bool {
        let mut done = 0;
        while done < into.len() {
            let at = offset + done as u64;
            let start = usize::try_from(at % PAGE).unwrap_or(0);
            let end = into.len().min(done + PAGE_SIZE - start);
            let frame = if at < self.len { (self.frame_of)(at / PAGE) } else { None };
            if !frame.is_some_and(|frame| read_frame(&frame, start, &mut into[done..end])) {
                return false;
            }
            done = end;
        }
        true
    }
}

/// What the files of an image share.
struct FileSystem {
    device: u64,
    image: Image<Window>,
}

impl FileSystem {
    /// The frame at a multiple of the page size.
    fn frame(&self, offset: u64) -> Option<Frame> {
        let window = self.image.storage();
        if offset < window.len { (window.frame_of)(offset / PAGE) } else { None }
    }
}

/// For programs.
fn errno(error: Error) -> Errno {
    match error {
        Error::Missing => Errno::ENOENT,
        Error::NotDirectory => Errno::ENOTDIR,
        Error::NotLink => Errno::EINVAL,
        Error::Unreadable => Errno::EIO,
        Error::Corrupt(_) | Error::Unsupported(_) => Errno::EUCLEAN,
    }
}

/// The root of the image of `len` bytes whose page N is in the frame `frame_of(N)`.
pub fn root(len: u64, frame_of: Box<FrameOf>) -> Result<InodeRef, Errno> {
    let image = Image::open(Window { len, frame_of }).map_err(errno)?;
    let file_system = Arc::new(FileSystem { device: anonymous_device(), image });
    let root = ErofsInode::read(&file_system, file_system.image.root())?;
    if root.is_directory() { Ok(root) } else { Err(Errno::ENOTDIR) }
}
