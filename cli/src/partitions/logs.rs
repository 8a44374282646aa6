//! `septum logs`: what a partition in the background has said, from the files that its supervisor keeps.

use std::collections::VecDeque;
use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::logs::{Entry, Reader};

use super::find;
use crate::args::{Logs, Tail};
use crate::message;

/// How often a file that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(50);
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
        while let Some(entry) = reader.next_entry()? {
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
            while let Some(entry) = reader.next_entry()? {
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
