//! Extended attributes: behind the inode, and those that several files share.
//!
//! ```text
//! │ filter 4 │ shared: count 1 │ 7 bytes │ number 4 │ … │ name length 1 │ prefix 1 │ value length 2 │ name │ value │ to 4 │ …
//! ```

use crate::bytes::{four, two};
use crate::{Error, Image, Inode, Storage};
use alloc::vec::Vec;

const HEADER: u64 = 12;
const ENTRY: u64 = 4;
const BAD: Error = Error::Corrupt("attributes that make no sense");

/// An attribute of a file.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Found {
    name: Vec<u8>,
    value: (u64, usize),
    end: u64,
}

fn prefix(number: u8) -> Option<&'static [u8]> {
    Some(match number {
        1 => b"user.",
        2 => b"system.posix_acl_access",
        3 => b"system.posix_acl_default",
        4 => b"trusted.",
        6 => b"security.",
        _ => return None,
    })
}

impl<S: Storage> Image<S> {
    fn attribute_at(&self, offset: u64, limit: u64) -> Result<Found, Error> {
        let header: [u8; 4] = self.array(offset)?;
        let (name_len, value_len) = (usize::from(header[0]), usize::from(two(&header, 2)));
        let value = offset + ENTRY + u64::from(header[0]);
        let end = (value + u64::from(two(&header, 2))).next_multiple_of(4);
        if end > limit {
            return Err(BAD);
        }
        let mut name = prefix(header[1]).ok_or(BAD)?.to_vec();
        let start = name.len();
        name.resize(start + name_len, 0);
        self.read(offset + ENTRY, &mut name[start..])?;
        Ok(Found { name, value: (value, value_len), end })
    }

    /// Goes through the attributes until `visit`, given one and where it is, returns false.
    fn each_attribute(&self, inode: &Inode, mut visit: impl FnMut(&Found, u64) -> bool) -> Result<(), Error> {
        let (start, len) = inode.attributes;
        if len == 0 {
            return Ok(());
        }
        let header: [u8; 12] = self.array(start)?;
        let shared = u64::from(header[4]);
        let mut at = start + HEADER + shared * 4;
        let end = start + len;
        if at > end {
            return Err(BAD);
        }
        for number in 0..shared {
            let id: [u8; 4] = self.array(start + HEADER + number * 4)?;
            let offset = self.superblock.attribute_base + u64::from(four(&id, 0)) * 4;
            if !visit(&self.attribute_at(offset, self.superblock.len)?, offset) {
                return Ok(());
            }
        }
        while at + ENTRY <= end {
            let found = self.attribute_at(at, end)?;
            if !visit(&found, at) {
                return Ok(());
            }
            at = found.end;
        }
        Ok(())
    }

    /// The value of an attribute.
    ///
    /// # Errors
    /// [`Error::Missing`], or the attributes make no sense.
    pub fn attribute(&self, inode: &Inode, name: &[u8]) -> Result<Vec<u8>, Error> {
        let mut place = None;
        self.each_attribute(inode, |found, _| {
            if found.name == name {
                place = Some(found.value);
            }
            place.is_none()
        })?;
        let (offset, len) = place.ok_or(Error::Missing)?;
        let mut value = alloc::vec![0; len];
        self.read(offset, &mut value)?;
        Ok(value)
    }

    /// The names of all attributes, each with a NUL.
    ///
    /// # Errors
    /// The attributes make no sense.
    pub fn attribute_names(&self, inode: &Inode) -> Result<Vec<u8>, Error> {
        let mut names = Vec::new();
        self.each_attribute(inode, |found, _| {
            names.extend_from_slice(&found.name);
            names.push(0);
            true
        })?;
        Ok(names)
    }

    /// Where in the image the number of the prefix of an attribute of a file is.
    ///
    /// # Errors
    /// As for [`attribute`](Self::attribute).
    pub fn attribute_prefix_place(&self, inode: &Inode, name: &[u8]) -> Result<u64, Error> {
        let mut place = None;
        self.each_attribute(inode, |found, offset| {
            if found.name == name {
                place = Some(offset + 1);
            }
            place.is_none()
        })?;
        place.ok_or(Error::Missing)
    }
}
