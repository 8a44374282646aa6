//! `septum attach`: the streams of a partition in the background, here.
//!
//! ```text
//!   what is typed ──► pipe ──► supervisor ──► partition
//!   what is seen  ◄── pipes ◄── supervisor ◄── partition, and its log
//! ```

use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::process::ExitCode;
use std::thread;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Request};

use super::{await_answer, connect, unanswered};
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
    let (_found, socket) = connect(&options.partition)?;
    let internal = |error: io::Error| Failure::new(Code::Internal, "cannot attach", error.to_string());
    let (their_input, our_input) = io::pipe().map_err(internal)?;
    let (mut output, their_output) = io::pipe().map_err(internal)?;
    let (mut errors, their_errors) = io::pipe().map_err(internal)?;
    control::send(
        &socket,
        &Request::Attach,
        &[their_input.as_fd(), their_output.as_fd(), their_errors.as_fd()],
    )
    .map_err(|error| unanswered(&options.partition, &error))?;
    drop((their_input, their_output, their_errors));
    let of_output = thread::spawn(move || io::copy(&mut output, &mut io::stdout()).map(drop));
    let of_errors = thread::spawn(move || io::copy(&mut errors, &mut io::stderr()).map(drop));
    if !options.no_stdin {
        let keys = options.detach_keys.0.clone();
        thread::spawn(move || type_into(our_input, &keys));
    }
    let answer = await_answer(&options.partition, &socket);
    // What it said last comes before the word of its end.
    let _ = (of_output.join(), of_errors.join());
    match answer? {
        Answer::Ended(status) => Ok(status),
        _ => {
            Err(Failure::new(Code::Internal, "the partition gave a strange answer", "it is not one to this"))
        }
    }
}

/// Passes on what is typed; the keys end this process.
fn type_into(mut input: io::PipeWriter, keys: &[u8]) {
    let mut seen = 0;
    let mut buffer = [0; 4096];
    while let Ok(length @ 1..) = io::stdin().read(&mut buffer) {
        let mut typed = Vec::with_capacity(length);
        for &byte in &buffer[..length] {
            if keys.get(seen) == Some(&byte) {
                seen += 1;
                if seen == keys.len() {
                    message::tell("septum: detached; the partition goes on");
                    std::process::exit(0);
                }
                continue;
            }
            // They were meant for the program after all.
            typed.extend_from_slice(&keys[..seen]);
            seen = usize::from(keys.first() == Some(&byte));
            if seen == 0 {
                typed.push(byte);
            }
        }
        if input.write_all(&typed).is_err() {
            return;
        }
    }
}
