//! Inodes: 32 bytes (compact) or 64 (extended), at 32 times their number.

use crate::bytes::{eight, four, two};
use crate::{BLOCK, Error, Image, Storage};

/// Bytes that inode numbers count.
const SLOT: u64 = 32;
const EXTENDED: u64 = 64;
/// Bytes of the attributes' header, and of what `i_xattr_icount` counts.
const ATTRIBUTES_HEADER: u64 = 12;
const ATTRIBUTES_UNIT: u64 = 4;

/// What kind of file it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// S_IFIFO
    Fifo,
    /// S_IFCHR
    CharacterDevice,
    /// S_IFDIR
    Directory,
    /// S_IFBLK
    BlockDevice,
    /// S_IFREG
    Regular,
    /// S_IFLNK
    Symlink,
    /// S_IFSOCK
    Socket,
}

impl Kind {
    /// From `st_mode`.
    #[must_use]
    pub fn from_mode(mode: u32) -> Option<Self> {
        Some(match mode & 0o170_000 {
            0o010_000 => Self::Fifo,
            0o020_000 => Self::CharacterDevice,
            0o040_000 => Self::Directory,
            0o060_000 => Self::BlockDevice,
            0o100_000 => Self::Regular,
            0o120_000 => Self::Symlink,
            0o140_000 => Self::Socket,
            _ => return None,
        })
    }

    fn has_contents(self) -> bool {
        matches!(self, Self::Directory | Self::Regular | Self::Symlink)
    }
}

/// A file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Inode {
    /// Its number.
    pub number: u64,
    /// Kind.
    pub kind: Kind,
    /// Permission bits (07777).
    pub permissions: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Names.
    pub links: u32,
    /// Bytes.
    pub size: u64,
    /// Last change, seconds since 1970, and nanoseconds.
    pub modified: (i64, u32),
    /// Device number as EROFS keeps it ([`device_number`]), of a device file.
    pub device: u32,
    /// Where it is in the image.
    pub offset: u64,
    /// Whether it takes 64 bytes.
    pub is_extended: bool,
    /// First byte of contents in whole blocks.
    pub(crate) blocks: u64,
    /// How many blocks.
    pub(crate) block_count: u64,
    /// Where what is not in blocks is.
    pub(crate) tail: u64,
    /// Where the attributes are, and how many bytes.
    pub(crate) attributes: (u64, u64),
}

/// Major and minor number of a device.
#[must_use]
pub fn device_number(encoded: u32) -> (u32, u32) {
    ((encoded & 0x000f_ff00) >> 8, (encoded & 0xff) | (encoded >> 12 & 0x000f_ff00))
}

impl<S: Storage> Image<S> {
    /// The file with this number.
    ///
    /// # Errors
    /// There is none, or it makes no sense.
    pub fn inode(&self, number: u64) -> Result<Inode, Error> {
        const FAR: Error = Error::Corrupt("the number of a file is out of range");
        let offset = number.checked_mul(SLOT).and_then(|at| at.checked_add(self.superblock.inode_base));
        let offset = offset.filter(|offset| *offset < self.superblock.len).ok_or(FAR)?;
        let first: [u8; 32] = self.array(offset)?;
        let format = two(&first, 0);
        let is_extended = format & 1 != 0;
        let second: [u8; 32] = if is_extended { self.array(offset + SLOT)? } else { [0; 32] };
        let mode = u32::from(two(&first, 4));
        let kind = Kind::from_mode(mode).ok_or(Error::Corrupt("a file of no kind"))?;
        let attribute_units = u64::from(two(&first, 2));
        let attributes_at = offset + if is_extended { EXTENDED } else { SLOT };
        let attributes_len = match attribute_units {
            0 => 0,
            units => ATTRIBUTES_HEADER + ATTRIBUTES_UNIT * (units - 1),
        };
        let size = if is_extended { eight(&first, 8) } else { u64::from(four(&first, 8)) };
        let place = four(&first, 16);
        let has_contents = kind.has_contents();
        let mut inode = Inode {
            number,
            kind,
            permissions: mode & 0o7777,
            uid: if is_extended { four(&first, 24) } else { u32::from(two(&first, 24)) },
            gid: if is_extended { four(&first, 28) } else { u32::from(two(&first, 26)) },
            links: if is_extended { four(&second, 12) } else { u32::from(two(&first, 6)) },
            size: if has_contents { size } else { 0 },
            modified: if is_extended { (eight(&second, 0).cast_signed(), four(&second, 8)) } else { (0, 0) },
            device: if matches!(kind, Kind::CharacterDevice | Kind::BlockDevice) { place } else { 0 },
            offset,
            is_extended,
            blocks: u64::from(place) * BLOCK,
            block_count: 0,
            tail: attributes_at + attributes_len,
            attributes: (attributes_at, attributes_len),
        };
        if inode.modified.1 >= 1_000_000_000 {
            return Err(Error::Corrupt("a time of more than a second's nanoseconds"));
        }
        if has_contents {
            self.place(&mut inode, format >> 1 & 7)?;
        }
        Ok(inode)
    }

    /// Finds out where the contents are, and whether they are all in the image.
    fn place(&self, inode: &mut Inode, layout: u16) -> Result<(), Error> {
        let blocks = inode.size.div_ceil(BLOCK);
        let tail = match layout {
            0 => 0,
            2 => inode.size - blocks.saturating_sub(1) * BLOCK,
            1 | 3 => return Err(Error::Unsupported("compressed files")),
            4 => return Err(Error::Unsupported("files in chunks")),
            _ => return Err(Error::Corrupt("a file whose contents are nowhere")),
        };
        inode.block_count = if layout == 2 { blocks.saturating_sub(1) } else { blocks };
        if tail > 0 && inode.tail % BLOCK + tail > BLOCK {
            return Err(Error::Corrupt("contents that run over the end of a block"));
        }
        let beyond = Error::Corrupt("contents beyond the end of the image");
        let len = inode.block_count.checked_mul(BLOCK).ok_or(beyond)?;
        let end = inode.blocks.checked_add(len).ok_or(beyond)?;
        if (len > 0 && end > self.superblock.len) || inode.tail + tail > self.superblock.len {
            return Err(beyond);
        }
        Ok(())
    }
}
