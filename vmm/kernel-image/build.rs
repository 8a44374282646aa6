//! Builds the guest kernel for its own target and hands its path to the crate, which embeds it.
//!
//! Cargo cannot yet depend on a binary for another target in a stable way, so this runs a second cargo, with its
//! own target directory (the outer one holds the lock of its own).

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, exit};

const TARGET: &str = "x86_64-unknown-none";
const VDSO_SYMBOLS: [&str; 7] = [
    "__vdso_clock_gettime",
    "__vdso_clock_getres",
    "__vdso_gettimeofday",
    "__vdso_time",
    "__vdso_getcpu",
    "septum_signal_entry",
    "septum_signal_return",
];

fn main() {
    let manifest = PathBuf::from(env::var("CARGO_MANIFEST_DIR").unwrap_or_default());
    let top = manifest.join("../..");
    let out = PathBuf::from(env::var("OUT_DIR").unwrap_or_default());
    for path in ["abi/src", "guest-kernel", "Cargo.toml", "Cargo.lock"] {
        println!("cargo:rerun-if-changed={}", top.join(path).display());
    }
    let vdso = link_vdso(&top, &out);
    let kernel = build_kernel(&top, &out, &vdso);
    println!("cargo:rustc-env=SEPTUM_KERNEL={}", kernel.display());
}

/// The vDSO is a shared object for programs: compiled for the bare target, linked without any library.
fn link_vdso(top: &Path, out: &Path) -> PathBuf {
    let folder = top.join("guest-kernel/vdso");
    let object = out.join("vdso.so");
    let archive = out.join("libvdso.a");
    let rustc = || {
        let mut rustc = Command::new(env::var("RUSTC").unwrap_or_else(|_| "rustc".into()));
        rustc.args(["--edition=2024", "--target", TARGET, "-O", "-Cpanic=abort", "-Crelocation-model=pic"]);
        rustc.args(["-Ccodegen-units=1", "--cap-lints=warn"]);
        rustc
    };
    run(rustc()
        .args(["--crate-name=septum_abi", "--crate-type=rlib", "--out-dir"])
        .arg(out)
        .arg(top.join("abi/src/lib.rs")));
    run(rustc()
        .args(["--crate-name=septum_vdso", "--crate-type=staticlib", "--extern"])
        .arg(format!("septum_abi={}", out.join("libseptum_abi.rlib").display()))
        .arg("-o")
        .arg(&archive)
        .arg(folder.join("src/lib.rs")));
    run(Command::new(lld())
        .args([
            "-flavor",
            "gnu",
            "-shared",
            "-soname=linux-vdso.so.1",
            "--hash-style=both",
            "--gc-sections",
            "--strip-all",
        ])
        .args(["-z", "max-page-size=4096", "--build-id=none", "--no-undefined"])
        .args(VDSO_SYMBOLS.map(|name| format!("--undefined={name}")))
        .arg(format!("--version-script={}", folder.join("versions.map").display()))
        .arg("-T")
        .arg(folder.join("vdso.ld"))
        .arg(&archive)
        .arg("-o")
        .arg(&object));
    object
}

fn build_kernel(top: &Path, out: &Path, vdso: &Path) -> PathBuf {
    let target_dir = out.join("guest");
    let flags = [
        "-Crelocation-model=static",
        "-Ccode-model=kernel",
        "-Cforce-frame-pointers=yes",
        "-Cno-redzone=yes",
    ];
    let script = format!("-Clink-arg=-T{}", link_script(top, out).display());
    let mut flags: Vec<String> = flags.map(String::from).to_vec();
    flags.extend([script, "-Clink-arg=--no-pie".into(), "-Clink-arg=--gc-sections".into()]);
    let mut cargo = Command::new(env::var("CARGO").unwrap_or_else(|_| "cargo".into()));
    for (name, _) in env::vars() {
        let is_of_outer =
            name.starts_with("CARGO_") || name == "RUSTFLAGS" || name == "RUSTC_WORKSPACE_WRAPPER";
        if is_of_outer && name != "CARGO_HOME" {
            cargo.env_remove(name);
        }
    }
    run(cargo
        .current_dir(top)
        .env("CARGO_ENCODED_RUSTFLAGS", flags.join("\x1f"))
        .env("SEPTUM_VDSO", vdso)
        .args([
            "build",
            "--package",
            "septum-guest-image",
            "--profile",
            "guest",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&target_dir));
    target_dir.join(TARGET).join("guest/septum-guest-image")
}

/// The kernel's linker script, with the functions that come first.
fn link_script(top: &Path, out: &Path) -> PathBuf {
    let read = |name: &str| {
        let path = top.join("guest-kernel/image").join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| {
            eprintln!("cannot read {}: {error}", path.display());
            exit(1);
        })
    };
    let list = read("order.txt");
    let names = list.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    let sections = names.map(|name| format!("*(.text.{name} .text.unlikely.{name})\n"));
    let script = read("link.ld").replace("{ @order@", &format!("{{ {}", sections.collect::<String>()));
    let path = out.join("link.ld");
    if let Err(error) = fs::write(&path, script) {
        eprintln!("cannot write {}: {error}", path.display());
        exit(1);
    }
    path
}

/// The linker that comes with rustc.
fn lld() -> PathBuf {
    let rustc = env::var("RUSTC").unwrap_or_else(|_| "rustc".into());
    let output = Command::new(rustc).args(["--print", "sysroot"]).output();
    let sysroot =
        output.map(|output| String::from_utf8_lossy(&output.stdout).trim().to_owned()).unwrap_or_default();
    let host = env::var("HOST").unwrap_or_default();
    PathBuf::from(sysroot).join("lib/rustlib").join(host).join("bin/rust-lld")
}

fn run(command: &mut Command) {
    let hint =
        "is the target installed? `cargo xtask setup` does it, or `rustup target add x86_64-unknown-none`";
    match command.status() {
        Ok(status) if status.success() => {}
        Ok(status) => {
            eprintln!("building the guest kernel failed ({status}): {command:?}\nhint: {hint}");
            exit(1);
        }
        Err(error) => {
            eprintln!("building the guest kernel failed: {command:?}: {error}\nhint: {hint}");
            exit(1);
        }
    }
}
