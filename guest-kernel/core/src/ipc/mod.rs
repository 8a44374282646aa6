//! System V's ways between processes: shared memory, semaphores and messages, which have keys, owners and permissions in the same way.
//!
//! ```text
//! ipc64_perm   +0 key (i32)  +4 user  +8 group  +12 its maker's  +16  +20 mode (u32)  +24 …  +48
//! ```

pub mod listing;
pub mod messages;
pub mod segments;
pub mod semaphores;
pub mod table;

use core::sync::atomic::{AtomicU64, Ordering};
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_guest_hal::clock::realtime_ns;
use septum_guest_hal::frame;

/// IPC_PRIVATE: one that has no key.
pub const PRIVATE: i32 = 0;
/// Bytes of an `ipc64_perm`.
pub const PERMISSION_LEN: usize = 48;
/// Read, and change: of [`Permission::check`].
pub const READ: u32 = 4;
/// See above.
pub const CHANGE: u32 = 2;

/// Whoever asks.
#[derive(Clone, Copy, Debug)]
pub struct Caller {
    /// Process.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What `shmget` and `semget` ask for.
#[derive(Clone, Copy, Debug)]
pub struct Request {
    /// Key, or 0 for none.
    pub key: i32,
    /// Bytes, or semaphores.
    pub size: u64,
    /// Permissions.
    pub mode: u32,
    /// It may be made.
    pub creates: bool,
    /// It must not be there.
    pub is_exclusive: bool,
}

impl Request {
    /// Whether what was found under the key, of this size, can be had.
    pub fn accepts(&self, found: &Permission, size: u64, caller: Caller) -> Result<(), Errno> {
        if self.creates && self.is_exclusive {
            return Err(Errno::EEXIST);
        }
        if self.size > size {
            return Err(Errno::EINVAL);
        }
        found.check(caller, (self.mode >> 6 | self.mode >> 3 | self.mode) & (READ | CHANGE))
    }

    /// ENOENT unless something may be made.
    pub fn may_make(&self) -> Result<(), Errno> {
        if self.key != PRIVATE && !self.creates { Err(Errno::ENOENT) } else { Ok(()) }
    }
}

/// Whose it is, and who may use it.
#[derive(Clone, Copy, Debug)]
pub struct Permission {
    /// 0: none.
    pub key: i32,
    /// Owner and group.
    pub owner: [u32; 2],
    /// Those of who made it.
    pub creator: [u32; 2],
    /// Permission bits.
    pub mode: u32,
}

impl Permission {
    /// Of what `caller` makes.
    #[must_use]
    pub fn new(request: &Request, caller: Caller) -> Self {
        let owner = [caller.uid, caller.gid];
        Self { key: request.key, owner, creator: owner, mode: request.mode & 0o777 }
    }

    /// EACCES unless `caller` may do all of `wanted`.
    pub fn check(&self, caller: Caller, wanted: u32) -> Result<(), Errno> {
        let Caller { uid, gid, .. } = caller;
        let class = match () {
            () if uid == 0 => return Ok(()),
            () if uid == self.owner[0] || uid == self.creator[0] => self.mode >> 6,
            () if gid == self.owner[1] || gid == self.creator[1] => self.mode >> 3,
            () => self.mode,
        };
        if wanted & !class & 7 == 0 { Ok(()) } else { Err(Errno::EACCES) }
    }

    /// EPERM unless `caller` may change or remove it.
    pub fn check_owner(&self, caller: Caller) -> Result<(), Errno> {
        let is_owner = [0, self.owner[0], self.creator[0]].contains(&caller.uid);
        if is_owner { Ok(()) } else { Err(Errno::EPERM) }
    }

    /// What IPC_STAT tells, with these flags in its mode.
    #[must_use]
    pub fn encode(&self, flags: u32) -> [u8; PERMISSION_LEN] {
        let mut bytes = [0; PERMISSION_LEN];
        let [uid, gid] = self.owner;
        let [creator_uid, creator_gid] = self.creator;
        let words = [self.key.cast_unsigned(), uid, gid, creator_uid, creator_gid, self.mode | flags];
        for (to, word) in bytes.chunks_exact_mut(4).zip(words) {
            to.copy_from_slice(&word.to_le_bytes());
        }
        bytes
    }

    /// IPC_SET: takes owner, group and mode over.
    pub fn change(&mut self, bytes: &[u8; PERMISSION_LEN]) {
        let word = |at: usize| u32::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        (self.owner, self.mode) = ([word(4), word(8)], word(20) & 0o777);
    }
}

/// Bytes that messages take, all together.
static TAKEN: AtomicU64 = AtomicU64::new(0);
/// What a message takes beside its contents.
const OVERHEAD: usize = 64;

/// The right to memory for a message; dropping it gives it back.
#[derive(Debug)]
pub struct Memory(u64);

impl Memory {
    /// For a message of so many bytes. ENOMEM if all together would take more than a quarter of the partition's memory.
    pub fn take(len: usize) -> Result<Self, Errno> {
        let memory = Self((len + OVERHEAD) as u64);
        let taken = TAKEN.fetch_add(memory.0, Ordering::Relaxed).saturating_add(memory.0);
        let most = frame::usage().total / 4 * PAGE_SIZE as u64;
        if taken > most { Err(Errno::ENOMEM) } else { Ok(memory) }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        TAKEN.fetch_sub(self.0, Ordering::Relaxed);
    }
}

/// Seconds since 1970.
#[must_use]
pub fn seconds() -> u64 {
    realtime_ns() / 1_000_000_000
}
