//! What holds a worker that somebody has taken over: attacks from inside, each by a system call that one of its threads is made to make.
//!
//! `docs/red-team.md` has the table of all of them, and is compared here.

#[path = "jail/attacks.rs"]
mod attacks;

use std::collections::BTreeSet;
use std::fs;
use std::io::ErrorKind;
use std::time::{Duration, Instant};

use attacks::{ATTACKS, Attack, By, Given, Stop};
use rustix::process::Signal;
use septum_tests::intruder::{self, Answer, Argument};
use septum_tests::{Host, Place, Running, Serving, exit, family, lane, needs_partitions};

/// Capabilities that a worker may have: CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID.
const KEPT: u64 = 0b1101_1011;

/// A partition whose program waits, with a disk and a network.
fn partition(place: &Place) -> (Running, Processes) {
    let disk = place.file("disk", vec![0; 1 << 20]);
    let septum = place.septum("waits").flag("-v").option("--memory", "64M").option("--block", disk);
    let septum = septum.option("--allow-net", "192.0.2.1:9").volume(place.directory("volume"), "/volume");
    let running = septum.deadline(Duration::from_secs(120)).spawn();
    running.wait_for_stdout("ready\n");
    let supervisor = running.pid().as_raw_nonzero().get();
    let end = Instant::now() + Duration::from_secs(20);
    loop {
        let all = family::descendants(running.pid());
        // A broker that nobody has asked anything may not have begun on a busy machine.
        let (brokers, workers): (Vec<_>, Vec<_>) = all.iter().partition(|it| it.name == "septum-broker");
        if let ([broker], [worker]) = (&brokers[..], &workers[..]) {
            return (running, Processes { supervisor, worker: worker.pid, broker: broker.pid });
        }
        assert!(Instant::now() < end, "a worker and a broker in {all:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// The processes of a partition.
#[derive(Clone, Copy)]
struct Processes {
    supervisor: i32,
    worker: i32,
    broker: i32,
}

impl Processes {
    /// The worker's descriptor by which it asks the broker: its only socket of packets.
    fn way_to_broker(self) -> i32 {
        let of_packets: BTreeSet<String> = fs::read_to_string("/proc/net/unix")
            .expect("the host's sockets")
            .lines()
            .map(|line| line.split_whitespace().collect::<Vec<_>>())
            .filter(|words| words.get(4) == Some(&"0005"))
            .filter_map(|words| words.get(6).map(|inode| format!("socket:[{inode}]")))
            .collect();
        let descriptors = fs::read_dir(format!("/proc/{}/fd", self.worker)).expect("descriptors");
        let is_it = |path: &std::path::PathBuf| {
            fs::read_link(path).is_ok_and(|to| of_packets.contains(&*to.to_string_lossy()))
        };
        let found = descriptors
            .map(|entry| entry.expect("a descriptor").path())
            .find(is_it)
            .expect("a way to the broker");
        found.file_name().and_then(|name| name.to_str()?.parse().ok()).expect("a number")
    }
}

/// Nobody but root may look into a process of this kind: that is the point.
fn may_debug() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        lane::skip("only root can act as a worker that was taken over");
    }
    is_root
}

fn status_of(path: &str, field: &str) -> String {
    let status = fs::read_to_string(path).expect("a thread's status");
    let line = status.lines().find_map(|line| line.strip_prefix(field)?.strip_prefix(':'));
    line.unwrap_or_else(|| panic!("{path} has no {field}")).trim().to_owned()
}

#[test]
fn every_thread_of_a_worker_is_confined() {
    needs_partitions!();
    let place = Place::new();
    let (running, Processes { worker, broker, .. }) = partition(&place);
    let mut names = BTreeSet::new();
    for task in fs::read_dir(format!("/proc/{worker}/task")).expect("threads") {
        let path = task.expect("a thread").path().join("status");
        let path = path.to_str().expect("a path of numbers");
        let name = status_of(path, "Name");
        // KVM's own, which runs in the kernel alone.
        if name.starts_with("kvm-") {
            continue;
        }
        assert_eq!(status_of(path, "Seccomp"), "2", "{name} has no filter");
        assert_eq!(status_of(path, "NoNewPrivs"), "1", "{name}");
        for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
            let has = u64::from_str_radix(&status_of(path, set), 16).expect("a set");
            assert_eq!(has & !KEPT, 0, "{name} has too many capabilities in {set}: {has:#x}");
        }
        names.insert(name);
    }
    for wanted in ["streams", "files", "network", "disk/0", "0:waits"] {
        assert!(names.contains(wanted), "no thread {wanted} in {names:?}");
    }
    let path = format!("/proc/{broker}/status");
    for (field, wanted) in [("Seccomp", "2"), ("NoNewPrivs", "1"), ("Threads", "1")] {
        assert_eq!(status_of(&path, field), wanted, "{field} of the broker");
    }
    for set in ["CapInh", "CapPrm", "CapEff", "CapAmb"] {
        assert_eq!(status_of(&path, set), "0000000000000000", "the broker has no capability");
    }
    let limits = fs::read_to_string(format!("/proc/{worker}/limits")).expect("limits");
    let core = limits.lines().find(|line| line.starts_with("Max core file size")).expect("a limit of cores");
    assert_eq!(core.split_whitespace().filter(|word| *word == "0").count(), 2, "{core}");
    if rustix::process::geteuid().is_root() {
        for kind in ["mnt", "ipc", "uts", "net"] {
            let of =
                |process: &str| fs::read_link(format!("/proc/{process}/ns/{kind}")).expect("a namespace");
            assert_ne!(of(&worker.to_string()), of("self"), "the worker is in the host's {kind} namespace");
        }
    }
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), 143);
}

#[test]
fn attacks_that_the_filters_stop() {
    needs_partitions!();
    if !may_debug() {
        return;
    }
    for attack in ATTACKS.iter().filter(|attack| attack.stopped_by == Stop::Filter) {
        let place = Place::new();
        let (running, processes) = partition(&place);
        assert_eq!(make(attack, processes), Answer::Forbidden, "{} went through", attack.tries);
        let output = running.wait();
        assert_eq!(output.code(), exit::WORKER, "{}: {}", attack.tries, output.stderr_text());
        output.expect_stderr("it made a system call that its jail forbids: ");
    }
}

#[test]
fn attacks_that_find_nothing() {
    needs_partitions!();
    if !may_debug() {
        return;
    }
    let place = Place::new();
    let (running, processes) = partition(&place);
    for attack in ATTACKS {
        match attack.stopped_by {
            Stop::Error(errno, _) => {
                assert_eq!(make(attack, processes), Answer::Refused(errno), "{}", attack.tries);
            }
            Stop::Rules(line) => {
                let answer = make(attack, processes);
                assert!(matches!(answer, Answer::Done(_)), "{}: {answer:?}", attack.tries);
                running.wait_for_stderr(line);
            }
            Stop::Filter | Stop::Broker => {}
        }
    }
    // It has not noticed anything, and goes on.
    running.signal(Signal::TERM);
    assert_eq!(running.wait().code(), 143);
}

#[test]
fn attacks_that_end_the_broker() {
    needs_partitions!();
    let why = "beside other tests the first attack sometimes comes to nothing there, which is not understood (docs/roadmap.md)";
    if !may_debug() || lane::skips_in_nested(why) {
        return;
    }
    for attack in ATTACKS.iter().filter(|attack| attack.stopped_by == Stop::Broker) {
        let place = Place::new();
        let (running, processes) = partition(&place);
        let answer = make(attack, processes);
        assert!(matches!(answer, Answer::Done(_) | Answer::Killed), "{}: {answer:?}", attack.tries);
        let output = running.wait();
        assert_eq!(output.code(), exit::WORKER, "{}: {}", attack.tries, output.stderr_text());
        output.expect_stderr("the worker asked it for something that no partition asks for");
    }
}

#[test]
fn a_broker_that_is_killed_takes_the_partition_with_it() {
    needs_partitions!();
    let place = Place::new();
    let (running, Processes { broker, worker, .. }) = partition(&place);
    let pid = |process| rustix::process::Pid::from_raw(process).expect("a process");
    rustix::process::kill_process(pid(broker), Signal::KILL).expect("a broker");
    let output = running.wait();
    assert_eq!(output.code(), exit::WORKER, "{}", output.stderr_text());
    output.expect_stderr("the process that makes the partition's connections ended");
    // And the other way round: neither outlives the other, nor is left as a zombie.
    assert!(!std::path::Path::new(&format!("/proc/{worker}")).exists());
    let (running, Processes { broker, worker, .. }) = partition(&place);
    rustix::process::kill_process(pid(worker), Signal::KILL).expect("a worker");
    let output = running.wait();
    assert_eq!(output.code(), exit::WORKER, "{}", output.stderr_text());
    output.expect_stderr("the worker process died");
    assert!(!std::path::Path::new(&format!("/proc/{broker}")).exists());
    let (running, Processes { broker, .. }) = partition(&place);
    running.signal(Signal::KILL);
    running.wait();
    let end = Instant::now() + Duration::from_secs(20);
    while fs::read_to_string(format!("/proc/{broker}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < end, "the broker outlives its supervisor");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Makes the attack in the thread that is to make it.
fn make(attack: &Attack, processes: Processes) -> Answer {
    let worker = processes.worker;
    let name = match attack.by {
        By::Main => None,
        By::Vcpu => Some("0:waits"),
        By::Streams => Some("streams"),
        By::Files => Some("files"),
        By::Disk => Some("disk/0"),
        By::Network => Some("network"),
    };
    let end = Instant::now() + Duration::from_secs(20);
    let thread = loop {
        // One that has had nothing to do yet may not have its name on a busy machine.
        match name.map_or(Ok(worker), |name| intruder::thread_of(worker, |it| it == name)) {
            Ok(thread) => break thread,
            Err(error) => assert!(Instant::now() < end, "{}: {error}", attack.tries),
        }
        std::thread::sleep(Duration::from_millis(1));
    };
    let number = |value: i32| Argument::Number(i64::from(value).cast_unsigned());
    let arguments: Vec<Argument<'_>> = attack
        .with
        .iter()
        .map(|given| match *given {
            Given::Number(value) => Argument::Number(value),
            Given::Text(text) => Argument::Bytes(text.as_bytes()),
            Given::Bytes(bytes) => Argument::Bytes(bytes),
            Given::Supervisor => number(processes.supervisor),
            Given::BrokerProcess => number(processes.broker),
            Given::Broker => number(processes.way_to_broker()),
            Given::Here => number(nix::libc::AT_FDCWD),
        })
        .collect();
    loop {
        match intruder::attempt(worker, thread, attack.call, &arguments) {
            // It still reads what was answered to the attack before.
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < end => {
                std::thread::sleep(Duration::from_millis(1));
            }
            result => return result.expect("root may debug"),
        }
    }
}

#[test]
fn a_host_without_landlock_runs_partitions_only_if_its_operator_says_so() {
    needs_partitions!();
    let host = Host::new();
    let septum = |arguments: &[&str]| host.septum_by("without_landlock", arguments);
    let refused = septum(&["run", "--", "true"]).run();
    refused.expect_code(exit::HOST).expect_stderr("Landlock").expect_stderr("--jail degraded");
    septum(&["run", "--jail", "degraded", "--", "true"]).run().expect_code(0);
    let body = r#"{"name": "a", "memory": "64M", "command": ["true"]}"#;
    {
        let serving = Serving::start_as(&host, septum(&["serve"]));
        let answer = serving.ask("POST", "/v1/partitions", body);
        assert!(answer.status >= 400 && answer.body.contains("--jail degraded"), "{answer:?}");
        // Whoever uses the API cannot say so.
        let body = r#"{"memory": "64M", "command": ["true"], "jail": "degraded"}"#;
        serving.ask("POST", "/v1/partitions", body).expect(422);
    }
    let serving = Serving::start_as(&host, septum(&["serve", "--jail", "degraded"]));
    serving.ask("POST", "/v1/partitions", body).expect(201);
}

#[test]
fn the_table_of_attacks_is_the_documented_one() {
    let table: String = ATTACKS.iter().enumerate().map(|(number, attack)| attack.row(number + 1)).collect();
    let path = lane::workspace().join("docs/red-team.md");
    let text = fs::read_to_string(&path).expect("the page");
    let (head, _) = text.split_once("| # |").expect("a table");
    let wanted = format!(
        "{head}| # | what it tries | from which thread | what stops it |\n| --- | --- | --- | --- |\n{table}"
    );
    if std::env::var_os("SEPTUM_WRITE_DOCUMENTS").is_some() {
        fs::write(&path, &wanted).expect("the page can be written");
    }
    let text = fs::read_to_string(&path).expect("the page");
    assert!(text == wanted, "docs/red-team.md is not of this table: SEPTUM_WRITE_DOCUMENTS=1 writes it");
}
