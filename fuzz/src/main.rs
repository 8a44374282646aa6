//! The fuzzing engine's way in (libFuzzer): `cargo xtask fuzz` builds and runs it.
#![no_main]

use std::path::Path;
use std::sync::OnceLock;

use libfuzzer_sys::fuzz_target;
use septum_fuzz::{TARGETS, Target};

/// Names the target.
const NAME: &str = "SEPTUM_FUZZ_TARGET";
/// A folder for the target's own seeds, if it is to write them.
const SEEDS: &str = "SEPTUM_FUZZ_SEEDS";

fn chosen() -> &'static Target {
    static CHOSEN: OnceLock<&Target> = OnceLock::new();
    CHOSEN.get_or_init(|| {
        let name = std::env::var(NAME).unwrap_or_default();
        let target = TARGETS.iter().find(|target| target.name == name).unwrap_or_else(|| {
            let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
            panic!("{NAME} is '{name}', and must be one of {}", names.join(", "))
        });
        if let Some(folder) = std::env::var_os(SEEDS) {
            target.write_seeds(Path::new(&folder)).expect("the folder can be written");
        }
        septum_fuzz::confine();
        target
    })
}

fuzz_target!(|bytes: &[u8]| (chosen().run)(bytes));
