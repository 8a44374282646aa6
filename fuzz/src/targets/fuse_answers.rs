//! A host answers the guest kernel's file system anything.
//!
//! ```text
//! input   [count][what the guest does …] then answers: [how][fields of the answer …]
//! ```

use std::any::Any;
use std::sync::Arc;

use septum_guest_core::fs::inode::{Access, Create, File, InodeRef, Ownership, SetMetadata};
use septum_guest_core::io::{KernelDestination, KernelSource};
use septum_guest_drivers::testing::{self, Answer, Model};
use septum_guest_drivers::virtio::fs::{Caching, FuseFileSystem};

use crate::bytes::Bytes;

const READ_WRITE: Access = Access { read: true, write: true };
const OWNERSHIP: Ownership = Ownership { uid: 0, gid: 0, permissions: 0o644 };
const NAMES: [&[u8]; 4] = [b"file", b"directory", b"link", b"other"];
/// Bytes of a reply's header.
const HEADER: usize = 16;

struct Host {
    answers: Vec<u8>,
    at: usize,
}

impl Host {
    /// The reply's body as the protocol has it for this request, its fields from the input.
    fn body(opcode: u32, bytes: &mut Bytes<'_>) -> Vec<u8> {
        match opcode {
            // INIT
            26 => [7, 33, 0, 1 << 22 | bytes.word(), 0, 1 << 20, 1, 256, 0, 0, 0, 0, 0, 0, 0, 0]
                .map(u32::to_le_bytes)
                .concat(),
            // LOOKUP, SYMLINK, MKNOD, MKDIR, LINK; CREATE with a handle.
            1 | 6 | 8 | 9 | 13 | 35 => {
                let mut entry = [u64::from(bytes.byte()), 0, 60, 60, 0].map(u64::to_le_bytes).concat();
                entry.extend(attributes(bytes));
                if opcode == 35 {
                    entry.extend([1_u64, 0].map(u64::to_le_bytes).concat());
                }
                entry
            }
            3 | 4 => [[60_u64, 0].map(u64::to_le_bytes).concat(), attributes(bytes)].concat(),
            14 | 27 => [u64::from(bytes.byte()), u64::from(bytes.byte())].map(u64::to_le_bytes).concat(),
            16 => u64::from(bytes.half()).to_le_bytes().to_vec(),
            28 => (0..bytes.byte() % 8).flat_map(|_| directory_entry(bytes)).collect(),
            44 => (0..bytes.byte() % 8)
                .flat_map(|_| {
                    [
                        [1_u64, 0, 60, 60, 0].map(u64::to_le_bytes).concat(),
                        attributes(bytes),
                        directory_entry(bytes),
                    ]
                    .concat()
                })
                .collect(),
            _ => bytes.piece().to_vec(),
        }
    }
}

fn attributes(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let modes = [0o100_644, 0o040_755, 0o120_777, 0o020_600, 0o010_600];
    let mode = modes[usize::from(bytes.byte()) % modes.len()];
    let sizes = [0, 7, 4096, 100_000, 10 << 20, u64::MAX, i64::MAX.cast_unsigned()];
    let size = sizes[usize::from(bytes.byte()) % sizes.len()];
    let mut all = [1000, size, 8, 11, 12, 13].map(u64::to_le_bytes).concat();
    all.extend([1, 2, 3, mode, 1, 0, 0, 0, 4096, 0_u32].map(u32::to_le_bytes).concat());
    all
}

fn directory_entry(bytes: &mut Bytes<'_>) -> Vec<u8> {
    let length = usize::from(bytes.byte() % 40);
    let name = bytes.take(length);
    let mut entry = [5, u64::from(bytes.byte())].map(u64::to_le_bytes).concat();
    entry.extend([name.len() as u32, u32::from(bytes.byte() % 16)].map(u32::to_le_bytes).concat());
    entry.extend(name);
    entry.resize(entry.len().next_multiple_of(8), 0);
    entry
}

impl Model for Host {
    fn device_type(&self) -> u16 {
        26
    }

    fn features(&self) -> u64 {
        0
    }

    fn queue_sizes(&self) -> Vec<u16> {
        vec![128, 256]
    }

    fn request(&mut self, _queue: u16, output: &[u8], capacity: usize) -> Answer {
        let opcode = u32::from_le_bytes(*output[4..].first_chunk().unwrap());
        let unique: [u8; 8] = *output[8..].first_chunk().unwrap();
        if capacity == 0 {
            return Answer::Reply(Vec::new());
        }
        let rest = &self.answers[self.at.min(self.answers.len())..];
        let mut bytes = Bytes::new(rest);
        let how = if opcode == 26 { 0 } else { bytes.byte() };
        let body = Self::body(opcode, &mut bytes);
        let error = if how & 1 == 0 { 0_i32 } else { -i32::from(bytes.byte()) };
        let len = if how & 2 == 0 { (HEADER + body.len()) as u32 } else { bytes.word() };
        let mut reply = len.to_le_bytes().to_vec();
        reply.extend(error.to_le_bytes());
        reply.extend(if how & 4 == 0 { unique } else { bytes.array() });
        reply.extend(body);
        if how & 8 != 0 {
            let cut = usize::from(bytes.half()) % (reply.len() + 1);
            reply.truncate(cut);
        }
        reply.truncate(capacity);
        let claim = (how & 16 != 0).then(|| bytes.word() as usize);
        self.at += rest.len() - bytes.left();
        match claim {
            Some(length) => Answer::Claim(length),
            None => Answer::Reply(reply),
        }
    }

    fn as_any(&mut self) -> &mut dyn Any {
        self
    }
}

pub(super) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let count = usize::from(bytes.byte() % 32);
    let does = bytes.take(count).to_vec();
    let answers = bytes.take(usize::MAX).to_vec();
    let machine = testing::machine(vec![Box::new(Host { answers, at: 0 })]);
    let Ok(files) = FuseFileSystem::start(&testing::transport(&machine), None) else { return };
    let files = Arc::new(files);
    let mut inode: InodeRef = files.root();
    let mut file: Option<Arc<dyn File>> = None;
    for act in does {
        let name = NAMES[usize::from(act >> 4) % NAMES.len()];
        let mut buffer = vec![0; 20_000];
        match act & 15 {
            0 => inode = inode.lookup(name).unwrap_or(inode),
            1 => inode = files.root(),
            2 => {
                inode = files
                    .subtree(name, if act & 64 == 0 { Caching::Forever } else { Caching::AsTold })
                    .unwrap_or(inode)
            }
            3 => {
                file =
                    inode.open(READ_WRITE).or_else(|_| inode.open(Access { read: true, write: false })).ok()
            }
            4 => drop(inode.metadata()),
            5 => drop(inode.read_link()),
            6 => drop(inode.create(name, Create::File, OWNERSHIP)),
            7 => drop(inode.create(name, Create::Directory, OWNERSHIP)),
            8 => drop((inode.unlink(name), inode.rename(name, &files.root(), b"new", false))),
            9 => drop((
                inode.extended_attribute(b"user.a"),
                inode.extended_attribute_names(),
                inode.file_system(),
            )),
            10 => drop(
                inode.set_metadata(&SetMetadata { size: Some(u64::from(act)), ..SetMetadata::default() }),
            ),
            _ => {
                let Some(file) = &file else { continue };
                match act & 15 {
                    11 => drop(file.read_at(u64::from(act >> 4) * 5000, &mut KernelDestination(&mut buffer))),
                    12 => drop(file.write_at(u64::from(act >> 4), &mut KernelSource(b"hello"))),
                    13 => {
                        let mut seen = 0;
                        let _ = file.read_directory(0, &mut |entry| {
                            assert!(
                                !entry.name.is_empty() && !entry.name.contains(&b'/'),
                                "no name of an entry"
                            );
                            seen += 1;
                            seen < 100
                        });
                    }
                    14 => drop((file.page(u64::from(act >> 4)), file.page(u64::MAX / 4096))),
                    _ => drop(file.sync(true)),
                }
            }
        }
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    // Answers: fields of zero make a regular file of node 0; 2 is a node that can be used.
    let answers = |node: u8, mode: u8, size: u8| [[0, node, mode, size]; 20].concat();
    let scripts: [&[u8]; 5] = [
        &[0, 3, 11, 12, 15, 4, 14],
        &[0x10, 3, 13, 0, 4],
        &[0x20, 5, 9, 10],
        &[2, 0, 3, 11, 0x1b, 14],
        &[6, 7, 8, 9, 1, 0x30, 10],
    ];
    let mut seeds = Vec::new();
    for script in scripts {
        for answers in [answers(2, 0, 3), answers(3, 1, 0), answers(4, 2, 1)] {
            seeds.push([&[script.len() as u8][..], script, &answers].concat());
        }
    }
    seeds
}
