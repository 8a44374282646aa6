//! A partition in the background: its supervisor is a process of its own, in a session of its own.
//!
//! ```text
//!   septum run -d                          supervisor
//!   ─────────────  fork ─────────────────► session, streams, log ─► live …
//!   waits      ◄─── Launch::Started, or Launch::Failed
//!   prints the identifier, exits
//! ```
#![allow(unsafe_code, reason = "fork")]

use std::os::unix::net::UnixStream;

use rustix::process::setsid;
use septum_api_types::stats::EndStats;
use serde::{Deserialize, Serialize};

use super::streams::Streams;
use super::{Supervision, cannot_start, ended};
use crate::judgement::judge;
use crate::keeping::Keeping;
use crate::outcome::without_number;
use crate::protocol::{End, Ended, Order, receive, send};

/// What is done with the last word of a partition in the background, by its supervisor.
pub type Concluded = Box<dyn FnOnce(Ended)>;

/// What became of a start in the background.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Launch {
    /// The program runs in the partition with this identifier.
    Started(String),
    /// It never ran.
    Failed(EndStats),
}

/// Starts a partition in the background; returns when its program runs, or when that failed. There must be a single thread.
/// `concluded` is called there, at the end, before anybody learns of it.
#[must_use]
pub fn detach(order: Order, keeping: Keeping, concluded: Option<Concluded>) -> Launch {
    let spec = order.spec.clone();
    let failed = |error: &std::io::Error| {
        let failure = cannot_start(format!("it cannot go into the background: {}", without_number(error)));
        Launch::Failed(judge(&End::Failed(failure), &spec))
    };
    let (ours, theirs) = match UnixStream::pair() {
        Ok(pair) => pair,
        Err(error) => return failed(&error),
    };
    // SAFETY:
    // 1. This process has a single thread, as the caller promises: no lock is held by anybody else.
    // 2. The copy never returns from here.
    match unsafe { libc::fork() } {
        -1 => failed(&std::io::Error::last_os_error()),
        0 => {
            drop(ours);
            in_background(order, keeping, &theirs, concluded);
            std::process::exit(0)
        }
        _ => {
            drop(theirs);
            let gone = || std::io::Error::other("the supervisor died at once");
            receive(&ours).unwrap_or_else(|_| failed(&gone()))
        }
    }
}

/// The supervisor's life.
fn in_background(order: Order, keeping: Keeping, caller: &UnixStream, concluded: Option<Concluded>) {
    // Fails for leaders of groups only; a copy leads none.
    let _ = setsid();
    let spec = order.spec.clone();
    let mut concluded = concluded;
    let mut conclude = |last_word: &Ended| {
        if let Some(concluded) = concluded.take() {
            concluded(last_word.clone());
        }
    };
    let mut is_told = false;
    let mut tell = |launch: Launch| {
        if !std::mem::replace(&mut is_told, true) {
            // Whoever started it may be gone already.
            let _ = send(caller, &launch);
            let _ = caller.shutdown(std::net::Shutdown::Both);
        }
    };
    let opened = match &keeping.detached {
        Some(detached) => Streams::open(detached).map(Some),
        None => Ok(None),
    };
    let last_word = match opened {
        Ok(streams) => match Supervision::new(order, keeping, streams) {
            Ok(supervision) => {
                let launched = &mut |id: &str| tell(Launch::Started(id.to_owned()));
                supervision.live(&mut |_| {}, launched, &mut conclude)
            }
            Err(failure) => ended(End::Failed(failure)),
        },
        Err(error) => {
            let why = format!("its log cannot be kept: {}", without_number(&error));
            ended(End::Failed(cannot_start(why)))
        }
    };
    conclude(&last_word);
    tell(Launch::Failed(judge(&last_word.end, &spec)));
}
