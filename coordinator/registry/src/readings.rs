//! Statistics of many partitions at once, for those who can wait for them.
//!
//! All supervisors are asked before the first answer is waited for, so they count at the same time; one that does not answer costs
//! the patience, once.

use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use septum_api_types::v1::Stats;

use crate::Found;
use crate::control::{Answer, ControlError, Request, receive, send};

/// How long supervisors have to answer, together, if nothing else is said.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// A reading of each of these, in their order; `None` for those that do not run, or do not answer in time. `threads`: those of which
/// the threads are told one by one.
#[must_use]
pub fn read<'a>(
    found: impl Iterator<Item = &'a Found>,
    patience: Duration,
    threads: impl Fn(&Found) -> bool,
) -> Vec<Option<Stats>> {
    let until = Instant::now() + patience;
    let asked: Vec<Option<UnixStream>> = found.map(|found| ask(found, threads(found))).collect();
    asked.into_iter().map(|socket| wait(&socket?, until).ok()?).collect()
}

fn ask(found: &Found, threads: bool) -> Option<UnixStream> {
    if !found.record.state.is_live() {
        return None;
    }
    let socket = found.connect().ok()?;
    send(&socket, &Request::Stats { threads }, &[]).ok()?;
    Some(socket)
}

fn wait(socket: &UnixStream, until: Instant) -> Result<Option<Stats>, ControlError> {
    let left = until.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
    socket.set_read_timeout(Some(left)).map_err(ControlError::Io)?;
    match receive(socket)? {
        (Answer::Stats(stats), _) => Ok(Some(*stats)),
        _ => Ok(None),
    }
}
