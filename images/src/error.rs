//! What can go wrong with images.

use std::io;
use std::path::{Path, PathBuf};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use thiserror::Error;

/// Why something cannot be done with an image.
#[derive(Debug, Error)]
pub enum Error {
    /// The host does not let us.
    #[error("cannot {doing} '{path}': {error}", path = path.display(), error = reason(error))]
    Host {
        /// What, as a verb.
        doing: &'static str,
        /// With which file.
        path: PathBuf,
        /// What it said.
        #[source]
        error: io::Error,
    },
    /// Bytes that are not what they should be.
    #[error("{what} is damaged: {why}")]
    Damaged {
        /// Which part of what.
        what: String,
        /// How one can tell.
        why: String,
    },
    /// Something tries what no honest source does.
    #[error("{what} is refused: {why}")]
    Refused {
        /// Which part of what.
        what: String,
        /// Why.
        why: String,
    },
    /// It is larger than the caller allows.
    #[error("it has more than {limit} {what}")]
    Limit {
        /// Bytes, or files.
        what: &'static str,
        /// How many are allowed.
        limit: u64,
        /// The option that allows more.
        option: &'static str,
    },
    /// It is nothing that an image can be made from, or uses something unknown.
    #[error("{0}")]
    Unusable(String),
    /// There is no such image.
    #[error("there is no image '{0}'")]
    Missing(String),
    /// A name that is none.
    #[error("'{0}' {1}")]
    Name(String, &'static str),
    /// A digest that begins several.
    #[error("'{0}' begins the digest of several images")]
    Ambiguous(String),
    /// `mkfs.erofs` cannot be run.
    #[error("there is no program mkfs.erofs")]
    NoTool,
    /// `mkfs.erofs` failed.
    #[error("mkfs.erofs failed: {0}")]
    Tool(String),
}

impl Error {
    /// For `map_err`: the host refused to do something with a file.
    pub(crate) fn host(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |error| Self::Host { doing, path, error }
    }

    pub(crate) fn damaged(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Damaged { what: what.into(), why: why.into() }
    }

    pub(crate) fn refused(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self::Refused { what: what.into(), why: why.into() }
    }

    /// As a person meets it; `what` is what could not be done.
    #[must_use]
    pub fn failure(&self, what: &str) -> Failure {
        let hint = match self {
            Self::Host { error, .. } if error.kind() == io::ErrorKind::StorageFull => {
                "make room, or keep images elsewhere: SEPTUM_DATA_DIR".to_owned()
            }
            Self::Host { .. } => "make it possible for the user who runs septum".to_owned(),
            Self::Damaged { .. } => "get it again from where it came from".to_owned(),
            Self::Refused { .. } => {
                "such a source is broken or hostile: make it again with a usual tool".to_owned()
            }
            Self::Limit { option, .. } => format!("if that is meant, allow more with {option}"),
            Self::Unusable(_) => {
                "give a directory, an OCI layout, an archive of 'docker save', a root in a tar, or a recipe"
                    .to_owned()
            }
            Self::Missing(_) => "'septum image ls' lists those that there are".to_owned(),
            Self::Name(..) => "a name is such as 'debian', 'team/tool:1.2' or 'sha256:…'".to_owned(),
            Self::Ambiguous(_) => "give more of its digits".to_owned(),
            Self::NoTool => "install erofs-utils, version 1.5 or newer".to_owned(),
            Self::Tool(_) => "check that there is room, and that erofs-utils is 1.5 or newer".to_owned(),
        };
        Failure::new(Code::Path, what, self.to_string()).hint(hint)
    }
}

/// An error of the host in words.
pub(crate) fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error").next().unwrap_or(&text).to_lowercase()
}
