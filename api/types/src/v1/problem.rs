//! Every error of the API has one form.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The trailer that a problem comes in, as JSON, if it is found when an answer has begun.
pub const TRAILER: &str = "septum-problem";

/// What kind of error it is. New ones may be added; the HTTP status tells of whose fault it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum ProblemCode {
    /// 400: the request cannot be read.
    Malformed,
    /// 422: the request can be read, and asks for what cannot be.
    Invalid,
    /// 401: nobody knows who asks.
    Unauthorized,
    /// 403: whoever asks may not do that.
    Forbidden,
    /// 404: there is no such thing.
    NotFound,
    /// 405: this cannot be done with this resource.
    MethodNotAllowed,
    /// 409: as things are, it cannot be done: a name is taken, a partition has ended.
    Conflict,
    /// 412: it has changed since it was looked at.
    Changed,
    /// 413: the request is too long.
    TooLarge,
    /// 415: the body is no JSON.
    UnsupportedMediaType,
    /// 422: the partition was tried, and did not start.
    StartFailed,
    /// 503: the coordinator is about to end, or has too much to do.
    Unavailable,
    /// 507: the disk of the coordinator's state is full.
    StorageFull,
    /// 500: Septum itself failed.
    Internal,
}

impl ProblemCode {
    /// The HTTP status.
    #[must_use]
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed => 400,
            Self::Unauthorized => 401,
            Self::Forbidden => 403,
            Self::NotFound => 404,
            Self::MethodNotAllowed => 405,
            Self::Conflict => 409,
            Self::Changed => 412,
            Self::TooLarge => 413,
            Self::UnsupportedMediaType => 415,
            Self::Invalid | Self::StartFailed => 422,
            Self::Internal => 500,
            Self::Unavailable => 503,
            Self::StorageFull => 507,
        }
    }

    /// The name in JSON and documentation.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Malformed => "malformed",
            Self::Invalid => "invalid",
            Self::Unauthorized => "unauthorized",
            Self::Forbidden => "forbidden",
            Self::NotFound => "not_found",
            Self::MethodNotAllowed => "method_not_allowed",
            Self::Conflict => "conflict",
            Self::Changed => "changed",
            Self::TooLarge => "too_large",
            Self::UnsupportedMediaType => "unsupported_media_type",
            Self::StartFailed => "start_failed",
            Self::Unavailable => "unavailable",
            Self::StorageFull => "storage_full",
            Self::Internal => "internal",
        }
    }
}

/// An error: what failed, why, what to do, where to read more.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Problem {
    /// Of which kind.
    pub code: ProblemCode,
    /// What failed.
    pub message: String,
    /// Why.
    pub cause: String,
    /// What to do next.
    pub remediation: String,
    /// Where it is explained: a path in the source.
    pub docs: String,
    /// The exit status that `septum run` would have had, if a partition did not start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub exit_status: Option<u8>,
}

impl Problem {
    /// A problem.
    pub fn new(
        code: ProblemCode,
        message: impl Into<String>,
        cause: impl Into<String>,
        remediation: impl Into<String>,
    ) -> Self {
        Self {
            code,
            message: message.into(),
            cause: cause.into(),
            remediation: remediation.into(),
            docs: format!("docs/api.md#{}", code.name()),
            exit_status: None,
        }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}: {}", self.message, self.cause)
    }
}

impl std::error::Error for Problem {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_json() {
        for code in [ProblemCode::Malformed, ProblemCode::StartFailed, ProblemCode::UnsupportedMediaType] {
            assert_eq!(serde_json::to_string(&code).unwrap(), format!("\"{}\"", code.name()));
        }
    }
}
