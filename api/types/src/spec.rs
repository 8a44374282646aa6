//! What a partition is made from.
//!
//! A [`PartitionSpec`] is complete: every default has been filled in, every quantity parsed, but nothing has been
//! looked up. Whether paths exist and the program can run is for the worker to find out, because only the worker
//! sees the file system as the partition will see it.

use serde::{Deserialize, Serialize};

use crate::bytes::ByteString;
use crate::disk::Disk;
use crate::duration::Span;
use crate::image::ImageSource;
use crate::jail::JailChoice;
use crate::network::Network;
use crate::pci::Address;
use crate::privilege::PrivilegeChoice;
use crate::signal::Signal;
use crate::tmpfs::Tmpfs;
use crate::ulimit::Ulimit;
use crate::volume::Volume;

/// Memory of a partition that asks for none, in bytes.
pub const DEFAULT_MEMORY_BYTES: u64 = 512 << 20;
/// The least memory that the guest kernel can start a program in, in bytes.
pub const MINIMUM_MEMORY_BYTES: u64 = 16 << 20;
/// Threads that a partition may have at once if it does not say how many.
pub const DEFAULT_THREADS: u32 = 256;
/// The most threads that a partition can ask for.
pub const MAXIMUM_THREADS: u32 = 1023;
/// Host name of a partition that has no name.
pub const DEFAULT_NAME: &str = "septum";
/// Where programs are searched when the caller says nothing.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// A Linux kernel of the user's own, that is run instead of a program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LinuxGuest {
    /// Its image: bzImage or vmlinux.
    pub kernel: ByteString,
    /// An initial RAM disk.
    pub initrd: Option<ByteString>,
    /// Its command line.
    pub command_line: ByteString,
}

/// Command line of a Linux guest that is given none: the console is the serial port, and a panic ends the partition.
pub const DEFAULT_COMMAND_LINE: &str = "console=ttyS0 panic=-1";

/// One partition: the program, what it sees and what it may use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartitionSpec {
    /// Name of the partition, and of its worker process.
    pub name: String,
    /// Its host name.
    pub hostname: String,
    /// The program as typed: a name to search in `PATH`, or a path.
    pub program: ByteString,
    /// Its arguments, without the zeroth.
    pub arguments: Vec<ByteString>,
    /// The caller's current directory: what relative paths start at, and what is shared at its own path.
    pub current_directory: Option<ByteString>,
    /// Working directory in the partition; without one, the current directory if the partition has it, else `/`.
    pub working_directory: Option<ByteString>,
    /// Variables, `KEY=VALUE` each: they replace or extend the minimal environment.
    pub environment: Vec<ByteString>,
    /// The caller's own `PATH`: entries that exist in the partition are searched, and handed on to the program.
    pub caller_path: Option<ByteString>,
    /// RAM of the partition, in bytes.
    pub memory_bytes: u64,
    /// Whether it is to be huge pages of the host's pool.
    pub huge_pages: bool,
    /// Processors that the program is told of and may use.
    pub cpus: u32,
    /// Threads that may exist at once, those of all its processes together.
    pub threads: u32,
    /// Where the guest kernel is to run.
    pub privilege: PrivilegeChoice,
    /// Whether its worker may do without parts of its jail.
    #[serde(default)]
    pub jail: JailChoice,
    /// Directories of the host in the partition.
    pub volumes: Vec<Volume>,
    /// Empty directories in its RAM.
    pub tmpfs: Vec<Tmpfs>,
    /// Whether only volumes, [`tmpfs`](Self::tmpfs) and what the kernel makes (`/dev`, `/proc`) can be written to.
    pub read_only_root: bool,
    /// Files and devices of the host that are its disks: `/dev/vda` and so on.
    pub disks: Vec<Disk>,
    /// PCI functions of the host that are its own.
    #[serde(default)]
    pub devices: Vec<Address>,
    /// Directory of the host that replaces the host's system directories as the partition's root.
    pub root: Option<ByteString>,
    /// A kernel instead of all that: no files of the host, no program.
    #[serde(default)]
    pub linux: Option<LinuxGuest>,
    /// Image that is the partition's root; then the current directory is not shared.
    pub image: Option<ImageSource>,
    /// What asks the program to end.
    pub stop_signal: Signal,
    /// How long it may run.
    pub timeout: Option<Span>,
    /// User id of the caller: the program's, where nothing else is said.
    pub uid: u32,
    /// Group id of the caller.
    pub gid: u32,
    /// Who runs the program instead, `USER[:GROUP]`: numbers, or names that the partition knows.
    pub user: Option<String>,
    /// Groups that it belongs to besides: numbers, or names that the partition knows.
    pub groups: Vec<String>,
    /// What its processes may use, where that is not as usual.
    pub limits: Vec<Ulimit>,
    /// File mode creation mask of the program.
    pub umask: u32,
    /// Rows and columns of the terminal that the program's standard streams are, if they are one.
    pub terminal: Option<[u16; 2]>,
    /// Whether standard input, output and error are open.
    pub streams_open: [bool; 3],
    /// What it may reach, and what reaches it.
    #[serde(default)]
    pub network: Network,
    /// Whether the stages are to be reported, and the guest kernel's log kept.
    pub verbose: bool,
    /// Whether the guest kernel is to panic, to test how that is told.
    pub debug_panic: bool,
    /// Whether to sample where the guest spends its time, and say so in its log.
    pub debug_profile: bool,
}
