//! What a program finds around it because somebody asked for it: who it is, where it may write, what it may use.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _};

use septum_tests::{Place, Septum, exit, needs_partitions};

fn shell(place: &Place, script: &str) -> Septum {
    place.septum_tool("sh").arguments(["-c", script])
}

#[test]
fn variables_come_from_files_and_the_option_counts_more() {
    needs_partitions!();
    let place = Place::new();
    place.file("first", "# a comment\nA=1\nB=\"two words\" \n\nTOKEN\nNONE\n");
    place.file("second", "A=2\nC=3\r\n");
    let run = shell(&place, "echo \"[$A] [$B] [$C] [$TOKEN] [${NONE-unset}]\"")
        .option("--env-file", "first")
        .option("--env", "C=own")
        .option("--env-file", "second")
        .own_environment("TOKEN", "callers");
    run.output().expect_code(0).expect_stdout("[2] [\"two words\" ] [own] [callers] [unset]\n");
    place.file("bad", "A=1\nB C=2\n");
    let run = shell(&place, "true").option("--env-file", "bad");
    run.output().expect_code(exit::PATH).expect_stderr("line 2 has a blank in its key");
    let run = shell(&place, "true").option("--env-file", "none");
    run.output().expect_code(exit::PATH).expect_stderr("no such file");
    let run = shell(&place, "true").option("--env-file", ".");
    run.output().expect_code(exit::PATH).expect_stderr("directory");
}

#[test]
fn the_host_name_is_what_was_asked_for() {
    needs_partitions!();
    let place = Place::new();
    let run =
        shell(&place, "hostname; cat /etc/hostname; grep 127.0.1.1 /etc/hosts").option("-h", "box.example");
    run.output().expect_code(0).expect_stdout("box.example\nbox.example\n127.0.1.1\tbox.example box\n");
    let run = shell(&place, "hostname").option("--name", "name");
    run.output().expect_code(0).expect_stdout("name\n");
    let run = shell(&place, "hostname").option("--name", "name").option("--hostname", "other");
    run.output().expect_code(0).expect_stdout("other\n");
}

#[test]
fn a_user_is_a_number_or_a_name() {
    needs_partitions!();
    let place = Place::new();
    let id = "echo $(id -u):$(id -g):$(id -G) $HOME $USER";
    let run = shell(&place, id).option("--user", "1234:77");
    run.output().expect_code(0).expect_stdout("1234:77:77 /home/user user\n");
    let run = shell(&place, id).option("-u", "nobody").option("--group-add", "44").option("--group-add", "9");
    let nobody = "65534:65534:65534 9 44 /home/nobody nobody\n";
    run.output().expect_code(0).expect_stdout(nobody);
    let run =
        shell(&place, "touch ~/own && echo x > /tmp/x && ! touch /usr/x 2>/dev/null").option("-u", "1234");
    run.output().expect_code(0);
    for (user, why) in
        [("nosuchuser", "has no user 'nosuchuser'"), ("0:nosuchgroup", "has no group 'nosuchgroup'")]
    {
        let run = shell(&place, "true").option("--user", user);
        run.output().expect_code(exit::PATH).expect_stderr(why);
    }
    let run = shell(&place, "true").option("--group-add", "nosuchgroup");
    run.output().expect_code(exit::PATH).expect_stderr("has no group 'nosuchgroup'");
}

/// The names are the root's own, and its links lead nowhere else.
#[test]
fn a_root_says_who_is_who() {
    needs_partitions!();
    let place = Place::new();
    place.guest("whoami", septum_tests::Link::Static);
    let root = place.directory("root/etc");
    place.directory("root/srv");
    fs::write(root.join("passwd"), "ada:x:4321:50:Ada:/srv:/bin/sh\n").expect("a file");
    std::os::unix::fs::symlink("/etc/there", root.join("group")).expect("a link");
    fs::write(root.join("there"), "staff:x:50:\nwheel:x:10:ada\n").expect("a file");
    fs::copy(place.join("whoami"), place.join("root/whoami")).expect("a program");
    let run = |user: &str| {
        Septum::run("/whoami")
            .directory("/")
            .option("--rootfs", place.join("root"))
            .option("--user", user)
            .output()
    };
    run("ada").expect_code(0).expect_stdout("4321 50: 10\nHOME=/srv\n");
    run("ada:wheel").expect_code(0).expect_stdout("4321 10:\nHOME=/srv\n");
    run("root").expect_code(exit::PATH).expect_stderr("has no user 'root'");
}

/// The caller's rights are the worker's; which of them the program has is its own kernel's decision.
#[test]
fn files_of_volumes_belong_to_the_user() {
    needs_partitions!();
    let place = Place::new();
    let data = place.directory("data");
    fs::set_permissions(&data, fs::Permissions::from_mode(0o777)).expect("permissions");
    let private = place.file("data/private", "secret\n");
    fs::set_permissions(&private, fs::Permissions::from_mode(0o600)).expect("permissions");
    let script = "cd /data; echo x > new && mkdir sub && ls -ln new | cut -d' ' -f3,4; cat private 2>&1";
    let run = shell(&place, script).option("--user", "1234:77").volume(&data, "/data");
    let output = run.output();
    let caller = rustix_uid();
    let made = fs::metadata(data.join("new")).expect("it is there");
    assert!(output.stdout_text().starts_with("1234 77\n"), "{}", output.stdout_text());
    if caller == 0 {
        assert_eq!((made.uid(), made.gid()), (1234, 77));
        assert!(output.stdout_text().ends_with("private: Permission denied\n"), "{}", output.stdout_text());
    } else {
        // The caller is that user there: what is the one's is the other's.
        assert_eq!(made.uid(), caller);
        assert!(output.stdout_text().ends_with("secret\n"), "{}", output.stdout_text());
    }
}

fn rustix_uid() -> u32 {
    fs::metadata("/proc/self").expect("there is one").uid()
}

#[test]
fn a_read_only_partition_writes_only_where_it_may() {
    needs_partitions!();
    let place = Place::new();
    let data = place.directory("data");
    let script = "for f in /x /usr/x /etc/x /tmp/x /root/x /home/x /var/x /etc/hostname /data/x /dev/shm/x /scratch/x; do
        if (echo x > $f) 2>/tmp/none || (echo x > $f) 2>&3; then echo $f; fi; done 3>/dev/null 2>/dev/null
        mkdir /tmp/d 2>&1; rm /etc/hosts 2>&1; chmod 700 /usr 2>&1";
    let run = shell(&place, script).flag("--read-only").option("--tmpfs", "/scratch").volume(&data, "/data");
    run.output().expect_stdout(
        "/data/x\n/dev/shm/x\n/scratch/x\n\
         mkdir: cannot create directory '/tmp/d': Read-only file system\n\
         rm: cannot remove '/etc/hosts': Read-only file system\n\
         chmod: changing permissions of '/usr': Read-only file system\n",
    );
    assert_eq!(fs::read_to_string(data.join("x")).expect("it is there"), "x\n");
}

#[test]
fn a_directory_in_ram_is_as_large_and_as_open_as_was_asked_for() {
    needs_partitions!();
    let place = Place::new();
    let script =
        "stat -c '%a %u:%g' /a /b/c; head -c 2000000 /dev/zero > /a/f; stat -c %s /a/f; ls -A /usr/share/doc
        cp /bin/true /a/t; /a/t; echo $?; cp /bin/true /b/c/t; /b/c/t; echo $?; touch /r/x";
    let run = shell(&place, script)
        .option("--tmpfs", "/a:size=1m,mode=750,uid=7,gid=8")
        .option("--tmpfs", "/b/c:exec,nosuid")
        .option("--tmpfs", "/r:ro")
        .option("--tmpfs", "/usr/share/doc");
    let output = run.output();
    output.expect_stdout("750 7:8\n1777 0:0\n1048576\n126\n0\n");
    output.expect_stderr("No space left on device").expect_stderr("Read-only file system");
    for (place_of_it, why) in [("/proc/x", "is its own"), ("/dev", "is its own"), ("/sys", "is its own")] {
        let run = shell(&place, "true").option("--tmpfs", place_of_it);
        run.output().expect_code(exit::PATH).expect_stderr(why);
    }
    let run = shell(&place, "true").option("--tmpfs", "/a").option("--tmpfs", "/a:ro");
    run.output().expect_code(exit::PATH).expect_stderr("something else is already at '/a'");
    let script = "stat -c '%a %u:%g' /dev/shm; head -c 2000000 /dev/zero > /dev/shm/f; stat -c %s /dev/shm/f";
    let run = shell(&place, script).option("--shm-size", "1m");
    run.output().expect_stdout("1777 0:0\n1048576\n").expect_stderr("No space left on device");
    let inside = place.join("missing");
    let run = shell(&place, "true").option("--tmpfs", &inside);
    run.output().expect_code(exit::PATH).expect_stderr("mkdir -p");
}

#[test]
fn limits_hold_and_are_told() {
    needs_partitions!();
    let place = Place::new();
    let run = shell(&place, "ulimit -Sn; ulimit -Hn; ulimit -Ss; ulimit -Hs; ulimit -Sf; ulimit -c")
        .option("--ulimit", "nofile=20:30")
        .option("--ulimit", "stack=1048576:-1")
        .option("--ulimit", "fsize=512")
        .option("--ulimit", "core=-1");
    run.output().expect_code(0).expect_stdout("20\n30\n1024\nunlimited\n1\nunlimited\n");
    let open = "import os\nn = 0\ntry:\n  while True:\n    os.dup(0); n += 1\nexcept OSError as e: print(n + 3, e.errno)";
    let run = place.septum_tool("python3").arguments(["-c", open]).option("--ulimit", "nofile=20");
    run.output().expect_code(0).expect_stdout("20 24\n");
    let run = shell(&place, "while :; do :; done").option("--ulimit", "cpu=1");
    run.output().expect_code(128 + 9);
    let deep = "import threading, mmap\ntry: mmap.mmap(-1, 64 << 20)\nexcept (OSError, MemoryError): print('refused')";
    let run = place
        .septum_tool("python3")
        .arguments(["-c", deep.replace("mmap.mmap(-1, 64 << 20)", "bytearray(64 << 20)").as_str()]);
    run.option("--ulimit", "data=33554432").output().expect_code(0).expect_stdout("refused\n");
    let nice = "import os\nfor value in 5, -3, -4:\n  try: os.setpriority(0, 0, value); print('set')\n  except OSError as e: print(e.errno)";
    let run = place.septum_tool("python3").arguments(["-c", nice]).option("--user", "1000");
    run.option("--ulimit", "nice=23").output().expect_code(0).expect_stdout("set\nset\n13\n");
    let run =
        shell(&place, "head -c 2000 /dev/zero > /tmp/f; stat -c %s /tmp/f").option("--ulimit", "fsize=1000");
    run.output().expect_code(0).expect_stdout("1000\n");
    let forks = "import os\ntry:\n  for n in range(9):\n    if os.fork() == 0: os.execvp('sleep', ['sleep', '9'])\nexcept OSError as e: print(n, e.errno)";
    let run = place.septum_tool("python3").arguments(["-c", forks]).option("--user", "1000");
    run.option("--ulimit", "nproc=3").output().expect_code(0).expect_stdout("2 11\n");
}

#[test]
fn what_is_not_to_be_executed_is_not_made_executable() {
    needs_partitions!();
    let place = Place::new();
    let script = "import ctypes, mmap, os\nlibc = ctypes.CDLL(None, use_errno=True)\n\
        for name in '/a/f', '/b/f':\n  open(name, 'wb').write(bytes(4096))\n  \
        memory = mmap.mmap(os.open(name, os.O_RDWR), 4096, mmap.MAP_PRIVATE)\n  \
        at = ctypes.c_void_p(ctypes.addressof(ctypes.c_char.from_buffer(memory)))\n  \
        print(libc.mprotect(at, 4096, 5), ctypes.get_errno())\n";
    let run = place
        .septum_tool("python3")
        .arguments(["-c", script])
        .option("--tmpfs", "/a")
        .option("--tmpfs", "/b:exec");
    run.output().expect_code(0).expect_stdout("-1 13\n0 13\n");
}

/// Whoever waits for the end finds the statistics written.
#[test]
fn statistics_of_a_partition_in_the_background_are_there_when_it_has_ended() {
    needs_partitions!();
    let place = Place::new();
    let (run, data) = (place.directory("run"), place.directory("data"));
    let septum = |arguments: &[&str]| {
        Septum::raw(arguments)
            .directory(place.path())
            .environment("SEPTUM_RUNTIME_DIR", &run)
            .environment("SEPTUM_DATA_DIR", &data)
            .run()
    };
    let line = ["run", "-d", "--name", "job", "--json-stats", "stats", "--", "sh", "-c", "exit 7"];
    septum(&line).expect_code(0);
    septum(&["wait", "job"]).expect_code(0).expect_stdout("7\n");
    let text = fs::read_to_string(place.join("stats")).expect("they are there");
    assert!(text.contains("\"status\": 7") && text.contains("\"job\""), "{text}");
    let line = ["run", "-d", "--json-stats", "failed", "--", "/no/such/program"];
    septum(&line).expect_code(exit::PROGRAM);
    let text = fs::read_to_string(place.join("failed")).expect("they are there");
    assert!(text.contains("\"status\": 243"), "{text}");
}
