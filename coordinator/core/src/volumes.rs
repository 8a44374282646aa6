//! Volumes of the coordinator's user: those of `septum volume`, by the same code.

use septum_api_types::v1::{CreateVolume, Problem, ProblemCode, Volume};
use septum_registry::record::now_ms;
use septum_registry::volumes::{Description, Listed, Volumes, VolumesError};

use crate::coordinator::Coordinator;

impl Coordinator {
    fn volumes(&self) -> Volumes {
        Volumes::new(&self.configuration.data)
    }

    /// All volumes, by name.
    ///
    /// # Errors
    /// The host does not let us look.
    pub fn list_volumes(&self) -> Result<Vec<Volume>, Problem> {
        let all = self.volumes().list().map_err(|error| problem("cannot list the volumes", &error))?;
        Ok(all.into_iter().map(|volume| self.shown(volume)).collect())
    }

    /// The volume with this name.
    ///
    /// # Errors
    /// There is none.
    pub fn volume(&self, name: &str) -> Result<Volume, Problem> {
        let found = self.volumes().find(name);
        let found = found.map_err(|error| problem(&format!("cannot find volume '{name}'"), &error))?;
        Ok(self.shown(found))
    }

    /// Makes a volume, unless there is one of that name; whether there was not.
    ///
    /// # Errors
    /// Its name is none, or the host does not let us.
    pub fn create_volume(&self, create: CreateVolume) -> Result<(Volume, bool), Problem> {
        let message = format!("cannot make volume '{}'", create.name);
        if let Err(error) = septum_api_types::volume::name(create.name.as_bytes()) {
            let cause = format!("field 'name': '{}' {error}", create.name);
            return Err(Problem::new(ProblemCode::Invalid, message, cause, "give another name"));
        }
        let description =
            Description { created_ms: now_ms(), labels: create.labels, is_anonymous: create.is_anonymous };
        let is_new =
            self.volumes().create(&create.name, &description).map_err(|error| problem(&message, &error))?;
        Ok((self.volume(&create.name)?, is_new))
    }

    /// Removes a volume with all that is in it.
    ///
    /// # Errors
    /// There is none, or a partition has it.
    pub fn remove_volume(&self, name: &str) -> Result<(), Problem> {
        let gone = self.volumes().remove(name);
        gone.map_err(|error| problem(&format!("cannot remove volume '{name}'"), &error))
    }

    fn shown(&self, volume: Listed) -> Volume {
        let inner = self.lock();
        let has = |volumes: &[String]| volumes.contains(&volume.name);
        let live = inner.book.all().filter(|partition| partition.state.is_live());
        let users = live.filter(|it| it.record.as_ref().is_some_and(|record| has(&record.volumes)));
        let partitions = users.map(|partition| partition.id.clone()).collect();
        Volume {
            path: volume.data.to_string_lossy().into_owned(),
            created_ms: volume.description.created_ms,
            labels: volume.description.labels,
            is_anonymous: volume.description.is_anonymous,
            is_used: volume.is_used,
            partitions,
            name: volume.name,
        }
    }
}

fn problem(message: &str, error: &VolumesError) -> Problem {
    let (code, next) = match error {
        VolumesError::Missing(_) => (ProblemCode::NotFound, "GET /v1/volumes lists all"),
        VolumesError::InUse => (ProblemCode::Conflict, "end the partitions that have it"),
        VolumesError::File(_, error) if error.kind() == std::io::ErrorKind::StorageFull => {
            (ProblemCode::StorageFull, "make room, or keep volumes elsewhere: SEPTUM_DATA_DIR")
        }
        VolumesError::File(..) => {
            (ProblemCode::Internal, "make it possible for the user who runs septum serve")
        }
    };
    Problem::new(code, message, error.to_string(), next)
}
