//! `septum run`: one partition, from the command line to its exit status.

use std::process::ExitCode;

use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::{self, EndStats};
use septum_registry::directory;
use septum_worker::supervisor::{Concluded, Launch};
use septum_worker::{Ended, Order, Stage, judge, supervisor};

use crate::advice;
use crate::args::Run;
use crate::message;
use crate::resolve::{keeping, resolve};
use crate::statistics::StatisticsFile;
use crate::volume;

/// Runs the program. `epoch_ns` is when the process started.
pub fn run(mut arguments: Run, epoch_ns: u64) -> ExitCode {
    let statistics = match arguments.json_stats.take().map(StatisticsFile::create).transpose() {
        Ok(statistics) => statistics,
        Err(failure) => {
            message::failure(&failure);
            return ExitCode::from(failure.code.number());
        }
    };
    let id = if arguments.detach { directory::new_id().unwrap_or_default() } else { String::new() };
    let keeping = keeping(&arguments, id);
    let resolved = resolve(arguments).and_then(|mut spec| {
        let kept = volume::hold(&mut spec)?;
        Ok((spec, kept))
    });
    // The volumes stay as long as this process and the supervisor, its copy, do.
    let (spec, volumes) = match resolved {
        Ok(resolved) => resolved,
        Err(failure) => {
            message::failure(&failure);
            return ExitCode::from(failure.code.number());
        }
    };
    if let Some(warning) = septum_worker::unshared_directory(&spec) {
        message::tell(&warning);
    }
    let is_detached = keeping.detached.is_some();
    let order =
        Order { spec: spec.clone(), epoch_ns, wants_stats: statistics.is_some(), wants_start: is_detached };
    if is_detached {
        let log = keeping.detached.as_ref().map(|detached| detached.log_directory.clone());
        let of_launch = spec.clone();
        let removes_itself = keeping.detached.as_ref().is_some_and(|detached| detached.removes_itself);
        let concluded: Concluded = Box::new(move |ended| {
            log.iter().for_each(|log| advice::keep_refusals(log, &ended));
            let end = judge(&ended.end, &spec);
            // Nobody is there to be told what failed; the file is not whole then.
            let _ = statistics.map(|file| write(file, ended, spec.name, end));
            if removes_itself {
                volumes.end();
            }
        });
        return tell_launch(supervisor::detach(order, keeping, Some(concluded)), &of_launch);
    }
    let ended = supervisor::run(order, keeping, &mut tell_stage);
    volumes.end();
    let end = judge(&ended.end, &spec);
    if spec.verbose || spec.debug_profile {
        tell_details(&ended);
    }
    if let Some(text) = advice::of_end(&end, &spec, &ended.stats.network.refused) {
        message::tell(&text);
    }
    if end.message.is_some() {
        message::note_status(end.status);
    }
    let status = end.status;
    if let Some(Err(failure)) = statistics.map(|file| write(file, ended, spec.name, end)) {
        message::failure(&failure);
    }
    ExitCode::from(status)
}

/// Completes the statistics and writes them.
fn write(file: StatisticsFile, mut ended: Ended, name: String, end: EndStats) -> Result<(), Failure> {
    ended.stats.version = stats::VERSION;
    ended.stats.name = name;
    ended.stats.end = end;
    file.write(&ended.stats)
}

/// What became of a start in the background.
fn tell_launch(launch: Launch, spec: &PartitionSpec) -> ExitCode {
    match launch {
        Launch::Started(id) => {
            message::print(&format!("{id}\n"));
            ExitCode::SUCCESS
        }
        Launch::Failed(end) => {
            message::note_status(end.status);
            if let Some(text) = advice::of_end(&end, spec, &[]) {
                message::tell(&text);
            }
            ExitCode::from(end.status)
        }
    }
}

/// Tells a stage, with milliseconds since the start of the process.
fn tell_stage(stage: &Stage) {
    message::tell(&format!("septum: {:>9.3} ms  {}", milliseconds(stage.at_us), stage.what));
}

/// Milliseconds of microseconds, to print.
fn milliseconds(us: u64) -> f64 {
    // Exact for 285 years.
    let whole = u32::try_from(us / 1000).unwrap_or(u32::MAX);
    let rest = u32::try_from(us % 1000).unwrap_or(0);
    f64::from(whole) + f64::from(rest) / 1000.0
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
            tell_stage(&Stage { what: what.to_owned(), at_us });
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
    use septum_api_types::exit::Code;
    use septum_worker::{End, StopCause};

    fn spec() -> PartitionSpec {
        let run = crate::args::tests_support::run(&["--timeout", "10s", "true"]).unwrap();
        let mut spec = resolve(run).unwrap();
        spec.timeout = Some(Span { ns: 10_000_000_000 });
        spec
    }

    #[test]
    fn times_are_told_in_milliseconds() {
        assert!((milliseconds(1_234_567) - 1234.567).abs() < 1e-9);
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
