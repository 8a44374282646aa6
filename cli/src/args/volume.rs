//! What was typed after `septum volume`.

use clap::{Args, Subcommand};

use super::partitions::Format;
use super::values::label;
use crate::complete;

/// Make volumes, and look after those that there are. A volume is a directory that outlives partitions: --volume NAME:GUEST puts it into
/// one, and makes it if it is not there.
#[derive(Debug, Args)]
pub struct Volume {
    #[command(subcommand)]
    pub action: VolumeAction,
}

#[derive(Debug, Subcommand)]
pub enum VolumeAction {
    /// Make a volume, and print its name
    Create(CreateVolume),
    /// List the volumes that there are
    #[command(visible_alias = "list")]
    Ls(ListVolumes),
    /// Print all that is known of volumes, as JSON
    Inspect(InspectVolumes),
    /// Remove volumes that no partition has, with all that is in them
    #[command(visible_alias = "remove")]
    Rm(RemoveVolumes),
    /// Remove volumes without a name of their own that no partition has
    Prune(PruneVolumes),
}

#[derive(Debug, Args)]
pub struct CreateVolume {
    /// Attach a label to it
    #[arg(long, value_name = "KEY[=VALUE]", value_parser = label)]
    pub label: Vec<(String, String)>,

    /// Its name; without one, 64 digits
    #[arg(value_name = "NAME", value_parser = name)]
    pub name: Option<String>,
}

#[derive(Debug, Args)]
pub struct ListVolumes {
    /// Only their names
    #[arg(short, long)]
    pub quiet: bool,

    /// Only some of them: name=PART, label=KEY[=VALUE], dangling=true|false (that no partition has, or one has)
    #[arg(short, long, value_name = "KEY=VALUE", value_parser = filter)]
    pub filter: Vec<VolumeFilter>,

    /// How: a table, or a JSON object a line
    #[arg(long, value_name = "FORMAT", default_value = "table")]
    pub format: Format,

    /// Print JSON: one list
    #[arg(long, conflicts_with = "format")]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct InspectVolumes {
    /// Names
    #[arg(required = true, value_name = "VOLUME", add = complete::volumes())]
    pub volumes: Vec<String>,
}

#[derive(Debug, Args)]
pub struct RemoveVolumes {
    /// Say nothing of volumes that are not there
    #[arg(short, long)]
    pub force: bool,

    /// Names
    #[arg(required = true, value_name = "VOLUME", add = complete::volumes())]
    pub volumes: Vec<String>,
}

#[derive(Debug, Args)]
pub struct PruneVolumes {
    /// Those with names, too
    #[arg(short, long)]
    pub all: bool,

    /// Only some of them: label=KEY[=VALUE]
    #[arg(long, value_name = "KEY=VALUE", value_parser = filter)]
    pub filter: Vec<VolumeFilter>,

    /// Do not ask
    #[arg(short, long)]
    pub force: bool,
}

/// Which volumes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VolumeFilter {
    /// With this in their names.
    Name(String),
    /// With this label, and with this value of it if one is given.
    Label(String, Option<String>),
    /// That no partition has, or one has.
    Dangling(bool),
}

fn filter(text: &str) -> Result<VolumeFilter, &'static str> {
    match text.split_once('=') {
        Some(("name", part)) => Ok(VolumeFilter::Name(part.to_owned())),
        Some(("label", label)) => Ok(match label.split_once('=') {
            Some((key, value)) => VolumeFilter::Label(key.to_owned(), Some(value.to_owned())),
            None => VolumeFilter::Label(label.to_owned(), None),
        }),
        Some(("dangling", "true" | "1")) => Ok(VolumeFilter::Dangling(true)),
        Some(("dangling", "false" | "0")) => Ok(VolumeFilter::Dangling(false)),
        _ => Err("is not a filter; expected name=PART, label=KEY[=VALUE] or dangling=true|false"),
    }
}

fn name(text: &str) -> Result<String, &'static str> {
    septum_api_types::volume::name(text.as_bytes()).map_err(|_| {
        "is not a volume's name; expected two or more letters, digits, '_', '.' and '-', the first a letter or digit"
    })
}
