//! The broker's own `main`: a process beside the worker that makes the partition's sockets, because the worker cannot.
//!
//! ```text
//!   supervisor ──fork──► worker  (its network has nothing in it) ──requests──► broker ──► the host's network
//!        │                                                     ◄──sockets────┘
//!        └───────fork──► broker ── what was refused ──► supervisor
//! ```
//!
//! It has the host's network and nothing else: no capability, no path (Landlock, and a filter without any call that takes one), no process.
//! It dies with its supervisor, and ends when its worker is gone, or says something that no proxy says.

use std::collections::BTreeSet;
use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::sync::Mutex;

use rustix::process::Pid;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;
use septum_api_types::network::Network;
use septum_netproxy::broker::Log;
use septum_netproxy::{Broker, Outside};

use crate::forked::{close_all_but, tie_to};
use crate::network::{MOST_REFUSALS, failure};
use crate::outcome::without_number;
use crate::protocol::{FromBroker, send};
use crate::{jail, outcome};

/// What it is called.
const PROCESS_NAME: &std::ffi::CStr = c"septum-broker";

/// Exit statuses: the worker is gone; this process could not begin; the worker said what no proxy says.
pub(crate) const GONE: i32 = 0;
const NOT_BEGUN: i32 = 1;
pub(crate) const MALFORMED: i32 = 3;

/// The broker's whole life, in a process of its own that the supervisor made; returns its exit status.
pub(crate) fn serve(
    socket: UnixStream,
    supervisor: Pid,
    network: &Network,
    jail: JailChoice,
    outside: Outside,
) -> i32 {
    if !tie_to(supervisor) {
        return NOT_BEGUN;
    }
    close_all_but(outside.descriptors().chain([socket.as_fd()]));
    // For `ps` and `top` only.
    let _ = rustix::thread::set_name(PROCESS_NAME);
    match begin(&socket, network, jail, outside) {
        Ok(broker) => broker.serve().map_or(MALFORMED, |()| GONE),
        Err(failure) => {
            // If the supervisor is gone, this process is about to be killed.
            let _ = send(&socket, &FromBroker::Failed(failure));
            NOT_BEGUN
        }
    }
}

fn begin(
    socket: &UnixStream,
    network: &Network,
    jail: JailChoice,
    outside: Outside,
) -> Result<Broker, Failure> {
    let socket = socket.try_clone().map_err(|error| failure(without_number(&error)))?;
    let broker =
        Broker::new(network, outside, log(socket)).map_err(|error| failure(without_number(&error)))?;
    // The caller's streams are the worker's.
    let null = std::fs::File::open("/dev/null").map_err(|error| failure(without_number(&error)))?;
    rustix::stdio::dup2_stdin(&null)
        .and_then(|()| rustix::stdio::dup2_stdout(&null))
        .and_then(|()| rustix::stdio::dup2_stderr(&null))
        .map_err(|error| failure(outcome::reason(error)))?;
    drop(null);
    jail::confine_broker(jail)?;
    Ok(broker)
}

/// Tells the supervisor what was refused, each once, and not without end: a program may try everything.
fn log(socket: UnixStream) -> Log {
    let told = Mutex::new(BTreeSet::new());
    Box::new(move |line| {
        let Ok(mut told) = told.lock() else { return };
        if told.len() < MOST_REFUSALS && told.insert(line.to_owned()) {
            // As above.
            let _ = send(&socket, &FromBroker::Refused(line.to_owned()));
        }
    })
}
