//! Volumes that begin with what an image has in their place, and those that nobody names.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use rustix::process::Signal;
use septum_tests::{exit, needs_partitions};

use crate::needs_tools;
use crate::store::{Images, busybox};

/// An image with files below `/srv/app` and a link to it, which declares `/srv/app` and `/var/empty` to be volumes.
fn build(images: &Images) {
    let base = images.place.directory("base");
    busybox(&base);
    images.place.file("base/srv/app/inner/file", "of the image\n");
    let program = images.place.file("base/srv/app/program", "#!/bin/sh\necho runs\n");
    fs::set_permissions(&program, fs::Permissions::from_mode(0o750)).expect("it is ours");
    fs::hard_link(&program, base.join("srv/app/same")).expect("a link");
    symlink("/etc/passwd", base.join("srv/app/link")).expect("a link");
    symlink("/srv/app", base.join("app")).expect("a link");
    images.place.directory("base/var/empty");
    fs::set_permissions(base.join("srv/app"), fs::Permissions::from_mode(0o2775)).expect("it is ours");
    let recipe = "base = \"base\"\nentrypoint = [\"sh\", \"-c\"]\n\
                  [[copy]]\nfrom = \"base/srv/app/inner/file\"\nto = \"/srv/app/owned\"\nowner = \"41:42\"\n";
    images.build(images.place.file("plain.toml", recipe), "plain");
    let recipe = format!("volumes = [\"/srv/app\", \"/var/empty\"]\n{recipe}");
    images.build(images.place.file("app.toml", recipe), "app");
}

fn volumes(images: &Images) -> Vec<String> {
    let output = images.septum(&["volume", "ls", "-q"]).run();
    output.expect_code(0).stdout_text().lines().map(str::to_owned).collect()
}

const LOOK: &str =
    "cd /srv/app; cat inner/file owned; stat -c '%a %u %g %h' . program owned; ./same; ls -l link";

#[test]
fn a_new_volume_begins_with_what_the_image_has() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    build(&images);
    let run = |options: &[&str], script: &str| images.run([options, &["plain", script]].concat()).run();
    let seen = run(&[], LOOK).stdout_text();
    assert!(seen.contains("of the image\nof the image\n2775 0 0 "), "{seen}");
    run(&["--volume", "files:/srv/app"], &format!("{LOOK}; echo more >> inner/file; rm same"))
        .expect_code(0)
        .expect_stdout(&seen);
    // What is in it stays what it is, at any place and with any image.
    let kept = "cat /app/inner/file; test -e /app/same || echo gone";
    run(&["--volume", "files:/srv/app"], kept).expect_stdout("of the image\nmore\ngone\n");
    run(&["--mount", "source=files,target=/app"], kept).expect_stdout("of the image\nmore\ngone\n");
    // A link leads to what is copied; one that was made before is as empty as a new one.
    images.septum(&["volume", "create", "linked"]).run().expect_code(0);
    run(&["--volume", "linked:/app"], "cat /app/owned").expect_stdout("of the image\n");
    run(&["--mount", "source=none,target=/srv/app,volume-nocopy"], "ls -A /srv/app").expect_stdout("");
    run(&["--volume", "elsewhere:/new"], "ls -A /new").expect_stdout("");
    let own = images.place.directory("own");
    run(&["--volume", &format!("{}:/srv/app", own.display())], "ls -A /srv/app").expect_stdout("");
    assert_eq!(volumes(&images), ["elsewhere", "files", "linked", "none"]);
}

#[test]
fn volumes_that_nobody_names_go_with_their_partition() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    build(&images);
    let run = |options: &[&str], script: &str| images.run([options, &["app", script]].concat()).run();
    let script = "echo changed > /srv/app/inner/file; cat /srv/app/inner/file; echo x > /var/empty/x; echo y > /more/y";
    run(&["--volume", "/more"], script).expect_code(0).expect_stdout("changed\n");
    run(&["--read-only", "--mount", "target=/more"], script).expect_code(0).expect_stdout("changed\n");
    run(&[], "cat /srv/app/inner/file; ls /var/empty").expect_stdout("of the image\n");
    assert_eq!(volumes(&images), [""; 0]);
    // The command line's comes before the image's.
    run(&["--volume", "own:/srv/app", "--tmpfs", "/var/empty"], "true").expect_code(0);
    assert_eq!(volumes(&images), ["own"]);
    // What cannot start leaves none, and neither does one that is killed.
    images.run(["--entrypoint", "/missing", "app"]).run().expect_code(exit::PROGRAM);
    let running = images.run(["--volume", "/more", "app", "echo begun; sleep 1000"]).spawn();
    running.wait_for_stdout("begun");
    assert_eq!(volumes(&images).len(), 4);
    running.signal(Signal::TERM);
    running.signal(Signal::TERM);
    running.wait();
    assert_eq!(volumes(&images), ["own"]);
}

#[test]
fn in_the_background_they_stay_until_they_are_removed() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    build(&images);
    let septum = |line: &str| {
        let output = images.septum(&line.split(' ').collect::<Vec<_>>()).run();
        output.expect_code(0);
        output.stdout_text()
    };
    for name in ["one", "two", "three"] {
        septum(&format!("run -d --name {name} app true"));
        septum(&format!("wait {name}"));
    }
    assert_eq!(volumes(&images).len(), 6);
    septum("rm -v one");
    assert_eq!(volumes(&images).len(), 4);
    septum("rm two");
    assert_eq!(volumes(&images).len(), 4);
    septum("run -d --rm --name four --volume kept:/kept app true");
    let end = std::time::Instant::now() + std::time::Duration::from_secs(60);
    while septum("ps -a -q").lines().count() > 1 {
        assert!(std::time::Instant::now() < end, "it never ends");
    }
    assert_eq!(volumes(&images).len(), 5);
    septum("volume prune --force");
    assert_eq!(volumes(&images), ["kept"]);
}
