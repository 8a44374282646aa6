//! fcntl and ioctl about who is told by signals: F_SETOWN and its like.
//!
//! ```text
//! struct f_owner_ex   +0 kind (i32)  +4 number (i32)  +8
//! ```

use super::FileContext;
use super::arguments::{field, int};
use crate::fs::descriptors::OpenFile;
use crate::fs::owner::{Kind, Owner};
use septum_abi::linux::Errno;
use septum_guest_hal::address::to_usize;

/// Commands of `fcntl` (linux/fcntl.h).
pub mod command {
    /// F_SETOWN: a process, or a group if negative
    pub const SET_OWNER: u32 = 8;
    /// F_GETOWN
    pub const GET_OWNER: u32 = 9;
    /// F_SETSIG
    pub const SET_SIGNAL: u32 = 10;
    /// F_GETSIG
    pub const GET_SIGNAL: u32 = 11;
    /// F_SETOWN_EX
    pub const SET_OWNER_EX: u32 = 15;
    /// F_GETOWN_EX
    pub const GET_OWNER_EX: u32 = 16;
}

/// Highest number of a signal.
const HIGHEST: i32 = 64;

/// `fcntl` with one of these commands.
pub fn control<C: FileContext>(
    ctx: &C,
    file: &OpenFile,
    command: u32,
    argument: u64,
) -> Result<usize, Errno> {
    match command {
        command::SET_OWNER => set(ctx, file, int(argument))?,
        command::GET_OWNER => return Ok(to_usize(i64::from(known(file).signed()).cast_unsigned())),
        command::SET_SIGNAL => {
            let signal = u32::try_from(int(argument)).map_err(|_| Errno::EINVAL)?;
            if int(argument) > HIGHEST {
                return Err(Errno::EINVAL);
            }
            file.signal_owner().lock().signal = signal;
        }
        command::GET_SIGNAL => return super::arguments::result(u64::from(file.signal_owner().lock().signal)),
        command::SET_OWNER_EX => {
            let mut bytes = [0; 8];
            ctx.copy_in(argument, &mut bytes)?;
            let (kind, number) = (Kind::from_number(int(field(&bytes, 0)))?, int(field(&bytes, 0) >> 32));
            name(ctx, file, kind, u32::try_from(number).map_err(|_| Errno::ESRCH)?)?;
        }
        command::GET_OWNER_EX => {
            let owner = known(file);
            let number = u64::from(owner.number) << 32;
            ctx.copy_out(argument, &(number | owner.kind as u64).to_le_bytes())?;
        }
        _ => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// FIOSETOWN and SIOCSPGRP: the number is in memory.
pub fn set_by_address<C: FileContext>(ctx: &C, file: &OpenFile, address: u64) -> Result<(), Errno> {
    let mut bytes = [0; 4];
    ctx.copy_in(address, &mut bytes)?;
    set(ctx, file, i32::from_le_bytes(bytes))
}

/// FIOGETOWN and SIOCGPGRP.
pub fn tell<C: FileContext>(ctx: &C, file: &OpenFile, address: u64) -> Result<(), Errno> {
    ctx.copy_out(address, &known(file).signed().to_le_bytes())
}

fn set<C: FileContext>(ctx: &C, file: &OpenFile, number: i32) -> Result<(), Errno> {
    if number == i32::MIN {
        return Err(Errno::EINVAL);
    }
    name(ctx, file, if number < 0 { Kind::Group } else { Kind::Process }, number.unsigned_abs())
}

fn name<C: FileContext>(ctx: &C, file: &OpenFile, kind: Kind, number: u32) -> Result<(), Errno> {
    let uid = ctx.fs().lock().uid;
    let new = Owner { kind, number, uid, signal: 0 };
    if number != 0 && !new.exists() {
        return Err(Errno::ESRCH);
    }
    let mut owner = file.signal_owner().lock();
    *owner = Owner { signal: owner.signal, ..new };
    Ok(())
}

/// The owner, without a number if it is gone.
fn known(file: &OpenFile) -> Owner {
    let owner = *file.signal_owner().lock();
    if owner.exists() { owner } else { Owner { number: 0, ..owner } }
}
