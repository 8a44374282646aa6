//! A directory becomes an image, which runs and goes again.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};

use septum_tests::{exit, needs_partitions};

use crate::needs_tools;
use crate::store::{Images, busybox};

#[test]
fn a_directory_runs_as_an_image() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    let root = images.place.directory("root");
    busybox(&root);
    images.place.file("root/data/text", "hello from the image\n");
    fs::set_permissions(root.join("data/text"), fs::Permissions::from_mode(0o640)).expect("permissions");
    symlink("/data/text", root.join("link")).expect("a link");
    fs::hard_link(root.join("data/text"), root.join("data/other")).expect("a link");
    let digest = images.build(&root, "tools:1");

    // A first word that names an image is one, as is a digest's beginning, and the file itself.
    let by_word = images.run(["tools:1", "cat", "/link"]).run();
    by_word.expect_code(0).expect_stdout("hello from the image\n");
    images
        .run([&digest[..20], "cat", "/data/other"])
        .run()
        .expect_code(0)
        .expect_stdout("hello from the image\n");
    let file = images.only_file();
    images
        .run([file.as_os_str(), "cat".as_ref(), "link".as_ref()])
        .run()
        .expect_stdout("hello from the image\n");
    // Behind dashes it is a program.
    images.run(["--", "tools:1"]).run().expect_code(exit::PROGRAM);
    images
        .run(["--image", "absent", "cat"])
        .run()
        .expect_code(exit::PATH)
        .expect_stderr("no image 'absent:latest'");
    images.run(["tools:1"]).run().expect_code(exit::USAGE).expect_stderr("does not say what to run");
    images.run(["tools:1", "absent"]).run().expect_code(exit::PROGRAM).expect_stderr("no such program");
    images.run(["--entrypoint", "echo", "tools:1", "a", "b"]).run().expect_code(0).expect_stdout("a b\n");
    images.run(["--workdir", "/data", "tools:1", "pwd"]).run().expect_stdout("/data\n");

    // It never changes, and what is written is gone afterwards.
    let script = "stat -c '%a %h' /data/text; echo changed > /data/text; cat /data/text /data/other; rm /link; \
                  mkdir /new && echo x > /new/file; ls /new; id -u; cat /etc/hostname; ls -d /tmp /dev/null /proc/self";
    let output = images.shell("tools:1", script);
    let expected = "640 2\nchanged\nhello from the image\nfile\n0\nseptum\n/dev/null\n/proc/self\n/tmp\n";
    output.expect_code(0).expect_stdout(expected);
    images.shell("tools:1", "cat /link; ls /new").expect_code(1).expect_stdout("hello from the image\n");

    // Volumes work as always; the current directory is not shared.
    images.place.file("shared/in", "from the host\n");
    let volume = images.run(["--volume", "./shared:/mnt/here", "tools:1", "sh", "-c"]);
    let volume = volume.argument("cat /mnt/here/in; echo back > /mnt/here/out; ls /mnt").run();
    volume.expect_code(0).expect_stdout("from the host\nhere\n");
    assert_eq!(fs::read_to_string(images.place.join("shared/out")).expect("a file"), "back\n");

    let listed = images.image(["ls"]).run();
    listed.expect_code(0);
    assert!(listed.stdout_text().contains("tools:1"), "{}", listed.stdout_text());
    images.image(["tag", "tools:1", "again"]).run().expect_code(0);
    images.image(["rm", "tools:1"]).run().expect_code(0);
    images.run(["again", "true"]).run().expect_code(0);
    let gone = images.image(["rm", &digest]).run();
    gone.expect_code(0).expect_stdout(&format!("again:latest\n{digest}\n"));
    assert_eq!(images.kept(), Vec::<std::path::PathBuf>::new());
    images.image(["rm", "again"]).run().expect_code(exit::PATH).expect_stderr("there is no image");
}
