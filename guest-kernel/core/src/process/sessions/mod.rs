//! Sessions: programs whose other end is a person or a program of the host: those of `septum exec`, and the first one if it has a terminal.
//!
//! ```text
//!   host ◄── streams (stream) ──────────────► program
//!   host ◄── line (line) ◄──► Terminal ◄────► program
//! ```
//!
//! * [`stream`]: a standard stream that the host has the other end of; [`line`]: a terminal of which that is so;
//! * [`program`]: what the host wants to be run, read and begun.
//!
//! A session is known from when it begins until its program has ended and the host has all that was written. Nothing here waits for the host.

pub mod accounts;
mod line;
pub mod program;
pub mod stream;

use super::{End, FIRST_PID, Process};
use crate::fs::terminal::jobs::signal_all;
use crate::process::signal::Info;
use alloc::collections::BTreeMap;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use line::Line;
use septum_abi::linux::{Errno, signal};
use septum_abi::service::{FIRST_SESSION, stream as number};
use septum_guest_hal::service::Channel;
use septum_guest_hal::sync::Mutex;
use stream::{Input, Output};

/// All that are known.
static SESSIONS: Mutex<BTreeMap<u32, Arc<Session>>> = Mutex::new(BTreeMap::new());
/// How many: the end of a process is no business of theirs while there are none.
static COUNT: AtomicU32 = AtomicU32::new(0);

/// What its program has for standard streams.
pub enum Ends {
    /// Streams.
    Streams(Arc<Input>, [Arc<Output>; 2]),
    /// A terminal.
    Terminal(Arc<Line>),
}

/// See above.
pub struct Session {
    number: u32,
    /// Its program's process.
    leader: u32,
    ends: Ends,
    /// Its program is over, and the host was told.
    has_ended: AtomicBool,
}

/// Makes a session known.
fn add(number: u32, leader: u32, ends: Ends) {
    let session = Session { number, leader, ends, has_ended: AtomicBool::new(false) };
    SESSIONS.lock().insert(number, Arc::new(session));
    COUNT.fetch_add(1, Ordering::Relaxed);
}

fn find(number: u32) -> Option<Arc<Session>> {
    SESSIONS.lock().get(&number).cloned()
}

/// The host has all that it wrote.
fn forget(number: u32) {
    let gone = SESSIONS.lock().remove(&number);
    if gone.is_some() {
        COUNT.fetch_sub(1, Ordering::Relaxed);
    }
}

/// A stream of a session can be used again.
pub fn ready(number: u32, stream: u32) {
    let Some(session) = find(number) else { return };
    match &session.ends {
        Ends::Terminal(line) => line.ready(stream),
        Ends::Streams(input, outputs) => match stream {
            number::INPUT => input.ready(),
            number::OUTPUT => outputs[0].ready(),
            _ => outputs[1].ready(),
        },
    }
}

/// The process of a session's program, while that runs.
pub fn leader(number: u32) -> Option<u32> {
    let session = find(number)?;
    // Its number may be another's once it is over.
    (!session.has_ended.load(Ordering::SeqCst)).then_some(session.leader)
}

/// A session's terminal has another size.
pub fn resize(number: u32, rows: u16, columns: u16) {
    if let Some(session) = find(number)
        && let Ends::Terminal(line) = &session.ends
    {
        line.resize(rows, columns);
    }
}

/// Nobody is at the other end any more: those of the session are told, as by a terminal whose line is cut.
pub fn hang_up(number: u32) {
    let Some(session) = find(number) else { return };
    match &session.ends {
        Ends::Terminal(line) => line.cut(),
        Ends::Streams(..) => {
            let is_member = |process: &Process| process.kin.session() == session.leader;
            signal_all(is_member, || Info::from_user(signal::SIGHUP, 0, 0));
        }
    }
}

/// What the host is told of an end.
fn value_of(end: Option<End>) -> i32 {
    match end {
        Some(End::Exited(code)) => i32::from(code),
        Some(End::Killed(signal)) => 256 + signal.cast_signed(),
        _ => 256 + signal::SIGKILL.cast_signed(),
    }
}

/// A process has ended, whose files are closed: if a session is about it, the host is told, and what was written goes to the host still.
pub(super) fn ended(process: &Process) {
    if COUNT.load(Ordering::Relaxed) == 0 {
        return;
    }
    let found = SESSIONS.lock().values().find(|session| session.leader == process.pid).cloned();
    let Some(session) = found else { return };
    if let Some(mut channel) = Channel::open() {
        channel.tell_end(session.number, value_of(*process.end.lock()));
    }
    session.has_ended.store(true, Ordering::SeqCst);
    match &session.ends {
        Ends::Terminal(line) => line.finish(),
        Ends::Streams(input, outputs) => {
            input.finish();
            outputs.iter().for_each(|output| output.finish());
        }
    }
    forget_if_over(&session);
}

/// What is written is with the host: it was the last that was waited for, unless the program has closed its streams and goes on.
fn forget_if_over(session: &Session) {
    let is_over = match &session.ends {
        Ends::Terminal(line) => line.is_over(),
        Ends::Streams(_, outputs) => outputs.iter().all(|output| output.is_over()),
    };
    if is_over && session.has_ended.load(Ordering::SeqCst) {
        forget(session.number);
    }
}

/// The partition ends with the first program: what its terminal was to show is shown, unless nobody looks.
pub fn show_the_last() {
    if let Some(session) = find(FIRST_SESSION)
        && session.leader == FIRST_PID
        && let Ends::Terminal(line) = &session.ends
    {
        line.drain();
    }
}

/// Says why the program of a session cannot be started.
fn refuse(number: u32, errno: Errno) {
    if let Some(mut channel) = Channel::open() {
        channel.tell_end(number, -i32::from(errno.number()));
        channel.close(number, number::OUTPUT);
        channel.close(number, number::ERROR);
    }
}
