use super::*;
use crate::record::now_ms;
use std::collections::BTreeMap;

pub(crate) fn record(id: &str, name: Option<&str>) -> Record {
    Record {
        version: VERSION,
        id: id.to_owned(),
        name: name.map(str::to_owned),
        program: "true".into(),
        arguments: vec!["two words".into()],
        created_ms: now_ms(),
        started_ms: None,
        state: State::Running,
        supervisor: std::process::id(),
        worker: None,
        restarts: 0,
        is_detached: true,
        has_terminal: false,
        log: None,
        memory_bytes: 1,
        cpus: 1,
        volumes: Vec::new(),
        labels: BTreeMap::new(),
    }
}

pub(crate) fn registry() -> (tempfile::TempDir, Registry) {
    let folder = tempfile::tempdir().unwrap();
    let registry = Registry::new(folder.path().join("runtime"));
    (folder, registry)
}

#[test]
fn what_is_registered_is_found_by_name_and_by_the_beginning_of_its_id() {
    let (_folder, registry) = registry();
    assert!(registry.list().is_empty());
    let (one, listener) = registry.register(&record("aabbccddeeff", Some("web"))).unwrap();
    let (_other, _) = registry.register(&record("aabb00000000", None)).unwrap();
    assert_eq!(registry.find("web").unwrap().record.id, "aabbccddeeff");
    assert_eq!(registry.find("aabbcc").unwrap().record.name.as_deref(), Some("web"));
    assert_eq!(registry.find("aabb").unwrap_err(), FindError::Several("aabb".to_owned()));
    assert_eq!(registry.find("x").unwrap_err(), FindError::None("x".to_owned()));
    assert_eq!(registry.find("").unwrap_err(), FindError::None(String::new()));
    let _client = registry.find("web").unwrap().connect().unwrap();
    assert!(listener.accept().is_ok());
    one.remove();
    assert_eq!(registry.list().len(), 1);
}

#[test]
fn a_name_is_taken_once_and_free_again_afterwards() {
    let (_folder, registry) = registry();
    let (first, _) = registry.register(&record("000000000001", Some("web"))).unwrap();
    let refused = registry.register(&record("000000000002", Some("web"))).unwrap_err();
    assert!(matches!(refused, RegistryError::NameTaken { id, .. } if id == "000000000001"));
    assert_eq!(registry.list().len(), 1, "nothing is left of the second");
    first.remove();
    let (second, _) = registry.register(&record("000000000002", Some("web"))).unwrap();
    // Its supervisor is killed.
    drop(second);
    assert!(registry.register(&record("000000000003", Some("web"))).is_ok());
}

#[test]
fn whoever_was_killed_is_lost_or_forgotten() {
    let (_folder, registry) = registry();
    let (kept, _) = registry.register(&record("000000000001", None)).unwrap();
    drop(kept);
    let (attached, _) =
        registry.register(&Record { is_detached: false, ..record("000000000002", None) }).unwrap();
    assert_eq!(registry.list().len(), 2);
    drop(attached);
    let left = registry.list();
    assert_eq!(left.len(), 1);
    assert_eq!(left[0].record.state, State::Lost);
    assert!(left[0].remove(&registry));
    assert!(registry.list().is_empty());
}

#[test]
fn an_end_is_kept_until_it_is_removed() {
    let (_folder, registry) = registry();
    let mut it = record("000000000001", Some("job"));
    let (entry, _) = registry.register(&it).unwrap();
    let found = registry.find("job").unwrap();
    assert!(!found.remove(&registry), "it lives");
    it.state = State::Exited { status: 3, message: None, at_ms: now_ms() };
    entry.keep(&it);
    assert_eq!(registry.find("job").unwrap().record.state, it.state);
    assert!(found.remove(&registry));
}

#[test]
fn broken_records_harm_nobody() {
    let (_folder, registry) = registry();
    let (_good, _) = registry.register(&record("000000000001", None)).unwrap();
    let folder = registry.partitions();
    let text = serde_json::to_vec(&record("000000000002", None)).unwrap();
    for (id, text) in [
        ("000000000002", &text[..text.len() / 2]),
        ("000000000003", &b"{\"version\": 2}"[..]),
        ("000000000004", b""),
        ("000000000005", b"\xff\xff"),
        // Somebody else's record.
        ("000000000006", &text),
    ] {
        fs::create_dir(folder.join(id)).unwrap();
        fs::write(folder.join(id).join(RECORD), text).unwrap();
    }
    fs::write(folder.join("a file"), "").unwrap();
    symlink("/dev/zero", folder.join("link")).unwrap();
    let found = registry.list();
    assert_eq!(found.iter().map(|found| found.record.id.as_str()).collect::<Vec<_>>(), ["000000000001"]);
    assert!(!folder.join("000000000003").exists(), "what nobody understands and nobody holds goes");
}

#[test]
fn a_folder_that_others_may_write_is_not_used() {
    use std::os::unix::fs::PermissionsExt as _;
    let (folder, registry) = registry();
    let base = folder.path().join("runtime");
    fs::create_dir(&base).unwrap();
    fs::set_permissions(&base, fs::Permissions::from_mode(0o777)).unwrap();
    assert!(matches!(registry.register(&record("000000000001", None)), Err(RegistryError::NotOurs(_))));
    fs::remove_dir(&base).unwrap();
    symlink("/tmp", &base).unwrap();
    assert!(matches!(registry.register(&record("000000000001", None)), Err(RegistryError::NotOurs(_))));
}

#[test]
fn a_hundred_at_once_and_long_paths() {
    let (folder, _) = registry();
    let registry = Registry::new(folder.path().join("long".repeat(40)));
    std::thread::scope(|scope| {
        for number in 0..100 {
            let registry = &registry;
            scope.spawn(move || {
                let (entry, _listener) = registry.register(&record(&format!("{number:012x}"), None)).unwrap();
                assert!(registry.find(&format!("{number:012x}")).unwrap().connect().is_ok());
                entry.remove();
            });
        }
    });
    assert!(registry.list().is_empty());
}
