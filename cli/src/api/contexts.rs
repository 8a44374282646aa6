//! `septum context`, and the client of a coordinator that is chosen by an address or a context.
//!
//! ```text
//!   CONFIG/contexts/            0700
//!     NAME/context.json         its address
//!     NAME/token                0600; if it wants one
//!     NAME/ca.pem               whom to trust, if not whom this host does
//!     current                   the name of the one in use; nothing: this host
//! ```
//!
//! A context is made beside its place and renamed into it, so that there is never a half of one.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use septum_api_client::{Address, Client};
use septum_api_server::socket_path;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::v1::{Problem, ProblemCode};
use septum_api_types::{places, v1};
use serde::{Deserialize, Serialize};

use crate::args::ContextAction;
use crate::message;
use crate::nearest::did_you_mean;
use crate::place::{self, CURRENT, LOCAL, Place};

/// Bytes of the longest file that is read.
const LONGEST: u64 = 4 << 20;

/// What is kept of a context besides its files.
#[derive(Debug, Serialize, Deserialize)]
struct Kept {
    address: String,
}

/// What `septum context inspect` prints.
#[derive(Debug, Serialize)]
struct Shown {
    name: String,
    address: Option<String>,
    in_use: bool,
    has_token: bool,
    ca: Option<PathBuf>,
}

/// `septum context`
pub fn context(action: &ContextAction) -> ExitCode {
    let done = folder().and_then(|folder| match action {
        ContextAction::Create { name, address, token_file, ca } => {
            create(&folder, name, address, token_file.as_deref(), ca.as_deref())
        }
        ContextAction::Ls { quiet } => {
            list(&folder, *quiet);
            Ok(())
        }
        ContextAction::Use { name } => choose(&folder, name),
        ContextAction::Rm { names } => names.iter().try_for_each(|name| remove(&folder, name)),
        ContextAction::Inspect { names } => inspect(&folder, names),
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

/// The client of a place.
///
/// # Errors
/// There is no such context, or something of it cannot be used.
pub fn client(place: &Place) -> Result<Client, Problem> {
    match place {
        Place::Here => {
            let runtime = places::runtime_directory(rustix::process::getuid().as_raw());
            Ok(Client::new(&socket_path(&runtime)))
        }
        Place::Address(text) => {
            let what = format!("cannot talk to the coordinator at '{}'", text.display());
            let unusable =
                |why: String, next: &str| Problem::new(ProblemCode::Invalid, what.clone(), why, next);
            let token_file = std::env::var_os("SEPTUM_TOKEN_FILE").filter(|path| !path.is_empty());
            let token =
                match (std::env::var("SEPTUM_TOKEN").ok().filter(|token| !token.is_empty()), token_file) {
                    (Some(token), _) => Some(token),
                    (None, Some(path)) => Some(read(Path::new(&path)).map_err(|error| {
                        let why = format!("its token, '{}', cannot be read: {error}", path.display());
                        unusable(why, "let SEPTUM_TOKEN_FILE name a file that you may read")
                    })?),
                    (None, None) => None,
                };
            let ca = std::env::var_os("SEPTUM_CA").filter(|path| !path.is_empty()).map(PathBuf::from);
            let address = parse(text)
                .map_err(|why| unusable(why, "give such an address with --host or SEPTUM_HOST"))?;
            open(address, token.as_deref(), ca.as_deref())
        }
        Place::Context(name) => of_context(name),
    }
}

fn parse(text: &OsStr) -> Result<Address, String> {
    let text = text.to_str().ok_or("it is no UTF-8")?;
    text.parse().map_err(|why| format!("'{text}' {why}"))
}

fn open(address: Address, token: Option<&str>, ca: Option<&Path>) -> Result<Client, Problem> {
    // A socket's owner is known without one, and whoever is behind another socket need not see it.
    let token = token.filter(|_| !matches!(address, Address::Unix(_)));
    Client::at(address, token, ca)
}

fn of_context(name: &OsStr) -> Result<Client, Problem> {
    let what = format!("cannot use context '{}'", name.display());
    let problem = |why: String, next: &str| Problem::new(ProblemCode::Invalid, what.clone(), why, next);
    let missing = || {
        let known = place::contexts().map(|folder| names(&folder)).unwrap_or_default();
        let usual = "'septum context ls' lists those that there are; --context local is this host";
        let next = did_you_mean(&name.to_string_lossy(), known, usual);
        problem("there is no such context".to_owned(), &next)
    };
    let folder = place::contexts().ok_or_else(missing)?;
    let name = name.to_str().filter(|name| v1::partition::name(name).is_ok()).ok_or_else(missing)?;
    let own = folder.join(name);
    if !own.is_dir() {
        return Err(missing());
    }
    let anew = "make it anew: septum context rm, septum context create";
    let unreadable = |error: io::Error| problem(format!("what is kept of it cannot be read: {error}"), anew);
    let kept: Kept = serde_json::from_str(&read(&own.join("context.json")).map_err(unreadable)?)
        .map_err(|error| unreadable(error.into()))?;
    let address = parse(OsStr::new(&kept.address)).map_err(|why| problem(why, anew))?;
    let path = own.join("token");
    let token = match fs::metadata(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(unreadable(error)),
        Ok(found) if found.mode() & 0o077 != 0 => {
            let why = format!("others may read its token, '{}'", path.display());
            return Err(problem(
                why,
                "take it from them (chmod 600), revoke it (septum token revoke), and make another",
            ));
        }
        Ok(_) => Some(read(&path).map_err(unreadable)?),
    };
    let ca = Some(own.join("ca.pem")).filter(|path| path.exists());
    open(address, token.as_deref(), ca.as_deref())
}

/// A short file, as text.
fn read(path: &Path) -> io::Result<String> {
    let mut text = String::new();
    take(File::open(path)?, &mut text)?;
    Ok(text)
}

fn take(from: impl io::Read, text: &mut String) -> io::Result<()> {
    from.take(LONGEST + 1).read_to_string(text)?;
    if text.len() as u64 > LONGEST { Err(io::Error::other("it is too long")) } else { Ok(()) }
}

fn failed(what: impl Into<String>, why: impl ToString) -> Failure {
    Failure::new(Code::Path, what, why.to_string())
}

fn wrong(what: impl Into<String>, why: impl Into<String>) -> Failure {
    Failure::new(Code::Usage, what, why)
}

fn folder() -> Result<PathBuf, Failure> {
    place::contexts().ok_or_else(|| {
        wrong("cannot keep contexts", "this user has no home")
            .hint("set SEPTUM_CONFIG_DIR to a folder's absolute path")
    })
}

fn create(
    folder: &Path,
    name: &str,
    address: &str,
    token_file: Option<&Path>,
    ca: Option<&Path>,
) -> Result<(), Failure> {
    let what = format!("cannot make context '{name}'");
    let address = parse(OsStr::new(address)).map_err(|why| {
        wrong(&what, why).hint("give the address of a coordinator ('septum serve --listen')")
    })?;
    let token = token_file
        .map(|path| {
            token(path).map_err(|why| {
                failed(&what, format!("the token: {why}"))
                    .hint("'septum token create' on that host prints one")
            })
        })
        .transpose()?;
    let ca = ca
        .map(|path| read(path).map_err(|error| failed(&what, format!("'{}': {error}", path.display()))))
        .transpose()?;
    let unwritable = |error: io::Error| {
        failed(&what, format!("'{}': {error}", folder.display()))
            .hint("SEPTUM_CONFIG_DIR names another folder")
    };
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(unwritable)?;
    let place = folder.join(name);
    let taken =
        || wrong(&what, "there is one already").hint(format!("remove it first: septum context rm {name}"));
    if place.exists() {
        return Err(taken());
    }
    let beside = folder.join(format!(".{name}.{}", std::process::id()));
    let made = fill(&beside, &address, token.as_deref(), ca.as_deref()).and_then(|()| {
        // Whether the file of certificates can be used is told now and not at the first command.
        let ca = ca.as_ref().map(|_| beside.join("ca.pem"));
        if let Err(problem) = Client::at(address.clone(), token.as_deref(), ca.as_deref()) {
            return Err(io::Error::other(problem.cause));
        }
        fs::rename(&beside, &place)
    });
    if made.is_err() {
        let _ = fs::remove_dir_all(&beside);
    }
    match made {
        Err(_) if place.exists() => Err(taken()),
        made => made.map_err(unwritable),
    }?;
    message::print(&format!("{name}\n"));
    Ok(())
}

fn fill(own: &Path, address: &Address, token: Option<&str>, ca: Option<&str>) -> io::Result<()> {
    DirBuilder::new().mode(0o700).create(own)?;
    let kept = serde_json::to_string(&Kept { address: address.to_string() })?;
    write(&own.join("context.json"), &kept)?;
    token.map_or(Ok(()), |token| write(&own.join("token"), token))?;
    ca.map_or(Ok(()), |ca| write(&own.join("ca.pem"), ca))
}

/// A file that is its owner's alone.
fn write(path: &Path, text: &str) -> io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()
}

fn token(path: &Path) -> Result<String, String> {
    let mut text = String::new();
    let read = if path == Path::new("-") {
        take(io::stdin(), &mut text)
    } else {
        File::open(path).and_then(|file| take(file, &mut text))
    };
    read.map_err(|error| format!("'{}': {error}", path.display()))?;
    let token = text.trim();
    let is_token = !token.is_empty() && token.bytes().all(|byte| byte.is_ascii_graphic());
    if is_token { Ok(token.to_owned()) } else { Err(format!("there is none in '{}'", path.display())) }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let names = entries.filter(|entry| entry.path().join("context.json").exists());
    let mut names: Vec<String> = names
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| v1::partition::name(name).is_ok())
        .collect();
    names.sort();
    names
}

fn shown(folder: &Path, name: &str) -> Shown {
    let own = folder.join(name);
    let in_use = place::current(folder).map_or(name == LOCAL, |current| current == OsStr::new(name));
    let kept = read(&own.join("context.json")).ok().and_then(|text| serde_json::from_str::<Kept>(&text).ok());
    Shown {
        name: name.to_owned(),
        address: kept.map(|kept| kept.address),
        in_use,
        has_token: own.join("token").exists(),
        ca: Some(own.join("ca.pem")).filter(|path| path.exists()),
    }
}

fn list(folder: &Path, is_quiet: bool) {
    let names = [vec![LOCAL.to_owned()], names(folder)].concat();
    if is_quiet {
        return message::print(&names.iter().map(|name| format!("{name}\n")).collect::<String>());
    }
    let width = names.iter().map(String::len).max().unwrap_or(0).max("NAME".len());
    let mut text = format!("{:<width$}   IN USE   ADDRESS\n", "NAME");
    for name in names {
        let shown = shown(folder, &name);
        let mark = if shown.in_use { "*" } else { "" };
        let address = shown.address.unwrap_or_else(|| "this host, without a coordinator".to_owned());
        text += &format!("{name:<width$}   {mark:<6}   {}\n", message::printable(&address));
    }
    message::print(&text);
}

/// Fails unless there is one.
fn known<'a>(folder: &Path, name: &'a str, what: &str) -> Result<&'a str, Failure> {
    if name == LOCAL || names(folder).iter().any(|known| known == name) {
        return Ok(name);
    }
    let hint = did_you_mean(name, names(folder), "'septum context ls' lists those that there are");
    Err(wrong(format!("cannot {what} context '{name}'"), "there is no such context").hint(hint))
}

fn choose(folder: &Path, name: &str) -> Result<(), Failure> {
    known(folder, name, "use")?;
    let (place, beside) = (folder.join(CURRENT), folder.join(format!(".{CURRENT}.{}", std::process::id())));
    let done = if name == LOCAL {
        match fs::remove_file(&place) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    } else {
        write(&beside, name).and_then(|()| fs::rename(&beside, &place))
    };
    done.map_err(|error| {
        failed(format!("cannot use context '{name}'"), format!("'{}': {error}", place.display()))
    })?;
    message::print(&format!("{name}\n"));
    for variable in ["SEPTUM_HOST", "SEPTUM_CONTEXT"] {
        if std::env::var_os(variable).is_some_and(|value| !value.is_empty()) {
            message::tell(&format!("septum: {variable} is set, and counts more"));
        }
    }
    Ok(())
}

fn remove(folder: &Path, name: &str) -> Result<(), Failure> {
    let what = format!("cannot remove context '{name}'");
    if name == LOCAL {
        return Err(wrong(what, "it is this host").hint("'septum context use' chooses another"));
    }
    known(folder, name, "remove")?;
    if shown(folder, name).in_use {
        return Err(wrong(what, "it is in use").hint("septum context use local"));
    }
    fs::remove_dir_all(folder.join(name)).map_err(|error| failed(what, error))?;
    message::print(&format!("{name}\n"));
    Ok(())
}

fn inspect(folder: &Path, names: &[String]) -> Result<(), Failure> {
    let in_use = place::current(folder).and_then(|name| name.into_string().ok());
    let in_use = [in_use.unwrap_or_else(|| LOCAL.to_owned())];
    let names = if names.is_empty() { &in_use[..] } else { names };
    let all: Result<Vec<Shown>, Failure> =
        names.iter().map(|name| known(folder, name, "inspect").map(|name| shown(folder, name))).collect();
    message::print(&(serde_json::to_string_pretty(&all?).unwrap_or_default() + "\n"));
    Ok(())
}
