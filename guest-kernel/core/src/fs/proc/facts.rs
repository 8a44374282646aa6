//! What `/proc` has to know of processes and of the system; the process layer tells.

use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::mount::Namespace;
use crate::process::counts::Sums;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
pub use septum_guest_hal::cache::{Cache, CacheKind};
pub use septum_guest_hal::paging::Census;
use septum_guest_hal::sync::Mutex;

/// A process, as `/proc/PID` shows it.
pub trait ProcessInfo: Send + Sync {
    /// Number.
    fn pid(&self) -> u32;

    /// Number of the parent; 0 if none.
    fn parent(&self) -> u32 {
        0
    }

    /// Number of its group.
    fn group(&self) -> u32 {
        self.pid()
    }

    /// Number of its session.
    fn session(&self) -> u32 {
        self.pid()
    }

    /// What it is doing.
    fn state(&self) -> State {
        State::Running
    }

    /// Nice value.
    fn nice(&self) -> i32 {
        0
    }

    /// Name (`comm`), at most 15 bytes.
    fn name(&self) -> Vec<u8>;

    /// The program's file.
    fn executable(&self) -> Option<Arc<Dentry>>;

    /// Arguments, each with its NUL.
    fn arguments(&self) -> Vec<u8>;

    /// Environment, each with its NUL.
    fn environment(&self) -> Vec<u8>;

    /// The auxiliary vector.
    fn auxiliary(&self) -> Vec<u8>;

    /// Open files.
    fn descriptors(&self) -> &Mutex<DescriptorTable>;

    /// Root, working directory, identity.
    fn fs(&self) -> FsContext;

    /// Calls `each` for every mapping, ascending.
    fn mappings(&self, each: &mut dyn FnMut(&Mapping<'_>));

    /// Where the page at `address` is: the number of its frame, if devices may be told of it, else 0. `None` if it is not there.
    fn page(&self, address: u64) -> Option<u64> {
        let _ = address;
        None
    }

    /// Numbers of its threads, its own first.
    fn threads(&self) -> Vec<u32> {
        alloc::vec![self.pid()]
    }

    /// A thread by its number.
    fn thread(&self, tid: u32) -> Option<ThreadInfo> {
        let own = || ThreadInfo {
            name: self.name(),
            is_waiting: false,
            ran_ns: self.usage().ran_ns,
            signals: [0; 2],
            counts: self.usage().counts,
            tracer: 0,
        };
        self.threads().contains(&tid).then(own)
    }

    /// Names a thread. False if there is none with this number.
    fn rename_thread(&self, tid: u32, name: Vec<u8>) -> bool {
        let _ = (tid, name);
        false
    }

    /// What it uses.
    fn usage(&self) -> Usage;

    /// Soft and hard limits, in the order of RLIMIT_; `u64::MAX` is unlimited.
    fn limits(&self) -> [(u64, u64); 16];

    /// Signals: pending, blocked, ignored, caught (bit N-1 is signal N).
    fn signals(&self) -> [u64; 4] {
        [0; 4]
    }
}

/// A thread, as `/proc/PID/task/TID` shows it.
#[derive(Clone, Debug)]
pub struct ThreadInfo {
    /// Name (`comm`), at most 15 bytes.
    pub name: Vec<u8>,
    /// Whether it waits for something.
    pub is_waiting: bool,
    /// Time it has run, ns.
    pub ran_ns: u64,
    /// Signals: pending, blocked.
    pub signals: [u64; 2],
    /// What it reads, writes and waits.
    pub counts: Sums,
    /// Who traces it, or 0.
    pub tracer: u32,
}

impl ThreadInfo {
    /// A thread that is gone.
    #[must_use]
    pub fn of_nobody(name: Vec<u8>) -> Self {
        Self { name, is_waiting: false, ran_ns: 0, signals: [0; 2], counts: [0; 5], tracer: 0 }
    }
}

/// What a process is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// One of its threads runs.
    Running,
    /// All wait.
    Sleeping,
    /// It was stopped.
    Stopped,
    /// It has ended.
    Zombie,
}

impl State {
    /// The letter and the word for it.
    #[must_use]
    pub fn name(self) -> (char, &'static str) {
        match self {
            Self::Running => ('R', "running"),
            Self::Sleeping => ('S', "sleeping"),
            Self::Stopped => ('T', "stopped"),
            Self::Zombie => ('Z', "zombie"),
        }
    }
}

/// A line of `maps`.
pub struct Mapping<'a> {
    /// First address.
    pub start: u64,
    /// One past the last address.
    pub end: u64,
    /// Readable.
    pub read: bool,
    /// Writable.
    pub write: bool,
    /// Executable.
    pub execute: bool,
    /// Changes are shared with others.
    pub is_shared: bool,
    /// Offset in the file.
    pub offset: u64,
    /// The file.
    pub file: Option<&'a Arc<Dentry>>,
    /// What it is called if it is not of a file: `[heap]`, or nothing.
    pub label: &'a str,
    /// Its pages stay.
    pub is_locked: bool,
    /// Counts its pages.
    pub census: &'a dyn Fn() -> Census,
}

/// What a process uses.
#[derive(Clone, Copy, Debug, Default)]
pub struct Usage {
    /// Address space, bytes.
    pub virtual_bytes: u64,
    /// Memory, bytes.
    pub resident_bytes: u64,
    /// Most memory ever, bytes.
    pub peak_resident_bytes: u64,
    /// Memory that is locked, bytes.
    pub locked_bytes: u64,
    /// Start, monotonic clock, ns.
    pub started_ns: u64,
    /// Time it has run, ns.
    pub ran_ns: u64,
    /// Time that its children ran for which it waited, ns.
    pub children_ran_ns: u64,
    /// What its threads read, wrote and waited.
    pub counts: Sums,
}

/// The system.
pub trait System: Send + Sync {
    /// The process that is asking.
    fn current(&self) -> Option<Arc<dyn ProcessInfo>>;

    /// The thread that is asking.
    fn current_thread(&self) -> u32;

    /// Numbers of all processes.
    fn pids(&self) -> Vec<u32>;

    /// A process by its number.
    fn process(&self, pid: u32) -> Option<Arc<dyn ProcessInfo>>;

    /// Every mount.
    fn namespace(&self) -> Arc<Namespace>;

    /// Host name.
    fn hostname(&self) -> Vec<u8>;

    /// Release, as `uname` tells it.
    fn release(&self) -> &str;

    /// Version, as `uname` tells it.
    fn version(&self) -> &str;

    /// Number of CPUs.
    fn cpus(&self) -> u32;

    /// The caches of a CPU, the smallest first.
    fn caches(&self) -> Vec<Cache> {
        Vec::new()
    }

    /// The lines of one CPU in `cpuinfo` after `processor`.
    fn cpu_description(&self) -> String {
        String::from("vendor_id\t: unknown\nmodel name\t: unknown\n")
    }
}
