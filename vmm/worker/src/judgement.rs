//! What an end means to whoever asked for the partition: an exit status, and a message if one is due.

use septum_api_types::exit::{self, Code};
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::EndStats;

use crate::protocol::{End, StopCause};

/// The exit status and the message for an end.
#[must_use]
pub fn judge(end: &End, spec: &PartitionSpec) -> EndStats {
    let by_signal = |signal: u32| EndStats {
        kind: "signaled".to_owned(),
        status: exit::of_signal(signal),
        signal: Some(signal),
        message: None,
    };
    match end {
        End::Exited { code } => {
            EndStats { kind: "exited".to_owned(), status: *code, signal: None, message: None }
        }
        End::Signaled { signal } => by_signal(*signal),
        End::Stopped(StopCause::Signal(signal)) => {
            EndStats { kind: "stopped".to_owned(), ..by_signal(u32::try_from(*signal).unwrap_or(0)) }
        }
        End::Stopped(StopCause::Timeout) => {
            let limit = spec.timeout.map(|span| span.to_string()).unwrap_or_default();
            let why = format!("its time limit of {limit} passed");
            failed(&Failure::new(Code::Timeout, "the partition was stopped", why))
        }
        End::Failed(failure) => failed(failure),
    }
}

fn failed(failure: &Failure) -> EndStats {
    EndStats::of_code(failure.code, failure.to_string())
}
