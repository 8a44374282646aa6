//! `/proc/PID` and `/proc/PID/task/TID`: files about a process and about a thread of it.

use super::facts::{Mapping, ProcessInfo, State, System, ThreadInfo};
use super::smaps;
use super::system::{mountinfo, mounts, ticks};
use crate::fs::dentry::Dentry;
use crate::process::counts::WAITS;
use alloc::format;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt::Write as _;

type Make = fn(&dyn System, &Subject<'_>) -> Vec<u8>;

/// What a file is about.
pub struct Subject<'a> {
    pub process: &'a dyn ProcessInfo,
    /// The number of the thread; of the first one below `/proc/PID`.
    pub tid: u32,
    pub thread: ThreadInfo,
    /// Whether it is about the thread and not about the process.
    pub is_thread: bool,
}

impl<'a> core::ops::Deref for Subject<'a> {
    type Target = dyn ProcessInfo + 'a;

    fn deref(&self) -> &Self::Target {
        self.process
    }
}

/// A file about a process: name, permissions, contents.
pub struct ProcessFile {
    pub name: &'static [u8],
    pub permissions: u32,
    pub make: Make,
}

const fn file(name: &'static [u8], make: Make) -> ProcessFile {
    ProcessFile { name, permissions: 0o444, make }
}

/// The one that may be written.
pub const NAME_FILE: &[u8] = b"comm";

/// The one that is not made as a text ([`super::pagemap`]).
pub const PAGE_MAP: &[u8] = b"pagemap";

/// All of them.
pub static FILES: &[ProcessFile] = &[
    file(b"cmdline", |_, process| process.arguments()),
    ProcessFile {
        name: NAME_FILE,
        permissions: 0o644,
        make: |_, subject| [&subject.thread.name[..], b"\n"].concat(),
    },
    file(b"limits", |_, process| limits(process.process)),
    file(b"maps", |_, process| maps(process.process)),
    file(b"mountinfo", |system, process| mountinfo(system, &process.fs().root)),
    file(b"mounts", |system, process| mounts(system, &process.fs().root)),
    ProcessFile { name: PAGE_MAP, permissions: 0o400, make: |_, _| Vec::new() },
    file(b"oom_score", |_, _| b"0\n".to_vec()),
    file(b"oom_score_adj", |_, _| b"0\n".to_vec()),
    file(b"smaps", |_, process| smaps::smaps(process.process)),
    file(b"smaps_rollup", |_, process| smaps::rollup(process.process)),
    ProcessFile { name: b"io", permissions: 0o400, make: |_, process| io(process) },
    file(b"sched", |_, process| sched(process)),
    file(b"schedstat", |_, process| format!("{} 0 0\n", process.thread.ran_ns).into_bytes()),
    file(b"loginuid", |_, _| b"4294967295".to_vec()),
    file(b"sessionid", |_, _| b"4294967295".to_vec()),
    ProcessFile { name: b"personality", permissions: 0o400, make: |_, _| b"00000000\n".to_vec() },
    ProcessFile { name: b"coredump_filter", permissions: 0o444, make: |_, _| b"00000033\n".to_vec() },
    file(b"uid_map", |_, _| b"         0          0 4294967295\n".to_vec()),
    file(b"gid_map", |_, _| b"         0          0 4294967295\n".to_vec()),
    file(b"setgroups", |_, _| b"allow\n".to_vec()),
    file(b"stat", |_, process| stat(process)),
    file(b"statm", |_, process| statm(process.process)),
    file(b"status", |_, process| status(process)),
    file(b"wchan", |_, _| b"0".to_vec()),
    file(b"cgroup", |_, _| b"0::/\n".to_vec()),
    ProcessFile { name: b"auxv", permissions: 0o400, make: |_, process| process.auxiliary() },
    ProcessFile { name: b"environ", permissions: 0o400, make: |_, process| process.environment() },
];

fn name(subject: &Subject<'_>) -> String {
    String::from_utf8_lossy(&subject.thread.name).into_owned()
}

/// What reaches a disk is not counted.
fn io(subject: &Subject<'_>) -> Vec<u8> {
    let sums = if subject.is_thread { subject.thread.counts } else { subject.usage().counts };
    let [read, written, reads, writes, _] = sums;
    format!(
        "rchar: {read}\nwchar: {written}\nsyscr: {reads}\nsyscw: {writes}\nread_bytes: 0\nwrite_bytes: 0\ncancelled_write_bytes: 0\n"
    )
    .into_bytes()
}

fn sched(subject: &Subject<'_>) -> Vec<u8> {
    let (tid, threads) = (subject.tid, subject.threads().len());
    let (ran, priority) = (subject.thread.ran_ns, 120 + subject.nice());
    let mut text = format!("{} ({tid}, #threads: {threads})\n{:-<67}\n", name(subject), "");
    let _ = writeln!(text, "{:<45}:{:>14}.{:06}", "se.sum_exec_runtime", ran / 1_000_000, ran % 1_000_000);
    let waits = i128::from(subject.thread.counts[WAITS]);
    let lines = [
        ("nr_switches", waits),
        ("nr_voluntary_switches", waits),
        ("nr_involuntary_switches", 0),
        ("policy", 0),
        ("prio", i128::from(priority)),
    ];
    for (name, value) in lines {
        let _ = writeln!(text, "{name:<45}:{value:>21}");
    }
    text.into_bytes()
}

fn maps(process: &dyn ProcessInfo) -> Vec<u8> {
    let root = process.fs().root;
    let mut text = Vec::new();
    process.mappings(&mut |mapping: &Mapping<'_>| text.extend_from_slice(&map_line(mapping, &root)));
    text
}

/// A line of `maps`, which is also the first one of a mapping in `smaps`.
pub(super) fn map_line(mapping: &Mapping<'_>, root: &Arc<Dentry>) -> Vec<u8> {
    let flag = |is: bool, letter| if is { letter } else { '-' };
    let metadata = mapping.file.and_then(|file| file.metadata().ok());
    let (device, inode) = metadata.map_or((0, 0), |metadata| (metadata.device, metadata.inode));
    let mut text = format!(
        "{:08x}-{:08x} {}{}{}{} {:08x} {:02x}:{:02x} {inode}",
        mapping.start,
        mapping.end,
        flag(mapping.read, 'r'),
        flag(mapping.write, 'w'),
        flag(mapping.execute, 'x'),
        if mapping.is_shared { 's' } else { 'p' },
        mapping.offset,
        device >> 8,
        device & 0xff,
    )
    .into_bytes();
    let path = mapping.file.map(|file| file.path(root));
    let path = path.as_deref().unwrap_or(mapping.label.as_bytes());
    if !path.is_empty() {
        // Names begin in column 73.
        text.resize(73.max(text.len() + 1), b' ');
        text.extend_from_slice(path);
    }
    text.push(b'\n');
    text
}

/// A thread of a process that is stopped or over is too.
fn state_of(subject: &Subject<'_>) -> State {
    match subject.state() {
        State::Running | State::Sleeping if subject.thread.is_waiting => State::Sleeping,
        State::Running | State::Sleeping => State::Running,
        state => state,
    }
}

fn stat(process: &Subject<'_>) -> Vec<u8> {
    let usage = process.usage();
    let [shared, _, ignored, caught] = process.signals();
    let [own, blocked] = process.thread.signals;
    let pending = own | shared;
    let tid = process.tid;
    let ran_ns = if process.is_thread { process.thread.ran_ns } else { usage.ran_ns };
    let limit = process.limits()[5].0;
    // Fields 1 to 52 of proc(5); those that nothing here counts are 0.
    format!(
        "{tid} ({}) {} {} {} {} 0 -1 4194304 0 0 0 0 {} 0 {} 0 {} {} {} 0 {} {} {} {limit} \
         0 0 0 0 0 {pending} {blocked} {ignored} {caught} 0 0 0 17 0 0 0 0 0 0 0 0 0 0 0 0 0 0\n",
        name(process),
        state_of(process).name().0,
        process.parent(),
        process.group(),
        process.session(),
        ticks(ran_ns),
        ticks(usage.children_ran_ns),
        20 + process.nice(),
        process.nice(),
        process.threads().len(),
        ticks(usage.started_ns),
        usage.virtual_bytes,
        usage.resident_bytes / 4096,
    )
    .into_bytes()
}

fn statm(process: &dyn ProcessInfo) -> Vec<u8> {
    let usage = process.usage();
    let (size, resident) = (usage.virtual_bytes / 4096, usage.resident_bytes / 4096);
    let kinds = smaps::kinds(process);
    let (shared, text, data) = (kinds.resident_of_others, kinds.text / 4096, kinds.data / 4096);
    format!("{size} {resident} {shared} {text} 0 {data} 0\n").into_bytes()
}

fn status(process: &Subject<'_>) -> Vec<u8> {
    let usage = process.usage();
    let fs = process.fs();
    let pid = process.pid();
    let ids = |effective: u32, [real, saved]: [u32; 2]| format!("{real}\t{effective}\t{saved}\t{effective}");
    let (uids, gids) = (ids(fs.uid, fs.other_uids), ids(fs.gid, fs.other_gids));
    let groups: String =
        fs.groups.iter().flat_map(|groups| groups.iter()).map(|gid| format!("{gid} ")).collect();
    let [shared, _, ignored, caught] = process.signals();
    let [own, blocked] = process.thread.signals;
    let tid = process.tid;
    let (virtual_kib, resident) = (usage.virtual_bytes / 1024, usage.resident_bytes / 1024);
    let peak = usage.peak_resident_bytes.max(usage.resident_bytes) / 1024;
    let capabilities: u64 = if fs.uid == 0 { 0x1ff_ffff_ffff } else { 0 };
    let descriptors = process.descriptors().lock().numbers().len().next_power_of_two().max(64);
    let (letter, state) = state_of(process).name();
    let kinds = smaps::kinds(process.process);
    let mut text = format!(
        "Name:\t{}\nUmask:\t{:04o}\nState:\t{letter} ({state})\nTgid:\t{pid}\nNgid:\t0\nPid:\t{tid}\nPPid:\t{}\nTracerPid:\t{}\n\
         Uid:\t{uids}\nGid:\t{gids}\nFDSize:\t{descriptors}\nGroups:\t{groups}\n",
        name(process),
        fs.umask,
        process.parent(),
        process.thread.tracer,
    );
    for (name, value) in [
        ("VmPeak", virtual_kib),
        ("VmSize", virtual_kib),
        ("VmLck", usage.locked_bytes / 1024),
        ("VmPin", 0),
        ("VmHWM", peak),
        ("VmRSS", resident),
        ("RssAnon", resident.saturating_sub(kinds.resident_of_others * 4)),
        ("RssFile", kinds.resident_of_files * 4),
        ("RssShmem", (kinds.resident_of_others - kinds.resident_of_files) * 4),
        ("VmData", kinds.data / 1024),
        ("VmStk", kinds.stack / 1024),
        ("VmExe", kinds.text / 1024),
        ("VmLib", kinds.libraries / 1024),
        ("VmPTE", 0),
        ("VmSwap", 0),
    ] {
        let _ = writeln!(text, "{name}:\t{value:>8} kB");
    }
    let _ = write!(
        text,
        "Threads:\t{}\nSigQ:\t0/32768\nSigPnd:\t{own:016x}\nShdPnd:\t{shared:016x}\nSigBlk:\t{blocked:016x}\n\
         SigIgn:\t{ignored:016x}\nSigCgt:\t{caught:016x}\nCapInh:\t0000000000000000\nCapPrm:\t{capabilities:016x}\n\
         CapEff:\t{capabilities:016x}\nCapBnd:\t{capabilities:016x}\nCapAmb:\t0000000000000000\nNoNewPrivs:\t0\nSeccomp:\t0\n\
         voluntary_ctxt_switches:\t{}\nnonvoluntary_ctxt_switches:\t0\n",
        process.threads().len(),
        process.thread.counts[WAITS],
    );
    text.into_bytes()
}

fn limits(process: &dyn ProcessInfo) -> Vec<u8> {
    const NAMES: [(&str, &str); 16] = [
        ("Max cpu time", "seconds"),
        ("Max file size", "bytes"),
        ("Max data size", "bytes"),
        ("Max stack size", "bytes"),
        ("Max core file size", "bytes"),
        ("Max resident set", "bytes"),
        ("Max processes", "processes"),
        ("Max open files", "files"),
        ("Max locked memory", "bytes"),
        ("Max address space", "bytes"),
        ("Max file locks", "locks"),
        ("Max pending signals", "signals"),
        ("Max msgqueue size", "bytes"),
        ("Max nice priority", ""),
        ("Max realtime priority", ""),
        ("Max realtime timeout", "us"),
    ];
    let number = |value: u64| if value == u64::MAX { "unlimited".into() } else { format!("{value}") };
    let mut text = format!("{:<25} {:<20} {:<20} {:<10}\n", "Limit", "Soft Limit", "Hard Limit", "Units");
    for ((name, unit), (soft, hard)) in NAMES.into_iter().zip(process.limits()) {
        let _ = writeln!(text, "{name:<25} {:<20} {:<20} {unit:<10}", number(soft), number(hard));
    }
    text.into_bytes()
}

/// `fdinfo/N`
pub fn descriptor_info(process: &dyn ProcessInfo, fd: i32) -> Option<Vec<u8>> {
    let file = process.descriptors().lock().get(fd).ok()?;
    let (position, mount) = (*file.position().lock(), file.dentry().mount().id);
    let flags = file.flags().bits();
    Some(format!("pos:\t{position}\nflags:\t0{flags:o}\nmnt_id:\t{mount}\n").into_bytes())
}

/// What the link `exe` says.
pub fn executable_path(process: &dyn ProcessInfo) -> Option<Vec<u8>> {
    process.executable().map(|dentry| dentry.path(&process.fs().root))
}
