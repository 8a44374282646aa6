//! `smaps` and `smaps_rollup`: how much of each mapping is there, and what the mappings of a process come to by kind.
//!
//! A page that somebody else maps or keeps (a child, another mapping, the page cache) counts as shared. How many do is not known, so its
//! proportional share (Pss) is taken to be a half, the most that it can be.

use super::facts::{Census, Mapping, ProcessInfo};
use super::process::map_line;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

/// Sums over a process's mappings.
#[derive(Clone, Copy, Debug, Default)]
pub struct Kinds {
    /// Pages that are there, of mappings of files that were not written, and of shared memory.
    pub resident_of_others: u64,
    /// Those of files.
    pub resident_of_files: u64,
    /// Bytes of the program's own code.
    pub text: u64,
    /// Bytes of other code.
    pub libraries: u64,
    /// Bytes of private mappings that may be written, without the stack.
    pub data: u64,
    /// Bytes of the stack.
    pub stack: u64,
}

/// What the mappings of `process` come to.
pub fn kinds(process: &dyn ProcessInfo) -> Kinds {
    let mut kinds = Kinds::default();
    let program = process.executable().map(|dentry| dentry.path(&process.fs().root));
    let root = process.fs().root;
    process.mappings(&mut |mapping: &Mapping<'_>| {
        let bytes = mapping.end - mapping.start;
        if mapping.file.is_some() || mapping.is_shared {
            let census = (mapping.census)();
            // What is a mapping's own is a copy.
            let pages = if mapping.is_shared { census.present } else { census.present - census.own };
            kinds.resident_of_others += pages;
            kinds.resident_of_files += if mapping.file.is_some() { pages } else { 0 };
        }
        match mapping.file {
            Some(file) if mapping.execute && program.as_ref() == Some(&file.path(&root)) => {
                kinds.text += bytes
            }
            Some(_) if mapping.execute => kinds.libraries += bytes,
            _ if mapping.label == "[stack]" => kinds.stack += bytes,
            _ if mapping.write && !mapping.is_shared => kinds.data += bytes,
            _ => {}
        }
    });
    kinds
}

/// Numbers of one mapping or of all, in KiB; where there are two, what is clean and what is not.
#[derive(Default)]
struct Numbers {
    resident: u64,
    shared: [u64; 2],
    private: [u64; 2],
    anonymous: u64,
    large: u64,
    locked: u64,
}

impl Numbers {
    fn of(mapping: &Mapping<'_>) -> Self {
        let Census { present, own, large } = (mapping.census)();
        let kib = |pages: u64| pages * 4;
        let (shared, own) = (kib(present - own), kib(own));
        // What a private mapping of a file has for itself it has written; other memory without a file is never clean.
        let (shared, private, anonymous) = match (mapping.file.is_some(), mapping.is_shared) {
            (false, _) => ([0, shared], [0, own], shared + own),
            (true, false) => ([shared, 0], [0, own], own),
            (true, true) => ([shared, 0], [own, 0], 0),
        };
        let large = if mapping.file.is_none() { kib(large) } else { 0 };
        let mut numbers = Self { resident: kib(present), shared, private, anonymous, large, locked: 0 };
        if mapping.is_locked {
            numbers.locked = numbers.proportional();
        }
        numbers
    }

    fn proportional(&self) -> u64 {
        self.private.iter().sum::<u64>() + self.shared.iter().sum::<u64>() / 2
    }

    fn add(&mut self, other: &Self) {
        for kind in 0..2 {
            self.shared[kind] += other.shared[kind];
            self.private[kind] += other.private[kind];
        }
        self.resident += other.resident;
        self.anonymous += other.anonymous;
        self.large += other.large;
        self.locked += other.locked;
    }

    fn lines(&self) -> String {
        let lines = [
            ("Rss", self.resident),
            ("Pss", self.proportional()),
            ("Pss_Dirty", self.private[1] + self.shared[1] / 2),
            ("Shared_Clean", self.shared[0]),
            ("Shared_Dirty", self.shared[1]),
            ("Private_Clean", self.private[0]),
            ("Private_Dirty", self.private[1]),
            ("Referenced", self.resident),
            ("Anonymous", self.anonymous),
            ("KSM", 0),
            ("LazyFree", 0),
            ("AnonHugePages", self.large),
            ("ShmemPmdMapped", 0),
            ("FilePmdMapped", 0),
            ("Shared_Hugetlb", 0),
            ("Private_Hugetlb", 0),
            ("Swap", 0),
            ("SwapPss", 0),
            ("Locked", self.locked),
        ];
        lines.into_iter().map(|(name, value)| line(name, value)).collect()
    }
}

fn line(name: &str, kib: u64) -> String {
    format!("{:<15} {kib:>8} kB\n", format!("{name}:"))
}

/// The two letters of each flag that a mapping has.
fn flags(mapping: &Mapping<'_>) -> String {
    let flags = [
        (mapping.read, " rd"),
        (mapping.write, " wr"),
        (mapping.execute, " ex"),
        (mapping.is_shared, " sh"),
        (true, " mr mw me"),
        (mapping.is_locked, " lo"),
    ];
    flags.into_iter().filter(|(is, _)| *is).map(|(_, flag)| flag).collect()
}

/// `smaps`
pub fn smaps(process: &dyn ProcessInfo) -> Vec<u8> {
    let root = process.fs().root;
    let mut text = Vec::new();
    process.mappings(&mut |mapping: &Mapping<'_>| {
        text.extend_from_slice(&map_line(mapping, &root));
        for (name, kib) in
            [("Size", (mapping.end - mapping.start) / 1024), ("KernelPageSize", 4), ("MMUPageSize", 4)]
        {
            text.extend_from_slice(line(name, kib).as_bytes());
        }
        text.extend_from_slice(Numbers::of(mapping).lines().as_bytes());
        let last = format!("THPeligible:           0\nVmFlags:{} \n", flags(mapping));
        text.extend_from_slice(last.as_bytes());
    });
    text
}

/// `smaps_rollup`
pub fn rollup(process: &dyn ProcessInfo) -> Vec<u8> {
    let mut sum = Numbers::default();
    let (mut first, mut last) = (None, 0);
    process.mappings(&mut |mapping: &Mapping<'_>| {
        first.get_or_insert(mapping.start);
        last = mapping.end;
        sum.add(&Numbers::of(mapping));
    });
    let first = first.unwrap_or(0);
    let name = format!("{first:08x}-{last:08x} ---p 00000000 00:00 0");
    format!("{name:<73}[rollup]\n{}", sum.lines()).into_bytes()
}
