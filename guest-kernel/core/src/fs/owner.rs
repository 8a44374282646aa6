//! Whom a file tells by a signal that something has happened to it (F_SETOWN, F_SETSIG).
//!
//! So far that is urgent data of a socket alone (SIGURG); O_ASYNC, which asks for SIGIO, has no effect. The right to send the signal is that of whoever
//! named the owner.

use crate::process::family;
use crate::process::signal::Info;
use septum_abi::linux::{Errno, signal as number};

/// What kind of thing the owner is (F_OWNER_*).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Kind {
    /// A thread.
    #[default]
    Thread,
    /// A process.
    Process,
    /// A process group.
    Group,
}

impl Kind {
    /// From its number.
    pub fn from_number(number: i32) -> Result<Self, Errno> {
        Ok(match number {
            0 => Self::Thread,
            1 => Self::Process,
            2 => Self::Group,
            _ => return Err(Errno::EINVAL),
        })
    }
}

/// The owner of a file.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Owner {
    /// What it is.
    pub kind: Kind,
    /// Its number; 0: there is none.
    pub number: u32,
    /// The user that named it.
    pub uid: u32,
    /// What is sent instead of SIGIO; 0: that.
    pub signal: u32,
}

impl Owner {
    /// Whether there is such a thing.
    #[must_use]
    pub fn exists(&self) -> bool {
        match self.kind {
            Kind::Thread => family::is_taken(self.number),
            Kind::Process => family::find(self.number).is_some(),
            Kind::Group => !family::all_that(|process| process.kin.group() == self.number).is_empty(),
        }
    }

    /// As F_GETOWN tells: a group is negative.
    #[must_use]
    pub fn signed(&self) -> i32 {
        let number = i32::try_from(self.number).unwrap_or(0);
        if self.kind == Kind::Group { -number } else { number }
    }

    /// Tells of urgent data.
    pub fn tell_urgent(&self) {
        if self.number == 0 {
            return;
        }
        let info = Info::from_kernel(number::SIGURG);
        let may = |uid: u32| self.uid == 0 || self.uid == uid;
        match self.kind {
            Kind::Thread => {
                let owner = family::all_that(|process| process.task(self.number).is_some());
                let task = owner.first().and_then(|process| process.task(self.number));
                if let Some(task) = task.filter(|task| may(task.process.uid())) {
                    task.send(info);
                }
            }
            Kind::Process => {
                if let Some(process) = family::find(self.number).filter(|process| may(process.uid())) {
                    process.send(info);
                }
            }
            Kind::Group => {
                for process in family::all_that(|process| process.kin.group() == self.number) {
                    if may(process.uid()) {
                        process.send(info);
                    }
                }
            }
        }
    }
}
