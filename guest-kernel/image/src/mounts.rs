//! The tree that the program sees, as the boot configuration describes it.

use alloc::sync::Arc;
use septum_abi::config::{BootConfig, Mount, MountKind};
use septum_abi::linux::Errno;
use septum_guest_core::fs::context::FsContext;
use septum_guest_core::fs::dentry::Dentry;
use septum_guest_core::fs::devices;
use septum_guest_core::fs::inode::{InodeRef, SetMetadata};
use septum_guest_core::fs::lazy;
use septum_guest_core::fs::mount::{MountOptions, Namespace};
use septum_guest_core::fs::overlay;
use septum_guest_core::fs::proc;
use septum_guest_core::fs::ramfs::RamFs;
use septum_guest_core::process::table::ProcessTable;
use septum_guest_drivers::Devices;
use septum_guest_drivers::virtio::fs::Caching;

/// The tree, and the process table that its `/proc` shows.
pub struct Mounted {
    /// Every mount.
    pub namespace: Arc<Namespace>,
    /// There is none without a `/proc`.
    pub processes: Option<Arc<ProcessTable>>,
}

/// Makes all mounts, in order. The first one is the root.
pub fn make(devices: &Devices, config: &BootConfig<'static>, cpus: u32) -> Result<Mounted, Errno> {
    let mut namespace: Option<Arc<Namespace>> = None;
    let mut processes = None;
    for mount in config.mounts() {
        let (inode, file_system) = match (mount.kind, &namespace) {
            (MountKind::Process, Some(tree)) => {
                let table = ProcessTable::new(
                    Arc::clone(tree),
                    config.hostname,
                    cpus,
                    septum_guest_hal::cpu::description(),
                );
                processes = Some(Arc::clone(&table));
                (proc::file_system(table), "proc")
            }
            _ => file_system(devices, &mount)?,
        };
        let is_read_only = mount.kind == MountKind::ReadOnly;
        let options = MountOptions { source: b"septum", file_system, is_read_only };
        match &namespace {
            None => namespace = Some(Namespace::new(inode, options)),
            Some(tree) => {
                let context = FsContext::new(Arc::clone(tree.root()));
                let place = match context.resolve(&context.root, mount.target, true) {
                    Err(Errno::ENOENT) => context.make_directories(mount.target, 0o755)?,
                    place => place?,
                };
                if mount.kind == MountKind::Ram {
                    look_like(&inode, &place)?;
                }
                tree.mount(&place, inode, options)?;
            }
        }
    }
    Ok(Mounted { namespace: namespace.ok_or(Errno::ENOENT)?, processes })
}

/// Gives a file system's root the permissions and the owner of the directory that it covers (`/tmp` is everybody's).
fn look_like(root: &InodeRef, covered: &Dentry) -> Result<(), Errno> {
    let metadata = covered.metadata()?;
    root.set_metadata(&SetMetadata {
        permissions: Some(metadata.permissions),
        uid: Some(metadata.uid),
        gid: Some(metadata.gid),
        ..SetMetadata::default()
    })
}

fn file_system(devices: &Devices, mount: &Mount<'_>) -> Result<(InodeRef, &'static str), Errno> {
    let shared = |caching| devices.file_system.as_ref().ok_or(Errno::ENODEV)?.subtree(mount.source, caching);
    Ok(match mount.kind {
        MountKind::Overlay => (overlay::over(shared(Caching::Forever)?)?, "overlay"),
        MountKind::ReadOnly => (shared(Caching::AsTold)?, "virtiofs"),
        MountKind::ReadWrite => (shared(Caching::AsTold)?, "virtiofs"),
        MountKind::Ram => (RamFs::new().root(), "tmpfs"),
        MountKind::Device => (lazy::directory(devices::file_system), "devtmpfs"),
        MountKind::Process => return Err(Errno::EINVAL),
    })
}
