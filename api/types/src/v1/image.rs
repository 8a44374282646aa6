//! Images, as roots of partitions.

use serde::{Deserialize, Serialize};

/// An image, by one of its names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Image {
    /// Its name; `null` if it has none any more.
    pub name: Option<String>,
    /// `sha256:` and 64 digits, of files and configuration.
    pub digest: String,
    /// Bytes of its files, as they are kept.
    pub size_bytes: u64,
    /// Files, directories and links.
    pub files: u64,
    /// When it was stored, in ms since 1970.
    #[serde(default)]
    pub stored_ms: u64,
}

/// How a program of an image is started.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageConfig {
    /// What is run, before the command.
    pub entrypoint: Vec<String>,
    /// Its arguments, if nothing else is given.
    pub command: Vec<String>,
    /// `KEY=VALUE` each.
    pub env: Vec<String>,
    /// Where it starts.
    pub working_directory: Option<String>,
    /// Who runs it.
    pub user: Option<String>,
    /// What asks it to end.
    pub stop_signal: Option<String>,
}

/// All that is known of an image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageDetails {
    /// `sha256:` and 64 digits.
    pub digest: String,
    /// The digest of its files alone.
    pub files_digest: String,
    /// Bytes of its files, as they are kept.
    pub size_bytes: u64,
    /// Files, directories and links.
    pub files: u64,
    /// How it is started.
    pub config: ImageConfig,
}

/// All images, by name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct ImageList {
    /// The images; one with several names comes several times.
    pub items: Vec<Image>,
}
