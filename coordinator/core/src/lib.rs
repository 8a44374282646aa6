//! The coordinator of a host: it knows all partitions of its user, does with them what clients want, and keeps what is wanted of them.
//!
//! ```text
//!   septum-api-server ─► Coordinator ──► Book, Partition::apply, decide, plan pure: no files, the time is an argument
//!                            │    └────► Store                               SQLite: what is wanted, what happened
//!                            ▼
//!        RUNTIME/partitions: records and control sockets of the supervisors  what is
//! ```
//!
//! The folder of the registry is the truth about what runs, and outlives the coordinator; the database is the truth about what is wanted.
//! Whoever calls `septum run -d` without the coordinator is found by it like its own. So a coordinator that is killed loses nothing: the
//! next one reads the database, looks at the folder, and [`reconcile::decide`]s for each partition what is to be done.
//!
//! Invariants:
//!
//! * Every change of a partition's state is [`machine::Partition::apply`], and raises its revision.
//! * What a client asks for is in the database before it is done; if the disk is full, it is not done. What is seen is known at once, and
//!   written when that is possible.
//! * All that live fit into the host's capacity ([`admission`]), but for those that others than the coordinator start; others wait.
//! * A partition's row is there before it is started: what is found half made after a crash is either alive in the folder, or starts anew if a
//!   client knows of it, or is forgotten.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod admission;
mod admit;
pub mod book;
mod control;
mod coordinator;
mod create;
pub mod files;
mod host;
mod images;
mod launch;
pub mod machine;
mod operations;
mod orders;
pub mod problems;
pub mod reconcile;
mod respec;
mod schema;
pub mod sessions;
mod stats;
pub mod store;
mod sweep;
mod tokens;
mod volumes;
mod watch;

pub use admission::Capacity;
pub use book::Filter;
pub use coordinator::{Configuration, Coordinator};
pub use images::Upload;
pub use septum_registry::directory::new_id as random_id;
pub use store::{Store, StoreError};
