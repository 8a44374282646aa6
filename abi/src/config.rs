//! The boot configuration: the program to start and the file systems to mount.
//!
//! A flat blob that the host writes with [`Writer`] and the guest reads with [`BootConfig::parse`], without
//! allocating or copying:
//!
//! ```text
//! +0   program   offset u32, len u32       path as given, no NUL
//! +8   workdir   offset u32, len u32
//! +16  hostname  offset u32, len u32
//! +24  arguments offset u32, len u32, count u32      each string ends with NUL
//! +36  environ   offset u32, len u32, count u32
//! +48  mounts    offset u32, len u32, count u32      per mount: kind byte, flags byte, source NUL, target NUL
//! +60  identity  uid u32, gid u32, umask u32, closed streams u32
//! +76  disks     count u32
//! +80  network   u32: 1 if there is a way out of the partition
//! +84  terminal  rows u32, columns u32: not 0 if the standard streams are a terminal
//! +92  groups    offset u32, count u32               u32 each: the user's other groups
//! +100 limits    offset u32, count u32               resource u32, soft u64, hard u64 each
//! +108 strings
//! ```

use core::str;

const HEADER: usize = 108;
const GROUP: usize = 4;
const LIMIT: usize = 20;

/// How a subtree of the shared directory appears in the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum MountKind {
    /// Lower layer of an overlay whose upper layer is in RAM: writable, and nothing reaches the host.
    Overlay = b'o',
    /// Read-only: writing is EROFS.
    ReadOnly = b'r',
    /// Writes go through to the host.
    ReadWrite = b'w',
    /// As [`ReadOnly`](Self::ReadOnly), of one file.
    ReadOnlyFile = b'R',
    /// As [`ReadWrite`](Self::ReadWrite), of one file.
    ReadWriteFile = b'W',
    /// An empty RAM file system; the source tells what it is like ([`RamOptions`](crate::ram::RamOptions)).
    Ram = b'm',
    /// The device nodes; the source is ignored.
    Device = b'd',
    /// The process file system; the source is ignored.
    Process = b'p',
    /// As [`Overlay`](Self::Overlay), over the image that the boot page tells of; the source is ignored.
    Image = b'i',
    /// One file in RAM, whose contents are the source.
    Text = b't',
}

impl MountKind {
    /// The kind with this byte.
    #[must_use]
    pub fn from_byte(byte: u8) -> Option<Self> {
        Some(match byte {
            b'o' => Self::Overlay,
            b'r' => Self::ReadOnly,
            b'w' => Self::ReadWrite,
            b'R' => Self::ReadOnlyFile,
            b'W' => Self::ReadWriteFile,
            b'm' => Self::Ram,
            b'd' => Self::Device,
            b'p' => Self::Process,
            b'i' => Self::Image,
            b't' => Self::Text,
            _ => return None,
        })
    }
}

/// What cannot be done on a mount.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Refusals {
    /// Writing is EROFS.
    pub writing: bool,
    /// Executing what is there is EACCES.
    pub execution: bool,
}

impl Refusals {
    fn to_byte(self) -> u8 {
        u8::from(self.writing) | u8::from(self.execution) << 1
    }

    fn from_byte(byte: u8) -> Self {
        Self { writing: byte & 1 != 0, execution: byte & 2 != 0 }
    }
}

/// A limit on what a process may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    /// RLIMIT_…
    pub resource: u32,
    /// The soft limit.
    pub soft: u64,
    /// The hard limit.
    pub hard: u64,
}

/// One mount, in the order in which they are to be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount<'a> {
    /// How.
    pub kind: MountKind,
    /// What it refuses, whatever its kind.
    pub refusals: Refusals,
    /// Path inside the shared directory, or what the kind says.
    pub source: &'a [u8],
    /// Absolute path in the guest.
    pub target: &'a [u8],
}

/// The blob does not have the form above.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed;

/// A list of strings, each ended by a NUL.
#[derive(Clone, Copy, Debug)]
pub struct Strings<'a> {
    /// All of them, terminators included: as a program's stack holds them.
    pub bytes: &'a [u8],
    /// How many.
    pub count: usize,
}

impl<'a> Strings<'a> {
    /// The strings without their terminators.
    pub fn iter(&self) -> impl Iterator<Item = &'a [u8]> + use<'a> {
        self.bytes.split(|&byte| byte == 0).take(self.count)
    }
}

/// The parsed configuration; borrows the blob.
#[derive(Clone, Copy, Debug)]
pub struct BootConfig<'a> {
    /// Path of the program; looked up in `PATH` by the host, never by the guest.
    pub program: &'a [u8],
    /// Working directory.
    pub workdir: &'a [u8],
    /// What `uname` tells.
    pub hostname: &'a [u8],
    /// Arguments, the zeroth included.
    pub arguments: Strings<'a>,
    /// Environment, `K=V` each.
    pub environment: Strings<'a>,
    mounts: &'a [u8],
    mount_count: usize,
    groups: &'a [u8],
    limits: &'a [u8],
    /// User id of the program.
    pub uid: u32,
    /// Group id of the program.
    pub gid: u32,
    /// File mode creation mask.
    pub umask: u32,
    /// Bit N: the caller has closed the standard stream with descriptor N.
    pub closed_streams: u32,
    /// Block devices on the bus.
    pub disks: u32,
    /// Whether there is a socket device, and with it a way out of the partition.
    pub has_network: bool,
    /// Rows and columns of the terminal that the standard streams are, if they are one.
    pub terminal: Option<[u16; 2]>,
}

impl<'a> BootConfig<'a> {
    /// Reads the blob.
    pub fn parse(blob: &'a [u8]) -> Result<Self, Malformed> {
        let slice = |at: usize| -> Result<&'a [u8], Malformed> {
            let start = usize::try_from(word(blob, at)?).map_err(|_| Malformed)?;
            let len = usize::try_from(word(blob, at + 4)?).map_err(|_| Malformed)?;
            blob.get(start..start.checked_add(len).ok_or(Malformed)?).ok_or(Malformed)
        };
        let count = |at: usize| usize::try_from(word(blob, at)?).map_err(|_| Malformed);
        let records = |at: usize, size: usize| -> Result<&'a [u8], Malformed> {
            let start = count(at)?;
            let len = count(at + 4)?.checked_mul(size).ok_or(Malformed)?;
            blob.get(start..start.checked_add(len).ok_or(Malformed)?).ok_or(Malformed)
        };
        Ok(Self {
            program: slice(0)?,
            workdir: slice(8)?,
            hostname: slice(16)?,
            arguments: Strings { bytes: slice(24)?, count: count(32)? },
            environment: Strings { bytes: slice(36)?, count: count(44)? },
            mounts: slice(48)?,
            mount_count: count(56)?,
            uid: word(blob, 60)?,
            gid: word(blob, 64)?,
            umask: word(blob, 68)?,
            closed_streams: word(blob, 72)?,
            disks: word(blob, 76)?,
            has_network: word(blob, 80)? != 0,
            terminal: match [word(blob, 84)?, word(blob, 88)?] {
                [0, 0] => None,
                size => Some(size.map(|length| u16::try_from(length).unwrap_or(u16::MAX))),
            },
            groups: records(92, GROUP)?,
            limits: records(100, LIMIT)?,
        })
    }

    /// Groups of the user besides [`gid`](Self::gid).
    pub fn groups(&self) -> impl Iterator<Item = u32> + use<'a> {
        let groups = self.groups;
        (0..groups.len() / GROUP).map_while(move |number| word(groups, number * GROUP).ok())
    }

    /// Limits of the first process that are not as usual.
    pub fn limits(&self) -> impl Iterator<Item = Limit> + use<'a> {
        let limits = self.limits;
        (0..limits.len() / LIMIT).map_while(move |number| {
            let at = number * LIMIT;
            let long =
                |at| Some(u64::from(word(limits, at).ok()?) | u64::from(word(limits, at + 4).ok()?) << 32);
            Some(Limit { resource: word(limits, at).ok()?, soft: long(at + 4)?, hard: long(at + 12)? })
        })
    }

    /// The mounts, in order. Malformed entries end the list.
    pub fn mounts(&self) -> impl Iterator<Item = Mount<'a>> + use<'a> {
        let mut rest = self.mounts;
        (0..self.mount_count).map_while(move |_| {
            let (&kind, tail) = rest.split_first()?;
            let (&refusals, tail) = tail.split_first()?;
            let (source, tail) = split_string(tail)?;
            let (target, tail) = split_string(tail)?;
            rest = tail;
            Some(Mount {
                kind: MountKind::from_byte(kind)?,
                refusals: Refusals::from_byte(refusals),
                source,
                target,
            })
        })
    }
}

fn split_string(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = bytes.iter().position(|&byte| byte == 0)?;
    Some((&bytes[..end], &bytes[end + 1..]))
}

fn word(blob: &[u8], at: usize) -> Result<u32, Malformed> {
    let bytes = blob.get(at..at + 4).ok_or(Malformed)?;
    Ok(u32::from_le_bytes(bytes.try_into().map_err(|_| Malformed)?))
}

/// What the host wants the guest to start; [`write`](Source::write) turns it into the blob.
#[derive(Clone, Debug)]
pub struct Source<'a> {
    /// See [`BootConfig`].
    pub program: &'a [u8],
    /// See [`BootConfig`].
    pub workdir: &'a [u8],
    /// See [`BootConfig`].
    pub hostname: &'a [u8],
    /// See [`BootConfig`].
    pub arguments: &'a [&'a [u8]],
    /// See [`BootConfig`].
    pub environment: &'a [&'a [u8]],
    /// See [`BootConfig`].
    pub mounts: &'a [Mount<'a>],
    /// See [`BootConfig`].
    pub uid: u32,
    /// See [`BootConfig`].
    pub gid: u32,
    /// See [`BootConfig`].
    pub umask: u32,
    /// See [`BootConfig`].
    pub closed_streams: u32,
    /// See [`BootConfig`].
    pub disks: u32,
    /// See [`BootConfig`].
    pub has_network: bool,
    /// See [`BootConfig`]; a size of nothing at all is none.
    pub terminal: Option<[u16; 2]>,
    /// See [`BootConfig::groups`].
    pub groups: &'a [u32],
    /// See [`BootConfig::limits`].
    pub limits: &'a [Limit],
}

impl Source<'_> {
    /// Emits the blob through `put`, which is called with consecutive pieces. Strings must not contain NUL.
    pub fn write(&self, mut put: impl FnMut(&[u8])) {
        let list_len = |list: &[&[u8]]| list.iter().map(|item| item.len() + 1).sum::<usize>();
        let mounts_len = self.mounts.iter().map(|m| m.source.len() + m.target.len() + 4).sum::<usize>();
        let mut offset = HEADER;
        let mut place = |put: &mut dyn FnMut(&[u8]), len: usize| {
            put(&u32_of(offset).to_le_bytes());
            put(&u32_of(len).to_le_bytes());
            offset += len;
        };
        place(&mut put, self.program.len());
        place(&mut put, self.workdir.len());
        place(&mut put, self.hostname.len());
        place(&mut put, list_len(self.arguments));
        put(&u32_of(self.arguments.len()).to_le_bytes());
        place(&mut put, list_len(self.environment));
        put(&u32_of(self.environment.len()).to_le_bytes());
        place(&mut put, mounts_len);
        put(&u32_of(self.mounts.len()).to_le_bytes());
        let has_network = u32::from(self.has_network);
        let [rows, columns] = self.terminal.unwrap_or_default().map(u32::from);
        let (closed, disks) = (self.closed_streams, self.disks);
        for number in [self.uid, self.gid, self.umask, closed, disks, has_network, rows, columns] {
            put(&number.to_le_bytes());
        }
        for (count, size) in [(self.groups.len(), GROUP), (self.limits.len(), LIMIT)] {
            put(&u32_of(offset).to_le_bytes());
            put(&u32_of(count).to_le_bytes());
            offset += count * size;
        }
        put(self.program);
        put(self.workdir);
        put(self.hostname);
        for item in self.arguments.iter().chain(self.environment) {
            put(item);
            put(&[0]);
        }
        for mount in self.mounts {
            put(&[mount.kind as u8, mount.refusals.to_byte()]);
            put(mount.source);
            put(&[0]);
            put(mount.target);
            put(&[0]);
        }
        self.groups.iter().for_each(|group| put(&group.to_le_bytes()));
        for limit in self.limits {
            put(&limit.resource.to_le_bytes());
            put(&limit.soft.to_le_bytes());
            put(&limit.hard.to_le_bytes());
        }
    }
}

/// Lengths here are of strings that together fit guest memory's first GiB; more is cut, and then fails to parse.
fn u32_of(len: usize) -> u32 {
    u32::try_from(len).unwrap_or(u32::MAX)
}

impl Mount<'_> {
    /// The target as text, for messages.
    #[must_use]
    pub fn target_text(&self) -> &str {
        str::from_utf8(self.target).unwrap_or("(not UTF-8)")
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::vec::Vec;

    #[test]
    fn what_the_host_writes_the_guest_reads() {
        let source = Source {
            program: b"/bin/true",
            workdir: b"/tmp",
            hostname: b"septum",
            arguments: &[b"true", b"", b"two words"],
            environment: &[b"A=1"],
            mounts: &[
                Mount {
                    kind: MountKind::Overlay,
                    refusals: Refusals { writing: true, execution: false },
                    source: b"/",
                    target: b"/",
                },
                Mount {
                    kind: MountKind::Ram,
                    refusals: Refusals { writing: false, execution: true },
                    source: b"",
                    target: b"/tmp",
                },
            ],
            uid: 1,
            gid: 2,
            umask: 0o22,
            closed_streams: 5,
            disks: 3,
            has_network: true,
            terminal: Some([24, 80]),
            groups: &[7, u32::MAX],
            limits: &[Limit { resource: 7, soft: 1, hard: u64::MAX - 1 }],
        };
        let mut blob = Vec::new();
        source.write(|bytes| blob.extend_from_slice(bytes));
        let config = BootConfig::parse(&blob).unwrap();
        assert_eq!(config.program, b"/bin/true");
        assert_eq!(config.hostname, b"septum");
        assert_eq!(config.arguments.iter().collect::<Vec<_>>(), [&b"true"[..], b"", b"two words"]);
        assert_eq!(config.environment.iter().collect::<Vec<_>>(), [&b"A=1"[..]]);
        assert_eq!(config.mounts().collect::<Vec<_>>(), source.mounts);
        assert_eq!((config.uid, config.gid, config.umask, config.closed_streams), (1, 2, 0o22, 5));
        assert_eq!(config.disks, 3);
        assert!(config.has_network);
        assert_eq!(config.terminal, Some([24, 80]));
        assert_eq!(config.groups().collect::<Vec<_>>(), source.groups);
        assert_eq!(config.limits().collect::<Vec<_>>(), source.limits);
    }

    #[test]
    fn every_truncation_is_refused_or_harmless() {
        let source = Source {
            program: b"/p",
            workdir: b"/",
            hostname: b"h",
            arguments: &[b"p"],
            environment: &[],
            mounts: &[Mount {
                kind: MountKind::Device,
                refusals: Refusals::default(),
                source: b"",
                target: b"/dev",
            }],
            uid: 0,
            gid: 0,
            umask: 0,
            closed_streams: 0,
            disks: 0,
            has_network: false,
            terminal: None,
            groups: &[1],
            limits: &[],
        };
        let mut blob = Vec::new();
        source.write(|bytes| blob.extend_from_slice(bytes));
        for len in 0..blob.len() {
            assert!(BootConfig::parse(&blob[..len]).is_err(), "{len}");
        }
    }
}
