//! A new process: `fork`, `vfork` and `clone` without CLONE_THREAD.
//!
//! The vCPU comes first, because it is what there may be too few of; then what the child has of its own is copied; only when all is there
//! the child is listed and begins. Whatever fails before leaves nothing behind.

use super::family::{self, Kin};
use super::limits;
use super::shared::Shared;
use super::signal::{Info, Pending, bit};
use super::stop::Stop;
use super::task::Task;
use super::thread::{Start, Thread};
use super::threads::Threads;
use super::timer::Timers;
use super::to_many::ToMany;
use super::trace::event;
use super::vcpus::Vcpu;
use super::{LettingGo, Process, next_program, numbers};
use crate::memory::discard;
use crate::wait::WaitQueue;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::sync::atomic::{AtomicI32, AtomicU64, Ordering};
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::float::FloatState;
use septum_guest_hal::sync::Mutex;

/// What a child has in common with its parent, and how it begins.
#[derive(Clone, Copy, Debug, Default)]
pub struct Wish {
    /// The parent's memory, not a copy (CLONE_VM).
    pub shares_memory: bool,
    /// CLONE_FS
    pub shares_fs: bool,
    /// CLONE_FILES
    pub shares_descriptors: bool,
    /// CLONE_SIGHAND
    pub shares_actions: bool,
    /// No signal has a handler (CLONE_CLEAR_SIGHAND).
    pub clears_actions: bool,
    /// It is the caller's sibling (CLONE_PARENT).
    pub is_sibling: bool,
    /// The caller waits until it has its own memory, or none (CLONE_VFORK).
    pub is_waited_for: bool,
    /// What its end sends to the parent; 0: nothing.
    pub exit_signal: u32,
    /// Stack pointer; 0: as the caller's.
    pub stack: u64,
    /// Thread pointer, if it is not the caller's.
    pub tls: Option<u64>,
    /// What is cleared when it ends, or 0.
    pub clear_tid: u64,
    /// What its number is written to in its own memory, or 0.
    pub set_tid: u64,
}

/// Makes a copy of the calling thread's process begin. `announce` is told of it before it does, and may prevent it. Returns its number.
pub fn fork(
    thread: &Thread,
    wish: &Wish,
    announce: impl FnOnce(&Arc<Process>) -> Result<(), Errno>,
) -> Result<u32, Errno> {
    let parent = &thread.process;
    let mut seen = parent.to_many.count();
    // What came before counts as come before the child, too.
    if thread.task.is_interrupted() {
        return Err(Errno::EINTR);
    }
    limits::check_processes(parent)?;
    let vcpu = Vcpu::take()?;
    let child = Arc::new(copy(parent, wish)?);
    let task = Arc::new(Task::new(&child, child.pid, thread.task.name.lock().clone()));
    {
        let (mut signals, own) = (task.signals.lock(), thread.task.signals.lock());
        signals.mask = own.mask;
        if !wish.shares_memory || wish.is_waited_for {
            signals.stack = own.stack;
        }
    }
    task.inherit_scheduling(&thread.task);
    let start = {
        let mut program = thread.program.borrow_mut();
        let mut registers = *program.registers();
        registers.rax = 0;
        if wish.stack != 0 {
            registers.rsp = wish.stack;
        }
        let fs_base = wish.tls.unwrap_or_else(|| program.fs_base());
        let (clear_tid, set_tid) = (wish.clear_tid, wish.set_tid);
        let (gs_base, float) = (program.gs_base(), FloatState::current());
        Start { task: Arc::clone(&task), registers, fs_base, gs_base, float, clear_tid, set_tid }
    };
    child.watch_cpu_limit();
    // The first one is always let in.
    let _ = child.add_thread(Arc::clone(&task));
    if parent.must_leave(&thread.task) {
        return Err(abandon(&child, &task, Errno::EINTR));
    }
    while let Err(now) = family::add_child(&child, parent, seen) {
        // A signal to a group that came meanwhile did not reach the child: it came before there was one. The call is made again, when the
        // handler has returned: a shell whose command was interrupted has no command that goes on.
        if thread.task.is_interrupted() {
            return Err(abandon(&child, &task, Errno::EINTR));
        }
        // What the parent has blocked is the child's to get.
        let missed = parent.to_many.since(seen);
        for signal in (1..=64).filter(|&signal| missed & bit(signal) != 0 && !task.ignores(signal)) {
            child.pending.lock().add(Info::from_kernel(signal));
        }
        seen = now;
    }
    if let Err(errno) = announce(&child) {
        family::remove(child.pid);
        return Err(abandon(&child, &task, errno));
    }
    let kind = match (wish.is_waited_for, wish.exit_signal) {
        (true, _) => event::VFORK,
        (false, signal::SIGCHLD) => event::FORK,
        _ => event::CLONE,
    };
    let told = thread.pass_trace_on(&task, kind);
    vcpu.launch(Box::new(start));
    if let Some(event) = told {
        thread.stop_for_event(event, u64::from(child.pid));
    }
    if wish.is_waited_for {
        child.letting_go.wait(&thread.task);
        thread.stop_for_event(event::VFORK_DONE, u64::from(child.pid));
    }
    Ok(child.pid)
}

/// Lets go of what a child that will not begin shares, and of its thread; returns why.
fn abandon(child: &Process, task: &Task, reason: Errno) -> Errno {
    let _ = (child.space.leave(), child.descriptors.leave(), child.fs.leave(), child.actions.leave());
    // They hold each other.
    child.remove_thread(task);
    reason
}

fn copy(parent: &Arc<Process>, wish: &Wish) -> Result<Process, Errno> {
    // First what may fail.
    let space = if wish.shares_memory {
        parent.space.share()
    } else {
        let copy = parent.space.lock().fork();
        Shared::new(Mutex::new(copy.inspect_err(|_| discard::relieve())?))
    };
    let descriptors = if wish.shares_descriptors {
        parent.descriptors.share()
    } else {
        Shared::new(Mutex::new(parent.descriptors.lock().clone()))
    };
    let fs =
        if wish.shares_fs { parent.fs.share() } else { Shared::new(Mutex::new(parent.fs.lock().clone())) };
    let actions = if wish.shares_actions {
        parent.actions.share()
    } else {
        let mut actions = parent.actions.lock().clone();
        if wish.clears_actions {
            actions.reset_handlers();
        }
        Shared::new(Mutex::new(actions))
    };
    Ok(Process {
        pid: numbers::next(),
        kin: Kin::of_child(parent, wish.exit_signal, wish.is_sibling),
        space,
        descriptors,
        fs,
        namespace: Arc::clone(&parent.namespace),
        image: Mutex::new(parent.image.lock().clone()),
        actions,
        pending: Mutex::new(Pending::default()),
        stop: Stop::default(),
        ended: WaitQueue::new(),
        children: WaitQueue::new(),
        limits: Mutex::new(*parent.limits.lock()),
        timers: Timers::default(),
        threads: Threads::default(),
        program: AtomicU64::new(next_program()),
        wishes: parent.wishes.inherited(),
        nice: AtomicI32::new(parent.nice.load(Ordering::Relaxed)),
        end: Mutex::new(None),
        letting_go: LettingGo::default(),
        started_ns: monotonic_ns(),
        children_ns: AtomicU64::new(0),
        children_frames: AtomicU64::new(0),
        to_many: ToMany::default(),
        machine: Arc::clone(&parent.machine),
    })
}
