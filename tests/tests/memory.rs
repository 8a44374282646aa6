//! What a partition costs the host's memory: what it uses, and what it frees goes back.

use std::fs;
use std::time::{Duration, Instant};

use septum_tests::lane::{self, Lane};
use septum_tests::{Input, Place, Running, exit, needs_partitions};

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

/// The host's pool of 2 MiB pages, made larger for as long as this lives.
struct Pool {
    before: u64,
}

const POOL: &str = "/sys/kernel/mm/hugepages/hugepages-2048kB";

fn pool(name: &str) -> Option<u64> {
    fs::read_to_string(format!("{POOL}/{name}")).ok()?.trim().parse().ok()
}

fn set_pool(pages: u64) -> bool {
    fs::write(format!("{POOL}/nr_hugepages"), pages.to_string()).is_ok()
        && pool("nr_hugepages") == Some(pages)
}

impl Pool {
    /// With `pages` more; why not, otherwise.
    fn with_more(pages: u64) -> Result<Self, &'static str> {
        let before = pool("nr_hugepages").ok_or("the host has no pool of huge pages")?;
        let this = Self { before };
        if set_pool(before + pages) { Ok(this) } else { Err("huge pages cannot be reserved here") }
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        set_pool(self.before);
    }
}

#[test]
fn huge_pages_are_taken_from_the_pool_or_what_is_missing_is_told() {
    needs_partitions!();
    let place = Place::new();
    let run = || place.septum("giving_back").argument("16").flag("--hugepages");
    let Some(total) = pool("nr_hugepages") else {
        run().output().expect_code(exit::MEMORY).expect_stderr("no pool of 2 MiB pages");
        return lane::skip("the host has no pool of huge pages");
    };
    // More than there is: told with what is needed, what there is, and how to get it.
    let needed = (total + 1000) * 2;
    let output = run().option("--memory", format!("{needed}M")).output();
    output.expect_code(exit::MEMORY).expect_stderr(&format!("{} pages of 2 MiB are needed", needed / 2));
    output
        .expect_stderr(&format!("of the host's {total} only "))
        .expect_stderr("sudo sysctl vm.nr_hugepages=");

    let _pool = match Pool::with_more(40) {
        Ok(pool) => pool,
        Err(reason) => return lane::skip(reason),
    };
    let free = |place: &str| pool(place).expect("the pool");
    let before = free("free_hugepages") - free("resv_hugepages");
    // 65 MiB are 33 pages.
    let mut running = run().option("--memory", "65M").stdin(Input::Held).spawn();
    running.wait_for_stdout("large pages taken\n");
    assert_eq!(before - (free("free_hugepages") - free("resv_hugepages")), 33);
    assert!(free("free_hugepages") <= free("nr_hugepages") - 8, "what was touched is taken");
    running.write(b"....");
    running.wait().expect_code(0);
    assert_eq!(free("free_hugepages") - free("resv_hugepages"), before);
}
