//! The nested host's first file system: busybox, kernel modules and two scripts.
//!
//! It only lives until the real root is mounted (see `first-stage.sh`). The part that never changes
//! between runs is cached beside the kernel, named after a digest of everything it holds; a change of
//! kernel, busybox or script therefore makes a new one. Each run appends its own command.

use std::fs;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result};

use super::cpio::Archive;
use super::kernel::Kernel;

const FIRST_STAGE: &str = include_str!("first-stage.sh");
const SECOND_STAGE: &str = include_str!("second-stage.sh");
/// Keeps the nested kernel from rewriting its own code while it works.
const HOLD_KVM: &str = include_str!("hold-kvm.pl");

/// What the nested host loads: its disks and ports, then KVM and VFIO. Dependencies come by themselves.
const MODULES: &[&str] = &[
    "virtio_pci",
    "virtio_console",
    "virtiofs",
    "overlay",
    "irqbypass",
    "kvm",
    "kvm-amd",
    "vfio",
    "vfio_iommu_type1",
    "vfio-pci",
    "uio_pci_generic",
    "tun",
    "vhost_vsock",
];

/// The part that is common to every run, from the cache if its inputs are unchanged.
pub fn base(cache: &Path, kernel: &Kernel, busybox: &Path) -> Result<Vec<u8>> {
    let busybox_content = fs::read(busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
    let path = cache.join(format!("initramfs-{:016x}", digest(kernel, &busybox_content)));
    if let Ok(bytes) = fs::read(&path) {
        return Ok(bytes);
    }
    let mut archive = Archive::default();
    for folder in ["bin", "modules", "proc", "sys", "dev", "host", "root", "ram", "run"] {
        archive.folder(folder)?;
    }
    archive.file("bin/busybox", &busybox_content)?;
    archive.file("init", FIRST_STAGE.as_bytes())?;
    archive.file("run/second-stage", SECOND_STAGE.as_bytes())?;
    archive.file("run/hold-kvm.pl", HOLD_KVM.as_bytes())?;
    for (position, (name, content)) in kernel.modules(MODULES)?.iter().enumerate() {
        archive.file(&format!("modules/{position:02}-{name}.ko"), content)?;
    }
    let bytes = archive.finish()?;
    remove_older(cache);
    write_whole(&path, &bytes)?;
    Ok(bytes)
}

/// The part of one run: settings of the second stage, and the script that becomes the command.
pub fn job(settings: &str, script: &str) -> Result<Vec<u8>> {
    let mut archive = Archive::default();
    archive.file("run/settings", settings.as_bytes())?;
    archive.file("run/job", script.as_bytes())?;
    archive.finish()
}

fn digest(kernel: &Kernel, busybox: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    (FIRST_STAGE, SECOND_STAGE, HOLD_KVM, MODULES, busybox, kernel.image()).hash(&mut hasher);
    hasher.finish()
}

/// Removes what earlier inputs made. A run that needs one of them makes it again.
fn remove_older(cache: &Path) {
    let entries = fs::read_dir(cache).into_iter().flatten().filter_map(Result::ok);
    for entry in entries.filter(|entry| entry.file_name().to_string_lossy().starts_with("initramfs-")) {
        let _ = fs::remove_file(entry.path());
    }
}

/// Writes a file so that a reader sees either nothing or all of it.
pub fn write_whole(path: &PathBuf, bytes: &[u8]) -> Result<()> {
    let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
    fs::write(&temporary, bytes)
        .and_then(|()| fs::rename(&temporary, path))
        .with_context(|| format!("cannot write {}", path.display()))
}
