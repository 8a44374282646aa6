//! A file or device of the host as a disk of a partition, as people type it: `FILE[:ro]`.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bytes::ByteString;

/// One disk.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Disk {
    /// Path on the host; relative paths start at the caller's current directory.
    pub host: ByteString,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// Why a text is not a [`Disk`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DiskError {
    /// There is no path.
    #[error("names no file of the host; expected FILE or FILE:ro")]
    NoFile,
}

impl Disk {
    /// Parses `FILE[:ro|:rw]`.
    ///
    /// # Errors
    /// What is wrong with the text, without the text itself.
    pub fn parse(text: &[u8]) -> Result<Self, DiskError> {
        let (host, read_only) = match text {
            [rest @ .., b':', b'r', b'o'] => (rest, true),
            [rest @ .., b':', b'r', b'w'] => (rest, false),
            _ => (text, false),
        };
        if host.is_empty() { Err(DiskError::NoFile) } else { Ok(Self { host: host.into(), read_only }) }
    }
}

impl fmt::Display for Disk {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}{}", self.host, if self.read_only { ":ro" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        for (text, host, read_only) in
            [("disk.img", "disk.img", false), ("/dev/sdb:ro", "/dev/sdb", true), ("a:b:rw", "a:b", false)]
        {
            assert_eq!(Disk::parse(text.as_bytes()), Ok(Disk { host: host.into(), read_only }), "{text}");
        }
        assert_eq!(Disk::parse(b""), Err(DiskError::NoFile));
        assert_eq!(Disk::parse(b":ro"), Err(DiskError::NoFile));
    }
}
