//! System calls.
//!
//! One [table](TABLE) from numbers to handlers, put together from one list a family at compile time; a file per
//! family. Every handler has the same shape: the thread, and six arguments as the registers hold them; an adapter
//! line narrows them to what the `sys_…` function takes. A call is: one load from the table, one indirect call.
//!
//! Calls that leave no result (`exit`, `rt_sigreturn`) are the business of [`call`] itself.

pub mod asynchronous;
pub mod clock;
pub mod clone;
pub mod entry;
pub mod exec;
pub mod files;
pub mod futex;
pub mod identity;
pub mod locked;
pub mod memory;
pub mod message_queues;
pub mod messages;
pub mod net;
pub mod pidfd;
pub mod process_memory;
pub mod scheduling;
pub mod semaphores;
pub mod shared_memory;
pub mod signals;
pub mod system;
pub mod timers;
pub mod tracing;
pub mod wait;

use crate::process::thread::Thread;
use crate::process::{End, signal, trace};
use entry::{Entry, Handler};
use septum_abi::layout::SIGNAL_END_CALL;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, SYSCALL_LIMIT, signal as signals_of};
use septum_guest_hal::{clock as hal_clock, report};

const LIMIT: usize = SYSCALL_LIMIT as usize;

/// The files' list.
const FILE_CALLS: &[Entry<Thread>] = files::file_calls();

/// The sockets' list.
const NET_CALLS: &[Entry<Thread>] = net::net_calls();

/// Every family's list.
pub const FAMILIES: [&[Entry<Thread>]; 22] = [
    FILE_CALLS,
    NET_CALLS,
    memory::CALLS,
    locked::CALLS,
    process_memory::CALLS,
    signals::CALLS,
    clock::CALLS,
    futex::CALLS,
    identity::CALLS,
    scheduling::CALLS,
    system::CALLS,
    exec::CALLS,
    clone::CALLS,
    wait::CALLS,
    pidfd::CALLS,
    timers::CALLS,
    semaphores::CALLS,
    shared_memory::CALLS,
    messages::CALLS,
    message_queues::CALLS,
    tracing::CALLS,
    asynchronous::CALLS,
];

/// Handlers by number.
static TABLE: [Option<Handler<Thread>>; LIMIT] = {
    let mut table: [Option<Handler<Thread>>; LIMIT] = [None; LIMIT];
    let mut family = 0;
    while family < FAMILIES.len() {
        let mut index = 0;
        while index < FAMILIES[family].len() {
            let entry = &FAMILIES[family][index];
            assert!(table[entry.number].is_none(), "two handlers for one number");
            table[entry.number] = Some(entry.handler);
            index += 1;
        }
        family += 1;
    }
    table
};

/// Answers a system call. `None` if it has no result: the registers are what it made of them.
pub fn call(thread: &Thread, call: u64, arguments: [u64; 6]) -> Option<Result<usize, Errno>> {
    let index = usize::try_from(call).unwrap_or(LIMIT);
    let is_timed = report::counters().system_call(index);
    if let Some(Some(handler)) = TABLE.get(index) {
        if is_timed {
            return Some(timed(index, *handler, thread, arguments));
        }
        return Some(handler(thread, arguments));
    }
    match index {
        number::EXIT => {
            thread.exit(arguments[0].to_le_bytes()[0]);
            None
        }
        number::EXIT_GROUP => {
            thread.process.finish(End::Exited(arguments[0].to_le_bytes()[0]));
            None
        }
        number::RT_SIGRETURN => no_result(thread, signal::leave_handler(thread)),
        _ if call == SIGNAL_END_CALL => no_result(thread, signal::restore_context(thread)),
        _ => {
            report::counters().missing_system_call(index);
            Some(Err(Errno::ENOSYS))
        }
    }
}

/// Answers a call, and counts how long that took.
#[cold]
fn timed(
    index: usize,
    handler: Handler<Thread>,
    thread: &Thread,
    arguments: [u64; 6],
) -> Result<usize, Errno> {
    let began_ns = hal_clock::monotonic_ns();
    let result = handler(thread, arguments);
    let took_ns = hal_clock::monotonic_ns().saturating_sub(began_ns);
    report::counters().system_call_took(index, took_ns);
    result
}

/// A signal frame that cannot be read kills, as on Linux.
fn no_result(thread: &Thread, result: Result<(), Errno>) -> Option<Result<usize, Errno>> {
    if result.is_err() {
        thread.process.finish(End::Killed(signals_of::SIGSEGV));
    }
    None
}

/// Whether SA_RESTART applies to an interrupted call (`signal(7)`).
#[must_use]
pub fn may_restart(call: u64, arguments: &[u64; 6]) -> bool {
    const NEVER: [usize; 17] = [
        number::PAUSE,
        number::RT_SIGSUSPEND,
        number::RT_SIGTIMEDWAIT,
        number::NANOSLEEP,
        number::CLOCK_NANOSLEEP,
        number::POLL,
        number::PPOLL,
        number::SELECT,
        number::PSELECT6,
        number::EPOLL_WAIT,
        number::EPOLL_PWAIT,
        number::EPOLL_PWAIT2,
        number::SEMOP,
        number::SEMTIMEDOP,
        number::MSGRCV,
        number::MSGSND,
        number::IO_GETEVENTS,
    ];
    let call = usize::try_from(call).unwrap_or(LIMIT);
    // A wait for a futex with a timeout is not: it would begin anew.
    !NEVER.contains(&call) && (call != number::FUTEX || arguments[3] == 0)
}

/// What a tracer sees an interrupted call return that is not made again whatever SA_RESTART says; `None`: EINTR.
#[must_use]
pub fn shown_if_interrupted(call: u64) -> Option<i64> {
    match usize::try_from(call) {
        Ok(number::NANOSLEEP | number::CLOCK_NANOSLEEP | number::POLL | number::FUTEX) => {
            Some(trace::restart::BLOCK)
        }
        Ok(number::SELECT | number::PSELECT6 | number::PPOLL | number::PAUSE | number::RT_SIGSUSPEND) => {
            Some(trace::restart::NO_HANDLER)
        }
        _ => None,
    }
}

/// Whether it waits at a socket with a time limit of its own (SO_RCVTIMEO, SO_SNDTIMEO): then it is not made again, whatever SA_RESTART
/// says, and not after a signal without a handler either (`signal(7)`).
#[must_use]
pub fn has_time_limit(thread: &Thread, call: u64, arguments: &[u64; 6]) -> bool {
    const READS: [usize; 7] = [
        number::READ,
        number::READV,
        number::RECVFROM,
        number::RECVMSG,
        number::RECVMMSG,
        number::ACCEPT,
        number::ACCEPT4,
    ];
    const WRITES: [usize; 6] =
        [number::WRITE, number::WRITEV, number::SENDTO, number::SENDMSG, number::SENDMMSG, number::CONNECT];
    let call = usize::try_from(call).unwrap_or(LIMIT);
    let is_write = WRITES.contains(&call);
    if !is_write && !READS.contains(&call) {
        return false;
    }
    let file = thread.process.descriptors.lock().get(int(arguments[0]));
    file.is_ok_and(|file| file.file().patience_ns(is_write).is_some())
}

/// Whether it is made again even without SA_RESTART.
#[must_use]
pub fn must_restart(call: u64, arguments: &[u64; 6]) -> bool {
    match usize::try_from(call) {
        Ok(number::FUTEX) => futex::must_restart(arguments[1]),
        Ok(number::FORK | number::VFORK | number::CLONE | number::CLONE3) => true,
        _ => false,
    }
}

/// The low 32 bits of an argument, as the C `int` or `unsigned` that it is.
#[must_use]
pub fn int(argument: u64) -> i32 {
    i32::from_le_bytes(low(argument))
}

/// The low 32 bits of an argument, unsigned.
#[must_use]
pub fn uint(argument: u64) -> u32 {
    u32::from_le_bytes(low(argument))
}

fn low(argument: u64) -> [u8; 4] {
    let bytes = argument.to_le_bytes();
    [bytes[0], bytes[1], bytes[2], bytes[3]]
}
