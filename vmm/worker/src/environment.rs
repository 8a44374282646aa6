//! The program's environment: a minimal one, and what the caller adds.
//!
//! ```text
//! PATH           the caller's, without the directories that the partition lacks; the usual one if nothing is left
//! HOME           /root, or /home/NAME
//! USER LOGNAME   the caller's name
//! ```
//!
//! Nothing else of the caller's environment gets in here: what the command line passes on is part of the spec.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use septum_api_types::bytes::ByteString;
use septum_api_types::spec::{DEFAULT_PATH, PartitionSpec};

use crate::rootfs::{Kind, Place, User, View};

/// `KEY=VALUE` each; no key twice.
pub(crate) fn build(spec: &PartitionSpec, user: &User, view: &View) -> Vec<ByteString> {
    let mut variables: Vec<ByteString> = Vec::with_capacity(spec.environment.len() + 4);
    let mut set = |variable: &[u8]| {
        let key = key(variable);
        match variables.iter_mut().find(|known| self::key(known.as_bytes()) == key) {
            Some(known) => *known = variable.into(),
            None => variables.push(variable.into()),
        }
    };
    let path = spec.caller_path.as_ref().filter(|_| spec.root.is_none() && spec.image.is_none());
    let path = path.map(|path| usable(path, view)).filter(|path| !path.is_empty());
    set(&[b"PATH=", path.as_deref().unwrap_or(DEFAULT_PATH.as_bytes())].concat());
    set(&[b"HOME=", user.home.as_os_str().as_bytes()].concat());
    set(format!("USER={}", user.name).as_bytes());
    set(format!("LOGNAME={}", user.name).as_bytes());
    for variable in &spec.environment {
        set(variable.as_bytes());
    }
    variables
}

/// The value of a variable.
pub(crate) fn value<'a>(environment: &'a [ByteString], wanted: &str) -> Option<&'a [u8]> {
    environment
        .iter()
        .find(|variable| key(variable.as_bytes()) == wanted.as_bytes())
        .and_then(|variable| variable.as_bytes().get(wanted.len() + 1..))
}

fn key(variable: &[u8]) -> &[u8] {
    variable.split(|&byte| byte == b'=').next().unwrap_or(variable)
}

/// The entries of a search path that are directories of the partition, in order, each once.
fn usable(path: &ByteString, view: &View) -> Vec<u8> {
    let mut entries: Vec<&[u8]> = Vec::new();
    for entry in path.as_bytes().split(|&byte| byte == b':') {
        let directory = Path::new(OsStr::from_bytes(entry));
        // Directories that only exist in the guest's RAM are empty.
        let is_usable = || {
            view.lookup(directory)
                .is_ok_and(|found| found.kind == Kind::Directory && found.place != Place::Guest)
        };
        if directory.is_absolute() && !entries.contains(&entry) && is_usable() {
            entries.push(entry);
        }
    }
    entries.join(&b':')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_found_by_their_whole_key() {
        let environment =
            [ByteString::from("PATHS=/x"), "PATH=/bin=y".into(), "EMPTY=".into(), "BARE".into()];
        assert_eq!(value(&environment, "PATH"), Some(&b"/bin=y"[..]));
        assert_eq!(value(&environment, "EMPTY"), Some(&b""[..]));
        assert_eq!(value(&environment, "BARE"), None);
        assert_eq!(value(&environment, "NONE"), None);
    }
}
