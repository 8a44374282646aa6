//! The host's side of a block device: a regular file, or a block device.
//!
//! Everything goes through the host's page cache, as a program's own reads and writes of that file do.

use std::fs::File;
use std::io::{self, Seek as _, SeekFrom};
use std::os::unix::fs::{FileExt as _, FileTypeExt as _};
use std::sync::Arc;

use rustix::fs::{FallocateFlags, fallocate, ioctl_blkpbszget, ioctl_blksszget};
use rustix::io::Errno;
use septum_abi::block::SECTOR;

/// Bytes of zeros written at a time where the host's file system has nothing better.
const ZEROS: usize = 256 << 10;

/// In which units a disk is best used, bytes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Blocks {
    pub logical: u32,
    pub physical: u32,
}

/// A disk.
pub struct Disk {
    file: Arc<File>,
    sectors: u64,
    blocks: Blocks,
    is_read_only: bool,
    identity: [u8; 20],
}

impl Disk {
    /// The disk in `file`, a regular file or a block device; its length is the disk's, rounded down to sectors. `identity` is what the driver is
    /// told, up to 20 bytes of it.
    ///
    /// # Errors
    /// The host does not tell the file's length or kind; or it is of another kind (`InvalidInput`), or shorter than a sector
    /// (`UnexpectedEof`).
    pub fn new(mut file: File, is_read_only: bool, identity: &[u8]) -> io::Result<Self> {
        let kind = file.metadata()?.file_type();
        let blocks = if kind.is_block_device() {
            Blocks { logical: ioctl_blksszget(&file)?, physical: ioctl_blkpbszget(&file)? }
        } else if kind.is_file() {
            Blocks { logical: 512, physical: 4096 }
        } else {
            return Err(io::ErrorKind::InvalidInput.into());
        };
        let is_sane = |size: u32| size.is_power_of_two() && (512..=1 << 20).contains(&size);
        if !is_sane(blocks.logical) || !is_sane(blocks.physical) || blocks.physical < blocks.logical {
            return Err(io::Error::other("its block size makes no sense"));
        }
        let sectors = file.seek(SeekFrom::End(0))? / SECTOR;
        if sectors == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let mut bytes = [0; 20];
        for (to, from) in bytes.iter_mut().zip(identity) {
            *to = *from;
        }
        Ok(Self { file: Arc::new(file), sectors, blocks, is_read_only, identity: bytes })
    }

    pub(super) fn sectors(&self) -> u64 {
        self.sectors
    }

    pub(super) fn blocks(&self) -> Blocks {
        self.blocks
    }

    pub(super) fn is_read_only(&self) -> bool {
        self.is_read_only
    }

    pub(super) fn identity(&self) -> &[u8; 20] {
        &self.identity
    }

    /// The file, to be read and written at offsets.
    pub(super) fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// What was written survives.
    pub(super) fn flush(&self) -> io::Result<()> {
        self.file.sync_data()
    }

    /// The contents of a range do not matter any more. A host that cannot make use of that does nothing.
    pub(super) fn discard(&self, offset: u64, len: u64) -> io::Result<()> {
        match fallocate(&*self.file, FallocateFlags::PUNCH_HOLE | FallocateFlags::KEEP_SIZE, offset, len) {
            Ok(()) | Err(Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }

    /// A range reads as zeros.
    pub(super) fn zero(&self, offset: u64, len: u64, may_unmap: bool) -> io::Result<()> {
        let best = if may_unmap { FallocateFlags::PUNCH_HOLE } else { FallocateFlags::ZERO_RANGE };
        match fallocate(&*self.file, best | FallocateFlags::KEEP_SIZE, offset, len) {
            Err(Errno::OPNOTSUPP) => {}
            other => return other.map_err(io::Error::from),
        }
        let zeros = vec![0; ZEROS];
        let (mut at, end) = (offset, offset + len);
        while at < end {
            let piece = usize::try_from(end - at).unwrap_or(ZEROS).min(ZEROS);
            self.file.write_all_at(&zeros[..piece], at)?;
            at += piece as u64;
        }
        Ok(())
    }
}
