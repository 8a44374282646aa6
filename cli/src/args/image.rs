//! What was typed after `septum image`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use septum_api_types::size::Size;

use crate::complete;

/// Make images, and look after those that there are. An image is a root that never changes, and how its programs are started; partitions that
/// run it share one copy in memory.
#[derive(Debug, Args)]
pub struct Image {
    #[command(subcommand)]
    pub action: Action,
}

#[derive(Debug, Subcommand)]
pub enum Action {
    /// Make an image from a directory, an OCI layout, an archive of 'docker save', a root in a tar, or a recipe
    Build(Build),
    /// List the images that there are
    Ls(List),
    /// Remove images
    Rm(Remove),
    /// Tell how an image is started, and what it is made of
    Inspect(Inspect),
    /// Write an image as an archive that is both an OCI layout and one of 'docker save'
    Export(Export),
    /// Give an image another name
    Tag(Tag),
}

#[derive(Debug, Args)]
pub struct Build {
    /// What to make it from
    #[arg(value_name = "SOURCE")]
    pub source: PathBuf,

    /// Name of the image, NAME or NAME:TAG; more than one may be given
    #[arg(short, long, value_name = "NAME[:TAG]")]
    pub tag: Vec<String>,

    /// Most bytes of files that it may unpack
    #[arg(long, value_name = "SIZE", default_value_t = Size(16 << 30))]
    pub max_size: Size,

    /// Most files that it may unpack
    #[arg(long, value_name = "N", default_value_t = 2_000_000)]
    pub max_files: u64,

    /// Print nothing but the digest
    #[arg(short, long)]
    pub quiet: bool,

    /// End if this process, which started this one, does
    #[arg(long, value_name = "PID", hide = true)]
    pub with_parent: Option<i32>,
}

#[derive(Debug, Args)]
pub struct List {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Remove {
    /// Names or digests
    #[arg(required = true, value_name = "IMAGE", add = complete::images())]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Inspect {
    /// Name or digest
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: String,
}

#[derive(Debug, Args)]
pub struct Export {
    /// Name or digest
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: String,

    /// Write to this file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Debug, Args)]
pub struct Tag {
    /// Name or digest
    #[arg(value_name = "IMAGE", add = complete::images())]
    pub image: String,
    /// The other name
    #[arg(value_name = "NAME[:TAG]")]
    pub name: String,
}
