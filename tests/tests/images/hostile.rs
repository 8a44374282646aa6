//! Sources that no honest tool makes, and images with flipped bits: a clear message, and nothing left behind.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{FileExt as _, PermissionsExt as _};

use septum_tests::{Place, exit, needs_partitions};

use crate::needs_tools;
use crate::store::{Images, busybox};

/// A member of a tar: name, kind, link, contents.
pub fn member(name: &str, kind: u8, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    let mut put = |at: usize, text: &str| header[at..at + text.len()].copy_from_slice(text.as_bytes());
    put(0, name);
    put(100, "0000755\0");
    put(108, "0000000\0");
    put(116, "0000000\0");
    put(124, &format!("{:011o}\0", contents.len()));
    put(136, "00000000000\0");
    put(148, "        ");
    put(157, link);
    put(257, "ustar\x0000");
    put(329, "0000001\0");
    put(337, "0000003\0");
    header[156] = kind;
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend_from_slice(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

/// An archive of these members.
pub fn archive(members: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = members.concat();
    bytes.extend_from_slice(&[0; 1024]);
    bytes
}

#[test]
fn archives_that_want_out_or_too_much() {
    needs_tools!("mkfs.erofs");
    let images = Images::new();
    let secret = Place::new();
    fs::write(secret.join("secret"), "secret").expect("a file");
    let outside = secret.path().display().to_string();
    let cases: [(&str, Vec<u8>, &[&str]); 8] = [
        ("up", archive(&[member("../../escaped", b'0', "", b"x")]), &["leads out of the archive"]),
        ("inside-up", archive(&[member("a/../../escaped", b'0', "", b"x")]), &["leads out of the archive"]),
        ("link-up", archive(&[member("l", b'1', "../../etc/passwd", b"")]), &["leads out of the archive"]),
        ("link-absent", archive(&[member("l", b'1', "etc/passwd", b"")]), &["not there"]),
        ("loop", archive(&[member("l", b'2', "l", b""), member("l/x", b'0', "", b"x")]), &["symbolic links"]),
        ("unknown", archive(&[member("x", b'Z', "", b"")]), &["unknown kind"]),
        ("cut", member("x", b'0', "", &[7; 5000])[..3000].to_vec(), &["cut off"]),
        (
            "checksum",
            {
                let mut bytes = archive(&[member("x", b'0', "", b"x")]);
                bytes[3] ^= 1;
                bytes
            },
            &["checksum"],
        ),
    ];
    for (name, bytes, reasons) in cases {
        let path = images.place.file(format!("{name}.tar"), bytes);
        images.refuse(&path, &[], reasons);
    }
    // A link that leads to the host, and a file through it: it is in the image's own root.
    let through = archive(&[member("out", b'2', &outside, b""), member("out/secret", b'0', "", b"mine")]);
    images.build(images.place.file("through.tar", through), "through");
    assert_eq!(fs::read_to_string(secret.join("secret")).expect("a file"), "secret");

    let bomb = archive(&[member("zeros", b'0', "", &vec![0; 8 << 20])]);
    let bomb = images.place.file("bomb.tar", bomb);
    images.refuse(&bomb, &["--max-size", "1M"], &["more than 1048576 bytes", "--max-size"]);
    let many: Vec<Vec<u8>> = (0..50).map(|number| member(&format!("f{number}"), b'0', "", b"")).collect();
    let many = images.place.file("many.tar", archive(&many));
    images.refuse(&many, &["--max-files", "10"], &["more than 10 files", "--max-files"]);
    images.refuse(images.place.file("text.tar", "no archive at all"), &[], &["cut off"]);
    images.refuse(images.place.join("absent"), &[], &["cannot read"]);
    let recipe = images.place.file("out.toml", "[[copy]]\nfrom = \"../../etc\"\nto = \"/x\"\n");
    images.refuse(&recipe, &[], &["not beside it"]);
    let recipe = images.place.file("wrong.toml", "bose = \"x\"\n");
    images.refuse(&recipe, &[], &["unknown field"]);
}

#[test]
fn a_flipped_bit_is_told_and_never_run() {
    needs_tools!("busybox", "mkfs.erofs");
    needs_partitions!();
    let images = Images::new();
    let root = images.place.directory("root");
    busybox(&root);
    images.build(&root, "tools");
    images.run(["tools", "true"]).run().expect_code(0);
    let file = images.only_file();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).expect("permissions");
    let length = fs::metadata(&file).expect("a file").len();
    let open = fs::File::options().read(true).write(true).open(&file).expect("a file");
    // In the superblock, the inodes, a program.
    for offset in [1030, 1200, length / 2, length - 1] {
        let mut byte = [0];
        open.read_exact_at(&mut byte, offset).expect("a byte");
        open.write_all_at(&[byte[0] ^ 0x10], offset).expect("a byte");
        let block = offset / 4096 * 4096;
        let output = images.run(["tools", "true"]).run();
        output.expect_code(exit::PATH).expect_stderr("is damaged").expect_stderr(&format!("offset {block} "));
        open.write_all_at(&byte, offset).expect("a byte");
    }
    images.run(["tools", "true"]).run().expect_code(0);
    let config = images.kept().into_iter().find(|path| path.extension().is_some_and(|end| end == "json"));
    let config = config.expect("a configuration");
    let mut text = fs::File::options().append(true).open(config).expect("a file");
    text.write_all(b" ").expect("a byte");
    images.run(["tools", "true"]).run().expect_code(exit::PATH).expect_stderr("its digest is another one");
}
