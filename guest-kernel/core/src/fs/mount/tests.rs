use super::*;
use crate::fs::context::FsContext;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::{Create, Ownership};
use crate::fs::open::OpenFlags;
use crate::fs::ramfs::RamFs;
use core::sync::atomic::AtomicUsize;

const OPTIONS: MountOptions<'_> = MountOptions::plain(b"none", "ramfs");

/// A tree, and how many planned mounts have been made.
fn tree() -> (Arc<Namespace>, FsContext, Arc<AtomicUsize>) {
    let namespace = Namespace::new(RamFs::new().root(), OPTIONS);
    let context = FsContext::new(Arc::clone(namespace.root()));
    (namespace, context, Arc::default())
}

fn plan(namespace: &Namespace, path: &'static [u8], made: &Arc<AtomicUsize>) {
    let made = Arc::clone(made);
    namespace.plan(
        path,
        OPTIONS,
        Maker::Free(Box::new(move || {
            made.fetch_add(1, Ordering::Relaxed);
            let root = RamFs::new().root();
            root.create(b"inside", Create::File, Ownership { uid: 0, gid: 0, permissions: 0o644 })?;
            Ok(root)
        })),
    );
}

fn paths(namespace: &Namespace) -> Vec<Vec<u8>> {
    namespace.mounts().iter().map(|mounted| mounted.path(namespace.root())).collect()
}

fn names(directory: &OpenFile) -> Vec<Vec<u8>> {
    let mut names = Vec::new();
    let mut emit = |entry: crate::fs::inode::DirectoryEntry<'_>| {
        names.push(entry.name.to_vec());
        true
    };
    directory.file().read_directory(0, &mut emit).unwrap();
    names
}

#[test]
fn a_planned_mount_is_made_by_the_first_walk_to_it() {
    let (namespace, context, made) = tree();
    let root = namespace.root();
    context.make_directory(root, b"/home", 0o700).unwrap();
    plan(&namespace, b"/home/me/data", &made);
    plan(&namespace, b"/tmp", &made);
    assert_eq!(context.resolve(root, b"/home/other", true).err(), Some(Errno::ENOENT));
    assert_eq!(made.load(Ordering::Relaxed), 0);
    let file = context.resolve(root, b"/home/me/data/inside", true).unwrap();
    assert_eq!((file.path(root), made.load(Ordering::Relaxed)), (b"/home/me/data/inside".to_vec(), 1));
    assert!(Arc::ptr_eq(&file, &context.resolve(root, b"/home/me/data/inside", true).unwrap()));
    assert_eq!(context.resolve(root, b"/home", true).unwrap().metadata().unwrap().permissions, 0o700);
    assert_eq!(paths(&namespace), [&b"/"[..], b"/home/me/data", b"/tmp"]);
    assert_eq!(made.load(Ordering::Relaxed), 2);
}

#[test]
fn mounts_are_planned_inside_and_on_top_of_each_other() {
    let (namespace, context, made) = tree();
    plan(&namespace, b"/a", &made);
    plan(&namespace, b"/a/b", &made);
    plan(&namespace, b"/a/b", &made);
    plan(&namespace, b"/a/b/c", &made);
    assert_eq!(paths(&namespace), [&b"/"[..], b"/a", b"/a/b", b"/a/b", b"/a/b/c"]);
    let innermost = context.resolve(namespace.root(), b"/a/b/c/inside", true).unwrap();
    assert_eq!(innermost.mount().id, namespace.mounts()[4].mount().id);
    assert!(context.resolve(namespace.root(), b"/a/b/c/../inside", true).is_ok());
}

#[test]
fn nobody_can_tell_a_planned_mount_from_one_that_is_there() {
    let (namespace, context, made) = tree();
    let root = namespace.root();
    plan(&namespace, b"/a/b", &made);
    plan(&namespace, b"/c", &made);
    let directory = context.open(root, b"/", OpenFlags::DIRECTORY, 0).unwrap();
    assert_eq!(names(&directory), [b"a", b"c"]);
    assert_eq!(context.make_directory(root, b"/c", 0o755).err(), Some(Errno::EEXIST));
    assert_eq!(context.remove_directory(root, b"/c"), Err(Errno::EBUSY));
    assert_eq!(context.remove_directory(root, b"/a"), Err(Errno::ENOTEMPTY));
}

#[test]
fn what_cannot_be_made_stays_planned() {
    let (namespace, context, _) = tree();
    let is_ready = Arc::new(AtomicUsize::new(0));
    let ready = Arc::clone(&is_ready);
    let make = move |_: &Dentry| match ready.load(Ordering::Relaxed) {
        0 => Err(Errno::EIO),
        _ => Ok(RamFs::new().root()),
    };
    namespace.plan(b"/a", OPTIONS, Maker::Covering(Box::new(make)));
    for _ in 0..2 {
        assert_eq!(context.resolve(namespace.root(), b"/a", true).err(), Some(Errno::EIO));
    }
    assert_eq!(namespace.mounts().len(), 1);
    is_ready.store(1, Ordering::Relaxed);
    assert!(context.resolve(namespace.root(), b"/a", true).is_ok());
    assert_eq!(namespace.mounts().len(), 2);
}

#[test]
fn a_planned_mount_can_be_entered_before_anybody_comes_to_it() {
    let (namespace, context, made) = tree();
    let root = namespace.root();
    plan(&namespace, b"/a/b", &made);
    plan(&namespace, b"/a/b/c", &made);
    assert!(namespace.enter(b"/a").is_none() && namespace.enter(b"/a/bc").is_none());
    let (entered, rest) = namespace.enter(b"/a/b/inside").unwrap();
    assert_eq!((rest, made.load(Ordering::Relaxed)), (&b"/inside"[..], 1));
    let file = context.resolve(&entered, b"inside", true).unwrap();
    assert_eq!(file.path(root), b"/a/b/inside");
    assert_eq!(context.resolve(root, b"/a/b/c/inside", true).unwrap().path(root), b"/a/b/c/inside");
    assert!(Arc::ptr_eq(&file, &context.resolve(root, b"/a/b/inside", true).unwrap()));
    assert_eq!(made.load(Ordering::Relaxed), 2);
    assert!(namespace.enter(b"/a/b").is_none());
}

#[test]
fn from_a_mount_that_was_entered_one_can_go_up_and_into_those_inside() {
    let (namespace, context, made) = tree();
    let root = namespace.root();
    plan(&namespace, b"/a/b", &made);
    plan(&namespace, b"/a/b/c", &made);
    let (entered, _) = namespace.enter(b"/a/b").unwrap();
    assert!(Arc::ptr_eq(&namespace.enter(b"/a/b").unwrap().0, &entered));
    assert_eq!(context.resolve(&entered, b"c/inside", true).unwrap().path(root), b"/a/b/c/inside");
    assert_eq!(context.resolve(&entered, b"..", true).unwrap().path(root), b"/a");
    assert_eq!(paths(&namespace), [&b"/"[..], b"/a/b", b"/a/b/c"]);
    assert_eq!(made.load(Ordering::Relaxed), 2);
}
