//! The composed tree, looked at from inside.
//!
//! A process can leave the host only once, and must have a single thread for it. So the look inside is taken by a process
//! of its own: this same test program, told to run one test, which forks once more to be alone.
#![allow(unsafe_code, reason = "fork, to have a single thread")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::fs::{AtFlags, Mode, OFlags, openat};
use rustix::io::Errno;
use septum_api_types::jail::JailChoice;
use septum_api_types::volume::Volume;

use super::plan::tests::spec;
use super::{enter, leave, plan, try_to_enter};
use crate::jail;

/// Set for the process that goes inside: the directory with what it finds there.
const INSIDE: &str = "SEPTUM_TEST_INSIDE";
const TESTS: &str = "rootfs::enter_tests::";

/// Runs another test of this file in a process of its own. Returns whether it passed, and what it printed.
fn in_a_process(test: &str, folder: &Path) -> (bool, String) {
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", &format!("{TESTS}{test}"), "--ignored", "--nocapture", "--test-threads=1"])
        .env(INSIDE, folder)
        .current_dir(folder.join("here"))
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&text).into_owned())
}

/// Runs `body` in a forked process with the folder of the test, if this process was started for it.
fn alone(body: fn(&Path)) {
    let Some(folder) = std::env::var_os(INSIDE).map(PathBuf::from) else { return };
    // SAFETY:
    // 1. The only other thread is the test runner's, which waits and holds no lock that `body` takes.
    // 2. The child never returns from here: it leaves by `_exit`, also when `body` panics.
    let child = unsafe { libc::fork() };
    if child == 0 {
        let has_passed = std::panic::catch_unwind(|| body(&folder)).is_ok();
        // SAFETY: 1. Ends the process; nothing needs to be cleaned up in it.
        unsafe { libc::_exit(if has_passed { 0 } else { 1 }) }
    }
    let child = rustix::process::Pid::from_raw(child).unwrap();
    let status = rustix::process::waitpid(Some(child), rustix::process::WaitOptions::empty()).unwrap();
    assert_eq!(status.unwrap().1.exit_status(), Some(0));
}

#[test]
fn the_partition_gets_what_it_should_and_nothing_else() {
    let folder = tempfile::tempdir().unwrap();
    for directory in ["here", "read", "write"] {
        fs::create_dir(folder.path().join(directory)).unwrap();
        fs::write(folder.path().join(directory).join("file"), directory).unwrap();
    }
    fs::write(folder.path().join("tool"), "tool").unwrap();
    fs::write(folder.path().join("secret"), "secret").unwrap();
    let (is_possible, why) = in_a_process("inside_probe", folder.path());
    if !is_possible {
        eprintln!("skipped: this host does not let the test isolate itself: {why}");
        return;
    }
    let (has_passed, text) = in_a_process("inside_look", folder.path());
    assert!(has_passed, "{text}");
    assert_eq!(fs::read_to_string(folder.path().join("write/new")).unwrap(), "new");
    assert!(!folder.path().join("read/new").exists());
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn inside_probe() {
    alone(|_| try_to_enter().unwrap());
}

#[test]
#[ignore = "run by another test, in a process of its own"]
fn inside_look() {
    alone(look);
}

fn look(folder: &Path) {
    let tool = folder.join("tool");
    let mut spec = spec(tool.to_str().unwrap(), &folder.join("here"));
    spec.uid = rustix::process::getuid().as_raw();
    spec.gid = rustix::process::getgid().as_raw();
    spec.volumes = ["read:/data/read:ro", "write:/data/write"]
        .map(|text| Volume::parse(format!("../{text}").as_bytes()).unwrap())
        .to_vec();
    let plan = plan(&spec).unwrap();
    let outside = fs::File::open(folder).unwrap();
    let terminals = jail::Terminals::find();
    let view = leave(&plan.user).and_then(|()| enter(&plan, septum_api_types::jail::JailChoice::On)).unwrap();
    jail::drop_privileges().unwrap();
    let left = jail::Left { writable: plan.writable(), terminals: &terminals };
    jail::restrict(left, JailChoice::Degraded).unwrap();

    // The whole world is the composed tree, and only writable volumes can be written.
    assert_eq!(names("/"), ["proc", "share"]);
    assert_eq!(names("/proc"), ["self"]);
    assert_eq!(names("/share/system/home"), [""; 0]);
    assert_eq!(names("/share/system/root"), [""; 0]);
    assert_eq!(names("/share/system/sys"), [""; 0]);
    assert_eq!(names("/share/system/proc"), [""; 0]);
    for secret in ["shadow", "sudoers", "ssh", "ssl/private", "machine-id"] {
        assert!(!Path::new("/share/system/etc").join(secret).exists(), "{secret}");
    }
    for place in ["/new", "/share/new", "/share/system/new", "/share/system/usr/new", "/share/system/etc/new"]
    {
        let error = fs::write(place, "new").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::ReadOnlyFilesystem, "{place}");
    }
    let mode = |path: &str| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
    assert_eq!(mode("/share/system/tmp"), 0o1777);
    assert_eq!(mode("/share/system/etc"), 0o755);
    assert_eq!(mode("/share/system/etc/passwd"), 0o644);
    assert_eq!(mode("/share/system/data/read"), 0o755);
    assert!(!folder.exists(), "the host's files can still be reached");

    // The partition finds its shares where they belong.
    let find = |path: &Path| {
        view.lookup(path).ok().and_then(|found| match found.place {
            super::Place::Host(path) => Some(path),
            _ => None,
        })
    };
    let read = |path: &Path| fs::read_to_string(find(path).unwrap()).unwrap();
    assert_eq!(read(&folder.join("here/file")), "here");
    assert_eq!(read(Path::new("/data/read/file")), "read");
    assert_eq!(read(Path::new("/data/write/file")), "write");
    assert_eq!(read(&tool), "tool");
    assert!(find(&folder.join("secret")).is_none());
    assert!(find(Path::new("/bin/sh")).is_some());
    let inside = |path: &str| find(Path::new(path)).unwrap().join("new");
    fs::write(inside("/data/write"), "new").unwrap();
    assert!(fs::write(inside("/data/read"), "new").is_err());
    assert!(fs::write(find(&folder.join("here")).unwrap().join("new"), "new").is_err());

    keeps_to_its_files(&outside);

    // The worker's own descriptors can be named, and no right is left to mount anything.
    assert!(fs::read_link("/proc/self/fd/0").is_ok());
    let mighty = rustix::thread::CapabilitySet::SYS_ADMIN;
    assert!(!rustix::thread::capabilities(None).unwrap().permitted.contains(mighty));
}

/// A descriptor that was forgotten, of a directory outside, is worth nothing; and nobody can be connected to.
fn keeps_to_its_files(outside: &fs::File) {
    let jail::Landlock::Version(version) = jail::Landlock::of_host() else {
        eprintln!("skipped: this host has no Landlock");
        return;
    };
    let open = |flags| openat(outside, "secret", flags, Mode::empty()).map(drop);
    for flags in [OFlags::RDONLY, OFlags::WRONLY, OFlags::RDWR | OFlags::TRUNC] {
        assert_eq!(open(flags), Err(Errno::ACCESS));
    }
    assert_eq!(rustix::fs::unlinkat(outside, "secret", AtFlags::empty()), Err(Errno::ACCESS));
    if version >= 4 {
        let error = std::net::TcpStream::connect("127.0.0.1:9").unwrap_err();
        assert_eq!(error.kind(), std::io::ErrorKind::PermissionDenied);
    }
    if version >= 6 {
        let supervisor = rustix::process::getppid().unwrap();
        assert_eq!(rustix::process::test_kill_process(supervisor), Err(Errno::PERM));
    }
}

fn names(directory: &str) -> Vec<String> {
    let entries = fs::read_dir(directory).unwrap();
    let mut names: Vec<String> =
        entries.map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}
