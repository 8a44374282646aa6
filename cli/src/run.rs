//! `septum run`: one partition, from the command line to its exit status.

use std::process::ExitCode;

use septum_api_types::exit::{self, Code};
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::{self, EndStats};
use septum_worker::{End, Ended, Order, StopCause, supervisor};

use crate::args::Run;
use crate::message;
use crate::resolve::resolve;
use crate::statistics::StatisticsFile;

/// Runs the program. `epoch_ns` is when the process started.
pub fn run(mut arguments: Run, epoch_ns: u64) -> ExitCode {
    let statistics = match arguments.json_stats.take().map(StatisticsFile::create).transpose() {
        Ok(statistics) => statistics,
        Err(failure) => {
            message::failure(&failure);
            return ExitCode::from(failure.code.number());
        }
    };
    let spec = match resolve(arguments) {
        Ok(spec) => spec,
        Err(failure) => {
            message::failure(&failure);
            return ExitCode::from(failure.code.number());
        }
    };
    let order = Order { spec: spec.clone(), epoch_ns, wants_stats: statistics.is_some() };
    let mut ended = supervisor::run(order, &mut message::stage);
    let end = judge(&ended.end, &spec);
    if spec.verbose || spec.debug_profile {
        tell_details(&ended);
    }
    if let Some(text) = &end.message {
        message::tell(text);
    }
    let status = end.status;
    if let Some(file) = statistics {
        ended.stats.version = stats::VERSION;
        ended.stats.name = spec.name;
        ended.stats.end = end;
        if let Err(failure) = file.write(&ended.stats) {
            message::failure(&failure);
        }
    }
    ExitCode::from(status)
}

/// The exit status and the message for an end.
fn judge(end: &End, spec: &PartitionSpec) -> EndStats {
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

/// What `-v` adds at the end.
fn tell_details(ended: &Ended) {
    for line in ended.log.lines() {
        message::tell(&format!("septum: guest kernel: {line}"));
    }
    let timings = &ended.stats.timings_us;
    let stages = [
        (timings.first_guest_instruction, "the guest kernel ran its first instruction"),
        (timings.first_user_instruction, "the program ran its first instruction"),
        (timings.exit, "the program ended"),
    ];
    for (at_us, what) in stages {
        if let Some(at_us) = at_us {
            message::stage(&septum_worker::Stage { what: what.to_owned(), at_us });
        }
    }
    let threads = &ended.stats.threads;
    if let Some(why) = &threads.refusal {
        message::tell(&format!("septum: this host refused {} threads: {why}", threads.refused));
    }
    if !ended.stats.syscalls_missing.is_empty() {
        let missing: Vec<String> =
            ended.stats.syscalls_missing.iter().map(|(name, count)| format!("{name} ({count})")).collect();
        message::tell(&format!("septum: missing system calls, answered with ENOSYS: {}", missing.join(", ")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_api_types::duration::Span;

    fn spec() -> PartitionSpec {
        let line = ["septum", "run", "--timeout", "10s", "true"];
        let mut spec = crate::args::tests_support::spec_of(&line);
        spec.timeout = Some(Span { ns: 10_000_000_000 });
        spec
    }

    #[test]
    fn statuses() {
        let status = |end: End| judge(&end, &spec()).status;
        assert_eq!(status(End::Exited { code: 3 }), 3);
        assert_eq!(status(End::Signaled { signal: 11 }), 139);
        assert_eq!(status(End::Stopped(StopCause::Signal(2))), 130);
        assert_eq!(status(End::Stopped(StopCause::Timeout)), 246);
        for code in Code::ALL {
            assert_eq!(status(End::Failed(Failure::new(code, "a", "b"))), code.number());
        }
    }

    #[test]
    fn a_timeout_names_the_limit() {
        let message = judge(&End::Stopped(StopCause::Timeout), &spec()).message.unwrap();
        assert!(message.contains("its time limit of 10s passed") && message.contains("hint:"), "{message}");
    }
}
