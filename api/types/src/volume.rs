//! Files of the host inside a partition, as people type it: `SOURCE:GUEST[:ro]`, or `GUEST` alone.
//!
//! The last part that starts with `/` is the place in the partition, so that the host's directory may have a colon
//! in its name: `./a:b:/data:ro` is the directory `./a:b` at `/data`, read-only. A source without a slash is the name of a volume that
//! Septum keeps, as in Docker; with one, and `.` and `..`, it is a path. An absolute path alone is a place in the partition that gets a new
//! volume without a name of its own, which goes with the partition.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bytes::ByteString;

/// Most bytes of a volume's name: it is a file's name too.
const LONGEST_NAME: usize = 200;

/// One volume.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Volume {
    /// Its name, if Septum keeps it.
    pub name: Option<String>,
    /// Path of a directory or file on the host; relative paths start at the caller's current directory. Of one with a name, its name
    /// until somebody has looked where it is.
    pub host: ByteString,
    /// Absolute path in the partition.
    pub guest: ByteString,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether it is a new one that nobody has given a name; it gets one of its own when it is made.
    #[serde(default)]
    pub is_anonymous: bool,
    /// Whether it stays empty, whatever an image has in its place.
    #[serde(default)]
    pub no_copy: bool,
}

/// Why a text is not a [`Volume`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum VolumeError {
    /// There is no colon, and no absolute path either.
    #[error("has no ':' and is no absolute path; expected HOST:GUEST, HOST:GUEST:ro or GUEST")]
    NoColon,
    /// Nothing before the colon.
    #[error("names no directory of the host; expected HOST:GUEST or HOST:GUEST:ro")]
    NoHost,
    /// No path, and no name either.
    #[error(
        "has a source that is neither a path nor a volume's name; a path has a slash, such as ./data; a name has two or more letters, \
         digits, '_', '.' and '-', and starts with a letter or digit"
    )]
    Name,
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
    /// Parses `HOST:GUEST[:ro|:rw]` or `GUEST`.
    ///
    /// # Errors
    /// What is wrong with the text, without the text itself.
    pub fn parse(text: &[u8]) -> Result<Self, VolumeError> {
        let (text, read_only) = match text {
            [rest @ .., b':', b'r', b'o'] => (rest, true),
            [rest @ .., b':', b'r', b'w'] => (rest, false),
            _ => (text, false),
        };
        if text.first() == Some(&b'/') && !text.contains(&b':') && !read_only {
            return Self::anonymous(text);
        }
        let colon = text.iter().rposition(|&byte| byte == b':').ok_or(VolumeError::NoColon)?;
        let (host, guest) = (&text[..colon], &text[colon + 1..]);
        if host.is_empty() {
            return Err(VolumeError::NoHost);
        }
        if guest.first() != Some(&b'/') {
            return Err(VolumeError::GuestNotAbsolute("./data:/data"));
        }
        let guest = clean(guest)?;
        let name =
            if host.contains(&b'/') || matches!(host, b"." | b"..") { None } else { Some(name(host)?) };
        Ok(Self { name, host: host.into(), guest: guest.into(), read_only, ..Self::default() })
    }

    /// A new one without a name, at this place in the partition.
    ///
    /// # Errors
    /// It is not possible there.
    pub fn anonymous(guest: &[u8]) -> Result<Self, VolumeError> {
        if guest.first() != Some(&b'/') {
            return Err(VolumeError::GuestNotAbsolute("/data"));
        }
        Ok(Self { guest: clean(guest)?.into(), is_anonymous: true, ..Self::default() })
    }
}

/// A name of a volume, by Docker's rules.
///
/// # Errors
/// It is none.
pub fn name(text: &[u8]) -> Result<String, VolumeError> {
    let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'.' | b'-');
    let is_name = (2..=LONGEST_NAME).contains(&text.len())
        && text.iter().all(is_plain)
        && text.first().is_some_and(u8::is_ascii_alphanumeric);
    if is_name { Ok(String::from_utf8_lossy(text).into_owned()) } else { Err(VolumeError::Name) }
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
        let suffix = if self.read_only { ":ro" } else { "" };
        match &self.name {
            _ if self.is_anonymous => write!(out, "{}", self.guest),
            Some(name) => write!(out, "{name}:{}{suffix}", self.guest),
            None => write!(out, "{}:{}{suffix}", self.host, self.guest),
        }
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
            ("./a:b:/c//d/.:ro", ("./a:b", "/c/d", true)),
            ("..:/up", ("..", "/up", false)),
        ];
        for (text, (host, guest, read_only)) in cases {
            let (host, guest) = (host.into(), guest.into());
            let volume = Volume { host, guest, read_only, ..Volume::default() };
            assert_eq!(Volume::parse(text.as_bytes()), Ok(volume), "{text}");
        }
    }

    #[test]
    fn a_source_without_a_slash_is_a_name() {
        let volume = Volume::parse(b"model-cache_1.x:/cache:ro").unwrap();
        assert_eq!(volume.name.as_deref(), Some("model-cache_1.x"));
        assert_eq!(volume.to_string(), "model-cache_1.x:/cache:ro");
        for text in [
            "a:/data",
            ".data:/data",
            "-d:/data",
            "a b:/data",
            "a:b:/data",
            "...:/data",
            "\u{e9}t\u{e9}:/data",
        ] {
            assert_eq!(Volume::parse(text.as_bytes()), Err(VolumeError::Name), "{text}");
        }
        assert_eq!(name(&[b'a'; LONGEST_NAME + 1]), Err(VolumeError::Name));
    }

    #[test]
    fn a_place_alone_gets_a_volume_of_its_own() {
        let volume = Volume::parse(b"/srv//data/.").unwrap();
        assert_eq!((volume.is_anonymous, &*volume.name.clone().unwrap_or_default()), (true, ""));
        assert_eq!(volume.to_string(), "/srv/data");
        assert_eq!(Volume::parse(b"/"), Err(VolumeError::GuestIsRoot));
        assert_eq!(Volume::parse(b"/a/../b"), Err(VolumeError::GuestGoesUp));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            ("data", VolumeError::NoColon),
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
