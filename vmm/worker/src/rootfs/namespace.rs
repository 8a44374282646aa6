//! Namespaces of the worker's own: for mounts, for what else of the host costs nothing to leave (System V's and POSIX's ways of talking, the
//! host's name), and, while the virtual machine is made, for the network. That one is empty, and not even its loopback is up: what the worker has of
//! the host's network are sockets that others have made ([0047](../../../../docs/decisions/0047-a-broker-makes-the-connections.md)).
//!
//! Root can make one; anybody else can inside a user namespace, where the caller has the user and group ids of the program: what
//! belongs to the one belongs to the other, and nobody else is there.

use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, mount_change};
use rustix::thread::{CapabilitySet, UnshareFlags, capabilities};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;

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

/// Leaves the host's network for one with nothing in it. Of the threads that there are, only the calling one does.
pub(super) fn leave_network(jail: JailChoice) -> Result<(), Failure> {
    match unshare(UnshareFlags::NEWNET) {
        // The kernel has none, or may make no more of them.
        Err(error) if jail == JailChoice::On => Err(refused(error, "make a network namespace")),
        _ => Ok(()),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{TcpListener, TcpStream, UdpSocket};

    #[test]
    fn nothing_of_the_host_is_reached_from_an_empty_network() {
        if !capabilities(None).is_ok_and(|sets| sets.effective.contains(CapabilitySet::SYS_ADMIN)) {
            eprintln!("skipped: only root can make a network namespace alone");
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        // A thread of its own: the others stay where they are.
        let inside = std::thread::spawn(move || {
            leave_network(JailChoice::On).unwrap();
            let message = UdpSocket::bind("0.0.0.0:0").and_then(|socket| socket.send_to(b"x", "192.0.2.1:9"));
            [TcpStream::connect(address).map(drop), message.map(drop)]
        });
        for result in inside.join().unwrap() {
            assert_eq!(result.unwrap_err().raw_os_error(), Some(libc::ENETUNREACH));
        }
        TcpStream::connect(address).unwrap();
    }
}
