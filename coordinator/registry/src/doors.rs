//! Ports of partitions that others of the same user may reach: Unix sockets in a partition's folder, on which its worker listens.
//!
//! A socket's file says that the port is exposed; one that nobody listens on belongs to a partition that is between two starts.

use std::fs;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use septum_api_types::network::Protocol;
use thiserror::Error;

use crate::directory::{Registry, open_folder, through};

/// Connections that wait to be accepted, as far as the host allows.
const BACKLOG: i32 = 4096;

/// Why a port of a partition cannot be reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DoorError {
    /// Nobody is called so.
    #[error("there is no such partition")]
    NoPartition,
    /// It does not expose the port.
    #[error("the partition does not expose the port")]
    NotExposed,
    /// It has died, or is started again.
    #[error("the partition does not run")]
    NotRunning,
    /// Too many wait already.
    #[error("too many connections wait")]
    Crowded,
    /// The host does not let us.
    #[error("the host refused: {0}")]
    Host(Errno),
}

fn file(port: u16, protocol: Protocol) -> String {
    match protocol {
        Protocol::Tcp => format!("port-{port}"),
        Protocol::Udp => format!("port-{port}-udp"),
    }
}

/// What carries it: bytes, or messages.
#[must_use]
pub fn socket_type(protocol: Protocol) -> SocketType {
    match protocol {
        Protocol::Tcp => SocketType::STREAM,
        Protocol::Udp => SocketType::SEQPACKET,
    }
}

/// Listens for connections to a port of the partition whose folder this is, without blocking. What an earlier start has left is replaced.
///
/// # Errors
/// The disk is full, for instance.
pub fn open_door(folder: &Path, port: u16, protocol: Protocol) -> io::Result<OwnedFd> {
    let handle = open_folder(folder)?;
    let path = through(&handle, &file(port, protocol));
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = socket_with(AddressFamily::UNIX, socket_type(protocol), flags, None)?;
    bind(&socket, &SocketAddrUnix::new(&path)?)?;
    listen(&socket, BACKLOG)?;
    Ok(socket)
}

impl Registry {
    /// Connects a socket of Unix, of the protocol's [type](socket_type), to a port of the partition with this name, without blocking.
    ///
    /// # Errors
    /// See [`DoorError`].
    pub fn knock(
        &self,
        socket: BorrowedFd<'_>,
        name: &str,
        port: u16,
        protocol: Protocol,
    ) -> Result<(), DoorError> {
        // A name is one part of a path, and so is the identifier behind it.
        let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains('/');
        let link = fs::read_link(
            self.names().join(Some(name).filter(|name| is_part(name)).ok_or(DoorError::NoPartition)?),
        );
        let id = link.ok().and_then(|link| link.into_os_string().into_string().ok()).filter(|id| is_part(id));
        let folder = self.partitions().join(id.ok_or(DoorError::NoPartition)?);
        let handle = open_folder(&folder).map_err(|_| DoorError::NoPartition)?;
        let address =
            SocketAddrUnix::new(through(&handle, &file(port, protocol))).map_err(DoorError::Host)?;
        rustix::fs::fcntl_getfl(socket)
            .and_then(|flags| rustix::fs::fcntl_setfl(socket, flags | OFlags::NONBLOCK))
            .map_err(DoorError::Host)?;
        connect(socket, &address).map_err(|error| match error {
            Errno::NOENT => DoorError::NotExposed,
            Errno::CONNREFUSED => DoorError::NotRunning,
            Errno::AGAIN => DoorError::Crowded,
            error => DoorError::Host(error),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::directory::tests::{record, registry};
    use std::os::fd::AsFd as _;

    fn knock(registry: &Registry, name: &str, port: u16) -> Result<(), DoorError> {
        knock_by(registry, name, port, Protocol::Tcp)
    }

    fn knock_by(registry: &Registry, name: &str, port: u16, protocol: Protocol) -> Result<(), DoorError> {
        let kind = socket_type(protocol);
        let socket = socket_with(AddressFamily::UNIX, kind, SocketFlags::CLOEXEC, None).unwrap();
        registry.knock(socket.as_fd(), name, port, protocol)
    }

    #[test]
    fn a_door_is_found_by_name_for_as_long_as_somebody_listens() {
        let (_directory, registry) = registry();
        assert_eq!(knock(&registry, "web", 80), Err(DoorError::NoPartition));
        let (entry, _control) = registry.register(&record("0123456789ab", Some("web"))).unwrap();
        assert_eq!(knock(&registry, "web", 80), Err(DoorError::NotExposed));
        let door = open_door(entry.folder(), 80, Protocol::Tcp).unwrap();
        assert_eq!(knock(&registry, "web", 80), Ok(()));
        assert_eq!(knock_by(&registry, "web", 80, Protocol::Udp), Err(DoorError::NotExposed));
        let messages = open_door(entry.folder(), 80, Protocol::Udp).unwrap();
        assert_eq!(knock_by(&registry, "web", 80, Protocol::Udp), Ok(()));
        drop(messages);
        assert_eq!(knock(&registry, "web", 81), Err(DoorError::NotExposed));
        drop(door);
        assert_eq!(knock(&registry, "web", 80), Err(DoorError::NotRunning));
        let _again = open_door(entry.folder(), 80, Protocol::Tcp).unwrap();
        assert_eq!(knock(&registry, "web", 80), Ok(()));
        entry.remove();
        assert_eq!(knock(&registry, "web", 80), Err(DoorError::NoPartition));
        assert!(registry.list().is_empty());
        let left = fs::read_dir(registry.partitions()).unwrap().count();
        assert_eq!(left, 0, "the folder is gone with its doors");
    }

    #[test]
    fn a_name_is_no_path() {
        let (_directory, registry) = registry();
        let (entry, _control) = registry.register(&record("0123456789ab", None)).unwrap();
        let _door = open_door(entry.folder(), 80, Protocol::Tcp).unwrap();
        for name in ["", ".", "..", "../partitions/0123456789ab", "/", "a/b"] {
            assert_eq!(knock(&registry, name, 80), Err(DoorError::NoPartition), "{name}");
        }
    }
}
