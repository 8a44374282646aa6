//! What is said over the REST API of `septum serve`, version 1: paths begin with `/v1`.
//!
//! Requests refuse fields that they do not know, so that a misspelt one is told; answers may get new fields, and clients ignore those
//! that they do not know. Quantities are written as on the command line (`"512M"`, `"10s"`, `"HOST:GUEST:ro"`): one form, one parser.
//!
//! * [`partition`]: the resource, and what makes one; [`event`]: what happened, and what programs said; [`problem`]: every error;
//!   [`about`]: health, version, and what the host has; [`token`]: who may come by TCP; [`stats`]: what is counted; [`image`], [`volume`];
//!   [`operation`]: work that takes longer than a request should; [`session`]: programs whose streams are a client's.

pub mod about;
pub mod event;
pub mod image;
pub mod operation;
pub mod partition;
pub mod problem;
pub mod session;
pub mod stats;
pub mod token;
pub mod volume;

pub use about::{Health, Host, Share, Version};
pub use event::{Event, EventKind, LogLine};
pub use image::{Image, ImageConfig, ImageDetails, ImageList};
pub use operation::{Operation, OperationKind, OperationList, OperationState};
pub use partition::{
    APPLIED, CreatePartition, Desired, ExposedPort, KillRequest, NetworkRequest, Partition, PartitionList,
    PartitionState, Priority, StopRequest, Waiting,
};
pub use problem::{Problem, ProblemCode};
pub use session::{ExecRequest, FromProgram, TerminalSize, ToProgram};
pub use stats::{Stats, StatsList};
pub use token::{CreateToken, NewToken, Scope, Token, TokenList};
pub use volume::{CreateVolume, Volume, VolumeList};
