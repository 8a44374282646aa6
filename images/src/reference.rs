//! How an image is named: `NAME`, `NAME:TAG`, or by its digest.

use std::fmt;
use std::str::FromStr;

use crate::error::Error;

/// What an image without a tag is called.
const DEFAULT_TAG: &str = "latest";
const DIGEST: &str = "sha256:";
/// Digits of a digest that must be given at least.
const FEWEST_DIGITS: usize = 6;
const LONGEST: usize = 200;

/// A name, or a digest or its beginning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reference {
    /// `NAME:TAG`.
    Name {
        /// Such as `debian`, or `registry.example.org/team/tool`.
        name: String,
        /// Such as `latest`.
        tag: String,
    },
    /// The hexadecimal digits of a digest, or the first of them.
    Digest(String),
}

impl Reference {
    /// A name that is safe as a file's: a slash is `+`, which no name has.
    pub(crate) fn file_name(&self) -> Option<String> {
        match self {
            Self::Name { name, tag } => Some(format!("{}:{tag}", name.replace('/', "+"))),
            Self::Digest(_) => None,
        }
    }

    /// What [`file_name`](Self::file_name) made of.
    pub(crate) fn of_file_name(file: &str) -> Option<Self> {
        file.replace('+', "/").parse().ok()
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wrong = |why| Err(Error::Name(text.to_owned(), why));
        if let Some(digits) = text.strip_prefix(DIGEST) {
            let is_hexadecimal = digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            if !(FEWEST_DIGITS..=64).contains(&digits.len()) || !is_hexadecimal {
                return wrong("has no digest of 6 to 64 digits");
            }
            return Ok(Self::Digest(digits.to_owned()));
        }
        // A colon before a slash belongs to a registry's port.
        let (name, tag) = match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, tag),
            _ => (text, DEFAULT_TAG),
        };
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let is_part = |part: &str| {
            let mut bytes = part.bytes();
            bytes.next().is_some_and(|first| first.is_ascii_alphanumeric())
                && bytes.all(|byte| is_plain(byte) || byte == b':')
        };
        // With its tag it must be read again as what it is.
        if format!("{name}:").starts_with(DIGEST) {
            return wrong("would be taken for a digest");
        }
        if name.len() + 1 + tag.len() > LONGEST || !name.split('/').all(is_part) {
            return wrong("is no name of an image");
        }
        let is_tag = !tag.is_empty() && tag.bytes().all(is_plain) && !tag.starts_with(['.', '-']);
        if !is_tag || tag.len() > 128 {
            return wrong("has a tag that is none");
        }
        Ok(Self::Name { name: name.to_owned(), tag: tag.to_owned() })
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name { name, tag } => write!(f, "{name}:{tag}"),
            Self::Digest(digits) => write!(f, "{DIGEST}{digits}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tags_and_digests() {
        let cases = [
            ("debian", "debian:latest"),
            ("debian:12", "debian:12"),
            ("localhost:5000/a/b", "localhost:5000/a/b:latest"),
            ("localhost:5000/a/b:1", "localhost:5000/a/b:1"),
            ("sha256:0123456789", "sha256:0123456789"),
        ];
        for (text, shown) in cases {
            let reference: Reference = text.parse().unwrap();
            assert_eq!(reference.to_string(), shown);
            if let Some(file) = reference.file_name() {
                assert!(!file.contains('/'));
                assert_eq!(Reference::of_file_name(&file), Some(reference));
            }
        }
        for text in [
            "",
            ":",
            "a:",
            "/a",
            "a/",
            "../a",
            "a/../b",
            "a b",
            "-a",
            "a:-b",
            "sha256:12",
            "sha256:xyzxyz",
            "a+b",
            "sha256",
            "sha256:a:b",
            &"n".repeat(195),
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text}");
        }
    }
}
