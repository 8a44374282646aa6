//! Programs: identity, address space, files, signals, and the threads that run them.
//!
//! * [`family`]: all processes, and who belongs to whom; [`birth`] and [`ending`]: how they come and go; [`stop`]: job control;
//! * [`shared`]: what processes may have in common;
//! * [`file`]: a process as an open file;
//! * [`sessions`]: programs whose other end is the host's;
//! * [`load`]: ELF files and scripts into an address space; [`stack`]: what a program finds on its stack;
//! * [`signal`]: dispositions, masks, pending signals and their delivery;
//! * [`thread`]: a thread's life: run, serve what it traps for, deliver signals; [`task`]: what others may know of it;
//! * [`threads`]: the threads of a process together; [`vcpus`]: what they run on;
//! * [`numbers`]: who is called what; [`limits`]: resource limits; [`timer`] and [`posix_timer`]: timers and the limit on CPU time.
//!
//! A [`Process`] is shared by its threads; a [`Thread`](thread::Thread) belongs to one vCPU.

pub mod birth;
pub mod counts;
pub mod elf;
pub mod ending;
pub mod family;
pub mod file;
mod files;
pub mod limits;
pub mod load;
pub mod numbers;
pub mod posix_timer;
pub mod sessions;
pub mod shared;
pub mod signal;
pub mod stack;
pub mod stop;
pub mod table;
pub mod task;
pub mod thread;
pub mod threads;
pub mod timer;
pub mod to_many;
pub mod trace;
pub mod vcpus;
pub mod wishes;

use crate::fs::context::FsContext;
use crate::fs::dentry::Dentry;
use crate::fs::descriptors::DescriptorTable;
use crate::fs::mount::Namespace;
use crate::memory::AddressSpace;
use crate::wait::WaitQueue;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use ending::LettingGo;
use family::Kin;
use limits::Limits;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;
use shared::Shared;
use signal::{Actions, Pending};
use stop::Stop;
use threads::Threads;
use timer::Timers;
use to_many::ToMany;
use wishes::Wishes;

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
    /// Its place among the others.
    pub kin: Kin,
    /// Memory.
    pub space: Shared<Mutex<AddressSpace>>,
    /// Open files.
    pub descriptors: Shared<Mutex<DescriptorTable>>,
    /// Root, working directory, identity.
    pub fs: Shared<Mutex<FsContext>>,
    /// Every mount.
    pub namespace: Arc<Namespace>,
    /// What it runs.
    pub image: Mutex<Image>,
    /// Signal dispositions.
    pub actions: Shared<Mutex<Actions>>,
    /// Signals sent to the process.
    pub pending: Mutex<Pending>,
    /// Whether it is stopped.
    pub stop: Stop,
    /// Woken when it has ended.
    pub ended: WaitQueue,
    /// Woken when something became of a child.
    pub children: WaitQueue,
    /// Resource limits.
    pub limits: Mutex<Limits>,
    /// Timers that send signals.
    pub timers: Timers,
    /// Its threads.
    pub threads: Threads,
    /// Says which program it runs, as no other process and no program before.
    program: AtomicU64,
    /// What it asked for with `prctl`.
    pub wishes: Wishes,
    /// Its nice value, which the host does not know.
    pub nice: AtomicI32,
    /// How it ended, once it has.
    pub end: Mutex<Option<End>>,
    /// Who lent it its memory goes on.
    pub letting_go: LettingGo,
    /// Monotonic time of its start, ns.
    pub started_ns: u64,
    /// What its children used, as far as it waited for them: time in ns, and the most memory that one had, in frames.
    pub children_ns: AtomicU64,
    /// See above.
    pub children_frames: AtomicU64,
    /// What it was sent that others are sent too; noted when it has it (see `family::add_child`).
    pub to_many: ToMany,
    /// Facts of the partition.
    pub machine: Arc<Machine>,
}

/// Facts of the partition that programs ask for.
#[derive(Clone, Debug)]
pub struct Machine {
    /// CPUs.
    pub cpus: u32,
    /// Threads there may be.
    pub thread_limit: u32,
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

/// What the first process begins with.
pub struct First {
    /// Every mount.
    pub namespace: Arc<Namespace>,
    /// Root, working directory, identity.
    pub fs: FsContext,
    /// Facts of the partition.
    pub machine: Machine,
    /// Memory.
    pub space: AddressSpace,
    /// What it runs.
    pub image: Image,
    /// Open files.
    pub descriptors: DescriptorTable,
}

fn next_program() -> u64 {
    static PROGRAMS: AtomicU64 = AtomicU64::new(0);
    PROGRAMS.fetch_add(1, Ordering::Relaxed) + 1
}

impl Process {
    /// The first process, which is one of the [family] from now on.
    #[must_use]
    pub fn first(with: First) -> Arc<Self> {
        let process = Self::new(
            FIRST_PID,
            Kin::first(),
            with.space,
            with.fs,
            with.image,
            with.namespace,
            Arc::new(with.machine),
        );
        *process.descriptors.lock() = with.descriptors;
        family::add(&process);
        process
    }

    /// A process that the kernel begins besides the first, leading a session; it is not one of the [family] yet, and has no files.
    pub(crate) fn of_session(first: &Self, fs: FsContext, space: AddressSpace, image: Image) -> Arc<Self> {
        let pid = numbers::next();
        let (namespace, machine) = (Arc::clone(&first.namespace), Arc::clone(&first.machine));
        Self::new(pid, Kin::of_leader(pid), space, fs, image, namespace, machine)
    }

    fn new(
        pid: u32,
        kin: Kin,
        space: AddressSpace,
        fs: FsContext,
        image: Image,
        namespace: Arc<Namespace>,
        machine: Arc<Machine>,
    ) -> Arc<Self> {
        Arc::new(Self {
            pid,
            kin,
            space: Shared::new(Mutex::new(space)),
            descriptors: Shared::new(Mutex::new(DescriptorTable::new(1024))),
            fs: Shared::new(Mutex::new(fs)),
            namespace,
            image: Mutex::new(image),
            actions: Shared::new(Mutex::default()),
            pending: Mutex::default(),
            stop: Stop::default(),
            ended: WaitQueue::new(),
            children: WaitQueue::new(),
            limits: Mutex::default(),
            timers: Timers::default(),
            threads: Threads::default(),
            program: AtomicU64::new(next_program()),
            wishes: Wishes::default(),
            nice: AtomicI32::new(0),
            end: Mutex::new(None),
            letting_go: LettingGo::default(),
            started_ns: monotonic_ns(),
            children_ns: AtomicU64::new(0),
            children_frames: AtomicU64::new(0),
            to_many: ToMany::default(),
            machine,
        })
    }

    /// Which program it runs; never 0.
    #[must_use]
    pub fn program(&self) -> u64 {
        self.program.load(Ordering::Relaxed)
    }

    /// It runs another program from now on. Returns which.
    pub(crate) fn begin_program(&self) -> u64 {
        let program = next_program();
        self.program.store(program, Ordering::Relaxed);
        program
    }

    /// Sets a resource limit; the caller has found that it may.
    pub fn set_limit(&self, resource: usize, (soft, hard): (u64, u64)) {
        let mut limits = self.limits.lock();
        let Some(limit) = limits.0.get_mut(resource) else { return };
        *limit = (soft, hard);
        drop(limits);
        match resource {
            limits::CPU_TIME => self.watch_cpu_limit(),
            limits::FILE_SIZE => limits::note_file_size(soft),
            limits::STACK => self.space.lock().set_stack_limit(soft),
            limits::FILES => self.descriptors.lock().limit = u32::try_from(soft).unwrap_or(u32::MAX),
            _ => {}
        }
    }

    /// Its user.
    #[must_use]
    pub fn uid(&self) -> u32 {
        self.fs.lock().uid
    }
}
