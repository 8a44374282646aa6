//! Volumes as `septum volume` shows them, wherever they are.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::args::{Format, ListVolumes, VolumeFilter};

/// What is shown of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Shown {
    pub anonymous: bool,
    pub created_ms: u64,
    pub labels: BTreeMap<String, String>,
    pub mountpoint: String,
    pub name: String,
    /// Partitions that have it.
    pub used_by: Vec<String>,
}

impl Shown {
    /// Whether it is one of those that are meant.
    pub fn is_wanted(&self, filters: &[VolumeFilter]) -> bool {
        filters.iter().all(|filter| match filter {
            VolumeFilter::Name(part) => self.name.contains(part),
            VolumeFilter::Label(key, value) => {
                let found = self.labels.get(key);
                found.is_some_and(|found| value.as_ref().is_none_or(|value| value == found))
            }
            VolumeFilter::Dangling(is_unused) => self.used_by.is_empty() == *is_unused,
        })
    }
}

/// A list, as it is asked for.
pub fn list(list: &ListVolumes, volumes: &[Shown]) -> String {
    if list.quiet {
        volumes.iter().map(|volume| format!("{}\n", volume.name)).collect()
    } else if list.json {
        json(volumes)
    } else if list.format == Format::Json {
        volumes.iter().map(|volume| serde_json::to_string(volume).unwrap_or_default() + "\n").collect()
    } else {
        table(volumes)
    }
}

/// All of them, as one list.
pub fn json(volumes: &[Shown]) -> String {
    serde_json::to_string_pretty(volumes).unwrap_or_default() + "\n"
}

fn table(volumes: &[Shown]) -> String {
    let width = volumes.iter().map(|volume| volume.name.len()).max().unwrap_or(0).max("VOLUME NAME".len());
    let mut text = format!("{:<width$}   USED BY\n", "VOLUME NAME");
    for volume in volumes {
        let line = format!("{:<width$}   {}", volume.name, volume.used_by.join(", "));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// 64 hexadecimal digits, as Docker's are.
pub fn random_name() -> std::io::Result<String> {
    let parts: std::io::Result<Vec<String>> = (0..6).map(|_| septum_registry::directory::new_id()).collect();
    let mut name = parts?.concat();
    name.truncate(64);
    Ok(name)
}

/// What is said before volumes are removed that nobody has; whether a person agrees.
pub fn is_agreed(is_all: bool) -> bool {
    use std::io::BufRead as _;

    let which = if is_all { "all volumes" } else { "all volumes without a name of their own" };
    crate::message::print(&format!(
        "This removes {which} that no partition has, with all that is in them. Continue? [y/N] "
    ));
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    matches!(answer.trim(), "y" | "Y" | "yes")
}
