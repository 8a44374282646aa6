//! Linux AIO: io_setup, io_destroy, io_submit, io_getevents, io_cancel.
//!
//! ```text
//! struct iocb      +0 data u64   +8 key u32, rw_flags u32   +16 opcode u16, reqprio u16, fildes i32   +24 buf u64   +32 nbytes u64
//!                  +40 offset i64   +48 reserved u64   +56 flags u32, resfd i32   +64
//! struct io_event  +0 data u64   +8 obj u64   +16 res i64   +24 res2 i64   +32
//! ```
//!
//! Whole sectors of disks are under way while the program goes on; everything else is done when `io_submit` returns, as on Linux for most files.
//! A context's name is the address of a page: libaio looks there for a ring that it may read itself, and finds none.

use super::entry::{Entry, Support};
use super::files::FileContext;
use super::files::arguments::{field, pair, size};
use super::files::vectors::Vectors;
use super::int;
use crate::fs::block::{Disk, SECTOR};
use crate::fs::descriptors::OpenFile;
use crate::fs::event::EventCounter;
use crate::fs::inode::FileKind;
use crate::fs::transfers::{Context, Event, number_of};
use crate::io::{Destination, KernelSource, Pinned, Source};
use crate::memory::area::{Backing, Label, Protection};
use crate::memory::space::Place;
use crate::process::thread::Thread;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::layout::PAGE_SIZE;
use septum_abi::linux::Errno;
use septum_abi::linux::syscall as number;
use septum_guest_hal::clock::monotonic_ns;

/// /proc/sys/fs/aio-max-nr
const MOST: u32 = 0x1_0000;
const IOCB: usize = 64;
const EVENT: u64 = 32;
/// IOCB_FLAG_RESFD
const TELLS_COUNTER: u64 = 1;
/// RWF_HIPRI
const HINTS: u64 = 1;

/// IOCB_CMD_*
mod opcode {
    pub const READ: u64 = 0;
    pub const WRITE: u64 = 1;
    pub const SYNC: u64 = 2;
    pub const SYNC_DATA: u64 = 3;
    pub const READ_VECTORS: u64 = 7;
    pub const WRITE_VECTORS: u64 = 8;
}

/// The family.
pub const CALLS: &[Entry<Thread>] = &[
    Entry {
        number: number::IO_SETUP,
        handler: |thread, a| sys_io_setup(thread, super::uint(a[0]), a[1]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::IO_DESTROY,
        handler: |thread, a| sys_io_destroy(thread, a[0]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::IO_SUBMIT,
        handler: |thread, a| sys_io_submit(thread, a[0], a[1], a[2]),
        support: Support::Partial,
        notes: "PREAD, PWRITE, PREADV, PWRITEV, FSYNC, FDSYNC, IOCB_FLAG_RESFD; whole sectors of disks are under way afterwards (not with RESFD), everything else is done",
    },
    Entry {
        number: number::IO_GETEVENTS,
        handler: |thread, a| sys_io_getevents(thread, a[0], (a[1], a[2]), a[3], a[4]),
        support: Support::Full,
        notes: "",
    },
    Entry {
        number: number::IO_CANCEL,
        handler: |thread, a| {
            find(thread, a[0])?;
            thread.copy_in(a[1], &mut [0; IOCB])?;
            Err(Errno::EINVAL)
        },
        support: Support::Refused,
        notes: "EINVAL: nothing can be cancelled",
    },
];

fn find(thread: &Thread, address: u64) -> Result<Arc<Context>, Errno> {
    let space = thread.process.space.lock();
    let context = space.transfers.iter().find(|context| context.address() == address);
    context.map(Arc::clone).ok_or(Errno::EINVAL)
}

fn sys_io_setup(thread: &Thread, most: u32, place: u64) -> Result<usize, Errno> {
    let mut old = [0; 8];
    thread.copy_in(place, &mut old)?;
    if old != [0; 8] || most == 0 {
        return Err(Errno::EINVAL);
    }
    if most > MOST {
        return Err(Errno::EAGAIN);
    }
    let most = usize::try_from(most).map_err(|_| Errno::EAGAIN)?;
    let address = {
        let mut space = thread.process.space.lock();
        let rights = Protection::READ | Protection::WRITE;
        let address = space.map(Place::Hint(0), PAGE_SIZE as u64, rights, Backing::Anonymous, Label::None)?;
        space.transfers.push(Arc::new(Context::new(address, most)));
        address
    };
    if let Err(errno) = thread.copy_out(place, &address.to_le_bytes()) {
        sys_io_destroy(thread, address)?;
        return Err(errno);
    }
    Ok(0)
}

fn sys_io_destroy(thread: &Thread, address: u64) -> Result<usize, Errno> {
    let context = {
        let mut space = thread.process.space.lock();
        let index = space.transfers.iter().position(|context| context.address() == address);
        let context = space.transfers.swap_remove(index.ok_or(Errno::EINVAL)?);
        // The program may have taken the page away itself.
        let _ = space.unmap(address, PAGE_SIZE as u64);
        context
    };
    context.close();
    Ok(0)
}

fn sys_io_submit(thread: &Thread, address: u64, count: u64, list: u64) -> Result<usize, Errno> {
    let context = find(thread, address)?;
    let count =
        i64::try_from(count).ok().and_then(|count| usize::try_from(count).ok()).ok_or(Errno::EINVAL)?;
    let (mut submitted, mut disks) = (0, Vec::new());
    let result = (0..count as u64).try_for_each(|index| {
        let mut pointer = [0; 8];
        let place = index.checked_mul(8).and_then(|offset| list.checked_add(offset)).ok_or(Errno::EFAULT)?;
        thread.copy_in(place, &mut pointer)?;
        submit(thread, &context, u64::from_le_bytes(pointer), &mut disks)?;
        submitted += 1;
        Ok(())
    });
    for disk in disks {
        disk.kick();
    }
    context.tell();
    match result {
        Err(errno) if submitted == 0 => Err(errno),
        _ => Ok(submitted),
    }
}

type Disks = Vec<Arc<dyn Disk>>;

/// Begins what the program describes at `object`. Disks that are to be told of it are added to `disks`.
fn submit(thread: &Thread, context: &Context, object: u64, disks: &mut Disks) -> Result<(), Errno> {
    let mut bytes = [0; IOCB];
    thread.copy_in(object, &mut bytes)?;
    let [data, flags, target, buffer, len, offset, reserved, last] =
        core::array::from_fn(|index| field(&bytes, index * 8));
    if reserved != 0 || i64::try_from(len).is_err() {
        return Err(Errno::EINVAL);
    }
    if !context.has_room() {
        return Err(Errno::EAGAIN);
    }
    let get = |fd: u64| thread.process.descriptors.lock().get(int(fd >> 32));
    let file = get(target)?;
    let counter = if last & TELLS_COUNTER != 0 { Some(get(last)?) } else { None };
    let is_counter = |file: &OpenFile| file.file().as_any().is::<EventCounter>();
    if counter.as_ref().is_some_and(|file| !is_counter(file)) {
        return Err(Errno::EINVAL);
    }
    thread.copy_out(object.wrapping_add(8), &[0; 4])?;
    if flags >> 32 & !HINTS != 0 {
        return Err(Errno::EOPNOTSUPP);
    }
    let is_write = match target & 0xffff {
        opcode::READ | opcode::READ_VECTORS => false,
        opcode::WRITE | opcode::WRITE_VECTORS => true,
        code @ (opcode::SYNC | opcode::SYNC_DATA) => {
            if buffer != 0 || offset != 0 || len != 0 {
                return Err(Errno::EINVAL);
            }
            if !matches!(
                file.dentry().kind(),
                FileKind::Regular | FileKind::Directory | FileKind::BlockDevice
            ) {
                return Err(Errno::EINVAL);
            }
            let result = file.file().sync(code == opcode::SYNC_DATA).map(|()| 0);
            finish(context, Event { data, object, result: number_of(result) }, counter.as_deref());
            return Ok(());
        }
        _ => return Err(Errno::EINVAL),
    };
    if is_write {
        file.check_writable()?
    } else {
        file.check_readable()?
    }
    if i64::try_from(offset).is_err() {
        return Err(Errno::EINVAL);
    }
    let job = Job { context, file: &file, offset, data, object, may_begin: counter.is_none() };
    let is_vector = matches!(target & 0xffff, opcode::READ_VECTORS | opcode::WRITE_VECTORS);
    let result = match (is_write, is_vector) {
        (false, false) => job.read(&mut thread.destination(buffer, size(len))?, disks),
        (false, true) => job.read(&mut Vectors::read(thread, buffer, size(len))?, disks),
        (true, false) => job.write(&mut thread.source(buffer, size(len))?, disks),
        (true, true) => job.write(&mut Vectors::read(thread, buffer, size(len))?, disks),
    };
    if let Some(result) = result {
        finish(context, Event { data, object, result: number_of(result) }, counter.as_deref());
    }
    Ok(())
}

/// A transfer to be made.
struct Job<'a> {
    context: &'a Context,
    file: &'a OpenFile,
    offset: u64,
    data: u64,
    object: u64,
    /// The program can learn later that it is done.
    may_begin: bool,
}

impl Job<'_> {
    /// Reads; `None` if that is under way.
    fn read(&self, to: &mut dyn Destination, disks: &mut Disks) -> Option<Result<usize, Errno>> {
        let want = to.remaining();
        let begun = self.begin(false, want, disks, |pieces| to.pin(want, pieces));
        if begun { None } else { Some(self.file.read_at(self.offset, to)) }
    }

    /// Writes; `None` if that is under way.
    fn write(&self, from: &mut dyn Source, disks: &mut Disks) -> Option<Result<usize, Errno>> {
        let want = from.remaining();
        let begun = self.begin(true, want, disks, |pieces| from.pin(want, pieces));
        if begun { None } else { Some(self.file.write_at(self.offset, from)) }
    }

    /// Puts it under way, if it is about whole sectors of a disk and all of the memory can be pinned.
    fn begin(
        &self,
        is_write: bool,
        len: usize,
        disks: &mut Disks,
        pin: impl FnOnce(&mut Vec<Pinned>) -> Option<Result<usize, Errno>>,
    ) -> bool {
        let Some(disk) = self.file.file().disk().filter(|_| self.may_begin) else { return false };
        let sector = SECTOR as u64;
        let end = self.offset.checked_add(len as u64).filter(|end| *end <= disk.facts().bytes);
        let is_whole = end.is_some_and(|end| (self.offset | end).is_multiple_of(sector));
        if !is_whole || len == 0 {
            return false;
        }
        let mut pieces = Vec::new();
        if !matches!(pin(&mut pieces), Some(Ok(pinned)) if pinned == len) {
            return false;
        }
        let Ok(transfer) = Arc::clone(disk).begin(is_write, self.offset, pieces) else { return false };
        if !disks.iter().any(|known| Arc::ptr_eq(known, disk)) {
            disks.push(Arc::clone(disk));
        }
        self.context.add(transfer, Arc::clone(disk), self.data, self.object);
        true
    }
}

/// Something is done: the program is told.
fn finish(context: &Context, event: Event, counter: Option<&OpenFile>) {
    context.finish(event);
    if let Some(counter) = counter {
        // A counter that is full has told already.
        let _ = counter.file().write_at(0, &mut KernelSource(&1_u64.to_le_bytes()));
    }
}

/// When a time from now has passed; as on Linux it may be any, and is over if it is negative.
fn deadline((seconds, nanoseconds): (u64, u64)) -> u64 {
    let ahead = seconds.cast_signed().saturating_mul(1_000_000_000).saturating_add(nanoseconds.cast_signed());
    monotonic_ns().saturating_add(u64::try_from(ahead).unwrap_or(0))
}

fn sys_io_getevents(
    thread: &Thread,
    address: u64,
    (least, most): (u64, u64),
    events: u64,
    timeout: u64,
) -> Result<usize, Errno> {
    let deadline = if timeout == 0 { None } else { Some(deadline(pair(thread, timeout)?)) };
    let context = find(thread, address)?;
    let count = |value: u64| i64::try_from(value).ok().and_then(|value| usize::try_from(value).ok());
    let (least, most) = count(least).zip(count(most)).ok_or(Errno::EINVAL)?;
    if least > most {
        return Err(Errno::EINVAL);
    }
    let mut stored = 0;
    loop {
        for event in context.take(most - stored) {
            let words = [event.data, event.object, event.result.cast_unsigned(), 0];
            let mut bytes = [0; 32];
            for (to, word) in bytes.chunks_exact_mut(8).zip(words) {
                to.copy_from_slice(&word.to_le_bytes());
            }
            let place = (stored as u64).checked_mul(EVENT).and_then(|offset| events.checked_add(offset));
            thread.copy_out(place.ok_or(Errno::EFAULT)?, &bytes)?;
            stored += 1;
        }
        if stored >= least || stored == most || deadline.is_some_and(|deadline| monotonic_ns() >= deadline) {
            return Ok(stored);
        }
        match context.wait(deadline) {
            Err(_) if stored > 0 => return Ok(stored),
            other => other?,
        }
    }
}
