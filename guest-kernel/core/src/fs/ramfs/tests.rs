use super::*;
use crate::fs::inode::{DirectoryEntry, SetMetadata};
use crate::io::{KernelDestination, KernelSource};
use alloc::vec::Vec;

const OWNERSHIP: Ownership = Ownership { uid: 0, gid: 0, permissions: 0o644 };
const BOTH: Access = Access { read: true, write: true };

fn write(file: &Arc<dyn File>, offset: u64, bytes: &[u8]) -> Result<usize, Errno> {
    file.write_at(offset, &mut KernelSource(bytes))
}

fn read(file: &Arc<dyn File>, offset: u64, len: usize) -> Vec<u8> {
    let mut bytes = alloc::vec![0xaa; len];
    let len = file.read_at(offset, &mut KernelDestination(&mut bytes)).unwrap();
    bytes.truncate(len);
    bytes
}

fn create(directory: &InodeRef, name: &[u8], what: Create<'_>) -> InodeRef {
    directory.create(name, what, OWNERSHIP).unwrap()
}

fn names(directory: &InodeRef) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut push = |entry: DirectoryEntry<'_>| {
        names.push(entry.name.to_vec());
        true
    };
    directory.open(BOTH).unwrap().read_directory(0, &mut push).unwrap();
    names
}

#[test]
fn a_file_holds_what_was_written_and_zeros_in_between() {
    let fs = RamFs::new();
    let inode = create(&fs.root(), b"f", Create::File);
    let file = inode.open(BOTH).unwrap();
    assert_eq!(write(&file, 3, b"hello"), Ok(5));
    assert_eq!(write(&file, 10_000, b"world"), Ok(5));
    assert_eq!(read(&file, 0, 10), b"\0\0\0hello\0\0");
    assert_eq!(read(&file, 9_998, 100), b"\0\0world");
    assert_eq!(read(&file, 20_000, 10), b"");
    let metadata = inode.metadata().unwrap();
    assert_eq!((metadata.size, metadata.blocks), (10_005, 16));
}

#[test]
fn shrinking_frees_and_growing_again_shows_zeros() {
    let fs = RamFs::new();
    let inode = create(&fs.root(), b"f", Create::File);
    let file = inode.open(BOTH).unwrap();
    write(&file, 0, &alloc::vec![7; 10_000]).unwrap();
    let set_size = |size| inode.set_metadata(&SetMetadata { size: Some(size), ..SetMetadata::default() });
    set_size(5).unwrap();
    assert_eq!(inode.metadata().unwrap().blocks, 8);
    set_size(9_000).unwrap();
    let bytes = read(&file, 0, 10_000);
    assert_eq!(bytes.len(), 9_000);
    assert!(bytes[..5].iter().all(|&byte| byte == 7) && bytes[5..].iter().all(|&byte| byte == 0));
    assert_eq!(fs.frames.load(Ordering::Relaxed), 1);
}

#[test]
fn a_mapped_page_is_the_page_that_is_read_and_written() {
    let fs = RamFs::new();
    let inode = create(&fs.root(), b"f", Create::File);
    let file = inode.open(BOTH).unwrap();
    write(&file, 4096, b"abc").unwrap();
    let page = file.page(1).unwrap().unwrap();
    page.write(1, b"X");
    assert_eq!(read(&file, 4096, 3), b"aXc");
    write(&file, 4098, b"Y").unwrap();
    let mut bytes = [0; 3];
    page.read(0, &mut bytes);
    assert_eq!(&bytes, b"aXY");
    let hole = file.page(0).unwrap().unwrap();
    hole.write(0, b"h");
    assert_eq!(read(&file, 0, 1), b"h");
    assert_eq!(file.page(2).unwrap(), None);
}

#[test]
fn a_full_file_system_says_so_and_frees_on_removal() {
    let fs = RamFs::with_limit(4);
    let root = fs.root();
    let inode = create(&root, b"f", Create::File);
    let file = inode.open(BOTH).unwrap();
    assert_eq!(write(&file, 0, &[1; 5 * 4096]), Ok(4 * 4096));
    assert_eq!(write(&file, 4 * 4096, b"x"), Err(Errno::ENOSPC));
    assert_eq!(root.file_system().unwrap().blocks_free, 0);
    root.unlink(b"f").unwrap();
    // Still open, so still there.
    assert_eq!(read(&file, 0, 2), [1, 1]);
    assert_eq!(inode.metadata().unwrap().links, 0);
    drop((file, inode));
    assert_eq!(root.file_system().unwrap().blocks_free, 4);
}

#[test]
fn links_are_counted() {
    let fs = RamFs::new();
    let root = fs.root();
    let links = |inode: &InodeRef| inode.metadata().unwrap().links;
    let file = create(&root, b"a", Create::File);
    root.link(b"b", &file).unwrap();
    assert_eq!(root.link(b"b", &file), Err(Errno::EEXIST));
    assert_eq!(links(&file), 2);
    let directory = create(&root, b"d", Create::Directory);
    assert_eq!((links(&root), links(&directory)), (3, 2));
    let nested = create(&directory, b"e", Create::Directory);
    assert_eq!(links(&directory), 3);
    directory.rename(b"e", &root, b"e", false).unwrap();
    assert_eq!((links(&root), links(&directory), links(&nested)), (4, 2, 2));
    root.remove_directory(b"e").unwrap();
    assert_eq!((links(&root), links(&nested)), (3, 0));
}

#[test]
fn rename_replaces_only_what_it_may() {
    let fs = RamFs::new();
    let root = fs.root();
    let full = create(&root, b"full", Create::Directory);
    create(&full, b"x", Create::File);
    create(&root, b"empty", Create::Directory);
    let file = create(&root, b"file", Create::File);
    let rename = |from: &[u8], to: &[u8], keep| root.rename(from, &root, to, keep);
    assert_eq!(rename(b"file", b"empty", false), Err(Errno::EISDIR));
    assert_eq!(rename(b"empty", b"file", false), Err(Errno::ENOTDIR));
    assert_eq!(rename(b"empty", b"full", false), Err(Errno::ENOTEMPTY));
    assert_eq!(rename(b"full", b"empty", true), Err(Errno::EEXIST));
    assert_eq!(rename(b"full", b"empty", false), Ok(()));
    assert_eq!(rename(b"none", b"x", false), Err(Errno::ENOENT));
    assert_eq!(names(&root), [&b"empty"[..], b"file"]);
    assert_eq!(root.remove_directory(b"empty"), Err(Errno::ENOTEMPTY));
    assert_eq!(root.unlink(b"empty"), Err(Errno::EISDIR));
    assert_eq!(root.remove_directory(b"file"), Err(Errno::ENOTDIR));
    let other = RamFs::new().root();
    assert_eq!(root.rename(b"file", &other, b"file", false), Err(Errno::EXDEV));
    assert_eq!(other.link(b"file", &file), Err(Errno::EXDEV));
}

#[test]
fn punching_zeroes_the_edges_and_frees_the_middle() {
    let fs = RamFs::new();
    let inode = create(&fs.root(), b"f", Create::File);
    let file = inode.open(BOTH).unwrap();
    write(&file, 0, &[9; 4 * 4096]).unwrap();
    file.allocate(3, 4000, 5000).unwrap();
    let bytes = read(&file, 0, 4 * 4096);
    assert_eq!(bytes.len(), 4 * 4096);
    for (index, &byte) in bytes.iter().enumerate() {
        assert_eq!(byte == 0, (4000..9000).contains(&index), "{index}");
    }
    assert_eq!(fs.frames.load(Ordering::Relaxed), 3);
    file.allocate(3, 100, 50).unwrap();
    assert_eq!(read(&file, 99, 52), [&[9][..], &[0; 50], &[9]].concat());
    file.allocate(0, 0, 6 * 4096).unwrap();
    assert_eq!(inode.metadata().unwrap().size, 6 * 4096);
    assert_eq!(fs.frames.load(Ordering::Relaxed), 6);
}

#[test]
fn appending_from_several_threads_loses_nothing() {
    let fs = RamFs::new();
    let inode = create(&fs.root(), b"f", Create::File);
    let file = inode.open(BOTH).unwrap();
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..100 {
                    file.append(&mut KernelSource(b"0123456789")).unwrap().unwrap();
                }
            });
        }
    });
    assert_eq!(inode.metadata().unwrap().size, 4000);
    assert_eq!(read(&file, 0, 5000), b"0123456789".repeat(400));
}
