//! What is kept of an image besides its files.

use std::collections::HashMap;

use oci_spec::image::Config as OciConfig;
use serde::{Deserialize, Serialize};

/// How a program of the image is started, as OCI's image configuration names it: entry point, environment and so on.
pub type Config = OciConfig;

/// The version of [`Stored`].
pub(crate) const VERSION: u32 = 1;

/// A stored image. Its digest is that of this, as JSON; so the digest covers the files and the configuration.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stored {
    /// Of this structure.
    pub version: u32,
    /// The digest of the file that holds its files: `sha256:` and 64 digits, that of fs-verity.
    pub files: String,
    /// Bytes of that file.
    pub size: u64,
    /// Files, directories and links.
    pub entries: u64,
    /// How its programs are started.
    pub config: Config,
}

/// Changes to a configuration.
#[derive(Clone, Debug, Default)]
pub(crate) struct Changes {
    pub(crate) environment: Vec<(String, String)>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) user: Option<String>,
    pub(crate) working_directory: Option<String>,
    pub(crate) stop_signal: Option<String>,
    pub(crate) volumes: Vec<String>,
    pub(crate) labels: Vec<(String, String)>,
}

impl Changes {
    pub(crate) fn apply(self, config: &mut Config) {
        if !self.environment.is_empty() {
            let mut variables = config.env().clone().unwrap_or_default();
            for (key, value) in self.environment {
                variables.retain(|known| known.split('=').next() != Some(&key));
                variables.push(format!("{key}={value}"));
            }
            config.set_env(Some(variables));
        }
        if let Some(entrypoint) = self.entrypoint {
            // As with Docker: the command belongs to the entry point before.
            config.set_cmd(None);
            config.set_entrypoint(Some(entrypoint));
        }
        if let Some(command) = self.command {
            config.set_cmd(Some(command));
        }
        if let Some(user) = self.user {
            config.set_user(Some(user));
        }
        if let Some(directory) = self.working_directory {
            config.set_working_dir(Some(directory));
        }
        if let Some(signal) = self.stop_signal {
            config.set_stop_signal(Some(signal));
        }
        if !self.volumes.is_empty() {
            let mut volumes = config.volumes().clone().unwrap_or_default();
            volumes.extend(self.volumes);
            volumes.sort();
            volumes.dedup();
            config.set_volumes(Some(volumes));
        }
        if !self.labels.is_empty() {
            let mut labels: HashMap<String, String> = config.labels().clone().unwrap_or_default();
            labels.extend(self.labels);
            config.set_labels(Some(labels));
        }
    }
}
