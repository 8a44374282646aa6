//! `septum exec`: another program in a partition that runs.

use std::ffi::OsString;
use std::io::IsTerminal as _;
use std::os::fd::AsFd as _;
use std::process::ExitCode;

use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Request};
use septum_worker::terminal;

use super::typing::Streams;
use super::{ask, connect, unanswered};
use crate::args::Exec;
use crate::message;

/// `septum exec`
pub fn exec(options: Exec) -> ExitCode {
    match run(options) {
        Ok(status) => ExitCode::from(status),
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn run(options: Exec) -> Result<u8, Failure> {
    if options.tty && options.interactive && !std::io::stdin().is_terminal() {
        return Err(no_terminal("cannot give the program a terminal"));
    }
    let request = control::Exec {
        arguments: options.program.into_iter().map(ByteString::from).collect(),
        environment: environment(&options.env, options.tty),
        working_directory: options.workdir.map(ByteString::from),
        user: options.user.as_deref().map(ByteString::from),
        terminal: options.tty.then(terminal::size_or_usual),
        has_input: options.interactive,
        is_detached: options.detach,
    };
    let partition = &options.partition;
    if options.detach {
        return ask(partition, &Request::Exec(request), &[]).map(|_| 0);
    }
    let (_found, socket) = connect(partition)?;
    let (streams, theirs) = Streams::open(options.tty)?;
    let descriptors = theirs.0.each_ref().map(|descriptor| descriptor.as_fd());
    control::send(&socket, &Request::Exec(request), &descriptors)
        .map_err(|error| unanswered(partition, &error))?;
    drop(theirs);
    let keys: &[u8] = if options.tty { &options.detach_keys.0 } else { &[] };
    match streams.serve(partition, &socket, keys, options.interactive)? {
        Answer::Ended(status) => Ok(status),
        Answer::Failed { status, message } => {
            message::tell(&format!("septum: {message}"));
            Ok(status)
        }
        _ => {
            Err(Failure::new(Code::Internal, "the partition gave a strange answer", "it is not one to this"))
        }
    }
}

/// There is no terminal whose other end the program's could be.
pub fn no_terminal(what: &str) -> Failure {
    Failure::new(Code::Usage, what, "standard input is not a terminal")
        .hint("leave out -t (--tty), or run this in a terminal")
}

/// What is given, and with a terminal what kind of one it is.
fn environment(given: &[OsString], has_terminal: bool) -> Vec<ByteString> {
    let mut variables = Vec::new();
    if has_terminal && let Some(term) = std::env::var_os("TERM") {
        variables.push(ByteString([b"TERM=", term.as_encoded_bytes()].concat()));
    }
    for variable in given {
        if variable.as_encoded_bytes().contains(&b'=') {
            variables.push(variable.as_os_str().into());
        } else if let Some(value) = std::env::var_os(variable) {
            variables
                .push(ByteString([variable.as_encoded_bytes(), b"=", value.as_encoded_bytes()].concat()));
        }
    }
    variables
}
