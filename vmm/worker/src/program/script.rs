//! The first line of a script, as Linux reads it.
//!
//! ```text
//! #! [blanks] INTERPRETER [ blanks ARGUMENT ] [blanks] newline
//! ```
//!
//! Only the first 256 bytes count. There is at most one argument, and it may hold blanks. An argument may be cut at the
//! end of these bytes, an interpreter may not.

use thiserror::Error;

/// Bytes of a file that are looked at.
pub(super) const LINE_LIMIT: usize = 256;

/// A parsed first line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) interpreter: Vec<u8>,
    pub(super) argument: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub(super) enum ScriptError {
    #[error("it is not a script")]
    NotAScript,
    #[error("its first line names no interpreter")]
    NoInterpreter,
    #[error("its first line is longer than {LINE_LIMIT} bytes")]
    TooLong,
    #[error("its first line ends with a carriage return: it was written on Windows")]
    CarriageReturn,
}

/// Parses the start of a file.
pub(super) fn parse(start: &[u8]) -> Result<Line, ScriptError> {
    let start = &start[..start.len().min(LINE_LIMIT)];
    let rest = start.strip_prefix(b"#!").ok_or(ScriptError::NotAScript)?;
    let end = rest.iter().position(|&byte| byte == b'\n');
    let line = trim(rest.get(..end.unwrap_or(rest.len())).unwrap_or(rest));
    let split = line.iter().position(|&byte| is_blank(byte) || byte == 0);
    let interpreter = &line[..split.unwrap_or(line.len())];
    if interpreter.is_empty() {
        return Err(ScriptError::NoInterpreter);
    }
    if end.is_none() && split.is_none() && start.len() == LINE_LIMIT {
        return Err(ScriptError::TooLong);
    }
    if line.ends_with(b"\r") {
        return Err(ScriptError::CarriageReturn);
    }
    let argument = split.map(|split| trim(&line[split..])).unwrap_or_default();
    let argument = argument.split(|&byte| byte == 0).next().unwrap_or_default();
    Ok(Line {
        interpreter: interpreter.to_vec(),
        argument: (!argument.is_empty()).then(|| argument.to_vec()),
    })
}

fn is_blank(byte: u8) -> bool {
    byte == b' ' || byte == b'\t'
}

fn trim(bytes: &[u8]) -> &[u8] {
    let start = bytes.iter().position(|&byte| !is_blank(byte)).unwrap_or(bytes.len());
    let end = bytes.iter().rposition(|&byte| !is_blank(byte)).map_or(start, |last| last + 1);
    &bytes[start..end]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(interpreter: &str, argument: Option<&str>) -> Result<Line, ScriptError> {
        Ok(Line { interpreter: interpreter.into(), argument: argument.map(Into::into) })
    }

    #[test]
    fn as_linux_reads_it() {
        assert_eq!(parse(b"#!/bin/sh\necho"), line("/bin/sh", None));
        assert_eq!(parse(b"#! /bin/sh \t\n"), line("/bin/sh", None));
        assert_eq!(parse(b"#!/usr/bin/env python3 -u \n"), line("/usr/bin/env", Some("python3 -u")));
        assert_eq!(parse(b"#!/bin/sh"), line("/bin/sh", None));
        assert_eq!(parse(b"#!\n"), Err(ScriptError::NoInterpreter));
        assert_eq!(parse(b"#!   "), Err(ScriptError::NoInterpreter));
        assert_eq!(parse(b"echo hello"), Err(ScriptError::NotAScript));
        assert_eq!(parse(b"#"), Err(ScriptError::NotAScript));
        assert_eq!(parse(b"#!/bin/sh\r\n"), Err(ScriptError::CarriageReturn));
    }

    #[test]
    fn only_an_argument_may_be_cut() {
        let long = format!("#!/{}\n", "x".repeat(300));
        assert_eq!(parse(long.as_bytes()), Err(ScriptError::TooLong));
        let long = format!("#!/bin/sh {}\n", "x".repeat(300));
        assert_eq!(parse(long.as_bytes()).unwrap().argument.unwrap().len(), LINE_LIMIT - 10);
    }
}
