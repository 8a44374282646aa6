//! Images, volumes and operations through the coordinator.

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use septum_tests::lane::{self, Lane};
use septum_tests::{Answer, Host, Link, Place, Serving, needs_partitions};

fn is_skipped() -> bool {
    if Lane::current() == Lane::Nested {
        lane::skip("the coordinator is the same on both lanes");
        return true;
    }
    for tool in ["mkfs.erofs", "tar"] {
        if lane::host_tool(tool).is_none() {
            lane::skip(&format!("there is no {tool}"));
            return true;
        }
    }
    false
}

/// A root with one static program, as a tar; with so much that it takes a while, if wanted.
fn archive(place: &Place, ballast_mib: usize) -> Vec<u8> {
    let root = place.directory("root");
    place.guest("echo_input", Link::Static);
    std::fs::rename(place.join("echo_input"), root.join("echo_input")).expect("the same file system");
    let mut noise = 1_u64;
    for number in 0..ballast_mib {
        let bytes: Vec<u8> = (0..131_072)
            .flat_map(|_| {
                noise = noise.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                noise.to_le_bytes()
            })
            .collect();
        place.file(Path::new("root").join(number.to_string()), bytes);
    }
    let output = Command::new("tar")
        .args(["-C", root.to_str().expect("UTF-8"), "-c", "."])
        .output()
        .expect("tar runs");
    assert!(output.status.success());
    output.stdout
}

/// Sends an archive.
fn send(serving: &Serving<'_>, name: &str, kind: &str, bytes: &[u8]) -> Answer {
    let mut stream = serving.connect().expect("it listens");
    let length = bytes.len();
    let head = format!(
        "POST /v1/images?name={name} HTTP/1.1\r\nhost: s\r\nconnection: close\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\n\r\n"
    );
    let _ = stream.write_all(head.as_bytes()).and_then(|()| stream.write_all(bytes));
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
    let status = head.split(' ').nth(1).and_then(|it| it.parse().ok()).expect("a status");
    Answer { status, head: head.to_owned(), body: body.to_owned() }
}

fn is_clean(host: &Host) -> bool {
    let count = |path: &str| std::fs::read_dir(host.place.join(path)).map_or(0, Iterator::count);
    count("data/uploads") == 0 && count("data/images/building") == 0
}

#[test]
fn an_archive_becomes_an_image_that_runs() {
    needs_partitions!();
    if is_skipped() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let bytes = archive(&host.place, 0);
    let begun = send(&serving, "team%2Ftool:1", "application/x-tar", &bytes).expect(202);
    let id = begun.text("/id");
    assert_eq!(begun.header("location"), Some(format!("/v1/operations/{id}").as_str()));
    let digest = host.ask(&["operation", "wait", &id]);
    let ended = serving.ask("GET", &format!("/v1/operations/{id}"), "").expect(200);
    assert_eq!((ended.text("/state/is"), ended.text("/state/made")), ("done".into(), digest.clone()));
    assert_eq!(ended.text("/done_bytes"), bytes.len().to_string());
    assert!(is_clean(&host));
    let list = serving.ask("GET", "/v1/images", "").expect(200);
    assert_eq!(
        (list.text("/items/0/name"), list.text("/items/0/digest")),
        ("team/tool:1".into(), digest.clone())
    );
    let details = serving.ask("GET", "/v1/images/team%2Ftool:1", "").expect(200);
    assert_eq!(details.text("/digest"), digest);
    assert!(host.ask(&["image", "ls"]).contains("team/tool:1"), "it is the same store");
    let body = r#"{"name": "a", "image": "team/tool:1", "command": ["/echo_input"], "memory": "64M"}"#;
    serving.ask("POST", "/v1/partitions", body).expect(201);
    serving.wait_for("a", "exited");
    serving.ask("DELETE", "/v1/images/team%2Ftool:1", "").expect(204);
    serving.ask("GET", "/v1/images/team%2Ftool:1", "").expect(404);
    let kinds = host.ask(&["operation", "ls"]);
    assert!(kinds.contains(&id) && kinds.contains("done") && kinds.contains("100 %"), "{kinds}");
    serving.ask("POST", &format!("/v1/operations/{id}/cancel"), "").expect(409);
}

#[test]
fn what_is_no_archive_leaves_nothing() {
    needs_partitions!();
    if is_skipped() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    send(&serving, "x", "application/json", b"{}").expect(415);
    send(&serving, "x", "application/x-tar", b"").expect(422);
    send(&serving, "sha256:00", "application/x-tar", b"xxx").expect(422);
    send(&serving, "A%20B", "application/x-tar", b"xxx").expect(422);
    let id = send(&serving, "x", "application/x-tar", &[0x5a; 4096]).expect(202).text("/id");
    let failed = host.septum(&["operation", "wait", &id]).run();
    failed.expect_code(1).expect_stderr("cannot build an image from 'the archive'");
    let shown = serving.ask("GET", &format!("/v1/operations/{id}"), "").expect(200);
    assert_eq!(
        (shown.text("/state/is"), shown.text("/state/problem/code")),
        ("failed".into(), "invalid".into())
    );
    // One that goes in the middle.
    let mut stream = serving.connect().expect("it listens");
    let head = "POST /v1/images HTTP/1.1\r\nhost: s\r\ncontent-type: application/x-tar\r\ncontent-length: 99999\r\n\r\nxyz";
    stream.write_all(head.as_bytes()).expect("it reads");
    drop(stream);
    let end = Instant::now() + Duration::from_secs(30);
    while !is_clean(&host) {
        assert!(Instant::now() < end, "something is left");
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(serving.ask("GET", "/v1/images", "").expect(200).body, r#"{"items":[]}"#);
    serving.ask("GET", "/v1/operations/none", "").expect(404);
    serving.ask("POST", "/v1/operations/none/cancel", "").expect(404);
    serving.ask("DELETE", "/v1/images/none", "").expect(404);
}

#[test]
fn an_operation_is_cancelled_or_lost_and_leaves_nothing() {
    needs_partitions!();
    if is_skipped() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let bytes = archive(&host.place, 96);
    let id = send(&serving, "x", "application/x-tar", &bytes).expect(202).text("/id");
    let cancelled = host.septum(&["operation", "cancel", &id]).run();
    cancelled.expect_code(0);
    assert_eq!(serving.ask("GET", &format!("/v1/operations/{id}"), "").text("/state/is"), "cancelled");
    host.septum(&["operation", "wait", &id]).run().expect_code(1).expect_stderr("it is cancelled");
    let first = send(&serving, "x", "application/x-tar", &bytes).expect(202).text("/id");
    std::thread::sleep(Duration::from_millis(100));
    serving.kill();
    let serving = Serving::start(&host);
    assert_eq!(serving.ask("GET", &format!("/v1/operations/{first}"), "").text("/state/is"), "lost");
    host.septum(&["operation", "wait", &first]).run().expect_code(1).expect_stderr("it is lost");
    // What made it has ended with the coordinator; what it left goes with the next.
    let again = send(&serving, "x", "application/x-tar", &bytes).expect(202).text("/id");
    assert_eq!(
        serving.ask("POST", &format!("/v1/operations/{again}/wait"), "").expect(200).text("/state/is"),
        "done"
    );
    assert!(is_clean(&host), "something is left");
    assert_eq!(serving.ask("GET", "/v1/images", "").json()["items"].as_array().unwrap().len(), 1);
}

#[test]
fn volumes_are_those_of_the_command_line() {
    needs_partitions!();
    if is_skipped() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    let made = serving.ask("POST", "/v1/volumes", r#"{"name": "data", "labels": {"k": "v"}}"#).expect(201);
    serving.ask("POST", "/v1/volumes", r#"{"name": "data"}"#).expect(200);
    for wrong in ["x", "../up", ".hidden", ""] {
        serving.ask("POST", "/v1/volumes", &format!(r#"{{"name": "{wrong}"}}"#)).expect(422);
    }
    assert!(host.ask(&["volume", "ls"]).contains("data"));
    let body = r#"{"name": "a", "memory": "64M", "volumes": ["data:/d"], "command": ["sh", "-c", "echo x > /d/y; exec sleep 1000"]}"#;
    let id = serving.ask("POST", "/v1/partitions", body).expect(201).text("/id");
    let used = serving.ask("GET", "/v1/volumes/data", "").expect(200);
    assert_eq!(
        (used.text("/is_used"), used.text("/partitions/0"), used.text("/labels/k")),
        ("true".into(), id, "v".into())
    );
    let refused = serving.ask("DELETE", "/v1/volumes/data", "").expect(409);
    assert!(refused.text("/cause").contains("a partition uses it"));
    serving.ask("DELETE", "/v1/partitions/a?force=true", "").expect(204);
    serving.ask("DELETE", "/v1/volumes/data", "").expect(204);
    serving.ask("GET", "/v1/volumes/data", "").expect(404);
    serving.ask("GET", "/v1/volumes/..%2F..", "").expect(404);
    assert!(!Path::new(&made.text("/path")).exists());
    // Who may only look makes and removes nothing.
    let token = host.ask(&["token", "create", "t", "--scope", "read"]);
    let header = format!("authorization: Bearer {token}");
    let ask = |method: &str, path: &str, body: &str| {
        let stream = std::net::TcpStream::connect(serving.tcp_address()).expect("it listens");
        serving.ask_by(stream, method, path, &[&header], body)
    };
    ask("GET", "/v1/volumes", "").expect(200);
    ask("GET", "/v1/images", "").expect(200);
    ask("POST", "/v1/volumes", r#"{"name": "data"}"#).expect(403);
    ask("DELETE", "/v1/images/x", "").expect(403);
    ask("POST", "/v1/operations/x/cancel", "").expect(403);
}
