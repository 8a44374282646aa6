//! Composing the shared directory and making it the worker's whole world.
//!
//! ```text
//!   private mount namespace ─► detached copies of everything shared ─► RAM file system at STAGE
//!   ─► copies attached inside it ─► pivot_root into it ─► old root let go ─► RAM file system read-only
//! ```
//!
//! The copies are taken first because the RAM file system hides what is below its mount point, and a share may be there.

use std::ffi::OsStr;
use std::path::Path;

use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;

use super::namespace::{leave_host, leave_network, refused};
use super::plan::{Extent, ONLY_FILE, Plan, Root, Share};
use super::system::{self, make_directories, make_directory, make_file};
use super::tree::{Access, Tree, seal};
use super::user::User;
use super::{View, etc};
use crate::outcome::reason;

/// Where the tree is composed: a directory that every host has.
const STAGE: &str = "/tmp";
/// Options of the worker's RAM file system: it holds a few small files and mount points.
const STAGE_OPTIONS: &std::ffi::CStr = c"mode=755,size=16m";

/// Gives this process, which has one thread only, a mount namespace of its own. Threads that it makes from now on go
/// everywhere with it. Where that takes a user namespace, the caller is `user` in it.
pub(crate) fn leave(user: &User) -> Result<(), Failure> {
    // Permissions of what is made here, and by the file server later, are meant as they are written.
    rustix::process::umask(rustix::fs::Mode::empty());
    leave_host(user)
}

/// Composes what is shared and makes it the root, and leaves the host's network for an empty one: this thread, and those that it starts. Returns
/// the partition's view of the root.
pub(crate) fn enter(plan: &Plan, jail: JailChoice) -> Result<View, Failure> {
    leave_network(jail)?;

    let system = match &plan.root {
        Root::Host => Lower::Host(system::collect()?),
        Root::Directory(directory) => Lower::Directory(copy(directory, Access::ReadOnly)?),
        Root::Image(_) | Root::Nothing => Lower::InGuest,
    };
    let shares =
        plan.shares.iter().map(|share| copy(&share.host, share.access)).collect::<Result<Vec<_>, _>>()?;
    let descriptors = copy(Path::new("/proc/self/fd"), Access::ReadOnly)?;

    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    mount("septum", STAGE, "tmpfs", flags, STAGE_OPTIONS)
        .map_err(|error| refused(error, &format!("mount a RAM file system on {STAGE}")))?;
    let stage = Path::new(STAGE);
    for directory in ["proc", "proc/self", "proc/self/fd", "share", "share/system"] {
        make_directory(&stage.join(directory), 0o755)?;
    }
    attach(descriptors, &stage.join("proc/self/fd"))?;
    // The file server opens this one too, but only reads it to resolve file handles, which are not used.
    let mounts = stage.join("proc/self/mountinfo");
    make_file(&mounts, &[])?;
    let share_root = stage.join("share");
    place_system(system, plan, &share_root.join("system"))?;
    if !matches!(plan.root, Root::Image(_) | Root::Nothing) {
        make_mount_points(plan, &share_root.join("system"));
    }
    for (number, (share, tree)) in plan.shares.iter().zip(shares).enumerate() {
        place_share(share, tree, &share_root.join(number.to_string()), plan)?;
    }
    pivot(stage)?;
    Ok(View::new(super::SHARED_ROOT.into(), plan.mounts.clone(), plan.image().cloned()))
}

/// Enters a tree with nothing in it, to see whether this host allows it.
pub(crate) fn try_to_enter() -> Result<(), Failure> {
    let plan = Plan::empty();
    leave(&plan.user)?;
    enter(&plan, JailChoice::On).map(|_| ())
}

enum Lower {
    Host(Vec<(&'static str, system::Entry)>),
    Directory(Tree),
    /// The guest has it in its memory, or on its disks.
    InGuest,
}

fn place_system(system: Lower, plan: &Plan, target: &Path) -> Result<(), Failure> {
    match system {
        Lower::Host(entries) => {
            system::place(entries, target)?;
            etc::compose(Path::new("/etc"), &target.join("etc"), &plan.user, &plan.hostname, &plan.network)
        }
        Lower::Directory(tree) => attach(tree, target),
        Lower::InGuest => Ok(()),
    }
}

/// The guest makes missing mount points in its own layer of RAM; those that are here already cost it nothing. Inside the
/// host's directories there is nothing to be made.
fn make_mount_points(plan: &Plan, system: &Path) {
    for share in &plan.shares {
        let inside = share.guest.strip_prefix("/").unwrap_or(&share.guest);
        // A link may lead anywhere, out of the tree too: it is the guest that follows it.
        if inside.ancestors().any(|outer| system.join(outer).is_symlink()) {
            continue;
        }
        match (share.extent == Extent::File, inside.parent()) {
            (true, Some(parent)) => {
                let _ = make_directories(&system.join(parent));
                if system.join(inside).symlink_metadata().is_err() {
                    let _ = make_file(&system.join(inside), &[]);
                }
            }
            _ => drop(make_directories(&system.join(inside))),
        }
    }
}

/// A whole directory, or a directory that holds one file; one that the partition sees holds the mount points of the shares inside it, too.
fn place_share(share: &Share, tree: Tree, target: &Path, plan: &Plan) -> Result<(), Failure> {
    make_directory(target, 0o755)?;
    let name = match &share.extent {
        Extent::Directory => return attach(tree, target),
        Extent::Holding(name) => name.as_os_str(),
        Extent::File => OsStr::new(ONLY_FILE),
    };
    let file = target.join(name);
    make_file(&file, &[])?;
    attach(tree, &file)?;
    if share.extent == Extent::File {
        return Ok(());
    }
    for other in &plan.shares {
        match other.guest.strip_prefix(&share.guest) {
            Ok(inside) if inside != OsStr::new("") && other.extent != Extent::File => {
                make_directories(&target.join(inside))?;
            }
            Ok(inside) if inside != OsStr::new("") => {
                let place = target.join(inside);
                place.parent().map_or(Ok(()), make_directories)?;
                make_file(&place, &[])?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn copy(path: &Path, access: Access) -> Result<Tree, Failure> {
    Tree::copy(path, access).map_err(|error| refused(error, &format!("share {}", path.display())))
}

fn attach(tree: Tree, target: &Path) -> Result<(), Failure> {
    tree.attach(target).map_err(|error| refused(error, &format!("mount {}", target.display())))
}

/// Makes `stage` the root and lets go of everything else.
fn pivot(stage: &Path) -> Result<(), Failure> {
    let failure = |error| Failure::new(Code::Internal, "cannot leave the host's file system", reason(error));
    rustix::process::chdir(stage).map_err(failure)?;
    // The old root is stacked on the new one, at the same place, and so can be unmounted without a directory for it.
    rustix::process::pivot_root(".", ".").map_err(failure)?;
    unmount(".", UnmountFlags::DETACH).map_err(failure)?;
    rustix::process::chdir("/").map_err(failure)?;
    seal(Path::new("/")).map_err(failure)
}
