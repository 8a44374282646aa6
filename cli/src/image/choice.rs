//! Which image a partition runs, if one, and what of it.

use std::ffi::OsString;
use std::path::Path;

use rustix::process::getuid;
use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::image::ImageSource;
use septum_api_types::places;
use septum_api_types::signal::Signal;
use septum_images::{Config, Reference, Store, is_image_file};

use crate::args::Run;

/// An image, and what it is to run.
pub struct Chosen {
    pub source: ImageSource,
    /// The program and its arguments.
    pub words: Vec<OsString>,
    /// `KEY=VALUE` each.
    pub environment: Vec<String>,
    /// Directories that are to be volumes.
    pub volumes: Vec<String>,
    /// What asks the program to end, if the image says so.
    pub stop_signal: Option<Signal>,
}

/// The image that a command line names: by an option, or by its first word where that may be one. The words that are left become
/// what is run.
pub fn choose(run: &mut Run) -> Result<Option<Chosen>, Failure> {
    let found = match &run.image {
        Some(name) => find(name)?,
        None if run.is_program_for_sure || run.rootfs.is_some() => return Ok(None),
        None => {
            let first = run.program.first().and_then(|word| word.to_str());
            let Some(found) = first.filter(|word| is_image(word)).map(find) else { return Ok(None) };
            run.program.remove(0);
            found?
        }
    };
    let (source, config) = found;
    let given = std::mem::take(&mut run.program);
    let words = words(run.entrypoint.take(), given, &config);
    if words.is_empty() {
        let what = format!("cannot run image '{}'", source.name);
        return Err(Failure::new(Code::Usage, what, "it does not say what to run")
            .hint(format!("name a program: septum run {} PROGRAM [ARGS]", source.name)));
    }
    let source = ImageSource {
        user: config.user().clone(),
        working_directory: config
            .working_dir()
            .as_deref()
            .filter(|path| !path.is_empty())
            .map(ByteString::from),
        ..source
    };
    let stop_signal = config.stop_signal().as_deref().filter(|name| !name.is_empty());
    let stop_signal = stop_signal.map(str::parse::<Signal>).transpose().map_err(|error| {
        let what = format!("cannot run image '{}'", source.name);
        Failure::new(Code::Usage, what, format!("its stop signal: {error}"))
            .hint("--stop-signal takes the place of the image's")
    });
    // What was typed takes its place, whatever it is.
    let stop_signal = if run.stop_signal.is_some() { None } else { stop_signal? };
    let environment = config.env().clone().unwrap_or_default();
    let volumes = config.volumes().clone().unwrap_or_default();
    Ok(Some(Chosen { source, words, environment, volumes, stop_signal }))
}

/// As Docker does: an entry point that is given takes the place of the image's, and of its command.
fn words(entrypoint: Option<OsString>, given: Vec<OsString>, config: &Config) -> Vec<OsString> {
    let of_image =
        |words: &Option<Vec<String>>| words.iter().flatten().map(OsString::from).collect::<Vec<_>>();
    let is_own = entrypoint.is_none();
    let mut words = match entrypoint {
        Some(entrypoint) => vec![entrypoint],
        None => of_image(config.entrypoint()),
    };
    words.extend(if given.is_empty() && is_own { of_image(config.cmd()) } else { given });
    words
}

fn store() -> Store {
    Store::new(&places::data_directory(getuid().as_raw()))
}

/// Whether a word names an image that there is.
fn is_image(word: &str) -> bool {
    let is_stored = || {
        let store = store();
        store.exists() && word.parse().is_ok_and(|reference| store.resolve(&reference).is_ok())
    };
    (word.contains('/') && is_image_file(Path::new(word))) || is_stored()
}

fn find(name: &str) -> Result<(ImageSource, Config), Failure> {
    let path = Path::new(name);
    if name.contains('/') && is_image_file(path) {
        let what = format!("cannot use image '{name}'");
        let file = path.canonicalize().map_err(|error| Failure::new(Code::Path, what, error.to_string()))?;
        let source = ImageSource {
            name: name.to_owned(),
            file: file.into_os_string().into(),
            digest: None,
            record: None,
            user: None,
            working_directory: None,
        };
        return Ok((source, Config::default()));
    }
    let runtime = places::runtime_directory(getuid().as_raw());
    name.parse::<Reference>()
        .and_then(|reference| store().find(&reference, &runtime))
        .map_err(|error| super::explained(&error, &format!("cannot use image '{name}'")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_images::Config;

    fn run(entrypoint: Option<&str>, given: &[&str], config: &Config) -> String {
        let given = given.iter().map(OsString::from).collect();
        let words = words(entrypoint.map(OsString::from), given, config);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn entry_point_and_command_are_dockers() {
        let mut config = Config::default();
        assert_eq!(run(None, &[], &config), "");
        assert_eq!(run(None, &["ls", "-l"], &config), "ls -l");
        config.set_cmd(Some(vec!["serve".to_owned()]));
        assert_eq!(run(None, &[], &config), "serve");
        assert_eq!(run(None, &["ls"], &config), "ls");
        config.set_entrypoint(Some(vec!["/bin/tool".to_owned(), "-v".to_owned()]));
        assert_eq!(run(None, &[], &config), "/bin/tool -v serve");
        assert_eq!(run(None, &["stop"], &config), "/bin/tool -v stop");
        assert_eq!(run(Some("sh"), &[], &config), "sh");
        assert_eq!(run(Some("sh"), &["-c", "x"], &config), "sh -c x");
    }
}
