//! sendmmsg, recvmmsg: several messages with one call.
//!
//! ```text
//! mmsghdr   +0 msghdr   +56 bytes moved (u32)   +64
//! ```

use super::arguments::socket;
use super::messages::{Flags, HEADER, receive_message, send_message};
use super::waiting::Patience;
use crate::syscall::files::FileContext;
use crate::syscall::files::poll::deadline;
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;

/// Bytes of an `mmsghdr`.
const STEP: u64 = HEADER as u64 + 8;
/// Most messages at once (UIO_MAXIOV).
const MOST: u32 = 1024;

/// `sendmmsg`
pub fn sys_sendmmsg<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    count: u32,
    flags: u32,
) -> Result<usize, Errno> {
    let (file, socket) = socket(ctx, fd)?;
    let flags = Flags::from_bits_truncate(flags);
    each(ctx, address, count, |at, _| send_message(ctx, &file, &socket, at, flags))
}

/// `recvmmsg`: the timeout is looked at between messages, as on Linux.
pub fn sys_recvmmsg<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    count: u32,
    flags: u32,
    timeout: u64,
) -> Result<usize, Errno> {
    let deadline = deadline(ctx, timeout, 1)?;
    let (file, socket) = socket(ctx, fd)?;
    let flags = Flags::from_bits_truncate(flags);
    each(ctx, address, count, |at, done| {
        if done > 0 && deadline.is_some_and(|deadline| monotonic_ns() >= deadline) {
            return Err(Errno::EAGAIN);
        }
        let has_one = done > 0 && flags.contains(Flags::WAIT_FOR_ONE);
        let does_not_wait = has_one || flags.contains(Flags::DO_NOT_WAIT);
        receive_message(ctx, &socket, at, flags, Patience::new(&file, &socket, does_not_wait, false))
    })
}

/// Runs `step` for each message and stores its length; an error after the first ends it.
fn each<C: FileContext>(
    ctx: &C,
    address: u64,
    count: u32,
    mut step: impl FnMut(u64, usize) -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    let mut done = 0;
    for index in 0..count.min(MOST) {
        let at = address + u64::from(index) * STEP;
        let moved = step(at, done).and_then(|len| {
            let len = u32::try_from(len).unwrap_or(u32::MAX);
            ctx.copy_out(at + HEADER as u64, &len.to_le_bytes())
        });
        match moved {
            Ok(()) => done += 1,
            Err(_) if done > 0 => break,
            Err(errno) => return Err(errno),
        }
    }
    Ok(done)
}
