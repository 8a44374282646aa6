//! Ordinary commands at a coordinator: `septum --host`, the environment, contexts. The same words, the same output.

use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use septum_tests::lane;
use septum_tests::{Host, Input, Invocation, Serving, Sink, exit, needs_partitions};

/// True, and said, where a test would only be slower.
fn is_nested() -> bool {
    lane::skips_in_nested("the coordinator is the same on both lanes; the first test runs on both")
}

/// Another machine, as far as this can be: nothing of the coordinator's folders is known there, only its socket.
struct Away {
    host: Host,
    address: String,
}

impl Away {
    fn from(serving: &Serving<'_>) -> Self {
        Self { host: Host::new(), address: format!("unix:{}", serving.socket().display()) }
    }

    fn septum(&self, arguments: &[&str]) -> Invocation {
        self.host.septum(&[&["--host", &self.address], arguments].concat())
    }

    #[track_caller]
    fn ask(&self, arguments: &[&str]) -> String {
        let output = self.septum(arguments).run();
        output.expect_code(0);
        output.stdout_text().trim_end().to_owned()
    }
}

fn idle(host: &Host, name: &str) {
    host.ask(&["run", "-d", "--memory", "256M", "--name", name, "--", "sleep", "100000"]);
}

/// A table without what time makes of it: how long ago something was.
fn timeless(text: &str) -> String {
    let words = |line: &str| {
        let words = line.split_whitespace().filter(|word| !word.bytes().all(|byte| byte.is_ascii_digit()));
        words.collect::<Vec<_>>().join(" ").replace("seconds", "second")
    };
    text.lines().map(|line| words(line) + "\n").collect()
}

#[test]
fn partitions_are_listed_looked_at_and_entered() {
    needs_partitions!();
    let host = Host::new();
    let serving = Serving::start(&host);
    let away = Away::from(&serving);
    idle(&host, "p");
    let log = "for i in 1 2 3; do echo out $i; done; echo err >&2; printf half";
    host.ask(&["run", "-d", "--memory", "64M", "--name", "said", "--", "sh", "-c", log]);
    host.ask(&["wait", "said"]);
    for words in [&["ps"][..], &["ps", "-a"], &["ps", "-aq"]] {
        assert_eq!(timeless(&away.ask(words)), timeless(&host.ask(words)), "{words:?}");
    }
    let here: serde_json::Value = serde_json::from_str(&host.ask(&["inspect", "p"])).unwrap();
    let there: serde_json::Value = serde_json::from_str(&away.ask(&["inspect", "p"])).unwrap();
    for field in ["id", "name", "state", "created_ms", "started_ms", "memory_bytes", "cpus", "labels"] {
        assert_eq!(here[0][field], there[0][field], "{field}");
    }
    for words in [
        &["logs", "said"][..],
        &["logs", "-t", "said"],
        &["logs", "-n", "2", "said"],
        &["logs", "-n", "0", "said"],
        &["logs", "-n", "all", "said"],
        &["logs", "-ft", "said"],
        &["logs", "--since", "1h", "said"],
        &["logs", "--since", "2100-01-01T00:00:00Z", "said"],
        &["stats", "said"],
        &["logs", "nobody"],
        &["exec", "nobody", "true"],
        &["inspect", "nobody"],
        &["exec", "p", "/no/where"],
        &["exec", "p", "sh", "-c", "echo out; echo err >&2; exit 7"],
        &["exec", "p", "sh", "-c", "kill -TERM $$"],
        &[
            "exec",
            "-e",
            "A=1 2",
            "-e",
            "PATH",
            "-w",
            "/tmp",
            "-u",
            "12",
            "p",
            "sh",
            "-c",
            "echo $A; pwd; id -u; echo $PATH",
        ],
        &["exec", "p", "cat"],
        &["exec", "-it", "p", "cat"],
    ] {
        let (here, there) = (host.septum(words).run(), away.septum(words).run());
        assert_eq!(
            (there.code(), there.stdout_text()),
            (here.code(), here.stdout_text()),
            "{words:?}: {there:?} {here:?}"
        );
        // Errors are told by others; what programs say is the same.
        if here.code() < exit::USAGE {
            assert_eq!(there.stderr_text(), here.stderr_text(), "{words:?}");
        } else {
            assert!(there.stderr_text().contains("\nhint: "), "{words:?}: {there:?}");
        }
    }
    let sums = away.septum(&["exec", "-i", "p", "sha256sum"]).stdin(Input::Bytes(vec![7; 3_000_000])).run();
    let own = Invocation::new("sha256sum").stdin(Input::Bytes(vec![7; 3_000_000])).run();
    sums.expect_code(0).expect_stdout(&own.stdout_text());
    away.ask(&["exec", "-d", "p", "sh", "-c", "echo there > /tmp/file"]);
    let end = Instant::now() + Duration::from_secs(30);
    while away.septum(&["exec", "p", "cat", "/tmp/file"]).run().stdout_text() != "there\n" {
        assert!(Instant::now() < end);
    }
}

#[test]
fn orders_are_obeyed_and_refused_as_on_this_host() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let away = Away::from(&serving);
    let body = r#"{"name": "m", "memory": "64M", "command": ["sleep", "100000"]}"#;
    serving.ask("POST", "/v1/partitions", body).expect(201);
    idle(&host, "p");
    assert_eq!(away.ask(&["pause", "p", "m"]), "p\nm");
    serving.wait_for("p", "paused");
    assert_eq!(away.ask(&["resume", "p", "m"]), "p\nm");
    // The first that fails makes the status; the others are done all the same.
    let some = away.septum(&["stop", "-t", "0", "nobody", "m", "m"]).run();
    some.expect_code(exit::USAGE).expect_stdout("m\nm\n").expect_stderr("'septum ps -a' lists all");
    assert_eq!(away.ask(&["wait", "m"]), "137");
    assert_eq!(away.ask(&["start", "m"]), "m");
    serving.wait_for("m", "running");
    away.septum(&["start", "m"]).run().expect_code(exit::USAGE).expect_stderr("it is running already");
    away.septum(&["start", "p"]).run().expect_code(exit::USAGE);
    away.septum(&["rm", "m"]).run().expect_code(exit::USAGE).expect_stderr("end it with --force");
    assert_eq!(away.ask(&["rm", "-f", "m"]), "m");
    host.septum(&["inspect", "m"]).run().expect_code(exit::USAGE);
    let waiting = away.septum(&["wait", "p"]).spawn();
    assert_eq!(away.ask(&["kill", "-s", "USR1", "p"]), "p");
    waiting.wait().expect_code(0).expect_stdout("138\n");
    assert_eq!(away.ask(&["kill", "p"]), "p");
    assert_eq!(away.ask(&["rm", "p"]), "p");
    assert!(away.ask(&["ps", "-aq"]).is_empty());
    let events = away.ask(&["events", "--after", "0", "--no-follow"]);
    assert!(events.contains("removed"), "{events}");
}

#[test]
fn streams_end_where_somebody_goes() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let away = Away::from(&serving);
    idle(&host, "p");
    // Who does not read any more.
    let endless = away.septum(&["exec", "p", "yes"]).stdout(Sink::CloseAfter(1000)).run();
    assert_eq!(endless.code(), 141, "{}", endless.stderr_text());
    // Who is gone.
    for signal in [Signal::INT, Signal::KILL] {
        let running = away.septum(&["exec", "-i", "p", "sh", "-c", "echo ready; sleep 7654321"]);
        let running = running.stdin(Input::Held).spawn();
        running.wait_for_stdout("ready\n");
        running.signal(signal);
        assert_eq!(running.wait().code(), 128 + signal.as_raw());
        let end = Instant::now() + Duration::from_secs(60);
        while host.ask(&["exec", "p", "ps", "-ef"]).contains("7654321") {
            assert!(Instant::now() < end, "it goes on");
        }
    }
    // Attached: what is typed is the program's, what it writes is seen, its end is this one's.
    let body = r#"{"name": "a", "memory": "64M", "interactive": true, "command": ["sh", "-c", "while read l; do echo got $l; done; exit 5"]}"#;
    serving.ask("POST", "/v1/partitions", body).expect(201);
    let mut attached = away.septum(&["attach", "a"]).stdin(Input::Held).spawn();
    let looking = away.septum(&["attach", "--no-stdin", "a"]).spawn();
    let followed = away.septum(&["logs", "-f", "a"]).spawn();
    for word in ["one", "two"] {
        attached.write(format!("{word}\n").as_bytes());
        attached.wait_for_stdout(&format!("got {word}\n"));
        followed.wait_for_stdout(&format!("got {word}\n"));
    }
    attached.write(b"\x10\x11");
    attached.wait().expect_code(0).expect_stderr("detached");
    host.ask(&["kill", "a"]);
    looking.wait().expect_code(137);
    followed.wait().expect_code(0).expect_stdout("got one\ngot two\n");
    // The coordinator is gone.
    let lost = away.septum(&["exec", "p", "sh", "-c", "echo ready; sleep 7654321"]).spawn();
    lost.wait_for_stdout("ready\n");
    serving.kill();
    lost.wait().expect_code(exit::HOST).expect_stderr("hint: see whether it runs");
    away.septum(&["ps"]).run().expect_code(exit::HOST).expect_stderr("hint: start it: septum serve");
}

#[test]
fn files_are_copied_as_on_this_host() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let away = Away::from(&serving);
    idle(&host, "p");
    let bytes: Vec<u8> =
        (0..5_000_000_u32).map(|number| number.to_le_bytes()[usize::from(number % 3 == 0)]).collect();
    away.host.place.file("model/weights", &bytes);
    away.host.place.executable("model/bin/tool", "#!/bin/sh\necho tool\n");
    std::os::unix::fs::symlink("bin/tool", away.host.place.join("model/link")).unwrap();
    away.ask(&["exec", "p", "mkdir", "-p", "/srv"]);
    away.ask(&["cp", "model", "p:/srv"]);
    assert_eq!(
        away.ask(&["exec", "p", "sh", "-c", "/srv/model/link; wc -c < /srv/model/weights"]),
        "tool\n5000000"
    );
    away.ask(&["cp", "p:srv/model", "back"]);
    assert!(std::fs::read(away.host.place.join("back/weights")).unwrap() == bytes);
    assert_eq!(std::fs::read_link(away.host.place.join("back/link")).unwrap().to_str(), Some("bin/tool"));
    away.ask(&["cp", "model/bin/tool", "p:/srv/other"]);
    away.ask(&["cp", "p:/srv/other", "."]);
    assert!(away.host.place.join("other").exists());
    for words in [
        &["cp", "p:/srv/none", "."][..],
        &["cp", "none", "p:/srv"],
        &["cp", "model", "p:/no/where/x"],
        &["cp", "nobody:/x", "."],
        &["cp", "model", "nobody:/x"],
        &["cp", "p:/srv/model", "back/none/x"],
        &["cp", "p:/srv/model", "."],
        &["cp", "p:/", "."],
        &["cp", "a", "b"],
        &["cp", "model", "p:/proc"],
    ] {
        let output = away.septum(words).run();
        assert!(output.code() >= exit::USAGE, "{words:?}: {output:?}");
        output.expect_stderr("hint: ");
    }
    // What a partition sends is not trusted: here its tar is not one.
    let liar = "cat > /usr/bin/tar.new <<'END'\n#!/bin/sh\ncd /tmp && mkdir -p d/e && echo bad > evil && cd d/e && exec /usr/bin/tar.old -c -P -f - ../../evil\nEND\n\
                cp /usr/bin/tar /usr/bin/tar.old && chmod 755 /usr/bin/tar.new && mv /usr/bin/tar.new /usr/bin/tar";
    away.ask(&["exec", "p", "sh", "-c", liar]);
    let lied = away.septum(&["cp", "p:/srv/model", "again"]).run();
    lied.expect_code(exit::PATH).expect_stderr("does not belong to what is copied");
    assert!(!away.host.place.join("again").exists() && !away.host.place.join("../evil").exists());
    let left = std::fs::read_dir(away.host.place.path()).unwrap().flatten();
    let left: Vec<_> =
        left.filter(|entry| entry.file_name().to_string_lossy().starts_with(".septum")).collect();
    assert!(left.is_empty(), "{left:?}");
}

#[test]
fn by_tcp_a_token_says_who_asks() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    idle(&host, "p");
    let address = format!("http://{}", serving.tcp_address());
    let away = Away { host: Host::new(), address: address.clone() };
    let token = |scope: &str| host.ask(&["token", "create", "t", "--scope", scope]);
    let (read, write) = (token("read"), token("write"));
    away.septum(&["ps"]).run().expect_code(exit::HOST).expect_stderr("SEPTUM_TOKEN");
    let with = |token: &str, words: &[&str]| away.septum(words).environment("SEPTUM_TOKEN", token).run();
    assert!(with(&read, &["ps"]).expect_code(0).stdout_text().contains("sleep 100000"));
    with(&read, &["logs", "p"]).expect_code(0);
    with(&read, &["exec", "p", "true"])
        .expect_code(exit::HOST)
        .expect_stderr("it needs a token of scope write");
    with(&read, &["kill", "p"]).expect_code(exit::HOST).expect_stderr("scope write");
    with("nonsense", &["ps"]).expect_code(exit::HOST).expect_stderr("the token is none");
    with(&write, &["exec", "p", "sh", "-c", "echo in; exit 3"]).expect_code(3).expect_stdout("in\n");
    let file = away.host.place.file("token", format!("{write}\n"));
    let by_environment = away.host.septum(&["exec", "p", "echo", "x"]).environment("SEPTUM_HOST", &address);
    by_environment.environment("SEPTUM_TOKEN_FILE", file).run().expect_code(0).expect_stdout("x\n");
    for (address, why) in [
        ("ftp://x", "is no address"),
        ("http://192.0.2.1:1", "without TLS everybody"),
        ("http://127.0.0.1:1", "the coordinator does not answer"),
        ("unix:/no/where", "the coordinator does not answer"),
    ] {
        let output = away.host.septum(&["--host", address, "ps"]).run();
        assert!(output.code() >= exit::USAGE, "{output:?}");
        output.expect_stderr(why).expect_stderr("hint: ");
    }
}

#[test]
fn contexts_are_kept_and_used() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    idle(&host, "p");
    let away = Host::new();
    let config = away.place.join("config");
    let septum = |words: &[&str]| away.septum(words).environment("SEPTUM_CONFIG_DIR", &config);
    let ask = |words: &[&str]| septum(words).run().expect_code(0).stdout_text();
    let (address, token) = (format!("http://{}", serving.tcp_address()), host.ask(&["token", "create", "t"]));
    let create = ["context", "create", "lab", &address, "--token-file", "-"];
    septum(&create)
        .stdin(Input::Bytes(token.clone().into_bytes()))
        .run()
        .expect_code(0)
        .expect_stdout("lab\n");
    let kept = config.join("contexts/lab/token");
    assert_eq!(kept.metadata().unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(std::fs::read_to_string(&kept).unwrap(), token);
    septum(&create)
        .stdin(Input::Bytes(b"x".to_vec()))
        .run()
        .expect_code(exit::USAGE)
        .expect_stderr("there is one already");
    // It is there, and nothing uses it yet.
    assert!(!ask(&["ps"]).contains("sleep"));
    assert!(ask(&["--context", "lab", "ps"]).contains("sleep 100000"));
    assert!(
        septum(&["ps"]).environment("SEPTUM_CONTEXT", "lab").run().stdout_text().contains("sleep 100000")
    );
    ask(&["context", "use", "lab"]);
    assert!(ask(&["ps"]).contains("sleep 100000"));
    assert!(!ask(&["--context", "local", "ps"]).contains("sleep"));
    assert!(!ask(&["--host=local", "ps"]).contains("sleep"));
    assert!(
        !septum(&["ps"])
            .environment("SEPTUM_HOST", "local")
            .run()
            .expect_code(0)
            .stdout_text()
            .contains("sleep")
    );
    let list = ask(&["context", "ls"]);
    assert!(
        list.lines().any(|line| line.starts_with("lab ") && line.contains('*') && line.ends_with(&address)),
        "{list}"
    );
    let shown = ask(&["context", "inspect"]);
    assert!(shown.contains("\"has_token\": true") && !shown.contains(&token), "{shown}");
    // What is about this host goes on being that; what is not in the API says so.
    ask(&["version"]);
    septum(&["--context", "lab", "doctor"])
        .run()
        .expect_code(exit::USAGE)
        .expect_stderr("about the host that it runs on");
    septum(&["top", "--batch"]).run().expect_code(exit::USAGE).expect_stderr("hint: 'septum stats'");
    septum(&["ps", "--host", "x"]).run().expect_code(exit::USAGE).expect_stderr("before the command");
    // A token that others may read is no secret.
    std::fs::set_permissions(&kept, std::fs::Permissions::from_mode(0o644)).unwrap();
    septum(&["ps"]).run().expect_code(exit::HOST).expect_stderr("others may read its token");
    septum(&["context", "rm", "lab"]).run().expect_code(exit::USAGE).expect_stderr("it is in use");
    ask(&["context", "use", "local"]);
    ask(&["context", "rm", "lab"]);
    assert!(!config.join("contexts/lab").exists());
    for words in [
        &["context", "use", "lab"][..],
        &["context", "rm", "../x"],
        &["--context", "../../etc", "ps"],
        &["context", "create", "..", "unix:/x"],
        &["context", "create", "local", "unix:/x"],
        &["context", "create", "x", "ftp://x"],
        &["context", "create", "x", "unix:/x", "--ca", "/no/where"],
        &["context", "create", "x", "https://x", "--ca", "/etc/passwd"],
        &["context", "create", "x", "unix:/x", "--token-file", "/dev/null"],
    ] {
        let output = septum(words).run();
        assert!(output.code() >= exit::USAGE, "{words:?}: {output:?}");
        output.expect_stderr("hint: ");
    }
    assert_eq!(std::fs::read_dir(config.join("contexts")).unwrap().count(), 0);
}

#[test]
fn what_is_run_there_is_what_was_typed_here() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let away = Away::from(&serving);
    let file = away.host.place.file("vars", "# of a file\nF=1\nC\n");
    let options = [
        "run",
        "-d",
        "--name",
        "r",
        "--memory",
        "96M",
        "--cpus",
        "2",
        "-e",
        "A=b c",
        "-e",
        "C",
        "--env-file",
        file.to_str().unwrap(),
        "-w",
        "/tmp",
        "-u",
        "12:34",
        "--hostname",
        "box",
        "--tmpfs",
        "/scratch:size=4m",
        "--mount",
        "type=tmpfs,target=/other,tmpfs-size=1m",
        "--shm-size",
        "2m",
        "-l",
        "k=v",
        "--volume",
        "kept:/kept",
        "--",
        "sh",
        "-c",
        "echo $A $C $F; pwd; id -u; hostname; df -k /scratch /other /dev/shm | awk '{print $2}'; nproc; echo x > /kept/file; echo done; sleep 1000",
    ];
    let id = away.septum(&options).environment("C", "callers").run().expect_code(0).stdout_text();
    assert_eq!(away.ask(&["ps", "-q"]), id.trim());
    serving.wait_for("r", "running");
    host.wait_for_log("r", "done");
    let said = away.ask(&["logs", "r"]);
    assert!(
        said.starts_with("b c callers 1\n/tmp\n12\nbox\n") && said.contains("4096\n1024\n2048\n2"),
        "{said}"
    );
    assert!(away.ask(&["inspect", "r"]).contains("\"k\": \"v\""));
    assert_eq!(away.ask(&["volume", "ls"]), host.ask(&["volume", "ls"]));
    away.ask(&["rm", "-f", "r"]);
    // It did not start: why, and with which status.
    let none = away.septum(&["run", "-d", "--", "/no/where"]).run();
    none.expect_code(exit::PROGRAM).expect_stderr("'/no/where'");
    for (words, why) in [
        (&["run", "--", "true"][..], "septum run -d"),
        (&["run", "-d", "--volume", "./a:/a", "--", "true"], "is relative"),
        (&["run", "-d", "--rootfs", "root", "--", "true"], "is relative"),
        (&["run", "-d", "--device", "0000:00:01.0", "--", "true"], "'--device' is not in the API"),
        (&["run", "-d", "--memory", "lots", "--", "true"], "'lots'"),
        (&["run", "-d", "--name", "a b", "--", "true"], "hint: "),
    ] {
        let output = away.septum(words).run();
        assert!(output.code() >= exit::USAGE, "{words:?}: {output:?}");
        output.expect_stderr(why);
    }
}

#[test]
fn volumes_and_images_are_those_of_the_host() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    let away = Away::from(&serving);
    assert_eq!(away.ask(&["volume", "create", "data", "--label", "a=b"]), "data");
    let unnamed = away.ask(&["volume", "create"]);
    host.ask(&[
        "run",
        "-d",
        "--memory",
        "64M",
        "--name",
        "p",
        "--volume",
        "data:/data",
        "--",
        "sleep",
        "1000",
    ]);
    for words in [
        &["volume", "ls"][..],
        &["volume", "ls", "-q", "--filter", "label=a=b"],
        &["volume", "ls", "-f", "dangling=true"],
        &["volume", "ls", "--json"],
        &["volume", "ls", "--format", "json"],
        &["volume", "inspect", "data"],
        &["image", "ls"],
        &["image", "ls", "--json"],
    ] {
        assert_eq!(away.ask(words), host.ask(words), "{words:?}");
    }
    away.septum(&["volume", "rm", "data", "none"]).run().expect_code(exit::PATH).expect_stderr("hint: ");
    assert_eq!(away.ask(&["volume", "prune", "-f"]), format!("Deleted volumes:\n{unnamed}"));
    away.septum(&["volume", "prune"]).run().expect_code(exit::USAGE).expect_stderr("say --force");
    assert_eq!(away.ask(&["volume", "rm", "-f", "none"]), "");
    // An image of a folder that only this side has.
    away.host.place.file("root/etc/motd", "made away\n");
    let built = away.septum(&["image", "build", "root", "-t", "made"]).run();
    if built.code() != 0 && built.stderr_text().contains("mkfs.erofs") {
        return lane::skip("this host has no mkfs.erofs");
    }
    let digest = built.expect_code(0).stdout_text();
    built.expect_stderr("made: ");
    for words in [&["image", "ls"][..], &["image", "ls", "--json"]] {
        assert_eq!(away.ask(words), host.ask(words), "{words:?}");
    }
    assert!(away.ask(&["image", "inspect", "made"]).contains(digest.trim()));
    away.septum(&["image", "build", "none"]).run().expect_code(exit::USAGE).expect_stderr("hint: ");
    away.septum(&["image", "tag", "made", "x"])
        .run()
        .expect_code(exit::USAGE)
        .expect_stderr("not in the API");
    assert_eq!(away.ask(&["image", "rm", "made"]), "made");
    away.septum(&["image", "rm", "made"]).run().expect_code(exit::USAGE);
}

#[test]
fn by_tls_a_coordinator_is_who_it_says() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    // One that the other has signed.
    let [certificate, signed, key] = ["certificate", "signed", "signed-key"]
        .map(|name| lane::data(&format!("tls/{name}.pem")).to_str().unwrap().to_owned());
    let certificate = certificate.as_str();
    let options = ["--listen", "127.0.0.1:0", "--tls-cert", &signed, "--tls-key", &key];
    let serving = Serving::start_with(&host, &options);
    idle(&host, "p");
    let token = host.ask(&["token", "create", "t", "--scope", "write"]);
    let port = serving.tcp_address().port();
    let away = Host::new();
    let config = away.place.join("config");
    let septum = |words: &[&str]| away.septum(words).environment("SEPTUM_CONFIG_DIR", &config);
    let file = away.place.file("token", &token);
    let create = |name: &str, address: &str, more: &[&str]| {
        let words = ["context", "create", name, address, "--token-file", file.to_str().unwrap()];
        septum(&[&words[..], more].concat()).run().expect_code(0);
    };
    create("good", &format!("https://localhost:{port}"), &["--ca", certificate]);
    septum(&["context", "use", "good"]).run().expect_code(0);
    septum(&["exec", "-i", "p", "sh", "-c", "cat; exit 4"])
        .stdin(Input::Bytes(vec![b'x'; 1_000_000]))
        .run()
        .expect_code(4)
        .expect_stdout(&"x".repeat(1_000_000));
    away.place.file("here/file", vec![9; 2_000_000]);
    septum(&["cp", "here", "p:/tmp"]).run().expect_code(0);
    septum(&["cp", "p:/tmp/here", "back"]).run().expect_code(0);
    assert_eq!(std::fs::read(away.place.join("back/file")).unwrap(), vec![9; 2_000_000]);
    // Nobody whom this host trusts has signed it; it is not the one that is meant; it does not speak TLS; no TLS is spoken to it.
    create("unknown", &format!("https://localhost:{port}"), &[]);
    create("other", &format!("https://127.0.0.2:{port}"), &["--ca", certificate]);
    create("plain", &format!("http://localhost:{port}"), &[]);
    for name in ["unknown", "other", "plain"] {
        let output = septum(&["--context", name, "ps"]).run();
        assert!(output.code() >= exit::USAGE, "{name}: {output:?}");
        output.expect_stderr("hint: ");
    }
}

#[test]
fn a_token_that_is_revoked_ends_what_is_open() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    idle(&host, "p");
    host.ask(&["run", "-d", "--memory", "64M", "--name", "q", "--", "sh", "-c", "echo ready; sleep 100000"]);
    host.wait_for_log("q", "ready");
    let away = Away { host: Host::new(), address: format!("http://{}", serving.tcp_address()) };
    let token = |more: &[&str]| {
        let made = host.septum(&[&["token", "create", "t", "--scope", "write"], more].concat()).run();
        let id = made.stderr_text().split_whitespace().nth(2).unwrap().to_owned();
        (id, made.stdout_text().trim().to_owned())
    };
    let (_, other) = token(&[]);
    let stays = away.septum(&["exec", "p", "sh", "-c", "echo ready; sleep 1234567"]);
    let stays = stays.environment("SEPTUM_TOKEN", &other).spawn();
    stays.wait_for_stdout("ready");
    for expires in [false, true] {
        let (id, secret) = if expires { token(&["--expires", "3s"]) } else { token(&[]) };
        let with = |words: &[&str]| away.septum(words).environment("SEPTUM_TOKEN", &secret);
        let typed =
            with(&["exec", "-i", "p", "sh", "-c", "echo ready; sleep 7654321"]).stdin(Input::Held).spawn();
        // One that is sent more than it reads.
        let full = with(&["exec", "p", "sh", "-c", "echo ready; yes 7654321"]);
        let full = full.spawn();
        full.wait_for_stdout("ready");
        rustix::process::kill_process(full.pid(), Signal::STOP).unwrap();
        let followed = with(&["logs", "-f", "q"]).spawn();
        for running in [&typed, &followed] {
            running.wait_for_stdout("ready\n");
        }
        if !expires {
            host.ask(&["token", "revoke", &id]);
        }
        typed.wait().expect_code(exit::HOST).expect_stderr("the token was revoked, or has expired");
        followed.wait().expect_code(exit::HOST);
        let end = Instant::now() + Duration::from_secs(60);
        while host.ask(&["exec", "p", "ps", "-ef"]).contains("7654321") {
            assert!(Instant::now() < end, "it goes on");
            std::thread::sleep(Duration::from_millis(50));
        }
        with(&["ps"]).run().expect_code(exit::HOST);
    }
    assert!(host.ask(&["exec", "p", "ps", "-ef"]).contains("1234567"), "another token's session goes on");
    drop(stays);
}
