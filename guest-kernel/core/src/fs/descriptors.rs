//! Open files and the numbers that a program has for them.
//!
//! ```text
//! descriptor table          open file                      file, inode
//!   0 ─┐                   ┌ position, status flags ┐
//!   1 ─┼──────────────────>│ access                 ├────> Arc<dyn File>
//!   2 ─┘  (dup shares)     └ dentry: where it is    ┘
//!   3 (close on exec) ────> …
//! ```
//!
//! An [`OpenFile`] adds to a [`File`] what POSIX calls the open file description: the position, O_APPEND, and
//! waiting when the file has nothing yet (EAGAIN) and the program did not ask not to. Position and contents
//! move together under the position's lock, of files that have positions; others are never locked here, because
//! they may wait for long.

use super::dentry::Dentry;
use super::inode::{Access, File, FileKind, poll};
use super::locks::{self, FileNumber, HostLocks, Owner};
use super::open::OpenFlags;
use super::owner::Owner as SignalOwner;
use super::watch;
use crate::io::{Destination, Limited, Source};
use crate::net::Socket;
use crate::process::limits;
use crate::wait::{WaitQueue, wait_for_any};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::Mutex;

/// Open files there are.
static COUNT: AtomicU64 = AtomicU64::new(0);

/// How many open files there are (`file-nr`).
#[must_use]
pub fn count() -> u64 {
    COUNT.load(Ordering::Relaxed)
}

/// Largest position and size.
pub const MAX_POSITION: u64 = 0x7fff_ffff_ffff_ffff;

/// An open file description.
pub struct OpenFile {
    dentry: Arc<Dentry>,
    file: Arc<dyn File>,
    access: Access,
    is_seekable: bool,
    flags: AtomicU32,
    position: Mutex<u64>,
    /// Reads and writes of a file that has no wait queue, which cannot tell itself that something is new.
    uses: AtomicU64,
    /// Who is named to be told by signals; of a socket the socket knows.
    signal_owner: Mutex<SignalOwner>,
    /// Of what [`edge`](Self::edge) an epoll has told alone, and which one.
    claim: Mutex<Option<(u64, usize)>>,
}

/// What `lseek` counts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whence {
    /// The start.
    Start,
    /// Where it is.
    Current,
    /// The end.
    End,
    /// The next byte that is not in a hole.
    Data,
    /// The next hole.
    Hole,
}

impl OpenFile {
    /// An open file at position 0. `flags` say the access too.
    #[must_use]
    pub fn new(dentry: Arc<Dentry>, file: Arc<dyn File>, flags: OpenFlags) -> Arc<Self> {
        let access = if flags.contains(OpenFlags::PATH) {
            Access { read: false, write: false }
        } else {
            flags.access()
        };
        COUNT.fetch_add(1, Ordering::Relaxed);
        Arc::new(Self {
            is_seekable: file.is_seekable(),
            dentry,
            file,
            access,
            flags: AtomicU32::new(flags.bits()),
            position: Mutex::new(0),
            uses: AtomicU64::new(0),
            signal_owner: Mutex::default(),
            claim: Mutex::default(),
        })
    }

    /// Where it was found.
    #[must_use]
    pub fn dentry(&self) -> &Arc<Dentry> {
        &self.dentry
    }

    /// The file itself.
    #[must_use]
    pub fn file(&self) -> &Arc<dyn File> {
        &self.file
    }

    /// Device and inode number.
    pub fn number(&self) -> Result<FileNumber, Errno> {
        self.dentry.inode().number()
    }

    /// The locks that others outside the partition have on it, if they can have any.
    #[must_use]
    pub fn host_locks(&self) -> Option<Arc<dyn HostLocks>> {
        self.file.host_locks()
    }

    /// This description as the owner of locks.
    #[must_use]
    pub fn lock_owner(&self) -> Owner {
        Owner::Description(core::ptr::from_ref(self).addr())
    }

    /// As [`File::edge`], of any file.
    #[must_use]
    pub fn edge(&self) -> u64 {
        self.file.edge().wrapping_add(self.uses.load(Ordering::Relaxed))
    }

    /// Who is named to be told by signals.
    #[must_use]
    pub fn signal_owner(&self) -> &Mutex<SignalOwner> {
        Socket::of(self).map_or(&self.signal_owner, |socket| &socket.shared.owner)
    }

    /// Whether one of several that want to be told alone (EPOLLEXCLUSIVE) may tell of what has happened last: `who` comes first, or did. One that
    /// `must` does so anyway.
    #[must_use]
    pub fn claim(&self, edge: u64, who: usize, must: bool) -> bool {
        let mut claim = self.claim.lock();
        let is_others = claim.is_some_and(|(at, other)| at == edge && other != who);
        if is_others && !must {
            return false;
        }
        *claim = Some((edge, who));
        true
    }

    /// Whether somebody else than `who` has claimed what has happened last.
    #[must_use]
    pub fn is_claimed(&self, edge: u64, who: usize) -> bool {
        self.claim.lock().is_some_and(|(at, other)| at == edge && other != who)
    }

    /// For what it is open.
    #[must_use]
    pub fn access(&self) -> Access {
        self.access
    }

    /// Status flags.
    #[must_use]
    pub fn flags(&self) -> OpenFlags {
        OpenFlags::from_bits_truncate(self.flags.load(Ordering::Relaxed))
    }

    /// Changes what F_SETFL may change.
    pub fn set_flags(&self, flags: OpenFlags) {
        let kept = self.flags().difference(OpenFlags::CHANGEABLE);
        self.flags.store((kept | (flags & OpenFlags::CHANGEABLE)).bits(), Ordering::Relaxed);
    }

    /// Whether it is only a place (O_PATH), on which most operations are EBADF.
    #[must_use]
    pub fn is_path_only(&self) -> bool {
        self.flags().contains(OpenFlags::PATH)
    }

    /// Whether it has positions.
    #[must_use]
    pub fn is_seekable(&self) -> bool {
        self.is_seekable
    }

    /// The position; locked, it does not change.
    #[must_use]
    pub fn position(&self) -> &Mutex<u64> {
        &self.position
    }

    /// `read`
    pub fn read(&self, to: &mut dyn Destination) -> Result<usize, Errno> {
        self.check_readable()?;
        if !self.is_seekable {
            return self.when_ready(poll::IN, || self.file.read_at(0, to));
        }
        let mut position = self.position.lock();
        check_end(*position, to.remaining())?;
        let len = self.file.read_at(*position, to)?;
        *position += wide(len);
        self.tell(watch::event::ACCESS, len);
        Ok(len)
    }

    /// `pread`
    pub fn read_at(&self, offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if !self.is_seekable {
            return Err(Errno::ESPIPE);
        }
        self.check_readable()?;
        check_end(offset, to.remaining())?;
        let len = self.file.read_at(offset, to)?;
        self.tell(watch::event::ACCESS, len);
        Ok(len)
    }

    /// `write`
    pub fn write(&self, from: &mut dyn Source) -> Result<usize, Errno> {
        self.check_writable()?;
        if !self.is_seekable {
            return self.write_stream(from);
        }
        let mut position = self.position.lock();
        if self.flags().contains(OpenFlags::APPEND) {
            let (len, end) = self.append(from)?;
            *position = end;
            return Ok(len);
        }
        let len = self.write_checked(*position, from)?;
        *position += wide(len);
        Ok(len)
    }

    /// `pwrite`. On Linux O_APPEND wins over the offset.
    pub fn write_at(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        if !self.is_seekable {
            return Err(Errno::ESPIPE);
        }
        self.check_writable()?;
        if self.flags().contains(OpenFlags::APPEND) {
            return Ok(self.append(from)?.0);
        }
        self.write_checked(offset, from)
    }

    /// `lseek`
    pub fn seek(&self, offset: i64, whence: Whence) -> Result<u64, Errno> {
        if self.is_path_only() {
            return Err(Errno::EBADF);
        }
        if !self.is_seekable {
            return Err(Errno::ESPIPE);
        }
        if self.file.stays_at_start() {
            return Ok(0);
        }
        let mut position = self.position.lock();
        let from = match whence {
            Whence::Start => 0,
            Whence::Current => *position,
            Whence::End => self.size()?,
            // Holes are not told apart: all is data up to the end, where the one hole is.
            Whence::Data | Whence::Hole => {
                let size = self.size()?;
                let start = u64::try_from(offset).map_err(|_| Errno::ENXIO)?;
                if start >= size {
                    return Err(Errno::ENXIO);
                }
                *position = if whence == Whence::Data { start } else { size };
                return Ok(*position);
            }
        };
        let to = from.checked_add_signed(offset).filter(|&to| to <= MAX_POSITION).ok_or(Errno::EINVAL)?;
        *position = to;
        Ok(to)
    }

    fn size(&self) -> Result<u64, Errno> {
        match self.file.disk() {
            Some(disk) => Ok(disk.facts().bytes),
            None => self.dentry.inode().metadata().map(|metadata| metadata.size),
        }
    }

    /// EBADF unless open for reading, EISDIR if a directory.
    pub fn check_readable(&self) -> Result<(), Errno> {
        if !self.access.read {
            return Err(Errno::EBADF);
        }
        if self.dentry.is_directory() { Err(Errno::EISDIR) } else { Ok(()) }
    }

    /// EBADF unless open for writing.
    pub fn check_writable(&self) -> Result<(), Errno> {
        if self.access.write { Ok(()) } else { Err(Errno::EBADF) }
    }

    fn is_non_blocking(&self) -> bool {
        self.flags().contains(OpenFlags::NON_BLOCKING)
    }

    fn write_checked(&self, offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        check_end(offset, from.remaining())?;
        let len = self.file.write_at(offset, &mut self.within_limit(offset, from)?)?;
        self.tell(watch::event::MODIFY, len);
        self.sync_if_asked(len)?;
        Ok(len)
    }

    /// What may be written at `offset` by RLIMIT_FSIZE, of a regular file.
    fn within_limit<'a>(&self, offset: u64, from: &'a mut dyn Source) -> Result<Limited<'a>, Errno> {
        let len = from.remaining();
        let is_regular = || self.dentry.kind() == FileKind::Regular;
        let room = if limits::is_file_size_limited() && is_regular() {
            limits::within_file_size(offset, len)?
        } else {
            len
        };
        Ok(Limited { source: from, room })
    }

    /// Of a file that was opened with O_SYNC or O_DSYNC, what was written reaches the disk.
    fn sync_if_asked(&self, len: usize) -> Result<(), Errno> {
        let flags = self.flags();
        if len == 0 || !flags.intersects(OpenFlags::DATA_SYNC | OpenFlags::SYNC) {
            return Ok(());
        }
        self.file.sync(!flags.contains(OpenFlags::SYNC))
    }

    fn append(&self, from: &mut dyn Source) -> Result<(usize, u64), Errno> {
        let within = if limits::is_file_size_limited() {
            let end = self.size()?;
            self.file.append(&mut self.within_limit(end, from)?)
        } else {
            self.file.append(from)
        };
        if let Some(result) = within {
            let (len, end) = result?;
            self.tell(watch::event::MODIFY, len);
            self.sync_if_asked(len)?;
            return Ok((len, end));
        }
        let end = self.size()?;
        let len = self.write_checked(end, from)?;
        Ok((len, end + wide(len)))
    }

    /// Writes all, waiting in between; what a signal or an error cuts short is what was written until then.
    fn write_stream(&self, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut total = 0;
        loop {
            match self.when_ready(poll::OUT, || self.file.write_at(0, from)) {
                Ok(len) => {
                    total += len;
                    if len == 0 || from.remaining() == 0 || self.is_non_blocking() {
                        return Ok(total);
                    }
                }
                Err(_) if total > 0 => return Ok(total),
                Err(errno) => return Err(errno),
            }
        }
    }

    /// Runs `operation`, and while it says EAGAIN waits for one of `events`.
    fn when_ready(
        &self,
        events: u16,
        mut operation: impl FnMut() -> Result<usize, Errno>,
    ) -> Result<usize, Errno> {
        let events = events | poll::ERR | poll::HUP;
        let queue = self.file.wait_queue();
        if queue.is_none() {
            self.uses.fetch_add(1, Ordering::Relaxed);
        }
        let mut end_of_patience = None;
        loop {
            let before = queue.map(WaitQueue::generation);
            match operation() {
                Err(Errno::EAGAIN) if !self.is_non_blocking() => {
                    // A deadline that comes, or is moved meanwhile, means to try again.
                    let is_ready =
                        || self.file.poll() & events != 0 || queue.map(WaitQueue::generation) != before;
                    let end = *end_of_patience.get_or_insert_with(|| self.end_of_patience(events));
                    let deadline = self.file.deadline_ns().into_iter().chain(end).min();
                    wait_for_any(queue.as_slice(), deadline, || is_ready().then_some(()))?;
                    if end.is_some_and(|end| !is_ready() && monotonic_ns() >= end) {
                        return Err(Errno::EAGAIN);
                    }
                }
                result => return result,
            }
        }
    }
}

impl OpenFile {
    /// When waiting for `events` ends without them.
    fn end_of_patience(&self, events: u16) -> Option<u64> {
        let patience = self.file.patience_ns(events & poll::OUT != 0);
        patience.map(|ns| monotonic_ns().saturating_add(ns))
    }
}

impl OpenFile {
    /// Tells who watches the file, if any bytes were moved.
    #[inline]
    fn tell(&self, event: u32, len: usize) {
        if len > 0 && watch::is_watched() {
            watch::tell(&self.dentry, event);
        }
    }
}

impl Drop for OpenFile {
    fn drop(&mut self) {
        COUNT.fetch_sub(1, Ordering::Relaxed);
        locks::release_all(self.lock_owner());
        self.file.release();
        if let Some(queue) = self.file.wait_queue() {
            // An epoll may be waited for that watched it, and has to be asked for its members again.
            queue.wake_all();
        }
        if watch::is_watched() && !self.is_path_only() {
            let is_written = self.access.write;
            let event = if is_written { watch::event::CLOSE_WRITTEN } else { watch::event::CLOSE_UNWRITTEN };
            watch::tell(&self.dentry, event);
        }
    }
}

/// EINVAL if `len` bytes from `offset` on end beyond what a position can say.
fn check_end(offset: u64, len: usize) -> Result<(), Errno> {
    let end = offset.checked_add(wide(len)).filter(|&end| end <= MAX_POSITION);
    end.map(drop).ok_or(Errno::EINVAL)
}

/// Lossless on x86-64.
fn wide(len: usize) -> u64 {
    len as u64
}

/// One number of a program.
#[derive(Clone)]
struct Descriptor {
    file: Arc<OpenFile>,
    is_close_on_exec: bool,
}

/// The descriptors of a process.
#[derive(Clone)]
pub struct DescriptorTable {
    entries: Vec<Option<Descriptor>>,
    /// No number below this is free.
    lowest_free: usize,
    /// RLIMIT_NOFILE: one past the highest number.
    pub limit: u32,
}

impl DescriptorTable {
    /// No descriptors.
    #[must_use]
    pub const fn new(limit: u32) -> Self {
        Self { entries: Vec::new(), lowest_free: 0, limit }
    }

    /// What `fd` stands for; EBADF if nothing.
    pub fn get(&self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        self.entry(fd).map(|entry| Arc::clone(&entry.file))
    }

    /// Gives `file` the lowest free number of at least `minimum`. EMFILE if there is none below the limit.
    pub fn insert(
        &mut self,
        file: Arc<OpenFile>,
        is_close_on_exec: bool,
        minimum: usize,
    ) -> Result<usize, Errno> {
        let start = self.lowest_free.max(minimum);
        let used = self.entries.iter().skip(start).take_while(|entry| entry.is_some()).count();
        let number = start + used;
        self.check_limit(number)?;
        self.put(number, Descriptor { file, is_close_on_exec });
        if start == self.lowest_free {
            self.lowest_free = number + 1;
        }
        Ok(number)
    }

    /// Makes `fd` stand for `file`, whatever it stood for before (which is returned, to be dropped without the table's lock).
    pub fn replace(
        &mut self,
        fd: i32,
        file: Arc<OpenFile>,
        is_close_on_exec: bool,
    ) -> Result<Option<Arc<OpenFile>>, Errno> {
        let number = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        self.check_limit(number).map_err(|_| Errno::EBADF)?;
        Ok(self.put(number, Descriptor { file, is_close_on_exec }).map(|old| old.file))
    }

    /// Frees `fd`. What is returned is to be dropped without the table's lock: that may take long.
    pub fn remove(&mut self, fd: i32) -> Result<Arc<OpenFile>, Errno> {
        let number = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let entry = self.entries.get_mut(number).and_then(Option::take).ok_or(Errno::EBADF)?;
        self.lowest_free = self.lowest_free.min(number);
        Ok(entry.file)
    }

    /// Whether `fd` is closed by exec.
    pub fn is_close_on_exec(&self, fd: i32) -> Result<bool, Errno> {
        self.entry(fd).map(|entry| entry.is_close_on_exec)
    }

    /// Says whether `fd` is closed by exec.
    pub fn set_close_on_exec(&mut self, fd: i32, value: bool) -> Result<(), Errno> {
        let number = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        let entry = self.entries.get_mut(number).and_then(Option::as_mut).ok_or(Errno::EBADF)?;
        entry.is_close_on_exec = value;
        Ok(())
    }

    /// Removes what exec closes.
    #[must_use]
    pub fn take_close_on_exec(&mut self) -> Vec<Arc<OpenFile>> {
        let closing = |entry: &Descriptor| entry.is_close_on_exec;
        let numbers = self.numbers_where(closing);
        numbers.into_iter().filter_map(|number| self.remove(number).ok()).collect()
    }

    /// Removes everything.
    #[must_use]
    pub fn take_all(&mut self) -> Vec<Arc<OpenFile>> {
        self.lowest_free = 0;
        core::mem::take(&mut self.entries).into_iter().flatten().map(|entry| entry.file).collect()
    }

    /// The numbers in use, ascending.
    #[must_use]
    pub fn numbers(&self) -> Vec<i32> {
        self.numbers_where(|_| true)
    }

    fn numbers_where(&self, condition: impl Fn(&Descriptor) -> bool) -> Vec<i32> {
        let is_wanted = |entry: &Option<Descriptor>| entry.as_ref().is_some_and(&condition);
        (0..).zip(&self.entries).filter(|(_, entry)| is_wanted(entry)).map(|(number, _)| number).collect()
    }

    fn entry(&self, fd: i32) -> Result<&Descriptor, Errno> {
        let number = usize::try_from(fd).map_err(|_| Errno::EBADF)?;
        self.entries.get(number).and_then(Option::as_ref).ok_or(Errno::EBADF)
    }

    fn check_limit(&self, number: usize) -> Result<(), Errno> {
        match u32::try_from(number) {
            Ok(number) if number < self.limit => Ok(()),
            _ => Err(Errno::EMFILE),
        }
    }

    fn put(&mut self, number: usize, entry: Descriptor) -> Option<Descriptor> {
        if number >= self.entries.len() {
            self.entries.resize(number + 1, None);
        }
        self.entries[number].replace(entry)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fs::anonymous;
    use crate::fs::inode::FileKind;
    use crate::fs::open::PathOnly;

    fn file() -> Arc<OpenFile> {
        anonymous::open(b"test", FileKind::Fifo, Arc::new(PathOnly), OpenFlags::READ_WRITE)
    }

    #[test]
    fn the_lowest_free_number_is_given() {
        let mut table = DescriptorTable::new(8);
        for expected in 0..4 {
            assert_eq!(table.insert(file(), false, 0), Ok(expected));
        }
        table.remove(1).unwrap();
        table.remove(2).unwrap();
        assert_eq!(table.insert(file(), false, 2), Ok(2));
        assert_eq!(table.insert(file(), false, 0), Ok(1));
        assert_eq!(table.insert(file(), false, 0), Ok(4));
        assert_eq!(table.insert(file(), true, 7), Ok(7));
        assert_eq!(table.insert(file(), false, 7), Err(Errno::EMFILE));
        assert_eq!(table.numbers(), [0, 1, 2, 3, 4, 7]);
        assert_eq!(table.remove(5).err(), Some(Errno::EBADF));
        assert_eq!(table.get(-1).err(), Some(Errno::EBADF));
    }

    #[test]
    fn exec_closes_what_is_marked() {
        let mut table = DescriptorTable::new(8);
        table.insert(file(), false, 0).unwrap();
        table.insert(file(), true, 0).unwrap();
        table.set_close_on_exec(0, true).unwrap();
        table.set_close_on_exec(0, false).unwrap();
        assert_eq!(table.take_close_on_exec().len(), 1);
        assert_eq!(table.numbers(), [0]);
        assert_eq!(table.insert(file(), false, 0), Ok(1));
    }

    #[test]
    fn replacing_returns_what_was_there() {
        let mut table = DescriptorTable::new(8);
        assert!(table.replace(3, file(), false).unwrap().is_none());
        assert!(table.replace(3, file(), true).unwrap().is_some());
        assert_eq!(table.is_close_on_exec(3), Ok(true));
        assert_eq!(table.replace(8, file(), false).err(), Some(Errno::EBADF));
        assert_eq!(table.insert(file(), false, 0), Ok(0));
    }
}
