//! The partition's network: what of it exists before the worker leaves the host's file system, and what it tells.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, SocketAddrUnix, SocketFlags, SocketType, bind, connect, listen, socket_with,
};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::network::Expose;
use septum_api_types::spec::PartitionSpec;
use septum_machine::Network;
use septum_netproxy::broker::{Log, Ports};
use septum_netproxy::{Broker, Connections, Proxy};
use septum_registry::doors::open_door;

use crate::outcome::{reason, without_number};
use crate::protocol::{FromWorker, Stage, send};
use crate::stages::{now_ns, since_us};

/// The port of nameservers.
const DNS: u16 = 53;
/// Refusals that are told; a program that tries everything is not.
const MOST_REFUSALS: usize = 256;

/// Programs of the host that wait to be heard.
const VSOCK_BACKLOG: i32 = 1024;
/// The thread that tells of them sends text.
const TELLER_STACK_BYTES: usize = 128 << 10;

/// What the network refused, each once.
#[derive(Clone, Default)]
pub(crate) struct Refusals(Arc<Mutex<BTreeSet<String>>>);

impl Refusals {
    /// Notes one; false if it is known, or one too many.
    pub(crate) fn add(&self, line: &str) -> bool {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.len() < MOST_REFUSALS && known.insert(line.to_owned())
    }

    /// All of them.
    pub(crate) fn all(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Tells the supervisor what was refused, as stages, by a thread of its own: a supervisor that is busy is no reason for the network to wait.
pub(crate) struct Telling {
    lines: SyncSender<Option<String>>,
    thread: JoinHandle<()>,
}

impl Telling {
    /// Begins, with a thread that calls `before` first.
    pub(crate) fn start(
        socket: UnixStream,
        epoch_ns: u64,
        before: impl FnOnce() + Send + 'static,
    ) -> Result<Self, Failure> {
        let (lines, received) = sync_channel::<Option<String>>(MOST_REFUSALS + 1);
        let work = move || {
            before();
            while let Ok(Some(what)) = received.recv() {
                let stage = Stage { what, at_us: since_us(epoch_ns, now_ns()) };
                // If the supervisor is gone, this process is about to be killed.
                let _ = send(&socket, &FromWorker::Stage(stage));
            }
        };
        let thread = std::thread::Builder::new()
            .name("refusals".to_owned())
            .stack_size(TELLER_STACK_BYTES)
            .spawn(work)
            .map_err(|error| Failure::new(Code::Internal, "cannot set up the network", error.to_string()))?;
        Ok(Self { lines, thread })
    }

    /// Where lines are put; there is room for all that [`Refusals`] lets through.
    pub(crate) fn lines(&self) -> SyncSender<Option<String>> {
        self.lines.clone()
    }

    /// Waits until everything is told.
    pub(crate) fn finish(self) {
        if self.lines.send(None).is_ok() {
            // It does not panic, and if it did, nothing would be left to tell.
            let _ = self.thread.join();
        }
    }
}

/// What leads to other partitions, and from them.
#[derive(Debug, Default)]
pub(crate) struct Neighbourhood {
    /// Where running partitions are described.
    pub(crate) runtime: PathBuf,
    /// The partition's folder in the registry, where exposed ports are found.
    pub(crate) folder: Option<PathBuf>,
    /// The supervisor, which connects to other partitions.
    pub(crate) supervisor: Option<OwnedFd>,
}

/// Binds what is published and exposed, if the partition has a network.
pub(crate) fn prepare(spec: &PartitionSpec, around: Neighbourhood) -> Result<Option<Ports>, Failure> {
    if !spec.network.is_wanted() {
        return Ok(None);
    }
    let mut ports = published(spec)?;
    for Expose { port } in &spec.network.expose {
        let what = || format!("cannot expose port {port} to other partitions");
        let folder = around.folder.as_deref().ok_or_else(|| {
            let why = "the partition is not in the registry, where others would look for it";
            Failure::new(Code::Path, what(), why)
                .hint("SEPTUM_RUNTIME_DIR can name another directory, which must be yours alone")
        })?;
        let socket = open_door(folder, *port)
            .map_err(|error| Failure::new(Code::Path, what(), without_number(&error)))?;
        ports.expose(socket, *port);
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
    ports.supervisor = around.supervisor;
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
pub(crate) fn proxy(
    spec: &PartitionSpec,
    mut ports: Ports,
    log: Log,
) -> Result<(Network, Arc<Connections>), Failure> {
    let broker = Broker::new(&spec.network, ports.supervisor.take(), log);
    let proxy = Proxy::new(broker, ports, spec.network.hosts.clone())
        .map_err(|error| Failure::new(Code::Internal, "cannot set up the network", error.to_string()))?;
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
