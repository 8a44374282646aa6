//! An archive whose members are read in any order, and directories that look like one.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::tar_reader::TarReader;
use crate::error::Error;

/// Members that an archive of images may have.
const MOST_MEMBERS: usize = 100_000;
/// Links from member to member that are followed.
const LINK_LIMIT: u32 = 8;

/// A named set of files.
pub(super) enum Archive {
    Directory(PathBuf),
    Tar { file: File, members: HashMap<String, Place> },
}

/// Where a member is.
pub(super) enum Place {
    Contents { start: u64, len: u64 },
    Link(String),
}

/// A part of a file.
pub(super) struct Section {
    file: File,
    at: u64,
    end: u64,
}

impl Read for Section {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = usize::try_from(self.end - self.at).unwrap_or(usize::MAX).min(into.len());
        if most == 0 {
            return Ok(0);
        }
        let got = self.file.read_at(&mut into[..most], self.at)?;
        self.at += got as u64;
        // The archive was read to its end before.
        if got == 0 { Err(io::ErrorKind::UnexpectedEof.into()) } else { Ok(got) }
    }
}

impl Archive {
    /// Reads where the members of a tar are.
    pub(super) fn open(file: File, what: &str) -> Result<Self, Error> {
        let mut members = HashMap::new();
        let source = file.try_clone().map_err(Error::host("read", Path::new(what)))?;
        let len = file.metadata().map_err(Error::host("read", Path::new(what)))?.len();
        let section = Section { file: source, at: 0, end: len };
        let mut reader = TarReader::new(io::BufReader::with_capacity(1 << 16, section), what, true);
        while let Some(member) = reader.next()? {
            let Ok(name) = String::from_utf8(member.path) else { continue };
            let name = normal(&name);
            let target = String::from_utf8_lossy(&member.link).into_owned();
            let place = match member.kind {
                b'0' => Place::Contents { start: reader.position(), len: member.size },
                b'1' => Place::Link(normal(&target)),
                // From where it is, as a path in the archive.
                b'2' => match beside(&name, &target) {
                    Some(target) => Place::Link(target),
                    None => continue,
                },
                _ => continue,
            };
            members.insert(name, place);
            if members.len() > MOST_MEMBERS {
                return Err(Error::refused(what, "it has too many members for an archive of images"));
            }
        }
        Ok(Self::Tar { file, members })
    }

    /// Whether there is such a file.
    pub(super) fn has(&self, name: &str) -> bool {
        match self {
            Self::Directory(path) => path.join(name).is_file(),
            Self::Tar { members, .. } => members.contains_key(name),
        }
    }

    /// Opens a file, and says how long it is. The name must lead nowhere else.
    pub(super) fn section(&self, name: &str) -> Result<(Section, u64), Error> {
        if name.starts_with('/') || name.split('/').any(|part| part == "..") {
            return Err(Error::refused(format!("'{name}'"), "it leads out of the archive"));
        }
        match self {
            Self::Directory(path) => {
                let path = path.join(name);
                let file = File::open(&path).map_err(|error| match error.kind() {
                    io::ErrorKind::NotFound => absent(name),
                    _ => Error::host("open", &path)(error),
                })?;
                let len = file.metadata().map_err(Error::host("read", &path))?.len();
                Ok((Section { file, at: 0, end: len }, len))
            }
            Self::Tar { file, members } => {
                let mut name = normal(name);
                for _ in 0..LINK_LIMIT {
                    match members.get(&name) {
                        Some(Place::Link(target)) => name.clone_from(target),
                        Some(Place::Contents { start, len }) => {
                            let file = file.try_clone().map_err(Error::host("read", Path::new(&name)))?;
                            return Ok((Section { file, at: *start, end: start.saturating_add(*len) }, *len));
                        }
                        None => return Err(absent(&name)),
                    }
                }
                Err(Error::refused(format!("'{name}'"), "it is a link to a link to a link"))
            }
        }
    }

    /// The whole of a file of at most `most` bytes.
    pub(super) fn read(&self, name: &str, most: u64) -> Result<Vec<u8>, Error> {
        let (mut section, len) = self.section(name)?;
        if len > most {
            return Err(Error::refused(format!("'{name}'"), format!("it has more than {most} bytes")));
        }
        let mut bytes = Vec::new();
        section.read_to_end(&mut bytes).map_err(Error::host("read", Path::new(name)))?;
        Ok(bytes)
    }
}

fn absent(name: &str) -> Error {
    Error::damaged("the archive", format!("it has no '{name}'"))
}

/// Without `./` and slashes that say nothing.
fn normal(name: &str) -> String {
    name.split('/').filter(|part| !part.is_empty() && *part != ".").collect::<Vec<_>>().join("/")
}

/// Where a symbolic link of `name` leads; `None` if out of the archive.
fn beside(name: &str, target: &str) -> Option<String> {
    let mut parts: Vec<&str> = name.split('/').collect();
    parts.pop();
    for part in target.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}
