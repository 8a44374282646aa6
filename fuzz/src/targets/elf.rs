//! ELF files, as the worker looks at a program and as the guest kernel loads it.
//!
//! ```text
//! input   [bias] the file
//! ```

use septum_guest_core::process::elf::Headers;

use crate::bytes::Bytes;
use crate::program::inspect;

/// Bytes of a file that the guest kernel reads first.
const HEAD: usize = 1024;
const PAGE: u64 = 4096;

pub(super) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let bias = bytes.long() & !(PAGE - 1);
    let file = bytes.take(bytes.left());
    let for_worker = inspect(file);
    let head = &file[..file.len().min(HEAD)];
    let read = |offset: u64, len: usize| {
        let rest = usize::try_from(offset).ok().and_then(|start| file.get(start..)).unwrap_or_default();
        Ok(rest[..rest.len().min(len)].to_vec())
    };
    let Ok(headers) = Headers::parse(head, read) else { return };
    let _ = headers.table_address();
    let Ok((low, high)) = headers.extent() else { return };
    assert!(low < high && low % PAGE == 0 && high % PAGE == 0);
    for bias in [0, bias, bias.wrapping_sub(low)] {
        for segment in headers.loads() {
            let Ok(pieces) = segment.pieces(bias) else { continue };
            let pages = [pieces.start, pieces.anonymous_start, pieces.end];
            assert!(pages.is_sorted() && pages.iter().all(|page| page % PAGE == 0), "{pieces:?}");
            assert!(
                pieces.tail < PAGE
                    && pieces.file_end + pieces.tail <= pieces.anonymous_start.max(pieces.file_end)
            );
            assert!(pieces.end - pieces.start <= (high - low), "{pieces:?} of {segment:?}");
        }
    }
    // Whoever is told that it can run finds the same interpreter there.
    if let (Ok(Some(path)), Some(segment)) = (for_worker, headers.interpreter()) {
        let len = usize::try_from(segment.file_len).unwrap();
        assert_eq!(read(segment.offset, len), Ok([&path[..], &[0]].concat()));
    }
}

/// A header with its program headers at once behind it, and contents.
fn file(kind: u16, segments: &[(u32, u32, [u64; 4])], contents: &[u8]) -> Vec<u8> {
    let mut file = b"\x7fELF\x02\x01\x01".to_vec();
    file.resize(16, 0);
    file.extend(kind.to_le_bytes());
    file.extend(62_u16.to_le_bytes());
    file.extend(1_u32.to_le_bytes());
    [0x1000_u64, 64, 0].iter().for_each(|word| file.extend(word.to_le_bytes()));
    file.extend(0_u32.to_le_bytes());
    let count = u16::try_from(segments.len()).unwrap();
    [64_u16, 56, count, 0, 0, 0].iter().for_each(|half| file.extend(half.to_le_bytes()));
    for (kind, flags, [offset, address, file_len, memory_len]) in segments {
        file.extend(kind.to_le_bytes());
        file.extend(flags.to_le_bytes());
        let words = [*offset, *address, *address, *file_len, *memory_len, PAGE];
        words.iter().for_each(|word| file.extend(word.to_le_bytes()));
    }
    file.extend(contents);
    file
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let path = b"/lib64/ld-linux-x86-64.so.2\0";
    let len = path.len() as u64;
    let at = 64 + 56 * 4;
    let dynamic = [
        (6, 4, [64, 64, 224, 224]),
        (3, 4, [at, at, len, len]),
        (1, 5, [0, 0, at + len, at + len]),
        (1, 6, [at, 0x1000 + at, len, 0x3000]),
    ];
    let fixed = [(1, 5, [0, 0x40_0000, 64 + 56 * 2, 0x1000]), (1, 6, [0, 0x40_2000, 0, 0x2000])];
    let files = [file(3, &dynamic, path), file(2, &fixed, b"code")];
    let mut seeds: Vec<_> =
        files.iter().map(|file| [&0x5555_0000_0000_u64.to_le_bytes()[..], file].concat()).collect();
    // One whose headers are behind what is read first.
    let mut far = files[1].clone();
    let table = far[64..176].to_vec();
    far.resize(3000, 0);
    far[32..40].copy_from_slice(&3000_u64.to_le_bytes());
    far.extend(table);
    seeds.push([&[0; 8][..], &far].concat());
    seeds
}
