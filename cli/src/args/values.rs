//! Values that options take, where they are no type of their own.

use std::ffi::OsString;

use septum_api_types::disk::{Disk, DiskError};
use septum_api_types::mount::{Mount, MountError};
use septum_api_types::size::Size;
use septum_api_types::spec::MAXIMUM_THREADS;
use septum_api_types::volume::{Volume, VolumeError};

pub(super) fn disk(text: OsString) -> Result<Disk, DiskError> {
    Disk::parse(text.as_encoded_bytes())
}

pub(super) fn volume(text: OsString) -> Result<Volume, VolumeError> {
    Volume::parse(text.as_encoded_bytes())
}

pub(super) fn mount(text: OsString) -> Result<Mount, MountError> {
    Mount::parse(text.as_encoded_bytes())
}

pub(super) fn environment_variable(text: OsString) -> Result<OsString, &'static str> {
    match text.as_encoded_bytes().first() {
        None => Err("is empty; expected KEY=VALUE"),
        Some(b'=') => Err("has no key; expected KEY=VALUE"),
        Some(_) => Ok(text),
    }
}

pub(super) fn thread_count(text: &str) -> Result<u32, String> {
    let count = text.parse().ok().filter(|count| (1..=MAXIMUM_THREADS).contains(count));
    count.ok_or_else(|| format!("is not a number of threads; expected 1 to {MAXIMUM_THREADS}"))
}

pub(super) fn partition_name(text: &str) -> Result<String, String> {
    septum_api_types::v1::partition::name(text).map(|()| text.to_owned())
}

/// `KEY`, `KEY=VALUE`.
pub(super) fn label(text: &str) -> Result<(String, String), &'static str> {
    let (key, value) = text.split_once('=').unwrap_or((text, ""));
    if key.is_empty() {
        Err("has no key; expected KEY=VALUE")
    } else {
        Ok((key.to_owned(), value.to_owned()))
    }
}

/// What of a background partition's output is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogOption {
    /// Bytes of a file.
    Size(u64),
    /// Files.
    Files(u32),
}

pub(super) fn log_option(text: &str) -> Result<LogOption, &'static str> {
    const WRONG: &str = "is not possible; expected max-size=SIZE (4K or more) or max-file=N (1 to 100)";
    match text.split_once('=') {
        Some(("max-size", size)) => {
            let size: Size = size.parse().map_err(|_| WRONG)?;
            if size.0 < 4096 { Err(WRONG) } else { Ok(LogOption::Size(size.0)) }
        }
        Some(("max-file", files)) => {
            let files = files.parse().ok().filter(|files| (1..=100).contains(files));
            files.map(LogOption::Files).ok_or(WRONG)
        }
        _ => Err(WRONG),
    }
}
