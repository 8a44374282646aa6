//! The way of a partition's sockets through the host.
//!
//! ```text
//!  guest ── virtio-vsock ── Proxy ─── moves bytes between descriptors and guest memory
//!                             │ asks
//!                             ▼
//!                           Broker ── policy: which rule allows it; opens, binds and connects sockets
//! ```
//!
//! * [`proxy`]: connections of the guest, and what happens to their descriptors; no thread of its own, no waiting;
//! * [`datagrams`]: messages of UDP sockets, each of which is one connection of the guest;
//! * [`names`]: the guest's nameserver;
//! * [`neighbours`]: other partitions on the host;
//! * `vsock`: how programs of the host reach ports of AF_VSOCK;
//! * [`broker`]: the only part that makes sockets. It holds the policy, and hands out descriptors that are connected, connecting or
//!   listening: it may as well be another process, whose network the proxy does not see;
//! * [`connections`]: how many there are;
//! * [`policy`]: rules, and addresses that no rule can allow.
//!
//! Everything is closed unless a rule opens it. The guest and its peers are hostile: what either says is bounded, checked, and at worst
//! breaks its own connection.

pub mod broker;
pub mod connections;
pub mod datagrams;
pub mod names;
pub mod neighbours;
pub mod policy;
pub mod proxy;
mod vsock;

pub use broker::{Broker, Ports};
pub use connections::Connections;
pub use proxy::Proxy;
