//! `septum image`: flags, the store, what it says.

pub mod choice;
mod shown;

use std::io::IsTerminal as _;
use std::process::ExitCode;

use rustix::process::getuid;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::places;
use septum_api_types::size::Size;
use septum_images::{Error, Limits, Listed, Order, Reference, Store};

use self::shown::Shown;
use crate::args::{Action, Build, Export, Image, Inspect, List, Remove, Tag};
use crate::message;
use crate::nearest::did_you_mean;

/// Does what was asked for.
pub fn image(image: Image) -> ExitCode {
    let store = Store::new(&places::data_directory(getuid().as_raw()));
    let result = match image.action {
        Action::Build(build) => self::build(&store, build),
        Action::Ls(list) => self::list(&store, &list),
        Action::Rm(remove) => self::remove(&store, &remove),
        Action::Inspect(inspect) => self::inspect(&store, &inspect),
        Action::Export(export) => self::export(&store, &export),
        Action::Tag(tag) => self::tag(&store, &tag),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

/// What there is that has a name, for a shell.
pub fn names() -> Vec<String> {
    let images = Store::new(&places::data_directory(getuid().as_raw())).list().unwrap_or_default();
    images.into_iter().filter_map(|image| image.name).map(|name| name.to_string()).collect()
}

/// For `map_err`.
fn because(what: String) -> impl FnOnce(Error) -> Failure {
    move |error| explained(&error, &what)
}

/// An error of images as a person meets it; of one that is not there, with what may have been meant.
fn explained(error: &Error, what: &str) -> Failure {
    let failure = error.failure(what);
    let Error::Missing(name) = error else { return failure };
    let known = names();
    if known.is_empty() {
        return failure.hint("there is none yet: 'septum image build SOURCE -t NAME' makes one");
    }
    // A tag that nobody typed is no part of what is compared.
    let short = |name: &str| name.strip_suffix(":latest").unwrap_or(name).to_owned();
    let hint = did_you_mean(&short(name), known.iter().map(|name| short(name)), &failure.hint);
    failure.hint(hint)
}

fn build(store: &Store, build: Build) -> Result<(), Failure> {
    let what = format!("cannot build an image from '{}'", build.source.display());
    let names: Result<Vec<Reference>, Error> = build.tag.iter().map(|name| name.parse()).collect();
    let names = names.map_err(because(what.clone()))?;
    if let Some(digest) = names.iter().find(|name| matches!(name, Reference::Digest(_))) {
        return Err(Failure::new(Code::Usage, what, format!("'{digest}' is a digest, and no name")));
    }
    if build.with_parent.is_some_and(|parent| !ends_with(parent)) {
        return Err(Failure::new(Code::Host, what, "who asked for it is gone"));
    }
    let limits = Limits { bytes: build.max_size.0, entries: build.max_files };
    let order = Order { source: build.source, names, limits };
    let built = store.build(&order).map_err(because(what))?;
    message::print(&format!("sha256:{}\n", built.digits));
    if !build.quiet {
        let names: Vec<String> = order.names.iter().map(ToString::to_string).collect();
        let called = if names.is_empty() { "it has no name".to_owned() } else { names.join(", ") };
        message::tell(&format!("{called}: {} files, {}", built.stored.entries, Size(built.stored.size)));
    }
    if built.attributes_lost > 0 {
        message::tell(&format!(
            "septum: {} extended attributes are not kept: this file system does not take them",
            built.attributes_lost
        ));
    }
    Ok(())
}

/// Has this process end with the one that started it; whether that one is still there.
fn ends_with(parent: i32) -> bool {
    let is_set =
        rustix::process::set_parent_process_death_signal(Some(rustix::process::Signal::KILL)).is_ok();
    is_set && rustix::process::getppid().is_some_and(|now| now.as_raw_nonzero().get() == parent)
}

fn list(store: &Store, list: &List) -> Result<(), Failure> {
    let images = store.list().map_err(because("cannot list the images".to_owned()))?;
    let shown: Vec<Shown> = images.iter().map(as_shown).collect();
    message::print(&shown::list(&shown, list.json));
    Ok(())
}

fn as_shown(image: &Listed) -> Shown {
    Shown {
        digest: format!("sha256:{}", image.digits),
        files: image.stored.entries,
        name: image.name.as_ref().map(ToString::to_string),
        size: image.stored.size,
        stored_at: image.stored_at,
    }
}

fn remove(store: &Store, remove: &Remove) -> Result<(), Failure> {
    for name in &remove.images {
        let gone = name.parse().and_then(|reference| store.remove(&reference));
        for gone in gone.map_err(because(format!("cannot remove image '{name}'")))? {
            message::print(&format!("{gone}\n"));
        }
    }
    Ok(())
}

fn inspect(store: &Store, inspect: &Inspect) -> Result<(), Failure> {
    let what = format!("cannot inspect image '{}'", inspect.image);
    let found = inspect.image.parse().and_then(|reference| {
        let digits = store.resolve(&reference)?;
        Ok((store.stored(&digits)?, digits))
    });
    let (stored, digits) = found.map_err(because(what))?;
    let json = serde_json::json!({
        "digest": format!("sha256:{digits}"),
        "files_digest": stored.files,
        "size": stored.size,
        "files": stored.entries,
        "config": stored.config,
    });
    message::print(&format!("{}\n", serde_json::to_string_pretty(&json).unwrap_or_default()));
    Ok(())
}

fn export(store: &Store, export: &Export) -> Result<(), Failure> {
    let what = format!("cannot export image '{}'", export.image);
    let reference: Reference = export.image.parse().map_err(because(what.clone()))?;
    let Some(path) = &export.output else {
        if std::io::stdout().is_terminal() {
            let why = "standard output is a terminal, and this is no text";
            return Err(Failure::new(Code::Usage, what, why).hint("name a file with -o, or redirect it"));
        }
        return store.export(&reference, &mut std::io::stdout().lock()).map_err(because(what));
    };
    let failed = |error: std::io::Error| {
        Failure::new(Code::Path, what.clone(), format!("'{}': {error}", path.display()))
    };
    let mut file = std::fs::File::create(path).map_err(failed)?;
    let written = store.export(&reference, &mut file).map_err(because(what.clone()));
    if written.is_err() {
        let _ = std::fs::remove_file(path);
    }
    written.and_then(|()| file.sync_all().map_err(failed))
}

fn tag(store: &Store, tag: &Tag) -> Result<(), Failure> {
    let references = tag.image.parse().and_then(|image| Ok((image, tag.name.parse()?)));
    references
        .and_then(|(image, name): (Reference, Reference)| store.tag(&image, &name))
        .map_err(because(format!("cannot give image '{}' the name '{}'", tag.image, tag.name)))
}
