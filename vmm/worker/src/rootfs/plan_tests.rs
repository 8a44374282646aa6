//! What is shared in which situation.

use super::*;
use septum_api_types::jail::JailChoice;
use septum_api_types::signal::Signal;
use septum_api_types::spec::DEFAULT_MEMORY_BYTES;
use std::fs;

pub(in crate::rootfs) fn spec(program: &str, current: &Path) -> PartitionSpec {
    PartitionSpec {
        name: "test".to_owned(),
        hostname: "test".to_owned(),
        program: program.into(),
        arguments: Vec::new(),
        current_directory: Some(current.into()),
        working_directory: None,
        environment: Vec::new(),
        caller_path: None,
        memory_bytes: DEFAULT_MEMORY_BYTES,
        huge_pages: false,
        cpus: 1,
        threads: 256,
        privilege: septum_api_types::privilege::PrivilegeChoice::Auto,
        jail: JailChoice::default(),
        volumes: Vec::new(),
        tmpfs: Vec::new(),
        read_only_root: false,
        disks: Vec::new(),
        devices: Vec::new(),
        root: None,
        linux: None,
        image: None,
        stop_signal: Signal::TERM,
        timeout: None,
        uid: 1000,
        gid: 1000,
        user: None,
        groups: Vec::new(),
        limits: Vec::new(),
        umask: 0o22,
        terminal: None,
        streams_open: [true; 3],
        network: Default::default(),
        verbose: false,
        debug_panic: false,
        debug_profile: false,
    }
}

fn volume(text: &str) -> Volume {
    Volume::parse(text.as_bytes()).unwrap()
}

fn targets(plan: &Plan) -> Vec<String> {
    plan.mounts.iter().map(|mount| String::from_utf8_lossy(&mount.target).into_owned()).collect()
}

#[test]
fn the_current_directory_is_shared_read_only_at_its_own_path() {
    let folder = tempfile::tempdir().unwrap();
    let plan = plan(&spec("true", folder.path())).unwrap();
    let last = plan.mounts.last().unwrap();
    assert_eq!((last.kind, &last.source[..]), (MountKind::ReadOnly, &b"/0"[..]));
    assert_eq!(last.target, folder.path().as_os_str().as_bytes());
}

#[test]
fn directories_that_hold_other_peoples_things_are_never_shared() {
    for directory in
        ["/", "/home", "/root", "/proc", "/proc/1", "/sys/kernel", "/etc", "/etc/ssh", "/tmp", "/usr/lib"]
    {
        assert!(current_directory_share(Path::new(directory), &[]).is_none(), "{directory}");
    }
    for directory in ["/home/ada", "/root/project", "/srv", "/dev/shm/x", "/usrlocal", "/var/lib/project"] {
        assert!(current_directory_share(Path::new(directory), &[]).is_some(), "{directory}");
    }
}

#[test]
fn whoever_stands_in_a_home_that_is_not_shared_is_told() {
    let told = |directory: &str, volumes: &[&str]| {
        let mut spec = spec("true", Path::new(directory));
        spec.volumes = volumes.iter().map(|text| volume(text)).collect();
        unshared_directory(&spec).is_some()
    };
    assert!(told("/root", &[]) && told("/home", &["./a:/home/a"]));
    assert!(!told("/root/work", &[]) && !told("/tmp", &[]) && !told("/root", &["/root:/root"]));
}

#[test]
fn a_volume_replaces_the_current_directory() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec("true", folder.path());
    spec.volumes = vec![volume(&format!(".:{}", folder.path().display()))];
    let plan = plan(&spec).unwrap();
    assert_eq!(plan.shares.len(), 1);
    assert_eq!(plan.mounts.last().unwrap().kind, MountKind::ReadWrite);
}

#[test]
fn outer_mounts_come_first() {
    let folder = tempfile::tempdir().unwrap();
    let mut spec = spec("true", folder.path());
    spec.volumes = vec![volume(".:/a/b/c/d/e/f"), volume(".:/a:ro"), volume(".:/home:ro")];
    fs::create_dir_all(folder.path().join("b/c/d/e/f")).unwrap();
    let targets = targets(&plan(&spec).unwrap());
    let place = |target: &str| targets.iter().rposition(|known| known == target).unwrap();
    assert!(place("/a") < place("/a/b/c/d/e/f"));
    assert!(place("/tmp") < place(&folder.path().to_string_lossy()));
}

#[test]
fn bad_volumes_are_explained() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let failure = |volumes: &[&str]| {
        let mut spec = spec("true", folder.path());
        spec.volumes = volumes.iter().map(|text| volume(text)).collect();
        let failure = plan(&spec).map(|_| ()).unwrap_err();
        assert_eq!(failure.code, Code::Path);
        failure.to_string()
    };
    assert!(failure(&["./none:/data"]).contains("there is no './none' on this host"));
    assert!(failure(&["/dev/null:/data"]).contains("'/dev/null' is neither a directory nor a regular file"));
    assert!(failure(&["./file:/data", ".:/data/in"]).contains("'/data' is a file in the partition"));
    assert!(failure(&["./file:/data", ".:/data"]).contains("another volume is already at '/data'"));
    let inside = format!("./file:{}/missing", folder.path().display());
    assert!(failure(&[&inside]).contains("has no file 'missing'"));
    assert!(failure(&[".:/proc/x"]).contains("/proc of a partition is its own"));
    assert!(failure(&[".:/data", ".:/data:ro"]).contains("another volume is already at '/data'"));
    let inside = format!(".:{}/missing", folder.path().display());
    assert!(failure(&[&inside]).contains("has no directory 'missing'"));
}

#[test]
fn a_file_is_a_mount_of_its_own() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("one"), "").unwrap();
    let mut spec = spec("true", folder.path());
    spec.volumes = vec![volume("./one:/etc/one"), volume("./one:/a/b:ro")];
    let plan = plan(&spec).unwrap();
    let mount = |target: &str| plan.mounts.iter().find(|mount| mount.target == target.as_bytes()).unwrap();
    assert_eq!(mount("/etc/one").kind, MountKind::ReadWriteFile);
    assert_eq!(mount("/a/b").kind, MountKind::ReadOnlyFile);
    assert!(mount("/a/b").source.ends_with(b"/file"));
}

#[test]
fn a_program_outside_what_is_shared_is_shared_alone() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = there.path().join("tool");
    fs::write(&program, "").unwrap();
    let plan = plan(&spec(program.to_str().unwrap(), here.path())).unwrap();
    assert_eq!(plan.program.as_path(), program);
    let share = plan.shares.iter().find(|share| share.host == program).unwrap();
    assert_eq!(share.guest, there.path());
    assert_eq!(share.extent, Extent::Holding("tool".into()));
}

#[test]
fn a_link_out_of_the_current_directory_leads_to_the_file_itself() {
    let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let program = there.path().join("tool");
    fs::write(&program, "").unwrap();
    std::os::unix::fs::symlink(&program, here.path().join("link")).unwrap();
    let plan = plan(&spec("./link", here.path())).unwrap();
    assert_eq!(plan.program.as_path(), program);
    assert!(!plan.is_program_literal);
}

#[test]
fn relative_programs_start_at_the_current_directory() {
    let here = tempfile::tempdir().unwrap();
    fs::write(here.path().join("tool"), "").unwrap();
    let plan = plan(&spec("./tool", here.path())).unwrap();
    assert_eq!(plan.program.as_path(), here.path().join("tool"));
    assert!(plan.is_program_literal);
    assert_eq!(plan.shares.len(), 1);
}
