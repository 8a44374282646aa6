//! Files on their way into a partition and out of it, as archives, at this end.
//!
//! What comes out of a partition is not trusted: it is unpacked beside its place, into a new folder that nothing is written outside of, and
//! then renamed; only files, folders and links are made.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Component, Path, PathBuf};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use tar::EntryType;

use crate::args::Copy;
use crate::message;

/// What is copied where.
#[derive(Debug)]
pub enum Way {
    /// Out of a partition: its path, and one of this host.
    Out(String, PathBuf, PathBuf),
    /// Into one.
    In(PathBuf, String, PathBuf),
}

/// What was meant.
pub fn way(options: &Copy) -> Result<Way, Failure> {
    match (split(&options.from), split(&options.to)) {
        (Some((partition, path)), None) => Ok(Way::Out(partition, path, PathBuf::from(&options.to))),
        (None, Some((partition, path))) => Ok(Way::In(PathBuf::from(&options.from), partition, path)),
        _ => Err(Failure::new(Code::Usage, "cannot copy", "just one of the two has to be PARTITION:PATH")
            .hint("a file of the host whose name has a colon is named with a slash: ./a:b")),
    }
}

/// `PARTITION:PATH`; a slash before the colon makes it a path of the host.
fn split(word: &OsStr) -> Option<(String, PathBuf)> {
    let bytes = word.as_bytes();
    let colon = bytes.iter().position(|&byte| byte == b':')?;
    let partition = std::str::from_utf8(&bytes[..colon]).ok().filter(|name| !name.is_empty())?;
    let path =
        if partition.contains('/') || partition.starts_with('.') { None } else { bytes.get(colon + 1..) };
    let path = path.filter(|path| !path.is_empty())?;
    Some((partition.to_owned(), Path::new(OsStr::from_bytes(path)).to_path_buf()))
}

/// What cannot be done with files.
pub fn failed(what: &str, why: impl ToString) -> Failure {
    Failure::new(Code::Path, what, why.to_string())
}

/// The folder and the name of a path in the partition.
pub fn folder_and_name(path: &Path) -> Option<(PathBuf, OsString)> {
    let name = path.file_name()?.to_os_string();
    let folder = Path::new("/").join(path.parent()?);
    Some((folder, name))
}

/// The same of what is copied out, which has to have a name.
pub fn source(what: &str, from: &Path) -> Result<(PathBuf, OsString), Failure> {
    folder_and_name(from)
        .ok_or_else(|| failed(what, "it has no name of its own").hint("name what is to be copied"))
}

/// Where what comes out of a partition is put together before it is moved to its place. It goes with this.
#[derive(Debug)]
pub struct Stage {
    folder: PathBuf,
    name: OsString,
    target: PathBuf,
}

impl Stage {
    /// For what is called `name` in the partition and is to be at `to`, or in it, if that is a directory.
    pub fn begin(what: &str, name: OsString, to: &Path) -> Result<Self, Failure> {
        let target = if to.is_dir() { to.join(&name) } else { to.to_path_buf() };
        let beside =
            target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        if target.is_dir() {
            return Err(failed(what, format!("there is a directory '{}' already", target.display()))
                .hint("copy to another name, or remove it first"));
        }
        let folder = beside.join(format!(".septum-cp-{}", std::process::id()));
        fs::create_dir(&folder)
            .map_err(|error| failed(what, format!("cannot write to '{}': {error}", beside.display())))?;
        Ok(Self { folder, name, target })
    }

    /// Unpacks an archive.
    pub fn unpack(&self, archive: &mut impl io::Read) -> io::Result<()> {
        unpack(archive, &self.folder, &self.name)
    }

    /// Moves it to its place.
    pub fn finish(&self, what: &str) -> Result<(), Failure> {
        fs::rename(self.folder.join(&self.name), &self.target)
            .map_err(|error| failed(what, format!("'{}': {error}", self.target.display())))
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// Unpacks what belongs to `name` into `stage`.
fn unpack(archive: &mut impl io::Read, stage: &Path, name: &OsStr) -> io::Result<()> {
    let refuse = |path: &Path, why: &str| {
        let text = message::printable(&path.to_string_lossy());
        io::Error::new(io::ErrorKind::InvalidData, format!("the partition's archive has '{text}', {why}"))
    };
    let mut archive = tar::Archive::new(archive);
    archive.set_preserve_permissions(false);
    archive.set_overwrite(false);
    for entry in archive.entries()? {
        let mut entry = entry?;
        let path = entry.path()?.into_owned();
        let mut parts = path.components().filter(|part| *part != Component::CurDir);
        let is_below = parts.next() == Some(Component::Normal(name))
            && parts.all(|part| matches!(part, Component::Normal(_)));
        if !is_below {
            return Err(refuse(&path, "which does not belong to what is copied"));
        }
        match entry.header().entry_type() {
            EntryType::Regular
            | EntryType::Continuous
            | EntryType::Directory
            | EntryType::Symlink
            | EntryType::Link
            | EntryType::GNUSparse => {}
            _ => {
                let text = message::printable(&path.to_string_lossy());
                message::tell(&format!("septum: '{text}' is no file, directory or link, and is left out"));
                continue;
            }
        }
        if !entry.unpack_in(stage)? {
            return Err(refuse(&path, "which leads out of what is copied"));
        }
    }
    if stage.join(name).symlink_metadata().is_err() {
        return Err(io::Error::other("the archive is empty"));
    }
    Ok(())
}

/// What is copied into a partition: where to, and under which name. `is_folder`: there is a directory already.
pub fn destination(
    what: &str,
    from: &Path,
    to: PathBuf,
    is_folder: bool,
) -> Result<(PathBuf, OsString), Failure> {
    let own_name =
        from.canonicalize().map_err(|error| failed(what, error))?.file_name().map(OsStr::to_os_string);
    let own_name = from.file_name().map(OsStr::to_os_string).or(own_name);
    match (is_folder, own_name) {
        (true, Some(name)) => Ok((to, name)),
        (false, _) => folder_and_name(&to).ok_or_else(|| failed(what, "the new path has no name")),
        (true, None) => Err(failed(what, "it has no name of its own").hint("name what is to be copied")),
    }
}

/// Packs a file or a directory of this host under a name.
pub fn pack(output: impl io::Write, from: &Path, name: &OsStr) -> io::Result<()> {
    let mut archive = tar::Builder::new(output);
    archive.follow_symlinks(false);
    if from.symlink_metadata()?.is_dir() {
        archive.append_dir_all(name, from)?;
    } else {
        archive.append_path_with_name(from, name)?;
    }
    archive.into_inner()?.flush()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(paths: &[(&str, EntryType, &str)]) -> Vec<u8> {
        let mut builder = tar::Builder::new(Vec::new());
        for (path, kind, link) in paths {
            let mut header = tar::Header::new_gnu();
            header.set_entry_type(*kind);
            header.set_mode(0o755);
            header.as_mut_bytes()[..path.len()].copy_from_slice(path.as_bytes());
            if let Some(gnu) = header.as_gnu_mut() {
                gnu.linkname[..link.len()].copy_from_slice(link.as_bytes());
            }
            header.set_size(if *kind == EntryType::Regular { 2 } else { 0 });
            header.set_cksum();
            let data: &[u8] = if *kind == EntryType::Regular { b"x\n" } else { b"" };
            builder.append(&header, data).unwrap();
        }
        builder.into_inner().unwrap()
    }

    #[test]
    fn nothing_leaves_the_new_folder() {
        use EntryType::{Directory, Link, Regular, Symlink};
        let parent = std::env::temp_dir().join(format!("septum-cp-test-{}", std::process::id()));
        let unpacked = |entries: &[(&str, EntryType, &str)]| {
            let stage = parent.join("stage");
            fs::create_dir_all(&stage).unwrap();
            let result = unpack(&mut &archive(entries)[..], &stage, OsStr::new("a"));
            let is_clean = fs::read_dir(&parent).unwrap().count() == 1;
            fs::remove_dir_all(&parent).unwrap();
            assert!(is_clean, "{entries:?}");
            result
        };
        assert!(
            unpacked(&[("./a", Directory, ""), ("./a/b", Regular, ""), ("a/c", Symlink, "/etc/passwd")])
                .is_ok()
        );
        for entries in [
            &[("../b", Regular, "")][..],
            &[("/b", Regular, "")],
            &[("a/../../b", Regular, "")],
            &[("b", Regular, "")],
            &[("a", Symlink, ".."), ("a/b", Regular, "")],
            &[("a", Directory, ""), ("a/l", Symlink, "../.."), ("a/l/b", Regular, "")],
            &[("a", Link, "../b")],
            &[],
        ] {
            assert!(unpacked(entries).is_err(), "{entries:?}");
        }
    }

    #[test]
    fn a_partition_is_before_the_first_colon() {
        let split =
            |word: &str| split(OsStr::new(word)).map(|(name, path)| format!("{name} {}", path.display()));
        assert_eq!(split("web:/etc/a:b").as_deref(), Some("web /etc/a:b"));
        for word in ["./a:b", "/a:b", "a", ":b", "a:", "."] {
            assert_eq!(split(word), None, "{word}");
        }
    }
}
