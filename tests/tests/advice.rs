//! What people are told when something fails: each failure is made to happen, and the command that helps is in the message.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use septum_tests::{Host, Invocation, Output, exit, lane, needs_partitions};

/// What failed is told, and this is to be done.
#[track_caller]
fn expect_hint(output: &Output, code: i32, problem: &str, hint: &str) {
    output.expect_code(code).expect_stderr(problem);
    let text = output.stderr_text();
    let (_, told) = text.split_once("\nhint: ").unwrap_or_else(|| panic!("no hint: {text}"));
    assert!(told.contains(hint), "not '{hint}': {told}");
    assert!(!output.stdout_text().contains("hint: "), "hints are for standard error");
}

mod names {
    use super::{Host, exit, expect_hint, needs_partitions};

    #[test]
    fn of_commands_and_options() {
        let host = Host::new();
        for (line, problem, hint) in [
            (&["rnu", "true"][..], "no command 'rnu'", "did you mean 'septum run'?"),
            (&["volume", "creat"], "no command 'creat'", "did you mean 'septum volume create'?"),
            (&["image", "lst"], "'septum image' has no command 'lst'", "did you mean 'septum image ls'?"),
            (&["images"], "no command 'images'", "septum image ls"),
            (&["build", "."], "no command 'build'", "septum image build"),
            (&["python3", "x.py"], "no command 'python3'", "septum run -- python3"),
            (&["run", "--memroy", "1G", "true"], "no option '--memroy'", "did you mean '--memory'?"),
            (&["ps", "--al"], "no option '--al'", "'septum ps --help' tells all"),
            (&["ps", "--format", "tabel"], "'tabel' is not possible", "did you mean 'table'?"),
            (&["run", "--privilege", "ring1", "true"], "'ring1'", "--help"),
            (&["logs"], "<PARTITION> is missing", "septum logs"),
            (&["image", "tag", "a"], "<NAME[:TAG]> is missing", "septum image tag"),
        ] {
            expect_hint(&host.septum(line).run(), exit::USAGE, problem, hint);
        }
    }

    #[test]
    fn of_partitions() {
        needs_partitions!();
        let host = Host::new();
        host.start(&["--name", "database"], &["sleep", "60"]);
        let problem = "there is no partition 'databse'";
        for command in
            ["logs", "stop", "kill", "pause", "unpause", "wait", "rm", "inspect", "attach", "stats"]
        {
            let output = host.septum(&[command, "databse"]).run();
            expect_hint(&output, exit::USAGE, problem, "did you mean 'database'?");
        }
        expect_hint(&host.septum(&["exec", "databse", "ls"]).run(), exit::USAGE, problem, "'database'");
        expect_hint(&host.septum(&["cp", "databse:/a", "."]).run(), exit::USAGE, problem, "'database'");
        expect_hint(&host.septum(&["logs", "zebra"]).run(), exit::USAGE, "'zebra'", "septum ps -a");
    }

    #[test]
    fn of_contexts() {
        let host = Host::new();
        let septum = |line: &[&str]| {
            let config = host.place.join("config");
            host.septum(line)
                .environment("XDG_CONFIG_HOME", &config)
                .environment("HOME", host.place.path())
                .run()
        };
        septum(&["context", "create", "office", "unix:/nowhere/socket"]).expect_code(0);
        for line in
            [&["context", "use", "ofice"][..], &["context", "rm", "offcie"], &["--context", "offic", "ps"]]
        {
            let output = septum(line);
            assert_ne!(output.code(), 0);
            output.expect_stderr("there is no such context").expect_stderr("hint: did you mean 'office'?");
        }
    }

    #[test]
    fn of_volumes_and_images() {
        let host = Host::new();
        host.ask(&["volume", "create", "models"]);
        let output = host.septum(&["volume", "rm", "model"]).run();
        expect_hint(&output, exit::PATH, "there is no volume 'model'", "did you mean 'models'?");
        let output = host.septum(&["volume", "inspect", "mdoels"]).run();
        expect_hint(&output, exit::PATH, "there is no volume 'mdoels'", "did you mean 'models'?");
        let output = host.septum(&["image", "rm", "tools"]).run();
        expect_hint(&output, exit::PATH, "there is no image 'tools:latest'", "septum image build");
        let output = host.septum(&["run", "--image", "tools", "true"]).run();
        expect_hint(&output, exit::PATH, "there is no image 'tools:latest'", "septum image build");
    }

    #[test]
    fn of_images_that_there_are() {
        let host = Host::new();
        host.place.file("root/etc/motd", "hello\n");
        let built = host.septum(&["image", "build", "root", "-t", "tools", "-q"]).run();
        if built.stderr_text().contains("no program mkfs.erofs") {
            return super::lane::skip("there is no mkfs.erofs");
        }
        built.expect_code(0);
        for line in [
            &["image", "inspect", "tolos"][..],
            &["image", "rm", "tool"],
            &["run", "--image", "toolz", "true"],
        ] {
            expect_hint(&host.septum(line).run(), exit::PATH, "there is no image", "did you mean 'tools'?");
        }
    }

    #[test]
    fn of_programs() {
        needs_partitions!();
        let host = Host::new();
        let output = host.septum(&["run", "--", "slepe", "1"]).run();
        expect_hint(&output, exit::PROGRAM, "there is no such program in ", "did you mean 'sleep'?");
        output.expect_stderr("/usr/bin");
        expect_hint(
            &host.septum(&["run", "--", "no-such-program-at-all"]).run(),
            exit::PROGRAM,
            "/usr/bin",
            "install it",
        );
    }
}

mod ends {
    use super::{Host, Invocation, PermissionsExt, exit, expect_hint, fs, lane, needs_partitions};

    /// Takes more memory than there is, and writes to it.
    const GREEDY: &str = "x=x; while :; do x=$x$x; done";

    #[test]
    fn by_memory() {
        needs_partitions!();
        let host = Host::new();
        let output =
            host.septum(&["run", "--memory", "48M", "-e", "TOKEN=secret", "--", "sh", "-c", GREEDY]).run();
        let again = "septum run -e TOKEN=… --memory 96M -- sh -c 'x=x; while :; do x=$x$x; done'";
        expect_hint(&output, exit::OUT_OF_MEMORY, "the partition's 48M are used up", again);
        assert!(!output.stderr_text().contains("secret"), "{}", output.stderr_text());

        host.septum(&["run", "-d", "--name", "job", "--memory", "48M", "--", "sh", "-c", GREEDY])
            .run()
            .expect_code(0);
        assert_eq!(host.ask(&["wait", "job"]), "250");
        let listed = host.ask(&["ps", "-a"]);
        assert!(listed.contains("exited (250, out of memory)"), "{listed}");
        let inspected = host.ask(&["inspect", "job"]);
        assert!(inspected.contains("the partition's 48M are used up"), "{inspected}");
        let next = "septum run -d --name job --memory 96M … -- sh …";
        assert!(inspected.contains(next), "{inspected}");
        let suggested = host.ask(&["suggest"]);
        assert!(
            suggested.contains(next) && suggested.contains("partition job: the program was killed"),
            "{suggested}"
        );
        let output = host.septum(&["exec", "job", "true"]).run();
        expect_hint(&output, exit::USAGE, "it has ended, with status 250 (out of memory)", "septum logs job");
        output.expect_stderr("septum run -d --name job");
    }

    #[test]
    fn by_memory_that_is_too_little_or_not_to_be_had() {
        needs_partitions!();
        let host = Host::new();
        let output = host.septum(&["run", "--memory", "1M", "--", "true"]).run();
        expect_hint(&output, exit::MEMORY, "the least is 16M", "septum run --memory 16M -- true");
        let output = host.septum(&["run", "--memory", "100T", "--", "true"]).run();
        expect_hint(&output, exit::MEMORY, "100T of memory", "'septum doctor' tells how much the host has");
        let output = host.septum(&["run", "--memory", "100G", "--hugepages", "--", "true"]).run();
        output.expect_code(exit::MEMORY).expect_stderr("hint: ");
        assert!(!output.stderr_text().contains("give it more"), "{}", output.stderr_text());
    }

    #[test]
    fn by_time() {
        needs_partitions!();
        let host = Host::new();
        let output = host.septum(&["run", "--timeout=1s", "--", "sleep", "60"]).run();
        expect_hint(
            &output,
            exit::TIMEOUT,
            "its time limit of 1s passed",
            "septum run --timeout 2s -- sleep 60",
        );
    }

    #[test]
    fn by_rules_of_the_network() {
        needs_partitions!();
        let host = Host::new();
        // As bash connects.
        let line =
            ["run", "--allow-net", "192.0.2.1:80", "--", "bash", "-c", "exec 3<>/dev/tcp/192.0.2.2/443"];
        let output = host.septum(&line).run();
        let again = "septum run --allow-net 192.0.2.1:80 --allow-net 192.0.2.2:443 -- bash -c ";
        expect_hint(&output, 1, "connection to 192.0.2.2:443 refused", again);

        host.septum(&[&["run", "-d", "--name", "job"], &line[1..]].concat()).run().expect_code(0);
        assert_eq!(host.ask(&["wait", "job"]), "1");
        assert!(host.ask(&["ps", "-a"]).contains("exited (1, connections refused)"));
        assert!(host.ask(&["inspect", "job"]).contains("--allow-net 192.0.2.2:443"));
    }

    #[test]
    fn by_a_name_that_is_taken() {
        needs_partitions!();
        let host = Host::new();
        host.start(&["--name", "job"], &["sleep", "60"]);
        let run = ["run", "--name", "job", "--", "true"];
        let output = host.septum(&run).run();
        expect_hint(&output, exit::PATH, "the name 'job' is taken", "'septum stop job' ends that one");
        output.expect_stderr("septum run --name job-2 -- true");
        let output = host.septum(&["run", "-d", "--name=job", "--", "true"]).run();
        expect_hint(&output, exit::PATH, "the name 'job' is taken", "septum run -d --name job-2 -- true");
        expect_hint(&host.septum(&["rm", "job"]).run(), exit::USAGE, "it is running", "septum stop job");
        host.ask(&["stop", "-t", "0", "job"]);
        // What is over does not need its name any more.
        host.septum(&run).run().expect_code(0);
    }

    /// Runs `septum run -- true` after something was done to the host as this process sees it.
    fn after(host: &Host, preparation: &str) -> Option<super::Output> {
        let septum = host.place.join("septum");
        fs::copy(lane::septum_binary(), &septum).expect("the binary can be copied");
        fs::set_permissions(host.place.path(), fs::Permissions::from_mode(0o755))
            .expect("the mode can be set");
        let script = format!("{preparation} && exec \"$0\" run -- true");
        let output = Invocation::new("unshare").arguments([
            "--user",
            "--map-root-user",
            "--mount",
            "sh",
            "-c",
            &script,
        ]);
        let output = output
            .argument(&septum)
            .directory("/usr")
            .environment("SEPTUM_RUNTIME_DIR", host.place.join("run"))
            .run();
        let is_refused = output.stderr_text().contains("unshare: ") || output.stderr_text().contains("sh: ");
        if is_refused { None } else { Some(output) }
    }

    #[test]
    fn by_a_host_that_may_make_no_network_namespace() {
        needs_partitions!();
        let host = Host::new();
        let Some(output) = after(&host, "echo 0 > /proc/sys/user/max_net_namespaces") else {
            return lane::skip("this user may not make a user namespace with limits of its own");
        };
        expect_hint(
            &output,
            exit::HOST,
            "cannot make a network namespace",
            "septum run --jail degraded -- true",
        );
    }
}

mod quiet {
    use super::{Host, exit, needs_partitions};

    #[test]
    fn those_who_want_no_hints_get_none() {
        needs_partitions!();
        let host = Host::new();
        let quiet = host.septum(&["run", "-q", "--timeout", "100ms", "--", "sleep", "60"]).run();
        let by_variable = host.septum(&["logs", "nobody"]).environment("SEPTUM_HINTS", "off").run();
        for (output, code) in [(quiet, exit::TIMEOUT), (by_variable, exit::USAGE)] {
            output.expect_code(code).expect_stderr("septum: ");
            assert!(!output.stderr_text().contains("hint: "), "{}", output.stderr_text());
        }
    }
}

mod history {
    use std::os::unix::fs::MetadataExt as _;

    use super::{Host, fs, needs_partitions};

    #[test]
    fn is_kept_by_names_alone_and_forgotten() {
        needs_partitions!();
        let host = Host::new();
        let file = host.place.join("data/history");
        // Scripts leave nothing.
        host.ask(&["ps"]);
        assert!(!file.exists());
        let lines: [&[&str]; 4] = [
            &[
                "run",
                "--name",
                "a-name",
                "--env",
                "TOKEN=a-secret",
                "--label",
                "a=label",
                "--",
                "true",
                "--password",
                "word",
            ],
            &["ps", "-a"],
            &["volume", "create", "a-volume"],
            &["logs", "a-partition"],
        ];
        for line in lines {
            host.septum(line).environment("SEPTUM_HISTORY", "on").run();
        }
        host.septum(&["ps"]).environment("SEPTUM_HISTORY", "off").run().expect_code(0);
        let text = fs::read_to_string(&file).expect("it is there");
        let shapes: Vec<&str> = text.lines().filter_map(|line| line.splitn(3, ' ').nth(2)).collect();
        let expected = [
            "0 run --env --label --name --program",
            "0 ps --all",
            "0 volume create --name",
            "241 logs --partition",
        ];
        assert_eq!(shapes, expected);
        for secret in ["a-name", "secret", "TOKEN", "label=", "a-volume", "a-partition", "password", "true"] {
            assert!(!text.contains(secret), "'{secret}' is in {text}");
        }
        assert_eq!(fs::metadata(&file).expect("it is there").mode() & 0o7777, 0o600);
        assert_eq!(host.ask(&["suggest", "--forget"]), "forgotten: 4 commands");
        assert!(!file.exists());
    }

    #[test]
    fn is_of_what_is_typed_at_a_terminal() {
        needs_partitions!();
        let host = Host::new();
        let septum = super::lane::septum_binary();
        let at_terminal = format!("script -qec '{} run -- true' /dev/null", septum.display());
        let output = host.in_shell("sh", &at_terminal).run();
        if output.stderr_text().contains("script: ") {
            return super::lane::skip("there is no program script to make a terminal");
        }
        output.expect_code(0);
        let text = fs::read_to_string(host.place.join("data/history")).expect("it is there");
        assert!(text.ends_with(" 0 run --program\n") && text.lines().count() == 1, "{text}");
    }

    #[test]
    fn is_what_suggestions_come_from() {
        needs_partitions!();
        let host = Host::new();
        for _ in 0..3 {
            host.septum(&["volume", "ls"]).environment("SEPTUM_HISTORY", "on").run().expect_code(0);
            host.septum(&["ps", "-a"]).environment("SEPTUM_HISTORY", "on").run().expect_code(0);
        }
        let suggested = host.ask(&["suggest", "-n", "1"]);
        assert_eq!(
            suggested,
            "septum volume ls\n    after 'septum volume ls' and 'septum ps' you have typed this 2 of 2 times"
        );
        assert!(host.ask(&["suggest", "--json"]).contains("\"command\": \"septum volume ls\""));
    }
}
