//! Programs of every kind, good and bad, found through a view of a temporary directory.

use super::*;
use septum_abi::config::MountKind;
use septum_machine::MountSpec;
use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use tempfile::TempDir;

struct World {
    folder: TempDir,
    view: View,
}

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("system/bin")).unwrap();
        let mounts = vec![MountSpec {
            kind: MountKind::Overlay,
            refusals: Default::default(),
            source: b"/system".to_vec(),
            target: b"/".to_vec(),
        }];
        let view = View::new(folder.path().to_owned(), mounts, None);
        Self { folder, view }
    }

    fn file(&self, name: &str, content: &[u8], mode: u32) {
        let path = self.folder.path().join("system/bin").join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
    }

    fn unfold(&self, path: &str, arguments: &[&str]) -> Result<Invocation, Failure> {
        let typed = ByteString::from(path.trim_start_matches('/'));
        let resolver = Resolver { typed: &typed, view: &self.view, workdir: Path::new("/") };
        let mut all = vec![typed.clone()];
        all.extend(arguments.iter().map(|&argument| argument.into()));
        resolver.unfold(path.into(), path.into(), all)
    }

    fn why(&self, path: &str) -> String {
        let failure = self.unfold(path, &[]).unwrap_err();
        assert_eq!(failure.code, Code::Program);
        assert!(!failure.hint.is_empty());
        failure.why
    }
}

/// A minimal ELF file: a header, a segment of the whole file, and an interpreter.
fn elf(class: u8, machine: u16, kind: u16, interpreter: Option<&str>) -> Vec<u8> {
    let mut file = vec![0; 64 + 2 * 56];
    file[..6].copy_from_slice(&[0x7f, b'E', b'L', b'F', class, 1]);
    file[16..18].copy_from_slice(&kind.to_le_bytes());
    file[18..20].copy_from_slice(&machine.to_le_bytes());
    file[32] = 64;
    file[54] = 56;
    file[56] = if interpreter.is_some() { 2 } else { 1 };
    file[64] = 1;
    let path = interpreter.map(|path| format!("{path}\0")).unwrap_or_default();
    let offset = file.len();
    file[120] = 3;
    file[128..136].copy_from_slice(&(offset as u64).to_le_bytes());
    file[152..160].copy_from_slice(&(path.len() as u64).to_le_bytes());
    file.extend_from_slice(path.as_bytes());
    let length = file.len() as u64;
    file[96..104].copy_from_slice(&length.to_le_bytes());
    file
}

#[test]
fn programs_run_as_they_are() {
    let world = World::new();
    world.file("static", &elf(2, 62, 2, None), 0o755);
    world.file("ld.so", &elf(2, 62, 3, None), 0o755);
    world.file("dynamic", &elf(2, 62, 3, Some("/bin/ld.so")), 0o755);
    let expected =
        |path: &str| Invocation { program: path.into(), arguments: vec![path[1..].into(), "x".into()] };
    assert_eq!(world.unfold("/bin/static", &["x"]), Ok(expected("/bin/static")));
    assert_eq!(world.unfold("/bin/dynamic", &["x"]), Ok(expected("/bin/dynamic")));
}

#[test]
fn scripts_become_calls_of_their_interpreter() {
    let world = World::new();
    world.file("program", &elf(2, 62, 2, None), 0o755);
    world.file("inner", b"#!/bin/program -a b\n", 0o755);
    world.file("outer", b"#! /bin/inner\n", 0o755);
    let invocation = world.unfold("/bin/outer", &["x", "y"]).unwrap();
    assert_eq!(invocation.program, "/bin/program".into());
    let arguments: Vec<String> = invocation.arguments.iter().map(ToString::to_string).collect();
    assert_eq!(arguments, ["/bin/program", "-a b", "/bin/inner", "/bin/outer", "x", "y"]);
}

#[test]
fn every_bad_program_is_explained() {
    let world = World::new();
    world.file("plain", b"echo hello\n", 0o755);
    world.file("empty", b"", 0o755);
    world.file("data", &elf(2, 62, 2, None), 0o644);
    world.file("arm", &elf(2, 183, 2, None), 0o755);
    world.file("old", &elf(1, 3, 2, None), 0o755);
    world.file("object", &elf(2, 62, 1, None), 0o755);
    world.file("short", &elf(2, 62, 2, None)[..40], 0o755);
    world.file("cut", &elf(2, 62, 3, Some("/bin/ld.so"))[..150], 0o755);
    world.file("lonely", &elf(2, 62, 3, Some("/lib/ld-musl-x86_64.so.1")), 0o755);
    world.file("orphan", b"#!/bin/nothing\n", 0o755);
    world.file("ring", b"#!/bin/ring\n", 0o755);
    assert!(world.why("/bin/none").contains("there is no '/bin/none' in the partition"));
    assert!(world.why("/bin").contains("it is a directory"));
    assert!(world.why("/bin/plain").contains("neither an ELF program nor a script"));
    assert!(world.why("/bin/empty").contains("it is empty"));
    assert!(world.why("/bin/data").contains("not executable"));
    assert!(world.why("/bin/arm").contains("ARM 64 (AArch64), and the partition is x86-64"));
    assert!(world.why("/bin/old").contains("32-bit program for x86"));
    assert!(world.why("/bin/object").contains("an object file, not a program"));
    assert!(world.why("/bin/short").contains("truncated: it has 40 bytes and needs 64"));
    assert!(world.why("/bin/cut").contains("truncated"));
    assert!(world.why("/bin/lonely").contains("'/lib/ld-musl-x86_64.so.1' is missing"));
    assert!(world.why("/bin/orphan").contains("interpreter '/bin/nothing' is missing"));
    assert!(world.why("/bin/ring").contains("scripts of scripts"));
    assert!(world.unfold("/bin/lonely", &[]).unwrap_err().hint.contains("install musl"));
}

#[test]
fn no_prefix_of_a_program_is_trusted() {
    let world = World::new();
    let whole = elf(2, 62, 3, Some("/bin/ld.so"));
    for length in 1..whole.len() {
        world.file("prefix", &whole[..length], 0o755);
        world.why("/bin/prefix");
    }
}

#[test]
fn names_are_searched_in_order() {
    let world = World::new();
    world.file("tool", &elf(2, 62, 2, None), 0o755);
    world.file("data", b"x", 0o644);
    let search = |name: &str, path: &str, outside: Option<&Path>| {
        let typed = ByteString::from(name);
        let resolver = Resolver { typed: &typed, view: &world.view, workdir: Path::new("/bin") };
        resolver.search(path.as_bytes(), outside)
    };
    assert_eq!(search("tool", "/none:/bin", None), Ok("/bin/tool".into()));
    assert_eq!(search("tool", "", None), Ok("/bin/tool".into()));
    let failure = search("nothing", "/none:/bin", Some(Path::new("/home/ada/bin/nothing"))).unwrap_err();
    assert_eq!(failure.why, "there is no such program in /none, /bin");
    assert!(failure.hint.contains("/home/ada/bin/nothing"));
    assert!(search("data", "/bin", None).unwrap_err().why.contains("'/bin/data': it is not executable"));
    assert!(search("", "/bin", None).unwrap_err().why.contains("empty"));
}
