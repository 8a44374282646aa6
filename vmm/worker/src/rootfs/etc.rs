//! The partition's `/etc`.
//!
//! Nothing is shared because it is there: everything is on one of the lists below, because programs ask for it and
//! because it tells nothing about the host's users, network or secrets. What describes identity (accounts, host name,
//! name resolution) is made up.

use std::ffi::OsStr;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::symlink;
use std::path::{Component, Path, PathBuf};

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use septum_abi::net;
use septum_api_types::failure::Failure;
use septum_api_types::network::{HOST_NAME, Network};

use super::namespace::refused;
use super::system::{incomplete, make_directories, make_directory, make_file};
use super::tree::{Access, Tree};
use super::user::User;

/// Directories shared whole.
const DIRECTORIES: [&str; 12] = [
    "OpenCL",
    "R",
    "alternatives",
    "ca-certificates/extracted",
    "fonts",
    "glvnd",
    "julia",
    "perl",
    "pki/ca-trust/extracted",
    "pki/tls/certs",
    "ssl/certs",
    "vulkan",
];

/// Directories shared whole whose names go on with a version.
const VERSIONED: [&str; 4] = ["python3.", "java-", "ImageMagick-", "php"];

/// Files that are copied, or recreated as the symbolic links that they are. Each costs about 15 µs per partition.
const FILES: [&str; 18] = [
    "bash.bashrc",
    "debian_version",
    "fedora-release",
    "inputrc",
    "ld.so.cache",
    "ld.so.conf",
    "locale.alias",
    "locale.conf",
    "localtime",
    "lsb-release",
    "mime.types",
    "os-release",
    "profile",
    "protocols",
    "services",
    "shells",
    "ssl/openssl.cnf",
    "timezone",
];

/// Files of more bytes than this are mounted instead of copied.
const COPY_LIMIT: usize = 32 << 10;

/// Composes `etc` below `base`. `source` is the host's `/etc`.
pub(super) fn compose(
    source: &Path,
    base: &Path,
    user: &User,
    hostname: &str,
    network: &Network,
) -> Result<(), Failure> {
    for name in DIRECTORIES {
        share_directory(source, base, OsStr::new(name))?;
    }
    for entry in fs::read_dir(source).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if VERSIONED.iter().any(|prefix| name.as_encoded_bytes().starts_with(prefix.as_bytes())) {
            share_directory(source, base, &name)?;
        }
    }
    let mut buffer = vec![0; COPY_LIMIT];
    for name in FILES {
        share_file(source, base, name, &mut buffer)?;
    }
    for (name, text) in made_up(user, hostname, network) {
        let path = base.join(name);
        make_file(&path, text.as_bytes())?;
    }
    let mtab = base.join("mtab");
    symlink("/proc/self/mounts", &mtab).map_err(|error| incomplete(&mtab, &error))
}

/// What is not the host's business to tell, or not the partition's to know.
fn made_up(user: &User, hostname: &str, network: &Network) -> [(&'static str, String); 6] {
    let User { name, home, uid, gid, group, others } = user;
    let home = home.display();
    let mut passwd = "root:x:0:0:root:/root:/bin/sh\n\
                      daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n\
                      bin:x:2:2:bin:/bin:/usr/sbin/nologin\n"
        .to_owned();
    if ![0, 1, 2, 65534].contains(uid) {
        passwd.push_str(&format!("{name}:x:{uid}:{gid}::{home}:/bin/sh\n"));
    }
    passwd.push_str("nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n");
    let mut groups = "root:x:0:\ndaemon:x:1:\nbin:x:2:\ntty:x:5:\n".to_owned();
    if ![0, 1, 2, 5, 65534].contains(gid) {
        groups.push_str(&format!("{group}:x:{gid}:\n"));
    }
    for (gid, name) in others.iter().filter_map(|(gid, name)| Some((gid, name.as_ref()?))) {
        if ![0, 1, 2, 5, 65534].contains(gid) {
            groups.push_str(&format!("{name}:x:{gid}:{}\n", user.name));
        }
    }
    groups.push_str("nogroup:x:65534:\n");
    let first_part = hostname.split('.').next().filter(|part| *part != hostname);
    let short = first_part.map(|part| format!(" {part}")).unwrap_or_default();
    let mut hosts = format!("127.0.0.1\tlocalhost\n::1\tlocalhost\n127.0.1.1\t{hostname}{short}\n");
    let mut resolver = "# partitions without a network resolve no names\n".to_owned();
    if network.is_wanted() {
        hosts.push_str(&format!("{}\t{HOST_NAME}\n", net::HOST));
        for entry in &network.hosts {
            let address = entry.address.unwrap_or(IpAddr::V4(net::HOST));
            hosts.push_str(&format!("{address}\t{}\n", entry.name));
        }
        resolver = format!("nameserver {}\n", net::NAMESERVER);
    }
    [
        ("passwd", passwd),
        ("group", groups),
        ("hostname", format!("{hostname}\n")),
        ("hosts", hosts),
        ("resolv.conf", resolver),
        (
            "nsswitch.conf",
            "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nnetworks: files\n\
             protocols: files\nservices: files\nethers: files\nrpc: files\n"
                .to_owned(),
        ),
    ]
}

/// What even an image does not say itself, where the partition finds it: who it is for others, and how it finds them.
pub(super) fn identity(user: &User, hostname: &str, network: &Network) -> Vec<(&'static str, String)> {
    let places =
        [("hostname", "/etc/hostname"), ("hosts", "/etc/hosts"), ("resolv.conf", "/etc/resolv.conf")];
    let text = |wanted: &str| made_up(user, hostname, network).into_iter().find(|(name, _)| *name == wanted);
    places.into_iter().filter_map(|(name, place)| Some((place, text(name)?.1))).collect()
}

fn share_directory(source: &Path, base: &Path, name: &OsStr) -> Result<(), Failure> {
    let from = source.join(name);
    let failure = |error| refused(error, &format!("share {}", from.display()));
    let tree = match Tree::copy(&from, Access::ReadOnly) {
        Ok(tree) => tree,
        Err(Errno::NOENT | Errno::NOTDIR | Errno::ACCESS) => return Ok(()),
        Err(error) => return Err(failure(error)),
    };
    let to = base.join(name);
    make_parents(base, Path::new(name))?;
    make_directory(&to, 0o755)?;
    match tree.attach(&to) {
        // It is a file on this host, and nothing that a program asks for.
        Err(Errno::NOTDIR) => Ok(()),
        result => result.map_err(failure),
    }
}

fn share_file(source: &Path, base: &Path, name: &str, buffer: &mut [u8]) -> Result<(), Failure> {
    let (from, to) = (source.join(name), base.join(name));
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let file = match open(&from, flags | OFlags::NOFOLLOW, Mode::empty()) {
        Err(Errno::LOOP) => {
            let target = fs::read_link(&from).unwrap_or_default();
            if points_into_shared(&target) {
                make_parents(base, Path::new(name))?;
                return symlink(&target, &to).map_err(|error| incomplete(&to, &error));
            }
            open(&from, flags, Mode::empty())
        }
        result => result,
    };
    // A file that is absent, or that the caller may not read, is absent in the partition.
    let Ok(file) = file else { return Ok(()) };
    let Ok(length) = rustix::io::read(&file, &mut *buffer) else { return Ok(()) };
    make_parents(base, Path::new(name))?;
    if length < buffer.len() {
        return make_file(&to, &buffer[..length]);
    }
    make_file(&to, &[])?;
    let attached = Tree::copy(&from, Access::ReadOnly).and_then(|tree| tree.attach(&to));
    attached.map_err(|error| refused(error, &format!("share {}", from.display())))
}

/// Makes the directories between `base` and the last part of `name`.
fn make_parents(base: &Path, name: &Path) -> Result<(), Failure> {
    let Some(parent) = name.parent().filter(|parent| !parent.as_os_str().is_empty()) else { return Ok(()) };
    make_directories(&base.join(parent))
}

/// Whether a symbolic link in `/etc` leads to something that the partition has.
fn points_into_shared(target: &Path) -> bool {
    let mut absolute = PathBuf::from("/etc");
    for component in target.components() {
        match component {
            Component::RootDir => absolute = PathBuf::from("/"),
            Component::ParentDir => {
                absolute.pop();
            }
            Component::Normal(name) => absolute.push(name),
            Component::CurDir | Component::Prefix(_) => {}
        }
    }
    ["/usr", "/lib", "/opt", "/etc/alternatives"].iter().any(|shared| absolute.starts_with(shared))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_are_kept_only_where_they_lead_somewhere() {
        assert!(points_into_shared(Path::new("/usr/share/zoneinfo/Etc/UTC")));
        assert!(points_into_shared(Path::new("../usr/lib/os-release")));
        assert!(!points_into_shared(Path::new("/run/systemd/resolve/stub-resolv.conf")));
        assert!(!points_into_shared(Path::new("../usr/../var/x")));
    }

    #[test]
    fn nothing_secret_is_on_a_list() {
        let secret = ["shadow", "gshadow", "sudoers", "ssh", "ssl/private", "pki/tls/private", "machine-id"];
        for name in DIRECTORIES.iter().chain(&FILES) {
            assert!(!secret.iter().any(|secret| Path::new(secret).starts_with(name)), "{name}");
        }
    }

    #[test]
    fn accounts_hold_the_caller_and_nobody_else() {
        let user = User {
            name: "ada".into(),
            home: "/home/ada".into(),
            uid: 1000,
            gid: 100,
            group: "users".into(),
            others: vec![(44, Some("video".into())), (45, None)],
        };
        let files = made_up(&user, "box", &Network::default());
        assert!(files[0].1.contains("ada:x:1000:100::/home/ada:/bin/sh\n"));
        assert_eq!(files[0].1.lines().count(), 5);
        assert!(files[1].1.contains("users:x:100:\n") && files[1].1.contains("video:x:44:ada\n"));
        assert_eq!(files[2].1, "box\n");
    }
}
