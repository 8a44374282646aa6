//! A partition's processes: whichever way it ends, nothing of it is left.
//!
//! The tests here adopt whatever is orphaned, so they run one at a time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use septum_tests::{
    Input, Invocation, Link, Place, Running, Septum, Sink, exit, family, lane, needs_partitions,
};

const GRACE: Duration = Duration::from_secs(3);

/// One test at a time; afterwards no process may be left.
struct Alone {
    _guard: MutexGuard<'static, ()>,
}

impl Alone {
    fn wait() -> Self {
        static ONE: Mutex<()> = Mutex::new(());
        static ADOPT: Once = Once::new();
        ADOPT.call_once(family::adopt_orphans);
        Self { _guard: ONE.lock().unwrap_or_else(PoisonError::into_inner) }
    }
}

impl Drop for Alone {
    fn drop(&mut self) {
        let left = family::left_behind(GRACE);
        for relative in &left {
            if let Some(pid) = rustix::process::Pid::from_raw(relative.pid) {
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
        }
        if !std::thread::panicking() {
            assert!(left.is_empty(), "processes were left: {left:?}");
        }
    }
}

fn waiting(place: &Place) -> Running {
    let running = place.septum("waits").spawn();
    running.wait_for_stdout("ready\n");
    running
}

#[test]
fn a_signal_to_the_command_ends_the_partition() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let running = waiting(&place);
        running.signal(signal);
        let output = running.wait();
        assert_eq!(output.code(), code, "{signal:?}: {}", output.stderr_text());
        assert!(output.duration < Duration::from_secs(20), "{signal:?}: {:?}", output.duration);
        let left = family::left_behind(GRACE);
        assert!(left.is_empty(), "{signal:?} left {left:?}");
    }
}

#[test]
fn a_busy_program_ends_on_a_signal_too() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    let running = place.septum("waits").argument("work").spawn();
    running.wait_for_stdout("ready\n");
    running.signal(Signal::INT);
    assert_eq!(running.wait().code(), 130);
}

#[test]
fn a_command_killed_at_once_takes_its_partition_along() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    for way in ["sleep", "work"] {
        let running = place.septum("waits").argument(way).spawn();
        running.wait_for_stdout("ready\n");
        running.signal(Signal::KILL);
        assert_eq!(running.wait().code(), 137);
        let left = family::left_behind(GRACE);
        assert!(left.is_empty(), "{left:?}");
    }
}

/// Names of all threads of the processes below `running`.
fn thread_names(running: &Running) -> BTreeSet<String> {
    let tasks = |pid: i32| fs::read_dir(format!("/proc/{pid}/task")).into_iter().flatten().flatten();
    let name = |task: fs::DirEntry| fs::read_to_string(task.path().join("comm")).ok();
    let processes = family::descendants(running.pid());
    processes
        .iter()
        .flat_map(|process| tasks(process.pid))
        .filter_map(name)
        .map(|name| name.trim_end_matches('\n').to_owned())
        .collect()
}

#[test]
fn the_host_sees_the_names_of_threads() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    let running = place.septum("named_threads").spawn();
    running.wait_for_stdout("ready\n");
    let names = thread_names(&running);
    // A vCPU's number comes first; which thread has which is the kernel's business.
    for wanted in [":named_threads", ":waits", ":computes", ":?[2J?"] {
        assert!(names.iter().any(|name| name.ends_with(wanted)), "no {wanted:?} in {names:?}");
    }
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), 143);
}

#[test]
fn a_killed_worker_is_reported() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    let running = waiting(&place);
    assert!(family::kill_descendants(running.pid()) >= 1, "the partition has no process of its own");
    let output = running.wait();
    output.expect_code(exit::WORKER).expect_stderr("worker").expect_stderr("kill");
}

#[test]
fn a_worker_killed_while_starting_is_reported() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    place.guest("waits", Link::Static);
    for pause_us in [0, 500, 1000, 2000, 4000, 8000] {
        let running = Septum::run("./waits").directory(place.path()).spawn();
        let end = Instant::now() + Duration::from_secs(10);
        while family::descendants(running.pid()).is_empty() {
            assert!(Instant::now() < end, "no worker was started");
            std::thread::sleep(Duration::from_micros(100));
        }
        std::thread::sleep(Duration::from_micros(pause_us));
        family::kill_descendants(running.pid());
        let output = running.wait();
        output.expect_code(exit::WORKER).expect_stderr("worker");
    }
}

#[test]
fn an_interrupted_start_leaves_nothing() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    place.guest("waits", Link::Static);
    for pause_ms in [0, 1, 2, 4, 8, 16, 32] {
        let running = Septum::run("./waits").directory(place.path()).spawn();
        std::thread::sleep(Duration::from_millis(pause_ms));
        running.signal(Signal::INT);
        assert_eq!(running.wait().code(), 130, "after {pause_ms} ms");
    }
}

#[test]
fn what_the_caller_ignores_stays_ignored() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    place.guest("waits", Link::Static);
    let shell = Invocation::new("/bin/sh").arguments(["-c", "trap '' INT HUP; exec \"$0\" run -- ./waits"]);
    let running = shell.argument(lane::septum_binary()).directory(place.path()).spawn();
    running.wait_for_stdout("ready\n");
    running.signal(Signal::HUP);
    running.signal(Signal::INT);
    std::thread::sleep(Duration::from_millis(200));
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), 143);
}

#[test]
fn stopping_twice_is_no_worse_than_once() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    let running = waiting(&place);
    running.signal(Signal::TERM);
    let _ = rustix::process::kill_process(running.pid(), Signal::TERM);
    let _ = rustix::process::kill_process(running.pid(), Signal::INT);
    // Signals that wait together are read lowest first, so the second may be the one that is told.
    let code = running.wait().code();
    assert!(code == 143 || code == 130, "{code}");
}

/// Everything that a run might leave: in its current directory, its temporary directory, and the usual places.
fn files(place: &Place) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut folders = vec![place.path().to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).expect("it can be read").flatten() {
            if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                folders.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    for folder in ["/dev/shm", "/run", "/tmp", "/var/tmp"] {
        let listing = fs::read_dir(Path::new(folder)).into_iter().flatten().flatten();
        found.extend(
            listing
                .map(|entry| entry.path())
                .filter(|path| path.to_string_lossy().contains("septum"))
                // Somebody else may be starting emulated hosts.
                .filter(|path| !path.to_string_lossy().contains("septum-nested-run")),
        );
    }
    found
}

#[test]
fn a_hundred_runs_leave_neither_files_nor_processes() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    place.directory("temporary");
    place.guest("hello", Link::Static);
    place.guest("deaths", Link::Static);
    let run = |program: &str| {
        let run = Septum::run(program).directory(place.path()).option("--memory", "64M");
        run.own_environment("TMPDIR", place.join("temporary"))
            .own_environment("XDG_RUNTIME_DIR", place.join("temporary"))
            .own_environment("SEPTUM_RUNTIME_DIR", place.join("temporary/runtime"))
    };
    // The folder of running partitions stays once there was one.
    run("./hello").output().expect_code(0);
    let before = files(&place);
    for number in 0..100 {
        if number % 10 == 9 {
            assert_eq!(run("./deaths").argument("abort").output().code(), 134);
        } else {
            run("./hello").output().expect_code(0).expect_stdout("hello from a program\n");
        }
    }
    let left = family::left_behind(GRACE);
    assert!(left.is_empty(), "{left:?}");
    let after = files(&place);
    let left: Vec<_> = after.difference(&before).collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn twenty_at_once_all_succeed() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    place.guest("echo_input", Link::Static);
    let running: Vec<Running> = (0..20)
        .map(|number| {
            let run = Septum::run("./echo_input").directory(place.path()).option("--memory", "64M");
            run.stdin(Input::Bytes(format!("partition {number}\n").into_bytes())).spawn()
        })
        .collect();
    for (number, running) in running.into_iter().enumerate() {
        running.wait().expect_code(0).expect_stdout(&format!("partition {number}\n"));
    }
}

#[test]
fn a_closed_output_ends_the_partition() {
    needs_partitions!();
    let _alone = Alone::wait();
    let place = Place::new();
    let output = place.septum("endless").stdout(Sink::CloseAfter(100)).output();
    assert_eq!(output.code(), 141, "{}", output.stderr_text());
}
