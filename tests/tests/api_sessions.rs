//! Programs in partitions whose streams are a client's of the API: what is said over a WebSocket, and what becomes of those who do not keep to it.

use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use septum_tests::lane;
use septum_tests::websocket::{Heard, Message, WebSocket};
use septum_tests::{Host, Serving, needs_partitions};

/// Bytes of a client that may be under way (`septum_api_types::v1::session`).
const WINDOW: usize = 256 << 10;

/// True, and said, where a test would only be slower.
fn is_nested() -> bool {
    lane::skips_in_nested("the coordinator is the same on both lanes; the first test runs on both")
}

/// A partition whose first program does nothing.
fn idle(serving: &Serving<'_>, name: &str) {
    let body = format!(r#"{{"name": "{name}", "memory": "256M", "command": ["sleep", "100000"]}}"#);
    serving.ask("POST", "/v1/partitions", &body).expect(201);
}

fn connect(serving: &Serving<'_>, path: &str) -> WebSocket<UnixStream> {
    let opened = WebSocket::open(serving.connect().expect("it listens"), path, &[]);
    opened.unwrap_or_else(|refused| panic!("{path}: {refused:?}"))
}

/// Runs a shell in partition `p`; more fields of the request may follow its command.
fn shell(serving: &Serving<'_>, script: &str, more: &str) -> WebSocket<UnixStream> {
    let mut socket = connect(serving, "/v1/partitions/p/exec");
    socket.say(&request(script, more));
    socket
}

fn request(script: &str, more: &str) -> String {
    let script = serde_json::Value::from(script);
    format!(r#"{{"command": ["sh", "-c", {script}]{more}}}"#)
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

fn has(text: &'static str) -> impl Fn(&Heard) -> bool {
    move |heard| heard.text().contains(text)
}

/// Waits until so many processes of partition `p` are these.
#[track_caller]
fn wait_for_count(host: &Host, command: &str, wanted: usize) {
    let end = Instant::now() + Duration::from_secs(60);
    loop {
        let all = host.ask(&["exec", "p", "ps", "-eo", "args"]);
        if all.lines().filter(|line| line.starts_with(command)).count() == wanted {
            return;
        }
        assert!(Instant::now() < end, "not {wanted} times '{command}': {all}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Waits until no process of partition `p` has a word in its command line.
#[track_caller]
fn wait_until_gone(host: &Host, word: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while host.ask(&["exec", "p", "ps", "-ef"]).contains(word) {
        assert!(Instant::now() < end, "{word} still runs");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// Memory of a process, in kB.
fn resident(serving: &Serving<'_>) -> u64 {
    let path = format!("/proc/{}/status", serving.pid().as_raw_nonzero());
    let status = std::fs::read_to_string(path).expect("it runs");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("a line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

#[test]
fn streams_statuses_and_surroundings_are_the_programs() {
    needs_partitions!();
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&serving, "p");
    let heard = shell(&serving, "echo out; echo err >&2; exit 7", "").hear();
    assert_eq!((heard.expect(7).text().as_str(), &heard.errors[..]), ("out\n", &b"err\n"[..]));
    let more = r#", "env": ["A=1 2"], "workdir": "/tmp", "user": "1234""#;
    let heard = shell(&serving, "echo \"$A|$(pwd)|$(id -u)\"; kill -TERM $$", more).hear();
    assert_eq!(heard.expect(143).text(), "1 2|/tmp|1234\n");
    // Without `interactive` there is no input.
    assert_eq!(shell(&serving, "cat; echo over", "").hear().expect(0).text(), "over\n");
    let mut cat = shell(&serving, "cat; echo over", r#", "interactive": true"#);
    cat.input(b"one ");
    cat.hear_until(has("one "));
    cat.input(b"two ");
    cat.say(r#"{"is": "close_input"}"#);
    assert_eq!(cat.hear().expect(0).text(), "two over\n");
    let mut terminal = shell(
        &serving,
        "stty size; read line; stty size; exit 3",
        r#", "interactive": true, "tty": {"rows": 30, "columns": 100}"#,
    );
    terminal.hear_until(has("30 100"));
    terminal.say(r#"{"is": "resize", "rows": 31, "columns": 101}"#);
    terminal.input(b"x\r");
    assert!(terminal.hear().expect(3).text().contains("31 101"));
    let mut none = connect(&serving, "/v1/partitions/p/exec");
    none.say(r#"{"command": ["/no/where"]}"#);
    let heard = none.hear();
    assert_eq!((heard.last["is"].as_str(), heard.last["status"].as_u64()), (Some("failed"), Some(127)));
    assert!(heard.last["message"].as_str().unwrap().contains("'/no/where'"), "{heard:?}");
    // The partition's end is theirs.
    let mut last = shell(&serving, "echo ready; sleep 1000", "");
    last.hear_until(has("ready"));
    host.ask(&["kill", "p"]);
    assert_eq!(last.hear().last["status"].as_u64(), Some(137));
    let gone = WebSocket::open(serving.connect().unwrap(), "/v1/partitions/p/exec", &[]);
    assert_eq!(gone.expect_err("it has ended").0, 409);
    let nobody = WebSocket::open(serving.connect().unwrap(), "/v1/partitions/q/exec", &[]);
    assert_eq!(nobody.expect_err("there is none").0, 404);
}

#[test]
fn any_bytes_go_both_ways_at_the_readers_pace() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&serving, "p");
    let bytes = noise(5_000_000);
    let mut cat = shell(&serving, "cat", r#", "interactive": true"#);
    let mut writer = WebSocket::over(cat.stream().try_clone().unwrap());
    let heard = std::thread::scope(|scope| {
        scope.spawn(|| {
            bytes.chunks(50_000).for_each(|piece| assert!(writer.input(piece)));
            writer.say(r#"{"is": "close_input"}"#);
        });
        cat.hear()
    });
    assert!(heard.expect(0).output == bytes, "{} of {} bytes", heard.output.len(), bytes.len());
    // One that does not read makes the program wait, and nothing is kept for it meanwhile.
    let before = resident(&serving);
    let mut slow = shell(&serving, "head -c 30000000 /dev/zero; echo over >&2", "");
    // One that writes more than the program reads waits itself.
    let mut eager = shell(&serving, "echo ready; sleep 1000", r#", "interactive": true"#);
    eager.hear_until(has("ready"));
    eager.stream().set_write_timeout(Some(Duration::from_secs(1))).unwrap();
    let mut sent = 0;
    while sent < 30_000_000 && eager.input(&[0; 60_000]) {
        sent += 60_000;
    }
    assert!(sent < 3_000_000, "{sent} bytes went somewhere");
    let grown = resident(&serving).saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} kB for two that do not read");
    for _ in 0..3 {
        assert_eq!(shell(&serving, "echo quick", "").hear().expect(0).text(), "quick\n");
    }
    let heard = slow.hear();
    assert_eq!((heard.expect(0).output.len(), &heard.errors[..]), (30_000_000, &b"over\n"[..]));
}

#[test]
fn signals_come_whatever_the_program_does_with_its_input() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&serving, "p");
    let script = "trap 'echo got; exit 3' USR1; echo ready; while :; do sleep 0.05; done";
    let mut trap = shell(&serving, script, "");
    trap.hear_until(has("ready"));
    trap.say(r#"{"is": "signal", "signal": "USR1"}"#);
    assert_eq!(trap.hear().expect(3).text(), "got\n");
    for (signal, status) in [("SIGINT", 130), ("9", 137), ("TERM", 143)] {
        let mut deaf = shell(&serving, "echo ready; exec sleep 1000", r#", "interactive": true"#);
        deaf.hear_until(has("ready"));
        // All that may be under way is.
        for _ in 0..WINDOW / 32768 {
            assert!(deaf.input(&[0; 32768]));
        }
        deaf.say(&format!(r#"{{"is": "signal", "signal": "{signal}"}}"#));
        deaf.hear().expect(status);
    }
    // It reaches nobody else.
    host.ask(&["exec", "p", "true"]);
    // What a terminal sends as a key is a signal there.
    let tty = r#", "interactive": true, "tty": {"rows": 24, "columns": 80}"#;
    // A shell that forks at that moment may miss it (roadmap).
    let mut terminal = shell(&serving, "echo ready; exec sleep 1000", tty);
    terminal.hear_until(has("ready"));
    terminal.input(b"\x03");
    terminal.hear().expect(130);
}

#[test]
fn who_goes_away_hangs_up() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&serving, "p");
    let script = "echo ready; sleep 7654321 & sleep 7654321";
    for way in ["cut", "closed", "full"] {
        let mut socket = shell(&serving, script, r#", "interactive": true"#);
        socket.hear_until(has("ready"));
        wait_for_count(&host, "sleep 7654321", 2);
        match way {
            "closed" => assert!(socket.send(8, &1000_u16.to_be_bytes())),
            "full" => (0..WINDOW / 32768).for_each(|_| assert!(socket.input(&[0; 32768]))),
            _ => {}
        }
        drop(socket);
        wait_until_gone(&host, "7654321");
    }
    // One in the middle of reading.
    let mut socket = shell(&serving, "yes 7654321", "");
    socket.hear_until(has("7654321"));
    drop(socket);
    wait_until_gone(&host, "7654321");
    // With the coordinator all of them go, as with each client.
    let mut socket = shell(&serving, script, "");
    socket.hear_until(has("ready"));
    wait_for_count(&host, "sleep 7654321", 2);
    serving.kill();
    assert_eq!(socket.hear().code, 0);
    wait_until_gone(&host, "7654321");
}

#[test]
fn the_last_word_arrives_though_input_still_comes() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    idle(&serving, "p");
    let token = host.ask(&["token", "create", "t", "--scope", "write"]);
    let header = format!("authorization: Bearer {token}");
    for _ in 0..20 {
        let stream = TcpStream::connect(serving.tcp_address()).unwrap();
        let mut writer = WebSocket::over(stream.try_clone().unwrap());
        let mut socket = WebSocket::open(stream, "/v1/partitions/p/exec", &[&header]).expect("it is allowed");
        socket.say(&request("head -c 1 | wc -c; exit 5", r#", "interactive": true"#));
        std::thread::scope(|scope| {
            // Until the other side does not read any more.
            scope.spawn(|| (0..2000).all(|_| writer.input(&[0; 5000])));
            let heard = socket.hear();
            assert_eq!(heard.expect(5).text(), "1\n");
            let _ = socket.stream().shutdown(std::net::Shutdown::Both);
        });
    }
}

#[test]
fn scopes_and_nonsense() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    idle(&serving, "p");
    let token = |scope: &str| {
        format!("authorization: Bearer {}", host.ask(&["token", "create", "t", "--scope", scope]))
    };
    let (read, write) = (token("read"), token("write"));
    let by_tcp = |path: &str, header: &str| {
        WebSocket::open(TcpStream::connect(serving.tcp_address()).unwrap(), path, &[header])
    };
    for path in ["/v1/partitions/p/exec", "/v1/partitions/p/attach"] {
        assert_eq!(by_tcp(path, "x: y").expect_err("nobody").0, 401);
        let (status, body) = by_tcp(path, &read).expect_err("who looks");
        assert!(status == 403 && body.contains("it needs a token of scope write"), "{status} {body}");
        assert!(by_tcp(path, &write).is_ok());
        // Without the headers of an upgrade.
        assert_eq!(serving.ask("GET", path, "").expect(400).text("/code"), "malformed");
    }
    let tcp = || TcpStream::connect(serving.tcp_address()).unwrap();
    let body = r#"{"command": ["true"]}"#;
    serving.ask_by(tcp(), "POST", "/v1/partitions/p/exec", &[&read], body).expect(403);
    serving.ask_by(tcp(), "POST", "/v1/partitions/p/exec", &[&write], body).expect(202);
    for (first, cause) in [
        ("{", "line 1"),
        (r#"{"command": []}"#, "field 'command'"),
        (r#"{"command": ["a\u0000b"]}"#, "NUL"),
        (r#"{"command": ["true"], "tty": {"rows": -1, "columns": 1}}"#, "tty.rows"),
        (r#"{"command": ["true"], "comand": 1}"#, "comand"),
    ] {
        let mut socket = connect(&serving, "/v1/partitions/p/exec");
        socket.say(first);
        let heard = socket.hear();
        assert_eq!((heard.last["is"].as_str(), heard.code), (Some("refused"), 1008), "{heard:?}");
        assert!(heard.last["cause"].as_str().unwrap().contains(cause), "{heard:?}");
        serving.ask("POST", "/v1/partitions/p/exec", first);
    }
    let long = format!(r#"{{"command": ["echo", "{}"]}}"#, "x".repeat(200_000));
    let mut socket = connect(&serving, "/v1/partitions/p/exec");
    socket.say(&long);
    assert!(socket.hear().last["cause"].as_str().unwrap().contains("too long"));
    // In the middle: it is told, and the program is hung up on.
    for (opcode, nonsense) in [
        (1, &b"{}"[..]),
        (1, br#"{"is": "signal", "signal": "NONE"}"#),
        (1, br#"{"is": "ended", "status": 1}"#),
        (2, b""),
        (2, b"\x01x"),
    ] {
        let mut socket = shell(&serving, "echo ready; exec sleep 7654321", "");
        socket.hear_until(has("ready"));
        socket.send(opcode, nonsense);
        let heard = socket.hear();
        assert_eq!((heard.last["is"].as_str(), heard.code), (Some("refused"), 1008), "{heard:?}");
    }
    // What is no message at all ends the connection.
    for (opcode, payload) in [(3, &b"x"[..]), (1, b"\xff"), (2, &vec![0; 2 << 20])] {
        let mut socket = shell(&serving, "echo ready; exec sleep 7654321", "");
        socket.hear_until(has("ready"));
        socket.send(opcode, payload);
        while socket.message().is_some_and(|message| !matches!(message, Message::Close(_))) {}
    }
    wait_until_gone(&host, "7654321");
    assert_eq!(shell(&serving, "echo well", "").hear().expect(0).text(), "well\n");
}

#[test]
fn several_are_attached_and_one_leaves() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let script = "while read line; do echo got $line; done; echo over";
    let body = format!(
        r#"{{"name": "p", "memory": "64M", "interactive": true, "command": ["sh", "-c", "{script}"]}}"#
    );
    serving.ask("POST", "/v1/partitions", &body).expect(201);
    let [mut one, mut two] = [0; 2].map(|_| connect(&serving, "/v1/partitions/p/attach"));
    // Whoever is attached by then hears it.
    let end = Instant::now() + Duration::from_secs(60);
    for socket in [&mut one, &mut two] {
        socket.input(b"first\n");
        socket.hear_until(has("got first\n"));
        assert!(Instant::now() < end);
    }
    drop(two);
    one.input(b"second\n");
    one.hear_until(has("got second\n"));
    one.say(r#"{"is": "signal", "signal": "KILL"}"#);
    one.hear().expect(137);
    serving.wait_for("p", "exited");
}

#[test]
fn sixty_at_once() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&serving, "p");
    std::thread::scope(|scope| {
        for number in 0..60_u8 {
            let serving = &serving;
            scope.spawn(move || {
                let script = format!("cat; echo {number}; exit {number}");
                let mut socket = shell(serving, &script, r#", "interactive": true"#);
                socket.input(&[b'x'; 100_000]);
                socket.say(r#"{"is": "close_input"}"#);
                let heard = socket.hear();
                assert_eq!(heard.expect(number).output.len(), 100_000 + number.to_string().len() + 1);
            });
        }
    });
    let processes = host.ask(&["exec", "p", "sh", "-c", "ls -d /proc/[0-9]* | wc -l"]);
    assert!(processes.parse::<u32>().is_ok_and(|count| count <= 5), "{processes}");
}
