//! `septum apply` and `septum diff`: partitions become what files say, whoever else is at it, and whoever dies meanwhile.

use std::time::Duration;

use septum_tests::lane;
use septum_tests::{Host, Input, Serving, exit, needs_partitions};
use serde_json::Value;

fn is_nested() -> bool {
    lane::skips_in_nested("the coordinator is the same on both lanes; the first test runs on both")
}

/// A service, in TOML.
fn service(name: &str, memory: &str) -> String {
    format!(
        "[[partitions]]\nname = '{name}'\nmemory = '{memory}'\ncommand = ['sleep', '1000']\nlabels = {{ app = 'x' }}\n"
    )
}

/// Actions of a plan, by partition.
fn actions(json: &str) -> Vec<(String, String)> {
    let json: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let text = |step: &Value, key: &str| step[key].as_str().expect("a text").to_owned();
    let steps = json["partitions"].as_array().expect("a list");
    steps.iter().map(|step| (text(step, "partition"), text(step, "action"))).collect()
}

fn pairs(expected: &[(&str, &str)]) -> Vec<(String, String)> {
    expected.iter().map(|(one, other)| ((*one).to_owned(), (*other).to_owned())).collect()
}

#[test]
fn partitions_become_what_files_say() {
    needs_partitions!();
    let host = Host::new();
    let serving = Serving::start(&host);
    host.place.file("a.toml", service("a", "64M") + &service("b", "64M"));
    host.place.file("c.yaml", "name: c\nmemory: 64M\ncommand: [sh, -c, 'echo done']\n");
    let files = ["-f", "a.toml", "-f", "c.yaml"];
    let with = |command: &[&str], more: &[&str]| host.septum(&[command, &files, more].concat()).run();
    let diff = with(&["diff"], &["--json"]);
    diff.expect_code(1);
    assert_eq!(actions(&diff.stdout_text()), pairs(&[("a", "create"), ("b", "create"), ("c", "create")]));
    with(&["apply"], &["--dry-run"]).expect_code(0);
    assert!(host.is_empty(), "a dry run does nothing");
    with(&["apply"], &["--wait=60s"]).expect_code(0);
    host.wait_for_log("c", "done");
    serving.wait_for("c", "exited");
    assert_eq!(with(&["diff"], &[]).expect_code(0).stdout_text(), "");
    let again = with(&["apply"], &["--json"]);
    assert_eq!(
        actions(&again.expect_code(0).stdout_text()),
        pairs(&[("a", "unchanged"), ("b", "unchanged"), ("c", "unchanged")])
    );
    // A label goes while it runs; memory does not.
    let before = serving.ask("GET", "/v1/partitions/a", "").expect(200);
    let labelled = service("a", "64M").replace("app = 'x'", "app = 'x', tier = 'front'");
    host.place.file("a.toml", labelled + &service("b", "96M"));
    let told = with(&["diff"], &[]);
    told.expect_code(1);
    assert!(
        told.stdout_text().contains("~ b: replace: stop, change, and start\n    memory: \"64M\" → \"96M\""),
        "{}",
        told.stdout_text()
    );
    let id = serving.ask("GET", "/v1/partitions/b", "").expect(200).text("/id");
    let done = with(&["apply"], &["--json", "--wait"]);
    assert_eq!(
        actions(&done.expect_code(0).stdout_text()),
        pairs(&[("a", "change"), ("b", "replace"), ("c", "unchanged")])
    );
    let after = serving.ask("GET", "/v1/partitions/a", "").expect(200);
    assert_eq!(after.text("/labels/tier"), "front");
    assert_eq!(after.text("/started_ms"), before.text("/started_ms"), "it went on");
    let replaced = serving.ask("GET", "/v1/partitions/b", "").expect(200);
    assert_eq!((replaced.text("/id"), replaced.text("/memory_bytes")), (id, (96 << 20).to_string()));
    // What no file wants goes, if apply made it and the labels match.
    host.start(&["--name", "other", "--label", "app=x"], &["sleep", "1000"]);
    let pruned = host.septum(&["apply", "-f", "c.yaml", "--prune", "-l", "app=x", "--json"]).run();
    assert_eq!(
        actions(&pruned.expect_code(0).stdout_text()),
        pairs(&[("c", "unchanged"), ("a", "remove"), ("b", "remove")])
    );
    let left = serving.ask("GET", "/v1/partitions", "").json();
    let left: Vec<&str> =
        left["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    assert_eq!(left, ["c", "other"]);
}

#[test]
fn the_examples_can_be_applied() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let _serving = Serving::start(&host);
    let folder = lane::workspace().join("docs/examples");
    let mut files: Vec<String> = Vec::new();
    for entry in std::fs::read_dir(folder).expect("there are examples").flatten() {
        files.extend(["-f".to_owned(), entry.path().to_str().expect("UTF-8").to_owned()]);
    }
    assert!(files.len() >= 6, "{files:?}");
    let files: Vec<&str> = files.iter().map(String::as_str).collect();
    host.septum(&[&["apply", "--wait=120s"], files.as_slice()].concat()).run().expect_code(0);
    host.wait_for_log("count", "1000000");
    host.wait_for_log("words", "3");
    host.wait_for_log("reader", "20");
    let gone = host
        .septum(&["apply", "-f", "-", "--prune", "-l", "app=example"])
        .stdin(Input::Bytes("partitions: []\n".into()))
        .run();
    gone.expect_code(0);
    assert!(host.is_empty(), "{}", gone.stdout_text());
}

#[test]
fn what_is_wrong_names_file_line_and_field() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    // Without a coordinator.
    host.place.file("bad.toml", "name = 'a'\ncommand = ['x']\nmemry = '1G'\n");
    let refused = host.septum(&["apply", "-f", "bad.toml"]).run();
    refused
        .expect_code(exit::USAGE)
        .expect_stderr("cannot read 'bad.toml': line 3, column 1: field 'memry': there is no such field");
    refused.expect_stderr("did you mean 'memory'?");
    host.septum(&["diff", "-f", "none.toml"]).run().expect_code(exit::PATH);
    host.septum(&["diff", "-f", "-"])
        .stdin(Input::Bytes("name: a\ncommand: [x]\n".into()))
        .run()
        .expect_code(exit::HOST)
        .expect_stderr("septum serve");
    host.place.file("twice.yaml", "partitions:\n- {name: a, image: i}\n- {name: a, image: i}\n");
    host.septum(&["diff", "-f", "twice.yaml"])
        .run()
        .expect_code(exit::USAGE)
        .expect_stderr("twice.yaml:3:10: 'a' is wanted by twice.yaml:2:10 as well");
    let serving = Serving::start(&host);
    // What only the coordinator knows is told with its line, too, and the others are done.
    host.place.file("two.yaml", "partitions:\n- name: large\n  command: ['true']\n  memory: 900T\n- {name: small, command: ['true'], memory: 32M}\n- {name: odd, command: [no-such-program]}\n");
    let half = host.septum(&["apply", "-f", "two.yaml"]).run();
    half.expect_code(exit::HOST).expect_stderr("two.yaml:4:11: field 'memory': it asks for 900T");
    half.expect_stderr("no such program");
    serving.wait_for("small", "exited");
    serving.ask("GET", "/v1/partitions/large", "").expect(404);
    serving.ask("GET", "/v1/partitions/odd", "").expect(404);
    // A name that somebody else has.
    host.start(&["--name", "theirs"], &["sleep", "1000"]);
    let body = r#"{"name": "through-api", "command": ["true"], "start": false}"#;
    serving.ask("POST", "/v1/partitions", body).expect(201);
    for name in ["theirs", "through-api"] {
        let file = format!("name: {name}\ncommand: [x]\n");
        let taken = host.septum(&["apply", "-f", "-"]).stdin(Input::Bytes(file.into())).run();
        taken.expect_code(exit::HOST).expect_stderr("septum apply has not made it");
    }
}

#[test]
fn several_apply_at_once() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    for memory in ["64M", "96M"] {
        host.place.file(
            "many.toml",
            (0..4).map(|number| service(&format!("s{number}"), memory)).collect::<String>(),
        );
        std::thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    host.septum(&["apply", "-f", "many.toml", "--wait=100s"]).run().expect_code(0);
                });
            }
        });
        host.septum(&["diff", "-f", "many.toml"]).run().expect_code(0);
        let list = serving.ask("GET", "/v1/partitions?state=running", "").json();
        assert_eq!(list["items"].as_array().unwrap().len(), 4, "{list}");
    }
    assert_eq!(host.ask(&["ps", "-aq"]).lines().count(), 4);
}

#[test]
fn whoever_dies_meanwhile_the_next_goes_on() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let mut serving = Serving::start(&host);
    let name = |memory: &str| (0..5).map(|number| service(&format!("s{number}"), memory)).collect::<String>();
    for (delay_ms, memory) in [(5, "64M"), (30, "96M"), (60, "64M"), (110, "96M")] {
        host.place.file("many.toml", name(memory));
        // The coordinator dies; apply waits for the next one.
        let applying = host.septum(&["apply", "-f", "many.toml", "--wait=100s"]).spawn();
        std::thread::sleep(Duration::from_millis(delay_ms));
        serving.kill();
        serving = Serving::start(&host);
        let done = applying.wait();
        if done.code() != 0 {
            // It had not looked yet.
            done.expect_code(exit::HOST).expect_stderr("does not answer");
        }
        // Apply dies.
        host.place.file("many.toml", name(if memory == "64M" { "80M" } else { "48M" }));
        let applying = host.septum(&["apply", "-f", "many.toml"]).spawn();
        std::thread::sleep(Duration::from_millis(delay_ms));
        applying.signal(rustix::process::Signal::KILL);
        drop(applying.wait());
        host.septum(&["apply", "-f", "many.toml", "--wait=100s"]).run().expect_code(0);
        host.septum(&["diff", "-f", "many.toml"]).run().expect_code(0);
        let list = serving.ask("GET", "/v1/partitions?state=running", "").json();
        assert_eq!(list["items"].as_array().unwrap().len(), 5, "{list}");
    }
}

#[test]
fn waiting_tells_what_does_not_run() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving =
        Serving::start_with(&host, &["--max-partitions", "1", "--listen", "127.0.0.1:0", "--plain-tcp"]);
    host.place.file("two.toml", service("first", "64M") + &service("second", "64M"));
    let late = host.septum(&["apply", "-f", "two.toml", "--wait=300ms"]).run();
    late.expect_code(exit::TIMEOUT).expect_stderr("partition 'second' does not run: it is pending");
    // One that waits for room can be changed as it waits.
    host.place.file("two.toml", service("first", "64M") + &service("second", "96M"));
    let done = host.septum(&["apply", "-f", "two.toml", "--json"]).run();
    assert_eq!(
        actions(&done.expect_code(0).stdout_text()),
        pairs(&[("first", "unchanged"), ("second", "change")])
    );
    serving.ask("POST", "/v1/partitions/first/kill", "").expect(200);
    serving.wait_for("second", "running");
    assert_eq!(serving.ask("GET", "/v1/partitions/second", "").text("/memory_bytes"), (96 << 20).to_string());
    let failing = "name: fails\ncommand: [sh, -c, 'exit 7']\nmemory: 32M\n";
    serving.ask("POST", "/v1/partitions/second/kill", "").expect(200);
    host.septum(&["apply", "-f", "-"]).stdin(Input::Bytes(failing.into())).run().expect_code(0);
    serving.wait_for("fails", "exited");
    let failed = host.septum(&["apply", "-f", "-", "--wait"]).stdin(Input::Bytes(failing.into())).run();
    failed.expect_code(7).expect_stderr("partition 'fails' does not run: it ended with status 7");
    // Environments are not for those who may only look.
    let ask = |scope: &str| {
        let token = host.ask(&["token", "create", "t", "--scope", scope]);
        let stream = std::net::TcpStream::connect(serving.tcp_address()).expect("it listens");
        serving.ask_by(
            stream,
            "GET",
            "/v1/partitions/fails/spec",
            &[&format!("authorization: Bearer {token}")],
            "",
        )
    };
    ask("read").expect(403);
    assert_eq!(ask("write").expect(200).text("/command/2"), "exit 7");
}

#[test]
fn a_spec_is_changed_for_one_revision_and_only_as_far_as_it_can_be() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let body = r#"{"name": "a", "memory": "64M", "command": ["sleep", "1000"]}"#;
    let made = serving.ask("POST", "/v1/partitions", body).expect(201);
    let tag = made.header("etag").expect("an ETag").to_owned();
    let path = "/v1/partitions/a/spec";
    let labelled = body.replace("\"name\": \"a\"", "\"labels\": {\"k\": \"v\"}");
    serving.ask("PUT", path, &labelled).expect(200);
    serving.ask_with("PUT", path, &[&format!("if-match: {tag}")], body).expect(412);
    serving.ask("PUT", path, &body.replace("64M", "96M")).expect(409);
    assert!(
        serving
            .ask("PUT", path, &body.replace("\"a\"", "\"b\""))
            .expect(422)
            .text("/cause")
            .contains("field 'name'")
    );
    assert!(
        serving
            .ask("PUT", path, &body.replace("64M", "lots"))
            .expect(422)
            .text("/cause")
            .contains("field 'memory': 'lots'")
    );
    assert_eq!(serving.ask("GET", path, "").expect(200).text("/labels/k"), "v");
    serving.ask("POST", "/v1/partitions/a/kill", "").expect(200);
    let changed = serving.ask("PUT", &format!("{path}?start=true"), &body.replace("64M", "96M")).expect(200);
    assert_eq!(
        (changed.text("/state/is"), changed.text("/memory_bytes")),
        ("running".into(), (96 << 20).to_string())
    );
    // What does not start is told, and stays what it was made.
    serving.ask("POST", "/v1/partitions/a/kill", "").expect(200);
    serving.ask("PUT", &format!("{path}?start=true"), &body.replace("sleep", "no-such-program")).expect(422);
    assert_eq!(serving.ask("GET", "/v1/partitions/a", "").expect(200).text("/state/is"), "exited");
    host.start(&["--name", "theirs"], &["sleep", "1000"]);
    serving.ask("GET", "/v1/partitions/theirs/spec", "").expect(409);
    serving.ask("PUT", "/v1/partitions/theirs/spec", &body.replace("\"a\"", "\"theirs\"")).expect(409);
}
