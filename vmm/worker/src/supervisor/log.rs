//! What a partition in the background says, kept in files.
//!
//! ```text
//! log      2026-11-25T12:00:00.123456789Z stdout F a whole line, or its last part
//!          2026-11-25T12:00:00.123456790Z stderr P a part of a line, as far as it was there
//! log.1    what was there before it; log.2 …: the oldest is removed when there are too many
//! ```
//!
//! A disk that is full costs lines, never the partition: what could not be written is counted, and told when there is room again.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::keeping::LogLimits;

/// The longest entry's text: longer lines are cut into parts.
const LONGEST_PART: usize = 16 << 10;

/// Standard output or error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stream {
    /// Standard output.
    Output,
    /// Standard error.
    Error,
}

impl Stream {
    fn name(self) -> &'static str {
        match self {
            Self::Output => "stdout",
            Self::Error => "stderr",
        }
    }
}

/// The files.
#[derive(Debug)]
pub struct Log {
    path: PathBuf,
    limits: LogLimits,
    file: Option<File>,
    written: u64,
    lost: u64,
}

impl Log {
    /// Begins one in `directory`, which is made.
    ///
    /// # Errors
    /// The folder or the file cannot be made.
    pub fn create(directory: &Path, limits: LogLimits) -> io::Result<Self> {
        let mut builder = fs::DirBuilder::new();
        std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
        builder.create(directory)?;
        let mut log = Self { path: directory.join("log"), limits, file: None, written: 0, lost: 0 };
        log.open()?;
        Ok(log)
    }

    fn open(&mut self) -> io::Result<()> {
        // One that is there is of the same partition, which was started before.
        let mut file =
            OpenOptions::new().create(true).write(true).truncate(false).mode(0o600).open(&self.path)?;
        self.written = io::Seek::seek(&mut file, io::SeekFrom::End(0))?;
        self.file = Some(file);
        Ok(())
    }

    /// Keeps what came.
    pub fn add(&mut self, stream: Stream, mut bytes: &[u8]) {
        let mut entries = Vec::with_capacity(bytes.len() + 64);
        let time = humantime::format_rfc3339_nanos(SystemTime::now()).to_string();
        while !bytes.is_empty() {
            let limit = bytes.len().min(LONGEST_PART);
            let end = bytes[..limit].iter().position(|&byte| byte == b'\n');
            let (text, rest, kind) = match end {
                Some(end) => (&bytes[..end], &bytes[end + 1..], 'F'),
                None => (&bytes[..limit], &bytes[limit..], 'P'),
            };
            entries.extend_from_slice(format!("{time} {} {kind} ", stream.name()).as_bytes());
            entries.extend_from_slice(text);
            entries.push(b'\n');
            bytes = rest;
        }
        if self.lost > 0 {
            let note = format!("{time} stderr F septum: {} bytes of the log were lost: no room\n", self.lost);
            if self.write(note.as_bytes()).is_ok() {
                self.lost = 0;
            }
        }
        if self.write(&entries).is_err() {
            self.lost += entries.len() as u64;
        }
    }

    fn write(&mut self, entries: &[u8]) -> io::Result<()> {
        let len = entries.len() as u64;
        if self.written > 0 && self.written + len > self.limits.file_bytes {
            self.rotate();
        }
        if self.file.is_none() {
            self.open()?;
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let result = file.write_all(entries);
        match result {
            Ok(()) => self.written += len,
            // No half entry stays.
            Err(_) => {
                let _ = file.set_len(self.written);
                let _ = io::Seek::seek(file, io::SeekFrom::Start(self.written));
            }
        }
        result
    }

    fn rotate(&mut self) {
        let numbered = |number: u32| self.path.with_file_name(format!("log.{number}"));
        let kept = self.limits.files.max(1) - 1;
        for number in (1..kept).rev() {
            let _ = fs::rename(numbered(number), numbered(number + 1));
        }
        if kept > 0 {
            let _ = fs::rename(&self.path, numbered(1));
        } else {
            let _ = fs::remove_file(&self.path);
        }
        self.file = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(path: &Path) -> Vec<String> {
        let text = fs::read_to_string(path).unwrap();
        text.lines().map(|line| line.split_once('Z').unwrap().1.to_owned()).collect()
    }

    #[test]
    fn lines_and_parts_of_lines_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(&folder.path().join("a/b"), LogLimits::default()).unwrap();
        log.add(Stream::Output, b"one\n\ntw");
        log.add(Stream::Error, b"oops\n");
        log.add(Stream::Output, b"o\n");
        let expected = [" stdout F one", " stdout F ", " stdout P tw", " stderr F oops", " stdout F o"];
        assert_eq!(texts(&folder.path().join("a/b/log")), expected);
    }

    #[test]
    fn files_are_bounded_in_size_and_number() {
        let folder = tempfile::tempdir().unwrap();
        let limits = LogLimits { file_bytes: 4096, files: 3 };
        let mut log = Log::create(folder.path(), limits).unwrap();
        for number in 0..1000 {
            log.add(Stream::Output, format!("line {number}\n").as_bytes());
        }
        let mut names: Vec<String> = fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, ["log", "log.1", "log.2"]);
        assert!(names.iter().all(|name| fs::metadata(folder.path().join(name)).unwrap().len() <= 4096));
        assert_eq!(texts(&folder.path().join("log")).last().unwrap(), " stdout F line 999");
    }

    #[test]
    fn a_full_disk_costs_lines_and_says_so() {
        let folder = tempfile::tempdir().unwrap();
        let mut log = Log::create(folder.path(), LogLimits::default()).unwrap();
        log.file = Some(OpenOptions::new().write(true).open("/dev/full").unwrap());
        log.add(Stream::Output, b"lost\n");
        assert!(log.lost > 0);
        log.open().unwrap();
        log.add(Stream::Output, b"kept\n");
        let kept = texts(&folder.path().join("log"));
        assert!(kept[0].contains("bytes of the log were lost") && kept[1].ends_with("kept"), "{kept:?}");
    }
}
