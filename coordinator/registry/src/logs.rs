//! What a partition in the background has said, from the files that its supervisor keeps.
//!
//! ```text
//! log      2026-11-25T12:00:00.123456789Z stdout F a whole line, or its last part
//!          2026-11-25T12:00:00.123456790Z stderr P a part of a line, as far as it was there
//! log.1    what was there before it; log.2 …
//! ```

use std::fs::File;
use std::io::{self, BufRead as _, BufReader};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// Files that are kept at most.
const MOST_FILES: u32 = 100;

/// One entry of a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// When it was said (RFC 3339).
    pub time: String,
    /// Whether it went to standard error.
    pub is_error: bool,
    /// Whether the line ends with it.
    pub is_whole: bool,
    /// What was said.
    pub text: Vec<u8>,
}

impl Entry {
    /// `None` if it is no entry.
    fn parse(line: &[u8]) -> Option<Self> {
        let mut parts = line.splitn(4, |&byte| byte == b' ');
        let time = String::from_utf8(parts.next()?.to_vec()).ok()?;
        let (stream, kind) = (parts.next()?, parts.next()?);
        let text = parts.next()?.to_vec();
        Some(Self { time, is_error: stream == b"stderr", is_whole: kind == b"F", text })
    }
}

/// Reads the files from the oldest to the one that is being written, whatever is renamed meanwhile.
#[derive(Debug)]
pub struct Reader {
    directory: PathBuf,
    current: Option<(BufReader<File>, u64)>,
    part: Vec<u8>,
}

impl Reader {
    /// From the oldest entry that is kept.
    #[must_use]
    pub fn open(directory: &Path) -> Self {
        let mut reader = Self { directory: directory.to_owned(), current: None, part: Vec::new() };
        reader.current = (0..MOST_FILES).rev().find_map(|number| reader.open_file(number));
        reader
    }

    /// From the last so many lines of those that there are. What a line has that is not whole yet counts as one.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn open_last(directory: &Path, lines: usize) -> io::Result<Self> {
        // One that counts, and one that begins where that began, whatever is renamed meanwhile.
        let (mut ahead, mut reader) = loop {
            let both = (Self::open(directory), Self::open(directory));
            if both.0.inode() == both.1.inode() {
                break both;
            }
        };
        let (mut entries, mut whole, mut is_cut) = (0_u64, 0_usize, false);
        while let Some(entry) = ahead.next_entry()? {
            entries += 1;
            whole += usize::from(entry.is_whole);
            is_cut = !entry.is_whole;
        }
        let mut skipped = (whole + usize::from(is_cut)).saturating_sub(lines);
        while entries > 0
            && skipped > 0
            && let Some(entry) = reader.next_entry()?
        {
            entries -= 1;
            skipped -= usize::from(entry.is_whole);
        }
        Ok(reader)
    }

    fn inode(&self) -> Option<u64> {
        self.current.as_ref().map(|(_, inode)| *inode)
    }

    fn open_file(&self, number: u32) -> Option<(BufReader<File>, u64)> {
        let name = if number == 0 { "log".to_owned() } else { format!("log.{number}") };
        let file = File::open(self.directory.join(name)).ok()?;
        let inode = file.metadata().ok()?.ino();
        Some((BufReader::new(file), inode))
    }

    /// The next entry that is there.
    ///
    /// # Errors
    /// A file cannot be read.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        loop {
            let Some((file, inode)) = &mut self.current else {
                self.current = self.open_file(0);
                if self.current.is_none() {
                    return Ok(None);
                }
                continue;
            };
            let inode = *inode;
            file.read_until(b'\n', &mut self.part)?;
            if self.part.last() == Some(&b'\n') {
                self.part.pop();
                let line = std::mem::take(&mut self.part);
                if let Some(entry) = Entry::parse(&line) {
                    return Ok(Some(entry));
                }
                continue;
            }
            // The end of this file: there may be a newer one.
            let Some(next) = self.newer_than(inode) else { return Ok(None) };
            // What was written between reading and looking.
            if let Some((file, _)) = &mut self.current
                && !file.fill_buf()?.is_empty()
            {
                continue;
            }
            self.part.clear();
            self.current = Some(next);
        }
    }

    fn newer_than(&self, inode: u64) -> Option<(BufReader<File>, u64)> {
        let files: Vec<_> = (0..MOST_FILES).map_while(|number| self.open_file(number)).collect();
        match files.iter().position(|(_, other)| *other == inode) {
            Some(0) => None,
            Some(at) => files.into_iter().nth(at - 1),
            // It is gone; all that there are came after it.
            None => files.into_iter().last(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_in_several_files() {
        let folder = std::env::temp_dir().join(format!("septum-logs-test-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let line = |text: &str, kind: &str| format!("2026-11-27T00:00:00.000000000Z stdout {kind} {text}\n");
        std::fs::write(folder.join("log.1"), line("a", "F") + &line("b", "P") + &line("c", "F")).unwrap();
        std::fs::write(folder.join("log"), line("d", "F") + &line("e", "P")).unwrap();
        let last = |lines| {
            let mut reader = Reader::open_last(&folder, lines).unwrap();
            let texts = std::iter::from_fn(|| reader.next_entry().unwrap()).map(|entry| entry.text);
            String::from_utf8(texts.flatten().collect()).unwrap()
        };
        assert_eq!([0, 1, 2, 3, 4, 9].map(last), ["", "e", "de", "bcde", "abcde", "abcde"]);
        std::fs::remove_dir_all(&folder).unwrap();
    }
}
