//! `septum stats`, and the same by the API: what partitions use while they run, whatever becomes of those that are asked.

use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use septum_tests::{Host, Serving, exit, needs_partitions};
use serde_json::Value;

/// One reading of a partition.
#[track_caller]
fn read(host: &Host, partition: &str) -> Value {
    let text = host.ask(&["stats", "--json", "--no-stream", "--threads", partition]);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[track_caller]
fn number(document: &Value, path: &str) -> u64 {
    let value = document.pointer(path).unwrap_or_else(|| panic!("no {path} in {document:#}"));
    value.as_u64().unwrap_or_else(|| panic!("{path} is {value}"))
}

fn process(host: &Host, partition: &str, which: &str) -> Pid {
    let records: Value = serde_json::from_str(&host.ask(&["inspect", partition])).expect("JSON");
    let number = i32::try_from(number(&records[0], which)).expect("a process");
    Pid::from_raw(number).expect("a process")
}

#[test]
fn what_is_done_is_counted_and_to_look_costs_the_guest_nothing() {
    needs_partitions!();
    let host = Host::new();
    host.start(
        &["--name", "busy"],
        &["sh", "-c", "echo go; while :; do head -c 100000 /dev/zero > /tmp/x; done"],
    );
    host.start(&["--name", "idle"], &["sh", "-c", "echo go; exec sleep 1000"]);
    host.wait_for_log("busy", "go");
    host.wait_for_log("idle", "go");
    let end = Instant::now() + Duration::from_secs(30);
    let before = loop {
        let before = read(&host, "busy");
        // The host tells of processor time in ticks.
        let has_worked =
            number(&before, "/counters/syscalls/processes") > 5 && number(&before, "/cpu/user_ns") > 0;
        if has_worked || Instant::now() > end {
            break before;
        }
    };
    let mut after = read(&host, "busy");
    while number(&after, "/counters/syscalls/data") <= number(&before, "/counters/syscalls/data") {
        assert!(Instant::now() < end, "nothing goes on: {after:#}");
        after = read(&host, "busy");
    }
    for path in [
        "/counters/page_faults",
        "/cpu/user_ns",
        "/counters/vcpus",
        "/memory/used_bytes",
        "/memory/private_bytes",
    ] {
        assert!(number(&after, path) > 0, "{path}: {after:#}");
    }
    let limit = number(&after, "/memory/limit_bytes");
    assert!(limit == 64 << 20 && number(&after, "/memory/peak_bytes") <= limit, "{after:#}");
    assert!(number(&after, "/memory/cached_bytes") <= number(&after, "/memory/used_bytes"), "{after:#}");
    let devices = after["counters"]["devices"].as_array().expect("devices");
    let files = devices.iter().find(|device| device["name"] == "fs").expect("a file system");
    assert!(number(files, "/requests") > 0 && number(files, "/read_bytes") > 0, "{files}");
    let timed = after["counters"]["syscall_latency"]["data"]["counts"].as_array().expect("latencies");
    assert!(timed.len() == 12 && timed.iter().filter_map(Value::as_u64).sum::<u64>() > 0, "{after:#}");
    let threads = after["thread_list"].as_array().expect("threads");
    let names = || threads.iter().filter_map(|thread| thread["name"].as_str());
    assert!(
        names().any(|name| name.starts_with("0:sh")) && names().any(|name| name == "files"),
        "{threads:?}"
    );

    // One that sleeps is not woken by those who look.
    let first = read(&host, "idle");
    for _ in 0..20 {
        read(&host, "idle");
    }
    let last = read(&host, "idle");
    for path in ["/counters/exits", "/counters/halts", "/counters/syscalls", "/counters/interrupts"] {
        assert_eq!(first.pointer(path), last.pointer(path), "{path}");
    }
    let table = host.ask(&["stats", "--no-stream"]);
    assert!(table.starts_with("ID ") && table.contains("busy") && table.contains("/ 64MiB"), "{table}");

    host.ask(&["pause", "idle"]);
    let held = read(&host, "idle");
    assert_eq!(
        (&held["is_paused"], held.pointer("/counters/exits")),
        (&true.into(), first.pointer("/counters/exits"))
    );
    host.ask(&["unpause", "idle"]);
    assert_eq!(read(&host, "idle")["is_paused"], false);
    host.ask(&["kill", "idle"]);
    let gone = host.septum(&["stats", "--no-stream", "idle"]).run();
    gone.expect_code(exit::USAGE).expect_stderr("exited").expect_stderr("septum ps");
}

#[test]
fn who_does_not_answer_keeps_nobody_waiting_long() {
    needs_partitions!();
    let host = Host::new();
    host.start(&["--name", "well"], &["sleep", "1000"]);
    host.start(&["--name", "held"], &["sleep", "1000"]);
    host.start(&["--name", "shot"], &["sleep", "1000"]);
    let (supervisor, worker) = (process(&host, "held", "/supervisor"), process(&host, "shot", "/worker"));
    kill_process(supervisor, Signal::STOP).expect("it is ours");
    kill_process(worker, Signal::KILL).expect("it is ours");
    let list = host.ask(&["stats", "--json", "--no-stream"]);
    assert!(list.contains("\"well\"") && !list.contains("\"held\"") && !list.contains("\"shot\""), "{list}");
    host.septum(&["stats", "--no-stream", "held"])
        .run()
        .expect_code(exit::WORKER)
        .expect_stderr("does not answer");
    kill_process(supervisor, Signal::CONT).expect("it is ours");
    assert_eq!(read(&host, "held")["name"], "held");
}

#[test]
fn the_api_tells_once_as_a_stream_and_to_prometheus() {
    needs_partitions!();
    let host = Host::new();
    host.start(&["--name", "web"], &["sh", "-c", "echo go; exec sleep 1000"]);
    host.wait_for_log("web", "go");
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    let one = serving.ask("GET", "/v1/partitions/web/stats?threads=true", "").expect(200).json();
    assert!(number(&one, "/counters/syscalls/data") > 0 && one["thread_list"].is_array(), "{one:#}");
    assert_eq!(serving.ask("GET", "/v1/stats", "").expect(200).text("/items/0/name"), "web");
    assert_eq!(serving.ask("GET", "/v1/partitions/nobody/stats", "").expect(404).text("/code"), "not_found");
    for path in ["/v1/partitions/web/stats/stream", "/v1/stats/stream"] {
        let mut stream = serving.connect().expect("it listens");
        stream.set_read_timeout(Some(Duration::from_secs(30))).expect("a socket");
        write!(stream, "GET {path} HTTP/1.1\r\nhost: septum\r\n\r\n").expect("it reads");
        let mut got = String::new();
        let mut buffer = [0; 65536];
        while got.matches("event: stats").count() < 2 {
            let length = stream.read(&mut buffer).expect("it goes on");
            assert!(length > 0, "{path} ended: {got}");
            got += &String::from_utf8_lossy(&buffer[..length]);
        }
        assert!(got.contains("text/event-stream") && got.contains("\"name\":\"web\""), "{got}");
    }
    let metrics = serving.ask("GET", "/metrics", "").expect(200);
    assert_eq!(metrics.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    for sample in [
        "septum_partitions{state=\"running\"} 1",
        "name=\"web\",mode=\"user\"} ",
        "septum_partition_memory_limit_bytes{partition=\"",
        "septum_partition_syscall_duration_seconds_bucket{",
        "septum_partition_device_requests_total{",
        "# TYPE septum_partition_exits_total counter",
    ] {
        assert!(metrics.body.contains(sample), "no {sample} in {}", metrics.body);
    }
    // By TCP it takes a token that may read.
    let tcp = || std::net::TcpStream::connect(serving.tcp_address()).expect("it listens");
    assert_eq!(serving.ask_by(tcp(), "GET", "/metrics", &[], "").status, 401);
    let token = host.ask(&["token", "create", "prometheus", "--scope", "read"]);
    let header = format!("authorization: Bearer {token}");
    assert_eq!(serving.ask_by(tcp(), "GET", "/metrics", &[&header], "").status, 200);
    host.ask(&["kill", "web"]);
    serving.wait_for("web", "exited");
    assert_eq!(serving.ask("GET", "/v1/partitions/web/stats", "").expect(409).text("/code"), "conflict");
}
