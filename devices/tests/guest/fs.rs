//! The file system device, through FUSE requests on its queues.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, RawFd};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use septum_devices::core::{Fault, FileWindow, MemoryPopulator};
use septum_devices::virtio::fs::{FileSystem, FsConfig};
use vm_memory::{Bytes, GuestAddress, GuestAddressSpace};

use crate::driver::{Driver, EVENT_INDEX};
use crate::garbage::Noise;
use crate::machine::Machine;
use crate::virtqueue::{Range, Virtqueue, readable, writable};

pub const TYPE: u32 = 26;

const ROOT: u64 = 1;

const LOOKUP: u32 = 1;
const FORGET: u32 = 2;
const GETATTR: u32 = 3;
const SETATTR: u32 = 4;
const READLINK: u32 = 5;
const SYMLINK: u32 = 6;
const MKNOD: u32 = 8;
const MKDIR: u32 = 9;
const UNLINK: u32 = 10;
const LINK: u32 = 13;
const OPEN: u32 = 14;
const READ: u32 = 15;
const WRITE: u32 = 16;
const STATFS: u32 = 17;
const RELEASE: u32 = 18;
const SETXATTR: u32 = 21;
const GETXATTR: u32 = 22;
const LISTXATTR: u32 = 23;
const REMOVEXATTR: u32 = 24;
const INIT: u32 = 26;
const OPENDIR: u32 = 27;
const READDIR: u32 = 28;
const CREATE: u32 = 35;
const INTERRUPT: u32 = 36;
const DESTROY: u32 = 38;
const READDIRPLUS: u32 = 44;
const SETUP_MAPPING: u32 = 48;
const REMOVE_MAPPING: u32 = 49;

const ENTRY_SIZE: usize = 128;
const ATTRIBUTES_AT: usize = 40;

fn machine_sharing(root: &Path) -> Machine {
    let machine = Machine::new();
    let device = FileSystem::new(FsConfig::new(root), machine.thread.handle()).unwrap();
    machine.bus.add_virtio(Box::new(device)).unwrap();
    machine
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap())
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap())
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().copied().flat_map(u32::to_le_bytes).collect()
}

fn name(name: &str) -> Vec<u8> {
    [name.as_bytes(), &[0]].concat()
}

/// A FUSE client.
struct Client<'a> {
    machine: &'a Machine,
    requests: Virtqueue<'a>,
    urgent: Virtqueue<'a>,
    driver: Driver<'a>,
    unique: u64,
}

impl<'a> Client<'a> {
    fn new(machine: &'a Machine) -> Self {
        let mut driver = Driver::probe(machine, TYPE);
        driver.begin(EVENT_INDEX);
        let urgent = driver.queue(0, 16);
        let requests = driver.queue(1, 64);
        driver.finish();
        let mut client = Self { machine, requests, urgent, driver, unique: 0 };
        // 7.31, readahead, BIG_WRITES | MAX_PAGES | ATOMIC_O_TRUNC.
        let reply = client.call(INIT, 0, &words(&[7, 31, 0, 1 << 5 | 1 << 22 | 1 << 3]), 64).unwrap();
        assert_eq!(u32_at(&reply, 0), 7);
        assert_eq!(u32_at(&reply, 20), 1 << 20, "max_write");
        client
    }

    fn header(&mut self, opcode: u32, node: u64, body: &[u8]) -> Vec<u8> {
        self.unique += 1;
        let mut request = words(&[u32::try_from(40 + body.len()).unwrap(), opcode]);
        request.extend(self.unique.to_le_bytes());
        request.extend(node.to_le_bytes());
        request.extend(words(&[1000, 1000, 1, 0]));
        request.extend(body);
        request
    }

    /// Sends a request with room for `size` bytes of reply; returns the reply's body or the error number.
    fn call(&mut self, opcode: u32, node: u64, body: &[u8], size: usize) -> Result<Vec<u8>, i32> {
        let request = self.header(opcode, node, body);
        let reply = self.machine.allocate(16 + size);
        let request_at = self.machine.place(&request);
        let ranges = [readable(request_at, request.len()), writable(reply, 16), writable(reply + 16, size)];
        let length = self.requests.request(&ranges) as usize;
        let bytes = self.machine.load(reply, length);
        assert_eq!(u32_at(&bytes, 0) as usize, length, "length in the header and in the ring");
        assert_eq!(u64_at(&bytes, 8), self.unique);
        match u32_at(&bytes, 4).cast_signed() {
            0 => Ok(bytes[16..].to_vec()),
            error => Err(-error),
        }
    }

    fn lookup(&mut self, parent: u64, path: &str) -> Result<(u64, Vec<u8>), i32> {
        let entry = self.call(LOOKUP, parent, &name(path), ENTRY_SIZE)?;
        Ok((u64_at(&entry, 0), entry[ATTRIBUTES_AT..].to_vec()))
    }

    fn open(&mut self, node: u64, flags: i32) -> Result<u64, i32> {
        let opcode = if flags & libc::O_DIRECTORY == 0 { OPEN } else { OPENDIR };
        let reply = self.call(opcode, node, &words(&[flags.cast_unsigned(), 0]), 16)?;
        Ok(u64_at(&reply, 0))
    }

    fn read(&mut self, node: u64, handle: u64, offset: u64, size: u32) -> Result<Vec<u8>, i32> {
        let opcode = READ;
        self.read_with(opcode, node, handle, offset, size)
    }

    fn read_with(
        &mut self,
        opcode: u32,
        node: u64,
        handle: u64,
        offset: u64,
        size: u32,
    ) -> Result<Vec<u8>, i32> {
        let mut body = handle.to_le_bytes().to_vec();
        body.extend(offset.to_le_bytes());
        body.extend(words(&[size, 0, 0, 0, 0, 0]));
        self.call(opcode, node, &body, size as usize)
    }

    fn create(&mut self, parent: u64, path: &str, flags: i32, mode: u32) -> Result<(u64, u64), i32> {
        let mut body = words(&[flags.cast_unsigned(), mode, 0, 0]);
        body.extend(name(path));
        let reply = self.call(CREATE, parent, &body, ENTRY_SIZE + 16)?;
        Ok((u64_at(&reply, 0), u64_at(&reply, ENTRY_SIZE)))
    }

    fn write(&mut self, node: u64, handle: u64, offset: u64, data: &[u8]) -> Result<u32, i32> {
        let mut body = handle.to_le_bytes().to_vec();
        body.extend(offset.to_le_bytes());
        body.extend(words(&[u32::try_from(data.len()).unwrap(), 0, 0, 0, 0, 0]));
        body.extend(data);
        Ok(u32_at(&self.call(WRITE, node, &body, 8)?, 0))
    }

    /// Names, inode numbers and, with `is_plus`, node numbers of a directory.
    fn list(&mut self, node: u64, is_plus: bool) -> Vec<(String, u64, u64)> {
        let handle = self.open(node, libc::O_DIRECTORY).unwrap();
        self.list_with(node, handle, is_plus)
    }

    fn list_with(&mut self, node: u64, handle: u64, is_plus: bool) -> Vec<(String, u64, u64)> {
        let opcode = if is_plus { READDIRPLUS } else { READDIR };
        let (mut offset, mut found) = (0, Vec::new());
        loop {
            let bytes = self.read_with(opcode, node, handle, offset, 1024).unwrap();
            if bytes.is_empty() {
                break found;
            }
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                let mut child = 0;
                if is_plus {
                    child = u64_at(rest, 0);
                    rest = &rest[ENTRY_SIZE..];
                }
                let length = u32_at(rest, 16) as usize;
                offset = u64_at(rest, 8);
                let file = String::from_utf8(rest[24..24 + length].to_vec()).unwrap();
                found.push((file, u64_at(rest, 0), child));
                rest = &rest[(24 + length).next_multiple_of(8)..];
            }
        }
    }
}

#[test]
fn the_tag_and_the_queues_are_announced() {
    let root = tempfile::tempdir().unwrap();
    let machine = machine_sharing(root.path());
    let driver = Driver::probe(&machine, TYPE);
    assert_eq!(&machine.read::<8>(driver.config), b"septum\0\0");
    assert_eq!(machine.read::<4>(driver.config + 36), 1_u32.to_le_bytes());
}

/// On a file system of which the host's own listing is used, and on one of which it is not.
#[test]
fn what_is_read_once_need_not_be_opened() {
    for place in [std::env::temp_dir(), "/dev/shm".into()] {
        let Ok(root) = tempfile::tempdir_in(&place) else {
            eprintln!("SKIPPED: nothing can be made in {}", place.display());
            continue;
        };
        let names: Vec<String> = (0..100).map(|number| format!("file {number}")).collect();
        names.iter().for_each(|name| fs::write(root.path().join(name), name).unwrap());
        let machine = machine_sharing(root.path());
        let mut client = Client::new(&machine);
        for handle in [0, client.open(ROOT, libc::O_DIRECTORY).unwrap()] {
            let mut listed = client.list_with(ROOT, handle, false);
            assert_eq!(listed.len(), names.len(), "{}", place.display());
            for (name, number, _) in listed.drain(..) {
                assert_eq!(number, fs::metadata(root.path().join(name)).unwrap().ino());
            }
        }
        let (file, _) = client.lookup(ROOT, "file 7").unwrap();
        assert_eq!(client.read(file, 0, 0, 100).unwrap(), b"file 7");
        assert_eq!(client.read(file, 0, 5, 100).unwrap(), b"7");
        assert_eq!(client.read(file, 12_345, 0, 100), Err(libc::EBADF));
        assert_eq!(client.write(file, 0, 0, b"x"), Err(libc::EBADF));
    }
}

#[test]
fn files_are_found_read_written_and_removed() {
    let root = tempfile::tempdir().unwrap();
    let content: Vec<u8> = (0..300_000_u32).map(|number| (number % 251) as u8).collect();
    fs::write(root.path().join("data"), &content).unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    assert_eq!(client.lookup(ROOT, "missing").unwrap_err(), libc::ENOENT);
    let (node, attributes) = client.lookup(ROOT, "data").unwrap();
    assert_eq!(u64_at(&attributes, 8), 300_000);
    let handle = client.open(node, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(node, handle, 0, 300_000).unwrap(), content);
    assert_eq!(client.read(node, handle, 299_990, 4096).unwrap(), content[299_990..]);
    assert_eq!(client.read(node, handle, 300_000, 4096).unwrap(), []);
    assert_eq!(client.write(node, handle, 0, b"no"), Err(libc::EBADF));

    let (node, handle) = client.create(ROOT, "new", libc::O_RDWR, 0o640).unwrap();
    assert_eq!(client.write(node, handle, 5, &content[..100_000]), Ok(100_000));
    client.call(RELEASE, node, &[&handle.to_le_bytes()[..], &[0; 16]].concat(), 0).unwrap();
    let written = fs::read(root.path().join("new")).unwrap();
    assert_eq!(written[..5], [0; 5]);
    assert_eq!(written[5..], content[..100_000]);
    let metadata = fs::metadata(root.path().join("new")).unwrap();
    assert_eq!(metadata.permissions().mode() & 0o777, 0o640);
    assert_eq!(metadata.uid(), rustix::process::geteuid().as_raw(), "files belong to the host process");

    client.call(UNLINK, ROOT, &name("new"), 0).unwrap();
    assert!(!root.path().join("new").exists());
    client.call(STATFS, ROOT, &[], 80).unwrap();
    assert_eq!(machine.bus.misbehaviour()[0].total(), 0);
}

#[test]
fn directories_links_and_attributes_work() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "x").unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    client.call(MKDIR, ROOT, &[words(&[0o755, 0o022]), name("directory")].concat(), ENTRY_SIZE).unwrap();
    client.call(SYMLINK, ROOT, &[name("link"), name("/somewhere")].concat(), ENTRY_SIZE).unwrap();
    let (link, _) = client.lookup(ROOT, "link").unwrap();
    assert_eq!(client.call(READLINK, link, &[], 100).unwrap(), b"/somewhere");
    let (directory, _) = client.lookup(ROOT, "directory").unwrap();
    let (file, _) = client.lookup(ROOT, "file").unwrap();
    let hard = client.call(LINK, directory, &[&file.to_le_bytes()[..], &name("hard")].concat(), ENTRY_SIZE);
    assert_eq!(u64_at(&hard.unwrap(), 0), file, "a hard link is the same file");
    assert_eq!(fs::metadata(root.path().join("directory/hard")).unwrap().nlink(), 2);
    // FATTR_SIZE, size 10.
    let mut body = vec![0; 88];
    body[0] = 8;
    body[16] = 10;
    let reply = client.call(SETATTR, file, &body, 104).unwrap();
    assert_eq!(u64_at(&reply, 16 + 8), 10);
    assert_eq!(fs::metadata(root.path().join("file")).unwrap().len(), 10);
}

#[test]
fn both_ways_of_listing_agree_with_lookup() {
    let root = tempfile::tempdir().unwrap();
    for number in 0..100 {
        fs::write(root.path().join(format!("file-{number}")), "").unwrap();
    }
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    let mut plain = client.list(ROOT, false);
    let mut plus = client.list(ROOT, true);
    plain.sort();
    plus.sort();
    assert_eq!(plain.len(), 100);
    for ((plain_name, plain_number, _), (plus_name, plus_number, node)) in plain.iter().zip(&plus) {
        assert_eq!((plain_name, plain_number), (plus_name, plus_number));
        let (found, attributes) = client.lookup(ROOT, plain_name).unwrap();
        assert_eq!(found, *node);
        assert_eq!(u64_at(&attributes, 0), *plain_number);
        assert_eq!(*plain_number, fs::metadata(root.path().join(plain_name)).unwrap().ino());
    }
}

#[test]
fn mounts_inside_the_tree_have_numbers_of_their_own() {
    let machine = machine_sharing(Path::new("/"));
    let mut client = Client::new(&machine);
    let root = client.call(GETATTR, ROOT, &[0; 16], 104).unwrap();
    assert_eq!(u64_at(&root, 16), fs::metadata("/").unwrap().ino());
    let (proc, attributes) = client.lookup(ROOT, "proc").unwrap();
    let host = fs::metadata("/proc").unwrap();
    assert_ne!(host.dev(), fs::metadata("/").unwrap().dev());
    assert_ne!(u64_at(&attributes, 0), host.ino());
    assert_eq!(u64_at(&attributes, 0) & 0xffff_ffff, host.ino() & 0xffff_ffff);
    let (version, _) = client.lookup(proc, "version").unwrap();
    let handle = client.open(version, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(version, handle, 0, 4096).unwrap(), fs::read("/proc/version").unwrap());
}

#[test]
fn the_guest_cannot_climb_out_or_make_devices() {
    let outer = tempfile::tempdir().unwrap();
    let root = outer.path().join("root");
    fs::create_dir_all(root.join("inside")).unwrap();
    fs::write(outer.path().join("secret"), "").unwrap();
    std::os::unix::fs::symlink("../secret", root.join("way-out")).unwrap();
    let machine = machine_sharing(&root);
    let mut client = Client::new(&machine);
    let (inside, _) = client.lookup(ROOT, "inside").unwrap();
    for path in ["..", ".", "../secret", "inside/../../secret", "/etc/passwd"] {
        assert_eq!(client.lookup(ROOT, path).unwrap_err(), libc::EINVAL);
        assert_eq!(client.lookup(inside, path).unwrap_err(), libc::EINVAL);
        assert_eq!(client.create(inside, path, libc::O_RDWR, 0o600), Err(libc::EINVAL));
    }
    let (way_out, _) = client.lookup(ROOT, "way-out").unwrap();
    assert!(client.open(way_out, libc::O_RDONLY).is_err(), "links are for the guest to follow");
    let device = [words(&[libc::S_IFCHR | 0o666, 0x0103, 0, 0]), name("null")].concat();
    assert_eq!(client.call(MKNOD, ROOT, &device, ENTRY_SIZE), Err(libc::EPERM));
    // A pipe can be made, but opening it would stop the device: the guest has pipes of its own.
    let pipe = [words(&[libc::S_IFIFO | 0o666, 0, 0, 0]), name("pipe")].concat();
    let node = u64_at(&client.call(MKNOD, ROOT, &pipe, ENTRY_SIZE).unwrap(), 0);
    assert_eq!(client.open(node, libc::O_RDONLY), Err(libc::EBADF));
}

#[test]
fn extended_attributes_of_users_are_shared_and_no_others() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::write(&path, "").unwrap();
    let flags = rustix::fs::XattrFlags::empty();
    if rustix::fs::setxattr(&path, "user.of-the-host", b"hidden from nobody", flags).is_err() {
        eprintln!("SKIPPED: {} has no extended attributes", root.path().display());
        return;
    }
    // Only a privileged user can set one that the guest must not see.
    let _ = rustix::fs::setxattr(&path, "trusted.of-the-host", b"hidden", flags);
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    let (node, _) = client.lookup(ROOT, "file").unwrap();
    let set = |of: &str| [words(&[5, 0]), name(of), b"value".to_vec()].concat();
    let get = |of: &str| [words(&[100, 0]), name(of)].concat();
    assert_eq!(client.call(SETXATTR, node, &set("user.of-the-guest"), 0), Ok(Vec::new()));
    assert_eq!(client.call(GETXATTR, node, &get("user.of-the-guest"), 100).unwrap(), b"value");
    assert_eq!(client.call(GETXATTR, node, &get("user.of-the-host"), 100).unwrap(), b"hidden from nobody");
    for system in ["security.capability", "trusted.of-the-host", "system.posix_acl_access", "none"] {
        assert_eq!(client.call(SETXATTR, node, &set(system), 0), Err(libc::EOPNOTSUPP), "{system}");
        assert_eq!(client.call(GETXATTR, node, &get(system), 100), Err(libc::EOPNOTSUPP), "{system}");
        assert_eq!(client.call(REMOVEXATTR, node, &name(system), 0), Err(libc::EOPNOTSUPP), "{system}");
    }
    let names = client.call(LISTXATTR, node, &words(&[1000, 0]), 1000).unwrap();
    let mut names: Vec<&[u8]> = names.split(|&byte| byte == 0).filter(|name| !name.is_empty()).collect();
    names.sort_unstable();
    assert_eq!(names, [b"user.of-the-guest".as_slice(), b"user.of-the-host"]);
    assert_eq!(client.call(LISTXATTR, node, &words(&[10, 0]), 1000), Err(libc::ERANGE));
    assert_eq!(client.call(REMOVEXATTR, node, &name("user.of-the-guest"), 0), Ok(Vec::new()));
    assert_eq!(client.call(GETXATTR, node, &get("user.of-the-guest"), 100), Err(libc::ENODATA));
}

#[test]
fn requests_that_make_no_sense_are_answered() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "content").unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    for opcode in [0, 7, 19, 37, 39, 40, 47, SETUP_MAPPING, REMOVE_MAPPING, 50, 1000, u32::MAX] {
        assert_eq!(client.call(opcode, ROOT, &[0; 64], 128), Err(libc::ENOSYS));
    }
    // Bodies that are missing, nodes and handles that do not exist.
    for opcode in (1..=46).filter(|opcode| ![2, 7, 19, 26, 36, 37, 38, 39, 40, 41, 42].contains(opcode)) {
        let _ = client.call(opcode, ROOT, &[], 128);
        assert!(client.call(opcode, 0xdead_beef, &[0xff; 80], 128).is_err(), "operation {opcode}");
    }
    let faults = machine.bus.misbehaviour()[0].of(Fault::Request);
    assert!(faults > 10, "{faults}");
    // No room for the reply, no header, nothing at all.
    let request = client.header(GETATTR, ROOT, &[0; 16]);
    let at = machine.place(&request);
    let before = machine.bus.misbehaviour()[0].of(Fault::Chain);
    let broken: [&[Range]; 4] = [
        &[readable(at, request.len())],
        &[readable(at, 39), writable(at, 64)],
        &[writable(at, 64)],
        &[readable(at, request.len()), writable(0x8000_0000, 64)],
    ];
    for ranges in broken {
        assert_eq!(client.requests.request(ranges), 0);
    }
    assert!(machine.bus.misbehaviour()[0].of(Fault::Chain) >= before + 3);
    let (node, _) = client.lookup(ROOT, "file").unwrap();
    let handle = client.open(node, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(node, handle, 0, 100).unwrap(), b"content");
}

#[test]
fn forgets_interrupts_and_the_end_need_no_reply() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "content").unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    let (node, _) = client.lookup(ROOT, "file").unwrap();
    let forget = client.header(FORGET, node, &1_u64.to_le_bytes());
    let at = machine.place(&forget);
    assert_eq!(client.urgent.request(&[readable(at, forget.len())]), 0);
    assert_eq!(client.call(GETATTR, node, &[0; 16], 104), Err(libc::EBADF));
    let interrupt = client.header(INTERRUPT, 0, &1_u64.to_le_bytes());
    let at = machine.place(&interrupt);
    assert_eq!(client.urgent.request(&[readable(at, interrupt.len())]), 0);
    client.call(DESTROY, 0, &[], 0).unwrap();
    assert_eq!(machine.bus.misbehaviour()[0].total(), 0);
}

#[test]
fn a_reset_closes_what_the_guest_had_open() {
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "content").unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    let (node, _) = client.lookup(ROOT, "file").unwrap();
    let handle = client.open(node, libc::O_RDONLY).unwrap();
    client.driver.write8(0x14, 0);
    let mut client = Client::new(&machine);
    assert_eq!(client.read(node, handle, 0, 7), Err(libc::EBADF));
    let (node, _) = client.lookup(ROOT, "file").unwrap();
    let handle = client.open(node, libc::O_RDONLY).unwrap();
    assert_eq!(client.read(node, handle, 0, 7).unwrap(), b"content");
}

/// Gives the owner back the permissions that noise may have taken away, so that the tree can be removed.
fn make_accessible(directory: &Path) {
    fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).unwrap();
    for entry in fs::read_dir(directory).unwrap().map(Result::unwrap) {
        if entry.file_type().unwrap().is_dir() {
            make_accessible(&entry.path());
        }
    }
}

#[test]
fn random_requests_never_end_the_session() {
    const FALLOCATE: u64 = 43;
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), "content").unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    let (node, _) = client.lookup(ROOT, "file").unwrap();
    let handle = client.open(node, libc::O_RDWR).unwrap();
    let directory = client.open(ROOT, libc::O_DIRECTORY).unwrap();
    let (request_at, reply_at) = (machine.allocate(8192), machine.allocate(0x10_0000));
    let mut noise = Noise(42);
    let mut replies = 0;
    for _ in 0..20_000 {
        let opcode = noise.below(50);
        if opcode == FALLOCATE {
            // It could fill the disk of whoever runs this.
            continue;
        }
        let file = noise.pick(&[ROOT, node, node, 0, u64::MAX]);
        let anything = noise.next();
        let mut body = noise.pick(&[handle, directory, 1, anything]).to_le_bytes().to_vec();
        for _ in 0..noise.below(12) {
            body.extend(noise.value().to_le_bytes());
        }
        if noise.below(3) == 0 {
            body.extend(noise.pick(&[&b"file\0"[..], b"new\0", b"a\0b\0", b"file\0other\0", b"\0", b"/"]));
        }
        let mut request = client.header(u32::try_from(opcode).unwrap(), file, &body);
        if noise.below(10) == 0 {
            request[..4].copy_from_slice(&noise.value().to_le_bytes()[..4]);
        }
        machine.memory.memory().write_slice(&request, GuestAddress(request_at)).unwrap();
        let room = noise.pick(&[0, 8, 16, 64, 200, 5000, 0x10_0000]);
        let ranges = [readable(request_at, request.len()), writable(reply_at, room)];
        let length = client.requests.request(&ranges);
        assert!(length as usize <= room);
        replies += usize::from(length != 0);
    }
    assert!(replies > 5000, "{replies}");
    make_accessible(root.path());
    client.driver.write8(0x14, 0);
    let mut client = Client::new(&machine);
    client.call(GETATTR, ROOT, &[0; 16], 104).unwrap();
    let (node, handle) = client.create(ROOT, "after", libc::O_RDWR, 0o600).unwrap();
    assert_eq!(client.write(node, handle, 0, b"alive"), Ok(5));
}

#[test]
fn a_root_that_cannot_be_shared_is_an_error() {
    let machine = Machine::new();
    for root in ["/does/not/exist", "/\0"] {
        assert!(FileSystem::new(FsConfig::new(root), machine.thread.handle()).is_err());
    }
}

#[test]
fn a_lone_request_is_served_by_whoever_rings() {
    let root = tempfile::tempdir().unwrap();
    let machine = machine_sharing(root.path());
    let mut client = Client::new(&machine);
    let reply = machine.allocate(200);
    let mut at_once = 0;
    for _ in 0..20 {
        // Long enough for the device's thread to have gone to sleep.
        std::thread::sleep(std::time::Duration::from_millis(5));
        let request = client.header(GETATTR, ROOT, &[0; 16]);
        let ranges = [readable(machine.place(&request), request.len()), writable(reply, 120)];
        client.requests.add(&ranges);
        assert!(client.requests.kick(), "a thread that sleeps wants to be told");
        match client.requests.take_used() {
            Some(_) => at_once += 1,
            None => drop(client.requests.wait_used()),
        }
    }
    assert!(at_once >= 15, "{at_once} of 20");
}

/// Notes what is to be populated.
#[derive(Default)]
struct Populated(Mutex<Vec<(u64, u64)>>);

impl MemoryPopulator for Populated {
    fn populate(&self, start: u64, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().push((start, len));
        Ok(())
    }
}

#[test]
fn low_memory_is_populated_once_before_files_are_read_there() {
    const STEP: u64 = 0x1_0000;
    let root = tempfile::tempdir().unwrap();
    fs::write(root.path().join("file"), [7; 8192]).unwrap();
    let machine = Machine::new();
    let populated = Arc::new(Populated::default());
    let config = FsConfig { populator: Some(populated.clone()), ..FsConfig::new(root.path()) };
    machine.bus.add_virtio(Box::new(FileSystem::new(config, machine.thread.handle()).unwrap())).unwrap();
    let mut client = Client::new(&machine);
    let (file, _) = client.lookup(ROOT, "file").unwrap();
    let handle = client.open(file, libc::O_RDONLY).unwrap();
    assert_eq!(*populated.0.lock().unwrap(), [], "nothing of a page or more was written");
    // The last page of one step and the first of the next.
    let step = (machine.allocate(2 * STEP as usize) / STEP + 1) * STEP;
    let mut read = |at: u64, pages: usize| {
        let body =
            [handle.to_le_bytes().to_vec(), 0_u64.to_le_bytes().to_vec(), words(&[8192, 0, 0, 0, 0, 0])];
        let request = client.header(READ, file, &body.concat());
        let header = machine.allocate(16);
        let request = readable(machine.place(&request), request.len());
        client.requests.request(&[request, writable(header, 16), writable(at, pages * 4096)])
    };
    assert_eq!(read(step - 4096, 2), 16 + 8192);
    assert_eq!(machine.load(step - 4096, 8192), [7; 8192]);
    assert_eq!(*populated.0.lock().unwrap(), [(step - STEP, STEP), (step, STEP)]);
    read(step, 1);
    // Where there are large pages, and where there is nothing.
    read(8 << 20, 1);
    read(u64::MAX - 4095, 1);
    assert_eq!(populated.0.lock().unwrap().len(), 2);
}

const MIB: u64 = 1 << 20;

/// Place, length, and offset in the file and whether it is writable, or `None` for nothing.
type Shown = (u64, u64, Option<(u64, bool)>);
/// Place and offset in the file.
type Copied = (u64, u64);

/// A window that only notes what it is asked for.
#[derive(Default)]
struct Notes(Mutex<Vec<Shown>>, Mutex<Vec<Copied>>, AtomicBool);

impl FileWindow for Notes {
    fn place(&self) -> std::ops::Range<u64> {
        0x10_0000_0000..0x10_0000_0000 + 16 * MIB
    }

    fn map(&self, at: u64, len: u64, _file: RawFd, offset: u64, is_writable: bool) -> io::Result<()> {
        self.0.lock().unwrap().push((at, len, Some((offset, is_writable))));
        Ok(())
    }

    fn copy(&self, at: u64, len: u64, _file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        assert_eq!(len, 2 * MIB);
        self.1.lock().unwrap().push((at, offset));
        Ok(())
    }

    fn lies_still(&self, _file: BorrowedFd<'_>) -> bool {
        !self.2.load(Ordering::SeqCst)
    }

    fn unmap(&self, at: u64, len: u64) -> io::Result<()> {
        self.0.lock().unwrap().push((at, len, None));
        Ok(())
    }
}

#[test]
fn files_are_mapped_up_to_their_end_and_only_within_the_window() {
    let root = tempfile::tempdir().unwrap();
    fs::File::create(root.path().join("file")).unwrap().set_len(3 * MIB + 10).unwrap();
    let machine = Machine::new();
    let window = Arc::new(Notes::default());
    let config = FsConfig { window: Some(window.clone()), ..FsConfig::new(root.path()) };
    machine.bus.add_virtio(Box::new(FileSystem::new(config, machine.thread.handle()).unwrap())).unwrap();
    let mut client = Client::new(&machine);
    let (file, _) = client.lookup(ROOT, "file").unwrap();
    let taken = || std::mem::take(&mut *window.0.lock().unwrap());
    let mut map = |node: u64, offset: u64, len: u64, flags: u64, at: u64| {
        let body: Vec<u8> = [0, offset, len, flags, at].into_iter().flat_map(u64::to_le_bytes).collect();
        client.call(SETUP_MAPPING, node, &body, 0).map(|_| ())
    };
    let refused = [
        (0, 2 * MIB, 16 * MIB),
        (0, 4 * MIB, 14 * MIB),
        (0, 2 * MIB, u64::MAX - 2 * MIB + 1),
        (0, u64::MAX - 2 * MIB + 1, 2 * MIB),
        (u64::MAX - 2 * MIB + 1, 2 * MIB, 0),
        (MIB, 2 * MIB, 0),
        (0, MIB, 0),
        (0, 2 * MIB, 4096),
        (0, 0, 0),
    ];
    for (offset, len, at) in refused {
        assert_eq!(map(file, offset, len, 2, at), Err(libc::EINVAL), "{offset:#x} {len:#x} {at:#x}");
    }
    assert!(map(0xdead_beef, 0, 2 * MIB, 2, 0).is_err());
    assert_eq!(taken(), []);
    map(file, 0, 4 * MIB, 2, 8 * MIB).unwrap();
    let tail = MIB + 4096;
    let shown = [
        (8 * MIB, 2 * MIB, Some((0, false))),
        (10 * MIB, tail, Some((2 * MIB, false))),
        (10 * MIB + tail, 2 * MIB - tail, None),
    ];
    assert_eq!(taken(), shown);
    // With more rights, what could only be read follows; then the file is cut by the guest.
    map(file, 0, 2 * MIB, 3, 8 * MIB).unwrap();
    assert!(taken().contains(&(10 * MIB, tail, Some((2 * MIB, true)))));
    let mut size = [0; 88];
    size[..4].copy_from_slice(&8_u32.to_le_bytes());
    size[16..24].copy_from_slice(&MIB.to_le_bytes());
    client.call(SETATTR, file, &size, 104).unwrap();
    let cut = [(8 * MIB, MIB, Some((0, true))), (9 * MIB, MIB, None), (10 * MIB, 2 * MIB, None)];
    assert_eq!(taken(), cut);
    let body = [1_u32.to_le_bytes().to_vec(), [8 * MIB, 4 * MIB].map(u64::to_le_bytes).concat()].concat();
    client.call(REMOVE_MAPPING, file, &body, 0).unwrap();
    assert_eq!(taken(), [(8 * MIB, 4 * MIB, None)]);
}

#[test]
fn copies_run_ahead_of_who_goes_through_a_file_and_go_when_it_is_written() {
    let root = tempfile::tempdir().unwrap();
    fs::File::create(root.path().join("file")).unwrap().set_len(16 * MIB - 5000).unwrap();
    let machine = Machine::new();
    let window = Arc::new(Notes::default());
    let config = FsConfig { window: Some(window.clone()), ..FsConfig::new(root.path()) };
    machine.bus.add_virtio(Box::new(FileSystem::new(config, machine.thread.handle()).unwrap())).unwrap();
    let mut client = Client::new(&machine);
    let (file, _) = client.lookup(ROOT, "file").unwrap();
    let handle = client.open(file, libc::O_WRONLY).unwrap();
    let map = |client: &mut Client<'_>, offset: u64, len: u64, at: u64| {
        let body: Vec<u8> = [0, offset, len, 2, at].into_iter().flat_map(u64::to_le_bytes).collect();
        client.call(SETUP_MAPPING, file, &body, 0).unwrap();
    };
    let copied = |expected: &[Copied]| {
        let start = std::time::Instant::now();
        while *window.1.lock().unwrap() != expected {
            assert!(start.elapsed() < crate::machine::PATIENCE, "{:x?}", window.1.lock().unwrap());
            std::thread::yield_now();
        }
        window.1.lock().unwrap().clear();
    };
    // The first, and one elsewhere, are no order.
    map(&mut client, 0, 2 * MIB, 0);
    map(&mut client, 6 * MIB, 2 * MIB, 6 * MIB);
    // What follows is one; the last unit is not a whole one.
    map(&mut client, 8 * MIB, 2 * MIB, 8 * MIB);
    map(&mut client, 10 * MIB, 6 * MIB, 10 * MIB);
    copied(&[(8 * MIB, 8 * MIB), (10 * MIB, 10 * MIB), (12 * MIB, 12 * MIB)]);
    // Whoever opens it to read is no reason to look at the file again.
    window.0.lock().unwrap().clear();
    drop(fs::File::open(root.path().join("file")).unwrap());
    std::thread::sleep(std::time::Duration::from_millis(50));
    assert_eq!(*window.0.lock().unwrap(), []);
    // Before the guest knows that it has written, the file is shown again, and it is not copied any more.
    window.0.lock().unwrap().clear();
    client.write(file, handle, 0, b"new").unwrap();
    let shown = [8, 10, 12].map(|at| (at * MIB, 2 * MIB, Some((at * MIB, false))));
    assert_eq!(*window.0.lock().unwrap(), shown);
    map(&mut client, 0, 2 * MIB, 0);
    map(&mut client, 2 * MIB, 4 * MIB, 2 * MIB);
    std::thread::sleep(std::time::Duration::from_millis(50));
    copied(&[]);
}

#[test]
fn copies_go_when_somebody_opens_the_file_for_writing() {
    let root = tempfile::tempdir().unwrap();
    let path = root.path().join("file");
    fs::File::create(&path).unwrap().set_len(8 * MIB).unwrap();
    let machine = Machine::new();
    let window = Arc::new(Notes::default());
    let config = FsConfig { window: Some(window.clone()), ..FsConfig::new(root.path()) };
    machine.bus.add_virtio(Box::new(FileSystem::new(config, machine.thread.handle()).unwrap())).unwrap();
    let mut client = Client::new(&machine);
    let (file, _) = client.lookup(ROOT, "file").unwrap();
    for at in [0, 2 * MIB] {
        let body: Vec<u8> = [0, at, 2 * MIB, 2, at].into_iter().flat_map(u64::to_le_bytes).collect();
        client.call(SETUP_MAPPING, file, &body, 0).unwrap();
    }
    let wait_until = |is_there: &dyn Fn() -> bool| {
        let start = std::time::Instant::now();
        while !is_there() {
            assert!(start.elapsed() < crate::machine::PATIENCE);
            std::thread::yield_now();
        }
    };
    wait_until(&|| !window.1.lock().unwrap().is_empty());
    window.0.lock().unwrap().clear();
    window.2.store(true, Ordering::SeqCst);
    let _writer = fs::File::options().write(true).open(&path).unwrap();
    wait_until(&|| *window.0.lock().unwrap() == [(2 * MIB, 2 * MIB, Some((2 * MIB, false)))]);
}
