//! The program: identity, address space, files, signals, and the thread that runs it.
//!
//! * [`load`]: ELF files and scripts into an address space; [`stack`]: what a program finds on its stack;
//! * [`signal`]: dispositions, masks, pending signals and their delivery;
//! * [`thread`]: a thread's life: run, serve what it traps for, deliver signals; [`task`]: what others may know of it;
//! * [`threads`]: the threads of a process together; [`vcpus`]: what they run on;
//! * [`limits`]: resource limits; [`timer`]: interval timers.
//!
//! A [`Process`] is shared by its threads; a [`Thread`](thread::Thread) belongs to one vCPU.

mod files;
pub mod limits;
pub mod load;
pub mod signal;
pub mod stack;
pub mod table;
pub mod task;
pub mod thread;
pub mod threads;
pub mod timer;
pub mod vcpus;

use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::mount::Namespace;
use crate::memory::AddressSpace;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::AtomicBool;
use limits::Limits;
use septum_guest_hal::sync::Mutex;
use signal::{Actions, Pending};
use threads::Threads;
use timer::Alarm;

pub use septum_guest_hal::report::End;

/// The number of the first program.
pub const FIRST_PID: u32 = 1;

/// What stays the same for as long as a program runs, until `execve`.
#[derive(Clone)]
pub struct Image {
    /// The file.
    pub executable: Arc<Dentry>,
    /// Arguments, each with its NUL.
    pub arguments: Arc<[u8]>,
    /// Environment, each with its NUL.
    pub environment: Arc<[u8]>,
    /// The auxiliary vector as the program got it.
    pub auxiliary: Arc<[u8]>,
    /// Name of the thread (`comm`), at most 15 bytes.
    pub name: Vec<u8>,
}

/// A process.
pub struct Process {
    /// Number.
    pub pid: u32,
    /// Memory.
    pub space: Mutex<AddressSpace>,
    /// Open files.
    pub descriptors: Mutex<DescriptorTable>,
    /// Root, working directory, identity.
    pub fs: Mutex<FsContext>,
    /// Every mount.
    pub namespace: Arc<Namespace>,
    /// What it runs.
    pub image: Mutex<Image>,
    /// Signal dispositions.
    pub actions: Mutex<Actions>,
    /// Signals sent to the process.
    pub pending: Mutex<Pending>,
    /// Resource limits.
    pub limits: Mutex<Limits>,
    /// ITIMER_REAL.
    pub alarm: Alarm,
    /// Its threads.
    pub threads: Threads,
    /// PR_SET_NO_NEW_PRIVS; nothing here gives privileges.
    pub has_no_new_privileges: AtomicBool,
    /// How it ended, once it has.
    pub end: Mutex<Option<End>>,
    /// Monotonic time of its start, ns.
    pub started_ns: u64,
    /// Facts of the partition.
    pub machine: Machine,
}

/// Facts of the partition that programs ask for.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPUs.
    pub cpus: u32,
    /// Threads there may be.
    pub thread_limit: u32,
    /// Host name.
    pub hostname: Vec<u8>,
    /// Bytes of RAM.
    pub ram_bytes: u64,
    /// AT_HWCAP.
    pub hwcap: u64,
    /// AT_HWCAP2.
    pub hwcap2: u64,
    /// The vDSO's object file.
    pub vdso: &'static [u8],
    /// Makes the frames to map for the vDSO and the clock page.
    pub vdso_frames: fn(&'static [u8]) -> Option<[Vec<septum_guest_hal::frame::Frame>; 2]>,
}

impl Process {
    /// Lets go of what must not get lost when the partition ends with the process: stores to shared mappings of files.
    pub fn settle(&self) {
        self.space.lock().write_back(0, septum_abi::layout::USER_END);
    }
}
