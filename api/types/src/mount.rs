//! What `--mount` takes: `KEY=VALUE,…`, with Docker's keys, each field as in a line of CSV.
//!
//! Another way to say what [`--volume`](crate::volume) and [`--tmpfs`](crate::tmpfs) say.

use thiserror::Error;

use crate::size::Size;
use crate::tmpfs::{Tmpfs, TmpfsError, permissions};
use crate::volume::{self, Volume, VolumeError, clean};

/// One mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mount {
    /// Files of the host, by path or name.
    Volume(Volume),
    /// An empty directory in RAM.
    Tmpfs(Tmpfs),
}

/// Why a text is not a [`Mount`].
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MountError {
    /// A quote that is not closed, or in the middle of a field.
    #[error("has a quote in a wrong place")]
    Quote,
    /// Not a kind.
    #[error("has a type '{0}' that is not known; expected bind, volume or tmpfs")]
    Kind(String),
    /// Not a key, or not one for this kind.
    #[error("has a key '{key}' that a mount of type {kind} has not")]
    Key {
        /// What it is called.
        key: String,
        /// The kind.
        kind: &'static str,
    },
    /// Not a value for a key.
    #[error("has a value '{0}' that is not possible")]
    Value(String),
    /// Something is missing.
    #[error("has no {0}; expected type=bind,source=HOST,target=GUEST and the like")]
    Missing(&'static str),
    /// The place in the partition is not possible.
    #[error(transparent)]
    Place(#[from] VolumeError),
    /// As above.
    #[error(transparent)]
    Ram(#[from] TmpfsError),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Bind,
    Volume,
    Tmpfs,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Self::Bind => "bind",
            Self::Volume => "volume",
            Self::Tmpfs => "tmpfs",
        }
    }
}

impl Mount {
    /// Parses it.
    ///
    /// # Errors
    /// What is wrong with the text, without the text itself.
    pub fn parse(text: &[u8]) -> Result<Self, MountError> {
        let fields = fields(text)?;
        let pairs: Vec<(String, Option<&[u8]>)> = fields
            .iter()
            .map(|field| {
                let split = field.iter().position(|&byte| byte == b'=').unwrap_or(field.len());
                (shown(&field[..split]).to_lowercase(), field.get(split + 1..))
            })
            .collect();
        let kind = match pairs.iter().rev().find(|(key, _)| key == "type") {
            None => Kind::Volume,
            Some((_, value)) => match value.unwrap_or_default() {
                b"bind" => Kind::Bind,
                b"volume" => Kind::Volume,
                b"tmpfs" => Kind::Tmpfs,
                other => return Err(MountError::Kind(shown(other))),
            },
        };
        let (mut source, mut target, mut read_only) = (None, None, false);
        let (mut bytes, mut mode, mut no_copy) = (None, None, false);
        for (key, value) in &pairs {
            let wrong = || {
                MountError::Value(
                    value.map_or_else(|| key.clone(), |value| format!("{key}={}", shown(value))),
                )
            };
            match (key.as_str(), kind) {
                ("type", _) => {}
                ("source" | "src", Kind::Bind | Kind::Volume) => {
                    source = Some(value.filter(|value| !value.is_empty()).ok_or_else(wrong)?);
                }
                ("target" | "destination" | "dst", _) => target = Some(value.ok_or_else(wrong)?),
                ("readonly" | "ro", _) => read_only = flag(*value).ok_or_else(wrong)?,
                ("volume-nocopy", Kind::Volume) => no_copy = flag(*value).ok_or_else(wrong)?,
                // All sides see the same files.
                ("consistency", _) => {}
                ("bind-propagation", Kind::Bind) => match value {
                    Some(b"private" | b"rprivate") => {}
                    _ => return Err(wrong()),
                },
                ("tmpfs-size", Kind::Tmpfs) => {
                    let size = value.and_then(|value| shown(value).parse::<Size>().ok());
                    bytes = Some(size.ok_or_else(wrong)?.0);
                }
                ("tmpfs-mode", Kind::Tmpfs) => {
                    mode = Some(value.and_then(|value| permissions(&shown(value))).ok_or_else(wrong)?);
                }
                _ => return Err(MountError::Key { key: key.clone(), kind: kind.name() }),
            }
        }
        let target = target.ok_or(MountError::Missing("target"))?;
        if kind == Kind::Tmpfs {
            let ram = Tmpfs::at(target)?;
            let permissions = mode.unwrap_or(ram.permissions);
            return Ok(Self::Tmpfs(Tmpfs { bytes, permissions, read_only, ..ram }));
        }
        if kind == Kind::Volume && source.is_none() {
            return Ok(Self::Volume(Volume { read_only, no_copy, ..Volume::anonymous(target)? }));
        }
        let source = source.ok_or(MountError::Missing("source"))?;
        if target.first() != Some(&b'/') {
            return Err(VolumeError::GuestNotAbsolute("target=/data").into());
        }
        let name = if kind == Kind::Volume { Some(volume::name(source)?) } else { None };
        let (host, guest) = (source.into(), clean(target)?.into());
        Ok(Self::Volume(Volume { name, host, guest, read_only, no_copy, is_anonymous: false }))
    }
}

fn shown(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// `readonly`, `readonly=true`.
fn flag(value: Option<&[u8]>) -> Option<bool> {
    match value {
        None | Some(b"true" | b"1") => Some(true),
        Some(b"false" | b"0") => Some(false),
        Some(_) => None,
    }
}

/// The fields of a line of CSV: with commas in between, or in quotes, in which two of them are one.
fn fields(text: &[u8]) -> Result<Vec<Vec<u8>>, MountError> {
    let mut fields = Vec::new();
    let mut rest = text;
    loop {
        let mut field = Vec::new();
        if let Some(quoted) = rest.strip_prefix(b"\"") {
            rest = quoted;
            loop {
                match rest {
                    [b'"', b'"', more @ ..] => {
                        field.push(b'"');
                        rest = more;
                    }
                    [b'"', more @ ..] => {
                        rest = more;
                        break;
                    }
                    [byte, more @ ..] => {
                        field.push(*byte);
                        rest = more;
                    }
                    [] => return Err(MountError::Quote),
                }
            }
        } else {
            let end = rest.iter().position(|&byte| byte == b',').unwrap_or(rest.len());
            field.extend_from_slice(&rest[..end]);
            if field.contains(&b'"') {
                return Err(MountError::Quote);
            }
            rest = &rest[end..];
        }
        fields.push(field);
        match rest {
            [] => return Ok(fields),
            [b',', more @ ..] => rest = more,
            _ => return Err(MountError::Quote),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn volume(text: &str) -> Volume {
        match Mount::parse(text.as_bytes()) {
            Ok(Mount::Volume(volume)) => volume,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn what_people_type() {
        let bind = volume("type=bind,source=data,target=/data,readonly");
        let (host, guest) = ("data".into(), "/data".into());
        assert_eq!(bind, Volume { host, guest, read_only: true, ..Volume::default() });
        for text in [
            "type=bind,src=./a,dst=/b,ro",
            "TYPE=bind,src=./a,destination=/b/.,ro=1",
            "ro=true,dst=/b,src=./a,type=bind",
        ] {
            assert_eq!(volume(text), Volume::parse(b"./a:/b:ro").unwrap(), "{text}");
        }
        for text in ["source=cache,target=/c", "type=volume,src=cache,dst=/c,readonly=false,volume-nocopy=0"]
        {
            assert_eq!(volume(text), Volume::parse(b"cache:/c").unwrap(), "{text}");
        }
        assert!(volume("src=cache,dst=/c,volume-nocopy").no_copy);
        assert_eq!(volume("target=/c"), Volume::parse(b"/c").unwrap());
        assert_eq!(volume("type=bind,\"src=./a,\"\"b\",dst=/b"), Volume::parse(b"./a,\"b:/b").unwrap());
        let ram = Mount::parse(b"type=tmpfs,target=/run,tmpfs-size=64m,tmpfs-mode=700").unwrap();
        assert_eq!(ram, Mount::Tmpfs(Tmpfs::parse(b"/run:size=64m,mode=700").unwrap()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        let key = |key: &str, kind| MountError::Key { key: key.to_owned(), kind };
        let value = |text: &str| MountError::Value(text.to_owned());
        let cases = [
            ("type=nfs,src=a,dst=/b", MountError::Kind("nfs".to_owned())),
            ("type=bind,dst=/b", MountError::Missing("source")),
            ("type=bind,src=./a", MountError::Missing("target")),
            ("", key("", "volume")),
            ("type=bind,src=,dst=/b", value("src=")),
            ("type=bind,src=./a,dst=/b,ro=maybe", value("ro=maybe")),
            ("type=bind,src=./a,dst=/b,bind-propagation=shared", value("bind-propagation=shared")),
            ("type=bind,src=./a,dst=/b,tmpfs-size=1", key("tmpfs-size", "bind")),
            ("type=tmpfs,src=./a,dst=/b", key("src", "tmpfs")),
            ("type=tmpfs,dst=/b,tmpfs-mode=9", value("tmpfs-mode=9")),
            ("type=bind,src=./a,dst=b", VolumeError::GuestNotAbsolute("target=/data").into()),
            ("type=bind,src=./a,dst=/b/../c", VolumeError::GuestGoesUp.into()),
            ("src=./a,dst=/b", VolumeError::Name.into()),
            ("type=bind,\"src=./a", MountError::Quote),
            ("type=bind,src=\"a\",dst=/b", MountError::Quote),
        ];
        for (text, error) in cases {
            assert_eq!(Mount::parse(text.as_bytes()), Err(error), "{text}");
        }
    }
}
