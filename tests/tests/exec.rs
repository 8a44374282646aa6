//! `septum exec`: further programs in a partition that runs.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use septum_tests::{Host, Input, Invocation, Running, Sink, exit, needs_partitions};

/// A partition whose first program does nothing.
#[track_caller]
fn idle(host: &Host, options: &[&str]) -> String {
    host.ask(&[&["run", "-d", "--memory", "256M"], options, &["--", "sleep", "10000"]].concat())
}

fn exec(host: &Host, options: &[&str], partition: &str, program: &[&str]) -> Invocation {
    host.septum(&[&["exec"], options, &[partition], program].concat())
}

#[test]
fn streams_and_statuses_are_the_programs() {
    needs_partitions!();
    let host = Host::new();
    for mode in ["auto", "ring0"] {
        let id = idle(&host, &["--privilege", mode]);
        let sh = |script: &str| exec(&host, &[], &id, &["sh", "-c", script]).run();
        let output = sh("echo out; echo err >&2; exit 7");
        output.expect_code(7).expect_stdout("out\n");
        assert_eq!(output.stderr_text(), "err\n");
        sh("kill -TERM $$").expect_code(143);
        sh("exec true").expect_code(0);
        sh("test ! -t 0 && cat && echo \"$PPID $(id -u)\"").expect_code(0);
        exec(&host, &[], &id, &["nowhere"]).run().expect_code(127).expect_stderr("cannot find it");
        exec(&host, &[], &id, &["/no/where"]).run().expect_code(127).expect_stderr("'/no/where'");
        exec(&host, &[], &id, &["/etc/passwd"]).run().expect_code(126).expect_stderr("permission denied");
        exec(&host, &[], &id, &["/"]).run().expect_code(126);
        let given = exec(
            &host,
            &["-e", "A=1 2", "--env=B=", "-w", "/tmp"],
            &id,
            &["sh", "-c", "echo \"$A|$B|$(pwd)\""],
        );
        given.run().expect_code(0).expect_stdout("1 2||/tmp\n");
        exec(&host, &["-w", "/no/where"], &id, &["true"]).run().expect_code(127);
        host.ask(&["kill", &id]);
    }
}

#[test]
fn input_and_output_are_any_bytes_and_end_when_they_end() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    let mut state = 88_172_645_463_325_252_u64;
    let mut bytes = Vec::new();
    while bytes.len() < 5_000_000 {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    let file: PathBuf = host.place.join("bytes");
    std::fs::write(&file, &bytes).unwrap();
    let output = exec(&host, &["-i"], &id, &["cat"]).stdin(Input::File(file)).run();
    output.expect_code(0);
    assert!(output.stdout == bytes, "{} of {} bytes", output.stdout.len(), bytes.len());
    // What is asked for comes when it is there, not at the end.
    let mut running =
        exec(&host, &["-i"], &id, &["sh", "-c", "while read l; do echo got $l; done; echo over"]);
    running = running.stdin(Input::Held);
    let mut running = running.spawn();
    for word in ["one", "two"] {
        running.write(format!("{word}\n").as_bytes());
        running.wait_for_stdout(&format!("got {word}\n"));
    }
    running.close_stdin();
    running.wait().expect_code(0).expect_stdout("got one\ngot two\nover\n");
    // Without -i there is no input, whatever the caller has.
    exec(&host, &[], &id, &["cat"]).stdin(Input::Bytes(b"x".to_vec())).run().expect_code(0).expect_stdout("");
}

#[test]
fn a_hundred_after_each_other_and_twenty_at_once() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    for number in 0..100 {
        let output = exec(&host, &[], &id, &["sh", "-c", &format!("echo {number}")]).run();
        output.expect_code(0).expect_stdout(&format!("{number}\n"));
    }
    let running: Vec<Running> = (0..20)
        .map(|number| {
            let script = format!("cat; echo {number}; exit {number}");
            let exec = exec(&host, &["-i"], &id, &["sh", "-c", &script]);
            exec.stdin(Input::Bytes(vec![b'x'; 100_000])).spawn()
        })
        .collect();
    for (number, running) in running.into_iter().enumerate() {
        let output = running.wait();
        assert_eq!(output.code(), i32::try_from(number).unwrap(), "{}", output.stderr_text());
        assert_eq!(output.stdout.len(), 100_000 + number.to_string().len() + 1);
    }
    // Nothing of them is left.
    let processes = exec(&host, &[], &id, &["sh", "-c", "ls -d /proc/[0-9]* | wc -l"]).run();
    assert!(processes.stdout_text().trim().parse::<u32>().is_ok_and(|count| count <= 5), "{processes:?}");
}

#[test]
fn one_that_does_not_read_stops_nobody() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    // It writes more than there is room for, to a reader that is held.
    let slow = exec(&host, &[], &id, &["sh", "-c", "head -c 3000000 /dev/zero; echo over >&2"]).spawn();
    rustix::process::kill_process(slow.pid(), Signal::STOP).unwrap();
    for _ in 0..5 {
        exec(&host, &[], &id, &["echo", "quick"]).run().expect_code(0).expect_stdout("quick\n");
    }
    rustix::process::kill_process(slow.pid(), Signal::CONT).unwrap();
    let output = slow.wait();
    output.expect_code(0);
    assert_eq!(output.stdout.len(), 3_000_000);
    // One whose reader leaves gets SIGPIPE.
    let endless = exec(&host, &[], &id, &["yes"]).stdout(Sink::CloseAfter(1000)).run();
    assert_eq!(endless.code(), 141, "{}", endless.stderr_text());
}

#[test]
fn who_goes_away_hangs_up() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    let names = || exec(&host, &[], &id, &["ps", "-ef"]).run().stdout_text();
    for signal in [Signal::KILL, Signal::INT, Signal::TERM] {
        let script = "echo ready; sleep 7654321 & sleep 7654321";
        let running = exec(&host, &["-i"], &id, &["sh", "-c", script]).stdin(Input::Held).spawn();
        running.wait_for_stdout("ready\n");
        assert!(names().contains("7654321"));
        running.signal(signal);
        let end = Instant::now() + Duration::from_secs(60);
        while names().contains("7654321") {
            assert!(Instant::now() < end, "{}", names());
            std::thread::sleep(Duration::from_millis(50));
        }
        assert_eq!(running.wait().code(), 128 + signal.as_raw());
    }
}

#[test]
fn the_partitions_end_is_theirs() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    let running: Vec<Running> = (0..3)
        .map(|_| exec(&host, &[], &id, &["sh", "-c", "trap '' TERM HUP; echo ready; sleep 10000"]).spawn())
        .collect();
    running.iter().for_each(|running| running.wait_for_stdout("ready\n"));
    host.ask(&["stop", &id]);
    for running in running {
        running.wait().expect_code(137);
    }
    assert_eq!(host.ask(&["wait", &id]), "143");
    exec(&host, &[], &id, &["true"]).run().expect_code(exit::USAGE).expect_stderr("it has ended");
    let nobody = exec(&host, &[], "nobody", &["true"]).run();
    nobody.expect_code(exit::USAGE).expect_stderr("there is no partition 'nobody'");
}

#[test]
fn paused_detached_and_wrong_ones() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    host.ask(&["pause", &id]);
    exec(&host, &[], &id, &["true"]).run().expect_code(exit::USAGE).expect_stderr("it is paused");
    host.ask(&["unpause", &id]);
    exec(&host, &["-d"], &id, &["sh", "-c", "echo made > /tmp/made; sleep 10000"]).run().expect_code(0);
    let end = Instant::now() + Duration::from_secs(60);
    while exec(&host, &[], &id, &["cat", "/tmp/made"]).run().stdout_text() != "made\n" {
        assert!(Instant::now() < end, "it never ran");
        std::thread::sleep(Duration::from_millis(50));
    }
    let long = "x".repeat(200_000);
    exec(&host, &[], &id, &["echo", &long[..100_000]]).run().expect_code(0);
    let longer =
        exec(&host, &["-e", &format!("A={}", &long[..100_000])], &id, &["echo", &long[..100_000]]).run();
    longer.expect_code(exit::USAGE).expect_stderr("too long");
    host.septum(&["exec", &id]).run().expect_code(exit::USAGE);
    exec(&host, &["-it"], &id, &["true"]).run().expect_code(exit::USAGE).expect_stderr("is not a terminal");
    // More than there may be at once.
    let running: Vec<Running> =
        (0..64).map(|_| exec(&host, &[], &id, &["sh", "-c", "echo ready; sleep 10000"]).spawn()).collect();
    running.iter().for_each(|running| running.wait_for_stdout("ready\n"));
    exec(&host, &[], &id, &["true"])
        .run()
        .expect_code(exit::USAGE)
        .expect_stderr("64 are waited for already");
    host.ask(&["kill", &id]);
    for running in running {
        running.wait().expect_code(137);
    }
}

#[test]
fn files_are_copied_in_and_out() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    let folder = host.place.join("folder");
    std::fs::create_dir_all(folder.join("deep/er")).unwrap();
    let bytes: Vec<u8> = (0..300_000_u32).flat_map(u32::to_le_bytes).collect();
    std::fs::write(folder.join("deep/er/file"), &bytes).unwrap();
    std::os::unix::fs::symlink("deep/er/file", folder.join("link")).unwrap();
    host.ask(&["cp", "folder", &format!("{id}:/tmp")]);
    host.ask(&["cp", "folder/deep/er/file", &format!("{id}:/tmp/other")]);
    let script = "cmp /tmp/folder/deep/er/file /tmp/other && readlink /tmp/folder/link && echo more >> /tmp/folder/new";
    exec(&host, &[], &id, &["sh", "-c", script]).run().expect_code(0).expect_stdout("deep/er/file\n");
    host.ask(&["cp", &format!("{id}:/tmp/folder"), "back"]);
    host.ask(&["cp", &format!("{id}:tmp/other"), "."]);
    assert!(std::fs::read(host.place.join("back/deep/er/file")).unwrap() == bytes);
    assert!(std::fs::read(host.place.join("other")).unwrap() == bytes);
    assert_eq!(std::fs::read_to_string(host.place.join("back/new")).unwrap(), "more\n");
    assert_eq!(std::fs::read_link(host.place.join("back/link")).unwrap(), PathBuf::from("deep/er/file"));
    // What cannot be is said, and leaves nothing.
    let before = std::fs::read_dir(host.place.path()).unwrap().count();
    for (from, to, why) in [
        (format!("{id}:/no/where"), "x".to_owned(), "tar failed"),
        (format!("{id}:/tmp/folder"), "back/no/x".to_owned(), "cannot write to"),
        (format!("{id}:/"), "x".to_owned(), "has no name"),
        ("nothing".to_owned(), format!("{id}:/tmp"), "No such file"),
        ("folder".to_owned(), format!("{id}:/no/where"), "tar failed"),
        ("folder".to_owned(), "x".to_owned(), "just one of the two"),
        ("folder".to_owned(), "nobody:/tmp".to_owned(), "there is no partition"),
    ] {
        let output = host.septum(&["cp", &from, &to]).run();
        assert!((241..=249).contains(&output.code()), "{output:?}");
        output.expect_stderr(why);
    }
    assert_eq!(std::fs::read_dir(host.place.path()).unwrap().count(), before);
    // A tar of the partition's that lies writes nothing outside.
    let liar = "printf '#!/bin/sh\\ncd /tmp; ln -s / a; /bin/tar -c -P -f - a ../etc/hostname' > /usr/local/bin/tar; chmod +x /usr/local/bin/tar";
    exec(&host, &[], &id, &["sh", "-c", &format!("mkdir -p /usr/local/bin; {liar}")]).run().expect_code(0);
    host.septum(&["cp", &format!("{id}:/tmp/a"), "a"])
        .run()
        .expect_code(exit::PATH)
        .expect_stderr("does not belong");
    assert_eq!(std::fs::read_dir(host.place.path()).unwrap().count(), before);
}

#[test]
fn another_user_is_found_in_the_partitions_own_files() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &["-u", "0", "--group-add", "77"]);
    let as_user = |options: &[&str], script: &str| exec(&host, options, &id, &["sh", "-c", script]).run();
    as_user(&[], "id -G").expect_code(0).expect_stdout("0 77\n");
    let who = "echo $(id -u) $(id -g) $(id -G) $HOME";
    as_user(&["-u", "1234:56"], who).expect_code(0).expect_stdout("1234 56 56 /\n");
    // Accounts that were made in the partition are known there.
    let accounts =
        "echo ada:x:1000:100:Ada:/srv/ada:/bin/sh >> /etc/passwd && echo extra:x:333:bob,ada >> /etc/group";
    as_user(&[], accounts).expect_code(0);
    as_user(&["--user", "ada"], who).expect_code(0).expect_stdout("1000 100 100 333 /srv/ada\n");
    as_user(&["-u", "ada", "-e", "HOME=/tmp"], who).expect_code(0).expect_stdout("1000 100 100 333 /tmp\n");
    as_user(&["-u", "ada:extra"], "id -g; touch /etc/new 2>/dev/null || echo refused")
        .expect_code(0)
        .expect_stdout("333\nrefused\n");
    as_user(&["-u", "eve"], "true").expect_code(126).expect_stderr("no such user");
    as_user(&["-u", "ada:none"], "true").expect_code(126).expect_stderr("no such user or group");
    assert_eq!(as_user(&["-u", ""], "true").code(), 241);
}

/// What it wrote waits in the partition when it closes its streams, and is taken while it still runs.
#[test]
fn a_program_that_closes_its_streams_has_an_end() {
    needs_partitions!();
    let host = Host::new();
    let id = idle(&host, &[]);
    let script = "for n in $(seq 4 20); do (
        \"$0\" exec \"$1\" sh -c \"head -c $((n * 16384)) /dev/zero; exec >&- 2>&-; sleep 2; exit 5\" | { sleep 1; wc -c; }
        echo ${PIPESTATUS[0]}) > out.$n & done; wait; for n in $(seq 4 20); do cat out.$n; done";
    let septum = septum_tests::lane::septum_binary();
    let shell =
        host.in_shell("bash", script).argument(septum).argument(&id).deadline(Duration::from_secs(60));
    let wanted: String = (4..=20).map(|n| format!("{}\n5\n", n * 16384)).collect();
    shell.run().expect_code(0).expect_stdout(&wanted);
}
