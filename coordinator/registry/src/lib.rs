//! Which partitions there are on this host, and how to talk to those that run.
//!
//! ```text
//!   RUNTIME/partitions/        0700, its owner's
//!     ID/                      locked (flock) by the supervisor for as long as it lives
//!       record.json            what it is and how it goes: a Record, replaced as a whole
//!       control                socket of the supervisor: control::Request, control::Answer
//!       port-N[-udp]           socket of the worker: an exposed port
//!     .new-ID/                 one that is being made
//!   RUNTIME/ending             whose bytes are locked while virtual machines of ended workers are taken apart
//!   RUNTIME/names/NAME         a symbolic link to ID: a name is taken by making it
//! ```
//!
//! There is no server: supervisors write, everybody of the same user reads. What holds at every moment: a folder without a dot has a
//! whole record; a record that says that its partition lives, in a folder that nobody has locked, is stale — the supervisor was
//! killed — and [`Registry::list`] says so ([`State::Lost`]) and removes what a partition that was not kept has left.
//!
//! * [`record`]: what is written; [`directory`]: the files; [`control`]: what is said over the socket; [`doors`]: exposed ports;
//!   [`logs`]: what they said; [`readings`]: statistics of many at once; [`keeper`]: how the coordinator has them started; [`volumes`]: what outlives partitions.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

pub mod control;
pub mod directory;
pub mod doors;
pub mod keeper;
pub mod logs;
pub mod readings;
pub mod record;
pub mod volumes;

pub use directory::{Entry, FindError, Found, Registry, RegistryError};
pub use doors::DoorError;
pub use record::{Record, State};
pub use volumes::{Held, Volumes, VolumesError};
