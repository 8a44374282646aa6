//! vCPUs as threads run on them: whose each is, and those that have nothing to do.
//!
//! ```text
//!            launch: a new vCPU, or one that is parked
//!   parked ────────────────────────────────────────────► running a thread
//!      ▲                                                        │
//!      └───────────────── the thread has left ◄─────────────────┘
//! ```
//!
//! There is no run queue. A vCPU without a thread halts until it is given one; a thread keeps its vCPU until it ends.

use super::task::Task;
use super::thread::{Start, Thread};
use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::float;
use septum_guest_hal::park::{self, MAX_VCPUS};
use septum_guest_hal::report::End;
use septum_guest_hal::sync::{Mutex, Once};
use septum_guest_hal::user::Program;
use septum_guest_hal::vcpu;

struct Slot {
    /// The thread that runs there.
    task: Mutex<Option<Arc<Task>>>,
    /// The thread that is to run there.
    start: Mutex<Option<Box<Start>>>,
    /// The [program](super::Process::program) whose extended state is in its registers; 0: nobody's.
    program: AtomicU64,
}

static SLOTS: [Slot; MAX_VCPUS] =
    [const { Slot { task: Mutex::new(None), start: Mutex::new(None), program: AtomicU64::new(0) } };
        MAX_VCPUS];

/// Those without a thread, or about to be.
static PARKED: Mutex<Vec<u32>> = Mutex::new(Vec::new());

static END: Once<fn(End) -> !> = Once::new();

fn slot(vcpu: u32) -> &'static Slot {
    &SLOTS[vcpu as usize % MAX_VCPUS]
}

/// The thread that runs on this vCPU.
#[must_use]
pub fn current_task() -> Option<Arc<Task>> {
    slot(vcpu::current()).task.lock().clone()
}

pub(super) fn set_current_task(task: Option<Arc<Task>>) {
    let previous = core::mem::replace(&mut *slot(vcpu::current()).task.lock(), task);
    drop(previous);
}

/// This vCPU runs `program` from now on: what another one left in its registers goes.
pub(super) fn change_program(program: u64) {
    let previous = slot(vcpu::current()).program.swap(program, Ordering::Relaxed);
    if previous != program && previous != 0 {
        float::reset();
    }
}

/// A vCPU for a thread to come; unless it is [launched](Vcpu::launch), it goes back.
pub struct Vcpu(u32);

impl Vcpu {
    /// One that is parked, or a new one. EAGAIN if there are no more.
    pub fn take() -> Result<Self, Errno> {
        let parked = PARKED.lock().pop();
        match parked {
            Some(vcpu) => Ok(Self(vcpu)),
            None => vcpu::start(serve).map(Self).map_err(|_| Errno::EAGAIN),
        }
    }

    /// Has it run a new thread.
    pub fn launch(self, start: Box<Start>) {
        let vcpu = self.0;
        core::mem::forget(self);
        start.task.set_vcpu(vcpu);
        *slot(vcpu).start.lock() = Some(start);
        park::unpark(vcpu);
    }
}

impl Drop for Vcpu {
    fn drop(&mut self) {
        PARKED.lock().push(self.0);
    }
}

/// Lists this vCPU as one without a thread; it must be about to be.
pub(super) fn offer() {
    PARKED.lock().push(vcpu::current());
}

/// Runs the first thread on this vCPU; then the vCPU serves as any other. `end` is called when the process ends.
pub fn run_first(thread: Thread, end: fn(End) -> !) -> ! {
    END.call_once(|| end);
    serve_with(run(thread))
}

/// What a vCPU other than the first does.
fn serve() -> ! {
    match Program::take() {
        Some(program) => serve_with(program),
        None => loop {
            park::park(None);
        },
    }
}

fn serve_with(mut program: Program) -> ! {
    let own = vcpu::current();
    loop {
        let start = slot(own).start.lock().take();
        match start {
            Some(start) => program = run(Thread::begin(*start, program)),
            None => {
                park::park(None);
            }
        }
    }
}

/// Runs a thread until it has left; ends the partition if that was its process's end.
fn run(thread: Thread) -> Program {
    if let Some(end) = thread.run()
        && let Some(end_partition) = END.get()
    {
        end_partition(end)
    }
    thread.offer_vcpu();
    thread.into_program()
}
