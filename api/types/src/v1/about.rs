//! The coordinator itself.

use serde::{Deserialize, Serialize};

/// Whether it works.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Whether changes can be kept: `false` if the disk is full, for instance.
    pub is_storage_well: bool,
    /// Partitions that are known.
    pub partitions: u64,
    /// Those that run, or are about to.
    pub live: u64,
    /// Process of the coordinator.
    pub process: u32,
    /// When it began, in ms since 1970.
    pub started_ms: u64,
}

/// What of the host partitions have, and what there is for them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Host {
    /// RAM, in bytes.
    pub memory_bytes: Share,
    /// Processors of partitions, which share those of the host.
    pub cpus: Share,
    /// Partitions that live.
    pub partitions: Share,
    /// Partitions that wait for room.
    pub pending: u64,
}

/// A part of something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Share {
    /// How much partitions have; more than there is, if others than the coordinator start some.
    pub used: u64,
    /// How much there is.
    pub capacity: u64,
}

/// What it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Version {
    /// Of Septum.
    pub version: String,
    /// Versions of the API that it speaks.
    pub api: Vec<String>,
}
