//! The image that a partition has for its root.

use serde::{Deserialize, Serialize};

use crate::bytes::ByteString;

/// An image, found: where its files are, and what its configuration adds to the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageSource {
    /// As the caller named it.
    pub name: String,
    /// The file on the host that holds its files: EROFS, uncompressed.
    pub file: ByteString,
    /// The digest that the file must have, if it is known: `sha256:` and 64 digits, that of fs-verity.
    pub digest: Option<String>,
    /// Where is written down that it has been looked at whole.
    pub record: Option<ByteString>,
    /// Who runs the program: `user[:group]`, names of the image or numbers; without it, root.
    pub user: Option<String>,
    /// Working directory of the image, unless the partition names one.
    pub working_directory: Option<ByteString>,
}
