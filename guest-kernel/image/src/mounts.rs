//! The tree that the program sees, as the boot configuration describes it.
//!
//! The root is made at once. Every other mount is planned, and made when somebody comes to its place: most programs never look
//! into most of them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use septum_abi::config::{BootConfig, Mount, MountKind};
use septum_abi::linux::Errno;
use septum_guest_core::fs::dentry::Dentry;
use septum_guest_core::fs::devices;
use septum_guest_core::fs::inode::{InodeRef, SetMetadata};
use septum_guest_core::fs::mount::{Maker, MountOptions, Namespace};
use septum_guest_core::fs::overlay;
use septum_guest_core::fs::proc;
use septum_guest_core::fs::ramfs::RamFs;
use septum_guest_core::fs::terminal;
use septum_guest_core::process::table::ProcessTable;
use septum_guest_drivers::Devices;
use septum_guest_drivers::virtio::fs::{Caching, FuseFileSystem};

/// Makes the root, which is the first mount, and plans the others.
pub fn make(devices: &Devices, config: &BootConfig<'static>, cpus: u32) -> Result<Arc<Namespace>, Errno> {
    let host = devices.file_system.as_ref().ok_or(Errno::ENODEV)?;
    let mut mounts = config.mounts();
    let first = mounts.next().filter(|first| first.kind == MountKind::Overlay).ok_or(Errno::EINVAL)?;
    let lower = host.subtree(first.source, Caching::Forever)?;
    let namespace = Namespace::new(overlay::over(lower)?, options(&first));
    let description = septum_guest_hal::cpu::description;
    let processes = ProcessTable::new(Arc::clone(&namespace), cpus, description);
    for mount in mounts {
        namespace.plan(mount.target, options(&mount), maker(&mount, host, &processes));
        if mount.kind == MountKind::Process && mount.target == b"/proc" {
            let processes = Arc::clone(&processes);
            let options = MountOptions { source: b"septum", file_system: "sysfs", is_read_only: false };
            let make = move || Ok(proc::hardware_file_system(Arc::clone(&processes) as _));
            namespace.plan(b"/sys", options, Maker::Free(Box::new(make)));
        }
        if mount.kind == MountKind::Device && mount.target == b"/dev" {
            let options = MountOptions { source: b"septum", file_system: "devpts", is_read_only: false };
            namespace.plan(
                b"/dev/pts",
                options,
                Maker::Free(Box::new(|| Ok(terminal::file_system::file_system()))),
            );
        }
    }
    Ok(namespace)
}

fn options(mount: &Mount<'static>) -> MountOptions<'static> {
    let file_system = match mount.kind {
        MountKind::Overlay => "overlay",
        MountKind::ReadOnly | MountKind::ReadWrite => "virtiofs",
        MountKind::Ram => "tmpfs",
        MountKind::Device => "devtmpfs",
        MountKind::Process => "proc",
    };
    MountOptions { source: b"septum", file_system, is_read_only: mount.kind == MountKind::ReadOnly }
}

fn maker(mount: &Mount<'static>, host: &Arc<FuseFileSystem>, processes: &Arc<ProcessTable>) -> Maker {
    let (host, source) = (Arc::clone(host), mount.source);
    match mount.kind {
        MountKind::Overlay => {
            Maker::Free(Box::new(move || overlay::over(host.subtree(source, Caching::Forever)?)))
        }
        MountKind::ReadOnly | MountKind::ReadWrite => {
            Maker::Free(Box::new(move || host.subtree(source, Caching::AsTold)))
        }
        MountKind::Ram => Maker::Covering(Box::new(|covered| {
            let root = RamFs::new().root();
            look_like(&root, covered)?;
            Ok(root)
        })),
        MountKind::Device => Maker::Free(Box::new(devices::file_system)),
        MountKind::Process => {
            let processes = Arc::clone(processes);
            Maker::Free(Box::new(move || {
                let processes = Arc::clone(&processes);
                Ok(proc::file_system(processes))
            }))
        }
    }
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
