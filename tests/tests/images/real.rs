//! Images of real systems: Debian with Python and NumPy, Debian with Julia; and damaged ones that are run all the same.

use std::fs;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};
use std::path::PathBuf;
use std::time::Duration;

use septum_tests::lane::{self, Lane};
use septum_tests::{Status, exit, needs_partitions};

use crate::needs_tools;
use crate::store::{Images, busybox};

/// A root below `target/stacks`; `None` if there is none, and the test is skipped.
fn root(name: &str) -> Option<PathBuf> {
    let root = lane::workspace().join("target/stacks").join(name);
    if Lane::current() == Lane::Nested {
        lane::skip("it takes minutes in the nested lane, and shows nothing new there");
        return None;
    }
    if !root.join("usr/bin").is_dir() {
        lane::skip("nothing below target/stacks; mmdebstrap makes it, where Debian's packages can be had");
        return None;
    }
    Some(root)
}

#[test]
fn debian_with_numpy() {
    needs_tools!("mkfs.erofs");
    needs_partitions!();
    let Some(root) = root("python") else { return };
    let images = Images::new();
    // What the package's own script would have linked.
    let libraries = "/usr/lib/x86_64-linux-gnu/blas:/usr/lib/x86_64-linux-gnu/lapack";
    let recipe = format!("entrypoint = [\"python3\"]\n[env]\nLD_LIBRARY_PATH = \"{libraries}\"\n");
    images.build(root, "debian");
    images.build(images.place.file("numpy.toml", format!("base = \"image:debian\"\n{recipe}")), "numpy");
    let script = "import numpy as n, os, sys\na = n.arange(250000.).reshape(500, 500)\n\
                  print((a @ a.T).trace(), n.linalg.matrix_rank(n.eye(50)), sys.version_info[:2], sorted({'etc', 'lib', 'usr'} & set(os.listdir('/'))))\n";
    let output = images.run(["--memory", "256M", "numpy", "-c", script]).run();
    output.expect_code(0).expect_stdout("5208302083375000.0 50 (3, 11) ['etc', 'lib', 'usr']\n");
    // All files of the image, by what the image says of them and by what the source does.
    let count = "import os; print(sum(len(f) + sum(os.path.islink(b + '/' + x) for x in d) for b, d, f in os.walk('/usr')))";
    let inside = images.run(["numpy", "-B", "-c", count]).run();
    inside.expect_code(0);
    let mut files = 0;
    let mut waiting = vec![lane::workspace().join("target/stacks/python/usr")];
    while let Some(folder) = waiting.pop() {
        for entry in fs::read_dir(folder).expect("a directory").flatten() {
            let kind = entry.file_type().expect("a kind");
            if kind.is_dir() {
                waiting.push(entry.path());
            } else {
                files += 1;
            }
        }
    }
    inside.expect_stdout(&format!("{files}\n"));
}

#[test]
fn debian_with_julia() {
    needs_tools!("mkfs.erofs");
    needs_partitions!();
    let Some(root) = root("julia") else { return };
    let images = Images::new();
    images.build(root, "julia");
    let libraries = "LD_LIBRARY_PATH=/usr/lib/x86_64-linux-gnu:/usr/lib/x86_64-linux-gnu/openblas-pthread";
    let run =
        images.run(["--memory", "2G", "--env", libraries, "--env", "HOME=/tmp", "julia", "julia", "-e"]);
    let output = run.argument("println(sum(x^2 for x in 1:1000)); println(sort([3, 1, 2]))").run();
    output.expect_code(0).expect_stdout("333833500\n[1, 2, 3]\n");
}

#[test]
fn damaged_images_that_nobody_vouches_for() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    let root = images.place.directory("root");
    busybox(&root);
    for number in 0..60 {
        images.place.file(format!("root/files/{number}"), vec![7; number * 200]);
    }
    images.build(&root, "whole");
    let bytes = fs::read(images.only_file()).expect("an image");
    let file = images.place.file("damaged.erofs", &bytes);
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("permissions");
    let open = fs::File::options().write(true).open(&file).expect("a file");
    let flips: usize = if Lane::current() == Lane::Nested { 3 } else { 24 };
    for number in 0..flips {
        // Inodes and directories come first.
        let at = 1152 + number * 397;
        open.write_all_at(&[bytes[at] ^ (1 << (number % 8))], at as u64).expect("a byte");
        let run =
            images.run(["--timeout", "20s", "./damaged.erofs", "sh", "-c"]).deadline(Duration::from_secs(60));
        let output =
            run.argument("ls -lR / > /dev/null; find /files -type f -exec cat {} + | sha256sum").run();
        let is_calm = !matches!(
            output.status,
            Status::Exited(exit::PANIC | exit::INTERNAL | exit::WORKER | exit::TIMEOUT)
        );
        assert!(is_calm, "bit {} of byte {at}: {:?} {}", number % 8, output.status, output.stderr_text());
        open.write_all_at(&bytes[at..=at], at as u64).expect("a byte");
    }
    // Shorter than it says.
    open.set_len(8192).expect("a length");
    images
        .run(["./damaged.erofs", "true"])
        .run()
        .expect_code(exit::PATH)
        .expect_stderr("shorter than its header says");
}
