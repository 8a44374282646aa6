//! Every target takes its seeds, what once broke something, and mutations of both.
//!
//! This is no search: `cargo xtask fuzz` is. It notices at once when a change breaks what an enemy can reach easily.
#![allow(clippy::unwrap_used, reason = "a test")]

use std::fs;
use std::path::Path;

use septum_fuzz::{Mutator, TARGETS, Target};

/// Mutations of each seed.
const MUTATIONS: u64 = 200;

fn kept(target: &Target) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("seeds").join(target.name);
    let Ok(entries) = fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    paths.iter().map(|path| fs::read(path).unwrap()).collect()
}

fn replay(name: &str) {
    let target = TARGETS.iter().find(|target| target.name == name).unwrap();
    let seeds = [(target.seeds)(), kept(target)].concat();
    assert!(!seeds.is_empty(), "{name} has no seeds");
    (target.run)(&[]);
    for (index, seed) in seeds.iter().enumerate() {
        (target.run)(seed);
        for round in 0..MUTATIONS {
            let mut input = seed.clone();
            Mutator::new((index as u64 + 1) << 32 | (round + 1)).change(&mut input);
            (target.run)(&input);
        }
    }
}

macro_rules! replays {
    ($($test:ident: $name:literal),* $(,)?) => {
        $(#[test] fn $test() { replay($name); })*

        #[test]
        fn every_target_is_replayed() {
            let replayed = [$($name),*];
            assert!(TARGETS.iter().all(|target| replayed.contains(&target.name)));
        }
    };
}

replays! {
    fuse_requests: "fuse-requests",
    fuse_answers: "fuse-answers",
    socket_packets: "socket-packets",
    socket_answers: "socket-answers",
    disk_requests: "disk-requests",
    registers: "registers",
    names: "names",
    calls: "calls",
    service: "service",
    elf: "elf",
    erofs: "erofs",
    archive: "archive",
    control_frames: "control-frames",
    options: "options",
}
