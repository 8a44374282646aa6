//! What a partition had can be had by the next one, and what the host's kernel still has of it is gone soon.

use std::fs::OpenOptions;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use septum_tests::lane::Lane;
use septum_tests::{Link, Place, Running, Septum, needs_partitions};

/// How long the kernel may take to close what it closes late.
const PATIENCE: Duration = Duration::from_secs(20);

fn hello(place: &Place) -> Septum {
    let run = Septum::run("./hello").directory(place.path()).option("--memory", "64M");
    run.own_environment("SEPTUM_RUNTIME_DIR", place.join("run"))
}

/// Waits until no virtual machine of an ended partition is left: until then bytes of this file are locked.
#[track_caller]
fn wait_until_all_are_gone(place: &Place) {
    let file =
        OpenOptions::new().write(true).open(place.join("run/ending")).expect("the file of the endings");
    let until = Instant::now() + PATIENCE;
    while let Err(error) = fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        assert!(Instant::now() < until, "a virtual machine is left: {error}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn thirty_in_a_row_have_the_same_disk_the_same_port_and_the_same_name() {
    needs_partitions!();
    let place = Place::new();
    place.guest("hello", Link::Static);
    let disk = place.file("disk", "");
    OpenOptions::new().write(true).open(&disk).expect("opens").set_len(1 << 20).expect("grows");
    let port = TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    for _ in 0..30 {
        let run = hello(&place).option("--block", &disk).option("--publish", format!("{port}:80"));
        run.option("--name", "again").output().expect_code(0).expect_stdout("hello from a program\n");
    }
    wait_until_all_are_gone(&place);
}

#[test]
fn more_at_once_than_are_taken_apart_late_leave_nothing() {
    needs_partitions!();
    let place = Place::new();
    place.guest("hello", Link::Static);
    // The folder is there from now on.
    hello(&place).output().expect_code(0);
    for _ in 0..if Lane::current() == Lane::Nested { 1 } else { 4 } {
        let running: Vec<Running> = (0..24).map(|_| hello(&place).spawn()).collect();
        for running in running {
            running.wait().expect_code(0).expect_stdout("hello from a program\n");
        }
    }
    wait_until_all_are_gone(&place);
}
