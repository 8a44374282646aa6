//! Another program in the same process: `execve`.

use super::entry::{Entry, Support};
use super::files::locks;
use super::{int, uint};
use crate::memory::{buffer, discard};
use crate::process::load::{Request, load};
use crate::process::posix_timer::PosixTimers;
use crate::process::thread::Thread;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::vcpu;

const PATH_MAX: usize = 4096;
/// MAX_ARG_STRLEN
const STRING_MAX: usize = 128 << 10;
/// As much as a stack may begin with.
const STRINGS_MAX: usize = 2 << 20;
const AT_FDCWD: i32 = -100;
const AT_EMPTY_PATH: u32 = 0x1000;
const AT_SYMLINK_NOFOLLOW: u32 = 0x100;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::EXECVE,
        handler: |thread, a| sys_execve(thread, a[0], a[1], a[2]),
        support: Support::Full,
        notes: "ELF files and #! scripts",
    },
    Entry {
        number: number::EXECVEAT,
        handler: |thread, a| sys_execveat(thread, int(a[0]), a[1], a[2], a[3], uint(a[4])),
        support: Support::Partial,
        notes: "absolute paths and AT_FDCWD",
    },
];

fn read_path(thread: &Thread, address: u64) -> Result<Vec<u8>, Errno> {
    buffer::read_string(&thread.process.space, address, PATH_MAX - 1)?.ok_or(Errno::ENAMETOOLONG)
}

/// A NULL-terminated array of strings, as one run of strings with their NULs, and their number.
fn read_strings(thread: &Thread, mut address: u64) -> Result<(Vec<u8>, usize), Errno> {
    let (mut strings, mut count) = (Vec::new(), 0);
    if address == 0 {
        return Ok((strings, count));
    }
    loop {
        let mut pointer = [0; 8];
        buffer::read(&thread.process.space, address, &mut pointer)?;
        let pointer = u64::from_le_bytes(pointer);
        if pointer == 0 {
            return Ok((strings, count));
        }
        let string = buffer::read_string(&thread.process.space, pointer, STRING_MAX)?.ok_or(Errno::E2BIG)?;
        strings.extend_from_slice(&string);
        strings.push(0);
        if strings.len() > STRINGS_MAX {
            return Err(Errno::E2BIG);
        }
        (address, count) = (address.wrapping_add(8), count + 1);
    }
}

/// `execve(2)`
fn sys_execve(thread: &Thread, path: u64, arguments: u64, environment: u64) -> Result<usize, Errno> {
    let path = read_path(thread, path)?;
    if path.is_empty() {
        return Err(Errno::ENOENT);
    }
    let (mut arguments, mut argument_count) = read_strings(thread, arguments)?;
    if argument_count == 0 {
        (arguments, argument_count) = (alloc::vec![0], 1);
    }
    let (environment, environment_count) = read_strings(thread, environment)?;
    let request = Request { path: &path, arguments, argument_count, environment, environment_count };
    let process = &thread.process;
    let fs = process.fs.lock().clone();
    let loaded = match load(&fs, &process.machine, request) {
        Ok(loaded) => loaded,
        Err(error) => {
            process.space.lock().activate();
            return Err(error.errno);
        }
    };
    if let Err(errno) = process.leave_only(&thread.task) {
        process.space.lock().activate();
        return Err(errno);
    }
    // From here on there is no way back. Who shares the old memory is told in it.
    process.space.lock().activate();
    thread.leave_memory(|| {});
    let descriptors = &process.descriptors;
    if descriptors.is_shared() {
        let own = descriptors.lock().clone();
        descriptors.replace(Mutex::new(own));
    }
    let closed = descriptors.lock().take_close_on_exec();
    closed.iter().for_each(|file| locks::closed(thread, file));
    drop(closed);
    let mut actions = process.actions.lock().clone();
    actions.reset_handlers();
    if process.actions.is_shared() {
        process.actions.replace(Mutex::new(actions));
    } else {
        *process.actions.lock() = actions;
    }
    {
        let mut signals = thread.task.signals.lock();
        signals.stack = Default::default();
        signals.saved_mask = None;
    }
    process.kin.set_executed();
    process.fs.lock().save_effective();
    process.change_posix_timers(PosixTimers::clear);
    *thread.task.name.lock() = loaded.image.name.clone();
    *process.image.lock() = loaded.image;
    loaded.space.activate();
    if process.space.is_shared() {
        process.space.replace(Mutex::new(loaded.space));
    } else {
        let old = core::mem::replace(&mut *process.space.lock(), loaded.space);
        drop(old);
    }
    process.letting_go.now();
    discard::relieve();
    vcpu::rename(&thread.task.name.lock(), false);
    thread.start_at(loaded.entry, loaded.stack);
    // The result register of a program that starts is unspecified; zero is what Linux leaves.
    Ok(0)
}

/// `execveat(2)`
fn sys_execveat(
    thread: &Thread,
    at: i32,
    path: u64,
    arguments: u64,
    environment: u64,
    flags: u32,
) -> Result<usize, Errno> {
    if flags & !(AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0 {
        return Err(Errno::EINVAL);
    }
    let is_absolute = read_path(thread, path)?.first() == Some(&b'/');
    if !is_absolute && at != AT_FDCWD {
        return Err(Errno::ENOSYS);
    }
    sys_execve(thread, path, arguments, environment)
}
