//! Somebody who has taken over a thread of another process, played by a debugger.
//!
//! The thread is stopped where it waits in a system call, given another call's number and arguments, and made to execute that one
//! instruction again. What answers is the jail that the thread really is in: nothing is built into the program for it.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::libc;
use nix::sys::ptrace;
use nix::sys::signal::Signal;
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

/// The instruction `syscall`.
const SYSCALL: [u8; 2] = [0x0f, 0x05];
/// How far below the thread's stack its strings are written.
const BELOW_STACK: u64 = 2048;

/// What became of a system call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The kernel refused it.
    Refused(Errno),
    /// It was made, and this is what it returned.
    Done(i64),
    /// It was not made; SIGSYS came.
    Forbidden,
    /// It was made, and the process killed before it returned.
    Killed,
}

/// An argument.
#[derive(Clone, Copy, Debug)]
pub enum Argument<'a> {
    /// A number.
    Number(u64),
    /// The address of these bytes, which a zero follows.
    Bytes(&'a [u8]),
}

/// The thread of `process` whose name begins or ends like this.
///
/// # Errors
/// There is none, or one cannot look.
pub fn thread_of(process: i32, is_it: impl Fn(&str) -> bool) -> io::Result<i32> {
    for task in fs::read_dir(format!("/proc/{process}/task"))? {
        let task = task?;
        let name = fs::read_to_string(task.path().join("comm"))?;
        if is_it(name.trim_end())
            && let Ok(number) = task.file_name().to_string_lossy().parse()
        {
            return Ok(number);
        }
    }
    Err(io::Error::other(format!("process {process} has no such thread")))
}

/// Makes a system call in a thread that waits in one. Afterwards the thread goes on as if nothing had been; if the call was forbidden, with
/// the signal that says so.
///
/// # Errors
/// One may not debug here, or the thread is not in a system call (`WouldBlock`).
pub fn attempt(process: i32, thread: i32, number: u64, arguments: &[Argument<'_>]) -> io::Result<Answer> {
    let thread = Pid::from_raw(thread);
    ptrace::attach(thread)?;
    let stopped = wait(thread)?;
    if !matches!(stopped, WaitStatus::Stopped(..)) {
        return Err(io::Error::other(format!("{stopped:?} instead of a stop")));
    }
    let result = take_over(process, thread, number, arguments);
    let signal = matches!(result, Ok(Answer::Forbidden)).then_some(Signal::SIGSYS);
    // One that was killed meanwhile is gone.
    let _ = ptrace::detach(thread, signal);
    result
}

fn wait(thread: Pid) -> io::Result<WaitStatus> {
    Ok(waitpid(thread, Some(WaitPidFlag::__WALL))?)
}

fn take_over(process: i32, thread: Pid, number: u64, arguments: &[Argument<'_>]) -> io::Result<Answer> {
    let before = ptrace::getregs(thread)?;
    let memory = File::options().read(true).write(true).open(format!("/proc/{process}/mem"))?;
    let mut instruction = [0; 2];
    memory.read_exact_at(&mut instruction, before.rip - 2)?;
    if instruction != SYSCALL {
        return Err(io::Error::new(io::ErrorKind::WouldBlock, "the thread is not in a system call"));
    }
    let mut room = before.rsp - BELOW_STACK;
    let mut values = [0; 6];
    for (value, argument) in values.iter_mut().zip(arguments) {
        *value = match argument {
            Argument::Number(number) => *number,
            Argument::Bytes(bytes) => {
                room = (room - bytes.len() as u64 - 1) & !15;
                memory.write_all_at(&[bytes, &[0][..]].concat(), room)?;
                room
            }
        };
    }
    let [rdi, rsi, rdx, r10, r8, r9] = values;
    // No number of a call that was interrupted: none is to be made again.
    let registers = libc::user_regs_struct {
        rip: before.rip - 2,
        rax: number,
        orig_rax: u64::MAX,
        rdi,
        rsi,
        rdx,
        r10,
        r8,
        r9,
        ..before
    };
    ptrace::setregs(thread, registers)?;
    // It stops when it begins the call, and again when that has its answer.
    ptrace::syscall(thread, None)?;
    let begun = wait(thread)?;
    if !matches!(begun, WaitStatus::Stopped(_, Signal::SIGTRAP)) {
        return Err(io::Error::other(format!("{begun:?} instead of the call")));
    }
    ptrace::syscall(thread, None)?;
    match answer(process, thread, before) {
        // It was killed while it was looked at.
        Err(error) if error.raw_os_error() == Some(libc::ESRCH) => Ok(Answer::Killed),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Answer::Killed),
        result => result,
    }
}

/// What became of the call that the thread has begun.
fn answer(process: i32, thread: Pid, before: libc::user_regs_struct) -> io::Result<Answer> {
    match wait(thread)? {
        WaitStatus::Stopped(..) if is_forbidden(process, thread)? => Ok(Answer::Forbidden),
        WaitStatus::Stopped(..) => {
            let result = ptrace::getregs(thread)?.rax.cast_signed();
            ptrace::setregs(thread, before)?;
            Ok(match i32::try_from(-result) {
                Ok(errno @ 1..4096) => Answer::Refused(Errno::from_i32(errno)),
                _ => Answer::Done(result),
            })
        }
        WaitStatus::Signaled(_, Signal::SIGKILL, _) => Ok(Answer::Killed),
        other => Err(io::Error::other(format!("{other:?} instead of an answer"))),
    }
}

/// Whether SIGSYS is waiting for the thread.
fn is_forbidden(process: i32, thread: Pid) -> io::Result<bool> {
    let status = fs::read_to_string(format!("/proc/{process}/task/{thread}/status"))?;
    let pending = status.lines().find_map(|line| line.strip_prefix("SigPnd:"));
    let pending = pending.and_then(|set| u64::from_str_radix(set.trim(), 16).ok());
    let pending = pending.ok_or_else(|| io::Error::other("a thread's status without its signals"))?;
    Ok(pending & 1 << (libc::SIGSYS - 1) != 0)
}
