//! Images from what container tools write, from recipes, and by builds that are killed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use septum_tests::{exit, needs_partitions};

use crate::hostile::{archive, member};
use crate::needs_tools;
use crate::store::{Images, busybox};

/// Runs a tool that must succeed.
#[track_caller]
fn tool(folder: &Path, line: &str) {
    let mut words = line.split(' ');
    let mut command = Command::new(words.next().expect("a program"));
    command.args(words).current_dir(folder).stdin(Stdio::null());
    let output = command.output().unwrap_or_else(|error| panic!("{line}: {error}"));
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
}

/// An OCI layout of three layers by umoci: a root, a file that hides another, a directory that hides all that was in it.
fn layout(images: &Images) {
    let folder = images.place.path();
    busybox(&images.place.directory("root"));
    images.place.file("root/etc/gone", "hidden\n");
    images.place.file("root/etc/kept", "kept\n");
    images.place.file("root/srv/old", "hidden\n");
    images.place.file("srv/new", "new\n");
    for line in [
        "umoci init --layout layout",
        "umoci new --image layout:latest",
        "umoci insert --image layout:latest root /",
        "umoci insert --image layout:latest --whiteout /etc/gone",
        "umoci insert --image layout:latest --opaque srv /srv",
        "umoci config --image layout:latest --config.entrypoint /bin/sh --config.entrypoint -c --config.cmd env \
         --config.env COLOUR=blue --config.workingdir /srv --config.user 7:8 --config.label a=b",
        "umoci gc --layout layout",
    ] {
        tool(folder, line);
    }
}

/// What the image of [`layout`] must look like.
#[track_caller]
fn expect_layout(images: &Images, name: &str) {
    let script = "ls /etc /srv; cat /etc/kept new; id -u; id -g; pwd; echo $COLOUR";
    let output = images.run([name, script]).run();
    let expected = "/etc:\nhostname\nhosts\nkept\nresolv.conf\n\n/srv:\nnew\nkept\nnew\n7\n8\n/srv\nblue\n";
    output.expect_code(0).expect_stdout(expected);
    let environment = images.run([name]).run();
    environment.expect_code(0);
    assert!(environment.stdout_text().contains("COLOUR=blue\n"), "{}", environment.stdout_text());
}

#[test]
fn layouts_and_archives_of_container_tools() {
    needs_tools!("busybox", "mkfs.erofs", "umoci", "skopeo");
    needs_partitions!();
    let images = Images::new();
    let folder = images.place.path().to_owned();
    layout(&images);
    let first = images.build(folder.join("layout"), "layout");
    expect_layout(&images, "layout");
    for line in [
        "skopeo --insecure-policy copy oci:layout:latest docker-archive:docker.tar:some/name:tag",
        "skopeo --insecure-policy copy oci:layout:latest oci-archive:oci.tar:latest",
        "skopeo --insecure-policy copy --dest-compress-format zstd oci:layout:latest oci:zstd:latest",
    ] {
        tool(&folder, line);
    }
    tool(&folder, "gzip -k docker.tar");
    for source in ["docker.tar", "oci.tar", "zstd", "docker.tar.gz"] {
        images.build(folder.join(source), "again");
        expect_layout(&images, "again");
    }
    assert_eq!(images.build(folder.join("layout"), "twice"), first, "the same source is the same image");

    // What we export is what these tools and we take.
    images.image(["export", "layout", "-o", "exported.tar"]).run().expect_code(0);
    tool(&folder, "skopeo --insecure-policy copy docker-archive:exported.tar oci:back:latest");
    tool(&folder, "skopeo --insecure-policy copy oci-archive:exported.tar oci:forth:latest");
    for source in ["exported.tar", "back", "forth"] {
        assert_eq!(images.build(folder.join(source), "back"), first, "{source}");
    }
    images.image(["rm", &first]).run().expect_code(0);

    // A bit of a layer, and a layer that is not there.
    let blobs = fs::read_dir(folder.join("layout/blobs/sha256")).expect("blobs");
    let largest = blobs.flatten().max_by_key(|blob| blob.metadata().map_or(0, |metadata| metadata.len()));
    let largest = largest.expect("a blob").path();
    let mut bytes = fs::read(&largest).expect("a blob");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&largest, &bytes).expect("a blob");
    images.refuse(folder.join("layout"), &[], &["is damaged"]);
    fs::write(&largest, &bytes[..middle]).expect("a blob");
    images.refuse(folder.join("layout"), &[], &["is damaged", "bytes, and should have"]);
    fs::remove_file(&largest).expect("a blob");
    images.refuse(folder.join("layout"), &[], &["it has no 'blobs/sha256/"]);
}

#[test]
fn an_archive_made_by_hand_keeps_everything() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    let program = fs::read("/bin/busybox").expect("busybox");
    let long = format!("{}/{}", "d".repeat(90), "n".repeat(120));
    let pax = |key: &str, value: &str| {
        let rest = format!(" {key}={value}\n");
        let len = (1..).find(|digits| (rest.len() + digits).to_string().len() == *digits).expect("digits")
            + rest.len();
        format!("{len}{rest}")
    };
    let records =
        [pax("path", &long), pax("mtime", "1000000000.5"), pax("SCHILY.xattr.user.colour", "blue\nand red")];
    let records =
        [records.concat(), pax("SCHILY.xattr.security.septum", "guarded"), pax("uid", "4000000000")].concat();
    let layer = archive(&[
        member("bin/busybox", b'0', "", &program),
        member("bin/sh", b'2', "busybox", b""),
        member("pax", b'x', "", records.as_bytes()),
        member("short", b'0', "", b"attributes\n"),
        member("hard", b'1', "bin/busybox", b""),
        member("null", b'3', "", b""),
        member("fifo", b'6', "", b""),
        member("empty/", b'5', "", b""),
    ]);
    images.build(images.place.file("root.tar", layer), "made");
    let script = format!(
        "set -e; b=/bin/busybox; $b stat -c '%u %Y %a %s' /{long}; $b cat /{long}; $b cmp /hard $b; \
         $b stat -c '%h %F' /hard; $b stat -c '%F %t %T' /null; $b stat -c %F /fifo; echo x > /null; $b ls -A /empty"
    );
    let output = images.shell("made", &script);
    let expected =
        "4000000000 1000000000 755 11\nattributes\n2 regular file\ncharacter special file 1 3\nfifo\n";
    output.expect_code(0).expect_stdout(expected);
}

#[test]
fn recipes_put_files_on_a_base() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    busybox(&images.place.directory("base"));
    images.place.file("base/etc/passwd", "root:x:0:0::/root:/bin/sh\nada:x:41:42::/home/ada:/bin/sh\n");
    images
        .place
        .file("app/main.sh", "echo $0 $NAME $1; id -u; id -g; echo $HOME; stat -c '%u %g' /app/main.sh\n");
    let recipe = "base = \"base\"\nentrypoint = [\"sh\", \"/app/main.sh\"]\ncommand = [\"standard\"]\nuser = \"ada\"\n\
                  workdir = \"/app\"\n[[copy]]\nfrom = \"app\"\nto = \"/\"\n[[copy]]\nfrom = \"app/main.sh\"\nto = \"/app/main.sh\"\n\
                  owner = \"41:42\"\n[env]\nNAME = \"recipe\"\n[labels]\nversion = \"1\"\n";
    let recipe = recipe.replace("to = \"/\"\n", "to = \"/app\"\n");
    images.build(images.place.file("app.toml", recipe), "app");
    let run = |arguments: &[&str]| images.run([&["app"], arguments].concat()).run();
    run(&[]).expect_code(0).expect_stdout("/app/main.sh recipe standard\n41\n42\n/home/ada\n41 42\n");
    run(&["given"]).expect_code(0).expect_stdout("/app/main.sh recipe given\n41\n42\n/home/ada\n41 42\n");
    images
        .run(["--env", "NAME=other", "app", "x"])
        .run()
        .expect_stdout("/app/main.sh other x\n41\n42\n/home/ada\n41 42\n");
    // On top of an image, with another entry point: the command goes with the one before.
    let second = "base = \"image:app\"\nentrypoint = [\"echo\", \"second\"]\nuser = \"nobody\"\n";
    images.build(images.place.file("second.toml", second), "second");
    images.run(["second"]).run().expect_code(exit::PATH).expect_stderr("has no user 'nobody'");
    let shown = images.image(["inspect", "app"]).run();
    assert!(shown.expect_code(0).stdout_text().contains("\"version\": \"1\""), "{}", shown.stdout_text());
}

#[test]
fn an_image_says_by_what_it_is_stopped() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    busybox(&images.place.directory("base"));
    let recipe = |signal: &str| {
        let script = "trap 'exit 9' USR1; echo ready; while :; do sleep 0.01; done";
        format!("base = \"base\"\nentrypoint = [\"sh\", \"-c\", \"{script}\"]\nstop_signal = \"{signal}\"\n")
    };
    images.build(images.place.file("server.toml", recipe("SIGUSR1")), "server");
    images.build(images.place.file("odd.toml", recipe("SIGNONE")), "odd");
    images.run(["odd"]).run().expect_stderr("SIGNONE");
    let septum = |arguments: &[&str]| images.septum(arguments).run();
    septum(&["run", "-d", "--name", "server", "server"]).expect_code(0);
    let end = Instant::now() + Duration::from_secs(60);
    while !septum(&["logs", "server"]).stdout_text().contains("ready") {
        assert!(Instant::now() < end, "it never was ready");
    }
    septum(&["stop", "server"]).expect_code(0);
    septum(&["wait", "server"]).expect_code(0).expect_stdout("9\n");
    septum(&["rm", "server"]).expect_code(0);
}

#[test]
fn builds_at_once_and_builds_that_are_killed() {
    needs_tools!("busybox", "mkfs.erofs");
    let images = Images::new();
    let root = images.place.directory("root");
    busybox(&root);
    for number in 0..300 {
        images.place.file(format!("root/files/{number}"), vec![7; number * 100]);
    }
    let build = |name: &str| images.image(["build", "root", "-q", "-t", name]);
    let at_once: Vec<_> = (0..4).map(|number| build(&format!("image:{number}")).spawn()).collect();
    let digests: Vec<String> = at_once.into_iter().map(|running| running.wait().stdout_text()).collect();
    assert!(digests.iter().all(|digest| *digest == digests[0] && digest.len() > 64), "{digests:?}");
    for milliseconds in [5, 15, 30, 45, 60] {
        let running = build("killed").spawn();
        std::thread::sleep(Duration::from_millis(milliseconds));
        running.signal(Signal::KILL);
        running.wait();
    }
    let is_half = |path: &PathBuf| path.parent().is_some_and(|parent| parent.ends_with("building"));
    let end = Instant::now() + Duration::from_secs(20);
    let kept = loop {
        // The next build clears away what was left, unless a process of the killed one is still on its way out.
        build("after").run().expect_code(0);
        images.image(["rm", "after"]).run().expect_code(0);
        // Whoever was killed late had finished.
        images.image(["rm", "killed"]).run();
        let kept = images.kept();
        if !kept.iter().any(is_half) {
            break kept;
        }
        assert!(Instant::now() < end, "{kept:?}");
    };
    assert_eq!(kept.len(), 4 + 1 + 2, "four names, a configuration, a file and its hashes: {kept:?}");
}
