//! The same random changes of names, here and by the Linux that the tests run on: results and trees have to be equal.

use super::context::FsContext;
use super::inode::FileKind;
use super::mount::{MountOptions, Namespace};
use super::names::Replace;
use super::open::OpenFlags;
use super::ramfs::RamFs;
use crate::io::{KernelDestination, KernelSource};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{
    DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _, symlink,
};
use std::path::{Path, PathBuf};

/// A small generator of test choices (xorshift).
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % limit
    }

    /// A relative path without `..`, which could leave the test's directory.
    fn path(&mut self) -> String {
        const NAMES: [&str; 6] = ["a", "b", "c", "d", "e", "."];
        let mut parts = Vec::new();
        for _ in 0..=self.below(3) {
            let limit = if self.below(8) == 0 { 6 } else { 5 };
            parts.push(NAMES[usize::try_from(self.below(limit)).unwrap()]);
        }
        let slash = if self.below(10) == 0 { "/" } else { "" };
        std::format!("{}{slash}", parts.join("/"))
    }
}

const WRITE: u32 = 1;
const APPEND: u32 = 0o2000;
const CREATE: u32 = 0o100;
const EXCLUSIVE: u32 = 0o200;
const TRUNCATE: u32 = 0o1000;
const NO_FOLLOW: u32 = 0o400_000;
const DIRECTORY: u32 = 0o200_000;

/// Flags that an opening of choice `what` has beside writing.
fn flags(what: u64) -> u32 {
    match what {
        0 | 1 => CREATE,
        2 => CREATE | TRUNCATE,
        3 => APPEND,
        4 => CREATE | EXCLUSIVE,
        5 => NO_FOLLOW | CREATE,
        _ => DIRECTORY,
    }
}

fn ours(context: &FsContext, what: u64, first: &str, second: &str) -> Result<(), Errno> {
    let (root, path, other) = (&context.root, first.as_bytes(), second.as_bytes());
    match what {
        0..=6 => {
            let flags = OpenFlags::from_bits_truncate(WRITE | flags(what));
            let file = context.open(root, path, flags, 0o644)?;
            file.write(&mut KernelSource(other)).map(drop)
        }
        7..=9 => context.unlink(root, path),
        10..=13 => context.make_directory(root, path, 0o755).map(drop),
        14 | 15 => context.remove_directory(root, path),
        16..=20 => context.rename((root, path), (root, other), Replace::Yes),
        21 => context.link(&context.resolve(root, path, false)?, root, other),
        22 | 23 => context.make_link_to(other, root, path),
        24 => context.set_permissions(&*context.resolve(root, path, true)?, 0o701),
        25 => context.resolve(root, path, true).map(drop),
        26 => context.resolve(root, path, false).map(drop),
        _ => context.truncate(&*context.resolve(root, path, true)?, 2),
    }
}

fn theirs(base: &Path, what: u64, first: &str, second: &str) -> Result<(), Errno> {
    let at = |path: &str| PathBuf::from(std::format!("{}/{path}", base.display()));
    let (path, other) = (at(first), at(second));
    let result = match what {
        0..=6 => {
            let mut options = fs::OpenOptions::new();
            // The flags as a whole: std's own would be checked and translated.
            let access = if flags(what) & APPEND == 0 { options.write(true) } else { options.append(true) };
            access.custom_flags(i32::try_from(flags(what) & !CREATE & !EXCLUSIVE & !TRUNCATE).unwrap());
            access.create(flags(what) & CREATE != 0).create_new(flags(what) & EXCLUSIVE != 0);
            access.truncate(flags(what) & TRUNCATE != 0).mode(0o644);
            access.open(&path).and_then(|mut file| file.write_all(second.as_bytes()))
        }
        7..=9 => fs::remove_file(&path),
        10..=13 => fs::create_dir(&path),
        14 | 15 => fs::remove_dir(&path),
        16..=20 => fs::rename(&path, &other),
        21 => fs::symlink_metadata(&path).and_then(|_| fs::hard_link(&path, &other)),
        22 | 23 => symlink(second, &path),
        24 => fs::set_permissions(&path, fs::Permissions::from_mode(0o701)),
        25 => fs::metadata(&path).map(drop),
        26 => fs::symlink_metadata(&path).map(drop),
        _ => fs::OpenOptions::new().write(true).open(&path).and_then(|file| file.set_len(2)),
    };
    result.map_err(|error| {
        error.raw_os_error().and_then(|number| Errno::from_number(number.unsigned_abs())).unwrap()
    })
}

fn our_tree(context: &FsContext, path: &str, into: &mut Vec<String>) {
    let shown = std::format!("./{path}");
    let open = context.open(&context.root, shown.as_bytes(), OpenFlags::DIRECTORY, 0).unwrap();
    let mut names = Vec::new();
    open.file()
        .read_directory(0, &mut |entry| {
            names.push(String::from_utf8(entry.name.to_vec()).unwrap());
            true
        })
        .unwrap();
    names.sort();
    for name in names {
        let path = std::format!("{path}{name}");
        let dentry = context.resolve(&context.root, path.as_bytes(), false).unwrap();
        let metadata = dentry.metadata().unwrap();
        let mode = metadata.kind as u32 | metadata.permissions;
        let contents = match metadata.kind {
            FileKind::Regular => {
                let mut bytes = alloc::vec![0; 1000];
                let file = context.open(&context.root, path.as_bytes(), OpenFlags::empty(), 0).unwrap();
                let len = file.read(&mut KernelDestination(&mut bytes)).unwrap();
                String::from_utf8_lossy(&bytes[..len]).to_string()
            }
            FileKind::Symlink => String::from_utf8(dentry.inode().read_link().unwrap()).unwrap(),
            _ => String::new(),
        };
        let links = if dentry.is_directory() { 0 } else { metadata.links };
        into.push(std::format!("{path} {mode:o} {links} {contents:?}"));
        if dentry.is_directory() {
            our_tree(context, &std::format!("{path}/"), into);
        }
    }
}

fn their_tree(base: &Path, path: &str, into: &mut Vec<String>) {
    let mut names: Vec<String> = fs::read_dir(base.join(path))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    for name in names {
        let path = std::format!("{path}{name}");
        let full = base.join(&path);
        let metadata = fs::symlink_metadata(&full).unwrap();
        let contents = if metadata.is_file() {
            String::from_utf8_lossy(&fs::read(&full).unwrap()).to_string()
        } else if metadata.is_symlink() {
            fs::read_link(&full).unwrap().to_string_lossy().to_string()
        } else {
            String::new()
        };
        // Not every file system counts the links of directories.
        let links = if metadata.is_dir() { 0 } else { metadata.nlink() };
        into.push(std::format!("{path} {:o} {links} {contents:?}", metadata.mode()));
        if metadata.is_dir() {
            their_tree(base, &std::format!("{path}/"), into);
        }
    }
}

/// The umask of the tests, as a new directory shows it.
fn umask(base: &Path) -> u32 {
    let probe = base.join("umask");
    fs::DirBuilder::new().mode(0o777).create(&probe).unwrap();
    let mode = fs::metadata(&probe).unwrap().mode();
    fs::remove_dir(&probe).unwrap();
    0o777 & !mode
}

/// Removes the test's directory, whatever becomes of the test.
struct Scratch(PathBuf);

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn names_behave_as_on_the_linux_beneath() {
    let base = Scratch(std::env::temp_dir().join(std::format!("septum-names-{}", std::process::id())));
    let mut done = 0;
    for seed in 1..30u64 {
        let mut choices = Choices(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let _ = fs::remove_dir_all(&base.0);
        fs::create_dir_all(&base.0).unwrap();
        let options = MountOptions::plain(b"none", "tmpfs");
        let mut context = FsContext::new(Arc::clone(Namespace::new(RamFs::new().root(), options).root()));
        context.umask = umask(&base.0);
        for step in 0..200 {
            let (what, first, second) = (choices.below(28), choices.path(), choices.path());
            let theirs = theirs(&base.0, what, &first, &second);
            let ours = ours(&context, what, &first, &second);
            assert_eq!(ours, theirs, "seed {seed} step {step}: {what} {first:?} {second:?} (ours, Linux's)");
            done += usize::from(ours.is_ok());
        }
        let (mut seen, mut expected) = (Vec::new(), Vec::new());
        our_tree(&context, "", &mut seen);
        their_tree(&base.0, "", &mut expected);
        assert_eq!(seen, expected, "seed {seed}");
    }
    assert!(done > 500, "too few of the choices were possible: {done}");
}
