//! Reading tar archives: members, one after the other.
//!
//! Formats: POSIX (ustar and pax) and GNU, as container tools write them. Extended headers are bounded, since they are read into memory;
//! checksums are checked; sparse members, which only GNU tar writes, are refused. (The `tar` crate reads members' extended headers without a bound, and
//! splits pax records at line feeds, which binary attributes contain; its header type is used here.)

use std::collections::BTreeMap;
use std::io::{self, Read};

use crate::error::Error;

const BLOCK: usize = 512;
/// Bytes of an extended header, or of a long name.
const LONGEST_HEADER: u64 = 1 << 20;

/// A member's header.
#[derive(Debug)]
pub(crate) struct Member {
    pub(crate) path: Vec<u8>,
    pub(crate) link: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) size: u64,
    pub(crate) permissions: u32,
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) modified: (i64, u32),
    pub(crate) device: (u32, u32),
    pub(crate) extended: BTreeMap<Vec<u8>, Vec<u8>>,
}

/// An archive that is being read.
pub(crate) struct TarReader<R> {
    inner: R,
    /// For messages.
    what: String,
    /// Bytes of the current member that are left, and of its padding.
    left: u64,
    padding: u64,
    /// Bytes read so far: where the member's contents begin.
    at: u64,
    /// Of all that follow.
    global: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Whether the mark of the end has to be there.
    needs_end: bool,
}

impl<R: Read> TarReader<R> {
    /// `what` is what the archive is called; one that is not known to be whole from elsewhere `needs_end`.
    pub(crate) fn new(inner: R, what: &str, needs_end: bool) -> Self {
        let what = what.to_owned();
        Self { inner, what, left: 0, padding: 0, at: 0, global: BTreeMap::new(), needs_end }
    }

    fn damaged(&self, why: impl Into<String>) -> Error {
        Error::damaged(self.what.clone(), why)
    }

    /// Where the contents of the current member begin in the archive.
    pub(crate) fn position(&self) -> u64 {
        self.at
    }

    fn read_exact(&mut self, into: &mut [u8]) -> Result<(), Error> {
        self.inner.read_exact(into).map_err(|error| self.damaged(unreadable(&error)))?;
        self.at += into.len() as u64;
        Ok(())
    }

    /// A header block; `None` at the end.
    fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Error> {
        let mut block = [0; BLOCK];
        let mut len = 0;
        while len < BLOCK {
            match self.inner.read(&mut block[len..]) {
                Ok(0) if len == 0 && !self.needs_end => return Ok(None),
                Ok(0) => return Err(self.damaged("it is cut off")),
                Ok(got) => len += got,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(self.damaged(unreadable(&error))),
            }
        }
        self.at += BLOCK as u64;
        Ok(block.iter().any(|&byte| byte != 0).then_some(block))
    }

    fn skip(&mut self) -> Result<(), Error> {
        let rest = self.left + self.padding;
        let skipped = io::copy(&mut (&mut self.inner).take(rest), &mut io::sink());
        let skipped = skipped.map_err(|error| self.damaged(unreadable(&error)))?;
        self.at += skipped;
        // Some tools end with the last byte that counts.
        let least = if self.needs_end { rest } else { self.left };
        (self.left, self.padding) = (0, 0);
        if skipped >= least { Ok(()) } else { Err(self.damaged("it is cut off")) }
    }

    fn long(&mut self, size: u64) -> Result<Vec<u8>, Error> {
        if size > LONGEST_HEADER {
            return Err(self.damaged("an extended header is too long"));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.read_exact(&mut bytes)?;
        self.left = 0;
        self.skip()?;
        Ok(bytes)
    }

    /// The next member; `None` at the end.
    pub(crate) fn next(&mut self) -> Result<Option<Member>, Error> {
        self.skip()?;
        let (mut long_path, mut long_link) = (None, None);
        let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        loop {
            let Some(block) = self.block()? else { return Ok(None) };
            let header = tar::Header::from_byte_slice(&block);
            let number = |result: io::Result<u64>| result.map_err(|_| "a number in a header is none");
            let size = number(header.entry_size()).map_err(|why| self.damaged(why))?;
            if header.cksum().ok() != Some(checksum(&block)) {
                return Err(self.damaged("a header's checksum is wrong"));
            }
            (self.left, self.padding) = (size, padding(size));
            match block[156] {
                b'L' => long_path = Some(until_nul(self.long(size)?)),
                b'K' => long_link = Some(until_nul(self.long(size)?)),
                b'x' => records = self.records(size)?,
                b'g' => self.global = self.records(size)?,
                _ => {
                    let mut all = self.global.clone();
                    all.append(&mut records);
                    let member = member(header, size, long_path, long_link, all);
                    let member = member.map_err(|why| self.damaged(why))?;
                    (self.left, self.padding) = (member.size, padding(member.size));
                    return Ok(Some(member));
                }
            }
        }
    }

    /// The records of a pax header: `length key=value\n`, where the length counts all of that.
    fn records(&mut self, size: u64) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Error> {
        let bytes = self.long(size)?;
        let mut records = BTreeMap::new();
        let mut rest = bytes.as_slice();
        while !rest.is_empty() && rest[0] != 0 {
            let record = (|| {
                let space = rest.iter().position(|&byte| byte == b' ')?;
                let len: usize = std::str::from_utf8(&rest[..space]).ok()?.parse().ok()?;
                let record = rest.get(space + 1..len)?.strip_suffix(b"\n")?;
                let equals = record.iter().position(|&byte| byte == b'=')?;
                Some((record[..equals].to_vec(), record[equals + 1..].to_vec(), len))
            })();
            let Some((key, value, len)) = record else {
                return Err(self.damaged("an extended header makes no sense"));
            };
            records.insert(key, value);
            rest = rest.get(len..).unwrap_or_default();
        }
        Ok(records)
    }
}

/// The contents of the current member.
impl<R: Read> Read for TarReader<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.left).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.inner.read(&mut into[..most])?;
        if got == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "it is cut off"));
        }
        self.left -= got as u64;
        self.at += got as u64;
        Ok(got)
    }
}

/// Why bytes do not come.
pub(crate) fn unreadable(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::UnexpectedEof => "it is cut off".to_owned(),
        _ => crate::error::reason(error),
    }
}

fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

fn checksum(block: &[u8; BLOCK]) -> u32 {
    let bytes = block.iter().enumerate();
    bytes.map(|(at, &byte)| u32::from(if (148..156).contains(&at) { b' ' } else { byte })).sum()
}

fn until_nul(mut bytes: Vec<u8>) -> Vec<u8> {
    let len = bytes.iter().position(|&byte| byte == 0).unwrap_or(bytes.len());
    bytes.truncate(len);
    bytes
}

fn member(
    header: &tar::Header,
    size: u64,
    long_path: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
    mut records: BTreeMap<Vec<u8>, Vec<u8>>,
) -> Result<Member, &'static str> {
    const BAD: &str = "a number in a header is none";
    if records.keys().any(|key| key.starts_with(b"GNU.sparse")) || header.as_bytes()[156] == b'S' {
        return Err("it has sparse members; write it without");
    }
    let text = |bytes: &[u8]| std::str::from_utf8(bytes).ok().map(str::to_owned);
    let mut number = |key: &[u8], own: io::Result<u64>| match records.remove(key) {
        Some(value) => text(&value).and_then(|text| text.parse().ok()).ok_or(BAD),
        None => own.map_err(|_| BAD),
    };
    let size = number(b"size", Ok(size))?;
    let uid = number(b"uid", header.uid())?;
    let gid = number(b"gid", header.gid())?;
    let modified = match records.remove(&b"mtime"[..]) {
        Some(value) => text(&value).and_then(|text| time(&text)).ok_or(BAD)?,
        // One before 1970, or none.
        None => (i64::try_from(header.mtime().unwrap_or(0)).unwrap_or(0), 0),
    };
    let path = records.remove(&b"path"[..]).or(long_path).unwrap_or_else(|| header.path_bytes().into_owned());
    let link = records.remove(&b"linkpath"[..]).or(long_link);
    let link = link.unwrap_or_else(|| header.link_name_bytes().unwrap_or_default().into_owned());
    let narrow = |value: u64| u32::try_from(value).map_err(|_| BAD);
    let device = |half: io::Result<Option<u32>>| half.ok().flatten().unwrap_or(0);
    let is_directory = path.ends_with(b"/");
    let kind = match header.as_bytes()[156] {
        0 | b'7' if is_directory => b'5',
        0 | b'7' => b'0',
        kind => kind,
    };
    let attribute =
        |(key, value): (Vec<u8>, Vec<u8>)| Some((key.strip_prefix(b"SCHILY.xattr.")?.to_vec(), value));
    Ok(Member {
        path,
        link,
        kind,
        // Links and the like have none, whatever their header says; some tools write the size of what they link to.
        size: if matches!(kind, b'1'..=b'6') { 0 } else { size },
        permissions: header.mode().map_err(|_| BAD)? & 0o7777,
        uid: narrow(uid)?,
        gid: narrow(gid)?,
        modified,
        device: (device(header.device_major()), device(header.device_minor())),
        extended: records.into_iter().filter_map(attribute).collect(),
    })
}

/// Seconds, and nanoseconds after them, of a decimal number.
fn time(text: &str) -> Option<(i64, u32)> {
    let (seconds, rest) = text.split_once('.').unwrap_or((text, ""));
    let whole: i64 = seconds.parse().ok()?;
    let digits: String = rest.chars().chain("000000000".chars()).take(9).collect();
    let nanoseconds: u32 = digits.parse().ok()?;
    Some(match (text.starts_with('-'), nanoseconds) {
        (true, 1..) => (whole.checked_sub(1)?, 1_000_000_000 - nanoseconds),
        _ => (whole, nanoseconds),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_may_be_before_1970() {
        assert_eq!(time("12.5"), Some((12, 500_000_000)));
        assert_eq!(time("-1.25"), Some((-2, 750_000_000)));
        assert_eq!(time("7"), Some((7, 0)));
        assert_eq!(time("x"), None);
    }
}
