//! The REST API of the coordinator.
//!
//! ```text
//!   socket, TCP ─► listen: a connection, and who it is ─► routes: extract, call the coordinator, answer
//! ```
//!
//! A handler is under thirty lines: what a request means is the coordinator's business. Every answer that is no success is a
//! [`Problem`](septum_api_types::v1::Problem), whoever found it. The description (`/v1/openapi.json`, `api/openapi.json` in the source) is
//! made from the same functions that serve.
//!
//! Adding an endpoint: types in `api/types/src/v1/`, a function in a file of `routes/`, its line in that file's `router`.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod access;
mod description;
mod extract;
mod listen;
mod metrics;
mod origin;
mod page;
mod problem;
mod routes;
mod sessions;
mod tcp;

use std::sync::Arc;

use septum_coordinator::Coordinator;

pub use access::Caller;
pub use description::description;
pub use listen::{serve_unix, socket_path, unix_listener};
pub use routes::router;
pub use tcp::Tcp;

/// What handlers share.
pub type Shared = Arc<Coordinator>;
