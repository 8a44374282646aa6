//! The partition's network: what of it exists before the worker leaves the host's file system, and what it tells.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_machine::Network;
use septum_netproxy::broker::{Log, Ports};
use septum_netproxy::{Broker, Proxy};

/// Refusals that are told; a program that tries everything is not.
const MOST_REFUSALS: usize = 256;

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

/// Binds what is published, if the partition has a network.
pub(crate) fn prepare(spec: &PartitionSpec) -> Result<Option<Ports>, Failure> {
    if !spec.network.is_wanted() {
        return Ok(None);
    }
    Ports::bind(&spec.network).map(Some).map_err(|failure| {
        let publish = &failure.publish;
        let what = format!("cannot publish port {} at {}", publish.guest_port, publish.host);
        Failure::new(Code::Path, what, failure.error.to_string())
            .hint("choose another port of the host, or an address of its own, with --publish")
    })
}

/// What the partition's sockets lead to.
pub(crate) fn proxy(spec: &PartitionSpec, ports: Ports, log: Log) -> Result<Network, Failure> {
    let broker = Broker::new(&spec.network, log);
    let proxy = Proxy::new(broker, ports)
        .map_err(|error| Failure::new(Code::Internal, "cannot set up the network", error.to_string()))?;
    Ok(Network(Box::new(proxy)))
}
