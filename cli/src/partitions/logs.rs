//! `septum logs`: what a partition in the background has said, from the files that its supervisor keeps.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

use super::find;
use crate::args::{Logs, Tail};
use crate::message;

/// How often a file that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// Files that are kept at most.
const MOST_FILES: u32 = 100;

/// `septum logs`
pub fn logs(options: &Logs) -> ExitCode {
    match show(options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn show(options: &Logs) -> Result<(), Failure> {
    let found = find(&options.partition)?;
    let what = || format!("cannot show the log of partition '{}'", options.partition);
    let Some(directory) = found.record.log.clone() else {
        return Err(Failure::new(
            Code::Usage,
            what(),
            "it runs in the foreground, and its output is its caller's",
        )
        .hint("only partitions started with --detach have a log"));
    };
    let id = found.record.id;
    let is_live = || find(&id).is_ok_and(|found| found.record.state.is_live());
    let mut reader = Reader::open(&directory);
    let mut printer = Printer { options, in_line: [false; 2] };
    // Where the lines of the end are wanted, the others are only counted.
    let mut tail = VecDeque::new();
    let most = options.tail.map_or(usize::MAX, |Tail(lines)| lines);
    let result = (|| -> io::Result<()> {
        while let Some(entry) = reader.next()? {
            if most == usize::MAX {
                printer.print(&entry)?;
                continue;
            }
            tail.push_back(entry);
            while lines_of(&tail) > most {
                tail.pop_front();
            }
        }
        for entry in tail.drain(..) {
            printer.print(&entry)?;
        }
        io::stdout().flush()?;
        let mut goes_on = options.follow;
        while goes_on {
            // Whatever was said before it ended is there once it has.
            let was_live = is_live();
            while let Some(entry) = reader.next()? {
                printer.print(&entry)?;
            }
            io::stdout().flush()?;
            goes_on = was_live;
            if goes_on {
                std::thread::sleep(GLANCE);
            }
        }
        Ok(())
    })();
    match result {
        // Whoever read this has read enough.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        Err(error) => Err(Failure::new(Code::Path, what(), error.to_string())),
        Ok(()) => Ok(()),
    }
}

/// Ends of lines in there.
fn lines_of(entries: &VecDeque<Entry>) -> usize {
    entries.iter().filter(|entry| entry.is_whole).count()
        + usize::from(entries.back().is_some_and(|last| !last.is_whole))
}

/// One entry of a log.
struct Entry {
    time: String,
    is_error: bool,
    is_whole: bool,
    text: Vec<u8>,
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

struct Printer<'a> {
    options: &'a Logs,
    in_line: [bool; 2],
}

impl Printer<'_> {
    fn print(&mut self, entry: &Entry) -> io::Result<()> {
        if let Some(since) = self.options.since
            && humantime::parse_rfc3339(&entry.time).unwrap_or(SystemTime::UNIX_EPOCH) < since
        {
            return Ok(());
        }
        let in_line = &mut self.in_line[usize::from(entry.is_error)];
        let mut bytes = Vec::with_capacity(entry.text.len() + 40);
        if self.options.timestamps && !*in_line {
            bytes.extend_from_slice(entry.time.as_bytes());
            bytes.push(b' ');
        }
        bytes.extend_from_slice(&entry.text);
        if entry.is_whole {
            bytes.push(b'\n');
        }
        *in_line = !entry.is_whole;
        if entry.is_error { io::stderr().write_all(&bytes) } else { io::stdout().write_all(&bytes) }
    }
}

/// Reads the files from the oldest to the one that is being written, whatever is renamed meanwhile.
struct Reader {
    directory: PathBuf,
    current: Option<(BufReader<File>, u64)>,
    part: Vec<u8>,
}

impl Reader {
    fn open(directory: &Path) -> Self {
        let mut reader = Self { directory: directory.to_owned(), current: None, part: Vec::new() };
        reader.current = (0..MOST_FILES).rev().find_map(|number| reader.open_file(number));
        reader
    }

    fn open_file(&self, number: u32) -> Option<(BufReader<File>, u64)> {
        let name = if number == 0 { "log".to_owned() } else { format!("log.{number}") };
        let file = File::open(self.directory.join(name)).ok()?;
        let inode = file.metadata().ok()?.ino();
        Some((BufReader::new(file), inode))
    }

    /// The next entry that is there.
    fn next(&mut self) -> io::Result<Option<Entry>> {
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
