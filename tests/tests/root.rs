//! What a program sees of the host's files, and what it does not.

use std::fs;
use std::path::Path;

use septum_tests::{Input, Invocation, Link, Place, Running, Septum, needs_partitions};

#[test]
fn private_places_of_the_host_are_not_there() {
    needs_partitions!();
    let place = Place::new();
    let places = ["/home", "/root", "/sys/block", "/sys/class/block", "/sys/class/net"];
    let output = place.septum("explore").arguments(places.iter().flat_map(|place| ["list", place])).output();
    let text = output.expect_code(0).stdout_text();
    for line in text.lines() {
        let (question, answer) = line.split_once(':').expect("an answer");
        assert!(answer.trim().is_empty() || answer == " ENOENT", "{question} shows {answer}");
    }
    let secrets =
        ["see", "/etc/shadow", "see", "/etc/ssh", "see", "/proc/kcore", "see", "/dev/kvm", "see", "/dev/mem"];
    let output = place.septum("explore").arguments(secrets).output();
    for line in output.expect_code(0).stdout_text().lines() {
        assert!(line.ends_with(": ENOENT"), "{line}");
    }
}

#[test]
fn processes_of_the_host_are_not_there() {
    needs_partitions!();
    let place = Place::new();
    let own = std::process::id().to_string();
    let output = place.septum("explore").arguments(["see", &format!("/proc/{own}/cmdline")]).output();
    let text = output.expect_code(0).stdout_text();
    // The number may be the program's own.
    let output = place.septum("explore").arguments(["read", &format!("/proc/{own}/cmdline")]).output();
    assert!(text.ends_with(": ENOENT\n") || output.stdout_text().starts_with("./explore"), "{text}");
}

#[test]
fn neighbours_of_the_current_directory_are_not_there() {
    needs_partitions!();
    let place = Place::new();
    place.file("secret", "not for the program\n");
    let inside = place.directory("inside");
    place.file("inside/seen", "for the program\n");
    std::os::unix::fs::symlink(place.join("secret"), inside.join("tempting")).expect("a link");
    std::os::unix::fs::symlink("../secret", inside.join("relative")).expect("a link");
    fs::copy(place.guest("explore", Link::Static), inside.join("explore")).expect("a program");
    let run = Septum::run("./explore").directory(&inside).arguments(["read", "seen", "see", "../secret"]);
    let run = run.arguments(["read", "tempting", "read", "relative", "see", "../../../../../../etc/shadow"]);
    run.output().expect_code(0).expect_stdout(
        "for the program\nsee ../secret: ENOENT\nread tempting: ENOENT\nread relative: ENOENT\n\
         see ../../../../../../etc/shadow: ENOENT\n",
    );
}

#[test]
fn a_link_in_a_volume_leads_nowhere_on_the_host() {
    needs_partitions!();
    let place = Place::new();
    let data = place.directory("data");
    let secret = place.file("secret", "as it was\n");
    std::os::unix::fs::symlink(&secret, data.join("link")).expect("a link");
    std::os::unix::fs::symlink("/", data.join("root")).expect("a link");
    fs::copy(place.guest("explore", Link::Static), data.join("explore")).expect("a program");
    let inner = data.join("root").join(secret.strip_prefix("/").expect("an absolute path"));
    let run = Septum::run("/data/explore").directory("/").volume(&data, "/data");
    let run =
        run.arguments(["read", "/data/link", "write", "/data/link", "read", &inner.display().to_string()]);
    let output = run.output();
    let text = output.expect_code(0).stdout_text();
    assert!(!text.contains("as it was"), "{text}");
    assert_eq!(fs::read_to_string(&secret).expect("it is there"), "as it was\n");
}

/// Only new files with names of our own: should the wall have a hole, nothing of the host's is lost.
#[test]
fn what_is_written_among_the_hosts_files_lands_in_ram() {
    needs_partitions!();
    let place = Place::new();
    let name = format!("/usr/story-{}", std::process::id());
    let etc = format!("/etc/story-{}", std::process::id());
    let questions = ["write", &name, "read", &name, "see", "/usr/bin/env", "write", &etc, "read", &etc];
    place.septum("explore").arguments(questions).output().expect_code(0).expect_stdout(&format!(
        "write {name}: works\nwritten\nsee /usr/bin/env: file\nwrite {etc}: works\nwritten\n"
    ));
    for path in [&name, &etc] {
        let leaked = fs::remove_file(path).is_ok();
        assert!(!leaked, "{path} was on the host");
    }
    let output =
        place.septum("explore").arguments(["see", &name, "see", "/usr/bin/env", "see", &etc]).output();
    output.expect_stdout(&format!("see {name}: ENOENT\nsee /usr/bin/env: file\nsee {etc}: ENOENT\n"));
}

#[test]
fn files_of_the_root_can_be_changed_and_removed_in_ram_only() {
    needs_partitions!();
    let place = Place::new();
    let root = place.directory("root");
    for name in ["changed", "removed", "folder/kept"] {
        place.file(Path::new("root").join(name), "as it was\n");
    }
    fs::copy(place.guest("explore", Link::Static), root.join("explore")).expect("a program");
    let run = Septum::run("/explore").directory("/").option("--rootfs", &root);
    let run =
        run.arguments(["write", "/changed", "read", "/changed", "remove", "/removed", "see", "/removed"]);
    let run =
        run.arguments(["write", "/removed", "read", "/removed", "write", "/folder/new", "list", "/folder"]);
    run.output().expect_code(0).expect_stdout(
        "write /changed: works\nwritten\nremove /removed: works\nsee /removed: ENOENT\nwrite /removed: works\nwritten\n\
         write /folder/new: works\nlist /folder: kept new\n",
    );
    for name in ["changed", "removed", "folder/kept"] {
        assert_eq!(fs::read_to_string(root.join(name)).expect("it is there"), "as it was\n", "{name}");
    }
    assert!(!root.join("folder/new").exists());
}

#[test]
fn temporary_places_are_empty_writable_and_gone_afterwards() {
    needs_partitions!();
    let place = Place::new();
    place.guest("explore", Link::Static);
    let name = format!("story-{}", std::process::id());
    for folder in ["/tmp", "/var/tmp", "/run", "/home", "/dev/shm"] {
        let path = format!("{folder}/{name}");
        let output = place.septum_tool("./explore").arguments(["write", &path, "read", &path]).output();
        output.expect_code(0).expect_stdout(&format!("write {path}: works\nwritten\n"));
        let leaked = fs::remove_file(&path).is_ok();
        assert!(!leaked, "{path} was on the host");
        place
            .septum_tool("./explore")
            .arguments(["see", &path])
            .output()
            .expect_stdout(&format!("see {path}: ENOENT\n"));
    }
    // Started elsewhere, nothing of the caller's is below /tmp.
    let output = Septum::run("ls").argument("-A").argument("/tmp").directory("/usr").output();
    output.expect_code(0).expect_stdout("");
}

#[test]
fn devices_are_few() {
    needs_partitions!();
    let place = Place::new();
    let output = place.septum("explore").arguments(["list", "/dev"]).output();
    let text = output.expect_code(0).stdout_text();
    let names: Vec<_> = text.trim().trim_start_matches("list /dev:").split_whitespace().collect();
    for expected in ["null", "zero", "full", "random", "urandom", "tty", "stdin", "stdout", "stderr", "fd"] {
        assert!(names.contains(&expected), "/dev/{expected} is missing: {text}");
    }
    assert!(names.len() < 20, "{text}");
}

#[test]
fn the_named_accounts_of_the_host_are_known() {
    needs_partitions!();
    let place = Place::new();
    let native = septum_tests::Invocation::new("/usr/bin/id").arguments(["-un"]).run();
    let output = place.septum_tool("id").argument("-un").output();
    output.expect_code(0).expect_stdout(&native.stdout_text());
}

#[test]
fn a_mapped_file_that_the_host_cuts_is_sigbus_and_nobody_else_notices() {
    needs_partitions!();
    let place = Place::new();
    let directory = place.directory("shared");
    let program = directory.join("vanishing");
    fs::copy(place.guest("vanishing", Link::Static), &program).expect("a program");
    let cut_as_asked = |mut running: Running| {
        for (asked, length) in [(24 << 20) / 2 - 8192 + 10, 24 << 20].into_iter().cycle().take(4).enumerate()
        {
            running.wait_for_stdout(&format!("{}: length {length}, please\n", asked + 1));
            let file = fs::OpenOptions::new()
                .write(true)
                .open(directory.join("vanishing.data"))
                .expect("the program's file");
            file.set_len(length).expect("a file of another length");
            running.write(b"done\n");
        }
        let output = running.wait();
        output.expect_code(0).stdout_text()
    };
    // A software KVM gives up at a locked instruction of its ring 0 on a page that is gone.
    let is_emulated = std::env::var_os("SEPTUM_PRIVILEGE").is_some_and(|mode| mode == "ring0");
    let argument = if is_emulated { "asking" } else { "asking, with futexes" };
    let native = Invocation::new(&program).argument(argument).directory(&directory).stdin(Input::Held);
    let native = cut_as_asked(native.spawn());
    assert_eq!(native.matches("SIGBUS there").count(), 5, "{native}");
    let run = Septum::run("./vanishing").argument(argument).directory(&directory).stdin(Input::Held);
    let run = run.volume(&directory, &directory).flag("--verbose");
    assert_eq!(cut_as_asked(run.spawn()), native);
}
