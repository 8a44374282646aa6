//! Connects the worker's sockets to other partitions, if the rules allow it: the worker itself has left the place where those are found.
//!
//! The worker is not trusted: it says a name and a port, and gives a socket; the rules are asked here. Nothing blocks.

use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socketpair};
use septum_api_types::network::{Network, Protocol};
use septum_netproxy::neighbours::{Call, Refusal, next_call, refuse};
use septum_netproxy::policy::Policy;
use septum_registry::{DoorError, Registry};

/// Calls that are served before anybody else is.
const TURN: usize = 64;

/// Where a worker's calls arrive.
pub(super) struct Switchboard {
    socket: OwnedFd,
    policy: Policy,
    registry: Registry,
    /// A refusal that the worker had no room for. Until it has, nothing is taken from it.
    owed: Option<(u32, Refusal)>,
}

impl Switchboard {
    /// One for the partition with this network, and the worker's end of it; `None` if no rule is about partitions.
    pub(super) fn open(network: &Network, runtime: &Path) -> Result<Option<(Self, OwnedFd)>, Errno> {
        if network.neighbours().is_empty() {
            return Ok(None);
        }
        let (kind, flags) = (SocketType::SEQPACKET, SocketFlags::CLOEXEC);
        let (socket, theirs) = socketpair(AddressFamily::UNIX, kind, flags, None)?;
        let policy = Policy::new(network.allow.clone());
        Ok(Some((Self { socket, policy, registry: Registry::new(runtime.to_owned()), owed: None }, theirs)))
    }

    /// What to wait for.
    pub(super) fn poll(&self) -> PollFd<'_> {
        let wanted = if self.owed.is_some() { PollFlags::OUT } else { PollFlags::IN };
        PollFd::from_borrowed_fd(self.socket.as_fd(), wanted)
    }

    /// Serves some calls; false if there will be no more that make sense.
    pub(super) fn serve(&mut self) -> bool {
        for _ in 0..TURN {
            if let Some((number, why)) = self.owed {
                if !refuse(self.socket.as_fd(), number, why) {
                    return true;
                }
                self.owed = None;
            }
            match next_call(self.socket.as_fd()) {
                Ok(Some(call)) => {
                    self.owed = self.connect(&call).err().map(|why| (call.number, why));
                }
                Ok(None) => return true,
                Err(_) => return false,
            }
        }
        true
    }

    fn connect(&self, call: &Call) -> Result<(), Refusal> {
        if !self.policy.allows_partition(&call.name, Protocol::Tcp, call.port) {
            return Err(Refusal::Rule);
        }
        self.registry.knock(call.socket.as_fd(), &call.name, call.port).map_err(|error| match error {
            DoorError::NoPartition => Refusal::NoPartition,
            DoorError::NotExposed => Refusal::NotExposed,
            DoorError::NotRunning => Refusal::NotRunning,
            DoorError::Crowded => Refusal::Crowded,
            DoorError::Host(_) => Refusal::Host,
        })
    }
}
