//! What the coordinator does when the host is full: partitions wait, in order, and none is lost or started twice.

use std::time::{Duration, Instant};

use septum_tests::lane;
use septum_tests::{Answer, Host, Serving, needs_partitions};

/// How long something may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

fn is_nested() -> bool {
    lane::skips_in_nested("the coordinator is the same on both lanes")
}

fn request(name: &str, memory: &str, priority: &str, script: &str) -> String {
    format!(
        r#"{{"name": "{name}", "memory": "{memory}", "priority": "{priority}", "command": ["sh", "-c", "{script}"]}}"#
    )
}

fn sleeper(serving: &Serving<'_>, name: &str, priority: &str) -> Answer {
    serving.ask("POST", "/v1/partitions", &request(name, "64M", priority, "exec sleep 1000"))
}

fn reason(serving: &Serving<'_>, name: &str) -> String {
    serving.ask("GET", &format!("/v1/partitions/{name}"), "").expect(200).text("/state/reason")
}

/// What happened to partitions, by kind, in the order of events.
fn order_of(serving: &Serving<'_>, kind: &str) -> Vec<String> {
    let events = serving.ask("GET", "/v1/events?after=0&follow=false", "").expect(200).body;
    let events = events.lines().filter_map(|line| line.strip_prefix("data: "));
    let events = events.map(|line| serde_json::from_str::<serde_json::Value>(line).expect("an event"));
    events.filter(|it| it["kind"] == kind).filter_map(|it| Some(it["name"].as_str()?.to_owned())).collect()
}

#[test]
fn what_does_not_fit_waits_until_there_is_room() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let full = ["--max-memory", "128M"];
    let serving = Serving::start_with(&host, &full);
    let large = serving.ask("POST", "/v1/partitions", &request("large", "256M", "batch", "true")).expect(422);
    assert!(large.text("/cause").contains("field 'memory': it asks for 256M, and this host gives 128M"));
    for name in ["a", "b"] {
        sleeper(&serving, name, "batch").expect(201);
    }
    for name in ["c", "d", "e"] {
        assert_eq!(sleeper(&serving, name, "batch").expect(202).text("/state/is"), "pending");
    }
    assert_eq!((reason(&serving, "c"), reason(&serving, "d")), ("memory".into(), "turn".into()));
    let nonsense = request("f", "64M", "batch", "true").replace("64M\"", "64M\", \"hostname\": \"--\"");
    serving.ask("POST", "/v1/partitions", &nonsense).expect(422);
    let of = serving.ask("GET", "/v1/host", "").expect(200);
    assert_eq!(of.text("/memory_bytes/used"), (128 << 20).to_string());
    assert_eq!((of.text("/partitions/used"), of.text("/pending")), ("2".into(), "3".into()));
    // What waits can be taken back, removed, and not be told anything.
    serving.ask("POST", "/v1/partitions/c/pause", "").expect(409);
    assert_eq!(serving.ask("POST", "/v1/partitions/c/stop", "").expect(200).text("/state/is"), "created");
    serving.ask("DELETE", "/v1/partitions/d", "").expect(204);
    assert_eq!(serving.ask("POST", "/v1/partitions/c/start", "").expect(202).text("/state/is"), "pending");
    serving.ask("POST", "/v1/partitions/c/start", "").expect(409);
    // The coordinator's end loses none; the next one may give less, or more.
    serving.kill();
    let serving = Serving::start_with(&host, &["--max-memory", "32M"]);
    let end = Instant::now() + PATIENCE;
    while reason(&serving, "e") != "larger_host" {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(10));
    }
    serving.kill();
    let serving = Serving::start_with(&host, &full);
    serving.ask("POST", "/v1/partitions/a/kill", "").expect(200);
    serving.wait_for("e", "running");
    assert_eq!(reason(&serving, "c"), "memory", "it was taken back, and began to wait anew");
    // What others end makes room as well.
    host.ask(&["kill", "b"]);
    serving.wait_for("c", "running");
    for name in ["a", "b", "c", "e"] {
        serving.ask("DELETE", &format!("/v1/partitions/{name}?force=true"), "").expect(204);
    }
    assert!(host.is_empty());
}

#[test]
fn who_is_waited_for_comes_first() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--max-partitions", "1"]);
    sleeper(&serving, "first", "batch").expect(201);
    for (name, priority) in [("idle", "idle"), ("batch", "batch"), ("urgent", "interactive")] {
        let body = request(name, "32M", priority, "true");
        serving.ask("POST", "/v1/partitions", &body).expect(202);
    }
    assert_eq!(reason(&serving, "idle"), "turn");
    assert_eq!(serving.ask("GET", "/v1/partitions/urgent", "").text("/owner"), "local");
    serving.ask("POST", "/v1/partitions/first/kill", "").expect(200);
    serving.ask("POST", "/v1/partitions/idle/wait", "").expect(200);
    assert_eq!(order_of(&serving, "starting"), ["urgent", "batch", "idle"]);
    assert_eq!(order_of(&serving, "exited"), ["first", "urgent", "batch", "idle"]);
}

#[test]
fn a_hundred_at_once_share_four_places() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--max-partitions", "4"]);
    std::thread::scope(|scope| {
        for number in 0..100 {
            let serving = &serving;
            scope.spawn(move || {
                let body = request(&format!("n{number}"), "32M", "batch", "true");
                let answer = serving.ask("POST", "/v1/partitions", &body);
                assert!(matches!(answer.status, 201 | 202), "{answer:?}");
            });
        }
    });
    let end = Instant::now() + PATIENCE;
    loop {
        let of = serving.ask("GET", "/v1/host", "").expect(200);
        assert!(of.text("/partitions/used").parse::<u32>().unwrap() <= 4, "{of:?}");
        if of.text("/partitions/used") == "0" && of.text("/pending") == "0" {
            break;
        }
        assert!(Instant::now() < end, "{of:?}");
        std::thread::sleep(Duration::from_millis(5));
    }
    let list = serving.ask("GET", "/v1/partitions?limit=1000&state=exited", "").expect(200).json();
    let items = list["items"].as_array().unwrap();
    assert_eq!(items.len(), 100);
    assert!(items.iter().all(|it| it["state"]["status"] == 0), "{list}");
    let mut started = order_of(&serving, "starting");
    started.sort();
    let count = started.len();
    started.dedup();
    assert_eq!(started.len(), count, "one was started twice");
}

#[test]
fn a_coordinator_that_is_killed_while_it_admits_loses_and_doubles_none() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    std::thread::scope(|scope| {
        for delay_us in [0, 500, 1500, 3000, 5000, 8000] {
            scope.spawn(move || cut_off(delay_us));
        }
    });
}

fn cut_off(delay_us: u64) {
    let host = Host::new();
    let options = ["--max-partitions", "2"];
    let serving = Serving::start_with(&host, &options);
    for name in ["a", "b"] {
        sleeper(&serving, name, "batch").expect(201);
    }
    for name in ["c", "d"] {
        sleeper(&serving, name, "batch").expect(202);
    }
    host.ask(&["kill", "a", "b"]);
    std::thread::sleep(Duration::from_micros(delay_us));
    serving.kill();
    let serving = Serving::start_with(&host, &options);
    for name in ["c", "d"] {
        serving.wait_for(name, "running");
    }
    assert_eq!(host.ask(&["ps", "-aq"]).lines().count(), 4, "after {delay_us} us");
}
