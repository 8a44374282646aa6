//! Images as other tools take them: an archive that is both an OCI layout and one of `docker save`, with one layer.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

use oci_spec::image::{
    Arch, DescriptorBuilder, Digest, ImageConfigurationBuilder, ImageIndexBuilder, ImageManifestBuilder,
    MediaType, Os, RootFsBuilder,
};
use septum_erofs::{Image, Inode, Kind, device_number};
use serde::Serialize;
use sha2::{Digest as _, Sha256};

use crate::building::Building;
use crate::error::Error;
use crate::reference::Reference;
use crate::source::image::{attributes, open_files};
use crate::storage::FileStorage;
use crate::store::Store;
use crate::tree::Attributes;
use crate::verity::hexadecimal;

/// Writes an image of the store as an archive.
pub(crate) fn export(
    store: &Store,
    reference: &Reference,
    building: &mut Building,
    target: &mut dyn Write,
) -> Result<(), Error> {
    let stored = store.stored(&store.resolve(reference)?)?;
    let image = open_files(store, &stored.files)?;
    let (_, place) = building.place();
    let file = File::options().read(true).write(true).create_new(true).open(&place);
    let mut layer = Layer {
        file: io::BufWriter::new(file.map_err(Error::host("make", &place))?),
        hasher: Sha256::new(),
        len: 0,
    };
    let written = write_layer(&image, &mut layer).and_then(|()| layer.finish());
    let (mut layer, diff_id, layer_len) = written.map_err(Error::host("write", &place))?;

    let unusable = |error: &dyn std::fmt::Display| Error::Unusable(error.to_string());
    let build = || -> Result<_, oci_spec::OciSpecError> {
        let rootfs =
            RootFsBuilder::default().typ("layers").diff_ids([format!("sha256:{diff_id}")]).build()?;
        ImageConfigurationBuilder::default()
            .architecture(Arch::Amd64)
            .os(Os::Linux)
            .rootfs(rootfs)
            .config(stored.config.clone())
            .build()
    };
    let configuration = Blob::of(&build().map_err(|error| unusable(&error))?)?;
    let describe = |kind: MediaType, digits: &str, len: u64| -> Result<_, oci_spec::OciSpecError> {
        let digest: Digest = format!("sha256:{digits}").parse()?;
        let builder = DescriptorBuilder::default().media_type(kind).digest(digest).size(len);
        builder.build()
    };
    let manifest = || -> Result<_, oci_spec::OciSpecError> {
        ImageManifestBuilder::default()
            .schema_version(2_u32)
            .media_type(MediaType::ImageManifest)
            .config(describe(MediaType::ImageConfig, &configuration.digits, configuration.len())?)
            .layers([describe(MediaType::ImageLayer, &diff_id, layer_len)?])
            .build()
    };
    let manifest = Blob::of(&manifest().map_err(|error| unusable(&error))?)?;
    let index = || -> Result<_, oci_spec::OciSpecError> {
        let mut descriptor = describe(MediaType::ImageManifest, &manifest.digits, manifest.len())?;
        if let Reference::Name { tag, .. } = reference {
            let key = "org.opencontainers.image.ref.name".to_owned();
            descriptor.set_annotations(Some(HashMap::from([(key, tag.clone())])));
        }
        ImageIndexBuilder::default().schema_version(2_u32).manifests([descriptor]).build()
    };
    let index = Blob::of(&index().map_err(|error| unusable(&error))?)?;
    let names: Vec<String> = match reference {
        Reference::Name { .. } => vec![reference.to_string()],
        Reference::Digest(_) => Vec::new(),
    };
    let blob = |digits: &str| format!("blobs/sha256/{digits}");
    let docker = Blob::of(&serde_json::json!([{
        "Config": blob(&configuration.digits),
        "RepoTags": names,
        "Layers": [blob(&diff_id)],
    }]))?;

    let mut archive = tar::Builder::new(target);
    let mut append = |name: &str, len: u64, bytes: &mut dyn Read| {
        let mut header = header(tar::EntryType::Regular, len, 0o644);
        archive.append_data(&mut header, name, bytes)
    };
    let mut write = || -> io::Result<()> {
        let layout: &[u8] = b"{\"imageLayoutVersion\":\"1.0.0\"}";
        append("oci-layout", layout.len() as u64, &mut &*layout)?;
        for (name, blob) in [("index.json", &index), ("manifest.json", &docker)] {
            append(name, blob.len(), &mut blob.bytes.as_slice())?;
        }
        for part in [&manifest, &configuration] {
            append(&blob(&part.digits), part.len(), &mut part.bytes.as_slice())?;
        }
        append(&blob(&diff_id), layer_len, &mut layer)
    };
    write().and_then(|()| archive.finish()).map_err(Error::host("write", Path::new("the archive")))
}

/// JSON, and its digest.
struct Blob {
    bytes: Vec<u8>,
    digits: String,
}

impl Blob {
    fn of(value: &impl Serialize) -> Result<Self, Error> {
        let bytes = serde_json::to_vec(value).map_err(|error| Error::Unusable(error.to_string()))?;
        let digits = hexadecimal(&Sha256::digest(&bytes));
        Ok(Self { bytes, digits })
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }
}

/// A layer that is being written.
struct Layer {
    file: io::BufWriter<File>,
    hasher: Sha256,
    len: u64,
}

impl Write for Layer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Layer {
    /// The file, at its start, its digest and length.
    fn finish(self) -> io::Result<(File, String, u64)> {
        let mut file = self.file.into_inner().map_err(io::IntoInnerError::into_error)?;
        io::Seek::rewind(&mut file)?;
        Ok((file, hexadecimal(&self.hasher.finalize()), self.len))
    }
}

fn header(kind: tar::EntryType, size: u64, permissions: u32) -> tar::Header {
    let mut header = tar::Header::new_ustar();
    header.set_entry_type(kind);
    header.set_size(size);
    header.set_mode(permissions);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header
}

/// Contents of a file of the image.
struct Contents<'a> {
    image: &'a Image<FileStorage>,
    inode: Inode,
    at: u64,
}

impl Read for Contents<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let len = self.image.read_contents(&self.inode, self.at, into).map_err(io::Error::other)?;
        self.at += len as u64;
        Ok(len)
    }
}

/// Writes all files.
fn write_layer(image: &Image<FileStorage>, target: &mut Layer) -> io::Result<()> {
    let mut archive = tar::Builder::new(target);
    let mut linked: HashMap<u64, Vec<u8>> = HashMap::new();
    let mut waiting = vec![(image.root(), Vec::new())];
    while let Some((number, path)) = waiting.pop() {
        let inode = image.inode(number).map_err(io::Error::other)?;
        let first = linked.get(&number).cloned();
        if first.is_none() && inode.kind != Kind::Directory {
            linked.insert(number, path.clone());
        }
        write_member(image, &inode, &path, first.as_deref(), &mut archive)?;
        if inode.kind == Kind::Directory {
            let start = waiting.len();
            let mut push = |entry: septum_erofs::Entry<'_>| {
                if !matches!(entry.name, b"." | b"..") {
                    let separator: &[u8] = if path.is_empty() { b"" } else { b"/" };
                    waiting.push((entry.number, [&path[..], separator, entry.name].concat()));
                }
                true
            };
            image.list(&inode, 0, &mut push).map_err(io::Error::other)?;
            waiting[start..].reverse();
        }
    }
    archive.finish()
}

fn write_member(
    image: &Image<FileStorage>,
    inode: &Inode,
    path: &[u8],
    first: Option<&[u8]>,
    archive: &mut tar::Builder<&mut Layer>,
) -> io::Result<()> {
    let Attributes { permissions, uid, gid, modified, extended } =
        attributes(image, inode).map_err(io::Error::other)?;
    let kind = match (first, inode.kind) {
        (Some(_), _) => tar::EntryType::Link,
        (None, Kind::Directory) => tar::EntryType::Directory,
        (None, Kind::Regular) => tar::EntryType::Regular,
        (None, Kind::Symlink) => tar::EntryType::Symlink,
        (None, Kind::CharacterDevice) => tar::EntryType::Char,
        (None, Kind::BlockDevice) => tar::EntryType::Block,
        (None, Kind::Fifo) => tar::EntryType::Fifo,
        // No archive has them.
        (None, Kind::Socket) => return Ok(()),
    };
    let has_contents = kind == tar::EntryType::Regular;
    let mut header = header(kind, if has_contents { inode.size } else { 0 }, permissions);
    // What does not fit into the header goes before it.
    let mut records: Vec<(String, Vec<u8>)> = Vec::new();
    let fits = |value: u32| value < 1 << 21;
    for (key, value) in [("uid", uid), ("gid", gid)] {
        if !fits(value) {
            records.push((key.to_owned(), value.to_string().into_bytes()));
        }
    }
    header.set_uid(u64::from(if fits(uid) { uid } else { 0 }));
    header.set_gid(u64::from(if fits(gid) { gid } else { 0 }));
    match modified {
        (seconds @ 0..=0o77_777_777_777, 0) => header.set_mtime(seconds.unsigned_abs()),
        (seconds, nanoseconds) => {
            records.push(("mtime".to_owned(), decimal(seconds, nanoseconds).into_bytes()))
        }
    }
    for (name, value) in extended {
        records.push((format!("SCHILY.xattr.{}", String::from_utf8_lossy(&name)), value));
    }
    if !records.is_empty() {
        archive.append_pax_extensions(records.iter().map(|(key, value)| (key.as_str(), value.as_slice())))?;
    }
    let (major, minor) = device_number(inode.device);
    if matches!(kind, tar::EntryType::Char | tar::EntryType::Block) {
        header.set_device_major(major)?;
        header.set_device_minor(minor)?;
    }
    let name = if path.is_empty() { b"./" } else { path };
    let name = Path::new(std::ffi::OsStr::from_bytes(name));
    let target = match (first, inode.kind) {
        (Some(first), _) => Some(first.to_vec()),
        (None, Kind::Symlink) => Some(image.read_link(inode).map_err(io::Error::other)?),
        _ => None,
    };
    match target {
        Some(target) => {
            archive.append_link(&mut header, name, Path::new(std::ffi::OsStr::from_bytes(&target)))
        }
        None if has_contents => {
            archive.append_data(&mut header, name, Contents { image, inode: *inode, at: 0 })
        }
        None => archive.append_data(&mut header, name, io::empty()),
    }
}

/// Seconds and nanoseconds after them as one number.
fn decimal(seconds: i64, nanoseconds: u32) -> String {
    if seconds < 0 && nanoseconds > 0 {
        format!("-{}.{:09}", -(seconds + 1), 1_000_000_000 - nanoseconds)
    } else {
        format!("{seconds}.{nanoseconds:09}")
    }
}
