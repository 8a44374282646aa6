//! Seals of files in memory (`fcntl(2)`, "File Sealing"): what nobody may do to a file any more.
//!
//! Files that `memfd_create` did not make sealable have the one seal that keeps all others off.

use alloc::sync::{Arc, Weak};
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

bitflags::bitflags! {
    /// F_SEAL_*
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Seal: u32 {
        /// No seal is added.
        const SEAL = 1;
        /// It becomes no shorter.
        const SHRINK = 2;
        /// It becomes no longer.
        const GROW = 4;
        /// Its contents stay.
        const WRITE = 8;
        /// The same, but for mappings that are there already.
        const FUTURE_WRITE = 0x10;
        /// Whether it may be executed stays.
        const EXEC = 0x20;
    }
}

/// There is a shared mapping through which the file may be written, as long as this lives.
#[derive(Debug)]
pub struct Writer;

struct State {
    seals: Seal,
    writer: Weak<Writer>,
}

/// The seals of a file.
pub struct Seals(Mutex<State>);

impl Default for Seals {
    fn default() -> Self {
        Self(Mutex::new(State { seals: Seal::SEAL, writer: Weak::new() }))
    }
}

impl Seals {
    /// Those there are.
    pub fn get(&self) -> Seal {
        self.0.lock().seals
    }

    /// Sets them, of a new file.
    pub fn set(&self, seals: Seal) {
        self.0.lock().seals = seals;
    }

    /// Adds some; `is_executable` tells whether the file may be executed. EPERM if none may be added, EBUSY if a mapping could write.
    pub fn add(&self, mut seals: Seal, is_executable: bool) -> Result<(), Errno> {
        let mut state = self.0.lock();
        if state.seals.contains(Seal::SEAL) {
            return Err(Errno::EPERM);
        }
        if seals.contains(Seal::WRITE)
            && !state.seals.contains(Seal::WRITE)
            && state.writer.strong_count() > 0
        {
            return Err(Errno::EBUSY);
        }
        if seals.contains(Seal::EXEC) && is_executable {
            seals |= Seal::SHRINK | Seal::GROW | Seal::WRITE | Seal::FUTURE_WRITE;
        }
        state.seals |= seals;
        Ok(())
    }

    /// EPERM if one of `seals` is there.
    pub fn check(&self, seals: Seal) -> Result<(), Errno> {
        if self.get().intersects(seals) { Err(Errno::EPERM) } else { Ok(()) }
    }

    /// A shared mapping that may write begins. EPERM if there must be none.
    pub fn writer(&self) -> Result<Arc<Writer>, Errno> {
        let mut state = self.0.lock();
        if state.seals.intersects(Seal::WRITE | Seal::FUTURE_WRITE) {
            return Err(Errno::EPERM);
        }
        Ok(state.writer.upgrade().unwrap_or_else(|| {
            let writer = Arc::new(Writer);
            state.writer = Arc::downgrade(&writer);
            writer
        }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_sealed_against_writing_when_nobody_could_write() {
        let seals = Seals::default();
        assert_eq!(seals.add(Seal::GROW, false), Err(Errno::EPERM));
        seals.set(Seal::empty());
        let writer = seals.writer().unwrap();
        assert_eq!(seals.add(Seal::WRITE, false), Err(Errno::EBUSY));
        drop(writer);
        assert_eq!(seals.add(Seal::WRITE, false), Ok(()));
        assert_eq!(seals.writer().err(), Some(Errno::EPERM));
        assert_eq!(seals.check(Seal::GROW), Ok(()));
    }
}
