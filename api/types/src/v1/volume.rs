//! Volumes with names.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// A volume: a directory of the host that partitions have by its name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Where what partitions see is on the host.
    pub path: String,
    /// When it was made, in ms since 1970.
    pub created_ms: u64,
    /// Whatever the user attached to it.
    pub labels: BTreeMap<String, String>,
    /// Whether nobody gave it its name.
    pub is_anonymous: bool,
    /// Whether a partition has it now.
    pub is_used: bool,
    /// Identifiers of partitions that run and have it.
    pub partitions: Vec<String>,
}

/// What makes a volume.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields)]
pub struct CreateVolume {
    /// Its name: two or more letters, digits, `_`, `.` and `-`, the first a letter or digit.
    #[cfg_attr(feature = "openapi", schema(pattern = "^[A-Za-z0-9][A-Za-z0-9_.-]{1,199}$"))]
    pub name: String,
    /// Whatever the user attaches to it.
    #[serde(default)]
    pub labels: BTreeMap<String, String>,
    /// Whether nobody gave it its name: one that is removed with others when nobody has it.
    #[serde(default)]
    pub is_anonymous: bool,
}

/// All volumes, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct VolumeList {
    /// The volumes.
    pub items: Vec<Volume>,
}
