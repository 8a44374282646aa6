//! The partition's network: what of it exists before the worker leaves the host's file system, and what it tells.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::network::Expose;
use septum_api_types::spec::PartitionSpec;
use septum_machine::Network;
use septum_netproxy::broker::{Log, Ports};
use septum_netproxy::{Broker, Proxy};
use septum_registry::doors::open_door;

use crate::outcome::without_number;
use crate::protocol::{FromWorker, Stage, send};
use crate::stages::{now_ns, since_us};

/// The port of nameservers.
const DNS: u16 = 53;
/// Refusals that are told; a program that tries everything is not.
const MOST_REFUSALS: usize = 256;

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
    /// Begins.
    pub(crate) fn start(socket: UnixStream, epoch_ns: u64) -> Result<Self, Failure> {
        let (lines, received) = sync_channel::<Option<String>>(MOST_REFUSALS + 1);
        let work = move || {
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
    ports.supervisor = around.supervisor;
    Ok(Some(ports))
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
pub(crate) fn proxy(spec: &PartitionSpec, mut ports: Ports, log: Log) -> Result<Network, Failure> {
    let broker = Broker::new(&spec.network, ports.supervisor.take(), log);
    let proxy = Proxy::new(broker, ports, spec.network.hosts.clone())
        .map_err(|error| Failure::new(Code::Internal, "cannot set up the network", error.to_string()))?;
    Ok(Network(Box::new(proxy)))
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
