use super::*;
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::ramfs::RamFs;

const OWNERSHIP: Ownership = Ownership { uid: 0, gid: 0, permissions: 0o755 };

fn tree() -> Arc<Namespace> {
    let options = MountOptions::plain(b"none", "ramfs");
    Namespace::new(RamFs::new().root(), options)
}

#[test]
fn a_name_is_remembered_whether_it_is_there_or_not() {
    let tree = tree();
    let root = tree.root();
    assert_eq!(root.child(b"a").err(), Some(Errno::ENOENT));
    let made = root.create(b"a", Create::Directory, OWNERSHIP).unwrap();
    assert!(Arc::ptr_eq(&made, &root.child(b"a").unwrap()));
    root.remove_directory(b"a").unwrap();
    assert!(made.is_removed());
    assert_eq!(root.child(b"a").err(), Some(Errno::ENOENT));
    assert_eq!(made.path(root), b"/a (deleted)");
}

#[test]
fn paths_are_found_by_going_up_and_follow_a_rename() {
    let tree = tree();
    let root = tree.root();
    let a = root.create(b"a", Create::Directory, OWNERSHIP).unwrap();
    let b = a.create(b"b", Create::Directory, OWNERSHIP).unwrap();
    let file = b.create(b"file", Create::File, OWNERSHIP).unwrap();
    assert_eq!(file.path(root), b"/a/b/file");
    assert_eq!(file.path(&a), b"/b/file");
    assert_eq!(root.path(root), b"/");
    a.rename(b"b", &b, root, b"c", false).unwrap();
    assert_eq!(file.path(root), b"/c/file");
    assert_eq!(file.path(&a), b"(unreachable)/c/file");
    assert!(Arc::ptr_eq(&b, &root.child(b"c").unwrap()));
    assert_eq!(a.child(b"b").err(), Some(Errno::ENOENT));
}

#[test]
fn absent_names_do_not_pile_up() {
    let tree = tree();
    for number in 0..2 * ABSENT_LIMIT {
        let name = std::format!("{number}");
        assert!(tree.root().child(name.as_bytes()).is_err());
    }
    let children = tree.root().children.lock();
    assert!(children.entries.len() <= ABSENT_LIMIT);
    assert_eq!(children.absent, children.entries.len());
}

#[test]
fn unused_dentries_are_dropped_and_found_again() {
    let tree = tree();
    let root = tree.root();
    let a = root.create(b"a", Create::Directory, OWNERSHIP).unwrap();
    a.create(b"unused", Create::File, OWNERSHIP).unwrap();
    let used = a.create(b"used", Create::File, OWNERSHIP).unwrap();
    shrink_if_large(&Some(Arc::clone(root)));
    let names: Vec<_> = a.children.lock().entries.keys().cloned().collect();
    assert_eq!(names, [Box::from(&b"used"[..])]);
    assert!(a.child(b"unused").is_ok());
    assert_eq!(used.path(root), b"/a/used");
}

#[test]
fn a_deep_removed_tree_is_dropped_without_recursion() {
    let small_stack = std::thread::Builder::new().stack_size(64 * 1024);
    small_stack.spawn(drop_a_deep_tree).unwrap().join().unwrap();
}

fn drop_a_deep_tree() {
    let tree = tree();
    let mut at = Arc::clone(tree.root());
    let mut all = Vec::new();
    for _ in 0..5_000 {
        at = at.create(b"d", Create::Directory, OWNERSHIP).unwrap();
        all.push(Arc::clone(&at));
    }
    while let Some(directory) = all.pop() {
        if let Some(parent) = directory.parent() {
            parent.remove_directory(b"d").unwrap();
        }
    }
    drop(at);
}

/// A directory that the host changes: a RAM file system written behind the dentries' back.
struct Volume(InodeRef);

impl Inode for Volume {
    fn as_any(&self) -> &dyn core::any::Any {
        self
    }
    fn metadata(&self) -> Result<Metadata, Errno> {
        self.0.metadata()
    }
    fn kind(&self) -> FileKind {
        self.0.kind()
    }
    fn set_metadata(&self, changes: &crate::fs::inode::SetMetadata) -> Result<(), Errno> {
        self.0.set_metadata(changes)
    }
    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        Ok(Arc::new(Self(self.0.lookup(name)?)))
    }
    fn may_change_outside(&self) -> bool {
        true
    }
    fn open(&self, access: crate::fs::inode::Access) -> Result<Arc<dyn crate::fs::inode::File>, Errno> {
        self.0.open(access)
    }
    fn file_system(&self) -> Result<crate::fs::inode::FileSystemStatus, Errno> {
        self.0.file_system()
    }
}

#[test]
fn what_the_host_changes_is_seen() {
    let host = RamFs::new().root();
    let options = MountOptions::plain(b"none", "virtiofs");
    let tree = Namespace::new(Arc::new(Volume(Arc::clone(&host))), options);
    let root = tree.root();
    assert_eq!(root.child(b"a").err(), Some(Errno::ENOENT));
    host.create(b"a", Create::File, OWNERSHIP).unwrap();
    let first = root.child(b"a").unwrap();
    assert!(Arc::ptr_eq(&first, &root.child(b"a").unwrap()), "the same file is the same dentry");
    host.unlink(b"a").unwrap();
    host.create(b"a", Create::File, OWNERSHIP).unwrap();
    assert!(!Arc::ptr_eq(&first, &root.child(b"a").unwrap()), "another file is another dentry");
    host.unlink(b"a").unwrap();
    assert_eq!(root.child(b"a").err(), Some(Errno::ENOENT));
}
