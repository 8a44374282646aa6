//! New threads: `clone`, `clone3`.

use super::entry::{Entry, Support};
use crate::memory::buffer;
use crate::process::task::Task;
use crate::process::thread::{Start, Thread};
use crate::process::{threads, vcpus};
use alloc::boxed::Box;
use alloc::sync::Arc;
use septum_abi::layout::USER_END;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::float::FloatState;

bitflags::bitflags! {
    /// CLONE_*; the low byte is a signal, which threads do not send.
    #[derive(Clone, Copy)]
    struct Flags: u64 {
        const VM = 0x100;
        const FS = 0x200;
        const FILES = 0x400;
        const SIGHAND = 0x800;
        const PIDFD = 0x1000;
        const THREAD = 0x1_0000;
        const SETTLS = 0x8_0000;
        const PARENT_SETTID = 0x10_0000;
        const CHILD_CLEARTID = 0x20_0000;
        const CHILD_SETTID = 0x100_0000;
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
            let request = Request { flags: a[0], stack: a[1], parent_tid: a[2], child_tid: a[3], tls: a[4] };
            sys_clone(thread, request)
        },
        support: Support::Partial,
        notes: "threads; new processes are ENOSYS",
    },
    Entry {
        number: number::CLONE3,
        handler: |thread, a| sys_clone3(thread, a[0], a[1]),
        support: Support::Partial,
        notes: "threads; new processes are ENOSYS",
    },
];

/// What is asked for.
struct Request {
    flags: u64,
    /// Stack pointer; 0 leaves it.
    stack: u64,
    parent_tid: u64,
    child_tid: u64,
    tls: u64,
}

/// `clone3(2)`
fn sys_clone3(thread: &Thread, arguments: u64, size: u64) -> Result<usize, Errno> {
    if size < 64 {
        return Err(Errno::EINVAL);
    }
    if size > 4096 {
        return Err(Errno::E2BIG);
    }
    let mut bytes = [0; 64];
    buffer::read(&thread.process.space, arguments, &mut bytes)?;
    let word = |index: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[index * 8 + byte]));
    let (stack, stack_size) = (word(5), word(6));
    if (stack == 0) != (stack_size == 0) {
        return Err(Errno::EINVAL);
    }
    let stack = stack.checked_add(stack_size).ok_or(Errno::EINVAL)?;
    sys_clone(
        thread,
        Request { flags: word(0), stack, parent_tid: word(3), child_tid: word(2), tls: word(7) },
    )
}

/// `clone(2)`
fn sys_clone(thread: &Thread, request: Request) -> Result<usize, Errno> {
    let flags = Flags::from_bits_retain(request.flags);
    if flags.contains(Flags::THREAD) && !flags.contains(Flags::SIGHAND)
        || flags.contains(Flags::SIGHAND) && !flags.contains(Flags::VM)
    {
        return Err(Errno::EINVAL);
    }
    if !flags.contains(Flags::THREAD) || !flags.contains(Flags::FS | Flags::FILES) {
        return Err(Errno::ENOSYS);
    }
    if flags.intersects(Flags::NAMESPACES | Flags::PIDFD) {
        return Err(Errno::EINVAL);
    }
    if flags.contains(Flags::SETTLS) && request.tls >= USER_END {
        return Err(Errno::EPERM);
    }
    let process = &thread.process;
    let tid = threads::next_tid();
    let task = Arc::new(Task::new(process, tid, thread.task.name.lock().clone()));
    task.signals.lock().mask = thread.task.signals.lock().mask;
    *task.affinity.lock() = thread.task.affinity.lock().clone();
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
        Start { task: Arc::clone(&task), registers, fs_base, gs_base, float, clear_tid }
    };
    for (flag, address) in
        [(Flags::PARENT_SETTID, request.parent_tid), (Flags::CHILD_SETTID, request.child_tid)]
    {
        if flags.contains(flag) {
            buffer::write(&process.space, address, &tid.to_le_bytes())?;
        }
    }
    let limit = usize::try_from(process.machine.thread_limit.max(1)).unwrap_or(usize::MAX);
    process.add_thread(Arc::clone(&task), limit)?;
    if let Err(errno) = vcpus::launch(Box::new(start)) {
        process.remove_thread(&task);
        return Err(errno);
    }
    Ok(septum_guest_hal::address::to_usize(u64::from(tid)))
}
