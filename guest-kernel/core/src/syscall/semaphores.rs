//! System V semaphores: `semget`, `semop`, `semtimedop`, `semctl`.
//!
//! ```text
//! sembuf       +0 index (u16)  +2 change (i16)  +4 flags (u16)  +6
//! semid64_ds   +0 ipc64_perm  +48 last semop (seconds)  +64 changed  +80 semaphores (u64)  +104
//! ```

use super::clock::read_timespec;
use super::entry::{Entry, Support};
use super::shared_memory::{Listing, caller};
use super::{int, uint};
use crate::ipc::semaphores::{Attempt, Change, LARGEST, MOST_IN_SET, MOST_SETS, SETS, State};
use crate::ipc::{CHANGE, PERMISSION_LEN, READ, Request, seconds};
use crate::memory::buffer;
use crate::process::thread::Thread;
use crate::wait::wait_for_any;
use alloc::vec;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::clock::monotonic_ns;

/// IPC_CREAT, IPC_EXCL, IPC_NOWAIT
const CREATE: u32 = 0o1000;
const EXCLUSIVE: u32 = 0o2000;
const IMPATIENT: u16 = 0o4000;
/// SEM_UNDO
const UNDO: u16 = 0x1000;
/// IPC_RMID, IPC_SET, IPC_STAT
const REMOVE: i32 = 0;
const SET: i32 = 1;
const STATUS: i32 = 2;
/// GETPID, GETVAL, GETALL, GETNCNT, GETZCNT, SETVAL, SETALL
const GET_PID: i32 = 11;
const GET_VALUE: i32 = 12;
const GET_ALL: i32 = 13;
const GET_WAITING: i32 = 14;
const GET_WAITING_FOR_ZERO: i32 = 15;
const SET_VALUE: i32 = 16;
const SET_ALL: i32 = 17;
/// IPC_INFO, SEM_STAT, SEM_INFO, SEM_STAT_ANY
const LIMITS: i32 = 3;
const STATUS_AT: i32 = 18;
const USAGE: i32 = 19;
const STATUS_AT_ANY: i32 = 20;
/// Most changes of a call (SEMOPM), bytes of one, and of a `semid64_ds`.
const MOST_CHANGES: usize = 500;
const CHANGE_LEN: usize = 6;
const STATUS_LEN: usize = 104;

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::SEMGET,
        handler: |thread, a| sys_semget(thread, int(a[0]), int(a[1]), uint(a[2])),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SEMOP,
        handler: |thread, a| sys_semtimedop(thread, int(a[0]), a[1], a[2], 0),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SEMTIMEDOP,
        handler: |thread, a| sys_semtimedop(thread, int(a[0]), a[1], a[2], a[3]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::SEMCTL,
        handler: |thread, a| sys_semctl(thread, int(a[0]), int(a[1]), int(a[2]), a[3]),
        support: Support::Full,
        notes: "",
    },
];

/// `semget(2)`
fn sys_semget(thread: &Thread, key: i32, count: i32, flags: u32) -> Result<usize, Errno> {
    let size = u64::try_from(count).map_err(|_| Errno::EINVAL)?;
    let (creates, is_exclusive) = (flags & CREATE != 0, flags & EXCLUSIVE != 0);
    let request = Request { key, size, mode: flags & 0o777, creates, is_exclusive };
    let id = SETS.lock().get(request, caller(thread))?;
    usize::try_from(id).map_err(|_| Errno::ENOSPC)
}

fn changes(thread: &Thread, address: u64, count: u64) -> Result<Vec<Change>, Errno> {
    let count = usize::try_from(count).unwrap_or(usize::MAX);
    if count == 0 {
        return Err(Errno::EINVAL);
    }
    if count > MOST_CHANGES {
        return Err(Errno::E2BIG);
    }
    let mut bytes = vec![0; count * CHANGE_LEN];
    buffer::read(&thread.process.space, address, &mut bytes)?;
    let parse = |bytes: &[u8]| {
        let half = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        let flags = half(4);
        Change {
            index: half(0),
            by: half(2).cast_signed(),
            is_impatient: flags & IMPATIENT != 0,
            is_undone: flags & UNDO != 0,
        }
    };
    Ok(bytes.chunks_exact(CHANGE_LEN).map(parse).collect())
}

/// `semtimedop(2)`; without a limit it is `semop(2)`.
fn sys_semtimedop(thread: &Thread, id: i32, address: u64, count: u64, limit: u64) -> Result<usize, Errno> {
    let changes = changes(thread, address, count)?;
    let deadline = match limit {
        0 => None,
        _ => Some(monotonic_ns().saturating_add(read_timespec(thread, limit)?)),
    };
    let caller = caller(thread);
    let set = SETS.lock().find(id)?;
    let alters = changes.iter().any(|change| change.by != 0);
    set.with(|state| {
        if changes.iter().any(|change| usize::from(change.index) >= state.count()) {
            return Err(Errno::EFBIG);
        }
        state.permission.check(caller, if alters { CHANGE } else { READ })
    })?;
    let tid = thread.task.tid();
    let attempt = || match set.with(|state| state.try_all(&changes, caller.pid, tid)) {
        Ok(Attempt::Done) => Some(Ok(())),
        Ok(Attempt::MustWait) => None,
        Err(errno) => Some(Err(errno)),
    };
    let result = wait_for_any(&[&set.queue], deadline, attempt);
    if !matches!(result, Ok(Some(Ok(())))) {
        set.give_up(tid);
    }
    result?.unwrap_or(Err(Errno::EAGAIN))?;
    if alters {
        set.queue.wake_all();
    }
    Ok(0)
}

fn status(state: &State) -> [u8; STATUS_LEN] {
    let mut bytes = [0; STATUS_LEN];
    let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
    put(0, &state.permission.encode(0));
    put(48, &state.times[0].to_le_bytes());
    put(64, &state.times[1].to_le_bytes());
    put(80, &(state.count() as u64).to_le_bytes());
    bytes
}

/// What IPC_INFO tells, or SEM_INFO: limits (`seminfo`), and what there is in place of two of them; and the highest place.
fn limits(is_usage: bool) -> (usize, [u8; 40]) {
    let sets = SETS.lock();
    let table = sets.table();
    let all: usize = table.iter().map(|(_, set)| set.with(|state| Ok(state.count())).unwrap_or(0)).sum();
    let most = MOST_SETS as u64 * MOST_IN_SET;
    let [used, changed] = if is_usage { [table.count() as u64, all as u64] } else { [20, LARGEST as u64] };
    let of_call = MOST_CHANGES as u64;
    let words =
        [most, MOST_SETS as u64, most, most, MOST_IN_SET, of_call, of_call, used, LARGEST as u64, changed];
    let mut told = [0; 40];
    for (to, word) in told.chunks_exact_mut(4).zip(words) {
        to.copy_from_slice(&u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
    }
    (table.highest(), told)
}

/// `semctl(2)`
fn sys_semctl(thread: &Thread, id: i32, index: i32, command: i32, argument: u64) -> Result<usize, Errno> {
    let caller = caller(thread);
    let at = || usize::try_from(index).map_err(|_| Errno::EINVAL);
    let space = &thread.process.space;
    if command == REMOVE {
        SETS.lock().remove(id, caller)?;
        return Ok(0);
    }
    if matches!(command, LIMITS | USAGE) {
        let (highest, told) = limits(command == USAGE);
        buffer::write(space, argument, &told)?;
        return Ok(highest);
    }
    let listing = Listing::of(command, STATUS, STATUS_AT_ANY);
    let (id, set) = {
        let sets = SETS.lock();
        let is_by_place = matches!(command, STATUS_AT | STATUS_AT_ANY);
        let id = if is_by_place { sets.table().at(id)? } else { id };
        (id, sets.find(id)?)
    };
    let may = |state: &State, wanted| state.permission.check(caller, wanted);
    let amount = |value: i32| usize::try_from(value).map_err(|_| Errno::EINVAL);
    match command {
        STATUS | STATUS_AT | STATUS_AT_ANY => {
            let wanted = if listing.is_for_anybody { 0 } else { READ };
            let told = set.with(|state| may(state, wanted).map(|()| status(state)))?;
            buffer::write(space, argument, &told)?;
            listing.result(id)
        }
        SET => {
            let mut bytes = [0; PERMISSION_LEN];
            buffer::read(space, argument, &mut bytes)?;
            set.with(|state| {
                state.permission.check_owner(caller)?;
                state.permission.change(&bytes);
                state.times[1] = seconds();
                Ok(0)
            })
        }
        GET_PID => {
            set.with(|state| may(state, READ).and_then(|()| amount(state.one(at()?)?.1.cast_signed())))
        }
        GET_VALUE => set.with(|state| may(state, READ).and_then(|()| amount(state.one(at()?)?.0))),
        GET_WAITING | GET_WAITING_FOR_ZERO => {
            let is_zero = command == GET_WAITING_FOR_ZERO;
            set.with(|state| may(state, READ).and_then(|()| state.waiting(at()?, is_zero)))
        }
        GET_ALL => {
            let values = set.with(|state| may(state, READ).map(|()| state.values().collect::<Vec<_>>()))?;
            let bytes: Vec<u8> = values.into_iter().flat_map(u16::to_le_bytes).collect();
            buffer::write(space, argument, &bytes).map(|()| 0)
        }
        SET_VALUE | SET_ALL => {
            let values = if command == SET_VALUE {
                vec![int(argument)]
            } else {
                let mut bytes = vec![0; set.with(|state| Ok(state.count()))? * 2];
                buffer::read(space, argument, &mut bytes)?;
                bytes.chunks_exact(2).map(|pair| i32::from(u16::from_le_bytes([pair[0], pair[1]]))).collect()
            };
            let first = if command == SET_VALUE { at()? } else { 0 };
            set.with(|state| {
                may(state, CHANGE)?;
                state.set(first, &values, caller.pid)
            })?;
            set.queue.wake_all();
            Ok(0)
        }
        _ => Err(Errno::EINVAL),
    }
}
