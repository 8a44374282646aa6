//! timerfd_create, timerfd_settime, timerfd_gettime.
//!
//! ```text
//! struct itimerspec   +0 period (timespec)  +16 value (timespec)  +32
//! ```

use super::FileContext;
use super::arguments::{Layout, pair, usable_file};
use crate::fs::anonymous;
use crate::fs::inode::FileKind;
use crate::fs::open::OpenFlags;
use crate::fs::timer::{Clock, Setting, Timer};
use alloc::sync::Arc;
use septum_abi::linux::Errno;

const SECOND: u64 = 1_000_000_000;
/// TFD_TIMER_ABSTIME
const ABSOLUTE: u32 = 1;
/// TFD_TIMER_CANCEL_ON_SET: nobody sets the clock.
const CANCEL_ON_SET: u32 = 2;

/// `timerfd_create`
pub fn sys_timerfd_create<C: FileContext>(ctx: &C, clock: i32, flags: u32) -> Result<usize, Errno> {
    let flags = OpenFlags::from_bits_retain(flags);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    let clock = match clock {
        0 => Clock::Realtime,
        1 | 7 => Clock::Monotonic,
        // Those that wake the machine are not for everyone.
        8 | 9 => return Err(Errno::EPERM),
        _ => return Err(Errno::EINVAL),
    };
    let status = OpenFlags::READ_WRITE | (flags & OpenFlags::NON_BLOCKING);
    let timer = Arc::new(Timer::new(clock));
    let file = anonymous::open_named(b"anon_inode:[timerfd]", FileKind::Anonymous, timer, status);
    ctx.descriptors().lock().insert(file, flags.contains(OpenFlags::CLOSE_ON_EXEC), 0)
}

/// `timerfd_settime`
pub fn sys_timerfd_settime<C: FileContext>(
    ctx: &C,
    fd: i32,
    flags: u32,
    new: u64,
    old: u64,
) -> Result<usize, Errno> {
    let times = [pair(ctx, new)?, pair(ctx, new.wrapping_add(16))?];
    if flags & !(ABSOLUTE | CANCEL_ON_SET) != 0 {
        return Err(Errno::EINVAL);
    }
    let [period, value] = times.map(nanoseconds);
    let setting = Setting { period: period?, value: value? };
    let before = on_timer(ctx, fd, |timer| timer.set(setting, flags & ABSOLUTE != 0))?;
    if old != 0 {
        tell(ctx, old, before)?;
    }
    Ok(0)
}

/// `timerfd_gettime`
pub fn sys_timerfd_gettime<C: FileContext>(ctx: &C, fd: i32, address: u64) -> Result<usize, Errno> {
    let setting = on_timer(ctx, fd, Timer::get)?;
    tell(ctx, address, setting)?;
    Ok(0)
}

fn on_timer<C: FileContext, T>(ctx: &C, fd: i32, act: impl FnOnce(&Timer) -> T) -> Result<T, Errno> {
    let file = usable_file(ctx, fd)?;
    file.file().as_any().downcast_ref().map(act).ok_or(Errno::EINVAL)
}

fn nanoseconds((seconds, fraction): (u64, u64)) -> Result<u64, Errno> {
    if super::arguments::long(seconds) < 0 || fraction >= SECOND {
        return Err(Errno::EINVAL);
    }
    Ok(seconds.saturating_mul(SECOND).saturating_add(fraction))
}

fn tell<C: FileContext>(ctx: &C, address: u64, setting: Setting) -> Result<(), Errno> {
    let mut bytes = Layout::<32>::new();
    for (offset, ns) in [(0, setting.period), (16, setting.value)] {
        bytes.u64(offset, ns / SECOND);
        bytes.u64(offset + 8, ns % SECOND);
    }
    ctx.copy_out(address, &bytes.0)
}
