//! `/proc/sysvipc`: what there is of each of the three families, and the limits that `/proc/sys/kernel` tells.

use super::messages::QUEUES;
use super::segments::SEGMENTS;
use super::semaphores::SETS;
use alloc::string::String;
use alloc::vec::Vec;
use core::fmt::Write as _;
use septum_abi::layout::PAGE_SIZE;

/// SHMMAX and SHMALL: as much as there is.
pub const MOST_SHARED: u64 = u64::MAX - (1 << 24);

/// `shm`
#[must_use]
pub fn segments() -> Vec<u8> {
    let mut text = String::from(
        "       key      shmid perms                  size  cpid  lpid nattch   uid   gid  cuid  cgid      \
         atime      dtime      ctime                   rss                  swap\n",
    );
    let mut segments = SEGMENTS.lock();
    for (id, segment) in segments.table().iter() {
        let permission = &segment.permission;
        let mode = permission.mode | if segment.is_removed() { 0o1000 } else { 0 };
        let [uid, gid] = permission.owner;
        let [creator_uid, creator_gid] = permission.creator;
        let [maker, last] = segment.pids;
        let [mapped, unmapped, changed] = segment.times;
        let (key, size, mappings) = (permission.key, segment.size, segment.mappings());
        let resident = segment.resident() * PAGE_SIZE as u64;
        let _ = writeln!(
            text,
            "{key:10} {id:10}  {mode:4o} {size:21} {maker:5} {last:5}  {mappings:5} {uid:5} {gid:5} {creator_uid:5} \
             {creator_gid:5} {mapped:10} {unmapped:10} {changed:10} {resident:21} {:21}",
            0
        );
    }
    text.into_bytes()
}

/// `sem`
#[must_use]
pub fn semaphores() -> Vec<u8> {
    let mut text = String::from(
        "       key      semid perms      nsems   uid   gid  cuid  cgid      otime      ctime\n",
    );
    for (id, set) in SETS.lock().table().iter() {
        let _ = set.with(|state| {
            let permission = &state.permission;
            let [uid, gid] = permission.owner;
            let [creator_uid, creator_gid] = permission.creator;
            let [last, changed] = state.times;
            let (key, mode, count) = (permission.key, permission.mode, state.count());
            let _ = writeln!(
                text,
                "{key:10} {id:10}  {mode:4o} {count:10} {uid:5} {gid:5} {creator_uid:5} {creator_gid:5} {last:10} {changed:10}"
            );
            Ok(())
        });
    }
    text.into_bytes()
}

/// `msg`
#[must_use]
pub fn messages() -> Vec<u8> {
    let mut text = String::from(
        "       key      msqid perms      cbytes       qnum lspid lrpid   uid   gid  cuid  cgid      \
         stime      rtime      ctime\n",
    );
    for (id, queue) in QUEUES.lock().table().iter() {
        let _ = queue.with(|state| {
            let permission = &state.permission;
            let [uid, gid] = permission.owner;
            let [creator_uid, creator_gid] = permission.creator;
            let [sent, received, changed] = state.times;
            let [sender, receiver] = state.pids;
            let (key, mode, bytes, count) = (permission.key, permission.mode, state.bytes, state.count());
            let _ = writeln!(
                text,
                "{key:10} {id:10}  {mode:4o}  {bytes:10} {count:10} {sender:5} {receiver:5} {uid:5} {gid:5} \
                 {creator_uid:5} {creator_gid:5} {sent:10} {received:10} {changed:10}"
            );
            Ok(())
        });
    }
    text.into_bytes()
}
