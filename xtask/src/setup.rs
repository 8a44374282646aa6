//! What the other commands need from the machine, and how it gets there.
//!
//! Two kinds of things: the guest kernel's compilation target, which `rustup` adds for the pinned
//! toolchain, and Debian packages. Nothing is asked of the package manager while every needed file is
//! already there, so a second call costs milliseconds. Without the right to install, the exact command is
//! printed and the call fails; nothing is ever half installed silently.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, anyhow, bail};

use crate::process;
use crate::workspace::Workspace;

/// The compilation target of the guest kernel.
pub const GUEST_TARGET: &str = "x86_64-unknown-none";

/// How a package shows that it is installed.
enum Proof {
    /// A program of this name can be found.
    Program(&'static str),
    /// This file exists.
    File(&'static str),
    /// One of these files exists.
    AnyFile(&'static [&'static str]),
    /// This function says so.
    Test(fn() -> bool),
}

/// A Debian package and the reason to want it.
struct Package {
    name: &'static str,
    proof: Proof,
}

const fn program(name: &'static str, program: &'static str) -> Package {
    Package { name, proof: Proof::Program(program) }
}

const fn header(name: &'static str, path: &'static str) -> Package {
    Package { name, proof: Proof::File(path) }
}

/// Compilers and tools that the tests, the demonstration and the benchmarks run.
const TEST_PACKAGES: &[Package] = &[
    program("gcc", "gcc"),
    program("g++", "g++"),
    Package {
        name: "libc6-dev",
        proof: Proof::AnyFile(&["/usr/lib/x86_64-linux-gnu/libc.a", "/usr/lib64/libc.a", "/usr/lib/libc.a"]),
    },
    program("coreutils", "sha256sum"),
    program("gawk", "gawk"),
    program("gzip", "gzip"),
    program("sqlite3", "sqlite3"),
    Package { name: "e2fsprogs", proof: Proof::AnyFile(&["/usr/sbin/mkfs.ext4", "/sbin/mkfs.ext4"]) },
    program("python3", "python3"),
    program("erofs-utils", "mkfs.erofs"),
    program("busybox-static", "busybox"),
    program("tmux", "tmux"),
];

/// Virtual environments with pip in them.
const VENV: Package = Package {
    name: "python3.11-venv",
    proof: Proof::AnyFile(&["/usr/lib/python3.11/ensurepip/__init__.py"]),
};

/// CPython with its own test suite.
const CPYTHON_PACKAGES: &[Package] = &[
    program("python3.11", "python3.11"),
    VENV,
    Package {
        name: "libpython3.11-testsuite",
        proof: Proof::AnyFile(&["/usr/lib/python3.11/test/test_os.py"]),
    },
];

/// What CPython is built with, as pyenv's documentation lists it, without the graphical part.
const CPYTHON_BUILD_PACKAGES: &[Package] = &[
    program("gcc", "gcc"),
    program("make", "make"),
    header("libssl-dev", "/usr/include/openssl/ssl.h"),
    header("zlib1g-dev", "/usr/include/zlib.h"),
    header("libbz2-dev", "/usr/include/bzlib.h"),
    header("libreadline-dev", "/usr/include/readline/readline.h"),
    header("libsqlite3-dev", "/usr/include/sqlite3.h"),
    header("libncurses-dev", "/usr/include/curses.h"),
    header("libffi-dev", "/usr/include/x86_64-linux-gnu/ffi.h"),
    header("liblzma-dev", "/usr/include/lzma.h"),
];

/// NumPy with what its own tests use.
const NUMPY_PACKAGES: &[Package] = &[
    program("python3.11", "python3.11"),
    Package { name: "python3-numpy", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/numpy"]) },
    Package { name: "python3-pytest", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/pytest"]) },
    Package {
        name: "python3-hypothesis",
        proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/hypothesis"]),
    },
];

/// What the nested lane boots.
const NESTED_PACKAGES: &[Package] = &[
    program("qemu-system-x86", "qemu-system-x86_64"),
    Package { name: "busybox-static", proof: Proof::Test(|| crate::nested::static_busybox().is_some()) },
    program("util-linux", "setpriv"),
    program("xz-utils", "xz"),
];

/// The file server of the nested lane: in Debian 12 a part of `qemu-system-common`, later its own package.
const FILE_SERVER: Package =
    Package { name: "virtiofsd", proof: Proof::AnyFile(crate::nested::FILE_SERVER_PROGRAMS) };

/// Real programs and libraries, run by `tests/tests/stacks.rs`; a test whose stack is missing is skipped.
const STACK_PACKAGES: &[Package] = &[
    Package { name: "python3-numpy", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/numpy"]) },
    Package { name: "python3-scipy", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/scipy"]) },
    Package { name: "python3-sklearn", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/sklearn"]) },
    program("stress-ng", "stress-ng"),
    VENV,
    program("mmdebstrap", "mmdebstrap"),
    program("git", "git"),
    program("curl", "curl"),
    program("make", "make"),
    program("redis-server", "redis-server"),
    program("redis-tools", "redis-cli"),
    Package { name: "postgresql", proof: Proof::AnyFile(&["/usr/lib/postgresql/15/bin/postgres"]) },
    Package { name: "python3-psycopg2", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/psycopg2"]) },
    Package { name: "python3-requests", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/requests"]) },
    Package { name: "python3-httpx", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/httpx"]) },
    Package { name: "python3-grpcio", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/grpc"]) },
    program("umoci", "umoci"),
    program("skopeo", "skopeo"),
    program("chromium-headless-shell", "chromium-headless-shell"),
];

/// What is too large to be installed for every run of the tests.
const LARGE_STACK_PACKAGES: &[Package] =
    &[Package { name: "python3-torch", proof: Proof::AnyFile(&["/usr/lib/python3/dist-packages/torch"]) }];

/// The release of Debian that has Julia, in which it is kept below `target/stacks`.
const JULIA_RELEASE: &str = "bullseye";
/// The release whose Python images are tested with.
const PYTHON_RELEASE: &str = "bookworm";

/// Everything that any command needs.
pub fn everything(workspace: &Workspace) -> Result<()> {
    base(workspace)?;
    nested_lane()
}

/// What the tests of real stacks run, as far as it can be had: what cannot is said here, and skipped there.
pub fn stacks(workspace: &Workspace) {
    if let Err(error) = packages(STACK_PACKAGES) {
        eprintln!("setup: some tests of real stacks will be skipped: {error:#}");
    }
    let folder = workspace.target().join("stacks");
    if let Err(error) = unpacked(&folder, "julia", JULIA_RELEASE, "julia,coreutils") {
        eprintln!("setup: the tests of Julia will be skipped: {error:#}");
    }
    python_root(workspace);
}

/// A Debian with Python and NumPy and nothing else, of which images are made.
pub fn python_root(workspace: &Workspace) {
    let folder = workspace.target().join("stacks");
    if let Err(error) = unpacked(&folder, "python", PYTHON_RELEASE, "python3,python3-numpy,coreutils,dash") {
        eprintln!("setup: tests of images with Python will be skipped: {error:#}");
    }
}

/// What only `cargo xtask conformance` runs, as far as it can be had.
pub fn large_stacks() {
    if let Err(error) = packages(LARGE_STACK_PACKAGES) {
        eprintln!("setup: the tests of large stacks will be skipped: {error:#}");
    }
}

/// Unpacks packages of a release of Debian with what they need into `folder/name`, once.
fn unpacked(folder: &Path, name: &str, release: &str, packages: &str) -> Result<()> {
    let root = folder.join(name);
    if root.join("usr/bin").is_dir() {
        return Ok(());
    }
    std::fs::create_dir_all(folder).with_context(|| format!("cannot create {}", folder.display()))?;
    let unfinished = folder.join(format!("{name}.new"));
    if unfinished.exists() {
        std::fs::remove_dir_all(&unfinished)
            .with_context(|| format!("cannot remove {}", unfinished.display()))?;
    }
    eprintln!("setup: unpacking {packages} into {}", root.display());
    let mut mmdebstrap = Command::new("mmdebstrap");
    // Unpacked only: no script of a package is run.
    mmdebstrap.args(["--quiet", "--variant=extract", &format!("--include={packages}"), release]);
    process::capture(mmdebstrap.arg(&unfinished))?;
    std::fs::rename(&unfinished, &root).with_context(|| format!("cannot rename {}", unfinished.display()))
}

/// What building, testing and measuring on this machine needs.
pub fn base(workspace: &Workspace) -> Result<()> {
    rust_target(workspace)?;
    packages(TEST_PACKAGES)
}

/// What the nested lane needs; the kernel itself is fetched by the lane.
pub fn nested_lane() -> Result<()> {
    packages(NESTED_PACKAGES)?;
    packages(&[FILE_SERVER])?;
    if !is_root()? {
        packages(&[program("uidmap", "newuidmap")])?;
    }
    Ok(())
}

/// What `cargo xtask conformance cpython` runs.
pub fn cpython_suite() -> Result<()> {
    packages(CPYTHON_PACKAGES)
}

/// What `cargo xtask conformance pyenv` builds an interpreter with.
pub fn cpython_build() -> Result<()> {
    packages(CPYTHON_BUILD_PACKAGES)
}

/// Downloads the source package from where this machine has its packages from, into the folder; nothing of the system changes.
pub fn fetch_source(package: &str, folder: &Path) -> Result<()> {
    let mut targets = Command::new("apt-get");
    targets.args([
        "indextargets",
        "--format",
        "$(REPO_URI) $(CODENAME) $(COMPONENT)",
        "Created-By: Packages",
    ]);
    let targets = process::capture(&mut targets)?;
    let mut failure = anyhow!("apt-get knows no archive");
    // One archive after the other: not every one has the sources of what it has.
    for archive in targets.lines() {
        match fetch_source_from(archive, package, folder) {
            Ok(()) => return Ok(()),
            Err(error) => failure = error,
        }
    }
    Err(failure).context(format!("cannot fetch the source of {package}"))
}

/// `archive` is address, release and component.
fn fetch_source_from(archive: &str, package: &str, folder: &Path) -> Result<()> {
    let lists = folder.join("lists");
    drop(std::fs::remove_dir_all(&lists));
    std::fs::create_dir_all(lists.join("partial"))
        .with_context(|| format!("cannot create {}", lists.display()))?;
    let sources = folder.join("sources.list");
    std::fs::write(&sources, format!("deb-src {archive}\n"))
        .with_context(|| format!("cannot write {}", sources.display()))?;
    for arguments in [&["update"][..], &["source", "--download-only", package]] {
        let mut apt_get = Command::new("apt-get");
        apt_get.current_dir(folder).arg("-qq");
        apt_get.arg("-o").arg(format!("Dir::Etc::SourceList={}", sources.display()));
        apt_get.args(["-o", "Dir::Etc::SourceParts=/nonexistent"]);
        apt_get.arg("-o").arg(format!("Dir::State::Lists={}", lists.display()));
        process::capture(apt_get.args(arguments))?;
    }
    Ok(())
}

/// What `cargo xtask conformance numpy` runs.
pub fn numpy_suite() -> Result<()> {
    packages(NUMPY_PACKAGES)
}

/// What `cargo xtask conformance stress-ng` runs.
pub fn stress_suite() -> Result<()> {
    packages(&[program("stress-ng", "stress-ng")])
}

/// Adds the guest kernel's target to the pinned toolchain.
pub fn rust_target(workspace: &Workspace) -> Result<()> {
    let mut rustc = Command::new("rustc");
    rustc.current_dir(workspace.root()).args(["--print", "sysroot"]);
    let sysroot = process::capture(&mut rustc)?;
    if Path::new(sysroot.trim()).join("lib/rustlib").join(GUEST_TARGET).join("lib").is_dir() {
        return Ok(());
    }
    if process::find_program("rustup").is_none() {
        bail!(
            "the Rust target {GUEST_TARGET} is missing and there is no rustup to add it; install rustup \
             (https://rustup.rs) or your distribution's {GUEST_TARGET} standard library"
        );
    }
    eprintln!("setup: rustup target add {GUEST_TARGET}");
    let mut rustup = Command::new("rustup");
    rustup.current_dir(workspace.root()).args(["target", "add", GUEST_TARGET]);
    process::run(&mut rustup)
}

fn is_present(package: &Package) -> bool {
    match package.proof {
        Proof::Program(name) => process::find_program(name).is_some(),
        Proof::File(path) => Path::new(path).exists(),
        Proof::AnyFile(paths) => paths.iter().any(|path| Path::new(path).exists()),
        Proof::Test(function) => function(),
    }
}

/// Installs those of the packages that are missing.
fn packages(wanted: &[Package]) -> Result<()> {
    let missing: Vec<&str> =
        wanted.iter().filter(|package| !is_present(package)).map(|package| package.name).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let list = missing.join(" ");
    if process::find_program("apt-get").is_none() {
        bail!(
            "missing programs; on Debian they come from these packages: {list}. Install your \
             distribution's equivalents and run this again"
        );
    }
    if !is_root()? {
        bail!(
            "missing packages; run: sudo apt-get update && sudo apt-get install -y --no-install-recommends {list}"
        );
    }
    eprintln!("setup: installing {list}");
    apt_get(&["update"])?;
    let mut install = vec!["install", "-y", "--no-install-recommends"];
    install.extend(&missing);
    apt_get(&install)?;
    let absent: Vec<&str> =
        wanted.iter().filter(|package| !is_present(package)).map(|package| package.name).collect();
    if !absent.is_empty() {
        bail!("installed {list}, but what they should bring is still missing: {}", absent.join(" "));
    }
    Ok(())
}

/// Runs `apt-get`; what it says is shown only if it fails.
fn apt_get(arguments: &[&str]) -> Result<()> {
    let mut command = Command::new("apt-get");
    command.env("DEBIAN_FRONTEND", "noninteractive").arg("-qq").args(arguments);
    process::capture(&mut command).map(drop)
}

/// Refreshes the package lists, where this user may.
pub fn refresh_package_lists() -> Result<()> {
    if is_root()? {
        return apt_get(&["update"]);
    }
    bail!("the package lists are too old; run: sudo apt-get update")
}

/// Whether this process may install packages.
pub fn is_root() -> Result<bool> {
    let status = std::fs::read_to_string("/proc/self/status").context("cannot read /proc/self/status")?;
    let line =
        status.lines().find_map(|line| line.strip_prefix("Uid:")).context("no Uid in /proc/self/status")?;
    Ok(line.split_whitespace().nth(1) == Some("0"))
}
