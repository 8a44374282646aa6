//! Signals of the host to programs in partitions: of `septum run`'s caller, of `septum stop` and `septum kill`.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use septum_tests::{Host, Input, Invocation, Link, Place, Running, Septum, exit, family, needs_partitions};

const HANDLED: [Signal; 7] =
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::USR1, Signal::USR2, Signal::ALARM, Signal::WINCH];

fn host_with_listener() -> Host {
    let host = Host::new();
    host.place.guest("outside_signals", Link::Static);
    host
}

/// A partition in the background whose program has said that it is ready.
#[track_caller]
fn start(host: &Host, options: &[&str], program: &[&str]) -> String {
    let id = host.start(options, program);
    host.wait_for_log(&id, "ready");
    id
}

fn number(signal: Signal) -> i32 {
    signal.as_raw()
}

/// A program in the foreground that says what comes.
fn listening(place: &Place, way: &str, options: &[&str]) -> Running {
    place.guest("outside_signals", Link::Static);
    let mut run = Septum::run("./outside_signals").argument(way).directory(place.path()).stdin(Input::Held);
    for option in options {
        run = run.flag(option);
    }
    let running = run.spawn();
    running.wait_for_stdout("ready\n");
    running
}

#[test]
fn the_callers_signals_reach_the_program_whatever_it_does() {
    needs_partitions!();
    let place = Place::new();
    for (way, options) in [("sleep", &[][..]), ("read", &[]), ("work", &[]), ("work", &["--privilege=ring0"])]
    {
        let mut running = listening(&place, way, options);
        for signal in HANDLED {
            running.signal(signal);
            running.wait_for_stdout(&format!("got {} from 0\n", number(signal)));
        }
        running.signal(Signal::TERM);
        running.wait_for_stdout("got 15 from 0\n");
        // A read goes on after its handler, until the input ends.
        running.close_stdin();
        let output = running.wait();
        assert_eq!(output.code(), if way == "read" { 8 } else { 7 }, "{way}: {}", output.stderr_text());
    }
}

#[test]
fn a_program_that_handles_nothing_ends_of_it() {
    needs_partitions!();
    let place = Place::new();
    for signal in [Signal::INT, Signal::TERM, Signal::HUP, Signal::QUIT, Signal::USR1, Signal::ALARM] {
        for way in ["sleep", "work"] {
            let running = place.septum("waits").argument(way).spawn();
            running.wait_for_stdout("ready\n");
            running.signal(signal);
            let output = running.wait();
            assert_eq!(output.code(), 128 + number(signal), "{signal:?} {way}: {}", output.stderr_text());
            assert!(output.stderr.is_empty(), "{}", output.stderr_text());
        }
    }
}

#[test]
fn a_hundred_signals_at_once_are_a_few_or_more() {
    needs_partitions!();
    let place = Place::new();
    for way in ["sleep", "work"] {
        let running = listening(&place, way, &[]);
        for _ in 0..100 {
            running.signal(Signal::USR1);
            running.signal(Signal::INT);
        }
        running.wait_for_stdout("got 10 from 0\n");
        running.wait_for_stdout("got 2 from 0\n");
        running.signal(Signal::TERM);
        assert_eq!(running.wait().code(), 7);
    }
}

#[test]
fn signals_of_a_real_time_number_are_all_delivered() {
    needs_partitions!();
    let place = Place::new();
    for way in ["sleep", "work"] {
        let running = listening(&place, way, &[]);
        let script =
            format!("for n in 34 64 40; do for i in $(seq 100); do kill -$n {}; done; done", pid(&running));
        Invocation::new("/bin/bash").arguments(["-c", &script]).run().expect_code(0);
        // The lower numbers come first, where several wait; each comes as often as it was sent.
        let all =
            |text: &str| [34, 40, 64].map(|number| text.matches(&format!("got {number} from 0\n")).count());
        let end = Instant::now() + Duration::from_secs(60);
        while all(&running.stdout_so_far()) != [100; 3] {
            assert!(Instant::now() < end, "{:?}", all(&running.stdout_so_far()));
            std::thread::sleep(Duration::from_millis(5));
        }
        running.signal(Signal::TERM);
        assert_eq!(running.wait().code(), 7);
    }
    let host = host_with_listener();
    let id = start(&host, &[], &["./outside_signals", "work"]);
    for name in ["RTMIN", "RTMAX", "SIGRTMIN+6"] {
        host.ask(&["kill", "-s", name, &id]);
    }
    for number in [34, 40, 64] {
        host.wait_for_log(&id, &format!("got {number} from 0"));
    }
    host.ask(&["stop", &id]);
}

fn pid(running: &Running) -> i32 {
    running.pid().as_raw_nonzero().get()
}

/// How a process is, as the host's kernel says: `T` is stopped.
fn state(pid: i32) -> char {
    let status = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit(')').next().and_then(|rest| rest.trim().chars().next()).unwrap_or('?')
}

#[test]
fn a_partition_is_stopped_and_continued_as_a_job_is() {
    needs_partitions!();
    let place = Place::new();
    let script = "trap 'echo goes on' CONT; n=0; while :; do n=$((n+1)); echo $n > count; sleep 0.02; done";
    let volume = format!("{}:/work", place.path().display());
    let running = place.septum_tool("dash").option("--volume", volume).option("--workdir", "/work");
    let running = running.arguments(["-c", script]).spawn();
    let count =
        || std::fs::read_to_string(place.join("count")).ok().and_then(|text| text.trim().parse::<u64>().ok());
    let supervisor = pid(&running);
    let wait_until = |what: &str, is_so: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(60);
        while !is_so() {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    };
    wait_until("it counts", &|| count() > Some(3));
    for _ in 0..3 {
        running.signal(Signal::TSTP);
        wait_until("the command is stopped", &|| state(supervisor) == 'T');
        let before = count();
        std::thread::sleep(Duration::from_millis(300));
        assert_eq!(count(), before, "the program is stopped, too");
        running.signal(Signal::CONT);
        wait_until("it goes on", &|| count() > before);
    }
    wait_until("the program hears of it", &|| running.stdout_so_far().contains("goes on\n"));
    running.signal(Signal::TERM);
    running.wait().expect_code(143);
}

#[test]
fn ignored_signals_are_ignored_and_the_others_are_not() {
    needs_partitions!();
    let place = Place::new();
    let script = "trap '' INT HUP TERM; trap 'echo one' USR1; echo ready; while :; do sleep 0.1; done";
    let running = place.septum_tool("dash").arguments(["-c", script]).spawn();
    running.wait_for_stdout("ready\n");
    for signal in [Signal::INT, Signal::HUP, Signal::TERM, Signal::WINCH, Signal::USR1] {
        running.signal(signal);
    }
    running.wait_for_stdout("one\n");
    running.signal(Signal::USR2);
    assert_eq!(running.wait().code(), 140);
}

#[test]
fn without_the_proxy_signals_stop_the_partition() {
    needs_partitions!();
    let place = Place::new();
    let running = listening(&place, "sleep", &["--sig-proxy=false"]);
    running.signal(Signal::TERM);
    let output = running.wait();
    assert_eq!(output.code(), 143);
    assert!(!output.stdout_text().contains("got"), "{}", output.stdout_text());
}

#[test]
fn a_guest_that_does_not_listen_is_stopped() {
    needs_partitions!();
    let place = Place::new();
    // A worker that is held is as deaf as a kernel that hangs. The second signal does not wait for the supervisor's patience.
    for signals in [2, 1] {
        let running = listening(&place, "sleep", &[]);
        for worker in family::descendants(running.pid()) {
            let worker = rustix::process::Pid::from_raw(worker.pid).expect("a process has a number");
            rustix::process::kill_process(worker, Signal::STOP).expect("the worker is there");
        }
        for _ in 0..signals {
            running.signal(Signal::INT);
            std::thread::sleep(Duration::from_millis(700));
        }
        assert_eq!(running.wait().code(), 130);
    }
}

#[test]
fn a_background_program_is_asked_and_then_ended() {
    needs_partitions!();
    let host = host_with_listener();
    let id = start(&host, &[], &["./outside_signals"]);
    host.ask(&["stop", "--time", "600", &id]);
    assert_eq!(host.ask(&["wait", &id]), "7");
    assert!(host.ask(&["logs", &id]).contains("got 15 from 0"));
    let deaf = "trap '' TERM; echo ready; while :; do sleep 1; done";
    for time in ["0", "1"] {
        let id = start(&host, &["--restart", "always"], &["sh", "-c", deaf]);
        host.ask(&["stop", "-t", time, &id]);
        assert_eq!(host.ask(&["wait", &id]), "137");
    }
    let id = start(&host, &["--stop-signal", "SIGUSR2"], &["sh", "-c", "echo ready; sleep 1000"]);
    host.ask(&["stop", "-t", "-1", &id]);
    assert_eq!(host.ask(&["wait", &id]), "140");
    let wrong = host.septum(&["run", "--stop-signal", "NEVER", "--", "true"]).run();
    wrong.expect_code(exit::USAGE).expect_stderr("is not a signal");
}

#[test]
fn any_signal_can_be_sent() {
    needs_partitions!();
    let host = host_with_listener();
    let id = start(&host, &["--restart", "always"], &["./outside_signals", "work"]);
    for (name, number) in [("HUP", 1), ("SIGUSR1", 10), ("12", 12), ("RTMIN+6", 40)] {
        host.ask(&["kill", "-s", name, &id]);
        host.wait_for_log(&id, &format!("got {number} from 0"));
    }
    // While it is stopped inside, and while the partition is paused, signals wait.
    host.ask(&["kill", "-s", "STOP", &id]);
    host.ask(&["kill", "-s", "ALRM", &id]);
    host.ask(&["kill", "-s", "CONT", &id]);
    host.wait_for_log(&id, "got 14 from 0");
    host.ask(&["pause", &id]);
    host.ask(&["kill", "-s", "WINCH", &id]);
    host.ask(&["unpause", &id]);
    host.wait_for_log(&id, "got 28 from 0");
    host.ask(&["kill", &id]);
    assert_eq!(host.ask(&["wait", &id]), "137");
    let over = host.septum(&["kill", "-s", "HUP", &id]).run();
    over.expect_code(exit::USAGE).expect_stderr("it has ended");
}

#[test]
fn twenty_senders_at_once_are_all_served() {
    needs_partitions!();
    let host = host_with_listener();
    let id = start(&host, &[], &["./outside_signals", "work"]);
    let senders: Vec<Running> =
        (0..20).map(|_| host.septum(&["kill", "--signal", "USR1", &id]).spawn()).collect();
    for sender in senders {
        sender.wait().expect_code(0);
    }
    host.wait_for_log(&id, "got 10 from 0");
    host.ask(&["stop", &id]);
    assert_eq!(host.ask(&["wait", &id]), "7");
}

#[test]
fn a_stop_right_after_the_start_ends_it() {
    needs_partitions!();
    let host = host_with_listener();
    for _ in 0..10 {
        let id = host.ask(&["run", "-d", "--memory", "64M", "--", "./outside_signals"]);
        host.ask(&["stop", "-t", "600", &id]);
        let status = host.ask(&["wait", &id]);
        // Before it has handlers, or after.
        assert!(status == "143" || status == "7", "{status}");
    }
}
