//! Namespaces of the worker's own: for mounts, and for what else of the host costs nothing to leave (System V's and POSIX's ways of talking, the
//! host's name). The network's would cost 17 ms and more where KVM is emulated, and the worker makes the partition's connections itself
//! ([0045](../../../../docs/decisions/0045-namespaces-and-limits.md)).
//!
//! Root can make one; anybody else can inside a user namespace, where the caller has the user and group ids of the program: what
//! belongs to the one belongs to the other, and nobody else is there.

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;

use super::user::User;
use crate::outcome::{reason, without_number};

/// All of them.
const OWN: UnshareFlags = UnshareFlags::NEWNS.union(UnshareFlags::NEWIPC).union(UnshareFlags::NEWUTS);

/// Leaves the host's mount namespace for a private copy, and the others for new ones. The process must have one thread only.
pub(super) fn leave_host(user: &User) -> Result<(), Failure> {
    let is_mighty = capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN));
    if is_mighty {
        // Nothing else of the process uses these: no thread, no shared descriptor table.
        unshare(OWN).map_err(|error| refused(error, "make a mount namespace"))?;
    } else {
        let (uid, gid) = (rustix::process::getuid().as_raw(), rustix::process::getgid().as_raw());
        unshare(UnshareFlags::NEWUSER | OWN).map_err(|error| refused(error, "make a user namespace"))?;
        map_identity((user.uid, uid), (user.gid, gid))?;
    }
    // Nothing mounted from here on shows on the host.
    mount_change("/", MountPropagationFlags::PRIVATE | MountPropagationFlags::REC)
        .map_err(|error| refused(error, "make the mount namespace private"))
}

#[allow(deprecated, reason = "the flags used here cannot break I/O safety")]
fn unshare(flags: UnshareFlags) -> Result<(), Errno> {
    rustix::thread::unshare(flags)
}

/// Who is who in the new user namespace: numbers inside, and outside.
fn map_identity(uids: (u32, u32), gids: (u32, u32)) -> Result<(), Failure> {
    let write = |file: &str, text: String| {
        std::fs::write(file, text).map_err(|error| {
            Failure::new(Code::Host, "cannot set up a user namespace", without_number(&error)).hint(HINT)
        })
    };
    // Without this, an unprivileged process may not map groups.
    write("/proc/self/setgroups", "deny".to_owned())?;
    write("/proc/self/uid_map", format!("{} {} 1", uids.0, uids.1))?;
    write("/proc/self/gid_map", format!("{} {} 1", gids.0, gids.1))
}

const HINT: &str = "run as root, or allow user namespaces: 'sudo sysctl -w user.max_user_namespaces=10000', on Debian \
                    also 'kernel.unprivileged_userns_clone=1', on Ubuntu also \
                    'kernel.apparmor_restrict_unprivileged_userns=0'; in a container, give it CAP_SYS_ADMIN";

/// A step of composing the tree that the host's configuration may forbid.
pub(super) fn refused(error: Errno, what: &str) -> Failure {
    let failure = Failure::new(Code::Host, format!("cannot {what}"), reason(error));
    match error {
        Errno::NOSYS => failure.hint("this needs Linux 5.12 or newer"),
        _ => failure.hint(HINT),
    }
}
