//! `septum cp`: files into a partition that runs, and out of it, by the partition's own `tar`.
//!
//! ```text
//!   cp P:/a/b here    exec P tar -c ./b ──► unpacked beside its place, then renamed into it
//!   cp here P:/a/b    packed ──► exec P tar -x
//! ```
//!
//! What comes out of a partition is not trusted: nothing is written outside of the new folder, and only files, folders and links are made.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::io::{self, Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Component, Path, PathBuf};
use std::process::ExitCode;
use std::thread;

use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_registry::control::{self, Answer, Request};
use tar::EntryType;

use super::{await_answer, connect, unanswered};
use crate::args::Copy;
use crate::message;

/// A shell's status for what it cannot find.
const NOT_FOUND: u8 = 127;
/// Most of what a program says as errors that is told.
const MOST_WORDS: u64 = 4096;

/// `septum cp`
pub fn copy(options: &Copy) -> ExitCode {
    let result = match (split(&options.from), split(&options.to)) {
        (Some((partition, path)), None) => copy_out(&partition, &path, Path::new(&options.to)),
        (None, Some((partition, path))) => copy_in(Path::new(&options.from), &partition, &path),
        _ => Err(Failure::new(Code::Usage, "cannot copy", "just one of the two has to be PARTITION:PATH")
            .hint("a file of the host whose name has a colon is named with a slash: ./a:b")),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
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

fn failed(what: &str, why: impl ToString) -> Failure {
    Failure::new(Code::Path, what, why.to_string())
}

/// A program in the partition, and this side of its streams.
struct Program {
    partition: String,
    socket: UnixStream,
    input: Option<io::PipeWriter>,
    output: io::PipeReader,
    errors: thread::JoinHandle<String>,
}

impl Program {
    fn start(partition: &str, arguments: &[&OsStr], has_input: bool) -> Result<Self, Failure> {
        let internal = |error: io::Error| failed("cannot make a program's streams", error);
        let (_found, socket) = connect(partition)?;
        let (their_input, input) = io::pipe().map_err(internal)?;
        let (output, their_output) = io::pipe().map_err(internal)?;
        let (errors, their_errors) = io::pipe().map_err(internal)?;
        let request = Request::Exec(control::Exec {
            arguments: arguments.iter().map(|&argument| ByteString::from(argument)).collect(),
            environment: Vec::new(),
            working_directory: Some(ByteString::from("/")),
            user: None,
            terminal: None,
            has_input,
            is_detached: false,
        });
        let descriptors = [their_input.as_fd(), their_output.as_fd(), their_errors.as_fd()];
        control::send(&socket, &request, &descriptors).map_err(|error| unanswered(partition, &error))?;
        let errors = thread::spawn(move || {
            let mut words = Vec::new();
            let _ = (&errors).take(MOST_WORDS).read_to_end(&mut words);
            // Whoever writes more is not kept from it.
            let _ = io::copy(&mut &errors, &mut io::sink());
            String::from_utf8_lossy(&words).trim_end().to_owned()
        });
        let input = has_input.then_some(input);
        Ok(Self { partition: partition.to_owned(), socket, input, output, errors })
    }

    /// Its end: its status, and what it said.
    fn end(self) -> Result<(u8, String), Failure> {
        let Self { partition, socket, input, output, errors } = self;
        drop((input, output));
        let answer = await_answer(&partition, &socket)?;
        let words = errors.join().unwrap_or_default();
        match answer {
            Answer::Ended(status) => Ok((status, words)),
            Answer::Failed { status, message } => Ok((status, message)),
            _ => Err(Failure::new(
                Code::Internal,
                "the partition gave a strange answer",
                "it is not one to this",
            )),
        }
    }
}

/// What the partition's `tar` has to say.
fn judge_tar(what: &str, status: u8, words: String) -> Result<(), Failure> {
    match status {
        0 => Ok(()),
        NOT_FOUND => Err(failed(what, "there is no 'tar' in the partition")
            .hint("give it one, or share a directory with --volume")),
        _ => {
            let lines = words.lines().map(message::printable).collect::<Vec<_>>().join("; ");
            Err(failed(what, format!("its tar failed with status {status}: {lines}")))
        }
    }
}

/// The folder and the name of a path in the partition.
fn folder_and_name(path: &Path) -> Option<(PathBuf, OsString)> {
    let name = path.file_name()?.to_os_string();
    let folder = Path::new("/").join(path.parent()?);
    Some((folder, name))
}

fn copy_out(partition: &str, from: &Path, to: &Path) -> Result<(), Failure> {
    let what = format!("cannot copy '{}' out of partition '{partition}'", from.display());
    let (folder, name) = folder_and_name(from)
        .ok_or_else(|| failed(&what, "it has no name of its own").hint("name what is to be copied"))?;
    let target = if to.is_dir() { to.join(&name) } else { to.to_path_buf() };
    let beside = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if target.is_dir() {
        return Err(failed(&what, format!("there is a directory '{}' already", target.display()))
            .hint("copy to another name, or remove it first"));
    }
    let stage = beside.join(format!(".septum-cp-{}", std::process::id()));
    fs::create_dir(&stage)
        .map_err(|error| failed(&what, format!("cannot write to '{}': {error}", beside.display())))?;
    let member = Path::new(".").join(&name);
    let arguments = [
        "tar".as_ref(),
        "-c".as_ref(),
        "-f".as_ref(),
        "-".as_ref(),
        "-C".as_ref(),
        folder.as_os_str(),
        member.as_os_str(),
    ];
    let result = Program::start(partition, &arguments, false).and_then(|mut program| {
        let unpacked = unpack(&mut program.output, &stage, &name);
        // What comes after the end of the archive is padding; what comes after an error is not wanted.
        if unpacked.is_ok() {
            let _ = io::copy(&mut program.output, &mut io::sink());
        }
        let (status, words) = program.end()?;
        let is_refused = unpacked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::InvalidData);
        if !is_refused {
            judge_tar(&what, status, words)?;
        }
        unpacked.map_err(|error| failed(&what, error))?;
        fs::rename(stage.join(&name), &target)
            .map_err(|error| failed(&what, format!("'{}': {error}", target.display())))
    });
    let _ = fs::remove_dir_all(&stage);
    result
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

fn copy_in(from: &Path, partition: &str, to: &Path) -> Result<(), Failure> {
    let what = format!("cannot copy '{}' into partition '{partition}'", from.display());
    let of_host = |error: io::Error| failed(&what, error);
    let metadata = from.symlink_metadata().map_err(of_host)?;
    let to = Path::new("/").join(to);
    let test = ["test".as_ref(), "-d".as_ref(), to.as_os_str()];
    let is_folder = to == Path::new("/") || Program::start(partition, &test, false)?.end()?.0 == 0;
    let own_name = from.canonicalize().map_err(of_host)?.file_name().map(OsStr::to_os_string);
    let own_name = from.file_name().map(OsStr::to_os_string).or(own_name);
    let (folder, name) = match (is_folder, own_name) {
        (true, Some(name)) => (to, name),
        (false, _) => folder_and_name(&to).ok_or_else(|| failed(&what, "the new path has no name"))?,
        (true, None) => {
            return Err(failed(&what, "it has no name of its own").hint("name what is to be copied"));
        }
    };
    let arguments = [
        "tar".as_ref(),
        "-x".as_ref(),
        "-o".as_ref(),
        "-f".as_ref(),
        "-".as_ref(),
        "-C".as_ref(),
        folder.as_os_str(),
    ];
    let mut program = Program::start(partition, &arguments, true)?;
    let packed = program.input.take().map_or(Ok(()), |input| {
        let mut archive = tar::Builder::new(input);
        archive.follow_symlinks(false);
        if metadata.is_dir() {
            archive.append_dir_all(&name, from)?;
        } else {
            archive.append_path_with_name(from, &name)?;
        }
        archive.into_inner()?.flush()
    });
    let (status, words) = program.end()?;
    // One that ended early says why; that it could not be written to follows from that.
    judge_tar(&what, status, words)?;
    packed.map_err(of_host)
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
