//! What a partition may reach, and what reaches it.

use clap::Args;
use septum_api_types::network::{Network, Publish, Rule};

/// Options of the network. Without any of them there is none.
#[derive(Debug, Default, Args)]
pub struct NetworkOptions {
    /// Allow TCP connections to an address or a network, to 'host.septum.internal' (the host's loopback), or to 'any' address
    /// that is not the host's; everything else is refused
    #[arg(long, value_name = "HOST[:PORT]")]
    pub allow_net: Vec<Rule>,

    /// Lead a port of the host into the partition; of 127.0.0.1 unless another address is given
    #[arg(short = 'p', long, value_name = "[[IP:]HOSTPORT:]PORT")]
    pub publish: Vec<Publish>,
}

impl NetworkOptions {
    /// What they mean together.
    pub fn network(self) -> Network {
        Network { allow: self.allow_net, publish: self.publish }
    }
}
