//! `logs`.

use std::io::{self, Write as _};

use septum_api_client::{Client, LogPart};
use septum_api_types::v1::Problem;

use super::words::wrong;
use crate::args::{Logs, Tail};
use crate::lines::Printer;

/// `septum logs`
pub async fn logs(client: &Client, options: &Logs) -> Result<u8, Problem> {
    let part = LogPart {
        follow: options.follow,
        tail: options.tail.map(|Tail(lines)| lines).filter(|lines| *lines != usize::MAX),
        since: options.since.map(|time| humantime::format_rfc3339_nanos(time).to_string()),
    };
    let mut feed = client.logs(&options.partition, &part).await?;
    let mut printer = Printer::new(options.timestamps);
    while let Some(line) = feed.next().await? {
        let printed = printer.print(&line.time, line.is_error, line.is_whole, line.text.as_bytes());
        match printed.and_then(|()| io::stdout().flush()) {
            // Whoever read this has read enough.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Ok(0),
            Err(error) => {
                let what = format!("cannot show the log of partition '{}'", options.partition);
                return Err(wrong(what, error.to_string(), "see where standard output leads"));
            }
            Ok(()) => {}
        }
    }
    Ok(0)
}
