//! Volumes, and what happens to them at once or halfway.

use super::*;

fn described() -> Description {
    Description { created_ms: 7, labels: [("a".to_owned(), "b".to_owned())].into(), is_anonymous: false }
}

#[test]
fn they_are_made_once_held_and_removed() {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(folder.path());
    assert_eq!(volumes.list().unwrap(), []);
    assert!(volumes.create("one", &described()).unwrap());
    assert!(!volumes.create("one", &Description::default()).unwrap());
    let found = volumes.find("one").unwrap();
    assert_eq!((&found.description, found.is_used), (&described(), false));
    fs::write(found.data.join("file"), "kept").unwrap();

    let held = [volumes.hold("one").unwrap(), volumes.hold("one").unwrap()];
    assert_eq!(held[0].data, found.data);
    assert!(volumes.find("one").unwrap().is_used);
    for held in held {
        assert!(matches!(volumes.remove("one"), Err(VolumesError::InUse)));
        drop(held);
    }
    volumes.remove("one").unwrap();
    assert!(matches!(volumes.remove("one"), Err(VolumesError::Missing(_))));
    assert_eq!(fs::read_dir(volumes.base).unwrap().count(), 0);
}

#[test]
fn one_that_is_empty_is_filled_once_and_whole() {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(folder.path());
    let held = volumes.hold("one").unwrap();
    let none = volumes.fill(&held, |into| {
        fs::write(into.join("half"), "half").unwrap();
        Err(ErrorKind::StorageFull.into())
    });
    assert!(none.is_err() && fs::read_dir(&held.data).unwrap().count() == 0);
    // What somebody who was killed has left.
    fs::create_dir(held.place.join(format!("{FILL}1"))).unwrap();
    volumes.fill(&held, |into| fs::write(into.join("file"), "first")).unwrap();
    volumes.fill(&held, |_| panic!("there is something in it")).unwrap();
    assert_eq!(fs::read(held.data.join("file")).unwrap(), b"first");
    assert!(leftovers(&held.place).is_empty() && volumes.find("one").unwrap().is_used);

    // Whoever has it keeps others from filling it.
    let two = [volumes.hold("two").unwrap(), volumes.hold("two").unwrap()];
    volumes.fill(&two[0], |_| panic!("somebody else has it")).unwrap();
    let [one, other] = two;
    assert!(matches!(volumes.give_up(one), Err(VolumesError::InUse)));
    volumes.give_up(other).unwrap();
    assert!(matches!(volumes.find("two"), Err(VolumesError::Missing(_))));
}

#[test]
fn names_lead_nowhere_else() {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(folder.path());
    volumes.create("one", &described()).unwrap();
    for name in ["../volumes/one", "one/data", ".", "..", "", ".new-1"] {
        assert!(matches!(volumes.find(name), Err(VolumesError::Missing(_))), "{name}");
        assert!(matches!(volumes.remove(name), Err(VolumesError::Missing(_))), "{name}");
    }
}

#[test]
fn what_was_left_halfway_goes_and_what_is_damaged_is_listed() {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(folder.path());
    volumes.create("one", &described()).unwrap();
    fs::write(volumes.base.join("one").join(DESCRIPTION), "{").unwrap();
    for left in [".new-1", ".gone-2"] {
        fs::create_dir_all(volumes.base.join(left).join("data/deep")).unwrap();
        fs::set_permissions(volumes.base.join(left).join("data"), fs::Permissions::from_mode(0o0)).unwrap();
    }
    let busy = volumes.base.join(".new-3");
    fs::create_dir(&busy).unwrap();
    let handle = open_folder(&busy).unwrap();
    flock(&handle, FlockOperation::LockExclusive).unwrap();
    assert_eq!(volumes.list().unwrap().len(), 1);
    volumes.create("two", &described()).unwrap();
    let mut left: Vec<_> = fs::read_dir(&volumes.base)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    left.sort();
    assert_eq!(left, [".new-3", "one", "two"]);
}

#[test]
fn a_tree_that_is_deeper_than_any_path_goes() {
    use rustix::fs::mkdirat;
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(folder.path());
    volumes.create("deep", &described()).unwrap();
    let data = volumes.find("deep").unwrap().data;
    std::os::unix::fs::symlink(folder.path(), data.join("link")).unwrap();
    let mut at = open_folder(&data).unwrap();
    let name = "deep".repeat(50);
    for _ in 0..50 {
        mkdirat(&at, name.as_str(), Mode::RWXU).unwrap();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        at = rustix::fs::openat(&at, name.as_str(), flags, Mode::empty()).unwrap();
    }
    volumes.remove("deep").unwrap();
    assert_eq!(fs::read_dir(&volumes.base).unwrap().count(), 0);
}

#[test]
fn many_take_and_remove_one_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let volumes = Volumes::new(folder.path());
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let volumes = &volumes;
            scope.spawn(move || {
                for _ in 0..50 {
                    if thread % 2 == 0 {
                        let held = volumes.hold("one").unwrap();
                        // Nobody removes it while it is held.
                        fs::write(held.data.join(thread.to_string()), "").unwrap();
                    } else {
                        match volumes.remove("one") {
                            Ok(()) | Err(VolumesError::Missing(_) | VolumesError::InUse) => {}
                            Err(other) => panic!("{other}"),
                        }
                    }
                }
            });
        }
    });
    let left = fs::read_dir(&volumes.base).unwrap().flatten();
    assert!(left.map(|entry| entry.file_name()).all(|name| name == "one"));
}
