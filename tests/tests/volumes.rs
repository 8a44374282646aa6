//! Volumes: those that Septum keeps by name, single files, and what may be odd about a volume.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, Instant};

use septum_tests::{Host, Input, Invocation, Septum, exit, needs_partitions};

/// A shell in a partition.
fn shell(host: &Host, script: &str) -> Septum {
    Septum::run("sh")
        .arguments(["-c", script])
        .directory(host.place.path())
        .option("--memory", "64M")
        .own_environment("SEPTUM_RUNTIME_DIR", host.place.join("run"))
        .own_environment("SEPTUM_DATA_DIR", host.place.join("data"))
}

#[test]
fn a_volume_with_a_name_outlives_partitions() {
    needs_partitions!();
    let host = Host::new();
    let written = shell(&host, "echo one > /a/file && cat /b/file && ls -A /c");
    let written = written.option("--volume", "first:/a").option("--volume", "first:/b:ro");
    written.option("--mount", "source=second,target=/c").output().expect_code(0).expect_stdout("one\n");
    assert_eq!(host.ask(&["volume", "ls", "-q"]), "first\nsecond");
    let read = shell(&host, "cat /x/file; echo two > /x/file").option("--volume", "first:/x:ro").output();
    read.expect_stderr("Read-only file system").expect_stdout("one\n");
    let place = host.ask(&["volume", "inspect", "first"]);
    let data = host.place.join("data/volumes/first/data");
    assert!(place.contains(&format!("\"mountpoint\": \"{}\"", data.display())), "{place}");
    assert_eq!(fs::read_to_string(data.join("file")).expect("it is there"), "one\n");

    assert_eq!(host.ask(&["volume", "create", "--label", "kind=cache", "third"]), "third");
    assert_eq!(host.ask(&["volume", "create", "third"]), "third");
    assert_eq!(host.ask(&["volume", "ls", "-q", "--filter", "label=kind=cache"]), "third");
    assert_eq!(host.ask(&["volume", "ls", "--format", "json"]).lines().count(), 3);
    let nameless = host.ask(&["volume", "create"]);
    assert_eq!(nameless.len(), 64);
    assert!(host.ask(&["volume", "prune", "--force"]).contains(&nameless));
    host.septum(&["volume", "prune"]).run().expect_code(exit::USAGE).expect_stderr("--force");
    let removed = host.septum(&["volume", "rm", "absent", "first"]).run();
    removed.expect_code(exit::PATH).expect_stdout("first\n").expect_stderr("there is no volume 'absent'");
    host.ask(&["volume", "rm", "-f", "absent"]);
    assert!(host.ask(&["volume", "prune", "--all", "--force"]).contains("second\nthird\n"));
    assert_eq!(host.ask(&["volume", "ls", "-q"]), "");
    for name in ["a", "-x", "../x", ".x", "a b"] {
        host.septum(&["volume", "create", "--", name]).run().expect_code(exit::USAGE);
    }
}

#[test]
fn a_volume_that_a_partition_has_stays() {
    needs_partitions!();
    let host = Host::new();
    let in_background = |name: &str| {
        let line = ["run", "-d", "--name", name, "--memory", "64M", "--volume", "kept:/data", "--"];
        host.ask(&[&line[..], &["sh", "-c", "echo 1 > /data/file; sleep 1000"]].concat());
    };
    in_background("holder");
    for command in [&["volume", "rm", "kept"][..], &["volume", "rm", "-f", "kept"]] {
        host.septum(command).run().expect_code(exit::PATH).expect_stderr("partition holder uses it");
    }
    assert!(host.ask(&["volume", "prune", "--all", "--force"]).starts_with("Total reclaimed space"));
    assert!(host.ask(&["volume", "ls"]).contains("holder"));
    // Whoever is killed has it no longer.
    let record = host.ask(&["inspect", "holder"]);
    let supervisor = record.split("\"supervisor\": ").nth(1).and_then(|rest| rest.split(',').next());
    let supervisor: i32 = supervisor.expect("it has one").trim().parse().expect("a number");
    let supervisor = rustix::process::Pid::from_raw(supervisor).expect("a process");
    rustix::process::kill_process(supervisor, rustix::process::Signal::KILL).expect("it can be killed");
    let end = Instant::now() + Duration::from_secs(10);
    while host.septum(&["volume", "rm", "kept"]).run().code() != 0 {
        assert!(Instant::now() < end, "it is still held");
    }
    assert!(!host.place.join("data/volumes/kept").exists());
}

#[test]
fn a_file_is_shared_alone() {
    needs_partitions!();
    let host = Host::new();
    let file = host.place.file("here/config.toml", "a = 1\n");
    host.place.file("here/secret", "s\n");
    let script = "cat /etc/my/config.toml; echo b >> /etc/my/config.toml; ls -A /etc/my; cd /etc/my; \
                  mv config.toml x; rm config.toml; echo n > n; mv n config.toml; ln config.toml l; cat /etc/my/../my/secret; \
                  cat /ro; echo x > /ro; chmod 600 config.toml; stat -c %a config.toml; cat /etc/hosts > config.toml; sync config.toml";
    let output = shell(&host, script)
        .option("--volume", "./here/config.toml:/etc/my/config.toml")
        .option("--mount", "type=bind,src=here/config.toml,dst=/ro,readonly")
        .output();
    output.expect_stdout("a = 1\nconfig.toml\na = 1\nb\n600\n");
    let told = output.stderr_text();
    assert_eq!(told.matches("Device or resource busy").count(), 3, "{told}");
    for expected in ["No such file", "Read-only file system"] {
        assert!(told.contains(expected), "{told}");
    }
    assert!(fs::read_to_string(&file).expect("it is there").contains("127.0.0.1"));
    assert_eq!(fs::read_dir(host.place.join("here")).expect("a directory").count(), 2);
    // On one that is there, over a program of the system, and one that is run.
    let tool = host.place.executable("tool", "#!/bin/sh\necho mine\n");
    let output = shell(&host, "true; /usr/bin/true; cat /usr/bin/true | tail -1")
        .option("--volume", format!("{}:/usr/bin/true:ro", tool.display()));
    output.output().expect_code(0).expect_stdout("mine\necho mine\n");
}

#[test]
fn odd_volumes() {
    needs_partitions!();
    let host = Host::new();
    // Links lead where the partition has something, not where the host has.
    host.place.file("outside/secret", "s\n");
    let inside = host.place.directory("inside");
    symlink("../outside/secret", inside.join("up")).expect("a link");
    symlink(host.place.join("outside/secret"), inside.join("away")).expect("a link");
    symlink("/proc/self/root/etc/shadow", inside.join("proc")).expect("a link");
    let output =
        shell(&host, "for f in up away proc; do cat /v/$f 2>/dev/null && echo escaped; done; echo end");
    output.volume(&inside, "/v").directory("/").output().expect_code(0).expect_stdout("end\n");

    // Any bytes but NUL make a path.
    let strange = OsStr::from_bytes(b"a b\xff\xc3\x28:\n'\"$(x)\\");
    let directory = host.place.directory(strange);
    fs::write(directory.join("file"), "found\n").expect("it can be written");
    let output = shell(&host, "cat /v/file; echo back > /v/made").volume(&directory, "/v").output();
    output.expect_code(0).expect_stdout("found\n");
    assert_eq!(fs::read_to_string(directory.join("made")).expect("it is there"), "back\n");

    // A hundred.
    let mut run = shell(&host, "cat /v/*/number | sort -n | tail -1; ls /v | wc -l; echo x > /v/57/made");
    for number in 0..100 {
        host.place.file(format!("many/{number}/number"), format!("{number}\n"));
        run = run.volume(host.place.join(format!("many/{number}")), format!("/v/{number}"));
    }
    run.output().expect_code(0).expect_stdout("99\n100\n");
    assert!(host.place.join("many/57/made").exists());
}

/// A file system in RAM on the host; gone with this.
struct Mounted<'a>(&'a Path);

impl<'a> Mounted<'a> {
    /// `None` if only root can.
    fn new(at: &'a Path, options: &str) -> Option<Self> {
        let mount =
            Invocation::new("/bin/mount").arguments(["-t", "tmpfs", "-o", options, "volume"]).argument(at);
        (mount.run().code() == 0).then_some(Self(at))
    }

    fn detach(&self) {
        Invocation::new("/bin/umount").arguments([OsStr::new("--lazy"), self.0.as_os_str()]).run();
    }
}

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        self.detach();
    }
}

#[test]
fn what_is_full_says_so() {
    needs_partitions!();
    let host = Host::new();
    let full = host.place.directory("full");
    let Some(_mounted) = Mounted::new(&full, "size=1m") else {
        return septum_tests::lane::skip("only root can mount a file system");
    };
    let script = "head -c 3000000 /dev/zero > /v/big; echo status $?; stat -c %s /v/big; rm /v/big; echo again > /v/small && cat /v/small; \
                  fallocate -l 2M /v/reserved; echo $?; rm -f /v/reserved; \
                  head -c 600000 /dev/zero > /v/one; head -c 600000 /dev/zero | dd of=/v/two conv=fsync 2>&1 | grep -o 'No space.*'; echo alive";
    let output = shell(&host, script).volume(&full, "/v").output();
    output.expect_code(0).expect_stderr("No space left on device");
    output.expect_stdout("status 1\n1048576\nagain\n1\nNo space left on device\nalive\n");
}

#[test]
fn a_volume_may_vanish() {
    needs_partitions!();
    let host = Host::new();
    let gone = host.place.directory("gone");
    fs::write(gone.join("file"), "old\n").expect("it can be written");
    let detached = host.place.directory("detached");
    let mounted = Mounted::new(&detached, "size=1m");
    fs::write(detached.join("file"), "old\n").expect("it can be written");
    let script = "exec 3</v/file 4>>/v/open; ls /v /w > /dev/null; echo ready; read answer; sleep 1.1; \
                  cat <&3; echo more >&4 && echo written; cat /v/file; echo x > /v/new; mkdir /v/d; ls /v; \
                  cat /w/file; echo y > /w/new && cat /w/new; df /v > /dev/null; echo alive";
    let mut running =
        shell(&host, script).volume(&gone, "/v").volume(&detached, "/w").stdin(Input::Held).spawn();
    running.wait_for_stdout("ready\n");
    fs::remove_dir_all(&gone).expect("it can be removed");
    if let Some(mounted) = &mounted {
        mounted.detach();
    }
    running.write(b"go\n");
    running.close_stdin();
    let output = running.wait();
    // What is open is still there, as on the host; the mount is the worker's too, which keeps it.
    output.expect_code(0).expect_stdout("ready\nold\nwritten\nold\ny\nalive\n");
    let told = output.stderr_text();
    assert_eq!(told.matches("No such file or directory").count(), 2, "{told}");
    assert!(told.contains("cannot create /v/new"), "{told}");
}
