//! What a RAM file system of a partition is like: the source of a mount of kind [`Ram`](crate::config::MountKind::Ram).
//!
//! ```text
//! size=67108864,mode=1777,uid=0,gid=0       each part may be missing; an empty source is a plain one
//! ```

use core::fmt;
use core::str;

/// See above.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RamOptions {
    /// Most bytes of files.
    pub bytes: Option<u64>,
    /// Permissions of its root; without them, those of the directory that it covers.
    pub permissions: Option<u32>,
    /// Owner of its root; without one, that of the directory that it covers.
    pub uid: Option<u32>,
    /// See [`uid`](Self::uid).
    pub gid: Option<u32>,
}

impl RamOptions {
    /// Reads a source. What is not understood is left out: the host writes it, and the host is believed.
    #[must_use]
    pub fn parse(source: &[u8]) -> Self {
        let mut options = Self::default();
        for part in str::from_utf8(source).unwrap_or_default().split(',') {
            match part.split_once('=') {
                Some(("size", value)) => options.bytes = value.parse().ok(),
                Some(("mode", value)) => options.permissions = u32::from_str_radix(value, 8).ok(),
                Some(("uid", value)) => options.uid = value.parse().ok(),
                Some(("gid", value)) => options.gid = value.parse().ok(),
                _ => {}
            }
        }
        options
    }
}

impl fmt::Display for RamOptions {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut comma = "";
        let mut put = |part: fmt::Arguments<'_>| {
            let comma = core::mem::replace(&mut comma, ",");
            write!(out, "{comma}{part}")
        };
        self.bytes.map_or(Ok(()), |bytes| put(format_args!("size={bytes}")))?;
        self.permissions.map_or(Ok(()), |permissions| put(format_args!("mode={permissions:o}")))?;
        self.uid.map_or(Ok(()), |uid| put(format_args!("uid={uid}")))?;
        self.gid.map_or(Ok(()), |gid| put(format_args!("gid={gid}")))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::string::ToString as _;

    #[test]
    fn what_is_written_is_read() {
        let full =
            RamOptions { bytes: Some(1 << 40), permissions: Some(0o1777), uid: Some(7), gid: Some(u32::MAX) };
        for options in
            [full, RamOptions::default(), RamOptions { permissions: Some(0o700), ..RamOptions::default() }]
        {
            assert_eq!(RamOptions::parse(options.to_string().as_bytes()), options);
        }
        assert_eq!(RamOptions::default().to_string(), "");
        assert_eq!(RamOptions::parse(b"size=x,\xff"), RamOptions::default());
    }
}
