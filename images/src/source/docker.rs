//! Archives of `docker save` and `podman save`: a manifest, a configuration and layers in a tar.

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::archive::Archive;
use super::layer::{self, Known};
use super::oci::{check_platform, parse};
use super::{Loaded, Unpacking};
use crate::error::Error;
use crate::tree::Tree;

const LARGEST: u64 = 8 << 20;

/// The file that says what is in the archive.
pub(super) const MANIFEST: &str = "manifest.json";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Image {
    config: String,
    layers: Vec<String>,
}

/// Reads the image of an archive.
pub(super) fn load(archive: &Archive, unpacking: &mut Unpacking<'_>) -> Result<Loaded, Error> {
    let images: Vec<Image> = parse(MANIFEST, &archive.read(MANIFEST, LARGEST)?)?;
    let image = match images.as_slice() {
        [image] => image,
        [] => return Err(Error::Unusable("it holds no image".to_owned())),
        _ => return Err(Error::Unusable("it holds several images; save one of them alone".to_owned())),
    };
    let configuration: ImageConfiguration = parse(&image.config, &archive.read(&image.config, LARGEST)?)?;
    check_platform(&configuration)?;
    let diff_ids = configuration.rootfs().diff_ids();
    if image.layers.len() != diff_ids.len() {
        return Err(Error::damaged("the manifest", "its layers are not those of the configuration"));
    }
    let mut tree = Tree::new();
    for (name, diff_id) in image.layers.iter().zip(diff_ids) {
        let (section, _) = archive.section(name)?;
        let known = Known { stored: None, unpacked: Some(diff_id.as_ref()) };
        layer::unpack(section, &format!("layer '{name}'"), known, &mut tree, unpacking)?;
    }
    Ok(Loaded { tree, config: configuration.config().clone().unwrap_or_default() })
}
