//! Paths, names, links, permissions.

use super::{CREATE, EXCLUSIVE, HERE, NO_FOLLOW, OUT, Program, TRUNCATE, WRITE};
use crate::fs::context::FsContext;
use crate::fs::mount::{MountOptions, Namespace};
use crate::fs::ramfs::RamFs;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::{Errno, syscall as nr};

#[test]
fn creation_flags_decide() {
    let program = Program::new();
    assert_eq!(program.open("/tmp/f", 0), Err(Errno::ENOENT));
    assert_eq!(program.open("/tmp/f/", CREATE | WRITE), Err(Errno::EISDIR));
    program.put("/tmp/f", b"x");
    assert_eq!(program.open("/tmp/f", CREATE | EXCLUSIVE), Err(Errno::EEXIST));
    assert_eq!(program.open("/tmp/f/", 0), Err(Errno::ENOTDIR));
    assert_eq!(program.open("/tmp/f/x", 0), Err(Errno::ENOTDIR));
    assert_eq!(program.open("/tmp", WRITE), Err(Errno::EISDIR));
    assert_eq!(program.open("/tmp/f", 0o200_000), Err(Errno::ENOTDIR));
    program.put("/tmp/f", b"");
    assert_eq!(program.get("/tmp/f").unwrap(), b"");
    assert_eq!(program.call(nr::UMASK, &[0o077]), Ok(0o022));
    program.put("/tmp/g", b"");
    assert_eq!(program.stat(nr::STAT, "/tmp/g").unwrap().0, 0o100_600);
    let long = "x".repeat(256);
    assert_eq!(program.open(&long, CREATE), Err(Errno::ENAMETOOLONG));
    assert_eq!(program.open(&"x/".repeat(2100), CREATE), Err(Errno::ENAMETOOLONG));
    assert_eq!(program.open("", CREATE), Err(Errno::ENOENT));
}

#[test]
fn links_are_followed_where_they_should_be() {
    let program = Program::new();
    program.put("/tmp/target", b"contents");
    program.on_paths(nr::SYMLINK, "target", "/tmp/link").unwrap();
    program.on_paths(nr::SYMLINK, "/tmp/new", "/tmp/dangling").unwrap();
    program.on_paths(nr::SYMLINK, "loop", "/tmp/loop").unwrap();
    program.on_paths(nr::SYMLINK, "../tmp/", "/tmp/self").unwrap();
    assert_eq!(program.get("/tmp/link").unwrap(), b"contents");
    assert_eq!(program.get("/tmp/self/self/../tmp/./link").unwrap(), b"contents");
    assert_eq!(program.open("/tmp/link", NO_FOLLOW), Err(Errno::ELOOP));
    assert_eq!(program.open("/tmp/loop", 0), Err(Errno::ELOOP));
    assert_eq!(program.open("/tmp/dangling", 0), Err(Errno::ENOENT));
    assert_eq!(program.open("/tmp/dangling", CREATE | EXCLUSIVE), Err(Errno::EEXIST));
    program.put("/tmp/dangling", b"made");
    assert_eq!(program.get("/tmp/new").unwrap(), b"made");
    assert_eq!(program.stat(nr::LSTAT, "/tmp/link").unwrap(), (0o120_777, 1, 6));
    assert_eq!(program.stat(nr::LSTAT, "/tmp/self/").unwrap().0, 0o041_755);
    assert_eq!(program.call(nr::READLINK, &[program.path("/tmp/link"), OUT, 3]), Ok(3));
    assert_eq!(program.out(3), b"tar");
    assert_eq!(program.call(nr::READLINK, &[program.path("/tmp"), OUT, 3]), Err(Errno::EINVAL));
    // Unlinking and renaming are about the link.
    program.on_path(nr::UNLINK, "/tmp/link").unwrap();
    assert_eq!(program.get("/tmp/target").unwrap(), b"contents");
}

#[test]
fn forty_links_are_enough() {
    let program = Program::new();
    program.put("/tmp/0", b"end");
    for number in 1..=41 {
        let (to, from) = (std::format!("{}", number - 1), std::format!("/tmp/{number}"));
        program.on_paths(nr::SYMLINK, &to, &from).unwrap();
    }
    assert_eq!(program.get("/tmp/40").unwrap(), b"end");
    assert_eq!(program.get("/tmp/41"), Err(Errno::ELOOP));
}

#[test]
fn names_that_are_not_names_have_their_own_errors() {
    let program = Program::new();
    program.on_path(nr::MKDIR, "/tmp/d").unwrap();
    assert_eq!(program.on_path(nr::MKDIR, "/tmp/d"), Err(Errno::EEXIST));
    assert_eq!(program.on_path(nr::MKDIR, "/"), Err(Errno::EEXIST));
    assert_eq!(program.on_path(nr::MKDIR, "/tmp/e/"), Ok(0));
    assert_eq!(program.on_path(nr::MKDIR, "/none/e"), Err(Errno::ENOENT));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp/d/."), Err(Errno::EINVAL));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp/d/.."), Err(Errno::ENOTEMPTY));
    assert_eq!(program.on_path(nr::RMDIR, "/"), Err(Errno::EBUSY));
    assert_eq!(program.on_path(nr::RMDIR, "/dev"), Err(Errno::EBUSY));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp"), Err(Errno::ENOTEMPTY));
    assert_eq!(program.on_path(nr::UNLINK, "/tmp/d"), Err(Errno::EISDIR));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d/..", "/x"), Err(Errno::EBUSY));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d", "/tmp/d/x"), Err(Errno::EINVAL));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d", "/dev/d"), Err(Errno::EXDEV));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/d", "/tmp/e"), Ok(0));
    assert_eq!(program.on_paths(nr::RENAME, "/tmp/e", "/tmp"), Err(Errno::ENOTEMPTY));
    assert_eq!(program.on_path(nr::RMDIR, "/tmp/e"), Ok(0));
    assert_eq!(program.list("/tmp", 1000), [".", ".."]);
}

#[test]
fn hard_links_share_the_file() {
    let program = Program::new();
    program.put("/tmp/a", b"x");
    program.on_paths(nr::LINK, "/tmp/a", "/tmp/b").unwrap();
    assert_eq!(program.on_paths(nr::LINK, "/tmp/a", "/tmp/b"), Err(Errno::EEXIST));
    assert_eq!(program.on_paths(nr::LINK, "/tmp", "/tmp/c"), Err(Errno::EPERM));
    assert_eq!(program.on_paths(nr::LINK, "/tmp/a", "/dev/c"), Err(Errno::EXDEV));
    program.put("/tmp/b", b"longer");
    assert_eq!(program.stat(nr::STAT, "/tmp/a").unwrap(), (0o100_644, 2, 6));
    // Renaming one to the other does nothing.
    program.on_paths(nr::RENAME, "/tmp/a", "/tmp/b").unwrap();
    assert_eq!(program.list("/tmp", 1000), [".", "..", "a", "b"]);
    program.on_path(nr::UNLINK, "/tmp/a").unwrap();
    assert_eq!(program.stat(nr::STAT, "/tmp/b").unwrap().1, 1);
}

#[test]
fn a_directory_is_read_in_pieces_of_any_size() {
    let program = Program::new();
    let mut expected: Vec<_> = (0..50).map(|number| std::format!("file-{number}")).collect();
    for name in &expected {
        program.put(&std::format!("/tmp/{name}"), b"");
    }
    expected.extend([".".into(), "..".into()]);
    expected.sort();
    for len in [32, 100, 10_000] {
        let mut names = program.list("/tmp", len);
        names.sort();
        assert_eq!(names, expected, "{len}");
    }
    let fd = program.open("/tmp", 0).unwrap();
    assert_eq!(program.call(nr::GETDENTS64, &[fd, OUT, 10]), Err(Errno::EINVAL));
    assert_eq!(program.read(fd, 10), Err(Errno::EISDIR));
    let file = program.open("/tmp/file-1", 0).unwrap();
    assert_eq!(program.call(nr::GETDENTS64, &[file, OUT, 1000]), Err(Errno::ENOTDIR));
}

#[test]
fn the_working_directory_goes_along() {
    let program = Program::new();
    program.on_path(nr::MKDIR, "/tmp/a").unwrap();
    program.on_path(nr::MKDIR, "/tmp/a/b").unwrap();
    program.on_path(nr::CHDIR, "/tmp/a/b").unwrap();
    assert_eq!(program.cwd(), b"/tmp/a/b");
    program.put("here", b"x");
    program.on_paths(nr::RENAME, "/tmp/a", "/moved").unwrap();
    assert_eq!(program.cwd(), b"/moved/b");
    program.on_path(nr::CHDIR, "../../dev").unwrap();
    assert_eq!(program.cwd(), b"/dev");
    program.on_path(nr::CHDIR, "..").unwrap();
    assert_eq!(program.cwd(), b"/");
    program.on_path(nr::CHDIR, "/moved/b").unwrap();
    program.on_path(nr::UNLINK, "here").unwrap();
    program.on_path(nr::RMDIR, "/moved/b").unwrap();
    assert_eq!(program.call(nr::GETCWD, &[OUT, 100]), Err(Errno::ENOENT));
    assert_eq!(program.open("new", CREATE), Err(Errno::ENOENT));
    assert_eq!(program.call(nr::CHDIR, &[program.path("/dev/null")]), Err(Errno::ENOTDIR));
    assert_eq!(program.call(nr::CHROOT, &[program.path("/tmp")]), Ok(0));
    program.on_path(nr::CHDIR, "/..").unwrap();
    assert_eq!(program.cwd(), b"/");
    assert_eq!(program.open("/dev", 0), Err(Errno::ENOENT));
}

#[test]
fn relative_to_a_descriptor() {
    let program = Program::new();
    program.put("/tmp/f", b"x");
    let directory = program.open("/tmp", 0o10_000_000).unwrap();
    assert!(program.call(nr::OPENAT, &[directory, program.path("f"), 0]).is_ok());
    assert!(program.call(nr::OPENAT, &[99, program.path("/tmp/f"), 0]).is_ok());
    assert_eq!(program.call(nr::OPENAT, &[99, program.path("f"), 0]), Err(Errno::EBADF));
    let file = program.open("/tmp/f", 0).unwrap();
    assert_eq!(program.call(nr::OPENAT, &[file, program.path("f"), 0]), Err(Errno::ENOTDIR));
    assert_eq!(program.call(nr::NEWFSTATAT, &[file, program.path(""), OUT, 0x1000]), Ok(0));
    assert_eq!(program.call(nr::NEWFSTATAT, &[file, program.path(""), OUT, 0]), Err(Errno::ENOENT));
    assert_eq!(program.call(nr::NEWFSTATAT, &[file, program.path(""), OUT, 4]), Err(Errno::EINVAL));
    assert_eq!(program.read(directory, 1), Err(Errno::EBADF));
    assert_eq!(program.call(nr::FCHDIR, &[directory]), Ok(0));
    assert_eq!(program.cwd(), b"/tmp");
}

#[test]
fn openat2_keeps_the_walk_inside() {
    let program = Program::new();
    program.put("/tmp/f", b"x");
    program.on_paths(nr::SYMLINK, "/tmp/f", "/tmp/absolute").unwrap();
    program.on_paths(nr::SYMLINK, "f", "/tmp/relative").unwrap();
    let directory = program.open("/tmp", 0).unwrap();
    let open = |path: &str, resolve: u64| {
        let how: Vec<u8> = [0, 0, resolve].iter().flat_map(|field: &u64| field.to_le_bytes()).collect();
        let how = program.bytes(&how);
        program.call(nr::OPENAT2, &[directory, program.path(path), how, 24]).map(drop)
    };
    assert_eq!(open("f", 8), Ok(()));
    assert_eq!(open("relative", 8), Ok(()));
    assert_eq!(open("../tmp/f", 8), Err(Errno::EXDEV));
    assert_eq!(open("absolute", 8), Err(Errno::EXDEV));
    assert_eq!(open("relative", 4), Err(Errno::ELOOP));
    assert_eq!(open("../../f", 16), Ok(()));
    assert_eq!(open("../dev/null", 1), Err(Errno::EXDEV));
    assert_eq!(open("f", 64), Err(Errno::EINVAL));
}

#[test]
fn another_user_is_held_to_permissions() {
    let program = Program::new();
    program.put("/tmp/secret", b"x");
    program.call(nr::CHMOD, &[program.path("/tmp/secret"), 0o600]).unwrap();
    program.put("/tmp/public", b"x");
    program.call(nr::CHMOD, &[program.path("/tmp"), 0o1777]).unwrap();
    {
        let mut fs = program.fs.lock();
        fs.set_identity(1000, 1000);
    }
    assert_eq!(program.open("/tmp/secret", 0), Err(Errno::EACCES));
    assert_eq!(program.open("/tmp/public", WRITE), Err(Errno::EACCES));
    assert!(program.open("/tmp/public", 0).is_ok());
    assert_eq!(program.open("/new", CREATE), Err(Errno::EACCES));
    program.put("/tmp/mine", b"x");
    assert_eq!(program.on_path(nr::UNLINK, "/tmp/public"), Err(Errno::EPERM));
    assert_eq!(program.on_path(nr::UNLINK, "/tmp/mine"), Ok(0));
    assert_eq!(program.call(nr::CHMOD, &[program.path("/tmp/public"), 0o777]), Err(Errno::EPERM));
    assert_eq!(program.call(nr::ACCESS, &[program.path("/tmp/public"), 4]), Ok(0));
    assert_eq!(program.call(nr::ACCESS, &[program.path("/tmp/public"), 1]), Err(Errno::EACCES));
}

#[test]
fn a_read_only_mount_refuses_every_change() {
    let program = Program::new();
    let lower = RamFs::new().root();
    let context =
        FsContext::new(Arc::clone(Namespace::new(Arc::clone(&lower), MountOptions::plain(b"", "x")).root()));
    context.open(&context.root, b"f", crate::fs::open::OpenFlags::CREATE, 0o644).unwrap();
    let place = program.fs.lock().make_directories(b"/ro", 0o755).unwrap();
    let options = MountOptions { is_read_only: true, ..MountOptions::plain(b"host", "virtiofs") };
    program.namespace.mount(&place, lower, options).unwrap();
    assert!(program.open("/ro/f", 0).is_ok());
    let refused = Err(Errno::EROFS);
    assert_eq!(program.open("/ro/f", WRITE).map(|_| 0), refused);
    assert_eq!(program.open("/ro/f", TRUNCATE).map(|_| 0), refused);
    assert_eq!(program.open("/ro/g", CREATE).map(|_| 0), refused);
    assert_eq!(program.on_path(nr::MKDIR, "/ro/d"), refused);
    assert_eq!(program.on_path(nr::UNLINK, "/ro/f"), refused);
    assert_eq!(program.on_paths(nr::RENAME, "/ro/f", "/ro/g"), refused);
    assert_eq!(program.on_paths(nr::LINK, "/ro/f", "/ro/g"), refused);
    assert_eq!(program.call(nr::CHMOD, &[program.path("/ro/f"), 0o777]), refused);
    assert_eq!(program.call(nr::TRUNCATE, &[program.path("/ro/f"), 0]), refused);
    assert_eq!(program.call(nr::UTIMENSAT, &[HERE, program.path("/ro/f"), 0, 0]), refused);
    assert_eq!(program.call(nr::ACCESS, &[program.path("/ro/f"), 2]), refused);
}
