//! Deciding what is shared, and where the partition finds it.
//!
//! Looks at the host's files, changes nothing. The result has two halves that belong together: shares, which
//! [`enter`](super::enter) mounts below `/share`, and mounts, by which the guest kernel puts the shares where programs
//! look for them. Mounts are in the order in which the guest makes them: parents before what is inside them.

use std::ffi::OsString;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use septum_abi::config::{MountKind, Refusals};
use septum_abi::ram::RamOptions;
use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::network::Network;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::tmpfs::Tmpfs;
use septum_api_types::volume::Volume;
use septum_machine::MountSpec;

use super::image::RootImage;
use super::tree::Access;
use super::user::User;
use super::{etc, system};
use crate::outcome::without_number;

/// Everything that is decided.
pub(crate) struct Plan {
    /// What the guest kernel mounts, in this order.
    pub(crate) mounts: Vec<MountSpec>,
    /// The program: a name without a slash, or an absolute path in the partition.
    pub(crate) program: ByteString,
    /// Whether [`program`](Self::program) is where the caller said, only made absolute.
    pub(crate) is_program_literal: bool,
    /// Where the caller's own `PATH` has the program, if that is a directory that the partition lacks.
    pub(crate) found_outside: Option<PathBuf>,
    /// Who runs the program.
    pub(crate) user: User,
    /// Host name.
    pub(super) hostname: String,
    /// Whether there is anything outside that it may reach, or that reaches it.
    pub(super) network: Network,
    pub(super) root: Root,
    pub(super) shares: Vec<Share>,
}

/// Lower layer of the partition's root.
pub(super) enum Root {
    /// The host's system directories.
    Host,
    /// A directory of the host.
    Directory(PathBuf),
    /// An image, which the guest has in its memory.
    Image(Arc<RootImage>),
    /// Nothing: the guest has disks.
    Nothing,
}

/// One directory or file of the host that is in no system directory.
pub(super) struct Share {
    /// Canonical path on the host.
    pub(super) host: PathBuf,
    /// Where the partition finds it.
    pub(super) guest: PathBuf,
    pub(super) access: Access,
    pub(super) extent: Extent,
}

/// How much of a place in the partition a share is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Extent {
    /// A directory with all that is in it.
    Directory,
    /// A directory that holds one file, with this name.
    Holding(OsString),
    /// One file.
    File,
}

/// The name of a share that is a file, in the directory that the worker has for it.
pub(super) const ONLY_FILE: &str = "file";

/// Held in RAM in a partition that runs on the host's directories; `/var` is, too, as a part of the root's upper layer.
const RAM: [&str; 4] = ["/tmp", "/home", "/root", "/run"];
/// Not shared as current directories; what is in them is.
const NEVER_WHOLE: [&str; 8] = ["/tmp", "/home", "/root", "/run", "/var", "/dev/shm", "/var/tmp", "/etc"];
/// Not shared, nor anything in them, unless named as a volume.
const NEVER: [&str; 4] = ["/proc", "/sys", "/dev", "/etc"];

/// Decides.
pub(crate) fn plan(spec: &PartitionSpec) -> Result<Plan, Failure> {
    let root = match (&spec.image, &spec.root) {
        (Some(source), _) => Root::Image(Arc::new(RootImage::open(source)?)),
        (None, None) => Root::Host,
        (None, Some(directory)) => Root::Directory(root_directory(spec, directory)?),
    };
    let mut shares = Vec::new();
    for volume in &spec.volumes {
        let share = volume_share(spec, volume)?;
        if shares.iter().any(|other: &Share| other.guest == share.guest) {
            let why = format!("another volume is already at '{}'", volume.guest);
            return Err(volume_failure(volume, why, "give each volume a place of its own"));
        }
        shares.push(share);
    }
    if let (Some(directory), false) = (&spec.current_directory, matches!(root, Root::Image(_))) {
        shares.extend(current_directory_share(directory.as_path(), &shares));
    }
    check_tmpfs(spec, &mut shares)?;
    check_mount_points(spec, &shares)?;
    let user = User::find(spec, &root, Path::new("/etc"))?;
    let mut program = Program::locate(spec, &root, &shares)?;
    shares.extend(program.share.take());
    let mounts = mounts(spec, &root, &mut shares, &user);
    Ok(Plan {
        mounts,
        program: program.path,
        is_program_literal: program.is_literal,
        found_outside: program.found_outside,
        user,
        hostname: spec.hostname.clone(),
        network: spec.network.clone(),
        root,
        shares,
    })
}

impl Plan {
    /// The image that is the root, if one is.
    pub(crate) fn image(&self) -> Option<&Arc<RootImage>> {
        if let Root::Image(image) = &self.root { Some(image) } else { None }
    }

    /// Nothing at all, for a guest without files of the host.
    pub(crate) fn nothing(spec: &PartitionSpec) -> Self {
        Self { root: Root::Nothing, user: User::caller(spec, Path::new("/etc")), ..Self::empty() }
    }

    /// Where in the worker's root files may be changed.
    pub(crate) fn writable(&self) -> impl Iterator<Item = PathBuf> {
        let shares = self.shares.iter().enumerate();
        let shares = shares.filter(|(_, share)| share.access == Access::ReadWrite);
        shares.map(|(number, _)| Path::new(super::SHARED_ROOT).join(number.to_string()))
    }

    /// The host's system directories and nothing else.
    pub(super) fn empty() -> Self {
        Self {
            mounts: Vec::new(),
            program: ByteString::default(),
            is_program_literal: true,
            found_outside: None,
            user: User::root(),
            hostname: String::new(),
            network: Network::default(),
            root: Root::Host,
            shares: Vec::new(),
        }
    }
}

/// A path that the caller typed, from their current directory.
fn absolute(spec: &PartitionSpec, path: &Path) -> PathBuf {
    let start = spec.current_directory.as_ref().map_or(Path::new("/"), |directory| directory.as_path());
    // Components never yield `.` in the middle; `..` stays, since it depends on symbolic links.
    start.join(path).components().collect()
}

fn root_directory(spec: &PartitionSpec, path: &ByteString) -> Result<PathBuf, Failure> {
    let what = format!("cannot use root '{path}'");
    let hint = "give a directory that holds a Linux root: bin, lib, usr and so on";
    let canonical = absolute(spec, path.as_path())
        .canonicalize()
        .map_err(|error| Failure::new(Code::Path, what.clone(), without_number(&error)).hint(hint))?;
    if !canonical.is_dir() {
        return Err(Failure::new(Code::Path, what, "it is not a directory").hint(hint));
    }
    Ok(canonical)
}

fn volume_failure(volume: &Volume, why: impl Into<String>, hint: &str) -> Failure {
    Failure::new(Code::Path, format!("cannot use volume '{volume}'"), why).hint(hint)
}

fn volume_share(spec: &PartitionSpec, volume: &Volume) -> Result<Share, Failure> {
    let host = absolute(spec, volume.host.as_path()).canonicalize().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => volume_failure(
            volume,
            format!("there is no '{}' on this host", volume.host),
            &format!("create it: mkdir -p '{}'", volume.host),
        ),
        _ => volume_failure(volume, without_number(&error), Code::Path.advice()),
    })?;
    let metadata = host
        .metadata()
        .map_err(|error| volume_failure(volume, without_number(&error), Code::Path.advice()))?;
    let extent = if metadata.is_dir() {
        Extent::Directory
    } else if metadata.is_file() {
        Extent::File
    } else {
        let why = format!("'{}' is neither a directory nor a regular file", volume.host);
        return Err(volume_failure(volume, why, "a partition's sockets, fifos and devices are its own"));
    };
    let guest = volume.guest.as_path().to_owned();
    if let Some(taken) = ["/proc", "/sys", "/dev"].iter().find(|taken| guest.starts_with(taken)) {
        let why = format!("{taken} of a partition is its own");
        return Err(volume_failure(volume, why, "choose another place, such as /data"));
    }
    let access = if volume.read_only { Access::ReadOnly } else { Access::ReadWrite };
    Ok(Share { host, guest, access, extent })
}

/// The current directory at its own path, unless the partition has it anyway, a volume is in its place, or it is one
/// of those that are never shared.
fn current_directory_share(directory: &Path, volumes: &[Share]) -> Option<Share> {
    let is_never =
        NEVER.iter().any(|never| directory.starts_with(never)) && !directory.starts_with("/dev/shm");
    let is_whole = NEVER_WHOLE.iter().any(|whole| directory == Path::new(whole));
    let is_replaced = volumes.iter().any(|volume| directory.starts_with(&volume.guest));
    if directory == Path::new("/") || is_system(directory) || is_never || is_whole || is_replaced {
        return None;
    }
    Some(Share {
        host: directory.to_owned(),
        guest: directory.to_owned(),
        access: Access::ReadOnly,
        extent: Extent::Directory,
    })
}

/// What the caller should know if they stand in a directory in which one works, and which is not shared all the same.
pub(crate) fn unshared_directory(spec: &PartitionSpec) -> Option<String> {
    let current = spec.current_directory.as_ref()?;
    let directory = current.as_path();
    let is_meant = spec.image.is_none() && spec.root.is_none() && spec.working_directory.is_none();
    let is_replaced = spec.volumes.iter().any(|volume| directory.starts_with(volume.guest.as_path()));
    let is_one = ["/root", "/home"].iter().any(|whole| directory == Path::new(whole));
    (is_meant && is_one && !is_replaced).then(|| {
        format!(
            "septum: the current directory '{current}' is not shared whole, and empty in the partition\nhint: work in a directory \
             below it, or share it: --volume {current}:{current}:ro"
        )
    })
}

/// Whether an absolute path is in one of the host's system directories.
fn is_system(path: &Path) -> bool {
    system::DIRECTORIES.iter().any(|name| path.starts_with(Path::new("/").join(name)))
}

/// Places of RAM that cannot be. The current directory gives way to them.
fn check_tmpfs(spec: &PartitionSpec, shares: &mut Vec<Share>) -> Result<(), Failure> {
    for (number, tmpfs) in spec.tmpfs.iter().enumerate() {
        let guest = tmpfs.guest.as_path();
        let failure = |why: String, hint: &str| {
            Failure::new(Code::Path, format!("cannot use --tmpfs '{tmpfs}'"), why).hint(hint)
        };
        let is_own =
            ["/proc", "/sys"].iter().any(|taken| guest.starts_with(taken)) || guest == Path::new("/dev");
        if is_own {
            let why = format!("'{tmpfs}' of a partition is its own");
            return Err(failure(why, "choose another place, such as /scratch"));
        }
        let is_volume = spec.volumes.iter().any(|volume| volume.guest == tmpfs.guest);
        if is_volume || spec.tmpfs.iter().take(number).any(|other| other.guest == tmpfs.guest) {
            let why = format!("something else is already at '{tmpfs}'");
            return Err(failure(why, "give each a place of its own"));
        }
        shares.retain(|share| share.guest != guest);
        if let Some(place) = missing_place(shares, guest) {
            let why = format!("'{tmpfs}' is in what is read-only, and is not there");
            return Err(failure(why, &format!("create it: mkdir -p '{}'", place.display())));
        }
    }
    Ok(())
}

/// Where the host would need a directory so that something could be mounted inside a read-only share.
fn missing_place(shares: &[Share], guest: &Path) -> Option<PathBuf> {
    let outer = shares
        .iter()
        .filter(|share| guest != share.guest && guest.starts_with(&share.guest))
        .max_by_key(|share| share.guest.components().count())
        .filter(|outer| outer.access == Access::ReadOnly)?;
    let place = outer.host.join(guest.strip_prefix(&outer.guest).unwrap_or(guest));
    (!place.is_dir()).then_some(place)
}

/// A volume inside a read-only share needs a directory there to be mounted on: the guest cannot make one.
fn check_mount_points(spec: &PartitionSpec, shares: &[Share]) -> Result<(), Failure> {
    for volume in &spec.volumes {
        let guest = volume.guest.as_path();
        let outer = shares
            .iter()
            .filter(|share| guest != share.guest && guest.starts_with(&share.guest))
            .max_by_key(|share| share.guest.components().count());
        if let Some(file) = outer.filter(|outer| outer.extent == Extent::File) {
            let why = format!("'{}' is a file in the partition, another volume", file.guest.display());
            return Err(volume_failure(volume, why, "choose another place"));
        }
        let Some(outer) = outer.filter(|outer| outer.access == Access::ReadOnly) else { continue };
        let inside = guest.strip_prefix(&outer.guest).unwrap_or(guest);
        let place = outer.host.join(inside);
        let is_file = shares.iter().any(|share| share.guest == guest && share.extent == Extent::File);
        if if is_file { !place.is_file() } else { !place.is_dir() } {
            let (kind, command) = if is_file { ("file", "touch") } else { ("directory", "mkdir -p") };
            let why = format!(
                "'{}' is read-only in the partition and has no {kind} '{}'",
                outer.guest.display(),
                inside.display()
            );
            let hint = format!("create it: {command} '{}'", place.display());
            return Err(volume_failure(volume, why, &hint));
        }
    }
    Ok(())
}

/// Where the program is.
struct Program {
    path: ByteString,
    is_literal: bool,
    share: Option<Share>,
    found_outside: Option<PathBuf>,
}

impl Program {
    fn locate(spec: &PartitionSpec, root: &Root, shares: &[Share]) -> Result<Self, Failure> {
        let typed = spec.program.as_path();
        if !spec.program.as_bytes().contains(&b'/') {
            let found_outside = find_outside(spec, root, shares);
            return Ok(Self { path: spec.program.clone(), is_literal: true, share: None, found_outside });
        }
        let literal = absolute(spec, typed);
        let as_typed = |literal: &Path| Self {
            path: literal.into(),
            is_literal: true,
            share: None,
            found_outside: None,
        };
        if let Root::Image(_) = root {
            return Ok(as_typed(typed));
        }
        if matches!(root, Root::Directory(_)) && !is_shared(&literal, shares) {
            return Ok(as_typed(&literal));
        }
        // A volume shows other files under this path than the host does.
        let is_in_volume =
            shares.iter().any(|share| literal.starts_with(&share.guest) && share.guest != share.host);
        let Ok(canonical) = literal.canonicalize() else { return Ok(as_typed(&literal)) };
        let is_visible = |path: &Path| is_system(path) || is_shared(path, shares);
        if is_in_volume || (is_visible(&literal) && is_visible(&canonical)) {
            return Ok(as_typed(&literal));
        }
        let is_file = canonical.is_file() && !NEVER.iter().any(|never| canonical.starts_with(never));
        let share = (is_file && !is_visible(&canonical)).then(|| single_file(&canonical)).flatten();
        if canonical.is_dir() {
            let what = format!("cannot start '{}'", spec.program);
            return Err(Failure::new(Code::Program, what, "it is a directory").hint("name a program in it"));
        }
        Ok(Self { path: canonical.as_path().into(), is_literal: false, share, found_outside: None })
    }
}

/// Whether a share shows this host path under the same name.
fn is_shared(path: &Path, shares: &[Share]) -> bool {
    shares.iter().any(|share| share.guest == share.host && path.starts_with(&share.guest))
}

/// A program that is in no shared directory is shared alone.
fn single_file(canonical: &Path) -> Option<Share> {
    let directory = canonical.parent()?;
    Some(Share {
        host: canonical.to_owned(),
        guest: directory.to_owned(),
        access: Access::ReadOnly,
        extent: Extent::Holding(canonical.file_name()?.to_owned()),
    })
}

/// Looks in the caller's `PATH` for a program in a directory that the partition will not have.
fn find_outside(spec: &PartitionSpec, root: &Root, shares: &[Share]) -> Option<PathBuf> {
    let path = spec.caller_path.as_ref().filter(|_| matches!(root, Root::Host))?;
    std::env::split_paths(path.as_os_str())
        .filter(|folder| folder.is_absolute() && !is_system(folder) && !is_shared(folder, shares))
        .map(|folder| folder.join(spec.program.as_path()))
        .find(|candidate| candidate.is_file())
}

/// The guest's mounts; sorts the shares so that share N is mounted before those inside it.
fn mounts(spec: &PartitionSpec, root: &Root, shares: &mut [Share], user: &User) -> Vec<MountSpec> {
    let refusals = Refusals { writing: spec.read_only_root, execution: false };
    let make = |kind, source: &str, target: &Path| MountSpec {
        kind,
        refusals,
        source: source.as_bytes().to_vec(),
        target: target.as_os_str().as_bytes().to_vec(),
    };
    let first = match root {
        Root::Nothing => return Vec::new(),
        Root::Image(_) => make(MountKind::Image, "", Path::new("/")),
        _ => make(MountKind::Overlay, "/system", Path::new("/")),
    };
    let mut mounts = vec![first];
    match root {
        Root::Image(image) => {
            if !image.has_directory(Path::new("/tmp")) {
                mounts.push(make(MountKind::Ram, "", Path::new("/tmp")));
            }
            for (target, text) in etc::identity(user, &spec.hostname, &spec.network) {
                mounts.push(make(MountKind::Text, &text, Path::new(target)));
            }
        }
        Root::Host => {
            mounts.extend(RAM.map(|directory| make(MountKind::Ram, "", Path::new(directory))));
            if !RAM.iter().any(|directory| user.home == Path::new(directory)) {
                mounts.push(home(spec, user));
            }
        }
        Root::Directory(_) => mounts.push(make(MountKind::Ram, "", Path::new("/tmp"))),
        Root::Nothing => {}
    }
    let make = |kind, source: &str, target: &Path| MountSpec {
        refusals: Refusals::default(),
        ..make(kind, source, target)
    };
    mounts.push(make(MountKind::Device, "", Path::new("/dev")));
    mounts.push(make(MountKind::Process, "", Path::new("/proc")));
    shares.sort_by_key(|share| share.guest.components().count());
    let mut inner: Vec<MountSpec> = Vec::new();
    for (number, share) in shares.iter().enumerate() {
        let (kind, source) = match (share.access, &share.extent) {
            (Access::ReadOnly, Extent::File) => (MountKind::ReadOnlyFile, format!("/{number}/{ONLY_FILE}")),
            (Access::ReadWrite, Extent::File) => (MountKind::ReadWriteFile, format!("/{number}/{ONLY_FILE}")),
            (Access::ReadOnly, _) => (MountKind::ReadOnly, format!("/{number}")),
            (Access::ReadWrite, _) => (MountKind::ReadWrite, format!("/{number}")),
        };
        inner.push(make(kind, &source, &share.guest));
    }
    inner.extend(spec.tmpfs.iter().map(tmpfs));
    inner.sort_by_key(|mount| mount.target.split(|&byte| byte == b'/').count());
    mounts.extend(inner);
    mounts
}

/// The user's own directory in RAM.
fn home(spec: &PartitionSpec, user: &User) -> MountSpec {
    let options = RamOptions { uid: Some(user.uid), gid: Some(user.gid), ..RamOptions::default() };
    MountSpec {
        kind: MountKind::Ram,
        refusals: Refusals { writing: spec.read_only_root, execution: false },
        source: options.to_string().into_bytes(),
        target: user.home.as_os_str().as_bytes().to_vec(),
    }
}

fn tmpfs(tmpfs: &Tmpfs) -> MountSpec {
    let options = RamOptions {
        bytes: tmpfs.bytes,
        permissions: Some(tmpfs.permissions),
        uid: Some(tmpfs.uid.unwrap_or(0)),
        gid: Some(tmpfs.gid.unwrap_or(0)),
    };
    MountSpec {
        kind: MountKind::Ram,
        refusals: Refusals { writing: tmpfs.read_only, execution: !tmpfs.executable },
        source: options.to_string().into_bytes(),
        target: tmpfs.guest.as_bytes().to_vec(),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
pub(super) mod tests;
