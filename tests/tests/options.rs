//! The options of `septum run`, each told by a program that sees its effect.

use std::fs;
use std::time::Duration;

use septum_tests::{Link, Place, Septum, exit, needs_partitions};

mod command_line {
    use super::{Link, Place, Septum, exit, needs_partitions};

    #[test]
    fn help_and_version_need_no_host() {
        let help = Septum::raw(["run", "--help"]).run();
        help.expect_code(0);
        for option in [
            "--memory",
            "--cpus",
            "--threads",
            "--privilege",
            "--env",
            "--workdir",
            "--volume",
            "--rootfs",
            "--timeout",
            "--name",
            "--json-stats",
        ] {
            assert!(help.stdout_text().contains(option), "{option} is not explained: {}", help.stdout_text());
        }
        let version = Septum::raw(["--version"]).run();
        version.expect_code(0);
        assert!(version.stdout_text().starts_with("septum "), "{}", version.stdout_text());
    }

    #[test]
    fn a_wrong_command_line_is_explained() {
        let wrong: &[&[&str]] = &[
            &[],
            &["fly"],
            &["run"],
            &["run", "--"],
            &["run", "--no-such-option", "--", "true"],
            &["run", "--memory"],
            &["run", "--memory", "many", "--", "true"],
            &["run", "--memory", "12Q", "--", "true"],
            &["run", "--memory", "-5M", "--", "true"],
            &["run", "--cpus", "0", "--", "true"],
            &["run", "--cpus", "two", "--", "true"],
            &["run", "--cpus", "1000000", "--", "true"],
            &["run", "--threads", "0", "--", "true"],
            &["run", "--threads", "1025", "--", "true"],
            &["run", "--privilege", "ring1", "--", "true"],
            &["run", "--timeout", "soon", "--", "true"],
            &["run", "--timeout", "-1s", "--", "true"],
            &["run", "--volume", "nowhere", "--", "true"],
            &["run", "--volume", "/tmp:relative", "--", "true"],
            &["run", "--volume", ":/data", "--", "true"],
            &["run", "--env", "=value", "--", "true"],
        ];
        for arguments in wrong {
            let output = Septum::raw(*arguments).run();
            assert_eq!(output.code(), exit::USAGE, "{arguments:?}: {}", output.stderr_text());
            assert!(!output.stderr.is_empty(), "{arguments:?} says nothing");
            assert!(output.stdout.is_empty(), "{arguments:?} writes to standard output");
        }
        let output = Septum::raw(["run", "--no-such-option", "--", "true"]).run();
        output.expect_stderr("--no-such-option");
        let output = Septum::raw(["run", "--memory", "many", "--", "true"]).run();
        output.expect_stderr("--memory").expect_stderr("many");
    }

    #[test]
    fn what_follows_the_program_belongs_to_the_program() {
        needs_partitions!();
        let place = Place::new();
        let native = place.native("arguments").arguments(["--memory", "5", "-v", "--", "--help"]).run();
        let with_dashes =
            place.septum("arguments").arguments(["--memory", "5", "-v", "--", "--help"]).output();
        with_dashes.expect_code(0).expect_stdout(&native.stdout_text());
        let without = Septum::raw(["run", "./arguments", "--memory", "5", "-v", "--", "--help"]);
        without.directory(place.path()).run().expect_code(0).expect_stdout(&native.stdout_text());
    }

    #[test]
    fn a_program_is_found_by_its_path_however_it_is_written() {
        needs_partitions!();
        let place = Place::new();
        let program = place.guest("hello", Link::Dynamic);
        place.directory("sub");
        let hello = "hello from a program\n";
        Septum::run("./hello").directory(place.path()).output().expect_code(0).expect_stdout(hello);
        Septum::run("../hello").directory(place.join("sub")).output().expect_code(0).expect_stdout(hello);
        Septum::run(&program).directory("/").output().expect_code(0).expect_stdout(hello);
        Septum::run("/usr/bin/printf")
            .argument("%s")
            .argument("x")
            .output()
            .expect_code(0)
            .expect_stdout("x");
        Septum::run("printf").argument("%s").argument("y").output().expect_code(0).expect_stdout("y");
    }
}

mod environment {
    use super::{Place, Septum, needs_partitions};

    #[test]
    fn variables_are_given_and_the_last_one_counts() {
        needs_partitions!();
        let place = Place::new();
        let run = place
            .septum_tool("printenv")
            .env("ONE", "1")
            .env("TWO", "a=b c")
            .env("EMPTY", "")
            .env("ONE", "uno");
        run.arguments(["ONE", "TWO", "EMPTY"]).output().expect_code(0).expect_stdout("uno\na=b c\n\n");
    }

    #[test]
    fn the_callers_own_variables_stay_outside() {
        needs_partitions!();
        let output = Septum::run("env").own_environment("STORY_SECRET", "told").output();
        output.expect_code(0);
        assert!(!output.stdout_text().contains("STORY_SECRET"), "{}", output.stdout_text());
        assert!(output.stdout_text().contains("PATH="), "{}", output.stdout_text());
    }

    #[test]
    fn the_search_path_of_the_program_can_be_set() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum_tool("printenv").env("PATH", "/bin:/nowhere").argument("PATH").output();
        output.expect_code(0).expect_stdout("/bin:/nowhere\n");
    }
}

mod directories {
    use super::{Duration, Place, exit, fs, needs_partitions};

    #[test]
    fn the_current_directory_is_the_callers() {
        needs_partitions!();
        let place = Place::new();
        place.file("beside", "it is here\n");
        let output = place.septum("explore").arguments(["where", "-", "read", "beside"]).output();
        output.expect_code(0).expect_stdout(&format!("where {}\nit is here\n", place.path().display()));
    }

    #[test]
    fn another_directory_can_be_chosen() {
        needs_partitions!();
        let place = Place::new();
        let run = place.septum_tool("pwd");
        run.clone().option("--workdir", "/usr/lib").output().expect_code(0).expect_stdout("/usr/lib\n");
        run.clone().option("--workdir", "/tmp").output().expect_code(0).expect_stdout("/tmp\n");
        // What is not there is made in RAM, but not in what is read-only.
        let run_shell = place.septum_tool("sh").arguments(["-c", "pwd; echo kept > file && cat file"]);
        let output = run_shell.option("--workdir", "/no/such/place").output();
        output.expect_code(0).expect_stdout("/no/such/place\nkept\n");
        let missing = place.join("missing");
        let output = run.clone().option("--workdir", &missing).output();
        output.expect_code(exit::PATH).expect_stderr("cannot be made in what is read-only");
        assert!(!missing.exists());
        let output = run.option("--workdir", "/etc/passwd").output();
        output.expect_code(exit::PATH).expect_stderr("/etc/passwd");
    }

    #[test]
    fn a_volume_is_the_hosts_directory_in_both_directions() {
        needs_partitions!();
        let place = Place::new();
        let data = place.directory("data");
        place.file("data/given", "from the host\n");
        let run = place.septum("explore").volume(&data, "/data");
        let output = run.arguments([
            "list",
            "/data",
            "read",
            "/data/given",
            "write",
            "/data/taken",
            "make",
            "/data/new",
        ]);
        output.output().expect_code(0).expect_stdout(
            "list /data: given\nfrom the host\nwrite /data/taken: works\nmake /data/new: works\n",
        );
        assert_eq!(fs::read_to_string(data.join("taken")).expect("the program wrote it"), "written\n");
        assert!(data.join("new").is_dir());
    }

    #[test]
    fn partitions_and_the_host_append_to_one_file_and_nothing_is_lost() {
        use std::io::Write;
        const LINES: usize = 300;
        needs_partitions!();
        let place = Place::new();
        let data = place.directory("data");
        let script = format!("i=0; while [ $i -lt {LINES} ]; do echo $0 $i; i=$((i+1)); done >> /data/log");
        let writers = ["one", "two"].map(|name| {
            let run = place.septum_tool("sh").volume(&data, "/data");
            run.arguments(["-c", &script, name]).spawn()
        });
        let mut log = fs::OpenOptions::new().append(true).create(true).open(data.join("log")).expect("opens");
        for number in 0..LINES {
            log.write_all(format!("host {number}\n").as_bytes()).expect("the host writes");
            std::thread::sleep(Duration::from_millis(1));
        }
        for writer in writers {
            writer.wait().expect_code(0).expect_stdout("");
        }
        let mut lines = std::collections::BTreeMap::<String, usize>::new();
        for line in fs::read_to_string(data.join("log")).expect("it is text").lines() {
            let (writer, number) = line.split_once(' ').expect("a whole line");
            let next = lines.entry(writer.to_owned()).or_default();
            assert_eq!(number, next.to_string(), "of {writer}");
            *next += 1;
        }
        let all = ["host", "one", "two"].map(|name| (name.to_owned(), LINES));
        assert_eq!(lines.into_iter().collect::<Vec<_>>(), all);
    }

    #[test]
    fn what_the_program_makes_belongs_to_the_caller() {
        use std::os::unix::fs::MetadataExt;
        needs_partitions!();
        let place = Place::new();
        let data = place.directory("data");
        let run = place.septum("explore").volume(&data, "/data").arguments([
            "write",
            "/data/file",
            "make",
            "/data/new",
        ]);
        run.output().expect_code(0);
        let ours = fs::metadata(place.path()).expect("it exists");
        for name in ["file", "new"] {
            let theirs = fs::metadata(data.join(name)).expect("it was made");
            assert_eq!((theirs.uid(), theirs.gid()), (ours.uid(), ours.gid()), "{name}");
        }
    }

    #[test]
    fn a_read_only_volume_cannot_be_changed() {
        needs_partitions!();
        let place = Place::new();
        let data = place.directory("data");
        place.file("data/given", "from the host\n");
        let run = place.septum("explore").volume_read_only(&data, "/data");
        let questions =
            ["read", "/data/given", "write", "/data/given", "write", "/data/new", "make", "/data/d"];
        run.arguments(questions).arguments(["remove", "/data/given"]).output().expect_code(0).expect_stdout(
            "from the host\nwrite /data/given: EROFS\nwrite /data/new: EROFS\nmake /data/d: EROFS\n\
             remove /data/given: EROFS\n",
        );
        assert_eq!(fs::read_to_string(data.join("given")).expect("it is there"), "from the host\n");
        assert_eq!(fs::read_dir(&data).expect("it is there").count(), 1);
    }

    #[test]
    fn the_current_directory_is_writable_as_a_volume_only() {
        needs_partitions!();
        let place = Place::new();
        place.file("given", "as it was\n");
        let run = place.septum("explore").arguments(["write", "given", "write", "new", "remove", "given"]);
        run.output()
            .expect_code(0)
            .expect_stdout("write given: EROFS\nwrite new: EROFS\nremove given: EROFS\n");
        assert_eq!(fs::read_to_string(place.join("given")).expect("it is there"), "as it was\n");
        let run = place.septum("explore").volume(place.path(), place.path()).arguments(["write", "given"]);
        run.output().expect_code(0).expect_stdout("write given: works\n");
        assert_eq!(fs::read_to_string(place.join("given")).expect("it is there"), "written\n");
    }

    #[test]
    fn several_volumes_may_lie_in_each_other() {
        needs_partitions!();
        let place = Place::new();
        place.file("one/file", "one\n");
        place.directory("one/two");
        place.file("two/file", "two\n");
        let run = place.septum("explore").volume(place.join("one"), "/data");
        let run =
            run.volume_read_only(place.join("two"), "/data/two").volume(place.join("two"), "/tmp/deep/er");
        let run =
            run.arguments(["read", "/data/file", "read", "/data/two/file", "read", "/tmp/deep/er/file"]);
        let run = run.arguments([
            "write",
            "/data/two/file",
            "write",
            "/tmp/deep/er/file",
            "read",
            "/data/two/file",
        ]);
        run.output().expect_code(0).expect_stdout(
            "one\ntwo\ntwo\nwrite /data/two/file: EROFS\nwrite /tmp/deep/er/file: works\nwritten\n",
        );
    }

    #[test]
    fn relative_and_missing_volumes() {
        needs_partitions!();
        let place = Place::new();
        place.file("data/file", "here\n");
        let run =
            place.septum("explore").option("--volume", "./data:/data").arguments(["read", "/data/file"]);
        run.output().expect_code(0).expect_stdout("here\n");
        let output = place.septum("explore").volume(place.join("absent"), "/data").output();
        output.expect_code(exit::PATH).expect_stderr("absent");
        let output = place.septum("explore").option("--rootfs", place.join("absent")).output();
        output.expect_code(exit::PATH).expect_stderr("absent");
        let file = place.file("file", "no directory");
        let output = place.septum("explore").option("--rootfs", file).output();
        output.expect_code(exit::PATH).expect_stderr("file");
    }

    #[test]
    fn another_root_replaces_everything() {
        needs_partitions!();
        let place = Place::new();
        let root = place.directory("root");
        place.file("root/etc/motto", "a wall between two chambers\n");
        fs::copy(place.guest("explore", septum_tests::Link::Static), root.join("explore"))
            .expect("a program");
        let run = septum_tests::Septum::run("/explore").directory("/").option("--rootfs", &root);
        let run =
            run.arguments(["see", "/usr", "see", "/explore", "read", "/etc/motto", "write", "/etc/motto"]);
        let run = run.arguments(["read", "/etc/motto", "see", "/dev/null", "see", "/proc/self"]);
        run.output().expect_code(0).expect_stdout(
            "see /usr: ENOENT\nsee /explore: file\na wall between two chambers\nwrite /etc/motto: works\nwritten\n\
             see /dev/null: device\nsee /proc/self: link\n",
        );
        let motto = fs::read_to_string(root.join("etc/motto")).expect("it is there");
        assert_eq!(motto, "a wall between two chambers\n", "a root is not written to");
    }
}

mod amounts {
    use super::{Duration, Place, exit, needs_partitions};

    #[test]
    fn the_program_sees_the_memory_it_was_given() {
        needs_partitions!();
        let place = Place::new();
        for (size, mib) in [("64M", 64), ("256M", 256), ("1G", 1024), ("131072K", 128)] {
            let run = place.septum("explore").option("--memory", size).arguments(["read", "/proc/meminfo"]);
            let output = run.output();
            let text = output.expect_code(0).stdout_text();
            let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:")).expect("a total");
            let kib: u64 = total.trim().trim_end_matches(" kB").trim().parse().expect("a number");
            assert!(kib <= mib * 1024 && kib > mib * 1024 * 3 / 4, "{size}: {kib} KiB");
        }
    }

    #[test]
    fn the_program_sees_the_processors_it_was_given() {
        needs_partitions!();
        let place = Place::new();
        let host = std::thread::available_parallelism().map_or(1, usize::from);
        for count in (1..=host.min(3)).map(|count| count.to_string()) {
            let output = place.septum_tool("nproc").option("--cpus", &count).output();
            output.expect_code(0).expect_stdout(&format!("{count}\n"));
        }
    }

    #[test]
    fn more_processors_than_the_host_has_are_refused_with_the_number() {
        needs_partitions!();
        let output = Place::new().septum_tool("true").option("--cpus", "255").output();
        output.expect_code(exit::USAGE).expect_stderr("255").expect_stderr("this host has");
    }

    #[test]
    fn a_name_is_the_host_name() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum_tool("uname").option("--name", "first-chamber").argument("-n").output();
        output.expect_code(0).expect_stdout("first-chamber\n");
    }

    #[test]
    fn a_sleeping_program_is_stopped_in_time() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum("waits").option("--timeout", "3500ms").output();
        output.expect_code(exit::TIMEOUT).expect_stdout("ready\n").expect_stderr("3500ms");
        assert!(output.duration >= Duration::from_millis(3500), "{:?}", output.duration);
    }

    #[test]
    fn a_busy_program_is_stopped_in_time() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum("waits").argument("work").option("--timeout", "3s").output();
        output.expect_code(exit::TIMEOUT).expect_stdout("ready\n");
    }

    #[test]
    fn a_program_that_ignores_every_signal_is_stopped_all_the_same() {
        needs_partitions!();
        let place = Place::new();
        let program = "trap '' HUP INT TERM USR1; echo ready; while :; do :; done";
        let run = place.septum_tool("dash").arguments(["-c", program]).option("--timeout", "5s");
        run.output().expect_code(exit::TIMEOUT).expect_stdout("ready\n");
    }

    #[test]
    fn time_that_is_not_used_changes_nothing() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum("exit_status").argument("7").option("--timeout", "1h").output();
        output.expect_code(7);
        assert!(output.stderr.is_empty(), "{}", output.stderr_text());
    }
}

mod reports {
    use super::{Place, needs_partitions};

    #[test]
    fn without_being_asked_septum_says_nothing() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum("unknown_calls").output();
        output.expect_code(0);
        assert!(output.stderr.is_empty(), "{}", output.stderr_text());
    }

    #[test]
    fn missing_system_calls_are_listed_when_asked() {
        needs_partitions!();
        let place = Place::new();
        let output = place.septum("unknown_calls").flag("-v").output();
        output.expect_code(0).expect_stderr("600").expect_stderr("ENOSYS");
        let native = place.native("unknown_calls").run();
        output.expect_stdout(&native.stdout_text());
    }
}
