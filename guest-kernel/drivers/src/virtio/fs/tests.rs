//! The file system against a host with a tree in memory.

use super::node::Node;
use super::volume::{Answer, deadline};
use super::{Caching, FuseFileSystem, kept};
use crate::testing::{self, FakeMachine, FuseHost, ProgramMemory};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_core::fs::inode::{
    Access, Create, File, FileKind, InodeRef, Ownership, SetMetadata, Timestamp,
};
use septum_guest_core::io::{Destination, KernelDestination, KernelSource};
use septum_guest_core::memory::reclaim::Reclaimer;
use septum_guest_hal::address::to_usize;
use std::sync::Arc;

const LOOKUP: u32 = 1;
const GETATTR: u32 = 3;
const OPEN: u32 = 14;
const READ: u32 = 15;
const RELEASE: u32 = 18;
const BATCH_FORGET: u32 = 42;

const READ_ONLY: Access = Access { read: true, write: false };
const WRITE_ONLY: Access = Access { read: false, write: true };
const READ_WRITE: Access = Access { read: true, write: true };
const OWNERSHIP: Ownership = Ownership { uid: 0, gid: 0, permissions: 0o644 };

fn start(host: FuseHost) -> (Arc<FakeMachine>, Arc<FuseFileSystem>) {
    let machine = testing::machine(vec![Box::new(host)]);
    let file_system = FuseFileSystem::start(&testing::transport(&machine), None).unwrap();
    (machine, Arc::new(file_system))
}

fn host<T>(machine: &FakeMachine, look: impl FnOnce(&mut FuseHost) -> T) -> T {
    machine.with_model(0, look)
}

fn count(machine: &FakeMachine, opcode: u32) -> usize {
    host(machine, |host| host.count(opcode))
}

fn bytes(len: usize) -> Vec<u8> {
    (0..u32::try_from(len).unwrap())
        .map(|number| number.wrapping_mul(2_654_435_761).to_le_bytes()[3])
        .collect()
}

fn read(file: &Arc<dyn File>, offset: u64, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = vec![0; len];
    let len = file.read_at(offset, &mut KernelDestination(&mut bytes))?;
    bytes.truncate(len);
    Ok(bytes)
}

fn read_pinned(file: &Arc<dyn File>, offset: u64, start: usize, len: usize) -> Result<Vec<u8>, Errno> {
    let mut memory = ProgramMemory::new(start, len);
    let got = file.read_at(offset, &mut memory)?;
    assert_eq!(Destination::remaining(&memory), len - got);
    Ok(memory.filled(start))
}

fn walk(root: &InodeRef, path: &str) -> Result<InodeRef, Errno> {
    path.split('/').try_fold(Arc::clone(root), |inode, name| inode.lookup(name.as_bytes()))
}

fn list(directory: &InodeRef) -> Vec<(String, FileKind)> {
    let mut entries = Vec::new();
    let file = directory.open(READ_ONLY).unwrap();
    let mut position = 0;
    // Seven at a time, as a program with a small buffer does.
    loop {
        let before = entries.len();
        file.read_directory(position, &mut |entry| {
            if entries.len() == before + 7 {
                return false;
            }
            position = entry.next;
            entries.push((String::from_utf8(entry.name.to_vec()).unwrap(), entry.kind));
            true
        })
        .unwrap();
        if entries.len() == before {
            return entries;
        }
    }
}

#[test]
fn a_file_of_an_immutable_tree_is_asked_for_once() {
    let mut tree = FuseHost::new();
    let content = bytes(10_000);
    tree.add("image/usr/bin/tool", 0o100_755, &content);
    let (machine, files) = start(tree);
    let image = files.subtree(b"/image/", Caching::Forever).unwrap();
    assert!(!image.may_change_outside());
    let tool = walk(&image, "usr/bin/tool").unwrap();
    let metadata = tool.metadata().unwrap();
    assert_eq!((metadata.size, metadata.permissions, metadata.kind), (10_000, 0o755, FileKind::Regular));
    assert_ne!(metadata.device, files.root().metadata().unwrap().device);
    let file = tool.open(READ_ONLY).unwrap();
    let again = tool.open(READ_ONLY).unwrap();
    assert_eq!(read(&file, 0, 100), Ok(content[..100].to_vec()));
    assert_eq!(read(&again, 5000, 9000), Ok(content[5000..].to_vec()));
    assert_eq!(read(&file, 10_000, 100), Ok(vec![]));
    assert_eq!((count(&machine, LOOKUP), count(&machine, OPEN), count(&machine, READ)), (4, 0, 1));
    assert_eq!(count(&machine, GETATTR), 1, "of the root");
    drop((file, again));
    assert_eq!(read(&tool.open(READ_ONLY).unwrap(), 0, 100), Ok(content[..100].to_vec()));
    drop((tool, image, files));
    assert_eq!((count(&machine, OPEN), count(&machine, RELEASE)), (0, 0));
    host(&machine, |host| assert!(host.handles.is_empty()));
}

#[test]
fn a_directory_of_an_immutable_tree_is_listed_once() {
    let mut tree = FuseHost::new();
    for number in 0..150 {
        tree.add(&format!("image/{number}"), 0o100_644, b"");
    }
    let (machine, files) = start(tree);
    let image = files.subtree(b"image", Caching::Forever).unwrap();
    let first = list(&image);
    assert_eq!(first.len(), 150);
    let all = || host(&machine, |host| host.requests.len());
    let asked = all();
    assert_eq!(list(&image), first);
    assert_eq!(image.lookup(b"150").err(), Some(Errno::ENOENT));
    assert_eq!(all(), asked);
    assert!(image.lookup(b"149").is_ok());
    assert_eq!(list(&walk(&files.root(), "image").unwrap()), first, "of a tree that may change");
    assert!(all() > asked + 4);
}

#[test]
fn a_file_of_an_immutable_tree_is_opened_for_the_second_read() {
    let mut tree = FuseHost::new();
    let content = bytes(200_000);
    tree.add("image/data", 0o100_644, &content);
    tree.add("image/secret", 0o100_640, &content);
    let (machine, files) = start(tree);
    let image = files.subtree(b"image", Caching::Forever).unwrap();
    let (data, secret) = (walk(&image, "data").unwrap(), walk(&image, "secret").unwrap());
    let file = data.open(READ_ONLY).unwrap();
    let mut opened = Vec::new();
    for start in [0, 50_000, 100_000] {
        assert!(
            read_pinned(&file, start, 0, 50_000).unwrap()
                == content[to_usize(start)..to_usize(start) + 50_000]
        );
        opened.push(count(&machine, OPEN));
    }
    assert_eq!(opened, [0, 1, 1]);
    drop(file);
    // It stays open for whoever comes next.
    assert!(read_pinned(&data.open(READ_ONLY).unwrap(), 0, 0, 50_000).unwrap() == content[..50_000]);
    assert_eq!((count(&machine, OPEN), count(&machine, RELEASE)), (1, 0));
    drop(secret.open(READ_ONLY).unwrap());
    assert_eq!(count(&machine, OPEN), 2, "the host may refuse, and has to be asked before");
    drop((data, secret, image, files));
    assert_eq!(count(&machine, RELEASE), 2);
    host(&machine, |host| assert!(host.handles.is_empty()));
}

#[test]
fn only_so_many_files_stay_open() {
    let mut tree = FuseHost::new();
    let names: Vec<String> = (0..kept::MOST + 3).map(|number| format!("file{number}")).collect();
    for name in &names {
        tree.add(&format!("image/{name}"), 0o100_600, b"content");
    }
    let (machine, files) = start(tree);
    let image = files.subtree(b"/image/", Caching::Forever).unwrap();
    for name in &names {
        drop(walk(&image, name).unwrap().open(READ_ONLY).unwrap());
    }
    assert_eq!((count(&machine, OPEN), count(&machine, RELEASE)), (kept::MOST + 3, 3));
    drop(walk(&image, &names[0]).unwrap().open(READ_ONLY).unwrap());
    assert_eq!((count(&machine, OPEN), count(&machine, RELEASE)), (kept::MOST + 4, 4));
    drop(walk(&files.root(), "image/file1").unwrap().open(READ_ONLY).unwrap());
    assert_eq!(count(&machine, RELEASE), 5, "what others change is closed at once");
}

#[test]
fn large_reads_go_straight_to_the_programs_pages() {
    let mut tree = FuseHost::new();
    let content = bytes(700_000);
    tree.add("big", 0o100_644, &content);
    let (machine, files) = start(tree);
    let file = files.subtree(b"big", Caching::Forever).unwrap().open(READ_ONLY).unwrap();
    assert!(read_pinned(&file, 3, 33, 600_000).unwrap() == content[3..600_003]);
    assert_eq!(count(&machine, READ), 1);
    assert!(read_pinned(&file, 600_003, 0, 600_000).unwrap() == content[600_003..]);
    assert_eq!(count(&machine, READ), 2);
    assert!(read(&file, 0, 50_000).unwrap() == content[..50_000], "into memory that cannot be pinned");
}

#[test]
fn sequential_small_reads_are_read_ahead() {
    let mut tree = FuseHost::new();
    let content = bytes(300_000);
    tree.add("big", 0o100_644, &content);
    let (machine, files) = start(tree);
    let file = files.subtree(b"big", Caching::Forever).unwrap().open(READ_ONLY).unwrap();
    let mut all = Vec::new();
    while all.len() < content.len() {
        all.extend(read_pinned(&file, all.len() as u64, 0, 1000).unwrap());
    }
    assert!(all == content);
    assert!(count(&machine, READ) <= 7, "{}", count(&machine, READ));
}

#[test]
fn pages_are_shared_and_read_around() {
    let mut tree = FuseHost::new();
    let content = bytes(68 * PAGE_SIZE + 100);
    tree.add("library", 0o100_644, &content);
    let (machine, files) = start(tree);
    let inode = files.subtree(b"library", Caching::Forever).unwrap();
    let (one, two) = (inode.open(READ_ONLY).unwrap(), inode.open(READ_ONLY).unwrap());
    let frame = one.page(5).unwrap().unwrap();
    assert_eq!(two.page(5).unwrap().unwrap(), frame);
    for index in 0..64 {
        let mut page = vec![0; PAGE_SIZE];
        one.page(index).unwrap().unwrap().read(0, &mut page);
        let start = usize::try_from(index).unwrap() * PAGE_SIZE;
        assert!(page == content[start..start + PAGE_SIZE]);
    }
    assert_eq!(count(&machine, READ), 1);
    let mut last = vec![1; PAGE_SIZE];
    one.page(68).unwrap().unwrap().read(0, &mut last);
    assert!(last[..100] == content[68 * PAGE_SIZE..] && last[100..].iter().all(|&byte| byte == 0));
    assert_eq!(one.page(69), Ok(None));
    assert_eq!(count(&machine, READ), 2);
}

#[test]
fn directories_are_listed_in_pieces() {
    let mut tree = FuseHost::new();
    for number in 0..300 {
        tree.add(&format!("d/{}{number}", "long".repeat(number % 20)), 0o100_644, b"");
    }
    tree.add("d/sub/file", 0o100_644, b"");
    tree.add("d/link", 0o120_777, b"target");
    let (_machine, files) = start(tree);
    let directory = walk(&files.root(), "d").unwrap();
    let entries = list(&directory);
    assert_eq!(entries.len(), 302);
    assert!(entries.contains(&("sub".into(), FileKind::Directory)));
    assert!(entries.contains(&("link".into(), FileKind::Symlink)));
    assert_eq!(directory.open(WRITE_ONLY).err(), Some(Errno::EISDIR));
}

#[test]
fn links_are_read_once_if_they_never_change() {
    let mut tree = FuseHost::new();
    let target = "x".repeat(1500);
    tree.add("image/link", 0o120_777, target.as_bytes());
    let (machine, files) = start(tree);
    let link = files.subtree(b"image", Caching::Forever).unwrap().lookup(b"link").unwrap();
    for _ in 0..3 {
        assert_eq!(link.read_link(), Ok(target.clone().into_bytes()));
    }
    assert_eq!(count(&machine, 5), 1);
    assert_eq!(link.open(READ_ONLY).err(), Some(Errno::ELOOP));
}

#[test]
fn names_are_made_moved_and_removed() {
    let (machine, files) = start(FuseHost::new());
    let root = files.root();
    assert_eq!(root.lookup(b"a").err(), Some(Errno::ENOENT));
    let a = root.create(b"a", Create::Directory, OWNERSHIP).unwrap();
    assert_eq!(root.create(b"a", Create::Directory, OWNERSHIP).err(), Some(Errno::EEXIST));
    let file = a.create(b"file", Create::File, Ownership { permissions: 0o444, ..OWNERSHIP }).unwrap();
    assert_eq!(file.metadata().unwrap().permissions, 0o444);
    let open = file.open(WRITE_ONLY).unwrap();
    assert_eq!(open.write_at(0, &mut KernelSource(b"hello")), Ok(5));
    file.set_metadata(&SetMetadata { size: Some(3), ..SetMetadata::default() }).unwrap();
    assert_eq!(file.metadata().unwrap().size, 3);
    assert_eq!((count(&machine, 35), count(&machine, OPEN)), (1, 0), "made and opened in one go");
    let long = vec![b't'; 3000];
    let link = root.create(b"link", Create::Symlink(&long), OWNERSHIP).unwrap();
    assert_eq!(link.kind(), FileKind::Symlink);
    host(&machine, |host| assert!(host.nodes.values().any(|node| node.data == long)));
    root.link(b"other", &file).unwrap();
    assert!(Arc::ptr_eq(&root.lookup(b"other").unwrap(), &file), "the same file is the same inode");
    assert_eq!(file.metadata().unwrap().links, 2);
    root.rename(b"other", &a, b"moved", false).unwrap();
    assert_eq!(a.rename(b"moved", &a, b"file", true).err(), Some(Errno::EEXIST));
    assert_eq!(root.remove_directory(b"a"), Err(Errno::ENOTEMPTY));
    a.unlink(b"moved").unwrap();
    a.unlink(b"file").unwrap();
    assert_eq!(file.metadata().unwrap().links, 0);
    root.remove_directory(b"a").unwrap();
    assert_eq!(list(&root).len(), 1);
    let fifo = root.create(b"p", Create::Node { kind: FileKind::Fifo, device: 0 }, OWNERSHIP).unwrap();
    assert_eq!((fifo.kind(), fifo.open(READ_ONLY).err()), (FileKind::Fifo, Some(Errno::ENXIO)));
    assert_eq!(root.lookup(&[b'n'; 3000]).err(), Some(Errno::ENAMETOOLONG));
}

#[test]
fn trees_do_not_mix() {
    let mut tree = FuseHost::new();
    tree.add("a/file", 0o100_644, b"");
    tree.add("b/file", 0o100_644, b"");
    let (_machine, files) = start(tree);
    let a = files.subtree(b"a", Caching::AsTold).unwrap();
    let b = files.subtree(b"b", Caching::AsTold).unwrap();
    let file = a.lookup(b"file").unwrap();
    assert_eq!(b.link(b"new", &file), Err(Errno::EXDEV));
    assert_eq!(a.rename(b"file", &b, b"new", false), Err(Errno::EXDEV));
    let whole = files.subtree(b"/", Caching::AsTold).unwrap();
    assert_eq!(whole.kind(), FileKind::Directory);
    assert_eq!(files.subtree(b"a/nothing", Caching::Forever).err(), Some(Errno::ENOENT));
}

#[test]
fn large_writes_come_straight_from_the_programs_pages() {
    let (machine, files) = start(FuseHost::new());
    let inode = files.root().create(b"out", Create::File, OWNERSHIP).unwrap();
    let file = inode.open(READ_WRITE).unwrap();
    let content = bytes(600_000);
    let mut memory = ProgramMemory::holding(4000, &content);
    assert_eq!(file.write_at(10, &mut memory), Ok(600_000));
    assert_eq!(count(&machine, 16), 1);
    host(&machine, |host| assert!(host.nodes[&2].data[10..] == content));
    assert_eq!(inode.metadata().unwrap().size, 600_010);
    assert!(read_pinned(&file, 10, 5, 600_000).unwrap() == content);
    file.sync(true).unwrap();
    assert_eq!(file.allocate(0, 0, 10), Err(Errno::EOPNOTSUPP));
}

#[test]
fn mapped_pages_follow_writes_and_truncation() {
    let mut tree = FuseHost::new();
    let content = bytes(3 * PAGE_SIZE);
    tree.add("file", 0o100_644, &content);
    let (machine, files) = start(tree);
    let inode = walk(&files.root(), "file").unwrap();
    let file = inode.open(READ_WRITE).unwrap();
    let reader = inode.open(READ_ONLY).unwrap();
    let mapped = reader.page(1).unwrap().unwrap();
    let mut memory = ProgramMemory::holding(1, &[7; 5000]);
    file.write_at(3000, &mut memory).unwrap();
    let mut page = vec![0; PAGE_SIZE];
    mapped.read(0, &mut page);
    assert!(page[..3904].iter().all(|&byte| byte == 7), "the mapping shows what was written");
    assert!(page[3904..] == content[8000..8192]);
    inode.set_metadata(&SetMetadata { size: Some(5000), ..SetMetadata::default() }).unwrap();
    mapped.read(0, &mut page);
    assert!(page[..904].iter().all(|&byte| byte == 7) && page[904..].iter().all(|&byte| byte == 0));
    assert_eq!(file.page(2), Ok(None));
    host(&machine, |host| assert_eq!(host.nodes[&2].data.len(), 5000));
}

#[test]
fn what_a_program_wrote_through_a_mapping_is_read_and_written_back() {
    let mut tree = FuseHost::new();
    tree.add("file", 0o100_644, &bytes(5000));
    let (machine, files) = start(tree);
    let file = walk(&files.root(), "file").unwrap().open(READ_WRITE).unwrap();
    let frame = file.page(1).unwrap().unwrap();
    frame.write(0, b"mapped");
    frame.write(1000, b"beyond the end");
    assert_eq!(read_pinned(&file, 4096, 0, 6), Ok(b"mapped".to_vec()));
    assert_eq!(read_pinned(&file, 0, 0, 50_000).unwrap().len(), 5000);
    file.write_back(1, &frame).unwrap();
    host(&machine, |host| {
        assert_eq!(host.nodes[&2].data.len(), 5000);
        assert_eq!(host.nodes[&2].data[4096..4102], *b"mapped");
    });
}

#[test]
fn changes_of_the_host_are_seen() {
    let mut tree = FuseHost::new();
    tree.add("file", 0o100_644, b"old content");
    let (machine, files) = start(tree);
    let inode = walk(&files.root(), "file").unwrap();
    assert!(files.root().may_change_outside());
    let file = inode.open(READ_ONLY).unwrap();
    let mapped = file.page(0).unwrap().unwrap();
    assert_eq!(read(&file, 0, 100), Ok(b"old content".to_vec()));
    host(&machine, |host| {
        let node = host.nodes.get_mut(&2).unwrap();
        node.data = b"newer content".to_vec();
        node.modified += 1;
    });
    assert_eq!(read(&file, 0, 100), Ok(b"newer content".to_vec()));
    assert_eq!(inode.metadata().unwrap().size, 13);
    let mut page = [0; 14];
    mapped.read(0, &mut page);
    assert_eq!(page, *b"newer content\0");
}

#[test]
fn answers_hold_as_long_as_the_host_says() {
    let mut tree = FuseHost { validity: 1000, ..FuseHost::new() };
    tree.add("file", 0o100_644, b"content");
    let (machine, files) = start(tree);
    let root = files.root();
    let inode = root.lookup(b"file").unwrap();
    for _ in 0..5 {
        assert!(Arc::ptr_eq(&inode, &root.lookup(b"file").unwrap()));
        assert_eq!(inode.metadata().unwrap().size, 7);
    }
    assert_eq!((count(&machine, LOOKUP), count(&machine, GETATTR)), (1, 0));
    inode
        .set_metadata(&SetMetadata {
            permissions: Some(0o600),
            uid: Some(5),
            modified: Some(Timestamp { seconds: 77, nanoseconds: 0 }),
            ..SetMetadata::default()
        })
        .unwrap();
    let metadata = inode.metadata().unwrap();
    assert_eq!((metadata.permissions, metadata.uid, metadata.modified.seconds), (0o600, 5, 77));
    assert_eq!(count(&machine, GETATTR), 0);
    root.unlink(b"file").unwrap();
    assert_eq!(root.lookup(b"file").err(), Some(Errno::ENOENT));
    assert_eq!(inode.metadata().unwrap().links, 0);
    let status = root.file_system().unwrap();
    assert_eq!((status.blocks, status.blocks_free, status.block_size, status.name_max), (1, 3, 512, 255));
}

#[test]
fn nodes_that_nobody_uses_are_forgotten() {
    let mut tree = FuseHost::new();
    for number in 0..200 {
        tree.add(&format!("{number}"), 0o100_644, b"");
    }
    let (machine, files) = start(tree);
    for _ in 0..3 {
        for number in 0..200 {
            let inode = files.root().lookup(format!("{number}").as_bytes()).unwrap();
            assert_eq!(inode.metadata().unwrap().inode, 1002 + number);
        }
    }
    assert_eq!(count(&machine, BATCH_FORGET), 9);
    host(&machine, |host| assert!(host.nodes.values().map(|node| node.lookups).sum::<u64>() < 70));
}

#[test]
fn a_host_that_needs_no_open_gets_none() {
    let mut tree = FuseHost { granted: 1 << 22 | 1 << 17, ..FuseHost::new() };
    tree.add("file", 0o100_644, b"content");
    let (machine, files) = start(tree);
    let file = walk(&files.root(), "file").unwrap().open(READ_WRITE).unwrap();
    assert_eq!(read(&file, 0, 100), Ok(b"content".to_vec()));
    let new = files.root().create(b"new", Create::File, OWNERSHIP).unwrap().open(WRITE_ONLY).unwrap();
    assert_eq!(new.write_at(0, &mut KernelSource(b"x")), Ok(1));
    drop((file, new));
    host(&machine, |host| assert_eq!(host.count(OPEN) + host.count(35) + host.count(RELEASE), 0));
}

#[test]
fn nonsense_is_an_error() {
    let lies: [&[u8]; 6] = [
        &[],
        &[16, 0, 0],
        &[200, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[16, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        &[16, 0, 0, 0, 0, 0, 0, 0x80, 0, 0, 0, 0, 0, 0, 0, 0],
        &[16, 0, 0, 0, 5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ];
    for lie in lies {
        let mut tree = FuseHost::new();
        tree.add("file", 0o100_644, b"content");
        let (machine, files) = start(tree);
        host(&machine, |host| host.lie = Some(lie.to_vec()));
        assert_eq!(files.root().lookup(b"file").err(), Some(Errno::EIO));
        let file = files.root().lookup(b"file").unwrap().open(READ_ONLY).unwrap();
        assert_eq!(read(&file, 0, 100), Ok(b"content".to_vec()));
    }
}

#[test]
fn cached_pages_that_nobody_maps_can_be_given_up() {
    let mut tree = FuseHost::new();
    tree.add("file", 0o100_644, &bytes(100_000));
    let (_machine, files) = start(tree);
    let inode = files.subtree(b"file", Caching::Forever).unwrap();
    read(&inode.open(READ_ONLY).unwrap(), 0, 1000).unwrap();
    // The machine of the tests holds every frame too, so none is the cache's alone.
    assert_eq!(files.reclaim(100), 0);
}

fn append(file: &Arc<dyn File>, bytes: &[u8]) -> (usize, u64) {
    file.append(&mut KernelSource(bytes)).expect("a file has an end").unwrap()
}

#[test]
fn what_is_appended_overwrites_nothing_that_the_host_appends() {
    let mut tree = FuseHost { validity: 60, ..FuseHost::new() };
    let number = tree.add("log", 0o100_644, b"");
    let (machine, files) = start(tree);
    let file = walk(&files.root(), "log").unwrap().open(READ_WRITE).unwrap();
    assert_eq!(append(&file, b"one "), (4, 4));
    let asked = count(&machine, GETATTR);
    assert_eq!(append(&file, b"two "), (4, 8));
    assert_eq!(count(&machine, GETATTR), asked + 1, "where the end is now");
    assert_eq!(read(&file, 0, 100), Ok(b"one two ".to_vec()));
    host(&machine, |host| host.nodes.get_mut(&number).unwrap().data.extend(b"host "));
    assert_eq!(append(&file, b"three"), (5, 18));
    assert_eq!(read(&file, 0, 100), Ok(b"one two host three".to_vec()));
}

#[test]
fn an_answer_from_before_a_write_is_not_believed() {
    let mut tree = FuseHost { validity: 60, ..FuseHost::new() };
    tree.add("file", 0o100_644, b"old");
    let (_machine, files) = start(tree);
    let inode = walk(&files.root(), "file").unwrap();
    let node = inode.as_any().downcast_ref::<Node>().unwrap();
    let answer = |asked| {
        let attributes = node.attributes().unwrap();
        Answer { attributes, deadline: deadline::NEVER, asked }
    };
    let early = answer(0);
    assert_eq!(inode.open(WRITE_ONLY).unwrap().write_at(3, &mut KernelSource(b" and new")), Ok(8));
    node.accept(&early).unwrap();
    assert_eq!(inode.metadata().unwrap().size, 11);
    let between = Answer { asked: 1, ..early };
    node.accept(&between).unwrap();
    assert_eq!(inode.metadata().unwrap().size, 3, "one from after it is");
    inode.set_metadata(&SetMetadata { size: Some(5), ..SetMetadata::default() }).unwrap();
    node.accept(&between).unwrap();
    assert_eq!(inode.metadata().unwrap().size, 5);
}
