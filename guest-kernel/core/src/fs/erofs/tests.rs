//! An image of `mkfs.erofs` in frames, read as programs do.

use super::*;
use crate::fs::context::FsContext;
use crate::fs::inode::FileKind;
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::open::OpenFlags;
use crate::fs::overlay;
use crate::io::{KernelDestination, KernelSource};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, Ordering};
use std::fs;
use std::process::Command;

const OPTIONS: MountOptions<'_> = MountOptions::plain(b"image", "overlay");

/// An image of a few files; `None` without `mkfs.erofs`.
fn image(extended_options: &str) -> Option<Vec<u8>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Tests run side by side.
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let folder = std::env::temp_dir().join(std::format!("septum-erofs-{}-{number}", std::process::id()));
    let _ = fs::remove_dir_all(&folder);
    let root = folder.join("root");
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(root.join("many")).unwrap();
    fs::write(root.join("etc/short"), "short text").unwrap();
    fs::write(root.join("etc/long"), pattern(10_000)).unwrap();
    fs::write(root.join("etc/whole"), pattern(8192)).unwrap();
    fs::hard_link(root.join("etc/short"), root.join("etc/also")).unwrap();
    std::os::unix::fs::symlink("etc/short", root.join("link")).unwrap();
    for number in 0..500 {
        fs::write(root.join(std::format!("many/a-file-of-the-number-{number}")), []).unwrap();
    }
    let file = folder.join("image");
    let made = Command::new("mkfs.erofs")
        .arg("--quiet")
        .arg(std::format!("-E{extended_options}"))
        .args([&file, &root])
        .status();
    let bytes = made.ok().filter(std::process::ExitStatus::success).map(|_| fs::read(&file).unwrap());
    fs::remove_dir_all(&folder).unwrap();
    if bytes.is_none() {
        std::eprintln!("SKIPPED: mkfs.erofs cannot be run");
    }
    bytes
}

fn pattern(len: usize) -> Vec<u8> {
    (1..=250_u8).cycle().take(len).collect()
}

fn mounted(bytes: &[u8]) -> Result<InodeRef, Errno> {
    let page = |bytes: &[u8]| {
        let frame = Frame::zeroed().unwrap();
        frame.write(0, bytes);
        frame
    };
    let frames: Vec<Frame> = bytes.chunks(PAGE_SIZE).map(page).collect();
    let len = (frames.len() * PAGE_SIZE) as u64;
    root(len, Box::new(move |index| frames.get(usize::try_from(index).ok()?).cloned()))
}

fn seen(bytes: &[u8]) -> FsContext {
    let namespace = Namespace::new(overlay::over(mounted(bytes).unwrap()).unwrap(), OPTIONS);
    FsContext::new(Arc::clone(namespace.root()))
}

fn get(context: &FsContext, path: &str) -> Vec<u8> {
    let file = context.open(&context.root, path.as_bytes(), OpenFlags::empty(), 0).unwrap();
    let mut bytes = alloc::vec![0; 20_000];
    let len = file.read(&mut KernelDestination(&mut bytes)).unwrap();
    bytes.truncate(len);
    bytes
}

#[test]
fn files_are_those_of_the_image_and_change_above_it() {
    for options in ["noinline_data,force-inode-extended", "force-inode-compact"] {
        let Some(bytes) = image(options) else { return };
        let context = seen(&bytes);
        assert_eq!(get(&context, "/link"), b"short text");
        assert_eq!(get(&context, "/etc/long"), pattern(10_000));
        assert_eq!(get(&context, "/etc/whole"), pattern(8192));
        let also = context.resolve(&context.root, b"/etc/also", true).unwrap().metadata().unwrap();
        let short = context.resolve(&context.root, b"/etc/short", true).unwrap().metadata().unwrap();
        assert_eq!((also.inode, also.links, also.size), (short.inode, 2, 10));
        for number in [0, 77, 499] {
            let path = std::format!("/many/a-file-of-the-number-{number}");
            assert_eq!(get(&context, &path), b"");
        }
        let mut count = 0;
        let many = context.open(&context.root, b"/many", OpenFlags::DIRECTORY, 0).unwrap();
        let mut from = 0;
        // A few at a time, as programs list.
        loop {
            let before = count;
            let mut taken = 0;
            many.file()
                .read_directory(from, &mut |entry| {
                    if taken == 7 {
                        return false;
                    }
                    assert_eq!(entry.kind, FileKind::Regular);
                    (taken, count, from) = (taken + 1, count + 1, entry.next);
                    true
                })
                .unwrap();
            if count == before {
                break;
            }
        }
        assert_eq!(count, 500);
        let write = OpenFlags::WRITE_ONLY | OpenFlags::APPEND;
        let file = context.open(&context.root, b"/etc/short", write, 0).unwrap();
        file.write(&mut KernelSource(b"!")).unwrap();
        assert_eq!(get(&context, "/etc/short"), b"short text!");
        assert_eq!(get(&context, "/etc/also"), b"short text");
        assert_eq!(get(&seen(&bytes), "/etc/short"), b"short text");
    }
}

#[test]
fn a_mapped_page_shows_nothing_behind_the_end_of_its_file() {
    for options in ["noinline_data,force-inode-extended", "force-inode-extended"] {
        let Some(mut bytes) = image(options) else { return };
        // What follows contents in their block: a hostile image has something there.
        let start = bytes.windows(10).position(|window| window == b"short text").unwrap();
        let follows = start + 10;
        if follows % PAGE_SIZE != 0 && bytes[follows] == 0 {
            bytes[follows] = b'X';
        }
        let context = seen(&bytes);
        for (path, last, used) in [("/etc/short", 0, 10), ("/etc/long", 2, 10_000 - 8192)] {
            let file = context.open(&context.root, path.as_bytes(), OpenFlags::empty(), 0).unwrap();
            let frame = file.file().page(last).unwrap().unwrap();
            let mut page = [1; PAGE_SIZE];
            frame.read(0, &mut page);
            assert!(page[..used].iter().all(|&byte| byte != 0) && page[used..].iter().all(|&byte| byte == 0));
            assert_eq!(
                file.file().cached_page(last).unwrap().address(),
                frame.address(),
                "one page, not two"
            );
            assert!(file.file().page(last + 1).unwrap().is_none());
        }
    }
}

#[test]
fn what_is_no_image_is_refused() {
    assert_eq!(mounted(&[0; PAGE_SIZE]).err(), Some(Errno::EUCLEAN));
    assert_eq!(mounted(&[]).err(), Some(Errno::EUCLEAN));
    let Some(bytes) = image("force-inode-extended,noinline_data") else { return };
    assert_eq!(mounted(&bytes[..PAGE_SIZE]).err(), Some(Errno::EUCLEAN));
}
