//! Makes connections to other partitions for the broker, if the rules allow it: that opens no path of the host.
//!
//! The broker is not trusted: it says a name and a port, and the rules are asked once more. Nothing blocks.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType, connect, socket_with, socketpair};
use septum_api_types::network::Network;
use septum_netproxy::neighbours::{Call, Refusal, answer, next_call};
use septum_netproxy::policy::Policy;
use septum_registry::doors::socket_type;
use septum_registry::{DoorError, Registry};

/// Calls that are served before anybody else is.
const TURN: usize = 64;

/// Where a broker's calls arrive.
pub(super) struct Switchboard {
    socket: OwnedFd,
    policy: Policy,
    registry: Registry,
    /// Where ports of the host are, if the partition reaches some.
    vsock: Option<PathBuf>,
    /// An answer that the broker had no room for. Until it has, nothing is taken from it.
    owed: Option<(u32, Result<OwnedFd, Refusal>)>,
}

impl Switchboard {
    /// One for the partition with this network, and the broker's end of it; `None` if it has nothing to call.
    pub(super) fn open(network: &Network, runtime: &Path) -> Result<Option<(Self, OwnedFd)>, Errno> {
        let vsock = network.vsock.as_ref().map(|path| path.as_path().to_owned());
        if network.neighbours().is_empty() && vsock.is_none() {
            return Ok(None);
        }
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (socket, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        let policy = Policy::new(network.allow.clone());
        Ok(Some((
            Self { socket, policy, registry: Registry::new(runtime.to_owned()), vsock, owed: None },
            theirs,
        )))
    }

    /// What to wait for.
    pub(super) fn poll(&self) -> PollFd<'_> {
        let wanted = if self.owed.is_some() { PollFlags::OUT } else { PollFlags::IN };
        PollFd::from_borrowed_fd(self.socket.as_fd(), wanted)
    }

    /// Serves some calls; false if there will be no more that make sense.
    pub(super) fn serve(&mut self) -> bool {
        for _ in 0..TURN {
            if let Some((number, how)) = &self.owed {
                let how = how.as_ref().map(|socket| socket.as_fd()).map_err(|why| *why);
                if !answer(self.socket.as_fd(), *number, how) {
                    return true;
                }
                self.owed = None;
            }
            match next_call(self.socket.as_fd()) {
                Ok(Some(call)) => {
                    let socket = socket_with(AddressFamily::UNIX, socket_type(call.protocol), flags(), None);
                    let how = socket
                        .map_err(|_| Refusal::Host)
                        .and_then(|socket| self.connect(&call, &socket).map(|()| socket));
                    self.owed = Some((call.number, how));
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn connect(&self, call: &Call, socket: &OwnedFd) -> Result<(), Refusal> {
        let Some(name) = &call.name else { return self.connect_to_host(call, socket) };
        let port = u16::try_from(call.port).map_err(|_| Refusal::Rule)?;
        if !self.policy.allows_partition(name, call.protocol, port) {
            return Err(Refusal::Rule);
        }
        self.registry.knock(socket.as_fd(), name, port, call.protocol).map_err(|error| match error {
            DoorError::NoPartition => Refusal::NoPartition,
            DoorError::NotExposed => Refusal::NotExposed,
            DoorError::NotRunning => Refusal::NotRunning,
            DoorError::Crowded => Refusal::Crowded,
            DoorError::Host(_) => Refusal::Host,
        })
    }

    /// A port of the host is a Unix socket whose path ends with its number.
    fn connect_to_host(&self, call: &Call, socket: &OwnedFd) -> Result<(), Refusal> {
        let mut path = self.vsock.clone().ok_or(Refusal::Rule)?.into_os_string();
        path.push(format!("_{}", call.port));
        let address = SocketAddrUnix::new(path).map_err(|_| Refusal::Nobody)?;
        connect(socket, &address).map_err(|error| match error {
            Errno::NOENT | Errno::CONNREFUSED | Errno::NOTDIR => Refusal::Nobody,
            Errno::AGAIN => Refusal::Crowded,
            _ => Refusal::Host,
        })
    }
}

fn flags() -> SocketFlags {
    SocketFlags::NONBLOCK | SocketFlags::CLOEXEC
}
