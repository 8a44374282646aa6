//! How large an image may become.

use crate::error::Error;

/// What a build may unpack: archives can be a thousandth of what they hold.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes of contents.
    pub bytes: u64,
    /// Files, directories and links.
    pub entries: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 16 << 30, entries: 2_000_000 }
    }
}

impl Limits {
    /// Refuses more bytes than there may be.
    pub(crate) fn check_bytes(&self, bytes: u64) -> Result<(), Error> {
        if bytes <= self.bytes {
            return Ok(());
        }
        Err(Error::Limit { what: "bytes", limit: self.bytes, option: "--max-size" })
    }

    /// Refuses more entries than there may be.
    pub(crate) fn check_entries(&self, entries: u64) -> Result<(), Error> {
        if entries <= self.entries {
            return Ok(());
        }
        Err(Error::Limit { what: "files", limit: self.entries, option: "--max-files" })
    }
}
