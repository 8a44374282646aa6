//! What is said about a program whose streams are a client's: by `exec` and `attach`, WebSockets.
//!
//! ```text
//!   client                                          server
//!   GET …/exec, upgrade ──────────────────────────► 101
//!   text: ExecRequest (exec alone) ───────────────►
//!   binary: 0, what the program reads ────────────►
//!                         ◄──────────────────────── text: FromProgram::Took
//!                         ◄──────────────────────── binary: 1 or 2, what it writes
//!   text: ToProgram ──────────────────────────────►
//!                         ◄──────────────────────── text: FromProgram::Ended, Failed or Refused; close
//! ```
//!
//! Whoever has at most [`WINDOW`] bytes under way that the server has not taken (a message counts as 64 at least) is always heard at once, with
//! signals too. Others may have to wait until the program reads.

use serde::{Deserialize, Serialize};

use super::Problem;

/// Bytes for the program that a client may have sent, and the server not [taken](FromProgram::Took).
pub const WINDOW: usize = 256 << 10;
/// What a binary message with so many bytes for the program takes of the window: they themselves, or what it takes to remember a small one.
#[must_use]
pub fn cost(length: usize) -> usize {
    length.max(64)
}

/// Bytes of the longest message, either way; binary ones begin with a byte of [`stream`].
pub const LONGEST_MESSAGE: usize = 1 << 20;

/// The first byte of a binary message.
pub mod stream {
    /// For the program.
    pub const INPUT: u8 = 0;
    /// Its standard output, or what its terminal shows.
    pub const OUTPUT: u8 = 1;
    /// Its standard error.
    pub const ERRORS: u8 = 2;
}

/// Another program in a partition that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct ExecRequest {
    /// The program, a path or a name, and its arguments.
    pub command: Vec<String>,
    /// `KEY=VALUE` each, besides the variables of the partition's first program or in their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub env: Vec<String>,
    /// Where it starts; without, where the first program did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub workdir: Option<String>,
    /// `USER[:GROUP]` of the partition, names or numbers; without, whom the first program runs as.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether it has an input; else that is at its end.
    #[serde(default, skip_serializing_if = "is_no")]
    pub interactive: bool,
    /// Its terminal, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tty: Option<TerminalSize>,
}

/// The size of a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct TerminalSize {
    /// Lines.
    pub rows: u16,
    /// Characters in a line.
    pub columns: u16,
}

/// What a client says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "is", deny_unknown_fields)]
pub enum ToProgram {
    /// The terminal has another size.
    Resize(TerminalSize),
    /// The program gets a signal.
    Signal {
        /// Its name or number.
        signal: String,
    },
    /// Its input ends with what was sent.
    CloseInput,
}

/// What the server says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum FromProgram {
    /// So much of the input is not under way any more.
    Took {
        /// Bytes.
        bytes: u64,
    },
    /// The program, or the partition that was attached to, has ended, and all that it has written was sent.
    Ended {
        /// Its exit status; 128 and a signal's number.
        status: u8,
    },
    /// The program did not run, or not to its end.
    Failed {
        /// What to exit with.
        status: u8,
        /// Why.
        message: String,
    },
    /// It was not tried, or is given up.
    Refused(Problem),
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's signature")]
fn is_no(value: &bool) -> bool {
    !*value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_has_the_form_that_is_documented() {
        let said = |word: &ToProgram| serde_json::to_string(word).unwrap();
        let size = TerminalSize { rows: 24, columns: 80 };
        assert_eq!(said(&ToProgram::Resize(size)), r#"{"is":"resize","rows":24,"columns":80}"#);
        assert_eq!(said(&ToProgram::CloseInput), r#"{"is":"close_input"}"#);
        let back: ToProgram = serde_json::from_str(r#"{"is":"signal","signal":"INT"}"#).unwrap();
        assert_eq!(back, ToProgram::Signal { signal: "INT".to_owned() });
        for nonsense in ["{}", r#"{"is":"signal"}"#, r#"{"is":"resize","rows":-1,"columns":1}"#, "7"] {
            assert!(serde_json::from_str::<ToProgram>(nonsense).is_err(), "{nonsense}");
        }
        let ended = serde_json::to_string(&FromProgram::Ended { status: 7 }).unwrap();
        assert_eq!(ended, r#"{"is":"ended","status":7}"#);
    }
}
