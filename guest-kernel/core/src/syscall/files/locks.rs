//! flock, and the locks of fcntl.
//!
//! ```text
//! struct flock   +0 type (u16)  +2 whence (u16)  +8 start (i64)  +16 length (i64)  +24 pid (i32)  +32
//! ```
//!
//! A length of 0 is to the end of the file, wherever that will be; a negative one lies before the start.

use super::FileContext;
use super::arguments::{field, int, long, usable_file};
use crate::fs::descriptors::{MAX_POSITION, OpenFile};
use crate::fs::locks::{self, EVERYTHING, Family, Lock, Outside, Owner};
use core::ops::Range;
use septum_abi::linux::Errno;

/// F_RDLCK, F_WRLCK, F_UNLCK
const READ: u16 = 0;
const WRITE: u16 = 1;
const UNLOCK: u16 = 2;

/// `flock`: LOCK_SH 1, LOCK_EX 2, LOCK_NB 4, LOCK_UN 8.
pub fn sys_flock<C: FileContext>(ctx: &C, fd: i32, operation: u32) -> Result<usize, Errno> {
    let file = usable_file(ctx, fd)?;
    let lock = |is_exclusive| {
        let (owner, outside) = (file.lock_owner(), Outside(file.host_locks()));
        let file = file.number()?;
        Ok::<_, Errno>(Lock { file, family: Family::Whole, owner, bytes: EVERYTHING, is_exclusive, outside })
    };
    let may_wait = operation & 4 == 0;
    match operation & !4 {
        1 => locks::acquire(&lock(false)?, may_wait)?,
        2 => locks::acquire(&lock(true)?, may_wait)?,
        8 => locks::release(&lock(false)?),
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// Who asks by `fcntl`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asker {
    /// The process: F_SETLK and its like.
    Process,
    /// The open file description: F_OFD_SETLK and its like.
    Description,
}

/// F_GETLK, F_OFD_GETLK: what keeps the lock at `address` from being had, if anything does.
pub fn get<C: FileContext>(ctx: &C, file: &OpenFile, asker: Asker, address: u64) -> Result<usize, Errno> {
    let (kind, wanted, mut bytes) = parse(ctx, file, asker, address)?;
    if kind == UNLOCK {
        return Err(Errno::EINVAL);
    }
    match locks::conflict(&wanted) {
        None => ctx.copy_out(address, &UNLOCK.to_le_bytes())?,
        Some(lock) => {
            let pid = match lock.owner {
                Owner::Process(_, pid) => pid,
                Owner::Description(_) => u32::MAX,
                // As Linux has it of processes that one does not see.
                Owner::Elsewhere => 0,
            };
            let len = if lock.bytes.end > MAX_POSITION { 0 } else { lock.bytes.end - lock.bytes.start };
            bytes[..2].copy_from_slice(&(if lock.is_exclusive { WRITE } else { READ }).to_le_bytes());
            bytes[2..4].copy_from_slice(&0u16.to_le_bytes());
            bytes[8..16].copy_from_slice(&lock.bytes.start.to_le_bytes());
            bytes[16..24].copy_from_slice(&len.to_le_bytes());
            bytes[24..28].copy_from_slice(&pid.to_le_bytes());
            ctx.copy_out(address, &bytes)?;
        }
    }
    Ok(0)
}

/// F_SETLK, F_SETLKW, F_OFD_SETLK, F_OFD_SETLKW
pub fn set<C: FileContext>(
    ctx: &C,
    file: &OpenFile,
    asker: Asker,
    address: u64,
    may_wait: bool,
) -> Result<usize, Errno> {
    let (kind, lock, _) = parse(ctx, file, asker, address)?;
    match kind {
        UNLOCK => locks::release(&lock),
        READ if !file.access().read => return Err(Errno::EBADF),
        WRITE if !file.access().write => return Err(Errno::EBADF),
        _ => locks::acquire(&lock, may_wait)?,
    }
    Ok(0)
}

/// A process that closes any descriptor of a file loses its ranges of it.
pub fn closed<C: FileContext>(ctx: &C, file: &OpenFile) {
    locks::release_file(process(ctx), || file.number().ok());
}

/// A process is known by its table of descriptors.
fn process<C: FileContext>(ctx: &C) -> Owner {
    Owner::Process(core::ptr::from_ref(ctx.descriptors()).addr(), ctx.pid())
}

type Parsed = (u16, Lock, [u8; 32]);

fn parse<C: FileContext>(ctx: &C, file: &OpenFile, asker: Asker, address: u64) -> Result<Parsed, Errno> {
    let mut bytes = [0; 32];
    ctx.copy_in(address, &mut bytes)?;
    let kind = u16::from_le_bytes([bytes[0], bytes[1]]);
    let whence = u16::from_le_bytes([bytes[2], bytes[3]]);
    let base = match whence {
        0 => 0,
        1 => *file.position().lock(),
        2 => file.dentry().metadata()?.size,
        _ => return Err(Errno::EINVAL),
    };
    let range = range(base, long(field(&bytes, 8)), long(field(&bytes, 16)))?;
    if kind > UNLOCK || (asker == Asker::Description && int(field(&bytes, 24)) != 0) {
        return Err(Errno::EINVAL);
    }
    let lock = Lock {
        file: file.number()?,
        family: Family::Range,
        owner: match asker {
            Asker::Process => process(ctx),
            Asker::Description => file.lock_owner(),
        },
        bytes: range,
        is_exclusive: kind == WRITE,
        outside: Outside(file.host_locks()),
    };
    Ok((kind, lock, bytes))
}

fn range(base: u64, start: i64, len: i64) -> Result<Range<u64>, Errno> {
    let in_file = |at: u64| at <= MAX_POSITION;
    let (is_before, is_beyond) = (Errno::EINVAL, Errno::EOVERFLOW);
    let start = match base.checked_add_signed(start) {
        Some(at) if in_file(at) => at,
        Some(_) => return Err(is_beyond),
        None => return Err(is_before),
    };
    if len == 0 {
        return Ok(start..EVERYTHING.end);
    }
    if len < 0 {
        return Ok(start.checked_add_signed(len).ok_or(is_before)?..start);
    }
    // The last byte, not the one behind it, has to be a position.
    let end = start.checked_add_signed(len).filter(|&end| in_file(end - 1)).ok_or(is_beyond)?;
    Ok(start..if in_file(end) { end } else { EVERYTHING.end })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_count_from_where_they_are_told_to() {
        assert_eq!(range(0, 10, 5), Ok(10..15));
        assert_eq!(range(100, -10, 0), Ok(90..u64::MAX));
        assert_eq!(range(100, 0, -10), Ok(90..100));
        assert_eq!(range(0, 5, -10), Err(Errno::EINVAL));
        assert_eq!(range(0, -1, 1), Err(Errno::EINVAL));
        assert_eq!(range(0, i64::MAX, 1), Ok(MAX_POSITION..u64::MAX));
        assert_eq!(range(0, i64::MAX, 2), Err(Errno::EOVERFLOW));
    }
}
