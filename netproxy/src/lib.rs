//! The way of a partition's sockets through the host.
//!
//! ```text
//!  the worker                                                                 a process of its own
//!  guest ── virtio-vsock ── Proxy ─── moves bytes between descriptors         Broker ── policy: which rule allows it;
//!                             │        and guest memory                         ▲        opens and connects sockets
//!                             └──── requests ───────────────────────────────────┘
//!                                   ◄── sockets
//! ```
//!
//! * [`proxy`]: connections of the guest, and what happens to their descriptors; no thread of its own, no waiting;
//! * `datagrams`: messages of UDP sockets, each of which is one connection of the guest;
//! * [`names`]: the guest's nameserver;
//! * [`neighbours`]: other partitions on the host; `resets`: how connections to them are broken off;
//! * `vsock`: how programs of the host reach ports of AF_VSOCK;
//! * [`broker`]: the only part that makes sockets, and knows the policy;
//! * `requests`, `asking`: what it is asked for, and how;
//! * [`ports`]: sockets that exist before the partition does;
//! * [`connections`]: how many there are;
//! * [`policy`]: rules, and addresses that no rule can allow.
//!
//! Everything is closed unless a rule opens it. The guest and its peers are hostile: what either says is bounded, checked, and at worst
//! breaks its own connection. The proxy may have been taken over by its guest: what it says is bounded, checked, and at worst ends its broker.

mod asking;
pub mod broker;
pub mod connections;
mod datagrams;
pub mod names;
pub mod neighbours;
pub mod policy;
pub mod ports;
pub mod proxy;
mod requests;
mod resets;
mod vsock;

pub use broker::Broker;
pub use connections::Connections;
pub use ports::{Inside, Outside, Ports};
pub use proxy::Proxy;
#[cfg(feature = "testing")]
pub use requests::is_request;
