//! What a partition may reach, and what reaches it.

use std::path::PathBuf;

use clap::Args;
use septum_api_types::network::{Expose, HostEntry, Nameserver, Network, Publish, Rule};

/// Options of the network. Without any of them there is none.
#[derive(Clone, Debug, Default, Args)]
pub struct NetworkOptions {
    /// Allow connections to a name, to all names below one ('*.example.org'), to an address or a network, to 'host.septum.internal'
    /// (the host's loopback), to another partition by its name, or to 'any' address that is not the host's; of TCP, or with '/udp' of
    /// UDP. Everything else is refused
    #[arg(long, value_name = "HOST[:PORT][/udp]")]
    pub allow_net: Vec<Rule>,

    /// Lead a port of the host into the partition; of 127.0.0.1 unless another address is given
    #[arg(short = 'p', long, value_name = "[[IP:]HOSTPORT:]PORT[/udp]")]
    pub publish: Vec<Publish>,

    /// Let other partitions of the same user reach a port of this one, as NAME.septum.internal, if their --allow-net names it; of TCP,
    /// or with '/udp' of UDP
    #[arg(long, value_name = "PORT[/udp]")]
    pub expose: Vec<Expose>,

    /// Lead AF_VSOCK to Unix sockets of the host: whoever connects to PATH and writes 'CONNECT PORT' reaches a port of the partition,
    /// and a program that connects to a port of the host (CID 2) reaches PATH_PORT
    #[arg(long, value_name = "PATH")]
    pub vsock: Option<PathBuf>,

    /// Give a name an address in the partition, also for the rules of that name; 'host-gateway' is the host
    #[arg(long, value_name = "NAME:ADDRESS")]
    pub add_host: Vec<HostEntry>,

    /// Ask this nameserver for the names that the partition may reach, instead of those that the host asks
    #[arg(long, value_name = "ADDRESS[:PORT]")]
    pub dns: Vec<Nameserver>,
}

impl NetworkOptions {
    /// What they mean together.
    pub fn network(self) -> Network {
        Network {
            allow: self.allow_net,
            publish: self.publish,
            expose: self.expose,
            vsock: self.vsock.map(|path| std::path::absolute(&path).unwrap_or(path).into_os_string().into()),
            hosts: self.add_host,
            nameservers: self.dns,
        }
    }
}
