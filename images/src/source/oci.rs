//! OCI layouts: a directory, or an archive, of blobs that are named by their digests.

use std::io::Read as _;

use oci_spec::image::{Arch, Descriptor, ImageConfiguration, ImageIndex, ImageManifest, MediaType, Os};
use serde::de::DeserializeOwned;
use sha2::{Digest as _, Sha256};

use super::archive::Archive;
use super::layer::{self, Known};
use super::{Loaded, Unpacking};
use crate::error::Error;
use crate::tree::Tree;
use crate::verity::named;

/// Bytes of a manifest, an index or a configuration.
const LARGEST: u64 = 8 << 20;
/// Layers that an image may have.
const MOST_LAYERS: usize = 1000;
/// Indices in indices.
const DEEPEST: u32 = 3;

/// The file that says that something is a layout.
pub(super) const MARK: &str = "oci-layout";

/// Reads the image of a layout.
pub(super) fn load(archive: &Archive, unpacking: &mut Unpacking<'_>) -> Result<Loaded, Error> {
    let index = parse("index.json", &archive.read("index.json", LARGEST)?)?;
    let manifest = manifest_of(archive, &index, DEEPEST)?;
    let manifest: ImageManifest = blob(archive, &manifest)?;
    let configuration: ImageConfiguration = blob(archive, manifest.config())?;
    check_platform(&configuration)?;
    let diff_ids = configuration.rootfs().diff_ids();
    if manifest.layers().len() != diff_ids.len() || diff_ids.len() > MOST_LAYERS {
        return Err(Error::damaged("the manifest", "its layers are not those of the configuration"));
    }
    let mut tree = Tree::new();
    for (descriptor, diff_id) in manifest.layers().iter().zip(diff_ids) {
        let what = format!("layer {}", descriptor.digest());
        let (section, len) = archive.section(&blob_name(descriptor)?)?;
        if len != descriptor.size() {
            let why = format!("it has {len} bytes, and should have {}", descriptor.size());
            return Err(Error::damaged(what, why));
        }
        let known = Known { stored: Some(descriptor.digest().as_ref()), unpacked: Some(diff_id.as_ref()) };
        layer::unpack(section, &what, known, &mut tree, unpacking)?;
    }
    Ok(Loaded { tree, config: configuration.config().clone().unwrap_or_default() })
}

/// An image for another machine cannot run.
pub(super) fn check_platform(configuration: &ImageConfiguration) -> Result<(), Error> {
    let (architecture, os) = (configuration.architecture(), configuration.os());
    if *architecture == Arch::Amd64 && *os == Os::Linux {
        return Ok(());
    }
    Err(Error::Unusable(format!(
        "it is an image for {os} on {architecture}, and partitions are Linux on amd64"
    )))
}

/// The manifest of the one image that can run here.
fn manifest_of(archive: &Archive, index: &ImageIndex, deeper: u32) -> Result<Descriptor, Error> {
    let is_ours = |descriptor: &&Descriptor| match descriptor.platform() {
        Some(platform) => *platform.architecture() == Arch::Amd64 && *platform.os() == Os::Linux,
        None => true,
    };
    let mut found = index.manifests().iter().filter(is_ours);
    let descriptor = match (found.next(), found.next()) {
        (Some(descriptor), None) => descriptor,
        (None, _) => {
            return Err(Error::Unusable("it holds no image for Linux on amd64".to_owned()));
        }
        (Some(_), Some(_)) => {
            return Err(Error::Unusable(
                "it holds several images; copy one of them to a layout of its own".to_owned(),
            ));
        }
    };
    let is_index = *descriptor.media_type() == MediaType::ImageIndex
        || descriptor.media_type().to_string().contains("manifest.list");
    if !is_index {
        return Ok(descriptor.clone());
    }
    if deeper == 0 {
        return Err(Error::refused("the index", "it leads to indices without end"));
    }
    manifest_of(archive, &blob(archive, descriptor)?, deeper - 1)
}

fn blob_name(descriptor: &Descriptor) -> Result<String, Error> {
    let digest = descriptor.digest();
    let (algorithm, digits) = (digest.algorithm().to_string(), digest.digest());
    if algorithm != "sha256" || digits.len() != 64 {
        return Err(Error::Unusable(format!("'{digest}' is a digest of a kind that septum does not know")));
    }
    Ok(format!("blobs/sha256/{digits}"))
}

/// A blob that is JSON, and what its descriptor says.
fn blob<T: DeserializeOwned>(archive: &Archive, descriptor: &Descriptor) -> Result<T, Error> {
    let name = blob_name(descriptor)?;
    let (section, _) = archive.section(&name)?;
    let mut bytes = Vec::new();
    let read = section.take(LARGEST + 1).read_to_end(&mut bytes);
    read.map_err(Error::host("read", std::path::Path::new(&name)))?;
    let digest = named(&Sha256::digest(&bytes));
    let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
    if digest != AsRef::<str>::as_ref(descriptor.digest()) || len != descriptor.size() {
        return Err(Error::damaged(
            format!("blob {}", descriptor.digest()),
            format!("its digest is {digest}"),
        ));
    }
    parse(&name, &bytes)
}

/// JSON of an archive.
pub(super) fn parse<T: DeserializeOwned>(name: &str, bytes: &[u8]) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|error| Error::damaged(format!("'{name}'"), error.to_string()))
}
