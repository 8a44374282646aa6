//! A second wall around the worker's files, which does not depend on what is mounted: Landlock.
//!
//! ```text
//!   /                    read
//!   /share/N             everything but execution and devices, where volume N may be written
//!   terminals            read and written: they are opened once more by the descriptors that the worker has
//!   anything else        nothing: what a mount, a descriptor or a magic link leads to
//! ```
//!
//! Besides, as far as the host's kernel knows how: no TCP connection or listener is made, and no signal and no connection of an abstract
//! Unix socket goes to a process outside.
//!
//! The kernel's versions of Landlock differ in what they know. The first one cannot allow a file to be moved from one directory to
//! another, which a volume's user may do, so the second one (Linux 5.19) is the least; `septum doctor` tells what is missing of the newest.
//!
//! These are four system calls and two structures, so there is no library: the one that exists brings a macro's dependencies, and decides
//! itself what it does without, which is what has to be told here.
//!
//! Source: Documentation/userspace-api/landlock.rst and include/uapi/linux/landlock.h of the kernel's.
#![allow(unsafe_code, reason = "the system calls have no safe wrapper")]

use std::io;
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, Mode, OFlags, openat};
use rustix::termios::isatty;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;

use crate::outcome::{reason, without_number};

/// The least version that is enough.
const LEAST: u32 = 2;
/// The first version that knows everything that is asked of it here.
const WHOLE: u32 = 6;

const WRITE_FILE: u64 = 1 << 1;
const READ_FILE: u64 = 1 << 2;
const READ_DIR: u64 = 1 << 3;
const TRUNCATE: u64 = 1 << 14;
const IOCTL_DEV: u64 = 1 << 15;
/// Removing, and making everything but devices, moving into another directory.
const CHANGE_DIR: u64 = 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8 | 1 << 9 | 1 << 10 | 1 << 12 | 1 << 13;

const READ: u64 = READ_FILE | READ_DIR;
const CHANGE: u64 = READ | WRITE_FILE | TRUNCATE | CHANGE_DIR;
const TERMINAL: u64 = READ_FILE | WRITE_FILE | IOCTL_DEV;

/// LANDLOCK_ACCESS_NET_BIND_TCP, LANDLOCK_ACCESS_NET_CONNECT_TCP.
const ALL_TCP: u64 = 0b11;
const BIND_TCP: u64 = 0b01;
/// LANDLOCK_SCOPE_ABSTRACT_UNIX_SOCKET, LANDLOCK_SCOPE_SIGNAL.
const ALL_SCOPES: u64 = 0b11;

/// LANDLOCK_CREATE_RULESET_VERSION, LANDLOCK_RULE_PATH_BENEATH.
const ASK_VERSION: libc::c_uint = 1;
const PATH_BENEATH: libc::c_uint = 1;

/// `struct landlock_ruleset_attr`. Kernels that do not know the last ones take them if they are 0.
#[repr(C)]
struct Handled {
    files: u64,
    network: u64,
    scopes: u64,
}

impl Handled {
    /// All that this version can forbid.
    fn by(version: u32) -> Self {
        let known = match version {
            0 | 1 => 13,
            2 => 14,
            3 | 4 => 15,
            _ => 16,
        };
        Self {
            files: (1 << known) - 1,
            network: if version >= 4 { ALL_TCP } else { 0 },
            scopes: if version >= WHOLE { ALL_SCOPES } else { 0 },
        }
    }
}

/// `struct landlock_path_beneath_attr`.
#[repr(C, packed)]
struct Beneath {
    allowed: u64,
    directory: i32,
}

/// What the host's kernel has of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Landlock {
    /// This version.
    Version(u32),
    /// It was left out when the kernel was made.
    NotBuilt,
    /// It was not turned on when the host was started.
    Off,
}

impl Landlock {
    /// Asks the kernel.
    #[must_use]
    pub fn of_host() -> Self {
        // SAFETY: 1. Without a structure, and with this flag, nothing is made: the version is returned.
        let version = unsafe {
            libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0, ASK_VERSION)
        };
        match u32::try_from(version) {
            Ok(version) => Self::Version(version),
            Err(_) if io::Error::last_os_error().raw_os_error() == Some(libc::EOPNOTSUPP) => Self::Off,
            Err(_) => Self::NotBuilt,
        }
    }

    /// Why it is not enough and what to do, if it is not.
    #[must_use]
    pub fn lack(self) -> Option<(String, &'static str)> {
        match self {
            Self::Version(version) if version >= LEAST => None,
            Self::Version(version) => Some((
                format!("version {version} cannot allow files to be moved"),
                "use Linux 5.19 or newer, or go without with --jail degraded",
            )),
            Self::NotBuilt => Some((
                "the kernel does not have it".to_owned(),
                "use a kernel with CONFIG_SECURITY_LANDLOCK, 5.19 or newer, or go without with --jail degraded",
            )),
            Self::Off => Some((
                "the kernel has it, and it is turned off".to_owned(),
                "add 'landlock' to the list after lsm= on the kernel's command line, or go without with --jail degraded",
            )),
        }
    }

    /// What this version does not keep, and since when Linux does.
    #[must_use]
    pub fn gaps(self) -> Option<&'static str> {
        match self {
            Self::Version(LEAST) => {
                Some("keeps no TCP (Linux 6.7), no ioctl of devices (6.10), no signals (6.12)")
            }
            Self::Version(3) => {
                Some("keeps no TCP (Linux 6.7), no ioctl of devices (6.10), no signals (6.12)")
            }
            Self::Version(4) => Some("keeps no ioctl of devices (Linux 6.10), no signals (6.12)"),
            Self::Version(5) => Some("keeps no signals (Linux 6.12)"),
            _ => None,
        }
    }
}

/// The terminals of the host, found while its paths are still there.
pub(crate) struct Terminals(Option<OwnedFd>);

impl Terminals {
    pub(crate) fn find() -> Self {
        Self(open(Path::new("/dev/pts")).ok())
    }
}

/// What is left to a worker.
pub(crate) struct Left<'a, W> {
    /// Directories in its own root in which files may be changed.
    pub(crate) writable: W,
    pub(crate) terminals: &'a Terminals,
}

/// Keeps this thread, and all that it starts, to what is left, for good.
///
/// # Errors
/// The host lacks it, and may not, or something is wrong.
pub(crate) fn restrict(
    left: Left<'_, impl Iterator<Item = PathBuf>>,
    jail: JailChoice,
) -> Result<(), Failure> {
    put_on(jail, ALL_TCP, |allow| {
        allow(open(Path::new("/"))?.as_fd(), READ)?;
        for directory in left.writable {
            allow(open(&directory)?.as_fd(), CHANGE)?;
        }
        if let Some(directory) = &left.terminals.0 {
            allow(directory.as_fd(), TERMINAL)?;
        }
        // Those of another /dev/pts, or of a machine's console.
        let (stdin, stdout, stderr) = (io::stdin(), io::stdout(), io::stderr());
        for stream in [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()] {
            if isatty(stream) {
                allow(stream, TERMINAL)?;
            }
        }
        Ok(())
    })
}

/// The same for a broker, which makes connections and opens nothing.
///
/// # Errors
/// As for [`restrict`].
pub(super) fn restrict_to_network(jail: JailChoice) -> Result<(), Failure> {
    put_on(jail, BIND_TCP, |_| Ok(()))
}

/// Lets something be done below a directory.
type Allow<'a> = &'a dyn Fn(BorrowedFd<'_>, u64) -> io::Result<()>;

fn put_on(
    jail: JailChoice,
    network: u64,
    rules: impl FnOnce(Allow<'_>) -> io::Result<()>,
) -> Result<(), Failure> {
    const WHAT: &str = "cannot keep the worker to its files (Landlock)";
    let host = Landlock::of_host();
    let version = match (host.lack(), host, jail) {
        (None, Landlock::Version(version), _) => version,
        (_, _, JailChoice::Degraded) => return Ok(()),
        (lack, ..) => {
            let (why, hint) = lack.unwrap_or_default();
            return Err(Failure::new(Code::Host, WHAT, why).hint(hint));
        }
    };
    let mut handled = Handled::by(version);
    handled.network &= network;
    let put_on = || {
        let set = create(&handled)?;
        rules(&|directory, access| add(&set, directory, access & handled.files))?;
        // SAFETY: 1. A descriptor and a number.
        done(unsafe { libc::syscall(libc::SYS_landlock_restrict_self, set.as_raw_fd(), 0) })
    };
    put_on().map(drop).map_err(|error| Failure::new(Code::Internal, WHAT, without_number(&error)))
}

fn open(path: &Path) -> io::Result<OwnedFd> {
    openat(CWD, path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty())
        .map_err(|error| io::Error::other(format!("{}: {}", path.display(), reason(error))))
}

fn create(handled: &Handled) -> io::Result<OwnedFd> {
    // SAFETY: 1. The structure outlives the call, is only read, and has this size.
    let descriptor =
        done(unsafe { libc::syscall(libc::SYS_landlock_create_ruleset, handled, size_of::<Handled>(), 0) })?;
    // SAFETY: 1. The kernel has just made it, for nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor) })
}

fn add(rules: &OwnedFd, directory: BorrowedFd<'_>, allowed: u64) -> io::Result<()> {
    let rule = Beneath { allowed, directory: directory.as_raw_fd() };
    // SAFETY: 1. The structure outlives the call, is only read, and is the one of this kind of rule. 2. Both descriptors are open.
    done(unsafe {
        libc::syscall(libc::SYS_landlock_add_rule, rules.as_raw_fd(), PATH_BENEATH, &raw const rule, 0)
    })
    .map(drop)
}

fn done(result: libc::c_long) -> io::Result<i32> {
    match i32::try_from(result) {
        Ok(result @ 0..) => Ok(result),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_host_lacks_comes_with_what_to_do() {
        for (host, words) in [
            (Landlock::NotBuilt, "CONFIG_SECURITY_LANDLOCK"),
            (Landlock::Off, "lsm="),
            (Landlock::Version(1), "5.19"),
        ] {
            let (_, hint) = host.lack().unwrap();
            assert!(hint.contains(words) && hint.contains("--jail degraded"), "{hint}");
        }
        assert_eq!(Landlock::Version(2).lack(), None);
        assert!(Landlock::Version(5).gaps().is_some() && Landlock::Version(6).gaps().is_none());
    }

    #[test]
    fn each_version_is_asked_for_what_it_knows() {
        let of = |version| {
            let Handled { files, network, scopes } = Handled::by(version);
            (files.count_ones(), network.count_ones(), scopes.count_ones())
        };
        assert_eq!(
            [2, 3, 4, 5, 6, 7].map(of),
            [(14, 0, 0), (15, 0, 0), (15, 2, 0), (16, 2, 0), (16, 2, 2), (16, 2, 2)]
        );
        // Neither programs nor devices.
        assert_eq!((CHANGE | TERMINAL) & (1 | 1 << 6 | 1 << 11), 0);
    }
}
