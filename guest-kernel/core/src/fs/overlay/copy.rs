//! Copying a lower file into the upper layer.

use super::Overlay;
use crate::fs::buffer::FrameBuffer;
use crate::fs::inode::{Access, Create, FileKind, Inode as _, InodeRef, Ownership, SetWhen};
use crate::fs::ramfs::{Contents, RamInode};
use crate::io::Destination as _;
use alloc::sync::Arc;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;

/// Frames read at a time.
const FRAMES: usize = 32;

/// A nameless copy of `lower` with the same number, owner, permissions, times and extended attributes; of its contents the first `most` bytes.
pub fn copy(overlay: &Overlay, lower: &InodeRef, most: u64) -> Result<Arc<RamInode>, Errno> {
    let metadata = lower.metadata()?;
    let text;
    let what = match metadata.kind {
        FileKind::Regular => Create::File,
        FileKind::Directory => Create::Directory,
        FileKind::Symlink => {
            text = lower.read_link()?;
            Create::Symlink(&text)
        }
        kind => Create::Node { kind, device: metadata.represented_device },
    };
    let ownership = Ownership { uid: metadata.uid, gid: metadata.gid, permissions: metadata.permissions };
    let copy = RamInode::numbered(&overlay.upper, metadata.inode, what, ownership)?;
    if let Some(contents) = copy.contents() {
        copy_contents(lower, contents, metadata.size.min(most))?;
    }
    copy_attributes(lower, &copy)?;
    copy.set_times(metadata.accessed, metadata.modified);
    Ok(copy)
}

/// Copies the extended attributes that can be read.
fn copy_attributes(lower: &InodeRef, copy: &RamInode) -> Result<(), Errno> {
    let names = lower.extended_attribute_names().unwrap_or_default();
    for name in names.split(|&byte| byte == 0).filter(|name| !name.is_empty()) {
        if let Ok(value) = lower.extended_attribute(name) {
            copy.set_extended_attribute(name, &value, SetWhen::Always)?;
        }
    }
    Ok(())
}

/// Copies `size` bytes, fewer if the file ends before.
fn copy_contents(lower: &InodeRef, contents: &Contents, size: u64) -> Result<(), Errno> {
    if size == 0 {
        return Ok(());
    }
    let file = lower.open(Access { read: true, write: false })?;
    let mut offset = 0;
    while offset < size {
        let len = usize::try_from(size - offset).unwrap_or(usize::MAX).min(FRAMES * PAGE_SIZE);
        let mut buffer = FrameBuffer::new(len).map_err(|_| Errno::ENOSPC)?;
        let mut filled = 0;
        while filled < len {
            match file.read_at(offset + filled as u64, &mut buffer)? {
                0 => break,
                count => filled += count,
            }
        }
        debug_assert_eq!(buffer.remaining(), len - filled);
        let first = offset / PAGE_SIZE as u64;
        for ((index, frame), start) in (first..).zip(buffer.into_frames()).zip((0..filled).step_by(PAGE_SIZE))
        {
            let used = (filled - start).min(PAGE_SIZE);
            frame.clear(used, PAGE_SIZE - used);
            contents.set_page(index, frame)?;
        }
        offset += filled as u64;
        contents.set_size(offset)?;
        if filled < len {
            break;
        }
    }
    Ok(())
}
