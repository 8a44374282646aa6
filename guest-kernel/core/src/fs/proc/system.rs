//! `/proc` files about the system.

use super::facts::{State, System};
use super::text::escaped;
use crate::fs::block;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors;
use crate::ipc::{listing, messages, segments};
use crate::names;
use crate::process::numbers;
use crate::random;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;
use septum_guest_hal::clock::{monotonic_ns, realtime_ns};
use septum_guest_hal::frame;

/// An entry of a directory that is always there.
pub struct Item {
    pub name: &'static [u8],
    pub body: Body,
}

pub enum Body {
    File(fn(&dyn System) -> Vec<u8>),
    Directory(&'static [Item]),
    Link(fn(&dyn System) -> Vec<u8>),
    /// As many directories as there are, their numbers behind the name.
    Each(fn(&dyn System) -> u32, &'static [Item]),
    /// As many entries as there are disks, called as these names say.
    Disks(Names, OfDisk),
    /// A file below [`Each`](Self::Each) or [`Disks`](Self::Disks), which is given the numbers of the directories on the way.
    Part(fn(&dyn System, Way) -> Vec<u8>),
}

/// Numbers of the outer and the inner [`Body::Each`], or the disk, that a path leads through.
pub type Way = [u16; 2];

/// What disks are called in a directory.
#[derive(Clone, Copy, Debug)]
pub enum Names {
    /// `vda`
    Device,
    /// `254:0`
    Number,
}

/// What is behind the name of a disk.
#[derive(Clone, Copy)]
pub enum OfDisk {
    Files(&'static [Item]),
    /// A link to it in that directory.
    LinkBelow(&'static [u8]),
}

impl Names {
    /// What a disk is called.
    pub fn of(self, index: u8) -> Vec<u8> {
        let (name, number) = block::name(index);
        match self {
            Self::Device => name.to_vec(),
            Self::Number => format!("{}:{}", number >> 8, number & 0xff).into_bytes(),
        }
    }
}

pub(super) const fn file(name: &'static [u8], make: fn(&dyn System) -> Vec<u8>) -> Item {
    Item { name, body: Body::File(make) }
}

pub(super) const fn directory(name: &'static [u8], items: &'static [Item]) -> Item {
    Item { name, body: Body::Directory(items) }
}

fn partitions() -> Vec<u8> {
    let mut text = String::from("major minor  #blocks  name\n\n");
    for index in 0..block::count() {
        let Ok(disk) = block::disk(index) else { continue };
        let (name, number) = block::name(index);
        let name = String::from_utf8_lossy(&name);
        let (major, minor, kib) = (number >> 8, number & 0xff, disk.facts().bytes / 1024);
        let _ = writeln!(text, "{major:4}  {minor:7} {kib:10} {name}");
    }
    text.into_bytes()
}

/// What is in `/proc` beside processes.
pub static ITEMS: &[Item] = &[
    Item { name: b"self", body: Body::Link(own) },
    Item { name: b"thread-self", body: Body::Link(own_thread) },
    Item { name: b"mounts", body: Body::Link(|_| b"self/mounts".to_vec()) },
    file(b"cpuinfo", cpuinfo),
    file(b"cmdline", |_| b"\n".to_vec()),
    file(b"devices", |_| {
        b"Character devices:\n  1 mem\n  5 /dev/tty\n\nBlock devices:\n254 virtblk\n".to_vec()
    }),
    file(b"partitions", |_| partitions()),
    file(b"filesystems", |_| {
        b"nodev\ttmpfs\nnodev\tproc\nnodev\tdevtmpfs\nnodev\toverlay\nnodev\tvirtiofs\n".to_vec()
    }),
    file(b"loadavg", |system| loadavg(system)),
    file(b"meminfo", |_| meminfo()),
    file(b"stat", stat),
    file(b"swaps", |_| b"Filename\t\t\t\tType\t\tSize\t\tUsed\t\tPriority\n".to_vec()),
    file(b"uptime", |_| uptime()),
    file(b"version", |system| {
        format!("Linux version {} (septum) {}\n", system.release(), system.version()).into_bytes()
    }),
    directory(
        b"sysvipc",
        &[
            file(b"msg", |_| listing::messages()),
            file(b"sem", |_| listing::semaphores()),
            file(b"shm", |_| listing::segments()),
        ],
    ),
    directory(
        b"sys",
        &[
            directory(
                b"fs",
                &[
                    file(b"file-max", |_| b"1048576\n".to_vec()),
                    file(b"file-nr", |_| format!("{}\t0\t1048576\n", descriptors::count()).into_bytes()),
                    directory(
                        b"inotify",
                        &[
                            file(b"max_queued_events", |_| b"16384\n".to_vec()),
                            file(b"max_user_instances", |_| b"128\n".to_vec()),
                            file(b"max_user_watches", |_| b"1048576\n".to_vec()),
                        ],
                    ),
                    directory(
                        b"mqueue",
                        &[
                            file(b"msg_default", |_| b"10\n".to_vec()),
                            file(b"msg_max", |_| b"10\n".to_vec()),
                            file(b"msgsize_default", |_| b"8192\n".to_vec()),
                            file(b"msgsize_max", |_| b"8192\n".to_vec()),
                            file(b"queues_max", |_| b"256\n".to_vec()),
                        ],
                    ),
                    file(b"nr_open", |_| b"1048576\n".to_vec()),
                    file(b"pipe-max-size", |_| b"1048576\n".to_vec()),
                ],
            ),
            directory(
                b"kernel",
                &[
                    file(b"cap_last_cap", |_| b"40\n".to_vec()),
                    file(b"core_pattern", |_| b"core\n".to_vec()),
                    file(b"core_uses_pid", |_| b"0\n".to_vec()),
                    file(b"domainname", |_| [&names::DOMAIN.get()[..], b"\n"].concat()),
                    file(b"hostname", |system| [&system.hostname()[..], b"\n"].concat()),
                    file(b"auto_msgmni", |_| b"0\n".to_vec()),
                    file(b"msgmax", |_| format!("{}\n", messages::LONGEST).into_bytes()),
                    file(b"msgmnb", |_| format!("{}\n", messages::MOST_BYTES).into_bytes()),
                    file(b"msgmni", |_| format!("{}\n", messages::MOST_QUEUES).into_bytes()),
                    file(b"sem", |_| b"32000\t1024000000\t500\t32000\n".to_vec()),
                    file(b"shm_rmid_forced", |_| b"0\n".to_vec()),
                    file(b"shmall", |_| format!("{}\n", listing::MOST_SHARED).into_bytes()),
                    file(b"shmmax", |_| format!("{}\n", listing::MOST_SHARED).into_bytes()),
                    file(b"shmmni", |_| format!("{}\n", segments::MOST).into_bytes()),
                    file(b"ngroups_max", |_| b"65536\n".to_vec()),
                    file(b"osrelease", |system| format!("{}\n", system.release()).into_bytes()),
                    file(b"ostype", |_| b"Linux\n".to_vec()),
                    file(b"overflowgid", |_| b"65534\n".to_vec()),
                    file(b"overflowuid", |_| b"65534\n".to_vec()),
                    file(b"perf_event_paranoid", |_| b"4\n".to_vec()),
                    file(b"pid_max", |_| format!("{}\n", numbers::LIMIT).into_bytes()),
                    directory(
                        b"random",
                        &[
                            file(b"boot_id", |_| boot_id()),
                            file(b"entropy_avail", |_| b"256\n".to_vec()),
                            file(b"poolsize", |_| b"256\n".to_vec()),
                            file(b"uuid", |_| uuid()),
                        ],
                    ),
                    file(b"randomize_va_space", |_| b"2\n".to_vec()),
                    file(b"tainted", |_| b"0\n".to_vec()),
                    file(b"threads-max", |_| b"32768\n".to_vec()),
                    file(b"version", |system| format!("{}\n", system.version()).into_bytes()),
                ],
            ),
            directory(
                b"net",
                &[
                    directory(
                        b"core",
                        &[
                            file(b"rmem_default", |_| b"212992\n".to_vec()),
                            file(b"rmem_max", |_| b"212992\n".to_vec()),
                            file(b"somaxconn", |_| b"4096\n".to_vec()),
                            file(b"wmem_default", |_| b"212992\n".to_vec()),
                            file(b"wmem_max", |_| b"212992\n".to_vec()),
                        ],
                    ),
                    directory(
                        b"ipv4",
                        &[
                            file(b"ip_local_port_range", |_| b"32768\t60999\n".to_vec()),
                            file(b"ip_unprivileged_port_start", |_| b"1024\n".to_vec()),
                        ],
                    ),
                ],
            ),
            directory(
                b"vm",
                &[
                    file(b"max_map_count", |_| b"65530\n".to_vec()),
                    file(b"memfd_noexec", |_| b"0\n".to_vec()),
                    file(b"mmap_min_addr", |_| b"65536\n".to_vec()),
                    file(b"nr_hugepages", |_| b"0\n".to_vec()),
                    file(b"overcommit_kbytes", |_| b"0\n".to_vec()),
                    file(b"overcommit_memory", |_| b"0\n".to_vec()),
                    file(b"overcommit_ratio", |_| b"50\n".to_vec()),
                    file(b"swappiness", |_| b"60\n".to_vec()),
                ],
            ),
        ],
    ),
];

fn loadavg(system: &dyn System) -> Vec<u8> {
    let processes: Vec<_> = system.pids().into_iter().filter_map(|pid| system.process(pid)).collect();
    let running = processes.iter().filter(|process| process.state() == State::Running).count().max(1);
    let threads: usize = processes.iter().map(|process| process.threads().len()).sum();
    let newest = processes.iter().map(|process| process.pid()).max().unwrap_or(0);
    format!("0.00 0.00 0.00 {running}/{threads} {newest}\n").into_bytes()
}

fn own(system: &dyn System) -> Vec<u8> {
    system.current().map_or_else(Vec::new, |process| format!("{}", process.pid()).into_bytes())
}

fn own_thread(system: &dyn System) -> Vec<u8> {
    let Some(process) = system.current() else { return Vec::new() };
    format!("{}/task/{}", process.pid(), system.current_thread()).into_bytes()
}

fn cpuinfo(system: &dyn System) -> Vec<u8> {
    let description = system.cpu_description();
    let cpus = system.cpus();
    let mut text = String::new();
    for cpu in 0..cpus {
        let _ = write!(
            text,
            "processor\t: {cpu}\n{description}physical id\t: 0\nsiblings\t: {cpus}\ncore id\t\t: {cpu}\ncpu cores\t: {cpus}\n\n"
        );
    }
    text.into_bytes()
}

fn meminfo() -> Vec<u8> {
    let usage = frame::usage();
    let kib = |frames: u64| frames * 4;
    let (total, free) = (kib(usage.total), kib(usage.total.saturating_sub(usage.used)));
    let lines = [
        ("MemTotal", total),
        ("MemFree", free),
        ("MemAvailable", free),
        ("Buffers", 0),
        ("Cached", 0),
        ("SwapCached", 0),
        ("Active", total - free),
        ("Inactive", 0),
        ("Active(anon)", total - free),
        ("Inactive(anon)", 0),
        ("Active(file)", 0),
        ("Inactive(file)", 0),
        ("Unevictable", 0),
        ("Mlocked", 0),
        ("SwapTotal", 0),
        ("SwapFree", 0),
        ("Dirty", 0),
        ("Writeback", 0),
        ("AnonPages", total - free),
        ("Mapped", 0),
        ("Shmem", 0),
        ("Slab", 0),
        ("CommitLimit", total),
        ("Committed_AS", total - free),
        ("HugePages_Total", 0),
        ("HugePages_Free", 0),
    ];
    let mut text = String::new();
    for (name, value) in lines {
        let unit = if name.starts_with("HugePages") { "" } else { " kB" };
        let _ = writeln!(text, "{:<16}{value:>8}{unit}", format!("{name}:"));
    }
    text.push_str("Hugepagesize:       2048 kB\n");
    text.into_bytes()
}

/// The list of all CPUs: `0-3`.
pub fn cpu_list(cpus: u32) -> String {
    match cpus {
        0 | 1 => "0\n".into(),
        _ => format!("0-{}\n", cpus - 1),
    }
}

/// The mask of CPUs `first` to `end`, as bitmaps are written: words of 32 bits, the highest first.
pub fn cpu_mask(cpus: u32, first: u32, end: u32) -> String {
    let mut text = String::new();
    for word in (0..cpus.max(1).div_ceil(32)).rev() {
        let bits = (0..32).filter(|bit| (first..end).contains(&(word * 32 + bit)));
        let bits = bits.fold(0u32, |mask, bit| mask | 1 << bit);
        let width = if text.is_empty() { (cpus - word * 32).min(32).div_ceil(4) } else { 8 };
        let _ = write!(text, "{bits:0width$x}{}", if word > 0 { "," } else { "\n" }, width = width as usize);
    }
    text
}

/// Hundredths of a second, the unit of `/proc`'s times (USER_HZ).
pub fn ticks(ns: u64) -> u64 {
    ns / 10_000_000
}

fn uptime() -> Vec<u8> {
    let ticks = ticks(monotonic_ns());
    format!("{}.{:02} 0.00\n", ticks / 100, ticks % 100).into_bytes()
}

fn stat(system: &dyn System) -> Vec<u8> {
    let now = ticks(monotonic_ns());
    let cpus = u64::from(system.cpus());
    let mut text = format!("cpu  {} 0 0 0 0 0 0 0 0 0\n", now * cpus);
    for cpu in 0..cpus {
        let _ = writeln!(text, "cpu{cpu} {now} 0 0 0 0 0 0 0 0 0");
    }
    let started = realtime_ns().saturating_sub(monotonic_ns()) / 1_000_000_000;
    let _ = write!(
        text,
        "intr 0\nctxt 0\nbtime {started}\nprocesses 1\nprocs_running 1\nprocs_blocked 0\nsoftirq 0 0 0 0 0 0 0 0 0 0 0\n"
    );
    text.into_bytes()
}

/// A random UUID (version 4).
fn uuid() -> Vec<u8> {
    let mut bytes = [0; 16];
    random::fill(&mut bytes);
    bytes[6] = (bytes[6] & 0x0f) | 0x40;
    bytes[8] = (bytes[8] & 0x3f) | 0x80;
    let mut text = String::new();
    for (index, byte) in bytes.iter().enumerate() {
        if [4, 6, 8, 10].contains(&index) {
            text.push('-');
        }
        let _ = write!(text, "{byte:02x}");
    }
    text.push('\n');
    text.into_bytes()
}

/// As [`uuid`], but the same every time.
fn boot_id() -> Vec<u8> {
    static ID: septum_guest_hal::sync::Once<Vec<u8>> = septum_guest_hal::sync::Once::new();
    ID.call_once(uuid).clone()
}

fn flags(mount: &Dentry) -> &'static str {
    match (mount.mount().is_read_only, mount.mount().is_no_execute) {
        (false, false) => "rw",
        (false, true) => "rw,noexec",
        (true, false) => "ro",
        (true, true) => "ro,noexec",
    }
}

/// `mounts`: source, place, type, options.
pub fn mounts(system: &dyn System, root: &Arc<Dentry>) -> Vec<u8> {
    let mut text = String::new();
    for mounted in system.namespace().mounts() {
        let mount = mounted.mount();
        let (source, place) = (escaped(&mount.source), escaped(&mounted.path(root)));
        let _ = writeln!(text, "{source} {place} {} {},relatime 0 0", mount.file_system, flags(&mounted));
    }
    text.into_bytes()
}

/// `mountinfo`: also numbers, devices and parents.
pub fn mountinfo(system: &dyn System, root: &Arc<Dentry>) -> Vec<u8> {
    let mut text = String::new();
    for mounted in system.namespace().mounts() {
        let mount = mounted.mount();
        let parent = mount.covered().map_or(0, |covered| covered.mount().id);
        let device = mounted.metadata().map_or(0, |metadata| metadata.device);
        let (source, place) = (escaped(&mount.source), escaped(&mounted.path(root)));
        let flags = flags(&mounted);
        let _ = writeln!(
            text,
            "{} {parent} {}:{} / {place} {flags},relatime - {} {source} {flags}",
            mount.id,
            device >> 8,
            device & 0xff,
            mount.file_system,
        );
    }
    text.into_bytes()
}
