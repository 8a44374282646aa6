//! Images: what a partition can have for its root instead of the host's directories.
//!
//! ```text
//! source ──► tree ──► stage ──► mkfs.erofs ──► erofs_file ──► verity ──► store
//! directory,   in memory:   files of their own,     owners, modes, devices      digest      names ─► configurations ─► files
//! OCI layout,  layers on    nothing else            as the tree has them
//! archive,     each other
//! recipe, image
//! ```
//!
//! * [`source`]: reads what an image is made from. All of it is hostile: an archive says where its files belong, how large they are, and
//!   which links there are. So none of that reaches the host's file system: names and links are followed in a [`tree`] in memory, and only
//!   contents are written, each to a file of our own.
//! * [`building`]: where a build keeps them, and what becomes of that if the build dies.
//! * [`store`]: what is kept: files by digest, configurations by digest, names. Everything appears by being renamed.
//! * `filling`: a directory of an image, copied to the host: what a volume begins with.
//! * [`open`](open()): an image is looked at whole before it is used: a bit that has changed is an error, and says where.
//!
//! Neighbours: `septum-erofs` reads what `mkfs.erofs` wrote, here as in the guest kernel; the worker maps it.
#![warn(missing_docs)]

mod building;
mod config;
mod erofs_file;
mod error;
mod export;
mod filling;
#[cfg(test)]
mod flips_tests;
mod fs_verity;
mod limits;
mod open;
mod reference;
mod source;
mod stage;
mod storage;
mod store;
mod tree;
mod verity;

pub use config::{Config, Stored};
pub use error::Error;
pub use filling::{Directory, directory};
pub use limits::Limits;
pub use open::open;
pub use reference::Reference;
pub use storage::{FileStorage, is_image_file};
pub use store::{Built, Listed, Order, Store};
