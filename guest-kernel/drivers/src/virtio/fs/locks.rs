//! Locks on the host (GETLK, SETLK).
//!
//! ```text
//! request  handle | owner | first byte | last byte | kind u32, pid u32 | flags u32, 0
//! answer   first byte | last byte | kind u32, pid u32
//! ```
//!
//! The host takes them for the partition as a whole: handle and owner say nothing. It never waits.

use super::fuse::{self, Opcode, lock};
use super::node::Node;
use super::session::{Data, Exchange};
use core::ops::Range;
use septum_abi::linux::Errno;
use septum_guest_core::fs::locks::{Family, HostLocks};

/// The last byte that there may ever be.
const LAST: u64 = i64::MAX.cast_unsigned();

impl Node {
    fn ask_lock(
        &self,
        opcode: Opcode,
        family: Family,
        bytes: &Range<u64>,
        kind: u32,
    ) -> Result<Exchange<'_>, Errno> {
        let flags = if family == Family::Whole { lock::WHOLE } else { 0 };
        let last = bytes.end.saturating_sub(1).min(LAST);
        let mut exchange = self.volume.session.begin(opcode, self.id)?;
        exchange.words([0, 0, bytes.start, last, fuse::pair(kind, 0), fuse::pair(flags, 0)]);
        exchange.call(if opcode == Opcode::GetLock { lock::ANSWER } else { 0 }, Data::None)?;
        Ok(exchange)
    }
}

impl HostLocks for Node {
    fn lock(&self, family: Family, bytes: &Range<u64>, is_exclusive: bool) -> Result<(), Errno> {
        let kind = if is_exclusive { lock::WRITE } else { lock::READ };
        match self.ask_lock(Opcode::SetLock, family, bytes, kind) {
            Ok(exchange) => drop(exchange),
            // A file system of the host that has no locks, or a host: then they hold in here.
            Err(Errno::ENOSYS | Errno::EOPNOTSUPP) => return Ok(()),
            Err(errno) => return Err(errno),
        }
        // Whoever had the lock before may have changed this file, and others for which it stands.
        self.volume.distrust();
        self.refresh_pages();
        Ok(())
    }

    fn unlock(&self, family: Family, bytes: &Range<u64>) {
        // If the host cannot be told, it learns of it with the partition's end.
        let _ = self.ask_lock(Opcode::SetLock, family, bytes, lock::NONE);
    }

    fn conflict(&self, bytes: &Range<u64>, is_exclusive: bool) -> Option<(Range<u64>, bool)> {
        let kind = if is_exclusive { lock::WRITE } else { lock::READ };
        let exchange = self.ask_lock(Opcode::GetLock, Family::Range, bytes, kind).ok()?;
        let [first, last, kind] = exchange.results();
        let end = if last >= LAST { u64::MAX } else { last + 1 };
        let kind = fuse::low(kind);
        (kind != lock::NONE && first < end).then_some((first..end, kind == lock::WRITE))
    }
}
