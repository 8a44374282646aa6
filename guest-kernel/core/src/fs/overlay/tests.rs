use super::*;
use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::inode::{Access, Create, DirectoryEntry, File, Ownership};
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::names::Replace;
use crate::fs::open::OpenFlags;
use crate::io::{KernelDestination, KernelSource};
use alloc::string::String;
use alloc::vec::Vec;

const OPTIONS: MountOptions<'_> = MountOptions::plain(b"host", "overlay");

/// A lower tree, the same tree under an overlay, and who looks at them.
struct Host {
    lower: InodeRef,
    seen: FsContext,
}

fn put(directory: &InodeRef, name: &[u8], bytes: &[u8]) -> InodeRef {
    let ownership = Ownership { uid: 7, gid: 8, permissions: 0o640 };
    let inode = directory.create(name, Create::File, ownership).unwrap();
    let file = inode.open(Access { read: true, write: true }).unwrap();
    file.write_at(0, &mut KernelSource(bytes)).unwrap();
    inode
}

fn directory(parent: &InodeRef, name: &[u8]) -> InodeRef {
    parent.create(name, Create::Directory, Ownership { uid: 0, gid: 0, permissions: 0o755 }).unwrap()
}

impl Host {
    fn new() -> Self {
        let lower = RamFs::new().root();
        put(&lower, b"hello", b"hello from below");
        let etc = directory(&lower, b"etc");
        put(&etc, b"passwd", b"root");
        put(&etc, b"group", b"wheel");
        directory(&directory(&lower, b"deep"), b"deeper");
        let seen = over(Arc::clone(&lower)).unwrap();
        let namespace = Namespace::new(seen, OPTIONS);
        Self { lower, seen: FsContext::new(Arc::clone(namespace.root())) }
    }

    fn open(&self, path: &str, flags: OpenFlags) -> Result<Arc<crate::fs::descriptors::OpenFile>, Errno> {
        self.seen.open(&self.seen.root, path.as_bytes(), flags, 0o644)
    }

    fn get(&self, path: &str) -> Result<Vec<u8>, Errno> {
        let mut bytes = alloc::vec![0; 100_000];
        let len = self.open(path, OpenFlags::empty())?.read(&mut KernelDestination(&mut bytes))?;
        bytes.truncate(len);
        Ok(bytes)
    }

    fn put(&self, path: &str, flags: OpenFlags, bytes: &[u8]) -> Result<(), Errno> {
        self.open(path, OpenFlags::CREATE | OpenFlags::WRITE_ONLY | flags)?
            .write(&mut KernelSource(bytes))?;
        Ok(())
    }

    fn find(&self, path: &str) -> Result<Arc<Dentry>, Errno> {
        self.seen.resolve(&self.seen.root, path.as_bytes(), false)
    }

    fn rename(&self, from: &str, to: &str) -> Result<(), Errno> {
        let root = &self.seen.root;
        self.seen.rename((root, from.as_bytes()), (root, to.as_bytes()), Replace::Yes)
    }

    fn unlink(&self, path: &str) -> Result<(), Errno> {
        self.seen.unlink(&self.seen.root, path.as_bytes())
    }

    fn remove_directory(&self, path: &str) -> Result<(), Errno> {
        self.seen.remove_directory(&self.seen.root, path.as_bytes())
    }

    fn list(&self, path: &str) -> Vec<String> {
        let open = self.open(path, OpenFlags::DIRECTORY).unwrap();
        names(open.file())
    }
}

fn names(file: &Arc<dyn File>) -> Vec<String> {
    let mut names = Vec::new();
    let mut push = |entry: DirectoryEntry<'_>| {
        names.push(String::from_utf8(entry.name.to_vec()).unwrap());
        true
    };
    file.read_directory(0, &mut push).unwrap();
    names.sort();
    names
}

#[test]
fn writing_raises_the_file_and_leaves_the_lower_one() {
    let host = Host::new();
    let reading = host.open("/etc/passwd", OpenFlags::empty()).unwrap();
    let before = host.find("/etc/passwd").unwrap().metadata().unwrap();
    host.put("/etc/passwd", OpenFlags::empty(), b"R").unwrap();
    assert_eq!(host.get("/etc/passwd").unwrap(), b"Root");
    let after = host.find("/etc/passwd").unwrap().metadata().unwrap();
    assert_eq!((before.inode, before.device), (after.inode, after.device));
    assert_eq!((after.uid, after.gid, after.permissions), (7, 8, 0o640));
    // What was open before still reads the file below.
    let mut bytes = [0; 4];
    reading.read(&mut KernelDestination(&mut bytes)).unwrap();
    assert_eq!(&bytes, b"root");
    let below = host.lower.lookup(b"etc").unwrap().lookup(b"passwd").unwrap();
    assert_eq!(below.metadata().unwrap().size, 4);
    assert_eq!(host.list("/etc"), ["group", "passwd"]);
}

#[test]
fn large_files_are_copied_whole_and_truncated_ones_not_at_all() {
    let host = Host::new();
    let contents: Vec<u8> = (0..=255u8).cycle().take(70_001).collect();
    put(&host.lower, b"large", &contents);
    put(&host.lower, b"truncated", &contents);
    host.put("/large", OpenFlags::APPEND, b"!").unwrap();
    assert_eq!(host.get("/large").unwrap(), [&contents[..], b"!"].concat());
    host.put("/truncated", OpenFlags::TRUNCATE, b"new").unwrap();
    assert_eq!(host.get("/truncated").unwrap(), b"new");
    host.seen.truncate(&host.find("/large").unwrap(), 3).unwrap();
    assert_eq!(host.get("/large").unwrap(), [0, 1, 2]);
}

#[test]
fn removed_names_stay_removed_and_can_be_made_again() {
    let host = Host::new();
    host.unlink("/etc/passwd").unwrap();
    assert_eq!(host.get("/etc/passwd"), Err(Errno::ENOENT));
    assert_eq!(host.list("/etc"), ["group"]);
    assert_eq!(host.remove_directory("/etc"), Err(Errno::ENOTEMPTY));
    host.unlink("/etc/group").unwrap();
    host.remove_directory("/etc").unwrap();
    assert_eq!(host.list("/"), ["deep", "hello"]);
    // A new directory of that name shows nothing of the old one.
    host.seen.make_directory(&host.seen.root, b"/etc", 0o755).unwrap();
    assert_eq!(host.list("/etc"), Vec::<String>::new());
    assert_eq!(host.get("/etc/passwd"), Err(Errno::ENOENT));
    host.put("/etc/passwd", OpenFlags::empty(), b"new").unwrap();
    assert_eq!(host.get("/etc/passwd").unwrap(), b"new");
}

#[test]
fn new_files_appear_in_merged_directories_once() {
    let host = Host::new();
    let open = host.open("/etc", OpenFlags::DIRECTORY).unwrap();
    assert_eq!(names(open.file()), ["group", "passwd"]);
    host.put("/etc/new", OpenFlags::EXCLUSIVE, b"x").unwrap();
    host.put("/etc/group", OpenFlags::empty(), b"x").unwrap();
    // Reading from the start again shows what was written meanwhile.
    assert_eq!(names(open.file()), ["group", "new", "passwd"]);
    assert_eq!(host.put("/etc/passwd", OpenFlags::EXCLUSIVE, b""), Err(Errno::EEXIST));
    host.unlink("/etc/new").unwrap();
    assert_eq!(host.list("/etc"), ["group", "passwd"]);
}

#[test]
fn files_are_renamed_and_directories_from_below_are_not() {
    let host = Host::new();
    host.rename("/etc/passwd", "/deep/moved").unwrap();
    assert_eq!(host.get("/deep/moved").unwrap(), b"root");
    assert_eq!(host.get("/etc/passwd"), Err(Errno::ENOENT));
    assert_eq!(host.list("/etc"), ["group"]);
    assert_eq!(host.rename("/etc", "/other"), Err(Errno::EXDEV));
    let made = host.seen.make_directory(&host.seen.root, b"/made", 0o755).unwrap();
    host.put("/made/file", OpenFlags::empty(), b"x").unwrap();
    host.rename("/made", "/deep/deeper/made").unwrap();
    assert_eq!(host.get("/deep/deeper/made/file").unwrap(), b"x");
    assert_eq!(made.path(&host.seen.root), b"/deep/deeper/made");
    // Over an empty directory of the lower layer, which does not shine through.
    host.rename("/deep/deeper/made", "/deep/again").unwrap();
    host.rename("/deep/again", "/deep/deeper").unwrap();
    assert_eq!(host.list("/deep/deeper"), ["file"]);
    host.rename("/hello", "/etc/group").unwrap();
    assert_eq!(host.get("/etc/group").unwrap(), b"hello from below");
    host.unlink("/etc/group").unwrap();
    assert_eq!(host.get("/etc/group"), Err(Errno::ENOENT));
}

#[test]
fn an_open_file_keeps_its_dentry_through_rising_and_moving() {
    let host = Host::new();
    let dentry = host.find("/hello").unwrap();
    host.rename("/hello", "/renamed").unwrap();
    host.put("/renamed", OpenFlags::TRUNCATE, b"after").unwrap();
    assert_eq!(dentry.metadata().unwrap().size, 5);
    assert_eq!(dentry.path(&host.seen.root), b"/renamed");
}

#[test]
fn links_between_layers_share_the_raised_file() {
    let host = Host::new();
    let file = host.find("/hello").unwrap();
    host.seen.link(&file, &host.seen.root, b"/etc/hello").unwrap();
    host.put("/etc/hello", OpenFlags::TRUNCATE, b"both").unwrap();
    assert_eq!(host.get("/hello").unwrap(), b"both");
    assert_eq!(host.find("/hello").unwrap().metadata().unwrap().links, 2);
    host.unlink("/hello").unwrap();
    assert_eq!(host.get("/hello"), Err(Errno::ENOENT));
    assert_eq!(host.get("/etc/hello").unwrap(), b"both");
}

#[test]
fn metadata_of_a_deep_lower_directory_can_be_changed() {
    let host = Host::new();
    let parent = host.find("/deep").unwrap();
    let before = parent.metadata().unwrap();
    let deeper = host.find("/deep/deeper").unwrap();
    host.seen.set_permissions(&deeper, 0o700).unwrap();
    assert_eq!(deeper.metadata().unwrap().permissions, 0o700);
    let after = parent.metadata().unwrap();
    assert_eq!((before.modified, before.inode), (after.modified, after.inode));
    host.put("/deep/deeper/file", OpenFlags::empty(), b"x").unwrap();
    assert_eq!(host.list("/deep/deeper"), ["file"]);
    assert_eq!(
        host.lower.lookup(b"deep").unwrap().lookup(b"deeper").unwrap().metadata().unwrap().permissions,
        0o755
    );
}

#[test]
fn fifos_and_unnamed_files_live_above() {
    let host = Host::new();
    let root = &host.seen.root;
    let what = Create::Node { kind: crate::fs::inode::FileKind::Fifo, device: 0 };
    host.seen.make_node(root, b"/fifo", what, 0o600).unwrap();
    let both = host.open("/fifo", OpenFlags::READ_WRITE).unwrap();
    assert_eq!(both.write(&mut KernelSource(b"x")), Ok(1));
    let unnamed = OpenFlags::UNNAMED | OpenFlags::DIRECTORY | OpenFlags::READ_WRITE;
    let file = host.open("/etc", unnamed).unwrap();
    file.write(&mut KernelSource(b"named later")).unwrap();
    host.seen.link(file.dentry(), root, b"/etc/later").unwrap();
    assert_eq!(host.get("/etc/later").unwrap(), b"named later");
}

/// A small generator of test choices (xorshift).
struct Choices(u64);

impl Choices {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % u64::try_from(limit).unwrap()).unwrap()
    }

    fn path(&mut self) -> String {
        let names = ["etc", "passwd", "deep", "deeper", "new", "x", "hello"];
        let mut path = String::new();
        for _ in 0..=self.below(3) {
            path.push('/');
            path.push_str(names[self.below(names.len())]);
        }
        path
    }
}

/// Everything below a directory: paths, kinds, permissions, contents.
fn dump(context: &FsContext, path: &str, into: &mut Vec<String>) {
    let open = context.open(&context.root, path.as_bytes(), OpenFlags::DIRECTORY, 0).unwrap();
    for name in names(open.file()) {
        let path = std::format!("{}/{name}", if path == "/" { "" } else { path });
        let dentry = context.resolve(&context.root, path.as_bytes(), false).unwrap();
        let metadata = dentry.metadata().unwrap();
        let contents = match dentry.kind() {
            crate::fs::inode::FileKind::Regular => {
                let mut bytes = [0; 200];
                let file = context.open(&context.root, path.as_bytes(), OpenFlags::empty(), 0).unwrap();
                let len = file.read(&mut KernelDestination(&mut bytes)).unwrap();
                String::from_utf8_lossy(&bytes[..len]).into_owned()
            }
            crate::fs::inode::FileKind::Symlink => {
                String::from_utf8(dentry.inode().read_link().unwrap()).unwrap()
            }
            _ => String::new(),
        };
        into.push(std::format!("{path} {:?} {:o} {contents:?}", metadata.kind, metadata.permissions));
        if dentry.is_directory() {
            dump(context, &path, into);
        }
    }
}

/// Does the `what`th thing to the paths.
fn act(context: &FsContext, what: usize, first: &str, second: &str) -> Result<(), Errno> {
    let (root, path, other) = (&context.root, first.as_bytes(), second.as_bytes());
    let write = |flags: OpenFlags| {
        let file = context.open(root, path, OpenFlags::WRITE_ONLY | flags, 0o644)?;
        file.write(&mut KernelSource(second.as_bytes())).map(drop)
    };
    match what {
        0 | 1 => write(OpenFlags::CREATE),
        2 => write(OpenFlags::CREATE | OpenFlags::TRUNCATE),
        3 => write(OpenFlags::APPEND),
        4 => write(OpenFlags::CREATE | OpenFlags::EXCLUSIVE),
        5 | 6 => context.unlink(root, path),
        7 | 8 => context.make_directory(root, path, 0o755).map(drop),
        9 | 10 => context.remove_directory(root, path),
        11..=13 => context.rename((root, path), (root, other), Replace::Yes),
        14 => context.rename((root, path), (root, other), Replace::Exchange),
        15 => context.link(&context.resolve(root, path, false)?, root, other),
        16 => context.make_link_to(other, root, path),
        17 => context.set_permissions(&*context.resolve(root, path, true)?, 0o701),
        _ => context.truncate(&*context.resolve(root, path, true)?, 2),
    }
}

#[test]
fn an_overlay_behaves_as_one_plain_tree() {
    let mut done = 0;
    for seed in 1..60 {
        let mut choices = Choices(0x9e37_79b9_7f4a_7c15u64.wrapping_mul(seed));
        let overlaid = Host::new();
        // The same tree, to be written directly.
        let plain = Host::new();
        let plain = FsContext::new(Arc::clone(Namespace::new(plain.lower, OPTIONS).root()));
        let mut before = Vec::new();
        dump(
            &FsContext::new(Arc::clone(Namespace::new(Arc::clone(&overlaid.lower), OPTIONS).root())),
            "/",
            &mut before,
        );
        for step in 0..150 {
            let (what, first, second) = (choices.below(19), choices.path(), choices.path());
            let result = act(&overlaid.seen, what, &first, &second);
            if result == Err(Errno::EXDEV) {
                continue;
            }
            let expected = act(&plain, what, &first, &second);
            done += usize::from(result.is_ok());
            assert_eq!(result, expected, "seed {seed} step {step}: {what} {first} {second}");
        }
        let (mut seen, mut expected, mut after) = (Vec::new(), Vec::new(), Vec::new());
        dump(&overlaid.seen, "/", &mut seen);
        dump(&plain, "/", &mut expected);
        assert_eq!(seen, expected, "seed {seed}");
        // Seen afresh, without anything remembered, it is the same.
        let again = Namespace::new(Arc::clone(overlaid.seen.root.inode()), OPTIONS);
        seen.clear();
        dump(&FsContext::new(Arc::clone(again.root())), "/", &mut seen);
        assert_eq!(seen, expected, "seed {seed}, afresh");
        dump(
            &FsContext::new(Arc::clone(Namespace::new(Arc::clone(&overlaid.lower), OPTIONS).root())),
            "/",
            &mut after,
        );
        assert_eq!(before, after, "the lower layer changed");
    }
    assert!(done > 1000, "too few of the choices were possible: {done}");
}
