//! A layer: a tar archive, perhaps compressed, that is put on what is there.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};

use flate2::read::MultiGzDecoder;
use sha2::{Digest as _, Sha256};

use super::Unpacking;
use super::tar_reader::{Member, TarReader, unreadable};
use super::zstd::Zstd;
use crate::error::Error;
use crate::tree::{Attributes, Body, Tree};
use crate::verity::named;

/// Names that say what is gone.
const WHITEOUT: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
/// What the storage drivers that made the names up kept for themselves.
const RESERVED: &[u8] = b".wh..wh.";

/// Counts and hashes what passes.
pub(super) struct Hashing<R> {
    inner: R,
    hasher: Sha256,
    len: u64,
    most: u64,
}

impl<R: Read> Hashing<R> {
    /// Lets at most `most` bytes pass.
    pub(super) fn new(inner: R, most: u64) -> Self {
        Self { inner, hasher: Sha256::new(), len: 0, most }
    }

    /// The digest of all, of which the rest is read.
    pub(super) fn finish(mut self) -> io::Result<String> {
        io::copy(&mut self, &mut io::sink())?;
        Ok(named(&self.hasher.finalize()))
    }
}

impl<R: Read> Read for Hashing<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let got = self.inner.read(into)?;
        self.hasher.update(&into[..got]);
        self.len += got as u64;
        if self.len > self.most { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(got) }
    }
}

/// What is known of a layer from elsewhere.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Known<'a> {
    /// Digest as it is stored.
    pub(super) stored: Option<&'a str>,
    /// Digest of the archive in it.
    pub(super) unpacked: Option<&'a str>,
}

/// Puts a layer on the tree. `what` is what it is called.
pub(super) fn unpack(
    source: impl Read,
    what: &str,
    known: Known<'_>,
    tree: &mut Tree,
    unpacking: &mut Unpacking<'_>,
) -> Result<(), Error> {
    // Headers and padding come on top of contents.
    let most = unpacking.limits.bytes.saturating_mul(2).saturating_add(1 << 30);
    let limit = unpacking.limits.bytes;
    let damaged = |error: &io::Error| match error.kind() {
        io::ErrorKind::FileTooLarge => unpacking_limit(limit),
        _ => Error::damaged(what, unreadable(error)),
    };
    let mut stored = Hashing::new(source, u64::MAX);
    let unpacked = {
        let mut archive = Hashing::new(decompress(&mut stored, what)?, most);
        let mut reader = TarReader::new(&mut archive, what, known.unpacked.is_none());
        tree.next_layer();
        while let Some(member) = reader.next()? {
            unpacking.count()?;
            apply(member, &mut reader, what, tree, unpacking)?;
        }
        archive.finish().map_err(|error| damaged(&error))?
    };
    let digest = stored.finish().map_err(|error| damaged(&error))?;
    let wrong = |expected: &str, found: &str| {
        Error::damaged(what, format!("its digest is {found}, and should be {expected}"))
    };
    match (known.stored, known.unpacked) {
        (Some(expected), _) if expected != digest => Err(wrong(expected, &digest)),
        (_, Some(expected)) if expected != unpacked => Err(wrong(expected, &unpacked)),
        _ => Ok(()),
    }
}

fn unpacking_limit(limit: u64) -> Error {
    Error::Limit { what: "bytes", limit, option: "--max-size" }
}

/// The archive in what may be compressed.
pub(super) fn decompress<'a>(mut source: impl Read + 'a, what: &str) -> Result<Box<dyn Read + 'a>, Error> {
    let mut magic = [0; 6];
    let mut len = 0;
    while len < magic.len() {
        match source.read(&mut magic[len..]).map_err(|error| Error::damaged(what, unreadable(&error)))? {
            0 => break,
            got => len += got,
        }
    }
    let start = io::Cursor::new(magic).take(len as u64);
    let whole = start.chain(source);
    match &magic[..len] {
        [0x1f, 0x8b, ..] => Ok(Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(1 << 16, whole)))),
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => {
            Ok(Box::new(Zstd::new(io::BufReader::with_capacity(1 << 16, whole))))
        }
        [0xfd, b'7', b'z', b'X', b'Z', 0] | [b'B', b'Z', b'h', ..] => Err(Error::Unusable(format!(
            "{what} is compressed in a way that septum does not know; gzip and zstd are known"
        ))),
        _ => Ok(Box::new(io::BufReader::with_capacity(1 << 16, whole))),
    }
}

fn apply<R: Read>(
    member: Member,
    reader: &mut TarReader<R>,
    what: &str,
    tree: &mut Tree,
    unpacking: &mut Unpacking<'_>,
) -> Result<(), Error> {
    let path = member.path.strip_suffix(b"/").unwrap_or(&member.path);
    let (directory, name) = match path.iter().rposition(|&byte| byte == b'/') {
        Some(at) => (&path[..at], &path[at + 1..]),
        None => (&[][..], path),
    };
    if name == OPAQUE {
        return tree.make_opaque(directory);
    }
    if name.starts_with(RESERVED) {
        return Ok(());
    }
    if let Some(hidden) = name.strip_prefix(WHITEOUT) {
        if matches!(hidden, b"" | b"." | b"..") {
            return Err(Error::refused(what, "it hides what is no file"));
        }
        return tree.white_out(&[directory, hidden].join(&b'/'));
    }
    let body = match member.kind {
        b'0' => Body::Regular(contents(member.size, reader, what, unpacking)?),
        b'1' => return tree.link(path, &member.link),
        b'2' => Body::Symlink(member.link),
        b'3' => Body::CharacterDevice(member.device.0, member.device.1),
        b'4' => Body::BlockDevice(member.device.0, member.device.1),
        b'5' => Body::Directory(BTreeMap::new()),
        b'6' => Body::Fifo,
        kind => {
            let shown = char::from(kind).escape_default();
            return Err(Error::refused(what, format!("it has a member of an unknown kind, '{shown}'")));
        }
    };
    let attributes = Attributes {
        permissions: member.permissions,
        uid: member.uid,
        gid: member.gid,
        modified: member.modified,
        extended: member.extended,
    };
    tree.insert(path, body, attributes).map(drop)
}

/// Writes contents to a file of our own.
fn contents<R: Read>(
    size: u64,
    reader: &mut TarReader<R>,
    what: &str,
    unpacking: &mut Unpacking<'_>,
) -> Result<u64, Error> {
    unpacking.expect(size)?;
    let (number, place) = unpacking.building.place();
    let mut file = File::create(&place).map_err(Error::host("make", &place))?;
    let mut buffer = vec![0; 1 << 16];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => return Ok(number),
            Ok(len) => {
                let piece = &buffer[..len];
                io::Write::write_all(&mut file, piece).map_err(Error::host("write", &place))?;
            }
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                return Err(unpacking_limit(unpacking.limits.bytes));
            }
            Err(error) => return Err(Error::damaged(what, unreadable(&error))),
        }
    }
}
