//! ioctls of terminals.

use super::FileContext;
use super::arguments::word;
use crate::fs::anonymous;
use crate::fs::open::OpenFlags;
use crate::fs::terminal::file_system::slave;
use crate::fs::terminal::jobs::{self, Identity};
use crate::fs::terminal::packet;
use crate::fs::terminal::settings::{LEN, Settings};
use crate::fs::terminal::{Terminal, slave_flags};
use alloc::sync::Arc;
use core::sync::atomic::Ordering;
use septum_abi::linux::{Errno, signal};

/// Commands (asm-generic/ioctls.h).
mod command {
    pub const GET_SETTINGS: u32 = 0x5401;
    pub const SET_SETTINGS: u32 = 0x5402;
    pub const SET_SETTINGS_AFTER_OUTPUT: u32 = 0x5403;
    pub const SET_SETTINGS_AND_FORGET: u32 = 0x5404;
    pub const SEND_BREAK: u32 = 0x5409;
    pub const STOP_OR_GO: u32 = 0x540a;
    pub const FORGET: u32 = 0x540b;
    pub const TAKE_CONTROL: u32 = 0x540e;
    pub const GET_GROUP: u32 = 0x540f;
    pub const SET_GROUP: u32 = 0x5410;
    pub const BYTES_UNSEEN: u32 = 0x5411;
    pub const GET_SIZE: u32 = 0x5413;
    pub const SET_SIZE: u32 = 0x5414;
    pub const PACKETS: u32 = 0x5420;
    pub const LET_GO: u32 = 0x5422;
    pub const BREAK_FOR: u32 = 0x5425;
    pub const GET_SESSION: u32 = 0x5429;
    pub const GET_SLAVE: u32 = 0x5441;
    pub const GET_NUMBER: u32 = 0x8004_5430;
    pub const GET_PACKETS: u32 = 0x8004_5438;
    pub const GET_LOCK: u32 = 0x8004_5439;
    pub const SET_LOCK: u32 = 0x4004_5431;
}

/// `ioctl` on a terminal.
pub fn ioctl<C: FileContext>(
    ctx: &C,
    terminal: &Arc<Terminal>,
    is_master: bool,
    command: u32,
    argument: u64,
) -> Result<usize, Errno> {
    let changes = matches!(
        command,
        command::SET_SETTINGS
            | command::SET_SETTINGS_AFTER_OUTPUT
            | command::SET_SETTINGS_AND_FORGET
            | command::SEND_BREAK
            | command::BREAK_FOR
            | command::STOP_OR_GO
            | command::FORGET
            | command::SET_GROUP
    );
    if changes && !is_master {
        jobs::check_foreground(terminal, signal::SIGTTOU)?;
    }
    match command {
        command::GET_SETTINGS => {
            let settings = terminal.discipline.lock().settings;
            ctx.copy_out(argument, &settings.layout())?;
        }
        command::SET_SETTINGS | command::SET_SETTINGS_AFTER_OUTPUT | command::SET_SETTINGS_AND_FORGET => {
            let mut bytes = [0; LEN];
            ctx.copy_in(argument, &mut bytes)?;
            let mut discipline = terminal.discipline.lock();
            if command == command::SET_SETTINGS_AND_FORGET {
                discipline.forget_input();
            }
            let (before, was_stopped) = (discipline.settings, discipline.is_stopped);
            discipline.set(Settings::parse(&bytes));
            terminal
                .packets
                .tell_usual_stops(before.has_usual_stops(), discipline.settings.has_usual_stops());
            terminal.packets.tell_stop(was_stopped, discipline.is_stopped);
            drop(discipline);
            terminal.wake();
        }
        // There is no line that could be broken.
        command::SEND_BREAK | command::BREAK_FOR => {}
        command::STOP_OR_GO => stop_or_go(terminal, argument)?,
        command::FORGET => forget(terminal, argument, is_master)?,
        command::BYTES_UNSEEN => {
            let unseen = terminal.discipline.lock().unseen();
            ctx.copy_out(argument, &u32::try_from(unseen).unwrap_or(u32::MAX).to_le_bytes())?;
        }
        command::GET_SIZE => {
            let size = *terminal.size.lock();
            ctx.copy_out(argument, &size.map(u16::to_le_bytes).concat())?;
        }
        command::SET_SIZE => set_size(ctx, terminal, argument)?,
        command::TAKE_CONTROL if !is_master => take_control(terminal)?,
        command::LET_GO => let_go(terminal)?,
        command::GET_GROUP | command::GET_SESSION => {
            let owner = *terminal.owner.lock();
            // The master may ask whoever it belongs to; who has a slave must belong to it.
            let is_ours = is_master || owner.is_some_and(|(session, _)| session == jobs::current().session);
            let (session, group) = owner.filter(|_| is_ours).ok_or(Errno::ENOTTY)?;
            let told = if command == command::GET_GROUP { group } else { session };
            ctx.copy_out(argument, &told.to_le_bytes())?;
        }
        command::SET_GROUP => set_group(ctx, terminal, argument)?,
        _ if is_master => return ioctl_of_master(ctx, terminal, command, argument),
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

fn ioctl_of_master<C: FileContext>(
    ctx: &C,
    terminal: &Arc<Terminal>,
    command: u32,
    argument: u64,
) -> Result<usize, Errno> {
    let number = |ctx: &C| {
        let mut bytes = [0; 4];
        ctx.copy_in(argument, &mut bytes).map(|()| u32::from_le_bytes(bytes))
    };
    match command {
        command::GET_NUMBER => ctx.copy_out(argument, &terminal.number.to_le_bytes())?,
        command::SET_LOCK => terminal.is_unlocked.store(number(ctx)? == 0, Ordering::SeqCst),
        command::GET_LOCK => {
            let is_locked = !terminal.is_unlocked.load(Ordering::SeqCst);
            ctx.copy_out(argument, &u32::from(is_locked).to_le_bytes())?;
        }
        command::PACKETS => terminal.packets.set(number(ctx)? != 0),
        command::GET_PACKETS => {
            ctx.copy_out(argument, &u32::from(terminal.packets.is_on()).to_le_bytes())?;
        }
        command::GET_SLAVE => return open_slave(ctx, terminal, word(argument)),
        _ => return Err(Errno::ENOTTY),
    }
    Ok(0)
}

fn open_slave<C: FileContext>(ctx: &C, terminal: &Arc<Terminal>, flags: u32) -> Result<usize, Errno> {
    let name = alloc::format!("/dev/pts/{}", terminal.number);
    let place = anonymous::dentry(name.as_bytes(), slave(terminal.number));
    let file = crate::fs::descriptors::OpenFile::new(place, terminal.open_slave()?, slave_flags(flags));
    let is_close_on_exec = OpenFlags::from_bits_truncate(flags).contains(OpenFlags::CLOSE_ON_EXEC);
    ctx.descriptors().lock().insert(file, is_close_on_exec, 0)
}

/// TCOOFF, TCOON; those that would have bytes sent to the other end have no effect.
fn stop_or_go(terminal: &Terminal, how: u64) -> Result<(), Errno> {
    match how {
        0 | 1 => {
            let mut discipline = terminal.discipline.lock();
            let was_stopped = core::mem::replace(&mut discipline.is_stopped, how == 0);
            terminal.packets.tell_stop(was_stopped, how == 0);
        }
        2 | 3 => {}
        _ => return Err(Errno::EINVAL),
    }
    terminal.wake();
    Ok(())
}

/// TCIFLUSH, TCOFLUSH, TCIOFLUSH; to a master its input is the slave's output.
fn forget(terminal: &Terminal, what: u64, is_master: bool) -> Result<(), Errno> {
    let (input, output) = match what {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    let (input, output) = if is_master { (output, input) } else { (input, output) };
    let mut discipline = terminal.discipline.lock();
    if input {
        discipline.forget_input();
        terminal.packets.tell(packet::INPUT_FORGOTTEN, 0);
    }
    if output {
        discipline.forget_output();
        terminal.packets.tell(packet::OUTPUT_FORGOTTEN, 0);
    }
    drop(discipline);
    terminal.wake();
    Ok(())
}

fn set_size<C: FileContext>(ctx: &C, terminal: &Terminal, argument: u64) -> Result<(), Errno> {
    let mut bytes = [0; 8];
    ctx.copy_in(argument, &mut bytes)?;
    let at = |index: usize| u16::from_le_bytes([bytes[index * 2], bytes[index * 2 + 1]]);
    let size = [at(0), at(1), at(2), at(3)];
    let before = core::mem::replace(&mut *terminal.size.lock(), size);
    if before != size {
        terminal.signal_foreground(signal::SIGWINCH);
    }
    Ok(())
}

/// Makes it the terminal that controls the session of which the caller is the leader.
fn take_control(terminal: &Arc<Terminal>) -> Result<(), Errno> {
    let Identity { process, group, session } = jobs::current();
    let mut owner = terminal.owner.lock();
    if owner.is_some_and(|(other, _)| other == session) {
        return Ok(());
    }
    if process != session || owner.is_some() || jobs::controlling(session).is_some() {
        return Err(Errno::EPERM);
    }
    *owner = Some((session, group));
    drop(owner);
    jobs::control(session, terminal);
    Ok(())
}

fn let_go(terminal: &Terminal) -> Result<(), Errno> {
    let Identity { process, session, .. } = jobs::current();
    let mut owner = terminal.owner.lock();
    let Some((_, group)) = owner.filter(|(other, _)| *other == session) else { return Err(Errno::ENOTTY) };
    // It is the leader that gives it up for all.
    if process == session {
        *owner = None;
        drop(owner);
        jobs::let_go(session);
        jobs::signal_group(group, signal::SIGHUP);
        jobs::signal_group(group, signal::SIGCONT);
    }
    Ok(())
}

fn set_group<C: FileContext>(ctx: &C, terminal: &Terminal, argument: u64) -> Result<(), Errno> {
    let mut bytes = [0; 4];
    let mut owner = terminal.owner.lock();
    let session = jobs::current().session;
    if owner.is_none_or(|(other, _)| other != session) {
        return Err(Errno::ENOTTY);
    }
    drop(owner);
    ctx.copy_in(argument, &mut bytes)?;
    let group = i32::from_le_bytes(bytes);
    let group = u32::try_from(group).map_err(|_| Errno::EINVAL)?;
    if !jobs::has_group(group, session) {
        return Err(Errno::EPERM);
    }
    owner = terminal.owner.lock();
    *owner = Some((session, group));
    Ok(())
}
