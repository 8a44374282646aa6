//! What is told to clients when something cannot be done.

use septum_api_types::failure::Failure;
use septum_api_types::v1::{Problem, ProblemCode};
use septum_registry::control::ControlError;

use crate::machine::Refusal;
use crate::store::StoreError;

/// What is told of a partition that is not there.
#[must_use]
pub fn no_partition(wanted: &str) -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        format!("cannot find partition '{wanted}'"),
        format!("there is no partition '{wanted}'"),
        "GET /v1/partitions lists all",
    )
}

/// The beginning of several identifiers.
#[must_use]
pub fn several(wanted: &str) -> Problem {
    Problem::new(
        ProblemCode::Conflict,
        format!("cannot find partition '{wanted}'"),
        format!("'{wanted}' is the beginning of several identifiers"),
        "give more of the identifier, or the name",
    )
}

/// A change that the state does not allow.
#[must_use]
pub fn refused(what: &str, wanted: &str, refusal: &Refusal) -> Problem {
    let remediation = match refusal {
        Refusal::Live(_) => "stop it first, or use force",
        Refusal::NotLive(_) => "start it first",
        Refusal::NotManaged => "create one like it through the API",
        Refusal::Removing => "wait until it is gone",
    };
    let message = format!("cannot {what} partition '{wanted}'");
    Problem::new(ProblemCode::Conflict, message, refusal.to_string(), remediation)
}

/// The state cannot be kept.
#[must_use]
pub fn not_kept(what: &str, error: &StoreError) -> Problem {
    match error {
        StoreError::Full => Problem::new(
            ProblemCode::StorageFull,
            what,
            "the disk that holds the coordinator's state is full",
            "make room below SEPTUM_DATA_DIR, then try again",
        ),
        error => Problem::new(
            ProblemCode::Internal,
            what,
            error.to_string(),
            "see what septum serve says; starting it anew puts a damaged database aside",
        ),
    }
}

/// A supervisor that does not answer.
#[must_use]
pub fn unanswered(wanted: &str, error: &ControlError) -> Problem {
    Problem::new(
        ProblemCode::Conflict,
        format!("partition '{wanted}' did not answer"),
        error.to_string(),
        "it may have ended just now: look at its state",
    )
}

/// What a supervisor or the launcher says.
#[must_use]
pub fn failed(code: ProblemCode, failure: &Failure) -> Problem {
    let mut problem = Problem::new(code, &failure.what, &failure.why, &failure.hint);
    problem.exit_status = Some(failure.code.number());
    problem
}

/// A start that failed, from what `septum run` would have printed: `septum: WHAT: WHY`, `hint: NEXT`.
#[must_use]
pub fn not_started(status: u8, text: &str) -> Problem {
    let mut problem = of_words(ProblemCode::StartFailed, "the partition did not start", text);
    problem.exit_status = Some(status);
    problem
}

/// What a command of ours has printed: `septum: WHAT: WHY`, `hint: NEXT`.
#[must_use]
pub fn of_words(code: ProblemCode, usual: &str, text: &str) -> Problem {
    let (line, hint) =
        text.trim_end().split_once("\nhint: ").unwrap_or((text, "see the log of septum serve"));
    let line = line.strip_prefix("septum: ").unwrap_or(line);
    let (what, why) = line.split_once(": ").unwrap_or((usual, line));
    Problem::new(code, what, why, hint)
}

/// Something that should never be.
#[must_use]
pub fn internal(message: &str, cause: impl std::fmt::Display) -> Problem {
    Problem::new(ProblemCode::Internal, message, cause.to_string(), "this is a defect of Septum: report it")
}
