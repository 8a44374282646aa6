//! What a machine is made of.

use crate::service::Listener;
use septum_abi::config::{Limit, MountKind, Refusals};
use septum_devices::virtio::vsock::HostSide;
use septum_vfio::Function;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// A mount of the guest.
#[derive(Clone, Debug)]
pub struct MountSpec {
    /// How.
    pub kind: MountKind,
    /// What it refuses, whatever its kind.
    pub refusals: Refusals,
    /// Path inside the shared directory, or what the kind says.
    pub source: Vec<u8>,
    /// Absolute path in the guest.
    pub target: Vec<u8>,
}

/// Where the guest kernel is to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PrivilegeChoice {
    /// In ring 0 wherever the processor has one for guests; in ring 3 where the host's KVM would emulate it. Found out by
    /// running a few instructions.
    ByTrial,
    /// In ring 0.
    Ring0,
    /// In ring 3; an error where the processor has a ring 0 for guests.
    Single,
}

/// What to run, and with how much. No string contains a NUL.
#[derive(Clone, Debug)]
pub struct MachineSpec {
    /// Whether memory that the guest frees goes back to the host while it runs. Not for a machine whose memory is pinned (for a
    /// device's DMA) or is the host's for good anyway: without it there is no balloon.
    pub returns_free_memory: bool,
    /// Path of the program in the guest.
    pub program: Vec<u8>,
    /// Arguments, the zeroth included.
    pub arguments: Vec<Vec<u8>>,
    /// Environment, `K=V` each.
    pub environment: Vec<Vec<u8>>,
    /// Working directory in the guest.
    pub workdir: Vec<u8>,
    /// What `uname` tells.
    pub hostname: Vec<u8>,
    /// Mounts, in order.
    pub mounts: Vec<MountSpec>,
    /// User id of the program.
    pub uid: u32,
    /// Group id of the program.
    pub gid: u32,
    /// Groups of the program besides [`gid`](Self::gid).
    pub groups: Vec<u32>,
    /// Limits on what its processes may use, where they are not as usual.
    pub limits: Vec<Limit>,
    /// File mode creation mask.
    pub umask: u32,
    /// Panic as soon as the kernel is up.
    pub debug_panic: bool,
    /// Keep the guest kernel's log lines.
    pub verbose: bool,
    /// Sample where the guest is, and say so in the log.
    pub profile: bool,
}

/// What is called when the machine first has more vCPUs than CPUs.
pub struct WhenCrowded(pub Box<dyn FnOnce() + Send>);

impl std::fmt::Debug for WhenCrowded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("WhenCrowded")
    }
}

/// What a thread of the machine does, which says what it needs of the host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Calls [`Machine::run`](crate::Machine::run): waits, stops the vCPUs, reads the report.
    Main,
    /// Runs a vCPU, serves its exits and requests to devices, starts further vCPUs.
    Vcpu,
    /// Runs a vCPU of a Linux guest: serves its exits, requests to disks included, and writes what it says.
    LinuxVcpu,
    /// Serves files.
    Files,
    /// Serves standard streams or a serial console, and what else is small.
    Streams,
    /// Serves a disk.
    Disk,
    /// Serves sockets.
    Network,
}

/// What each thread calls on itself before the guest runs, to have no more of the host than its role needs. A thread that one of them starts
/// later has what that one has.
#[derive(Clone)]
pub struct Confine(pub Arc<dyn Fn(Role) + Send + Sync>);

impl std::fmt::Debug for Confine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Confine")
    }
}

/// A file of the host that is a disk of the partition.
#[derive(Debug)]
pub struct BlockFile {
    /// A regular file or a block device, open for what the partition may do with it.
    pub file: File,
    /// Whether it may only read.
    pub is_read_only: bool,
    /// What the driver is told as its identity, up to 20 bytes of it.
    pub name: Vec<u8>,
}

/// What is behind the machine's socket device.
pub struct Network(pub Box<dyn HostSide>);

impl std::fmt::Debug for Network {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Network")
    }
}

/// What the machine gets from the host, and nothing else.
#[derive(Debug)]
pub struct MachineResources {
    /// The directory that the guest sees as its root's lower layer.
    pub shared_root: PathBuf,
    /// The program's standard input.
    pub stdin: Option<OwnedFd>,
    /// The program's standard output.
    pub stdout: Option<OwnedFd>,
    /// The program's standard error.
    pub stderr: Option<OwnedFd>,
    /// Rows and columns of the terminal that its streams are, if they are one; then input and output are its other end, and must not block.
    pub terminal: Option<[u16; 2]>,
    /// Its disks.
    pub disks: Vec<BlockFile>,
    /// Whom to tell that it has more vCPUs than CPUs.
    pub when_crowded: WhenCrowded,
    /// Whom to tell what the guest kernel says of what is wanted of it.
    pub listener: Listener,
    /// What its sockets lead to, if it has a network.
    pub network: Option<Network>,
    /// PCI functions of the host that are its own.
    pub functions: Vec<Function>,
    /// What holds its threads.
    pub confine: Confine,
}
