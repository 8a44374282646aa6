//! Volumes of a partition, from its start to its end.

use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::PartitionSpec;
use septum_registry::record::now_ms;
use septum_registry::volumes::{Description, Held};

use super::shown::random_name;
use super::{failure, volumes};

/// What a partition has of volumes, for as long as this is kept.
#[derive(Debug, Default)]
pub struct Kept {
    named: Vec<Held>,
    nameless: Vec<Held>,
}

impl Kept {
    /// The partition is over, and what had no name of its own goes with it. What cannot be removed is there for `septum volume prune`.
    pub fn end(self) {
        let volumes = volumes();
        self.nameless.into_iter().for_each(|held| drop(volumes.give_up(held)));
    }
}

/// Finds the volumes that a partition is to have and that Septum keeps, makes those that are not there, and keeps them for it. One that is empty
/// begins with what the image has in its place.
pub fn hold(spec: &mut PartitionSpec) -> Result<Kept, Failure> {
    let mut kept = Kept::default();
    match fill_in(spec, &mut kept) {
        Ok(()) => Ok(kept),
        Err(failure) => {
            kept.end();
            Err(failure)
        }
    }
}

fn fill_in(spec: &mut PartitionSpec, kept: &mut Kept) -> Result<(), Failure> {
    let volumes = volumes();
    for volume in &mut spec.volumes {
        let what = format!("cannot use volume '{volume}'");
        if volume.is_anonymous {
            let name = random_name().map_err(|error| {
                Failure::new(Code::Host, what.clone(), format!("the host gives no random numbers: {error}"))
            })?;
            let description =
                Description { created_ms: now_ms(), is_anonymous: true, ..Description::default() };
            volumes.create(&name, &description).map_err(|error| failure(what.clone(), &error))?;
            volume.name = Some(name);
        }
        let Some(name) = &volume.name else { continue };
        let held = volumes.hold(name).map_err(|error| failure(what.clone(), &error))?;
        volume.host = held.data.as_path().into();
        let list = if volume.is_anonymous { &mut kept.nameless } else { &mut kept.named };
        list.push(held);
        if let (Some(image), Some(held)) = (spec.image.as_ref().filter(|_| !volume.no_copy), list.last())
            && let Some(directory) = septum_images::directory(image, volume.guest.as_path())?
        {
            let filled = volumes.fill(held, |into| directory.copy_to(into));
            filled.map_err(|error| {
                failure(format!("{what}: what image '{}' has there cannot be copied", image.name), &error)
            })?;
        }
    }
    Ok(())
}
