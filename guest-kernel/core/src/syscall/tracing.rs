//! `ptrace`.
//!
//! ```text
//! ptrace_syscall_info   +0 what (1 entry, 2 exit)  +4 architecture  +8 RIP  +16 RSP
//!                       entry: +24 number  +32 six arguments  +80     exit: +24 result  +32 is an error (u8)  +33
//! iovec of register sets   +0 address  +8 length
//! ```

use super::entry::{Entry, Support};
use super::process_memory::exchange;
use super::{int, uint};
use crate::memory::buffer;
use crate::memory::fault::Access;
use crate::process::family;
use crate::process::signal::Info;
use crate::process::task::Task;
use crate::process::thread::Thread;
use crate::process::trace::{self, At, Mode, Stopped, WORDS, option};
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::syscall as number;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::address::to_usize;

/// Requests (linux/ptrace.h).
mod request {
    pub const TRACE_ME: u64 = 0;
    pub const PEEK_TEXT: u64 = 1;
    pub const PEEK_DATA: u64 = 2;
    pub const PEEK_USER: u64 = 3;
    pub const POKE_TEXT: u64 = 4;
    pub const POKE_DATA: u64 = 5;
    pub const POKE_USER: u64 = 6;
    pub const CONTINUE: u64 = 7;
    pub const KILL: u64 = 8;
    pub const SINGLE_STEP: u64 = 9;
    pub const GET_REGISTERS: u64 = 12;
    pub const SET_REGISTERS: u64 = 13;
    pub const GET_FLOAT: u64 = 14;
    pub const ATTACH: u64 = 16;
    pub const DETACH: u64 = 17;
    pub const SYSTEM_CALL: u64 = 24;
    pub const SET_OPTIONS: u64 = 0x4200;
    pub const GET_MESSAGE: u64 = 0x4201;
    pub const GET_INFO: u64 = 0x4202;
    pub const GET_SET: u64 = 0x4204;
    pub const SET_SET: u64 = 0x4205;
    pub const SEIZE: u64 = 0x4206;
    pub const INTERRUPT: u64 = 0x4207;
    pub const LISTEN: u64 = 0x4208;
    pub const GET_CALL: u64 = 0x420e;
}

/// NT_PRSTATUS
const GENERAL: u64 = 1;
/// AUDIT_ARCH_X86_64
const ARCHITECTURE: u32 = 0xc000_003e;
/// Bytes of `user_regs_struct`, and of `struct user`, of which it is the first part.
const REGISTERS: usize = WORDS * 8;
const USER: u64 = 928;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[Entry {
    number: number::PTRACE,
    handler: |thread, a| sys_ptrace(thread, a[0], int(a[1]), a[2], a[3]),
    support: Support::Partial,
    notes: "TRACEME, ATTACH, SEIZE, INTERRUPT, LISTEN, DETACH, KILL, CONT, SYSCALL, SINGLESTEP, SETOPTIONS (without SECCOMP), GETEVENTMSG, \
        GETSIGINFO, GET_SYSCALL_INFO, GETREGS, SETREGS, GETFPREGS, NT_PRSTATUS, memory and code; no debug registers; the tracer is a process",
}];

/// `ptrace(2)`
fn sys_ptrace(thread: &Thread, request: u64, pid: i32, address: u64, data: u64) -> Result<usize, Errno> {
    let own = thread.process.pid;
    if request == request::TRACE_ME {
        return trace::attach(&thread.task, thread.process.kin.parent(), 0, false).map(|()| 0);
    }
    let tid = u32::try_from(pid).map_err(|_| Errno::ESRCH)?;
    let task = family::find_task(tid, &thread.process).ok_or(Errno::ESRCH)?;
    match request {
        request::ATTACH => begin(thread, &task, None)?,
        request::SEIZE if address != 0 || data & !u64::from(option::ALL) != 0 => return Err(Errno::EIO),
        request::SEIZE => begin(thread, &task, Some(uint(data)))?,
        request::INTERRUPT => task.trace.interrupt(&task, own)?,
        request::KILL if task.trace.tracer() == own => {
            task.process.send(Info::from_kernel(signal::SIGKILL));
        }
        request::CONTINUE => resume(own, &task, Mode::Free, data, false)?,
        request::SYSTEM_CALL => resume(own, &task, Mode::Calls, data, false)?,
        request::SINGLE_STEP => resume(own, &task, Mode::Step, data, false)?,
        request::LISTEN => resume(own, &task, Mode::Listen, 0, false)?,
        request::DETACH => resume(own, &task, Mode::Free, data, true)?,
        request::SET_OPTIONS if data & !u64::from(option::ALL) != 0 => return Err(Errno::EINVAL),
        request::SET_OPTIONS => task.trace.set_options(own, uint(data))?,
        request::GET_MESSAGE => {
            let message = task.trace.message(own)?;
            buffer::write(&thread.process.space, data, &message.to_le_bytes())?;
        }
        _ => return look(thread, &task, request, address, data),
    }
    Ok(0)
}

/// Begins to trace another process's thread: `Some` options seize it, otherwise it is sent SIGSTOP.
fn begin(thread: &Thread, task: &Arc<Task>, options: Option<u32>) -> Result<(), Errno> {
    let (own, target) = (&thread.process, &task.process);
    let uid = own.uid();
    if own.pid == target.pid || uid != 0 && uid != target.uid() {
        return Err(Errno::EPERM);
    }
    trace::attach(task, own.pid, options.unwrap_or(0), options.is_some())?;
    let is_stopped = target.stop.is_wanted();
    if options.is_none() {
        task.send(Info::from_user(signal::SIGSTOP, own.pid, uid));
        if is_stopped {
            target.go_on_untold();
        }
    } else if is_stopped {
        // It tells when it goes on.
        task.trace.interrupt(task, own.pid)?;
    }
    Ok(())
}

fn resume(own: u32, task: &Task, mode: Mode, with: u64, is_free: bool) -> Result<(), Errno> {
    let with = u32::try_from(with).ok().filter(|with| *with <= signal::LAST).ok_or(Errno::EIO)?;
    task.trace.resume(task, own, mode, with, is_free)
}

fn encode(registers: &[u64; WORDS]) -> Vec<u8> {
    registers.iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// Takes registers over: addresses in the program's half only.
fn decode(stopped: &mut Stopped, bytes: &[u8]) {
    let registers = stopped.change();
    for (to, word) in registers.iter_mut().zip(bytes.chunks_exact(8)) {
        *to = u64::from_le_bytes(core::array::from_fn(|at| word[at]));
    }
}

/// Looks at a thread that stands, or changes it.
fn look(thread: &Thread, task: &Task, request: u64, address: u64, data: u64) -> Result<usize, Errno> {
    let own = thread.process.pid;
    let space = &thread.process.space;
    let state = |act: &mut dyn FnMut(&mut Stopped) -> Result<(), Errno>| task.trace.with_stopped(own, act);
    state(&mut |_| Ok(()))?;
    match request {
        request::PEEK_TEXT | request::PEEK_DATA => {
            let mut word = [0; 8];
            across(task, address, &mut word, Access::Read)?;
            buffer::write(space, data, &word)?;
        }
        request::POKE_TEXT | request::POKE_DATA => {
            across(task, address, &mut data.to_le_bytes(), Access::Write)?;
        }
        request::PEEK_USER | request::POKE_USER => {
            if !address.is_multiple_of(8) || address >= USER {
                return Err(Errno::EIO);
            }
            let at = to_usize(address / 8);
            let mut word = 0;
            state(&mut |stopped| {
                match (request, stopped.registers.get(at)) {
                    (request::PEEK_USER, told) => word = told.copied().unwrap_or(0),
                    (_, Some(_)) => stopped.change()[at] = data,
                    // No debug registers: there is only what says that none is used.
                    (_, None) if data == 0 => {}
                    (_, None) => return Err(Errno::EIO),
                }
                Ok(())
            })?;
            if request == request::PEEK_USER {
                buffer::write(space, data, &word.to_le_bytes())?;
            }
        }
        request::GET_REGISTERS | request::GET_SET | request::SET_REGISTERS | request::SET_SET => {
            let is_set = matches!(request, request::GET_SET | request::SET_SET);
            let (place, len) = if is_set { piece(thread, address, data)? } else { (data, REGISTERS) };
            if matches!(request, request::GET_REGISTERS | request::GET_SET) {
                let mut bytes = Vec::new();
                state(&mut |stopped| {
                    bytes = encode(&stopped.registers);
                    Ok(())
                })?;
                buffer::write(space, place, &bytes[..len])?;
            } else {
                let mut bytes = alloc::vec![0; len];
                buffer::read(space, place, &mut bytes)?;
                state(&mut |stopped| {
                    decode(stopped, &bytes);
                    Ok(())
                })?;
            }
            if is_set {
                buffer::write(space, data.wrapping_add(8), &(len as u64).to_le_bytes())?;
            }
        }
        request::GET_FLOAT => {
            let mut bytes = [0; 512];
            state(&mut |stopped| {
                bytes = *stopped.float.bytes();
                Ok(())
            })?;
            buffer::write(space, data, &bytes)?;
        }
        request::GET_INFO => {
            let mut bytes = [0; 128];
            state(&mut |stopped| {
                // A group's stop is not a signal's.
                if stopped.code >> 8 == trace::event::STOP && stopped.code & 0x7f != signal::SIGTRAP {
                    return Err(Errno::EINVAL);
                }
                bytes = stopped.info.encode();
                Ok(())
            })?;
            buffer::write(space, data, &bytes)?;
        }
        request::GET_CALL => {
            let mut bytes = Vec::new();
            state(&mut |stopped| {
                bytes = describe(stopped);
                Ok(())
            })?;
            let len = bytes.len().min(usize::try_from(address).unwrap_or(usize::MAX));
            buffer::write(space, data, &bytes[..len])?;
            return Ok(bytes.len());
        }
        _ => return Err(Errno::EIO),
    }
    Ok(0)
}

/// Reads or writes the tracee's memory, which may lie on both sides of a page's end.
fn across(task: &Task, address: u64, bytes: &mut [u8; 8], access: Access) -> Result<(), Errno> {
    let first = to_usize((4096 - address % 4096).min(8));
    let (front, back) = bytes.split_at_mut(first);
    one_page(task, address, front, access)?;
    if back.is_empty() { Ok(()) } else { one_page(task, address.wrapping_add(first as u64), back, access) }
}

/// The same within a page. Code is written too, which is then the tracee's own.
fn one_page(task: &Task, address: u64, bytes: &mut [u8], access: Access) -> Result<(), Errno> {
    let space = &task.process.space;
    match exchange(space, address, bytes, access) {
        Err(_) if matches!(access, Access::Write) => {
            exchange(space, address, &mut [0], Access::Read).map_err(|_| Errno::EIO)?;
            space.lock().poke(address, bytes).map_err(|_| Errno::EIO)
        }
        result => result.map_err(|_| Errno::EIO),
    }
}

/// Where a set of registers goes to or comes from: the general ones alone are there.
fn piece(thread: &Thread, kind: u64, address: u64) -> Result<(u64, usize), Errno> {
    if kind != GENERAL {
        return Err(Errno::EINVAL);
    }
    let mut bytes = [0; 16];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
    let len = to_usize(word(8)).min(REGISTERS);
    if len.is_multiple_of(8) { Ok((word(0), len)) } else { Err(Errno::EINVAL) }
}

fn describe(stopped: &Stopped) -> Vec<u8> {
    let (rip, rsp) = stopped.place();
    let what = match stopped.at {
        At::Nothing => 0,
        At::Entry(..) => 1,
        At::Exit(_) => 2,
    };
    let mut bytes = Vec::new();
    bytes.extend_from_slice(&u32::to_le_bytes(what));
    bytes.extend_from_slice(&ARCHITECTURE.to_le_bytes());
    bytes.extend_from_slice(&rip.to_le_bytes());
    bytes.extend_from_slice(&rsp.to_le_bytes());
    match stopped.at {
        At::Nothing => {}
        At::Entry(number, arguments) => {
            bytes.extend_from_slice(&number.to_le_bytes());
            arguments.iter().for_each(|argument| bytes.extend_from_slice(&argument.to_le_bytes()));
        }
        At::Exit(result) => {
            bytes.extend_from_slice(&result.to_le_bytes());
            bytes.push(u8::from((-4095..0).contains(&result)));
        }
    }
    bytes
}
