//! Extended attributes of a node. The host shares only those of users (`user.`): of others it is not even asked, so that
//! programs that look for some at every file cost nothing.
//!
//! Most values fit into a request's slot. A longer one goes through frames of its own.

use super::fuse::{self, Opcode};
use super::node::Node;
use super::session::{Data, RESULTS_LIMIT};
use crate::platform;
use crate::virtio::segment;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::SetWhen;
use septum_guest_hal::frame::Frame;

/// XATTR_SIZE_MAX, XATTR_LIST_MAX
const MOST: usize = 65_536;

impl Node {
    pub(super) fn fetch_attribute(&self, name: &[u8]) -> Result<Vec<u8>, Errno> {
        if !is_of_users(name) {
            return Err(Errno::ENODATA);
        }
        self.fetch(Opcode::GetExtendedAttribute, Some(name))
    }

    pub(super) fn attribute_names(&self) -> Result<Vec<u8>, Errno> {
        match self.fetch(Opcode::ListExtendedAttributes, None) {
            // A file system that has no attributes has no names of them.
            Err(Errno::EOPNOTSUPP) => Ok(Vec::new()),
            names => names,
        }
    }

    pub(super) fn store_attribute(&self, name: &[u8], value: &[u8], when: SetWhen) -> Result<(), Errno> {
        if !is_of_users(name) {
            return Err(Errno::EOPNOTSUPP);
        }
        let flags = match when {
            SetWhen::Always => 0,
            SetWhen::Absent => 1,
            SetWhen::Present => 2,
        };
        let len = u32::try_from(value.len()).map_err(|_| Errno::E2BIG)?;
        let mut exchange = self.volume.session.begin(Opcode::SetExtendedAttribute, self.id)?;
        exchange.words([fuse::pair(len, flags)]);
        exchange.name(name)?;
        if exchange.bytes(value) {
            exchange.call(0, Data::None)?;
        } else {
            let frames = frames_for(value.len())?;
            for (frame, bytes) in frames.iter().zip(value.chunks(PAGE_SIZE)) {
                frame.write(0, bytes);
            }
            exchange.call(0, Data::Out(&segments(&frames, value.len())))?;
        }
        drop(exchange);
        self.outdate();
        Ok(())
    }

    pub(super) fn drop_attribute(&self, name: &[u8]) -> Result<(), Errno> {
        if !is_of_users(name) {
            return Err(Errno::ENODATA);
        }
        let mut exchange = self.volume.session.begin(Opcode::RemoveExtendedAttribute, self.id)?;
        exchange.name(name)?;
        exchange.call(0, Data::None)?;
        drop(exchange);
        self.outdate();
        Ok(())
    }

    fn fetch(&self, opcode: Opcode, name: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        match self.fetch_short(opcode, name) {
            Err(Errno::ERANGE) => self.fetch_long(opcode, name),
            short => short,
        }
    }

    fn fetch_short(&self, opcode: Opcode, name: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let mut exchange = self.volume.session.begin(opcode, self.id)?;
        // size, 0
        exchange.words([u64::try_from(RESULTS_LIMIT).map_err(|_| Errno::EIO)?]);
        name.map_or(Ok(()), |name| exchange.name(name))?;
        let len = exchange.call(0, Data::None)?;
        let mut bytes = alloc::vec![0; len.min(RESULTS_LIMIT)];
        exchange.result_bytes(&mut bytes);
        Ok(bytes)
    }

    fn fetch_long(&self, opcode: Opcode, name: Option<&[u8]>) -> Result<Vec<u8>, Errno> {
        let frames = frames_for(MOST)?;
        let mut exchange = self.volume.session.begin(opcode, self.id)?;
        exchange.words([u64::try_from(MOST).map_err(|_| Errno::EIO)?]);
        name.map_or(Ok(()), |name| exchange.name(name))?;
        let len = exchange.call(0, Data::In(&segments(&frames, MOST)))?;
        let mut bytes = alloc::vec![0; len.min(MOST)];
        for (frame, bytes) in frames.iter().zip(bytes.chunks_mut(PAGE_SIZE)) {
            frame.read(0, bytes);
        }
        Ok(bytes)
    }
}

fn is_of_users(name: &[u8]) -> bool {
    name.starts_with(b"user.")
}

fn frames_for(len: usize) -> Result<Vec<Frame>, Errno> {
    (0..len.div_ceil(PAGE_SIZE)).map(|_| platform::zeroed_frame().ok_or(Errno::ENOMEM)).collect()
}

/// The first `len` bytes of the frames.
fn segments(frames: &[Frame], len: usize) -> Vec<crate::virtio::queue::Segment> {
    let starts = (0..len).step_by(PAGE_SIZE);
    frames.iter().zip(starts).map(|(frame, start)| segment::of_frame(frame, 0, len - start)).collect()
}
