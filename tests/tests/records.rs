//! Partitions in the background: what others learn of them and may do with them, and what is left when somebody is killed.

use std::io::Write as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use septum_tests::{Host, Link, needs_partitions};

#[track_caller]
fn start(host: &Host, options: &[&str], script: &str) -> String {
    host.start(options, &["sh", "-c", script])
}

#[test]
fn a_background_partition_is_listed_logged_stopped_and_removed() {
    needs_partitions!();
    let host = Host::new();
    let id = start(&host, &["--name", "web", "--label", "a=b"], "echo out; echo err >&2; sleep 1000");
    host.wait_for_log("web", "out");
    assert!(host.ask(&["ps"]).contains("web") && host.ask(&["ps", "-q"]) == id);
    assert!(host.ask(&["inspect", &id[..6]]).contains("\"a\": \"b\""));
    let logs = host.septum(&["logs", "web"]).run();
    logs.expect_code(0).expect_stdout("out\n").expect_stderr("err");
    let taken = host.septum(&["run", "-d", "--name", "web", "--", "true"]).run();
    taken.expect_code(244).expect_stderr("is taken by partition");
    assert_eq!(host.septum(&["rm", "web"]).run().code(), 241, "it runs");
    assert_eq!(host.ask(&["stop", "web"]), "web");
    assert_eq!(host.ask(&["ps"]).lines().count(), 1);
    assert!(host.ask(&["ps", "-a"]).contains("exited (143)"));
    assert_eq!(host.ask(&["wait", "web"]), "143");
    host.ask(&["rm", "web"]);
    assert!(host.is_empty());
    assert!(host.septum(&["logs", "web"]).run().stderr_text().contains("there is no partition 'web'"));
}

#[test]
fn what_fails_to_start_says_so_and_leaves_nothing() {
    needs_partitions!();
    let host = Host::new();
    let output = host.septum(&["run", "-d", "--", "no-such-program"]).run();
    output.expect_code(243).expect_stderr("no-such-program");
    assert!(host.is_empty());
    start(&host, &["--rm"], "exit 0");
    let end = Instant::now() + Duration::from_secs(60);
    while !host.is_empty() {
        assert!(Instant::now() < end, "--rm left something");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_paused_partition_stands_still_and_goes_on() {
    needs_partitions!();
    let host = Host::new();
    let id = start(&host, &[], "i=0; while :; do i=$((i+1)); echo $i; sleep 0.01; done");
    host.wait_for_log(&id, "3");
    host.ask(&["pause", &id]);
    std::thread::sleep(Duration::from_millis(300));
    let before = host.ask(&["logs", &id]);
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(host.ask(&["logs", &id]), before);
    assert!(host.ask(&["ps"]).contains("paused"));
    host.ask(&["unpause", &id]);
    let end = Instant::now() + Duration::from_secs(60);
    while host.ask(&["logs", &id]) == before {
        assert!(Instant::now() < end, "it does not go on");
    }
    // One that is held can be ended too.
    host.ask(&["pause", &id]);
    host.ask(&["rm", "--force", &id]);
    assert!(host.is_empty());
}

#[test]
fn failures_are_started_again_as_often_as_was_said() {
    needs_partitions!();
    let host = Host::new();
    let id = start(&host, &["--restart", "on-failure:2"], "echo try; exit 3");
    assert_eq!(host.ask(&["wait", &id]), "3");
    assert_eq!(host.ask(&["logs", &id]), "try\ntry\ntry");
    assert!(host.ask(&["inspect", &id]).contains("\"restarts\": 2"));
    let good = start(&host, &["--restart", "on-failure:2"], "echo once");
    assert_eq!(host.ask(&["wait", &good]), "0");
    assert_eq!(host.ask(&["logs", &good]), "once");
    let always = start(&host, &["--restart", "always"], "echo again");
    host.wait_for_log(&always, "again\nagain");
    host.ask(&["stop", &always]);
    assert!(host.ask(&["ps", "-a"]).lines().count() == 4);
}

#[test]
fn logs_are_followed_across_rotation_to_the_end() {
    needs_partitions!();
    let host = Host::new();
    let script =
        "i=0; while [ $i -lt 400 ]; do echo line $i; i=$((i+1)); case $i in *0) sleep 0.05;; esac; done";
    let id = start(&host, &["--log-opt", "max-size=8K", "--log-opt", "max-file=20"], script);
    let output = host.septum(&["logs", "-f", &id]).run();
    let expected: String = (0..400).map(|number| format!("line {number}\n")).collect();
    output.expect_code(0).expect_stdout(&expected);
    assert_eq!(host.ask(&["logs", "--tail", "2", &id]), "line 398\nline 399");
}

#[test]
fn a_killed_supervisor_is_noticed() {
    needs_partitions!();
    let host = Host::new();
    let id = start(&host, &["--name", "victim"], "echo ready; sleep 1000");
    host.wait_for_log(&id, "ready");
    let record = host.ask(&["inspect", &id]);
    let supervisor = record.lines().find_map(|line| line.trim().strip_prefix("\"supervisor\": ")).unwrap();
    let pid: i32 = supervisor.trim_end_matches(',').parse().unwrap();
    let pid = rustix::process::Pid::from_raw(pid).unwrap();
    rustix::process::kill_process(pid, rustix::process::Signal::KILL).unwrap();
    let end = Instant::now() + Duration::from_secs(20);
    while !host.ask(&["ps", "-a"]).contains("lost") {
        assert!(Instant::now() < end, "{}", host.ask(&["ps", "-a"]));
    }
    host.septum(&["stop", "victim"]).run().expect_code(241).expect_stderr("its supervisor was killed");
    assert_eq!(host.ask(&["logs", "victim"]), "ready");
    host.ask(&["rm", "victim"]);
    assert!(host.is_empty());
}

#[test]
fn whoever_attaches_reads_and_writes() {
    needs_partitions!();
    let host = Host::new();
    let id = start(&host, &["-i"], "while read word; do echo got $word; [ $word = end ] && exit 5; done");
    let attached =
        host.septum(&["attach", &id]).stdin(septum_tests::Input::Bytes(b"one\nend\n".to_vec())).run();
    assert_eq!(
        (attached.code(), attached.stdout_text()),
        (5, "got one\ngot end\n".into()),
        "{}",
        attached.stderr_text()
    );
    assert_eq!(host.ask(&["logs", &id]), "got one\ngot end");
}

#[test]
fn nonsense_on_the_control_socket_harms_nobody() {
    needs_partitions!();
    let host = Host::new();
    let id = start(&host, &[], "echo ready; sleep 1000");
    host.wait_for_log(&id, "ready");
    let socket = host.place.join("run/partitions").join(&id).join("control");
    for nonsense in [
        &b"\xff\xff\xff\xff"[..],
        b"\x02\0\0\0{}",
        b"\x06\0\0\0\"Wait\"\x06\0\0\0\"Wait\"",
        b"\x06\0\0\0",
        b"",
    ] {
        let mut client = UnixStream::connect(&socket).expect("it listens");
        client.write_all(nonsense).expect("it reads");
        drop(client);
    }
    assert!(host.ask(&["ps"]).contains(&id));
    host.ask(&["kill", &id]);
    assert_eq!(host.ask(&["wait", &id]), "137");
}

#[test]
fn a_foreground_partition_is_listed_while_it_runs() {
    needs_partitions!();
    let host = Host::new();
    host.place.guest("waits", Link::Static);
    let running = host.septum(&["run", "--name", "front", "--", "./waits"]).spawn();
    running.wait_for_stdout("ready\n");
    assert!(host.ask(&["ps"]).contains("front"));
    host.ask(&["stop", "front"]);
    assert_eq!(running.wait().code(), 143);
    assert!(host.is_empty());
}
