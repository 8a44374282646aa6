//! `septum serve`: what clients of its API get, and what is left when somebody is killed, hangs up, or talks nonsense.

use std::fs;
use std::io::{Read as _, Write as _};
use std::time::{Duration, Instant};

use septum_tests::lane;
use septum_tests::{Host, Serving, needs_partitions};

/// True, and said, where a test would only be slower.
fn is_nested() -> bool {
    lane::skips_in_nested("the coordinator is the same on both lanes; the first test runs on both")
}

fn request(name: &str, script: &str) -> String {
    format!(r#"{{"name": "{name}", "memory": "64M", "command": ["sh", "-c", "{script}"]}}"#)
}

#[test]
fn a_partition_lives_through_the_api() {
    needs_partitions!();
    let host = Host::new();
    let serving = Serving::start(&host);
    let made = serving.ask("POST", "/v1/partitions", &request("web", "echo hi; sleep 1000")).expect(201);
    let (id, tag) = (made.text("/id"), made.header("etag").expect("an ETag").to_owned());
    assert_eq!((made.text("/state/is"), made.text("/desired")), ("running".into(), "running".into()));
    let same = serving.ask_with("GET", "/v1/partitions/web", &[&format!("if-none-match: {tag}")], "");
    same.expect(304);
    host.wait_for_log("web", "hi");
    let logs = serving.ask("GET", &format!("/v1/partitions/{}/logs", &id[..6]), "").expect(200);
    assert!(logs.body.contains(r#""text":"hi""#), "{logs:?}");
    serving.ask("POST", "/v1/partitions/web/pause", "").expect(200);
    assert!(host.ask(&["ps"]).contains("paused"));
    let stale = serving.ask_with("POST", "/v1/partitions/web/stop", &[&format!("if-match: {tag}")], "");
    assert_eq!(stale.expect(412).text("/code"), "changed");
    serving.ask("POST", "/v1/partitions/web/resume", "").expect(200);
    serving.ask("DELETE", "/v1/partitions/web", "").expect(409);
    let stopped = serving.ask("POST", "/v1/partitions/web/stop", r#"{"seconds": 20}"#).expect(200);
    assert_eq!(stopped.text("/state/status"), "143");
    assert_eq!(serving.ask("POST", "/v1/partitions/web/wait", "").expect(200).text("/state/status"), "143");
    let again = serving.ask("POST", "/v1/partitions/web/start", "").expect(200);
    assert_eq!((again.text("/id"), again.text("/state/is")), (id.clone(), "running".into()));
    host.wait_for_log("web", "hi\nhi");
    // Another's command is seen as well.
    host.ask(&["kill", "web"]);
    serving.wait_for("web", "exited");
    serving.ask("DELETE", "/v1/partitions/web", "").expect(204);
    serving.ask("GET", "/v1/partitions/web", "").expect(404);
    assert!(host.is_empty() && fs::read_dir(host.place.join("data/logs")).unwrap().next().is_none());
    let events = serving.ask("GET", "/v1/events?after=0&follow=false", "").expect(200).body;
    let kinds: Vec<&str> = events.lines().filter_map(|line| line.strip_prefix("event: ")).collect();
    let expected =
        ["created", "running", "paused", "resumed", "exited", "starting", "running", "exited", "removed"];
    assert_eq!(kinds, expected, "{events}");
}

#[test]
fn partitions_outlive_a_coordinator_that_is_killed() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let id =
        serving.ask("POST", "/v1/partitions", &request("a", "echo one; sleep 1000")).expect(201).text("/id");
    let second = host.septum(&["serve"]).run();
    second.expect_code(242).expect_stderr("another septum serve has the state");
    serving.kill();
    assert!(host.ask(&["ps"]).contains(&id), "it goes on");
    let ended = host.start(&["--name", "b"], &["true"]);
    let serving = Serving::start(&host);
    let list = serving.ask("GET", "/v1/partitions", "").expect(200).json();
    assert_eq!(list["items"][0]["id"], *id);
    assert_eq!(
        (&list["items"][0]["is_managed"], &list["items"][0]["state"]["is"]),
        (&true.into(), &"running".into())
    );
    assert_eq!((&list["items"][1]["id"], &list["items"][1]["is_managed"]), (&ended.into(), &false.into()));
    assert_eq!(serving.ask("POST", "/v1/partitions/b/start", "").status, 409, "how is not known");
    serving.ask("DELETE", "/v1/partitions/a?force=true", "").expect(204);
    serving.ask("DELETE", "/v1/partitions/b?force=true", "").expect(204);
    assert!(host.is_empty());
}

#[test]
fn a_start_that_is_cut_off_leaves_a_partition_or_nothing() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    std::thread::scope(|scope| {
        for delay_us in [0, 300, 1000, 2000, 3000, 4500, 7000] {
            scope.spawn(move || cut_off(delay_us));
        }
    });
}

fn cut_off(delay_us: u64) {
    let host = Host::new();
    let serving = Serving::start(&host);
    let body = request("half", "sleep 1000");
    let mut stream = serving.connect().expect("it listens");
    let head =
        "POST /v1/partitions HTTP/1.1\r\nhost: s\r\ncontent-type: application/json\r\nidempotency-key: k";
    write!(stream, "{head}\r\ncontent-length: {}\r\n\r\n{body}", body.len()).expect("it reads");
    std::thread::sleep(Duration::from_micros(delay_us));
    serving.kill();
    let serving = Serving::start(&host);
    // Whoever asks again gets the one partition that there is.
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let again = serving.ask_with("POST", "/v1/partitions", &["idempotency-key: k"], &body);
        if matches!(again.status, 200 | 201) {
            break;
        }
        assert!(Instant::now() < end, "{again:?}");
        std::thread::sleep(Duration::from_millis(100));
    }
    serving.wait_for("half", "running");
    assert_eq!(host.ask(&["ps", "-aq"]).lines().count(), 1, "after {delay_us} us");
}

#[test]
fn a_hundred_creates_at_once_and_clients_that_hang_up() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    std::thread::scope(|scope| {
        for number in 0..100 {
            let serving = &serving;
            scope.spawn(move || {
                let body = r#"{"command": ["true"], "memory": "32M"}"#;
                if number % 10 == 9 {
                    // One that goes in the middle.
                    let mut stream = serving.connect().unwrap();
                    let head = "POST /v1/partitions HTTP/1.1\r\nhost: s\r\ncontent-type: application/json";
                    let _ = write!(
                        stream,
                        "{head}\r\ncontent-length: {}\r\n\r\n{body}",
                        body.len() + number % 20 / 10
                    );
                } else {
                    // Five ask for the same one.
                    let key = format!("idempotency-key: {}", number / 5);
                    let answer = serving.ask_with("POST", "/v1/partitions", &[&key], body);
                    assert!(matches!(answer.status, 200 | 201), "{answer:?}");
                }
            });
        }
    });
    let end = Instant::now() + Duration::from_secs(60);
    while serving.ask("GET", "/v1/health", "").text("/live") != "0" {
        assert!(Instant::now() < end);
        std::thread::sleep(Duration::from_millis(20));
    }
    let list = serving.ask("GET", "/v1/partitions?limit=1000&state=exited", "").json();
    let count = list["items"].as_array().unwrap().len();
    // Twenty by their keys, and those of whom the whole request had come.
    assert!((20..=25).contains(&count), "{count}");
    for item in list["items"].as_array().unwrap() {
        serving.ask("DELETE", &format!("/v1/partitions/{}", item["id"].as_str().unwrap()), "").expect(204);
    }
    assert!(host.is_empty());
}

#[test]
fn pages_filters_and_what_is_only_made() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    for number in 0..5 {
        let body = format!(
            r#"{{"command": ["true"], "start": false, "name": "n{number}", "labels": {{"odd": "{}"}}}}"#,
            number % 2
        );
        assert_eq!(serving.ask("POST", "/v1/partitions", &body).expect(201).text("/state/is"), "created");
    }
    let names = |query: &str| -> Vec<String> {
        let list = serving.ask("GET", &format!("/v1/partitions?{query}"), "").expect(200).json();
        list["items"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap().to_owned()).collect()
    };
    assert_eq!(names("label=odd=1"), ["n1", "n3"]);
    assert_eq!(names("name=n4&state=created,running"), ["n4"]);
    assert!(names("state=running").is_empty());
    let first = serving.ask("GET", "/v1/partitions?limit=3", "").expect(200);
    assert_eq!(names(&format!("limit=3&cursor={}", first.text("/next"))), ["n3", "n4"]);
    for query in ["limit=0", "limit=1001", "limit=x", "cursor=x", "sort=name"] {
        let refused = serving.ask("GET", &format!("/v1/partitions?{query}"), "");
        assert!(matches!(refused.status, 400 | 422), "{query}: {refused:?}");
    }
    assert_eq!(
        serving.ask("POST", "/v1/partitions", &request("n0", "true")).expect(409).text("/code"),
        "conflict"
    );
    serving.ask("POST", "/v1/partitions/n0/start", "").expect(200);
    assert_eq!(serving.ask("POST", "/v1/partitions/n0/wait", "").expect(200).text("/state/status"), "0");
    serving.ask("POST", "/v1/partitions/n0/pause", "").expect(409);
}

#[test]
fn nonsense_is_answered_and_names_what_is_wrong() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let bodies = [
        ("{", 400, "line 1 column 1"),
        (r#"{"command": ["true"], "memry": "1G"}"#, 422, "memry"),
        (r#"{"command": [1]}"#, 422, "command[0]"),
        (r#"{"command": ["true"], "memory": "lots"}"#, 422, "'lots' is not a size"),
        (r#"{"command": ["true"], "name": "../../x"}"#, 422, "may hold letters"),
        (r#"{"command": []}"#, 422, ""),
        (r#"{"command": ["true"], "network": {"expose": [70000]}}"#, 422, "network.expose[0]"),
        ("null", 422, ""),
        (r#"{"command": ["no-such-program"]}"#, 422, "no such program"),
        (r#"{"command": ["true"]} x"#, 400, "trailing"),
    ];
    for (body, status, cause) in bodies {
        let answer = serving.ask("POST", "/v1/partitions", body);
        assert!(answer.text("/cause").contains(cause), "{body}: {answer:?}");
        for field in ["/code", "/message", "/remediation", "/docs"] {
            assert!(!answer.text(field).is_empty());
        }
        answer.expect(status);
    }
    let long = format!(r#"{{"command": ["{}"]}}"#, "x".repeat(2 << 20));
    serving.ask("POST", "/v1/partitions", &long).expect(413);
    serving.ask("PUT", "/v1/partitions", "").expect(405).text("/code");
    serving.ask("GET", "/v2", "").expect(404).text("/code");
    serving.ask("POST", "/v1/partitions/x/kill", r#"{"signal": "NONE"}"#).expect(422);
    for nonsense in [
        &b"\0\0\0"[..],
        b"GET\r\n\r\n",
        b"POST /v1/partitions HTTP/1.1\r\ncontent-length: 99999999999999999999\r\n\r\n",
    ] {
        let mut stream = serving.connect().unwrap();
        stream.write_all(nonsense).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    assert_eq!(serving.ask("GET", "/v1/health", "").expect(200).text("/partitions"), "0");
    assert!(host.is_empty());
}

#[test]
fn a_damaged_database_is_kept_aside_and_what_runs_is_found() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let id = serving.ask("POST", "/v1/partitions", &request("a", "sleep 1000")).expect(201).text("/id");
    serving.kill();
    let folder = host.place.join("data/coordinator");
    fs::write(folder.join("state.db"), vec![0x5a; 40_000]).unwrap();
    // The last changes are in there, whole.
    fs::remove_file(folder.join("state.db-wal")).unwrap();
    let serving = Serving::start(&host);
    assert_eq!(serving.ask("GET", "/v1/partitions/a", "").expect(200).text("/id"), id);
    let aside = fs::read_dir(&folder).unwrap().flatten();
    let aside: Vec<_> = aside.filter(|it| it.file_name().to_string_lossy().contains(".damaged-")).collect();
    assert!(!aside.is_empty());
    serving.ask("POST", "/v1/partitions/a/kill", "").expect(200);
    serving.ask("DELETE", "/v1/partitions/a", "").expect(204);
}

/// Makes a token; returns what its bearer sends.
fn token(host: &Host, scope: &str) -> String {
    format!("authorization: Bearer {}", host.ask(&["token", "create", "tester", "--scope", scope]))
}

#[test]
fn who_comes_by_tcp_needs_a_token_with_the_scope() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    for options in [&["--listen", "127.0.0.1:0"][..], &["--listen", "0.0.0.0:0", "--plain-tcp"]] {
        host.septum(&[&["serve"], options].concat())
            .run()
            .expect_code(242)
            .expect_stderr("cannot serve by TCP");
    }
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    let address = serving.tcp_address();
    let ask = |method: &str, path: &str, header: &str, body: &str| {
        serving.ask_by(
            std::net::TcpStream::connect(address).expect("it listens"),
            method,
            path,
            &[header],
            body,
        )
    };
    ask("GET", "/v1/partitions", "x: y", "").expect(401);
    ask("GET", "/v1/openapi.json", "x: y", "").expect(401);
    for wrong in
        ["Bearer", "Bearer septum_", "Basic x", "Bearer septum_0000000000000000000000000000000000000000"]
    {
        ask("GET", "/v1/health", &format!("authorization: {wrong}"), "").expect(401);
    }
    let (read, write) = (token(&host, "read"), token(&host, "write"));
    ask("GET", "/v1/partitions", &read, "").expect(200);
    let body = r#"{"command": ["true"], "start": false, "name": "x"}"#;
    assert_eq!(ask("POST", "/v1/partitions", &read, body).expect(403).text("/code"), "forbidden");
    ask("POST", "/v1/partitions", &write, body).expect(201);
    ask("GET", "/v1/tokens", &write, "").expect(403);
    ask("GET", "/v1/tokens", &token(&host, "admin"), "").expect(200);
    // Nothing of a token is to be found in the state.
    let secret = read.rsplit('_').next().expect("a secret").as_bytes();
    for entry in fs::read_dir(host.place.join("data/coordinator")).unwrap().flatten() {
        let bytes = fs::read(entry.path()).unwrap();
        assert!(!bytes.windows(secret.len()).any(|window| window == secret), "{entry:?}");
    }
    let list = serving.ask("GET", "/v1/tokens", "").expect(200).json();
    host.ask(&["token", "revoke", list["items"][0]["id"].as_str().unwrap()]);
    ask("GET", "/v1/partitions", &read, "").expect(401);
    let short =
        serving.ask("POST", "/v1/tokens", r#"{"name": "s", "scope": "read", "seconds": 0}"#).expect(201);
    ask("GET", "/v1/health", &format!("authorization: Bearer {}", short.text("/secret")), "").expect(401);
    let events = host.ask(&["events", "--after", "0", "--no-follow"]);
    assert!(events.contains("x created"), "{events}");
}

#[test]
fn tls_is_spoken_with_the_certificate_that_is_given() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let (certificate, key) = (lane::data("tls/certificate.pem"), lane::data("tls/key.pem"));
    let (certificate, key) = (certificate.to_str().unwrap(), key.to_str().unwrap());
    let wrong = ["serve", "--listen", "127.0.0.1:0", "--tls-cert", key, "--tls-key", certificate];
    host.septum(&wrong).run().expect_code(242).expect_stderr("cannot be used");
    let options = ["--listen", "127.0.0.1:0", "--tls-cert", certificate, "--tls-key", key];
    let serving = Serving::start_with(&host, &options);
    let script = "import http.client, ssl, sys
certificate, port, token = sys.argv[1:]
client = http.client.HTTPSConnection('localhost', int(port), context=ssl.create_default_context(cafile=certificate))
client.request('GET', '/v1/health', headers={'Authorization': token})
answer = client.getresponse()
print(answer.status, client.sock.version() if client.sock else '')";
    let address = serving.tcp_address();
    let token = token(&host, "read");
    let mut plain = std::net::TcpStream::connect(address).unwrap();
    let _ = plain.write_all(b"GET /v1/health HTTP/1.1\r\nhost: x\r\n\r\n");
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP"), "it speaks without TLS");
    let Some(python) = lane::host_tool("python3") else { return lane::skip("there is no python3") };
    let port = address.port().to_string();
    let header = token.trim_start_matches("authorization: ");
    let output =
        septum_tests::Invocation::new(python).arguments(["-c", script, certificate, &port, header]).run();
    assert!(output.stdout_text().starts_with("200"), "{}{}", output.stdout_text(), output.stderr_text());
}

#[test]
fn a_full_disk_refuses_changes_and_leaves_nothing() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let data = host.place.join("data");
    if rustix::mount::mount("tmpfs", &data, "tmpfs", rustix::mount::MountFlags::empty(), Some(c"size=1m"))
        .is_err()
    {
        return lane::skip("this user may not mount a small file system");
    }
    let _mounted = Mounted(data.clone());
    let serving = Serving::start(&host);
    serving.ask("POST", "/v1/partitions", &request("before", "sleep 1000")).expect(201);
    let fill = fs::File::create(data.join("fill")).unwrap();
    while (&fill).write_all(&[0; 512]).is_ok() {}
    let mut refusals = 0;
    for number in 0..200 {
        let body = format!(r#"{{"command": ["true"], "start": false, "name": "n{number}"}}"#);
        let answer = serving.ask("POST", "/v1/partitions", &body);
        if answer.status != 201 {
            refusals += 1;
            assert_eq!(answer.expect(507).text("/code"), "storage_full");
            serving.ask("GET", &format!("/v1/partitions/n{number}"), "").expect(404);
        }
        if refusals == 3 {
            break;
        }
    }
    assert_eq!(refusals, 3);
    // What happens is known all the same.
    host.ask(&["kill", "before"]);
    serving.wait_for("before", "exited");
    drop(fill);
    fs::remove_file(data.join("fill")).unwrap();
    serving
        .ask("POST", "/v1/partitions", r#"{"command": ["true"], "start": false, "name": "after"}"#)
        .expect(201);
    let known = serving.ask("GET", "/v1/health", "").text("/partitions");
    serving.kill();
    let serving = Serving::start(&host);
    assert_eq!(serving.ask("GET", "/v1/health", "").text("/partitions"), known);
    serving.wait_for("before", "exited");
    serving.ask("DELETE", "/v1/partitions/before", "").expect(204);
}

/// A file system that goes with the test.
struct Mounted(std::path::PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = rustix::mount::unmount(&self.0, rustix::mount::UnmountFlags::DETACH);
    }
}
