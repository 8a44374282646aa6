//! What a partition costs the host's memory: what it uses, and what it frees goes back.

use std::fs;
use std::time::{Duration, Instant};

use septum_tests::lane::Lane;
use septum_tests::{Input, Place, Running, needs_partitions};

const MIB: u64 = 1 << 20;

/// The worker of a running `septum`: its only child.
fn worker_of(running: &Running) -> u32 {
    let own = running.pid().as_raw_nonzero().get().to_string();
    let processes = fs::read_dir("/proc").expect("/proc").filter_map(Result::ok);
    let is_child = |pid: &u32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // Behind the name, which may hold anything: state, then the parent.
        stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().nth(1)) == Some(&own)
    };
    let mut children = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok());
    children.find(is_child).expect("a worker")
}

/// Bytes of host memory that a process has.
fn resident(pid: u32) -> u64 {
    let statm = fs::read_to_string(format!("/proc/{pid}/statm")).expect("a running worker");
    let pages: u64 = statm.split(' ').nth(1).and_then(|pages| pages.parse().ok()).expect("a number");
    pages * 4096
}

/// Asserts that the process has at most `limit` bytes within a second (on the slow lane: five).
#[track_caller]
fn expect_shrunk(pid: u32, limit: u64) {
    let patience = if Lane::current() == Lane::Direct { 1 } else { 5 };
    let deadline = Instant::now() + Duration::from_secs(patience);
    while resident(pid) > limit {
        let has_time = Instant::now() < deadline;
        assert!(has_time, "{} MiB are left, not {}", resident(pid) / MIB, limit / MIB);
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn memory_that_a_program_frees_goes_back_to_the_host() {
    needs_partitions!();
    let place = Place::new();
    // A gibibyte, as promised, where that does not take minutes.
    let is_slow = Lane::current() == Lane::Nested || std::env::var_os("SEPTUM_PRIVILEGE").is_some();
    let mib: u64 = if is_slow { 192 } else { 1024 };
    let run = place.septum("giving_back").argument(mib.to_string()).option("--memory", "2G");
    let mut running = run.stdin(Input::Held).spawn();
    running.wait_for_stdout("large pages taken\n");
    let worker = worker_of(&running);
    assert!(resident(worker) >= mib * MIB, "{} MiB", resident(worker) / MIB);
    running.write(b".");
    running.wait_for_stdout("large pages unmapped\n");
    // What the partition keeps for itself and for the next small wish.
    expect_shrunk(worker, 32 * MIB);
    running.write(b".");
    running.wait_for_stdout("small pages taken\n");
    assert!(resident(worker) >= mib * MIB, "{} MiB", resident(worker) / MIB);
    running.write(b".");
    running.wait_for_stdout("small pages dropped\n");
    expect_shrunk(worker, 32 * MIB);
    running.write(b".");
    running.wait().expect_code(0);
}
