//! `septum logs`: what a partition in the background has said, from the files that its supervisor keeps.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::{Duration, SystemTime};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::logs::{Entry, Reader};

use super::find;
use super::lines::Printer;
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
    let mut printer = Recent { options, printer: Printer::new(options.timestamps) };
    let result = (|| -> io::Result<()> {
        let mut reader = match options.tail {
            None | Some(Tail(usize::MAX)) => Reader::open(&directory),
            Some(Tail(lines)) => Reader::open_last(&directory, lines)?,
        };
        while let Some(entry) = reader.next_entry()? {
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

/// Prints what is recent enough.
struct Recent<'a> {
    options: &'a Logs,
    printer: Printer,
}

impl Recent<'_> {
    fn print(&mut self, entry: &Entry) -> io::Result<()> {
        if let Some(since) = self.options.since
            && humantime::parse_rfc3339(&entry.time).unwrap_or(SystemTime::UNIX_EPOCH) < since
        {
            return Ok(());
        }
        self.printer.print(&entry.time, entry.is_error, entry.is_whole, &entry.text)
    }
}
