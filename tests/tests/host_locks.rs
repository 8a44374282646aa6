//! Locks on files of volumes: partitions and programs of the host exclude each other.

use std::fs;

use rustix::process::Signal;
use septum_tests::lane::Lane;
use septum_tests::{Input, Invocation, Place, Running, Septum, lane, needs_partitions};

/// A process that takes locks as it is told.
struct Locker {
    running: Running,
    told: u32,
}

impl Locker {
    fn in_a_partition(place: &Place) -> Self {
        Self::start(
            partition(place, "python3").arguments(["/v/locks.py", "/v/file"]).stdin(Input::Held).spawn(),
        )
    }

    fn on_the_host(place: &Place) -> Self {
        let python = lane::host_tool("python3").expect("partitions had it");
        Self::start(
            Invocation::new(python)
                .argument(place.join("locks.py"))
                .argument(place.join("file"))
                .stdin(Input::Held)
                .spawn(),
        )
    }

    fn start(running: Running) -> Self {
        Self { running, told: 0 }
    }

    fn tell(&mut self, line: &str) {
        self.told += 1;
        self.running.write(format!("{line}\n").as_bytes());
    }

    #[track_caller]
    fn hears(&self, answer: &str) {
        self.running.wait_for_stdout(&format!("{}: {answer}\n", self.told));
    }

    #[track_caller]
    fn does(&mut self, line: &str, answer: &str) {
        self.tell(line);
        self.hears(answer);
    }
}

fn partition(place: &Place, program: &str) -> Septum {
    Septum::run(program).directory("/").option("--memory", "128M").volume(place.path(), "/v")
}

/// How many of something for which there is time here: `usually`, or a quarter.
fn times(usually: u32) -> u32 {
    let is_slow = Lane::current() == Lane::Nested || std::env::var_os("SEPTUM_PRIVILEGE").is_some();
    if is_slow { usually / 4 } else { usually }
}

fn place() -> Place {
    let place = Place::new();
    for name in ["locks.py", "database_writer.py"] {
        place.file(name, fs::read(lane::data(name)).expect("the test data is there"));
    }
    place.file("file", "0");
    place
}

#[test]
fn partitions_and_the_host_exclude_each_other() {
    needs_partitions!();
    if lane::host_tool("python3").is_none() {
        return lane::skip("there is no python3");
    }
    let place = place();
    let mut one = Locker::in_a_partition(&place);
    let mut host = Locker::on_the_host(&place);
    for mut other in [Locker::in_a_partition(&place), Locker::on_the_host(&place)] {
        one.does("flock ex", "ok");
        other.does("flock ex", "EAGAIN");
        other.does("flock sh", "EAGAIN");
        // The families do not know each other.
        other.does("posix ex 0 0", "ok");
        one.does("posix sh 5 1 get", "ex 0 0");
        one.does("ofd sh 5 1", "EAGAIN");
        other.does("posix un 10 0", "ok");
        one.does("ofd ex 10 20", "ok");
        one.does("posix ex 40 10", "ok");
        other.does("posix sh 0 0 get", "ex 10 20");
        other.does("ofd ex 30 10", "ok");
        other.does("ofd sh 45 1", "EAGAIN");
        host.does("posix ex 0 0", "EAGAIN");
        // Whoever waits gets it, and may be interrupted.
        other.does("alarm", "ok");
        other.does("flock ex wait", "interrupted");
        other.does("alarm", "ok");
        other.does("posix ex 10 1 wait", "interrupted");
        other.tell("flock sh wait");
        one.does("write 1", "ok");
        one.does("flock sh", "ok");
        other.hears("ok");
        other.does("read", "1");
        host.does("flock sh", "ok");
        one.does("flock ex", "EAGAIN");
        // It lost the shared one by asking for the exclusive one, as on Linux.
        other.does("flock un", "ok");
        host.does("flock ex", "ok");
        host.does("flock un", "ok");
        // What a process that was killed had is free.
        one.does("fork posix ex 100 1", "ok");
        other.does("posix ex 100 1", "ok");
        other.does("posix un 100 1", "ok");
        // Closing a descriptor gives all up.
        other.does("again", "ok");
        one.does("again", "ok");
        host.does("posix ex 0 0", "ok");
        host.does("posix un 0 0", "ok");
    }
}

#[test]
fn what_a_killed_partition_had_is_free() {
    needs_partitions!();
    if lane::host_tool("python3").is_none() {
        return lane::skip("there is no python3");
    }
    let place = place();
    let mut partition = Locker::in_a_partition(&place);
    let mut host = Locker::on_the_host(&place);
    partition.does("flock ex", "ok");
    partition.does("posix ex 0 0", "ok");
    host.does("flock ex", "EAGAIN");
    host.does("posix ex 0 0", "EAGAIN");
    partition.running.signal(Signal::KILL);
    let _ = partition.running.wait();
    host.does("flock ex wait", "ok");
    host.does("posix ex 0 0 wait", "ok");
}

#[test]
fn who_has_a_lock_sees_what_others_did_under_it() {
    needs_partitions!();
    if lane::host_tool("python3").is_none() {
        return lane::skip("there is no python3");
    }
    let place = place();
    let (mut one, mut other) = (Locker::in_a_partition(&place), Locker::in_a_partition(&place));
    for (round, family) in ["flock ex", "posix ex 0 0", "ofd ex 7 1"].into_iter().enumerate() {
        let free = family.replace("ex", "un");
        // Each looks at everything first, so that it is remembered.
        for locker in [&mut one, &mut other] {
            locker.tell("read");
            locker.tell("there made");
        }
        for (writer, reader) in [(0, 1), (1, 0)] {
            let lockers = [&mut one, &mut other];
            lockers[writer].does(family, "ok");
            lockers[writer].does(&format!("write {round}{writer}"), "ok");
            lockers[writer].does("make made", "ok");
            lockers[writer].does(&free, "ok");
            lockers[reader].does(family, "ok");
            lockers[reader].does("read", &format!("{round}{writer}"));
            lockers[reader].does("there made", "True");
            lockers[reader].does("unlink made", "ok");
            lockers[reader].does(&free, "ok");
            lockers[writer].does(family, "ok");
            lockers[writer].does("there made", "False");
            lockers[writer].does(&free, "ok");
        }
    }
}

#[test]
fn a_database_that_partitions_and_the_host_write_at_once_stays_whole() {
    needs_partitions!();
    let Some(python) = lane::host_tool("python3") else {
        return lane::skip("there is no python3");
    };
    let sql = |place: &Place, text: &str| {
        let script = "import sqlite3, sys; d = sqlite3.connect(sys.argv[1]); d.executescript(sys.argv[2]); \
                      print(*[c for r in d.execute(sys.argv[3]) for c in r])";
        let (before, last) = text.rsplit_once(';').unwrap_or(("", text));
        let line = [place.join("database").into_os_string(), before.into(), last.into()];
        let output = Invocation::new(&python).arguments(["-c", script]).arguments(line).run();
        output.expect_code(0);
        output.stdout_text().trim().to_owned()
    };
    let rounds = times(40).to_string();
    for mode in ["delete", "persist"] {
        let place = place();
        sql(
            &place,
            "create table counter (n); insert into counter values (0); create table entries (who, n, t);select 1",
        );
        let writer = |name: &str| {
            partition(&place, "python3")
                .arguments(["/v/database_writer.py", "/v/database", name, &rounds, mode])
                .spawn()
        };
        let native = Invocation::new(&python)
            .argument(place.join("database_writer.py"))
            .argument(place.join("database"))
            .arguments(["host", &rounds, mode])
            .spawn();
        let all = [writer("one"), writer("other"), native];
        let counted: u32 = all
            .into_iter()
            .map(|running| {
                let output = running.wait();
                output.expect_code(0);
                output.stdout_text().trim().parse::<u32>().expect("a number")
            })
            .sum();
        assert_eq!(sql(&place, "select n from counter"), counted.to_string(), "{mode}");
        assert_eq!(sql(&place, "pragma integrity_check"), "ok", "{mode}");
    }
}

#[test]
fn many_wait_for_one_lock() {
    needs_partitions!();
    let place = place();
    let processes = times(12);
    let script = format!(
        "for i in $(seq {processes}); do flock /v/file sh -c 'n=$(cat /v/file); echo $((n + 1)) > /v/file' & done; wait"
    );
    let start = || partition(&place, "sh").arguments(["-c", &script]).option("--cpus", "2").spawn();
    let all = [start(), start()];
    for running in all {
        running.wait().expect_code(0);
    }
    let count = fs::read_to_string(place.join("file")).expect("it is there");
    assert_eq!(count.trim(), (2 * processes).to_string());
}
