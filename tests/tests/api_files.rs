//! Files of partitions over the API: archives that come and go, and those who send or take them badly.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use septum_tests::lane;
use septum_tests::{Host, Invocation, Serving, needs_partitions};

/// True, and said, where a test would only be slower.
fn is_nested() -> bool {
    lane::skips_in_nested("the coordinator is the same on both lanes; the first test runs on both")
}

fn idle(host: &Host) {
    host.ask(&["run", "-d", "--memory", "256M", "--name", "p", "--", "sleep", "100000"]);
}

/// What a program of the partition prints.
#[track_caller]
fn inside(host: &Host, script: &str) -> String {
    host.ask(&["exec", "p", "sh", "-c", script])
}

/// Waits until no process of the partition is called so.
#[track_caller]
fn wait_until_gone(host: &Host, name: &str) {
    let end = Instant::now() + Duration::from_secs(60);
    while inside(host, "ps -eo comm").lines().any(|line| line == name) {
        assert!(Instant::now() < end, "{name} still runs");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A tar of one file, by hand, so that it may be called anything.
fn tar(path: &str, kind: u8, link: &str, content: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..path.len()].copy_from_slice(path.as_bytes());
    header[100..107].copy_from_slice(b"0000644");
    header[108..115].copy_from_slice(b"0000000");
    header[116..123].copy_from_slice(b"0000000");
    header[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    header[136..147].copy_from_slice(b"00000000000");
    header[148..156].copy_from_slice(b"        ");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..263].copy_from_slice(b"ustar\0");
    header[263..265].copy_from_slice(b"00");
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..155].copy_from_slice(format!("{sum:06o}\0").as_bytes());
    let padding = content.len().next_multiple_of(512) - content.len();
    [&header[..], content, &vec![0; padding]].concat()
}

fn whole(parts: &[Vec<u8>]) -> Vec<u8> {
    [parts.concat(), vec![0; 1024]].concat()
}

/// Sends a request and reads all of the answer: its status, its head and its body as it came.
fn exchange(stream: UnixStream, head: &str, body: &[u8]) -> (u16, String, Vec<u8>) {
    let mut stream = stream;
    stream
        .write_all(format!("{head}\r\nhost: septum\r\nconnection: close\r\n\r\n").as_bytes())
        .expect("an answer");
    // It may have answered before it has read everything.
    let _ = stream.write_all(body);
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n").expect("a head");
    let head = String::from_utf8(answer[..end].to_vec()).expect("an answer");
    let status = head.split(' ').nth(1).expect("an answer").parse().expect("an answer");
    (status, head, answer[end + 4..].to_vec())
}

fn put(serving: &Serving<'_>, path: &str, archive: &[u8]) -> (u16, String) {
    let head = format!(
        "PUT /v1/partitions/p/files?path={path} HTTP/1.1\r\ncontent-type: application/x-tar\r\ncontent-length: {}",
        archive.len()
    );
    let (status, _, body) = exchange(serving.connect().expect("an answer"), &head, archive);
    (status, String::from_utf8_lossy(&body).into_owned())
}

/// What comes in chunks; and whether the last one came.
fn unchunked(body: &[u8]) -> (Vec<u8>, bool) {
    let (mut bytes, mut left) = (Vec::new(), body);
    while let Some(end) = left.windows(2).position(|two| two == b"\r\n") {
        let length = usize::from_str_radix(std::str::from_utf8(&left[..end]).expect("an answer"), 16)
            .expect("an answer");
        left = &left[end + 2..];
        if length == 0 {
            return (bytes, true);
        }
        if left.len() < length + 2 {
            bytes.extend_from_slice(left);
            return (bytes, false);
        }
        bytes.extend_from_slice(&left[..length]);
        left = &left[length + 2..];
    }
    (bytes, false)
}

fn get(serving: &Serving<'_>, path: &str) -> (u16, Vec<u8>, bool) {
    let head = format!("GET /v1/partitions/p/files?path={path} HTTP/1.1");
    let (status, head, body) = exchange(serving.connect().expect("an answer"), &head, b"");
    let (body, is_whole) = if head.contains("chunked") { unchunked(&body) } else { (body, true) };
    (status, body, is_whole)
}

/// Names in an archive, by the host's tar.
fn names(host: &Host, archive: &[u8]) -> String {
    let file = host.place.file("got.tar", archive);
    let output = Invocation::new("tar").argument("-tf").argument(file).run();
    output.expect_code(0);
    output.stdout_text()
}

#[test]
fn archives_come_and_go() {
    needs_partitions!();
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&host);
    let archive =
        whole(&[tar("d/", b'5', "", b""), tar("d/a b", b'0', "", b"hello\n"), tar("d/l", b'2', "a b", b"")]);
    assert_eq!(put(&serving, "/srv/none", &archive).0, 404);
    inside(&host, "mkdir -p /srv");
    assert_eq!(put(&serving, "/srv", &archive), (204, String::new()));
    assert_eq!(inside(&host, "cat /srv/d/l; ls /srv/d"), "hello\na b\nl");
    let (status, archive, is_whole) = get(&serving, "/srv/d");
    assert_eq!((status, is_whole), (200, true));
    assert_eq!(names(&host, &archive), "./d/\n./d/a b\n./d/l\n");
    let (status, archive, _) = get(&serving, "srv/d/a%20b");
    assert_eq!((status, names(&host, &archive).as_str()), (200, "./a b\n"));
    for (path, status, cause) in [
        ("/no/where", 404, "there is no such file or directory"),
        ("", 422, "it is empty"),
        ("/", 422, "no name of its own"),
        ("/srv/..", 422, "no name of its own"),
        ("a%00b", 422, "NUL"),
        ("/x&x=1", 400, "x"),
    ] {
        let (found, body, _) = get(&serving, path);
        let body = String::from_utf8_lossy(&body).into_owned();
        assert!(found == status && body.contains(cause), "{path}: {found} {body}");
    }
    serving.ask("GET", "/v1/partitions/q/files?path=/x", "").expect(404);
    serving.ask("PUT", "/v1/partitions/p/files?path=/srv", "{}").expect(415);
    host.ask(&["kill", "p"]);
    serving.ask("GET", "/v1/partitions/p/files?path=/srv", "").expect(409);
}

#[test]
fn hostile_archives_stay_in_the_partition_and_are_told() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&host);
    inside(&host, "mkdir -p /srv/in; echo old > /srv/victim");
    let victim = host.place.file("victim", "old\n");
    for path in ["../victim", "/srv/victim", &format!("../../../../../..{}", victim.display())] {
        let (status, body) = put(&serving, "/srv/in", &whole(&[tar(path, b'0', "", b"new\n")]));
        assert!(
            status == 204 || (status == 409 && body.contains("its tar failed with status")),
            "{path}: {status} {body}"
        );
    }
    let through = whole(&[tar("l", b'2', "..", b""), tar("l/victim", b'0', "", b"new\n")]);
    put(&serving, "/srv/in", &through);
    assert_eq!(std::fs::read_to_string(&victim).unwrap(), "old\n");
    // What is no archive, or no whole one.
    let cut = tar("big", b'0', "", &[1; 100_000]);
    for nonsense in [&b"nonsense"[..], &[255; 5000], &cut[..50_000], b""] {
        let (status, body) = put(&serving, "/srv/in", nonsense);
        assert!((status == 409 || status == 422) && body.contains("\"remediation\""), "{status} {body}");
    }
    // More than tar wants of something that is none: the answer comes all the same.
    let (status, body) = put(&serving, "/srv/in", &vec![255; 20_000_000]);
    assert_eq!(status, 409, "{body}");
    // A partition without tar.
    host.ask(&["kill", "p"]);
    host.ask(&["rm", "p"]);
    let rootfs = host.place.directory("root/bin");
    std::fs::copy("/bin/busybox", rootfs.join("sleep")).map_or_else(
        |_| lane::skip("this host has no busybox to make a root without tar of"),
        |_| {
            let root = host.place.join("root").display().to_string();
            host.ask(&[
                "run",
                "-d",
                "--memory",
                "64M",
                "--name",
                "p",
                "--rootfs",
                &root,
                "--",
                "/bin/sleep",
                "100000",
            ]);
            let (status, body, _) = get(&serving, "/bin");
            assert!(
                status == 409 && String::from_utf8_lossy(&body).contains("there is no 'tar'"),
                "{status}"
            );
        },
    );
}

#[test]
fn who_goes_or_does_not_read_holds_up_nobody() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start(&host);
    idle(&host);
    inside(&host, "mkdir -p /srv; head -c 60000000 /dev/zero > /srv/big");
    let resident = || {
        let status =
            std::fs::read_to_string(format!("/proc/{}/status", serving.pid().as_raw_nonzero())).unwrap();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
        line.trim().trim_end_matches(" kB").parse::<u64>().unwrap()
    };
    let before = resident();
    // One that takes a part, and then does not read; one that goes then.
    let mut slow = serving.connect().unwrap();
    slow.write_all(b"GET /v1/partitions/p/files?path=/srv/big HTTP/1.1\r\nhost: septum\r\n\r\n").unwrap();
    slow.read_exact(&mut [0; 1000]).unwrap();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(get(&serving, "/etc/hostname").0, 200);
    }
    let grown = resident().saturating_sub(before);
    assert!(grown < 8 << 10, "{grown} kB for one that does not read");
    assert!(inside(&host, "ps -eo comm").lines().any(|line| line == "tar"));
    drop(slow);
    wait_until_gone(&host, "tar");
    // One that goes in the middle of sending.
    let head = "PUT /v1/partitions/p/files?path=/srv HTTP/1.1\r\nhost: septum\r\ncontent-type: application/x-tar\r\ncontent-length: 40000000\r\n\r\n";
    let mut gone = serving.connect().unwrap();
    gone.write_all(head.as_bytes()).unwrap();
    gone.write_all(&tar("half", b'0', "", &[1; 40_000_000])[..3_000_000]).unwrap();
    assert!(inside(&host, "ps -eo comm").lines().any(|line| line == "tar"));
    drop(gone);
    wait_until_gone(&host, "tar");
    // A file that cannot be read, or a partition that ends: the archive is not whole, and is not taken for that.
    let whole_answer = get(&serving, "/srv/big");
    assert!(whole_answer.0 == 200 && whole_answer.2 && whole_answer.1.len() > 60_000_000);
    let mut cut = serving.connect().unwrap();
    cut.write_all(
        b"GET /v1/partitions/p/files?path=/srv/big HTTP/1.1\r\nhost: septum\r\nte: trailers\r\n\r\n",
    )
    .unwrap();
    cut.read_exact(&mut [0; 1000]).unwrap();
    host.ask(&["kill", "p"]);
    let mut rest = Vec::new();
    cut.read_to_end(&mut rest).unwrap();
    let end = String::from_utf8_lossy(&rest[rest.len().saturating_sub(1000)..]).into_owned();
    assert!(end.contains("septum-problem: {\"code\":\"conflict\""), "{end}");
}

#[test]
fn files_take_a_token_of_scope_write() {
    needs_partitions!();
    if is_nested() {
        return;
    }
    let host = Host::new();
    let serving = Serving::start_with(&host, &["--listen", "127.0.0.1:0", "--plain-tcp"]);
    idle(&host);
    let token = |scope: &str| {
        format!("authorization: Bearer {}", host.ask(&["token", "create", "t", "--scope", scope]))
    };
    let (read, write) = (token("read"), token("write"));
    let tcp = || TcpStream::connect(serving.tcp_address()).unwrap();
    let path = "/v1/partitions/p/files?path=/etc/hostname";
    for method in ["GET", "PUT"] {
        serving.ask_by(tcp(), method, path, &[], "").expect(401);
        let refused = serving.ask_by(tcp(), method, path, &[&read], "").expect(403);
        assert!(refused.body.contains("it needs a token of scope write"), "{refused:?}");
    }
    serving.ask_by(tcp(), "GET", path, &[&write], "").expect(200);
}
