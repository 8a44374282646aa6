//! Writing to a regular file: straight from the program's pages to the host. Cached pages follow.

use super::file::{RegularFile, Scratch};
use super::fuse::{self, Opcode, open};
use super::session::Data;
use crate::platform;
use crate::virtio::queue::Segment;
use crate::virtio::segment;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::io::{Pinned, Source};

/// Where to write.
#[derive(Clone, Copy)]
pub(super) struct Target {
    pub offset: u64,
    /// O_APPEND: the host takes the end instead.
    pub flags: u32,
}

impl RegularFile {
    pub(super) fn write_all(&self, mut target: Target, from: &mut dyn Source) -> Result<usize, Errno> {
        self.with_scratch(|scratch| {
            let mut total = 0;
            while from.remaining() > 0 {
                match self.write_some(target, from, scratch) {
                    Ok((taken, is_all)) => {
                        total += taken;
                        target.offset += taken as u64;
                        if !is_all {
                            break;
                        }
                    }
                    Err(errno) if total == 0 => return Err(errno),
                    Err(_) => break,
                }
            }
            Ok(total)
        })
    }

    /// The host puts it at the end, where that may be meanwhile: others append too. Unless they did, it is where we thought.
    pub(super) fn append_in_turn(&self, from: &mut dyn Source) -> Result<(usize, u64), Errno> {
        let offset = self.node.attributes()?.size();
        let len = self.write_all(Target { offset, flags: open::APPEND }, from)?;
        let expected = offset + len as u64;
        let end = self.node.attributes().map_or(expected, |attributes| attributes.size());
        if end != expected {
            self.node.refresh_pages();
        }
        Ok((len, end))
    }

    /// Writes once. Returns how many bytes the host took, and whether those are all it was given.
    fn write_some(
        &self,
        target: Target,
        from: &mut dyn Source,
        scratch: &mut Scratch,
    ) -> Result<(usize, bool), Errno> {
        scratch.clear();
        let pinned = from.pin(self.node.volume.limits.data, &mut scratch.pieces);
        let is_pinned = pinned.is_some();
        match pinned {
            Some(pinned) => {
                pinned?;
            }
            None => {
                let frame = platform::new_frame().ok_or(Errno::ENOMEM)?;
                let len = from.take_to_frame(&frame, 0, PAGE_SIZE)?;
                scratch.pieces.push(Pinned { frame, offset: 0, len, pin: None });
            }
        }
        let limit = self.node.volume.session.segment_limit();
        let len = segment::gather(&scratch.pieces, &mut scratch.segments, limit);
        let taken = {
            let _moving = self.node.moving();
            let taken = self.write_out(target, len, &scratch.segments)?;
            self.node.extend(target.offset + taken as u64);
            self.node.update_pages(target.offset, &scratch.pieces, taken);
            taken
        };
        if is_pinned {
            from.advance(taken);
        }
        Ok((taken, taken == len && len > 0))
    }

    pub(super) fn write_out(&self, target: Target, len: usize, segments: &[Segment]) -> Result<usize, Errno> {
        let number = self.handle.number()?;
        let mut exchange = self.node.volume.session.begin(Opcode::Write, self.node.id)?;
        let size = u32::try_from(len).map_err(|_| Errno::EIO)?;
        let Target { offset, flags } = target;
        exchange.words([number, offset, fuse::pair(size, 0), 0, fuse::pair(flags, 0)]);
        exchange.call(fuse::WRITTEN, Data::Out(segments))?;
        let [taken] = exchange.results();
        let taken = usize::try_from(fuse::low(taken)).map_err(|_| Errno::EIO)?;
        if taken <= len { Ok(taken) } else { Err(Errno::EIO) }
    }
}
