//! The partition's network: what of it exists before the worker does, and the proxy in the worker.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::network::Expose;
use septum_api_types::spec::PartitionSpec;
use septum_machine::Network;
use septum_netproxy::{Connections, Inside, Ports, Proxy};
use septum_registry::doors::open_door;

use crate::outcome::{reason, without_number};

/// The port of nameservers.
const DNS: u16 = 53;
/// Refusals that are told; a program that tries everything is not.
pub(crate) const MOST_REFUSALS: usize = 256;

/// Programs of the host that wait to be heard.
const VSOCK_BACKLOG: i32 = 1024;

/// Something of it cannot be set up.
pub(crate) fn failure(why: String) -> Failure {
    Failure::new(Code::Internal, "cannot set up the network", why)
}

/// Binds what is published and exposed, if the partition has a network. `folder` is its own in the registry, where exposed ports are found.
pub(crate) fn prepare(spec: &PartitionSpec, folder: Option<&Path>) -> Result<Option<Ports>, Failure> {
    if !spec.network.is_wanted() {
        return Ok(None);
    }
    let mut ports = published(spec)?;
    for expose in &spec.network.expose {
        let Expose { port, protocol } = *expose;
        let what = || format!("cannot expose port {expose} to other partitions");
        let folder = folder.ok_or_else(|| {
            let why = "the partition is not in the registry, where others would look for it";
            Failure::new(Code::Path, what(), why)
                .hint("SEPTUM_RUNTIME_DIR can name another directory, which must be yours alone")
        })?;
        let socket = open_door(folder, port, protocol)
            .map_err(|error| Failure::new(Code::Path, what(), without_number(&error)))?;
        ports.expose(socket, port, protocol);
    }
    if let Some(path) = &spec.network.vsock {
        let path = path.as_path();
        let socket = bind_vsock(path).map_err(|error| {
            let what = format!("cannot listen at '{}' for --vsock", path.display());
            let failure = Failure::new(Code::Path, what, reason(error));
            match error {
                Errno::ADDRINUSE => failure.hint("something is there; remove it, or choose another path"),
                _ => failure.hint("choose a path in a directory that is yours"),
            }
        })?;
        ports.add_vsock(socket);
    }
    Ok(Some(ports))
}

/// Listens at a path. A socket that nobody listens on is what an earlier partition has left, and replaced.
fn bind_vsock(path: &Path) -> Result<OwnedFd, Errno> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let make = || socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None);
    let (address, socket) = (SocketAddrUnix::new(path)?, make()?);
    match bind(&socket, &address) {
        Err(Errno::ADDRINUSE) if connect(make()?, &address) == Err(Errno::CONNREFUSED) => {
            let is_socket = std::fs::symlink_metadata(path).is_ok_and(|it| it.file_type().is_socket());
            if !is_socket || std::fs::remove_file(path).is_err() {
                return Err(Errno::ADDRINUSE);
            }
            bind(&socket, &address)?;
        }
        result => result?,
    }
    listen(&socket, VSOCK_BACKLOG)?;
    Ok(socket)
}

fn published(spec: &PartitionSpec) -> Result<Ports, Failure> {
    Ports::bind(&spec.network, nameservers()).map_err(|failure| {
        let publish = &failure.publish;
        let what = format!("cannot publish port {} at {}", publish.guest_port, publish.host);
        Failure::new(Code::Path, what, failure.error.to_string())
            .hint("choose another port of the host, or an address of its own, with --publish")
    })
}

/// Whom the host asks for names, as its resolver does: at most three, and itself if it does not say.
fn nameservers() -> Vec<SocketAddr> {
    let text = std::fs::read_to_string("/etc/resolv.conf").unwrap_or_default();
    let mut servers = parse_nameservers(&text);
    servers.truncate(3);
    if servers.is_empty() {
        servers.push(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), DNS));
    }
    servers
}

fn parse_nameservers(text: &str) -> Vec<SocketAddr> {
    let server = |line: &str| {
        let mut words = line.split_whitespace();
        let address = words.next().filter(|word| *word == "nameserver").and_then(|_| words.next())?;
        address.parse().ok().map(|ip| SocketAddr::new(ip, DNS))
    };
    text.lines().filter_map(server).collect()
}

/// What the partition's sockets lead to.
pub(crate) fn proxy(inside: Inside) -> Result<(Network, Arc<Connections>), Failure> {
    let proxy = Proxy::new(inside).map_err(|error| failure(error.to_string()))?;
    let connections = proxy.connections();
    Ok((Network(Box::new(proxy)), connections))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nameservers_are_those_of_the_resolver() {
        let text = "# comment\nsearch example.org\nnameserver 192.0.2.1\n nameserver\t2001:db8::1 # x\nnameserver x\n\
                    options edns0\n";
        assert_eq!(
            parse_nameservers(text),
            ["192.0.2.1:53".parse().unwrap(), "[2001:db8::1]:53".parse().unwrap()]
        );
    }
}
