//! A Linux guest for the tests: the nested host's own kernel, and an initial RAM disk with a shell and the modules for our devices.
//!
//! What the shell is to do is typed at its console, so one RAM disk is enough for all tests.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context as _, Result};

use super::cpio::Archive;
use super::initramfs::write_whole;
use super::kernel::Kernel;
use super::static_busybox;
use crate::workspace::Workspace;

/// Drivers of what a partition's bus has, and of what is passed on to it.
const MODULES: &[&str] = &["virtio_pci", "virtio_blk", "virtio_balloon", "virtio-rng", "nvme"];

/// The serial port is the terminal of a shell; what the shell leaves ends the guest.
const INIT: &str = include_str!("guest-init.sh");

/// The files.
pub struct LinuxGuest {
    /// The kernel.
    pub kernel: PathBuf,
    /// The RAM disk.
    pub initrd: PathBuf,
}

impl LinuxGuest {
    /// Finds or makes them.
    pub fn obtain(workspace: &Workspace) -> Result<Self> {
        let cache = workspace.target().join("nested");
        fs::create_dir_all(&cache).with_context(|| format!("cannot create {}", cache.display()))?;
        let kernel = Kernel::obtain(&cache)?;
        let busybox = static_busybox().context("no statically linked busybox")?;
        let busybox = fs::read(&busybox).with_context(|| format!("cannot read {}", busybox.display()))?;
        let mut archive = Archive::default();
        for folder in ["bin", "modules", "proc", "sys", "dev", "root"] {
            archive.folder(folder)?;
        }
        archive.file("bin/busybox", &busybox)?;
        archive.file("init", INIT.as_bytes())?;
        for (position, (name, content)) in kernel.modules(MODULES)?.iter().enumerate() {
            archive.file(&format!("modules/{position:02}-{name}.ko"), content)?;
        }
        let initrd = cache.join("guest-initrd");
        let bytes = archive.finish()?;
        if fs::read(&initrd).ok().as_ref() != Some(&bytes) {
            write_whole(&initrd, &bytes)?;
        }
        Ok(Self { kernel: kernel.image().to_owned(), initrd })
    }
}
