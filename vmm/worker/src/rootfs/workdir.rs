//! Where the program starts.

use std::path::{Path, PathBuf};

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;

use super::view::{Kind, LookupError, View};

/// The working directory: the one asked for, or the image's; else the current directory if the partition has it; else `/`. What is not there
/// the guest kernel makes, where something can be made.
pub(crate) fn workdir(spec: &PartitionSpec, view: &View) -> Result<PathBuf, Failure> {
    let of_image = spec.image.as_ref().map(|image| image.working_directory.as_ref());
    let current = match (&spec.current_directory, &of_image) {
        (Some(directory), None) => directory.as_path(),
        _ => Path::new("/"),
    };
    match spec.working_directory.as_ref().or(of_image.flatten()) {
        Some(directory) => {
            let path: PathBuf = current.join(directory.as_path()).components().collect();
            let why = match view.lookup(&path) {
                Ok(found) if found.kind == Kind::Directory => None,
                Ok(_) => Some("it is not a directory".to_owned()),
                Err(LookupError::Missing(_)) if view.can_be_made(&path) => None,
                Err(LookupError::Missing(_)) => {
                    Some("it is not there, and cannot be made in what is read-only".to_owned())
                }
                Err(error) => Some(error.to_string()),
            };
            if let Some(why) = why {
                let what = format!("cannot work in '{directory}'");
                let hint = "create it on the host, name another, or share one with --volume";
                return Err(Failure::new(Code::Path, what, why).hint(hint));
            }
            Ok(path)
        }
        None => match view.lookup(current) {
            Ok(found) if found.kind == Kind::Directory => Ok(current.to_owned()),
            _ => Ok(PathBuf::from("/")),
        },
    }
}
