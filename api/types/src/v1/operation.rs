//! Work that takes longer than a request should.

use serde::{Deserialize, Serialize};

use super::Problem;

/// What is done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum OperationKind {
    /// An image is made from an archive that was sent.
    ImageBuild,
}

impl OperationKind {
    /// The name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::ImageBuild => "image_build",
        }
    }
}

/// How far it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case", tag = "is")]
pub enum OperationState {
    /// It goes on.
    Running,
    /// It is done.
    Done {
        /// What was made: the digest of an image.
        made: String,
        /// When, in ms since 1970.
        at_ms: u64,
    },
    /// It failed, and left nothing.
    Failed {
        /// Why.
        problem: Problem,
        /// When, in ms since 1970.
        at_ms: u64,
    },
    /// Somebody cancelled it; it left nothing.
    Cancelled {
        /// When, in ms since 1970.
        at_ms: u64,
    },
    /// The coordinator ended before it did; it left nothing. Ask for it again.
    Lost,
}

impl OperationState {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Done { .. } => "done",
            Self::Failed { .. } => "failed",
            Self::Cancelled { .. } => "cancelled",
            Self::Lost => "lost",
        }
    }
}

/// Long work.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Operation {
    /// Twelve hexadecimal digits.
    pub id: String,
    /// What is done.
    pub kind: OperationKind,
    /// What with: the name of an image, if it is to have one.
    pub subject: Option<String>,
    /// How far it is.
    pub state: OperationState,
    /// Who asked for it: the name of a token, or `local`.
    pub owner: String,
    /// When it was asked for, in ms since 1970.
    pub created_ms: u64,
    /// Bytes that are done, of `total_bytes`.
    pub done_bytes: u64,
    /// Bytes in all.
    pub total_bytes: u64,
}

/// Operations, oldest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct OperationList {
    /// The last thousand.
    pub items: Vec<Operation>,
}
