//! New threads and processes: `clone`, `clone3`, `fork`, `vfork`.

use super::entry::{Entry, Support};
use super::uint;
use crate::fs::open::OpenFlags;
use crate::memory::buffer;
use crate::process::Process;
use crate::process::birth::{self, Wish};
use crate::process::file::ProcessFile;
use crate::process::limits;
use crate::process::numbers;
use crate::process::task::Task;
use crate::process::thread::{Start, Thread};
use crate::process::trace::event;
use crate::process::vcpus::Vcpu;
use alloc::boxed::Box;
use alloc::sync::Arc;
use septum_abi::layout::USER_END;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::float::FloatState;
use septum_guest_hal::sync::Mutex;

bitflags::bitflags! {
    /// CLONE_*; the low byte is the signal that the end of a process sends.
    #[derive(Clone, Copy)]
    struct Flags: u64 {
        const VM = 0x100;
        const FS = 0x200;
        const FILES = 0x400;
        const SIGHAND = 0x800;
        const PIDFD = 0x1000;
        const VFORK = 0x4000;
        const PARENT = 0x8000;
        const THREAD = 0x1_0000;
        const SYSTEM_V = 0x4_0000;
        const SETTLS = 0x8_0000;
        const PARENT_SETTID = 0x10_0000;
        const CHILD_CLEARTID = 0x20_0000;
        const DETACHED = 0x40_0000;
        const CHILD_SETTID = 0x100_0000;
        const CLEAR_SIGHAND = 0x1_0000_0000;
        /// Namespaces: a thread has those of its process.
        const NAMESPACES = 0x7e02_0080;
        const _ = !0;
    }
}

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::CLONE,
        handler: |thread, a| {
            let (flags, signal) = (a[0] & 0xffff_ff00, a[0] & 0xff);
            // One address for two.
            if Flags::from_bits_retain(flags).contains(Flags::PIDFD | Flags::PARENT_SETTID) {
                return Err(Errno::EINVAL);
            }
            sys_clone(
                thread,
                Request {
                    flags,
                    signal,
                    stack: a[1],
                    parent_tid: a[2],
                    child_tid: a[3],
                    tls: a[4],
                    pidfd: a[2],
                },
            )
        },
        support: Support::Partial,
        notes: "threads with CLONE_FS and CLONE_FILES; processes; CLONE_PIDFD; namespaces are EPERM",
    },
    Entry {
        number: number::CLONE3,
        handler: |thread, a| sys_clone3(thread, a[0], a[1]),
        support: Support::Partial,
        notes: "as clone, with CLONE_CLEAR_SIGHAND; set_tid and cgroup are EINVAL",
    },
    Entry {
        number: number::UNSHARE,
        handler: |thread, a| sys_unshare(thread, a[0]),
        support: Support::Partial,
        notes: "CLONE_FS and CLONE_FILES of a process with one thread; namespaces are EPERM",
    },
    Entry {
        number: number::SETNS,
        handler: |_, _| Err(Errno::EPERM),
        support: Support::Refused,
        notes: "EPERM",
    },
    Entry {
        number: number::FORK,
        handler: |thread, _| sys_clone(thread, Request { signal: SIGCHLD, ..Request::default() }),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::VFORK,
        handler: |thread, _| {
            let flags = (Flags::VM | Flags::VFORK).bits();
            sys_clone(thread, Request { flags, signal: SIGCHLD, ..Request::default() })
        },
        support: Support::Full,
        notes: "",
    },
];

/// `unshare(2)`
fn sys_unshare(thread: &Thread, flags: u64) -> Result<usize, Errno> {
    let flags = Flags::from_bits_retain(flags);
    let own = Flags::FS | Flags::FILES | Flags::SYSTEM_V;
    if !(own | Flags::NAMESPACES | Flags::VM | Flags::SIGHAND | Flags::THREAD).contains(flags) {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(Flags::NAMESPACES) {
        return Err(Errno::EPERM);
    }
    let process = &thread.process;
    // What threads share they share for good.
    if !flags.is_empty() && process.thread_count() > 1 {
        return Err(Errno::EINVAL);
    }
    if flags.contains(Flags::FILES) && process.descriptors.is_shared() {
        let own = process.descriptors.lock().clone();
        process.descriptors.replace(Mutex::new(own));
    }
    if flags.contains(Flags::FS) && process.fs.is_shared() {
        let own = process.fs.lock().clone();
        process.fs.replace(Mutex::new(own));
    }
    // With one thread there is nothing to share signal actions or memory with, unless another process does.
    let shares = [(Flags::SIGHAND, process.actions.is_shared()), (Flags::VM, process.space.is_shared())];
    if shares.iter().any(|&(flag, is_shared)| flags.contains(flag) && is_shared) {
        return Err(Errno::EINVAL);
    }
    Ok(0)
}

const SIGCHLD: u64 = signal::SIGCHLD as u64;

/// What is asked for.
#[derive(Default)]
struct Request {
    flags: u64,
    /// What the end of the process sends.
    signal: u64,
    /// Stack pointer; 0 leaves it.
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
    /// Where the descriptor for the process goes.
    pidfd: u64,
}

/// `clone3(2)`
fn sys_clone3(thread: &Thread, arguments: u64, size: u64) -> Result<usize, Errno> {
    if size < 64 {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = [0; 88];
    let known = usize::try_from(size).unwrap_or(bytes.len()).min(bytes.len());
    buffer::read(&thread.process.space, arguments, &mut bytes[..known])?;
    let word = |index: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[index * 8 + byte]));
    for at in (bytes.len() as u64..size).step_by(8) {
        let mut more = [0; 8];
        let len = usize::try_from(size - at).unwrap_or(8).min(8);
        buffer::read(&thread.process.space, arguments.wrapping_add(at), &mut more[..len])?;
        if more != [0; 8] {
            return Err(Errno::E2BIG);
        }
    }
    let (flags, signal, stack, stack_size) = (word(0), word(4), word(5), word(6));
    let is_signal = signal <= u64::from(signal::LAST) && flags & 0xff == 0;
    let has_more = word(8) != 0 || word(9) != 0 || word(10) != 0;
    if !is_signal || (stack == 0) != (stack_size == 0) || has_more {
        return Err(Errno::EINVAL);
    }
    let stack = stack.checked_add(stack_size).ok_or(Errno::EINVAL)?;
    let (pidfd, parent_tid, child_tid, tls) = (word(1), word(3), word(2), word(7));
    sys_clone(thread, Request { flags, signal, stack, parent_tid, child_tid, tls, pidfd })
}

/// `clone(2)`
fn sys_clone(thread: &Thread, request: Request) -> Result<usize, Errno> {
    let flags = Flags::from_bits_retain(request.flags);
    if flags.contains(Flags::THREAD) && !flags.contains(Flags::SIGHAND)
        || flags.contains(Flags::SIGHAND) && !flags.contains(Flags::VM)
    {
        return Err(Errno::EINVAL);
    }
    if flags.intersects(Flags::NAMESPACES) {
        return Err(Errno::EPERM);
    }
    if flags.bits() >> 33 != 0
        || flags.contains(Flags::PIDFD) && flags.intersects(Flags::THREAD | Flags::DETACHED)
    {
        return Err(Errno::EINVAL);
    }
    if flags.contains(Flags::SIGHAND | Flags::CLEAR_SIGHAND) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(Flags::SETTLS) && request.tls >= USER_END {
        return Err(Errno::EPERM);
    }
    if !flags.contains(Flags::THREAD) {
        return new_process(thread, flags, &request);
    }
    if !flags.contains(Flags::FS | Flags::FILES) {
        return Err(Errno::ENOSYS);
    }
    let process = &thread.process;
    limits::check_processes(process)?;
    let tid = numbers::next();
    let task = Arc::new(Task::new(process, tid, thread.task.name.lock().clone()));
    task.signals.lock().mask = thread.task.signals.lock().mask;
    task.inherit_scheduling(&thread.task);
    let start = {
        let mut program = thread.program.borrow_mut();
        let mut registers = *program.registers();
        registers.rax = 0;
        if request.stack != 0 {
            registers.rsp = request.stack;
        }
        let fs_base = if flags.contains(Flags::SETTLS) { request.tls } else { program.fs_base() };
        let clear_tid = if flags.contains(Flags::CHILD_CLEARTID) { request.child_tid } else { 0 };
        let (gs_base, float) = (program.gs_base(), FloatState::current());
        Start { task: Arc::clone(&task), registers, fs_base, gs_base, float, clear_tid, set_tid: 0 }
    };
    for (flag, address) in
        [(Flags::PARENT_SETTID, request.parent_tid), (Flags::CHILD_SETTID, request.child_tid)]
    {
        if flags.contains(flag) {
            buffer::write(&process.space, address, &tid.to_le_bytes())?;
        }
    }
    let vcpu = Vcpu::take()?;
    process.add_thread(Arc::clone(&task))?;
    let told = thread.pass_trace_on(&task, event::CLONE);
    vcpu.launch(Box::new(start));
    if let Some(event) = told {
        thread.stop_for_event(event, u64::from(tid));
    }
    Ok(septum_guest_hal::address::to_usize(u64::from(tid)))
}

/// `clone` without CLONE_THREAD.
fn new_process(thread: &Thread, flags: Flags, request: &Request) -> Result<usize, Errno> {
    let given = |flag: Flags, value: u64| if flags.contains(flag) { value } else { 0 };
    let wish = Wish {
        shares_memory: flags.contains(Flags::VM),
        shares_fs: flags.contains(Flags::FS),
        shares_descriptors: flags.contains(Flags::FILES),
        shares_actions: flags.contains(Flags::SIGHAND),
        clears_actions: flags.contains(Flags::CLEAR_SIGHAND),
        is_sibling: flags.contains(Flags::PARENT),
        is_waited_for: flags.contains(Flags::VFORK),
        exit_signal: uint(request.signal).min(signal::LAST),
        stack: request.stack,
        tls: flags.contains(Flags::SETTLS).then_some(request.tls),
        clear_tid: given(Flags::CHILD_CLEARTID, request.child_tid),
        set_tid: given(Flags::CHILD_SETTID, request.child_tid),
    };
    let announce = |child: &Arc<Process>| {
        let own = &thread.process;
        if flags.contains(Flags::PIDFD) {
            let file = ProcessFile::open(child, OpenFlags::empty());
            let fd = own.descriptors.lock().insert(file, true, 0)?;
            let fd = i32::try_from(fd).map_err(|_| Errno::EMFILE)?;
            if let Err(errno) = buffer::write(&own.space, request.pidfd, &fd.to_le_bytes()) {
                let file = own.descriptors.lock().remove(fd);
                drop(file);
                return Err(errno);
            }
        }
        if flags.contains(Flags::PARENT_SETTID) {
            // As on Linux, nobody hears of it if that is no place to write to.
            let _ = buffer::write(&own.space, request.parent_tid, &child.pid.to_le_bytes());
        }
        Ok(())
    };
    let pid = birth::fork(thread, &wish, announce)?;
    Ok(septum_guest_hal::address::to_usize(u64::from(pid)))
}
