//! Another program in the same process: `execve`.

use super::entry::{Entry, Support};
use super::files::locks;
use super::{int, uint};
use crate::fs::context::FsContext;
use crate::fs::inode::FileKind;
use crate::memory::{buffer, discard};
use crate::process::limits;
use crate::process::load::{Request, load};
use crate::process::posix_timer::PosixTimers;
use crate::process::thread::Thread;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::vcpu;

const PATH_MAX: usize = 4096;
/// MAX_ARG_STRLEN, with the NUL
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
        notes: "AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW; a script relative to a descriptor is told its name relative to there",
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
        let string =
            buffer::read_string(&thread.process.space, pointer, STRING_MAX - 1)?.ok_or(Errno::E2BIG)?;
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
    let fs = thread.process.fs.lock().clone();
    execute(thread, &fs, &path, arguments, environment)
}

/// Executes the program at `path` as `fs` sees it.
fn execute(
    thread: &Thread,
    fs: &FsContext,
    path: &[u8],
    arguments: u64,
    environment: u64,
) -> Result<usize, Errno> {
    let (mut arguments, mut argument_count) = read_strings(thread, arguments)?;
    if argument_count == 0 {
        (arguments, argument_count) = (alloc::vec![0], 1);
    }
    let (environment, environment_count) = read_strings(thread, environment)?;
    let stack_limit = thread.process.limits.lock().0[limits::STACK].0;
    let request = Request { path, arguments, argument_count, environment, environment_count, stack_limit };
    let process = &thread.process;
    let loaded = match load(fs, &process.machine, request) {
        Ok(loaded) => loaded,
        Err(error) => {
            process.space.lock().activate();
            return Err(error.errno);
        }
    };
    let before = thread.task.tid();
    if let Err(errno) = process.leave_only(&thread.task) {
        process.space.lock().activate();
        return Err(errno);
    }
    // From here on there is no way back. Who shares the old memory is told in it.
    process.space.lock().activate();
    thread.leave_memory(|| {});
    // Before anything closes, by which the parent may learn of it.
    process.kin.set_executed();
    process.wishes.forget();
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
    thread.stop_after_exec(before);
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
    let mut path = read_path(thread, path)?;
    let mut fs = thread.process.fs.lock().clone();
    if path.is_empty() && flags & AT_EMPTY_PATH == 0 {
        return Err(Errno::ENOENT);
    }
    if path.first() != Some(&b'/') && at != AT_FDCWD {
        let file = thread.process.descriptors.lock().get(at)?;
        if path.is_empty() {
            path = format!("/proc/self/fd/{at}").into_bytes();
        } else if file.dentry().is_directory() {
            fs.cwd = Arc::clone(file.dentry());
        } else {
            return Err(Errno::ENOTDIR);
        }
    }
    if flags & AT_SYMLINK_NOFOLLOW != 0 {
        let file = fs.resolve(&fs.cwd, &path, false)?;
        if file.kind() == FileKind::Symlink {
            return Err(Errno::ELOOP);
        }
    }
    execute(thread, &fs, &path, arguments, environment)
}
