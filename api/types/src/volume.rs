//! A directory of the host inside a partition, as people type it: `HOST:GUEST[:ro]`.
//!
//! The last part that starts with `/` is the place in the partition, so that the host's directory may have a colon
//! in its name: `./a:b:/data:ro` is the directory `./a:b` at `/data`, read-only.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bytes::ByteString;

/// One volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Path on the host; relative paths start at the caller's current directory.
    pub host: ByteString,
    /// Absolute path in the partition.
    pub guest: ByteString,
    /// Whether writing is refused.
    pub read_only: bool,
}

/// Why a text is not a [`Volume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VolumeError {
    /// There is no colon.
    #[error("has no ':'; expected HOST:GUEST or HOST:GUEST:ro")]
    NoColon,
    /// Nothing before the colon.
    #[error("names no directory of the host; expected HOST:GUEST or HOST:GUEST:ro")]
    NoHost,
    /// The place in the partition is not an absolute path.
    #[error("must name an absolute path in the partition, such as {0}")]
    GuestNotAbsolute(&'static str),
    /// The place in the partition is its root.
    #[error("cannot replace the partition's root; use --rootfs for that")]
    GuestIsRoot,
    /// The place in the partition goes up.
    #[error("must not have '..' in its path in the partition")]
    GuestGoesUp,
}

impl Volume {
    /// Parses `HOST:GUEST[:ro|:rw]`.
    ///
    /// # Errors
    /// What is wrong with the text, without the text itself.
    pub fn parse(text: &[u8]) -> Result<Self, VolumeError> {
        let (text, read_only) = match text {
            [rest @ .., b':', b'r', b'o'] => (rest, true),
            [rest @ .., b':', b'r', b'w'] => (rest, false),
            _ => (text, false),
        };
        let colon = text.iter().rposition(|&byte| byte == b':').ok_or(VolumeError::NoColon)?;
        let (host, guest) = (&text[..colon], &text[colon + 1..]);
        if host.is_empty() {
            return Err(VolumeError::NoHost);
        }
        if guest.first() != Some(&b'/') {
            return Err(VolumeError::GuestNotAbsolute("./data:/data"));
        }
        let guest = clean(guest)?;
        Ok(Self { host: host.into(), guest: guest.into(), read_only })
    }
}

/// Drops empty components and `.` of a place in the partition.
pub(crate) fn clean(path: &[u8]) -> Result<Vec<u8>, VolumeError> {
    let mut cleaned = Vec::with_capacity(path.len());
    for component in path.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => return Err(VolumeError::GuestGoesUp),
            name => {
                cleaned.push(b'/');
                cleaned.extend_from_slice(name);
            }
        }
    }
    if cleaned.is_empty() { Err(VolumeError::GuestIsRoot) } else { Ok(cleaned) }
}

impl fmt::Display for Volume {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}:{}{}", self.host, self.guest, if self.read_only { ":ro" } else { "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let cases = [
            ("./data:/data", ("./data", "/data", false)),
            ("/srv/in:/in:ro", ("/srv/in", "/in", true)),
            (".:/work/:rw", (".", "/work", false)),
            ("a:b:/c//d/.:ro", ("a:b", "/c/d", true)),
        ];
        for (text, (host, guest, read_only)) in cases {
            let volume = Volume { host: host.into(), guest: guest.into(), read_only };
            assert_eq!(Volume::parse(text.as_bytes()), Ok(volume), "{text}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("/data", VolumeError::NoColon),
            ("", VolumeError::NoColon),
            ("/data:ro", VolumeError::NoColon),
            (":/data", VolumeError::NoHost),
            ("./data:data", VolumeError::GuestNotAbsolute("./data:/data")),
            ("./data:", VolumeError::GuestNotAbsolute("./data:/data")),
            ("./data:/", VolumeError::GuestIsRoot),
            ("./data:/.", VolumeError::GuestIsRoot),
            ("./data:/a/../b", VolumeError::GuestGoesUp),
        ];
        for (text, error) in cases {
            assert_eq!(Volume::parse(text.as_bytes()), Err(error), "{text}");
        }
    }
}
