//! An empty directory in the partition's RAM, as people type it: `DIR[:OPTION,…]`, with Docker's options.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::bytes::ByteString;
use crate::size::Size;
use crate::volume::{VolumeError, clean};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tmpfs {
    /// Absolute path in the partition.
    pub guest: ByteString,
    /// Most bytes of files; without it as much as the partition has.
    pub bytes: Option<u64>,
    /// Permissions of the directory.
    pub permissions: u32,
    /// Who owns it, if not root.
    pub uid: Option<u32>,
    /// See [`uid`](Self::uid).
    pub gid: Option<u32>,
    /// Whether writing is refused.
    pub read_only: bool,
    /// Whether programs in it can be executed.
    pub executable: bool,
}

/// Why a text is not a [`Tmpfs`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum TmpfsError {
    /// The place is not an absolute path.
    #[error("must name an absolute path in the partition, such as /scratch:size=64m")]
    NotAbsolute,
    /// Something is wrong with the place.
    #[error(transparent)]
    Place(#[from] VolumeError),
    /// Not an option.
    #[error(
        "has an option '{0}' that is not known; expected size=, mode=, uid=, gid=, ro, rw, exec or noexec"
    )]
    Option(String),
    /// Not a value for an option.
    #[error("has an option '{0}' with a value that is not possible")]
    Value(String),
}

impl Tmpfs {
    /// One with Docker's defaults: mode 1777, nothing in it can be executed.
    ///
    /// # Errors
    /// What is wrong with the place.
    pub fn at(guest: &[u8]) -> Result<Self, TmpfsError> {
        if guest.first() != Some(&b'/') {
            return Err(TmpfsError::NotAbsolute);
        }
        Ok(Self {
            guest: clean(guest)?.into(),
            bytes: None,
            permissions: 0o1777,
            uid: None,
            gid: None,
            read_only: false,
            executable: false,
        })
    }

    /// Parses `DIR[:OPTION,…]`.
    ///
    /// # Errors
    /// What is wrong with the text, without the text itself.
    pub fn parse(text: &[u8]) -> Result<Self, TmpfsError> {
        let colon = text.iter().position(|&byte| byte == b':').unwrap_or(text.len());
        let mut tmpfs = Self::at(&text[..colon])?;
        let options = String::from_utf8_lossy(text.get(colon + 1..).unwrap_or_default()).into_owned();
        options.split(',').filter(|option| !option.is_empty()).try_for_each(|option| tmpfs.set(option))?;
        Ok(tmpfs)
    }

    fn set(&mut self, option: &str) -> Result<(), TmpfsError> {
        let wrong = || TmpfsError::Value(option.to_owned());
        match option.split_once('=') {
            Some(("size", size)) => self.bytes = Some(size.parse::<Size>().map_err(|_| wrong())?.0),
            Some(("mode", mode)) => self.permissions = permissions(mode).ok_or_else(wrong)?,
            Some(("uid", id)) => self.uid = Some(id.parse().map_err(|_| wrong())?),
            Some(("gid", id)) => self.gid = Some(id.parse().map_err(|_| wrong())?),
            Some(_) => return Err(TmpfsError::Option(option.to_owned())),
            None => match option {
                "ro" => self.read_only = true,
                "rw" => self.read_only = false,
                "exec" => self.executable = true,
                "noexec" => self.executable = false,
                // Nothing to do: no program gains anything by a set-user-id bit, a partition's devices are its own, and times of
                // access are not kept anyway.
                "nosuid" | "nodev" | "noatime" | "relatime" | "nodiratime" => {}
                _ => return Err(TmpfsError::Option(option.to_owned())),
            },
        }
        Ok(())
    }
}

/// Octal permissions, at most `7777`.
#[must_use]
pub fn permissions(text: &str) -> Option<u32> {
    u32::from_str_radix(text, 8).ok().filter(|mode| *mode <= 0o7777)
}

impl fmt::Display for Tmpfs {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}", self.guest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_type() {
        let plain = Tmpfs::parse(b"/run/").unwrap();
        assert_eq!((plain.guest, plain.bytes, plain.permissions), ("/run".into(), None, 0o1777));
        let full = Tmpfs::parse(b"/a:rw,noexec,nosuid,size=64m,mode=0700,uid=5,gid=6").unwrap();
        assert_eq!((full.bytes, full.permissions), (Some(64 << 20), 0o700));
        assert_eq!((full.uid, full.gid, full.read_only, full.executable), (Some(5), Some(6), false, false));
        assert!(Tmpfs::parse(b"/a:exec,ro").is_ok_and(|tmpfs| tmpfs.executable && tmpfs.read_only));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let value = |option: &str| TmpfsError::Value(option.to_owned());
        let cases = [
            ("run", TmpfsError::NotAbsolute),
            ("", TmpfsError::NotAbsolute),
            ("/", VolumeError::GuestIsRoot.into()),
            ("/a/..", VolumeError::GuestGoesUp.into()),
            ("/a:size=lots", value("size=lots")),
            ("/a:mode=9", value("mode=9")),
            ("/a:mode=17777", value("mode=17777")),
            ("/a:uid=-1", value("uid=-1")),
            ("/a:huge=always", TmpfsError::Option("huge=always".to_owned())),
            ("/a:sync", TmpfsError::Option("sync".to_owned())),
        ];
        for (text, error) in cases {
            assert_eq!(Tmpfs::parse(text.as_bytes()), Err(error), "{text}");
        }
    }
}
