//! The tree that the program sees, as the boot configuration describes it.
//!
//! The root is made at once. Every other mount is planned, and made when somebody comes to its place: most programs never look
//! into most of them.

use alloc::boxed::Box;
use alloc::sync::Arc;
use septum_abi::boot::BootPage;
use septum_abi::config::{BootConfig, Mount, MountKind};
use septum_abi::linux::Errno;
use septum_abi::ram::RamOptions;
use septum_guest_core::fs::dentry::Dentry;
use septum_guest_core::fs::devices;
use septum_guest_core::fs::erofs;
use septum_guest_core::fs::inode::{Access, Create, InodeRef, Ownership, SetMetadata};
use septum_guest_core::fs::mount::{Maker, MountOptions, Namespace};
use septum_guest_core::fs::overlay;
use septum_guest_core::fs::pci;
use septum_guest_core::fs::proc;
use septum_guest_core::fs::ramfs::RamFs;
use septum_guest_core::fs::terminal;
use septum_guest_core::io::KernelSource;
use septum_guest_core::process::table::ProcessTable;
use septum_guest_drivers::Devices;
use septum_guest_drivers::virtio::fs::{Caching, FuseFileSystem};
use septum_guest_hal::frame::window;

/// Bytes of a page.
const PAGE: u64 = septum_abi::layout::PAGE_SIZE as u64;

/// Makes the root, which is the first mount, and plans the others.
pub fn make(
    devices: &Devices,
    config: &BootConfig<'static>,
    page: &BootPage,
) -> Result<Arc<Namespace>, Errno> {
    let host = devices.file_system.as_ref().ok_or(Errno::ENODEV)?;
    let cpus = page.cpu_count;
    let mut mounts = config.mounts();
    let first = mounts.next().ok_or(Errno::EINVAL)?;
    let lower = match first.kind {
        MountKind::Overlay => host.subtree(first.source, Caching::Forever)?,
        MountKind::Image => erofs::root(page.image_len, Box::new(window::image_frame))?,
        _ => return Err(Errno::EINVAL),
    };
    let namespace = Namespace::new(overlay::over(lower)?, options(&first));
    let description = septum_guest_hal::cpu::description;
    let processes = ProcessTable::new(Arc::clone(&namespace), cpus, description);
    for mount in mounts {
        namespace.plan(mount.target, options(&mount), maker(&mount, host, &processes));
        if mount.kind == MountKind::Process && mount.target == b"/proc" {
            let processes = Arc::clone(&processes);
            let options = MountOptions::plain(b"septum", "sysfs");
            let make = move || Ok(proc::hardware_file_system(Arc::clone(&processes) as _));
            namespace.plan(b"/sys", options, Maker::Free(Box::new(make)));
            if pci::count() > 0 {
                let options = MountOptions::plain(b"septum", "sysfs");
                namespace.plan(b"/sys/bus/pci", options, Maker::Free(Box::new(|| Ok(pci::file_system()))));
            }
        }
        if mount.kind == MountKind::Device && mount.target == b"/dev" {
            let options = MountOptions::plain(b"septum", "devpts");
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
        MountKind::Overlay | MountKind::Image => "overlay",
        MountKind::ReadOnly | MountKind::ReadWrite | MountKind::ReadOnlyFile | MountKind::ReadWriteFile => {
            "virtiofs"
        }
        MountKind::Ram | MountKind::Text => "tmpfs",
        MountKind::Device => "devtmpfs",
        MountKind::Process => "proc",
    };
    MountOptions {
        source: b"septum",
        file_system,
        is_read_only: matches!(mount.kind, MountKind::ReadOnly | MountKind::ReadOnlyFile)
            || mount.refusals.writing,
        is_no_execute: mount.refusals.execution,
    }
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
        MountKind::ReadOnlyFile | MountKind::ReadWriteFile => {
            Maker::File(Box::new(move || host.subtree(source, Caching::AsTold)))
        }
        MountKind::Ram => {
            let mut options = RamOptions::parse(source);
            if mount.target == b"/tmp" {
                options.permissions = options.permissions.or(Some(0o1777));
            }
            Maker::Covering(Box::new(move |covered| {
                let frames = options.bytes.map(|bytes| bytes.div_ceil(PAGE));
                let root = frames.map_or_else(RamFs::new, RamFs::with_limit).root();
                look_like(&root, covered, &options)?;
                Ok(root)
            }))
        }
        // There is one image, and it is the root.
        MountKind::Image => Maker::Free(Box::new(|| Err(Errno::EINVAL))),
        MountKind::Text => Maker::File(Box::new(move || text(source))),
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

/// A file in RAM.
fn text(contents: &[u8]) -> Result<InodeRef, Errno> {
    let ownership = Ownership { uid: 0, gid: 0, permissions: 0o644 };
    let inode = RamFs::new().root().create(b"text", Create::File, ownership)?;
    inode.open(Access { read: false, write: true })?.write_at(0, &mut KernelSource(contents))?;
    Ok(inode)
}

/// Gives a file system's root the permissions and the owner that are wanted, else those of the directory that it covers.
fn look_like(root: &InodeRef, covered: &Dentry, wanted: &RamOptions) -> Result<(), Errno> {
    let metadata = covered.metadata()?;
    root.set_metadata(&SetMetadata {
        permissions: Some(wanted.permissions.unwrap_or(metadata.permissions)),
        uid: Some(wanted.uid.unwrap_or(metadata.uid)),
        gid: Some(wanted.gid.unwrap_or(metadata.gid)),
        ..SetMetadata::default()
    })
}
