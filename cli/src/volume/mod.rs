//! `septum volume`: flags, what is kept, what it says.

mod holding;
mod shown;

use std::collections::BTreeMap;
use std::io::IsTerminal as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::ExitCode;

use rustix::process::getuid;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::places;
use septum_api_types::size::Size;
use septum_registry::Registry;
use septum_registry::record::now_ms;
use septum_registry::volumes::{Description, Listed, Volumes, VolumesError};

pub use self::holding::hold;
use self::shown::{Shown, is_agreed, random_name};
use crate::args::{
    CreateVolume, InspectVolumes, ListVolumes, PruneVolumes, RemoveVolumes, Volume, VolumeAction,
    VolumeFilter,
};
use crate::message;
use crate::nearest::did_you_mean;

/// The caller's volumes.
fn volumes() -> Volumes {
    Volumes::new(&places::data_directory(getuid().as_raw()))
}

/// What there is, for a shell.
pub fn names() -> Vec<String> {
    volumes().list().unwrap_or_default().into_iter().map(|volume| volume.name).collect()
}

/// Does what was asked for.
pub fn volume(volume: Volume) -> ExitCode {
    let result = match volume.action {
        VolumeAction::Create(create) => self::create(create),
        VolumeAction::Ls(list) => self::list(&list),
        VolumeAction::Inspect(inspect) => return self::inspect(&inspect),
        VolumeAction::Rm(remove) => return self::remove(&remove),
        VolumeAction::Prune(prune) => self::prune(&prune),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn failure(what: String, error: &VolumesError) -> Failure {
    let hint = match error {
        VolumesError::File(_, error) if error.kind() == std::io::ErrorKind::StorageFull => {
            "make room, or keep volumes elsewhere: SEPTUM_DATA_DIR"
        }
        VolumesError::File(..) => "make it possible for the user who runs septum",
        VolumesError::Missing(name) => {
            &did_you_mean(name, names(), "'septum volume ls' lists those that there are")
        }
        VolumesError::InUse => "'septum ps' lists partitions; 'septum rm -f' ends one",
    };
    Failure::new(Code::Path, what, error.to_string()).hint(hint)
}

/// Removes those of these volumes that nobody has given a name. Whoever has one keeps it.
pub fn remove_nameless(names: &[String]) {
    let volumes = volumes();
    let nameless = |name: &&String| volumes.find(name).is_ok_and(|volume| volume.description.is_anonymous);
    names.iter().filter(nameless).for_each(|name| drop(volumes.remove(name)));
}

/// The partitions that have a volume, by their names, as far as they are known.
fn users(name: &str) -> Vec<String> {
    let registry = Registry::new(places::runtime_directory(getuid().as_raw()));
    let all = registry.list();
    let live = all.iter().map(|found| &found.record).filter(|record| record.state.is_live());
    let with_it = live.filter(|record| record.volumes.iter().any(|volume| volume == name));
    with_it.map(|record| record.shown_name().to_owned()).collect()
}

fn create(create: CreateVolume) -> Result<(), Failure> {
    let what = |name: &str| format!("cannot make volume '{name}'");
    let is_anonymous = create.name.is_none();
    let name = match create.name {
        Some(name) => name,
        None => random_name().map_err(|error| {
            Failure::new(Code::Host, what(""), format!("the host gives no random numbers: {error}"))
        })?,
    };
    let labels: BTreeMap<String, String> = create.label.into_iter().collect();
    let description = Description { created_ms: now_ms(), labels, is_anonymous };
    // As in Docker: one that is there already is as good.
    volumes().create(&name, &description).map_err(|error| failure(what(&name), &error))?;
    message::print(&format!("{name}\n"));
    Ok(())
}

fn listed(filters: &[VolumeFilter]) -> Result<Vec<Listed>, Failure> {
    let all = volumes().list().map_err(|error| failure("cannot list the volumes".to_owned(), &error))?;
    Ok(all.into_iter().filter(|volume| as_shown(volume).is_wanted(filters)).collect())
}

fn list(list: &ListVolumes) -> Result<(), Failure> {
    let volumes: Vec<Shown> = listed(&list.filter)?.iter().map(as_shown).collect();
    message::print(&shown::list(list, &volumes));
    Ok(())
}

/// Those that have a volume, or that somebody has.
fn used_by(volume: &Listed) -> Vec<String> {
    if !volume.is_used {
        return Vec::new();
    }
    let users = users(&volume.name);
    if users.is_empty() { vec!["(unknown)".to_owned()] } else { users }
}

fn as_shown(volume: &Listed) -> Shown {
    Shown {
        anonymous: volume.description.is_anonymous,
        created_ms: volume.description.created_ms,
        labels: volume.description.labels.clone(),
        mountpoint: volume.data.to_string_lossy().into_owned(),
        name: volume.name.clone(),
        used_by: used_by(volume),
    }
}

/// Does something with each, tells what fails, and goes on.
fn each(names: &[String], mut act: impl FnMut(&str) -> Result<(), Failure>) -> ExitCode {
    let mut status = 0;
    for name in names {
        if let Err(failure) = act(name) {
            message::failure(&failure);
            status = failure.code.number();
        }
    }
    ExitCode::from(status)
}

fn inspect(inspect: &InspectVolumes) -> ExitCode {
    let mut found = Vec::new();
    let status = each(&inspect.volumes, |name| {
        let volume = volumes().find(name);
        found.push(as_shown(
            &volume.map_err(|error| failure(format!("cannot inspect volume '{name}'"), &error))?,
        ));
        Ok(())
    });
    message::print(&shown::json(&found));
    status
}

fn remove(remove: &RemoveVolumes) -> ExitCode {
    each(&remove.volumes, |name| {
        match volumes().remove(name) {
            Ok(()) => message::print(&format!("{name}\n")),
            Err(VolumesError::Missing(_)) if remove.force => {}
            Err(error) => {
                let failure = failure(format!("cannot remove volume '{name}'"), &error);
                let users = if matches!(error, VolumesError::InUse) { users(name) } else { Vec::new() };
                let why = if users.is_empty() {
                    failure.why.clone()
                } else {
                    format!("partition {} uses it", users.join(", "))
                };
                return Err(Failure { why, ..failure });
            }
        }
        Ok(())
    })
}

fn prune(prune: &PruneVolumes) -> Result<(), Failure> {
    let unused = |volume: &Listed| !volume.is_used && (prune.all || volume.description.is_anonymous);
    let unused: Vec<Listed> = listed(&prune.filter)?.into_iter().filter(unused).collect();
    if !prune.force {
        if !std::io::stdin().is_terminal() {
            let why = "nobody is there to be asked";
            return Err(Failure::new(Code::Usage, "cannot remove volumes", why).hint("say --force"));
        }
        if !is_agreed(prune.all) {
            return Ok(());
        }
    }
    let (mut bytes, mut text) = (0, String::new());
    for volume in unused {
        let size = size_of(&volume.data);
        match volumes().remove(&volume.name) {
            Ok(()) => {
                bytes += size;
                text.push_str(&format!("{}\n", volume.name));
            }
            // Somebody was faster, or begins to use it.
            Err(VolumesError::Missing(_) | VolumesError::InUse) => {}
            Err(error) => {
                message::failure(&failure(format!("cannot remove volume '{}'", volume.name), &error))
            }
        }
    }
    let head = if text.is_empty() { "" } else { "Deleted volumes:\n" };
    let gap = if text.is_empty() { "" } else { "\n" };
    message::print(&format!("{head}{text}{gap}Total reclaimed space: {}\n", Size(bytes)));
    Ok(())
}

/// What the files of a folder take on the disk, in bytes, as far as they can be seen.
fn size_of(folder: &Path) -> u64 {
    let (mut bytes, mut waiting) = (0_u64, vec![folder.to_owned()]);
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            let Ok(metadata) = entry.metadata() else { continue };
            bytes = bytes.saturating_add(metadata.blocks().saturating_mul(512));
            if metadata.is_dir() {
                waiting.push(entry.path());
            }
        }
    }
    bytes
}
