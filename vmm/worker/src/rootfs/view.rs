//! Looking up paths as the partition will see them.
//!
//! The worker holds the shares side by side; the guest kernel puts them together. This is the same composition, for
//! lookups only: a path is walked component by component, every step goes through the innermost mount that covers it,
//! and symbolic links are followed inside the partition, never on the host.

use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use septum_abi::config::MountKind;
use septum_erofs::Inode;
use septum_machine::MountSpec;
use thiserror::Error;

use super::image::RootImage;

/// Symbolic links followed in one lookup, as on Linux.
const LINK_LIMIT: u32 = 40;

/// The partition's files. Targets of its mounts have no symbolic links.
pub(crate) struct View {
    base: PathBuf,
    /// What mounts of kind [`MountKind::Image`] show.
    image: Option<Arc<RootImage>>,
    mounts: Vec<MountSpec>,
}

/// What kind of file a path leads to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Directory,
    Regular,
    Other,
}

/// What a path leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    pub(crate) kind: Kind,
    pub(crate) place: Place,
}

/// Where the worker finds a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Nowhere: a directory that only exists in the guest.
    Guest,
    /// On the host.
    Host(PathBuf),
    /// In the image.
    Image(Inode),
}

/// Why a path leads nowhere.
#[derive(Debug, Error)]
pub(crate) enum LookupError {
    #[error("there is no '{}' in the partition", .0.display())]
    Missing(PathBuf),
    #[error("'{}' is not a directory", .0.display())]
    NotDirectory(PathBuf),
    #[error("too many symbolic links")]
    Loop,
    #[error("'{}' cannot be read", .0.display())]
    Io(PathBuf, #[source] io::Error),
}

/// One step of a walk.
pub(super) enum Step {
    Link(PathBuf),
    File(Found),
}

impl View {
    /// The view through these mounts, whose sources are below `base`. A target with symbolic links is the place where they
    /// lead through the mounts before it.
    pub(crate) fn new(base: PathBuf, mounts: Vec<MountSpec>, image: Option<Arc<RootImage>>) -> Self {
        let mut view = Self { base, image, mounts: Vec::with_capacity(mounts.len()) };
        for mut mount in mounts {
            // A link that a file is mounted on is covered by it.
            if mount.kind != MountKind::Text {
                mount.target = view.without_links(target(&mount)).into_os_string().into_vec();
            }
            view.mounts.push(mount);
        }
        view
    }

    /// The image, if there is one.
    pub(crate) fn image(&self) -> Option<&Arc<RootImage>> {
        self.image.as_ref()
    }

    /// Its mounts, for the guest kernel.
    pub(crate) fn mounts(&self) -> &[MountSpec] {
        &self.mounts
    }

    /// The same place without symbolic links, as far as it exists.
    fn without_links(&self, path: &Path) -> PathBuf {
        match (self.walk(path), path.parent(), path.file_name()) {
            (Ok((place, _)), ..) => place,
            (Err(_), Some(parent), Some(name)) => self.without_links(parent).join(name),
            (Err(_), ..) => path.to_owned(),
        }
    }

    /// Follows an absolute path to its end.
    pub(crate) fn lookup(&self, path: &Path) -> Result<Found, LookupError> {
        self.walk(path).map(|(_, found)| found)
    }

    /// Whether a directory at an absolute path that leads nowhere could be made in the partition.
    pub(crate) fn can_be_made(&self, path: &Path) -> bool {
        let Some((place, found)) = path.ancestors().find_map(|outer| self.walk(outer).ok()) else {
            return false;
        };
        let covering = self.covering(&place);
        found.kind == Kind::Directory
            && covering.is_some_and(|mount| {
                let is_writable = matches!(
                    mount.kind,
                    MountKind::Overlay | MountKind::Image | MountKind::Ram | MountKind::ReadWrite
                );
                is_writable && !mount.refusals.writing
            })
    }

    /// The innermost mount that has a path without links. Mounts are in order: of those at the same place the last one counts.
    fn covering(&self, path: &Path) -> Option<&MountSpec> {
        let mounts = self.mounts.iter().filter(|mount| is_inside(path, target(mount)));
        mounts.max_by_key(|mount| mount.target.len())
    }

    /// As [`lookup`](Self::lookup); also tells the path without symbolic links.
    fn walk(&self, path: &Path) -> Result<(PathBuf, Found), LookupError> {
        let mut pending: Vec<Vec<u8>> = Vec::new();
        push_components(&mut pending, path);
        let mut current = PathBuf::from("/");
        let mut found = Found { kind: Kind::Directory, place: Place::Guest };
        let mut links = 0;
        while let Some(name) = pending.pop() {
            if found.kind != Kind::Directory {
                return Err(LookupError::NotDirectory(current));
            }
            if name == b".." {
                current.pop();
                continue;
            }
            let candidate = current.join(OsStr::from_bytes(&name));
            match self.step(&candidate)? {
                Step::Link(target) => {
                    links += 1;
                    if links > LINK_LIMIT {
                        return Err(LookupError::Loop);
                    }
                    if target.is_absolute() {
                        current = PathBuf::from("/");
                    }
                    push_components(&mut pending, &target);
                }
                Step::File(next) => {
                    current = candidate;
                    found = next;
                }
            }
        }
        Ok((current, found))
    }

    /// What is at an absolute path of which all but the last component is a directory without links.
    fn step(&self, path: &Path) -> Result<Step, LookupError> {
        let directory = Step::File(Found { kind: Kind::Directory, place: Place::Guest });
        let covering = self.covering(path);
        let is_on_the_way = self.mounts.iter().any(|mount| is_inside(target(mount), path));
        if let Some(mount) = covering {
            match (mount.kind, &self.image) {
                (MountKind::Text, _) => {
                    return Ok(Step::File(Found { kind: Kind::Other, place: Place::Guest }));
                }
                (MountKind::Image, Some(image)) => {
                    return match image.step(path) {
                        Err(LookupError::Missing(_)) if is_on_the_way => Ok(directory),
                        step => step,
                    };
                }
                _ => {}
            }
        }
        let source = covering.filter(|mount| mount.kind != MountKind::Ram && !mount.source.is_empty());
        let Some(mount) = source else {
            // In RAM there are only the places where something is mounted.
            return if is_on_the_way { Ok(directory) } else { Err(LookupError::Missing(path.to_owned())) };
        };
        let inside = path.strip_prefix(target(mount)).unwrap_or(Path::new(""));
        let source = Path::new(OsStr::from_bytes(&mount.source));
        let mut host = self.base.join(source.strip_prefix("/").unwrap_or(source));
        if inside != Path::new("") {
            // Else it would end with a slash, which no file's path does.
            host.push(inside);
        }
        let failed = |error: io::Error| match error.kind() {
            io::ErrorKind::NotFound => LookupError::Missing(path.to_owned()),
            io::ErrorKind::NotADirectory => LookupError::NotDirectory(path.to_owned()),
            _ => LookupError::Io(path.to_owned(), error),
        };
        let kind = match fs::symlink_metadata(&host) {
            Ok(metadata) => metadata.file_type(),
            Err(_) if is_on_the_way => return Ok(directory),
            Err(error) => return Err(failed(error)),
        };
        if kind.is_symlink() {
            let link = fs::read_link(&host).map_err(failed)?;
            return Ok(Step::Link(link));
        }
        let kind = if kind.is_dir() {
            Kind::Directory
        } else if kind.is_file() {
            Kind::Regular
        } else {
            Kind::Other
        };
        Ok(Step::File(Found { kind, place: Place::Host(host) }))
    }
}

fn target(mount: &MountSpec) -> &Path {
    Path::new(OsStr::from_bytes(&mount.target))
}

/// Whether a path is that of the directory, or in it. Both are absolute, and no part of them is empty, `.` or `..`, so that comparing bytes is enough;
/// it is done a few hundred times in a start.
fn is_inside(path: &Path, directory: &Path) -> bool {
    let (path, directory) = (path.as_os_str().as_bytes(), directory.as_os_str().as_bytes());
    match path.strip_prefix(directory) {
        Some(rest) => rest.is_empty() || rest[0] == b'/' || directory == b"/",
        None => false,
    }
}

/// Puts the components on the stack, the first on top.
fn push_components(stack: &mut Vec<Vec<u8>>, path: &Path) {
    let components = path.as_os_str().as_bytes().split(|&byte| byte == b'/');
    let named = components.filter(|name| !name.is_empty() && *name != b".");
    let mut named: Vec<Vec<u8>> = named.map(|name| OsStr::from_bytes(name).to_owned().into_vec()).collect();
    named.reverse();
    stack.append(&mut named);
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn mount(kind: MountKind, source: &str, target: &str) -> MountSpec {
        MountSpec { kind, refusals: Default::default(), source: source.into(), target: target.into() }
    }

    fn view(base: &Path) -> View {
        for directory in ["system/usr/bin", "system/tmp", "0/sub"] {
            fs::create_dir_all(base.join(directory)).unwrap();
        }
        fs::write(base.join("system/usr/bin/tool"), "tool").unwrap();
        fs::write(base.join("system/tmp/hidden"), "").unwrap();
        fs::write(base.join("0/file"), "file").unwrap();
        symlink("usr/bin", base.join("system/bin")).unwrap();
        symlink("/bin/../bin/tool", base.join("0/sub/link")).unwrap();
        symlink("loop", base.join("0/loop")).unwrap();
        symlink("/etc/passwd", base.join("0/escape")).unwrap();
        symlink("../../../../../../../file", base.join("0/up")).unwrap();
        View::new(
            base.to_owned(),
            vec![
                mount(MountKind::Overlay, "/system", "/"),
                mount(MountKind::Ram, "", "/tmp"),
                mount(MountKind::ReadOnly, "/0", "/tmp/work/here"),
            ],
            None,
        )
    }

    #[test]
    fn paths_lead_where_the_partition_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let view = view(base);
        let host = |path: &str| match view.lookup(Path::new(path)).unwrap().place {
            Place::Host(path) => Some(path),
            _ => None,
        };
        assert_eq!(host("/bin/tool"), Some(base.join("system/usr/bin/tool")));
        assert_eq!(host("/usr/bin/../../bin/./tool"), Some(base.join("system/usr/bin/tool")));
        assert_eq!(host("/tmp/work/here/file"), Some(base.join("0/file")));
        assert_eq!(host("/tmp/work/here/sub/link"), Some(base.join("system/usr/bin/tool")));
        for path in ["/", "/tmp", "/tmp/work", "/tmp/work/here", "/usr"] {
            assert_eq!(view.lookup(Path::new(path)).unwrap().kind, Kind::Directory, "{path}");
        }
    }

    #[test]
    fn targets_lose_their_symbolic_links() {
        let folder = tempfile::tempdir().unwrap();
        let base = folder.path();
        let links = view(base);
        symlink("/tmp/work/here", base.join("system/here")).unwrap();
        let mut mounts = links.mounts().to_vec();
        let targets = ["/bin/new/place", "/here/sub", "/tmp/hidden/x", "/here/loop/x", "/bin"];
        mounts.extend(targets.map(|target| mount(MountKind::ReadOnly, "/0", target)));
        let found: Vec<_> = View::new(base.to_owned(), mounts, None).mounts()[3..].to_vec();
        let found: Vec<_> = found.iter().map(|mount| String::from_utf8_lossy(&mount.target)).collect();
        let expected = [
            "/usr/bin/new/place",
            "/tmp/work/here/sub",
            "/tmp/hidden/x",
            "/tmp/work/here/loop/x",
            "/usr/bin",
        ];
        assert_eq!(found, expected);
    }

    #[test]
    fn directories_are_made_in_ram_only() {
        let folder = tempfile::tempdir().unwrap();
        let view = view(folder.path());
        for (path, can) in [
            ("/new/deep", true),
            ("/usr/new", true),
            ("/bin/new", true),
            ("/tmp/new", true),
            ("/usr/bin/tool/new", false),
            ("/tmp/work/here/new/deep", false),
            ("/tmp/work/new", true),
        ] {
            assert_eq!(view.can_be_made(Path::new(path)), can, "{path}");
        }
    }

    #[test]
    fn what_the_partition_lacks_is_missing() {
        let folder = tempfile::tempdir().unwrap();
        let view = view(folder.path());
        let error = |path: &str| view.lookup(Path::new(path)).unwrap_err();
        assert!(
            matches!(error("/usr/bin/none"), LookupError::Missing(at) if at == Path::new("/usr/bin/none"))
        );
        assert!(matches!(error("/tmp/hidden"), LookupError::Missing(_)));
        assert!(
            matches!(error("/tmp/work/here/escape"), LookupError::Missing(at) if at == Path::new("/etc"))
        );
        assert!(matches!(error("/tmp/work/here/up"), LookupError::Missing(at) if at == Path::new("/file")));
        assert!(matches!(error("/bin/tool/x"), LookupError::NotDirectory(_)));
        assert!(matches!(error("/tmp/work/here/loop"), LookupError::Loop));
    }
}
