//! Which commands of ours were typed, kept in a small file of the user's own ([0058](../../../docs/decisions/0058-the-history-of-commands.md)).
//!
//! ```text
//! 1764266124 4711 0 run --detach --name        seconds since 1970, the shell's process, status, words and names of options
//! ```
//!
//! Only names that are in the definition of the command line are written: no values, no programs, no partitions, nothing that was typed freely.
//! A line is one append when the command is done; a file that has grown too long loses its older half.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, IsTerminal as _, Read as _, Seek as _, SeekFrom, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use clap::ArgMatches;
use clap::parser::ValueSource;
use rustix::fs::{FlockOperation, OFlags, flock};
use rustix::process::{geteuid, getppid, getuid};
use septum_api_types::places;
use septum_registry::record::now_ms;

use super::model::words;

/// `off`: nothing is kept; `on`: also where standard error is no terminal.
pub const VARIABLE: &str = "SEPTUM_HISTORY";
/// Bytes at which the file loses its older half.
const LIMIT: u64 = 64 << 10;
/// Bytes that are read at most.
const READ_LIMIT: u64 = 4 * LIMIT;
/// Commands that say nothing about what is being done.
const SILENT: [&str; 5] = ["suggest", "completion", "man", "version", "help"];

static SHAPE: Mutex<Option<String>> = Mutex::new(None);

/// One command that was typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When it was done, in seconds since 1970.
    pub at: u64,
    /// The process that it was typed at.
    pub shell: u32,
    /// 0, a status of Septum's own, or 1 for what else went wrong.
    pub status: u8,
    /// Words and names of options.
    pub shape: String,
}

/// Remembers what is typed, until it is done.
pub fn remember(command: &str, matches: &ArgMatches) {
    if is_wanted() {
        let shape = shape_of(command, matches);
        if !SILENT.contains(&words(&shape)) {
            *SHAPE.lock().unwrap_or_else(PoisonError::into_inner) = Some(shape);
        }
    }
}

/// Words and names of options, as the definition of the command line has them.
fn shape_of(command: &str, matches: &ArgMatches) -> String {
    let (mut words, mut options) = (command.to_owned(), Vec::new());
    let mut level = Some(matches);
    while let Some(matches) = level {
        let is_typed = |id: &&str| matches.value_source(id) == Some(ValueSource::CommandLine);
        // Names of groups are those of types.
        let names = matches.ids().map(clap::Id::as_str).filter(|id| !id.starts_with(char::is_uppercase));
        options.extend(names.filter(is_typed).map(|id| format!(" --{id}")));
        level = matches.subcommand().map(|(word, matches)| {
            words = if words.is_empty() { word.to_owned() } else { format!("{words} {word}") };
            matches
        });
    }
    options.sort();
    words + &options.concat()
}

/// Keeps what was remembered, once, now that it is done. What cannot be kept is no reason to say anything.
pub fn keep(status: u8) {
    let shape = SHAPE.lock().unwrap_or_else(PoisonError::into_inner).take();
    if let (Some(shape), Some(path)) = (shape, path()) {
        let _ = append(&path, &Line { at: now_ms() / 1000, shell: shell(), status, shape });
    }
}

fn is_wanted() -> bool {
    match std::env::var_os(VARIABLE) {
        Some(value) if value == "off" || value == "0" => false,
        Some(value) if value == "on" || value == "1" => true,
        // Whoever types sees what is told.
        _ => io::stderr().is_terminal(),
    }
}

/// The process that commands are typed at.
pub fn shell() -> u32 {
    getppid().map_or(0, |parent| parent.as_raw_nonzero().get().unsigned_abs())
}

/// The file, if this user has a place for it.
pub fn path() -> Option<PathBuf> {
    Some(places::state_directory(getuid().as_raw())?.join("history"))
}

fn write_line(line: &Line) -> String {
    format!("{} {} {} {}\n", line.at, line.shell, line.status, line.shape)
}

fn append(path: &Path, line: &Line) -> io::Result<()> {
    let open = || {
        OpenOptions::new().append(true).read(true).create(true).mode(0o600).custom_flags(flags()).open(path)
    };
    let mut file = match open() {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            DirBuilder::new().recursive(true).mode(0o700).create(path.parent().unwrap_or(path))?;
            open()?
        }
        result => result?,
    };
    let metadata = file.metadata()?;
    if !metadata.is_file() || metadata.uid() != geteuid().as_raw() {
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    if metadata.mode() & 0o077 != 0 {
        file.set_permissions(fs::Permissions::from_mode(0o600))?;
    }
    let text = write_line(line);
    file.write_all(text.as_bytes())?;
    if metadata.len() + text.len() as u64 > LIMIT { halve(&file) } else { Ok(()) }
}

/// Never through a link, and never waiting for who reads a pipe.
fn flags() -> i32 {
    (OFlags::NOFOLLOW | OFlags::NONBLOCK).bits().cast_signed()
}

/// Writes the younger half over the file. A line that somebody appends at that moment may be lost.
fn halve(mut file: &File) -> io::Result<()> {
    if flock(file, FlockOperation::NonBlockingLockExclusive).is_err() {
        return Ok(());
    }
    file.seek(SeekFrom::End(-(LIMIT as i64 / 2)))?;
    let mut text = Vec::new();
    file.take(READ_LIMIT).read_to_end(&mut text)?;
    let whole = text.iter().position(|&byte| byte == b'\n').map_or(text.len(), |end| end + 1);
    file.set_len(0)?;
    file.write_all(text.get(whole..).unwrap_or_default())
}

/// What was kept, oldest first. What nobody could have written is left out.
pub fn read(path: &Path) -> Vec<Line> {
    let mut text = Vec::new();
    let file = OpenOptions::new().read(true).custom_flags(flags()).open(path);
    let _ = file.and_then(|file| file.take(READ_LIMIT).read_to_end(&mut text));
    String::from_utf8_lossy(&text).lines().filter_map(parse).collect()
}

fn parse(line: &str) -> Option<Line> {
    let mut parts = line.splitn(4, ' ');
    let (at, shell, status) =
        (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    let shape = parts.next()?;
    let is_name = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b" -_".contains(&byte);
    (!shape.is_empty() && shape.bytes().all(is_name)).then(|| Line {
        at,
        shell,
        status,
        shape: shape.to_owned(),
    })
}

/// Forgets everything; how many commands that were.
pub fn forget(path: &Path) -> io::Result<usize> {
    let count = read(path).len();
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(count),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(at: u64) -> Line {
        Line { at, shell: 7, status: 0, shape: "run --detach --name".to_owned() }
    }

    #[test]
    fn lines_come_back_and_the_file_is_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state/history");
        for at in 0..3 {
            append(&path, &line(at)).unwrap();
        }
        assert_eq!(read(&path), [line(0), line(1), line(2)]);
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!(fs::metadata(path.parent().unwrap()).unwrap().mode() & 0o7777, 0o700);
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        append(&path, &line(3)).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o7777, 0o600);
        assert_eq!((forget(&path).unwrap(), forget(&path).unwrap()), (4, 0));
    }

    #[test]
    fn it_never_grows_beyond_its_limit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        for at in 0..5000 {
            append(&path, &line(at)).unwrap();
            assert!(fs::metadata(&path).unwrap().len() <= LIMIT);
        }
        let lines = read(&path);
        assert_eq!(lines.last(), Some(&line(4999)));
        assert!(lines.len() > 900 && lines.windows(2).all(|two| two[0].at + 1 == two[1].at));
    }

    #[test]
    fn what_others_put_there_is_not_followed_or_believed() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("history");
        std::os::unix::fs::symlink("elsewhere", &path).unwrap();
        assert!(append(&path, &line(0)).is_err() && !folder.path().join("elsewhere").exists());
        fs::remove_file(&path).unwrap();
        fs::write(&path, b"1 2 0 run\n1 2 0 \x1b[2Jrm\nx 2 0 run\n1 2 300 run\n1 2 0 rm; id\n\xff\n1 2 0\n")
            .unwrap();
        assert_eq!(read(&path).len(), 1);
    }

    #[test]
    fn values_are_not_remembered() {
        let line =
            ["run", "-d", "--env", "TOKEN=secret", "--name", "mine", "--", "program", "--password", "x"];
        let line: Vec<std::ffi::OsString> = line.iter().map(Into::into).collect();
        let matches = crate::args::run_matches(&line).unwrap();
        let shape = shape_of("run", &matches);
        assert_eq!(shape, "run --detach --env --name --program");
    }
}
