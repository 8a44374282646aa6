//! What an ELF file says of how it is loaded (System V ABI, x86-64 supplement).
//!
//! ```text
//!   file     offset ──────── file_len ────────┐
//!   memory   start │address ────── file_end│··│anonymous_start ······ end
//!                                           └── tail: zero, as what follows is
//! ```
//!
//! A file may say anything: every sum is checked, and what makes no sense is ENOEXEC.

use crate::memory::layout::{page_down, page_up};
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;

const PAGE: u64 = PAGE_SIZE as u64;
/// More program headers than any real program has.
const MAX_HEADERS: usize = 64;
const HEADER_SIZE: usize = 56;
const PT_LOAD: u32 = 1;
const PT_INTERP: u32 = 3;
const PT_PHDR: u32 = 6;
const ET_EXEC: u16 = 2;
const ET_DYN: u16 = 3;
const EM_X86_64: u16 = 62;

/// One program header.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    kind: u32,
    /// PF_*
    pub flags: u32,
    /// Where it is in the file.
    pub offset: u64,
    /// Where it is to be.
    pub address: u64,
    /// Bytes of the file.
    pub file_len: u64,
    /// Bytes in memory.
    pub memory_len: u64,
}

/// Where a segment's parts are, moved by a bias.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pieces {
    /// First page.
    pub start: u64,
    /// Behind the last byte of the file.
    pub file_end: u64,
    /// First page without any.
    pub anonymous_start: u64,
    /// Behind the last page.
    pub end: u64,
    /// Bytes of the last page of the file that are zero.
    pub tail: u64,
}

/// What the headers say.
#[derive(Debug)]
pub struct Headers {
    /// It is to be where it says.
    pub is_fixed: bool,
    /// First instruction.
    pub entry: u64,
    table_offset: u64,
    segments: Vec<Segment>,
}

fn bytes<const N: usize>(from: &[u8], at: usize) -> Result<[u8; N], Errno> {
    from.get(at..at + N).and_then(|slice| slice.try_into().ok()).ok_or(Errno::ENOEXEC)
}

fn word(from: &[u8], at: usize) -> Result<u64, Errno> {
    bytes(from, at).map(u64::from_le_bytes)
}

fn half(from: &[u8], at: usize) -> Result<u16, Errno> {
    bytes(from, at).map(u16::from_le_bytes)
}

fn int(from: &[u8], at: usize) -> Result<u32, Errno> {
    bytes(from, at).map(u32::from_le_bytes)
}

impl Headers {
    /// Reads them; `head` is the file's beginning, and `read` gives what is not in it, at an offset and of a length.
    pub fn parse(
        head: &[u8],
        read: impl FnOnce(u64, usize) -> Result<Vec<u8>, Errno>,
    ) -> Result<Self, Errno> {
        let is_elf64 = head.starts_with(b"\x7fELF\x02\x01\x01");
        let kind = half(head, 16)?;
        if !is_elf64 || half(head, 18)? != EM_X86_64 || !(kind == ET_EXEC || kind == ET_DYN) {
            return Err(Errno::ENOEXEC);
        }
        let table_offset = word(head, 32)?;
        let count = usize::from(half(head, 56)?);
        if usize::from(half(head, 54)?) != HEADER_SIZE || count == 0 || count > MAX_HEADERS {
            return Err(Errno::ENOEXEC);
        }
        let len = count * HEADER_SIZE;
        let start = usize::try_from(table_offset).map_err(|_| Errno::ENOEXEC)?;
        let table = match start.checked_add(len).and_then(|end| head.get(start..end)) {
            Some(table) => table.to_vec(),
            None => read(table_offset, len)?,
        };
        let segments = table.chunks(HEADER_SIZE).map(|header| {
            Ok(Segment {
                kind: int(header, 0)?,
                flags: int(header, 4)?,
                offset: word(header, 8)?,
                address: word(header, 16)?,
                file_len: word(header, 32)?,
                memory_len: word(header, 40)?,
            })
        });
        Ok(Self {
            is_fixed: kind == ET_EXEC,
            entry: word(head, 24)?,
            table_offset,
            segments: segments.collect::<Result<_, Errno>>()?,
        })
    }

    /// How many segments there are, of all kinds.
    #[must_use]
    pub fn count(&self) -> usize {
        self.segments.len()
    }

    /// What is loaded.
    pub fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|segment| segment.kind == PT_LOAD && segment.memory_len > 0)
    }

    /// Where the path of the interpreter is.
    #[must_use]
    pub fn interpreter(&self) -> Option<&Segment> {
        self.segments.iter().find(|segment| segment.kind == PT_INTERP)
    }

    /// First and last address of what is loaded, page-aligned.
    pub fn extent(&self) -> Result<(u64, u64), Errno> {
        let mut extent: Option<(u64, u64)> = None;
        for segment in self.loads() {
            let end =
                segment.address.checked_add(segment.memory_len).and_then(page_up).ok_or(Errno::ENOEXEC)?;
            let start = page_down(segment.address);
            extent = Some(extent.map_or((start, end), |(low, high)| (low.min(start), high.max(end))));
        }
        extent.ok_or(Errno::ENOEXEC)
    }

    /// Where the program finds these headers, if they are loaded.
    #[must_use]
    pub fn table_address(&self) -> Option<u64> {
        let said = self.segments.iter().find(|segment| segment.kind == PT_PHDR);
        said.map(|segment| segment.address).or_else(|| {
            self.loads().find_map(|segment| {
                let at = self.table_offset.checked_sub(segment.offset)?;
                (at < segment.file_len).then(|| segment.address.wrapping_add(at))
            })
        })
    }
}

impl Segment {
    /// Where its parts are if it is moved by `bias`.
    pub fn pieces(&self, bias: u64) -> Result<Pieces, Errno> {
        let address = self.address.checked_add(bias).ok_or(Errno::ENOEXEC)?;
        let start = page_down(address);
        if self.offset % PAGE != address % PAGE || self.file_len > self.memory_len {
            return Err(Errno::ENOEXEC);
        }
        let file_end = address.checked_add(self.file_len).ok_or(Errno::ENOEXEC)?;
        let memory_end = address.checked_add(self.memory_len).ok_or(Errno::ENOEXEC)?;
        let anonymous_start =
            if self.file_len == 0 { start } else { page_up(file_end).ok_or(Errno::ENOEXEC)? };
        let end = page_up(memory_end).ok_or(Errno::ENOEXEC)?;
        let tail = if memory_end > file_end && self.file_len > 0 { anonymous_start - file_end } else { 0 };
        Ok(Pieces { start, file_end, anonymous_start, end, tail })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(offset: u64, address: u64, file_len: u64, memory_len: u64) -> Segment {
        Segment { kind: PT_LOAD, flags: 7, offset, address, file_len, memory_len }
    }

    #[test]
    fn a_segment_has_pages_of_the_file_and_pages_of_zeros() {
        let pieces = segment(0x123, 0x1123, 0x1000, 0x3000).pieces(0x10_0000).unwrap();
        let (start, file_end, anonymous_start, end, tail) =
            (0x10_1000, 0x10_2123, 0x10_3000, 0x10_5000, 0xedd);
        assert_eq!(pieces, Pieces { start, file_end, anonymous_start, end, tail });
        let empty = segment(0x123, 0x1123, 0, 0x10).pieces(0).unwrap();
        assert_eq!((empty.start, empty.anonymous_start, empty.end, empty.tail), (0x1000, 0x1000, 0x2000, 0));
        for odd in [
            segment(0x124, 0x1123, 1, 1),
            segment(0, 0x1000, 2, 1),
            segment(0, !0xfff, 0x1000, 0x1000),
            segment(0, 0x1000, 0, !0),
        ] {
            assert_eq!(odd.pieces(0), Err(Errno::ENOEXEC), "{odd:?}");
        }
    }

    #[test]
    fn headers_behind_all_files_are_nowhere() {
        let segments =
            alloc::vec![segment(!0xfff, 0x1000, 0x1000, 0x1000), segment(0x1000, 0x2000, 0x100, 0x100)];
        let headers = |table_offset| {
            let segments = segments.clone();
            Headers { is_fixed: true, entry: 0, table_offset, segments }.table_address()
        };
        assert_eq!([headers(0x1040), headers(0x40), headers(0x1100)], [Some(0x2040), None, None]);
    }
}
