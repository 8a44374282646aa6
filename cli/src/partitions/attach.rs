//! `septum attach`: the streams of a partition in the background, here.

use std::os::fd::AsFd as _;
use std::process::ExitCode;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Request};
use septum_worker::terminal;

use super::typing::Streams;
use super::{connect, unanswered};
use crate::args::Attach;
use crate::message;

/// `septum attach`
pub fn attach(options: Attach) -> ExitCode {
    match be_part(&options) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn be_part(options: &Attach) -> Result<u8, Failure> {
    let (found, socket) = connect(&options.partition)?;
    let lost = |error| unanswered(&options.partition, &error);
    let (streams, theirs) = Streams::open(found.record.has_terminal)?;
    let descriptors = theirs.0.each_ref().map(|descriptor| descriptor.as_fd());
    control::send(&socket, &Request::Attach, &descriptors).map_err(lost)?;
    drop(theirs);
    if let (true, Some(size)) = (found.record.has_terminal, terminal::size()) {
        control::send(&socket, &Request::Resize { size }, &[]).map_err(lost)?;
    }
    match streams.serve(&options.partition, &socket, &options.detach_keys.0, !options.no_stdin)? {
        Answer::Ended(status) => Ok(status),
        _ => {
            Err(Failure::new(Code::Internal, "the partition gave a strange answer", "it is not one to this"))
        }
    }
}
