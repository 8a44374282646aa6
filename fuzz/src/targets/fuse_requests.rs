//! A guest asks the file system device for anything.
//!
//! ```text
//! input   [opcode][node][flags][length, 2][body …]   again and again
//! ```

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use septum_devices::virtio::fs::{FileSystem, FsConfig};

use super::device;
use crate::bytes::Bytes;
use crate::driver::INDIRECT_DESCRIPTORS;
use crate::machine::Machine;
use crate::virtqueue::{readable, writable};

const TYPE: u32 = 26;
/// Requests of one input.
const REQUESTS: u32 = 32;
/// Room for an answer.
const ROOM: usize = 8192;

fn fill(root: &Path) {
    fs::write(root.join("file"), "content").unwrap();
    fs::create_dir(root.join("directory")).unwrap();
    fs::write(root.join("directory/inner"), [7; 5000]).unwrap();
    symlink("../../../etc/passwd", root.join("link")).unwrap();
}

pub(super) fn run(input: &[u8]) {
    let memory = Path::new("/dev/shm");
    let outside = tempfile::tempdir_in(if memory.is_dir() { memory } else { Path::new("/tmp") }).unwrap();
    let root = outside.path().join("shared");
    fs::create_dir(&root).unwrap();
    fill(&root);
    let machine = Machine::new();
    let file_system = FileSystem::new(FsConfig::new(&root), machine.thread.handle()).unwrap();
    machine.bus.add_virtio(Box::new(file_system)).unwrap();
    let (driver, mut queues) = device::started(&machine, TYPE, !INDIRECT_DESCRIPTORS, &[(0, 16), (1, 16)]);
    let (request, answer) = (machine.allocate(16384), machine.allocate(ROOM));
    let mut bytes = Bytes::new(input);
    for unique in 1..=REQUESTS {
        if bytes.is_empty() {
            break;
        }
        let (opcode, node, flags) = (bytes.byte(), bytes.byte(), bytes.byte());
        let body = bytes.piece();
        let length = if flags & 1 == 0 { 40 + body.len() as u32 } else { bytes.word() };
        let node = if flags & 2 == 0 { u64::from(node) } else { bytes.long() };
        let mut message = [length, u32::from(opcode), unique, 0].map(u32::to_le_bytes).concat();
        message.extend(node.to_le_bytes());
        // As root, in whose name much is allowed; the device is to hold the line itself.
        message.extend([0, 0, 1, 0].map(u32::to_le_bytes).concat());
        message.extend(body);
        machine.store(request, &message);
        let room = if flags & 4 == 0 { ROOM } else { usize::from(bytes.half()) % (ROOM + 1) };
        let cut = if flags & 8 == 0 {
            40.min(message.len())
        } else {
            usize::from(bytes.half()) % (message.len() + 1)
        };
        let mut ranges = vec![readable(request, cut), readable(request + cut as u64, message.len() - cut)];
        ranges.retain(|range| range.length > 0);
        if room > 0 {
            ranges.push(writable(answer, room));
        }
        let queue = &mut queues[usize::from(flags & 16 == 0)];
        if ranges.is_empty() || !device::ask(&driver, queue, &ranges) {
            break;
        }
    }
    assert!(machine.thread.is_running(), "the device's thread died");
    drop(queues);
    let names: Vec<_> =
        fs::read_dir(outside.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(
        names.iter().all(|name| name == "shared"),
        "the guest wrote outside of what is shared: {names:?}"
    );
}

fn request(opcode: u8, node: u8, body: &[u8]) -> Vec<u8> {
    let mut bytes = vec![opcode, node, 0];
    bytes.extend((body.len() as u16).to_le_bytes());
    bytes.extend(body);
    bytes
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().copied().flat_map(u32::to_le_bytes).collect()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let init = || request(26, 0, &words(&[7, 31, 0, 1 << 22 | 1 << 5]));
    let look = |name: &[u8]| request(1, 1, name);
    let read = |node| request(15, node, &words(&[0, 0, 0, 0, 4096, 0, 0, 0, 0, 0]));
    let with = |name: &[u8], before: &[u32]| [words(before), name.to_vec()].concat();
    let scripts: Vec<Vec<Vec<u8>>> = vec![
        vec![look(b"file\0"), request(3, 2, &words(&[0, 0, 0, 0])), request(14, 2, &words(&[2, 0])), read(2)],
        vec![
            request(27, 1, &words(&[0, 0])),
            request(28, 1, &words(&[1, 0, 0, 0, 4096, 0, 0, 0, 0, 0])),
            request(44, 1, &words(&[1, 0, 0, 0, 4096, 0, 0, 0, 0, 0])),
        ],
        vec![
            look(b"link\0"),
            request(5, 2, &[]),
            look(b"..\0"),
            look(b"directory\0"),
            request(1, 3, b"..\0"),
        ],
        vec![
            request(35, 1, &with(b"new\0", &[0x241, 0o644, 0, 0])),
            request(16, 2, &[words(&[1, 0, 0, 0, 5, 0, 0, 0, 0, 0]), b"hello".to_vec()].concat()),
        ],
        vec![
            request(6, 1, b"made\0../../outside\0"),
            request(9, 1, &with(b"sub\0", &[0o755, 0])),
            request(8, 1, &with(b"fifo\0", &[0o010_644, 0, 0, 0])),
        ],
        vec![
            look(b"file\0"),
            request(12, 1, &[words(&[1, 0]), b"file\0../moved\0".to_vec()].concat()),
            request(13, 1, &[words(&[2, 0]), b"hard\0".to_vec()].concat()),
        ],
        vec![
            look(b"file\0"),
            request(21, 2, &[words(&[3, 0]), b"user.a\0abc".to_vec()].concat()),
            request(22, 2, &[words(&[100, 0]), b"user.a\0".to_vec()].concat()),
            request(23, 2, &words(&[100, 0])),
        ],
        vec![
            look(b"file\0"),
            request(4, 2, &words(&[8, 0, 0, 0, 100, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
            request(43, 2, &words(&[0, 0, 0, 0, 100, 0, 0, 0])),
            request(46, 2, &words(&[0, 0, 0, 0, 0, 0])),
        ],
        vec![
            request(10, 1, b"file\0"),
            request(11, 1, b"directory\0"),
            request(17, 1, &[]),
            request(2, 1, &words(&[1, 0])),
            request(42, 0, &words(&[1, 0, 2, 0, 1, 0])),
            request(38, 0, &[]),
        ],
        vec![
            look(b"file\0"),
            request(32, 2, &words(&[0, 0, 0, 0, 5, 0, 90, 0, 1, 0, 0, 0])),
            request(31, 2, &words(&[0, 0, 0, 0, 0, 0, u32::MAX, 0x7fff_ffff, 0, 0, 0, 0])),
            request(32, 2, &words(&[0, 0, 0, 0, 0, 0, u32::MAX, 0x7fff_ffff, 1, 0, 1, 0])),
            request(32, 1, &words(&[0, 0, 0, 0, 0, 0, u32::MAX, 0x7fff_ffff, 0, 0, 1, 0])),
            request(32, 2, &words(&[0, 0, 0, 0, 0, 0, u32::MAX, 0x7fff_ffff, 2, 0, 0, 0])),
            request(33, 2, &words(&[0, 0, 0, 0, 0, 0, 1, 0, 1, 0, 0, 0])),
            request(45, 1, &[words(&[1, 0, 2, 0]), b"file\0directory\0".to_vec()].concat()),
        ],
        vec![
            look(b"file\0"),
            request(48, 2, &words(&[0, 0, 0, 0, 4096, 0, 0, 0, 0, 0])),
            request(49, 2, &words(&[1, 0, 0, 0, 4096, 0])),
        ],
    ];
    scripts.into_iter().map(|script| [init(), script.concat()].concat()).collect()
}
