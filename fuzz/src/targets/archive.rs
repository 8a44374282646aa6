//! An image is built from an archive.

use std::fs;
use std::path::PathBuf;

use septum_images::{Limits, Order, Store};

/// Small: what is beyond them is refused, whatever the archive says.
const LIMITS: Limits = Limits { bytes: 1 << 20, entries: 500 };

pub(super) fn run(input: &[u8]) {
    let memory = PathBuf::from("/dev/shm");
    let place = if memory.is_dir() { memory } else { std::env::temp_dir() };
    let directory = tempfile::tempdir_in(place).unwrap();
    let source = directory.path().join("source");
    fs::write(&source, input).unwrap();
    // The engine takes `mkfs.erofs` out of PATH, so that it costs nothing; the replay lets it write images.
    let _ = Store::new(directory.path()).build(&Order { source, names: Vec::new(), limits: LIMITS });
    let left = fs::read_dir(directory.path().join("images/building")).map_or(0, Iterator::count);
    assert_eq!(left, 0, "something is left of the build");
    let names: Vec<_> =
        fs::read_dir(directory.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(names.len() <= 2, "something was written beside the store: {names:?}");
}

/// One member of a tar file (POSIX.1-1988, `ustar`).
fn member(name: &str, kind: u8, link: &str, contents: &[u8]) -> Vec<u8> {
    let mut header = [0_u8; 512];
    header[..name.len()].copy_from_slice(name.as_bytes());
    header[100..108].copy_from_slice(b"0000644\0");
    header[108..116].copy_from_slice(b"0000000\0");
    header[116..124].copy_from_slice(b"0000000\0");
    header[124..136].copy_from_slice(format!("{:011o}\0", contents.len()).as_bytes());
    header[136..148].copy_from_slice(b"00000000000\0");
    header[156] = kind;
    header[157..157 + link.len()].copy_from_slice(link.as_bytes());
    header[257..265].copy_from_slice(b"ustar\x0000");
    header[148..156].fill(b' ');
    let sum: u32 = header.iter().map(|&byte| u32::from(byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    let mut bytes = header.to_vec();
    bytes.extend(contents);
    bytes.resize(bytes.len().next_multiple_of(512), 0);
    bytes
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let end = vec![0; 1024];
    let file = || member("etc/hostname", b'0', "", b"septum\n");
    let layer = [
        member("etc", b'5', "", b""),
        file(),
        member("etc/link", b'2', "../../../outside", b""),
        member("etc/hard", b'1', "etc/hostname", b""),
        member("etc/.wh.gone", b'0', "", b""),
        member("dev/null", b'3', "", b""),
        member("././@LongLink", b'L', "", &[b'x'; 300]),
        file(),
        member("pax", b'x', "", b"24 path=some/other/name\n27 SCHILY.xattr.user.a=value\n"),
        file(),
        end.clone(),
    ]
    .concat();
    let manifest = br#"[{"Config":"config.json","RepoTags":["a:b"],"Layers":["layer.tar"]}]"#;
    let config = br#"{"architecture":"amd64","os":"linux","config":{"Entrypoint":["/bin/sh"],"Env":["A=b"],"WorkingDir":"/"},"rootfs":{"type":"layers","diff_ids":[]}}"#;
    let docker = [
        member("manifest.json", b'0', "", manifest),
        member("config.json", b'0', "", config),
        member("layer.tar", b'0', "", &layer),
        end.clone(),
    ]
    .concat();
    let oci = [
        member("oci-layout", b'0', "", br#"{"imageLayoutVersion":"1.0.0"}"#),
        member("index.json", b'0', "", br#"{"schemaVersion":2,"manifests":[{"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":"sha256:00","size":2}]}"#),
        end,
    ]
    .concat();
    vec![layer, docker, oci]
}
