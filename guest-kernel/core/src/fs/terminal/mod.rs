//! Terminals: pairs of a master, which a terminal's program has (`script`, an editor, a test), and a slave, which looks like a terminal to others.
//!
//! ```text
//!   /dev/ptmx ──► Master ── typed ──►┐            ┌── read ──► Slave ◄── /dev/pts/N
//!                        ◄── seen ───┤ Discipline ├◄─ written ──
//!                                    └────────────┘
//! ```
//!
//! * [`settings`]: `struct termios`; [`discipline`]: lines, echo, signals; [`jobs`]: sessions and groups; [`packet`]: what masters may be told;
//! * [`file_system`]: what `/dev/pts` shows.
//!
//! A slave can be opened when its master has unlocked it, and as often as one likes. When the last slave is closed the master reads EIO; when the
//! master is closed, slaves read the end and the session is told (SIGHUP).

pub mod discipline;
pub mod file_system;
pub mod jobs;
pub mod packet;
pub mod settings;

use super::inode::{File, InodeRef, poll};
use super::open::OpenFlags;
use crate::io::{Destination, Source};
use crate::wait::WaitQueue;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::{Arc, Weak};
use core::any::Any;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use discipline::Discipline;
use packet::Packets;
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::sync::{Mutex, Once};
use settings::{character, local};

/// Most terminals at once.
const MOST: u32 = 4096;
/// Bytes that are moved at once.
const PIECE: usize = 1024;

/// Terminals by number.
static TERMINALS: Mutex<BTreeMap<u32, Weak<Terminal>>> = Mutex::new(BTreeMap::new());

/// A terminal.
pub struct Terminal {
    /// N of `/dev/pts/N`.
    pub number: u32,
    /// The slave's file.
    pub place: InodeRef,
    /// Its bytes.
    pub discipline: Mutex<Discipline>,
    /// Rows, columns, and two sizes in pixels.
    pub size: Mutex<[u16; 4]>,
    /// Session and foreground group.
    pub owner: Mutex<Option<(u32, u32)>>,
    /// Slaves may be opened (`unlockpt`).
    pub is_unlocked: AtomicBool,
    /// What its master is told besides bytes.
    pub packets: Packets,
    has_master: AtomicBool,
    slaves: AtomicU32,
    had_slave: AtomicBool,
    queue: WaitQueue,
    /// When a reader that waits only for a while gives up; 0: none does.
    gives_up_ns: AtomicU64,
    /// Called after every change, without locks.
    watcher: Once<Box<dyn Fn() + Send + Sync>>,
}

impl Terminal {
    /// A new terminal and its master. ENOSPC if there are too many.
    pub fn open_master() -> Result<Master, Errno> {
        let mut terminals = TERMINALS.lock();
        let number = (0..MOST).find(|number| !terminals.contains_key(number)).ok_or(Errno::ENOSPC)?;
        let terminal = Arc::new(Self {
            number,
            place: file_system::slave(number),
            discipline: Mutex::default(),
            size: Mutex::default(),
            owner: Mutex::default(),
            is_unlocked: AtomicBool::new(false),
            packets: Packets::default(),
            has_master: AtomicBool::new(true),
            slaves: AtomicU32::new(0),
            had_slave: AtomicBool::new(false),
            queue: WaitQueue::new(),
            gives_up_ns: AtomicU64::new(0),
            watcher: Once::new(),
        });
        terminals.insert(number, Arc::downgrade(&terminal));
        Ok(Master { terminal })
    }

    /// The terminal with this number, while its master is open.
    #[must_use]
    pub fn find(number: u32) -> Option<Arc<Self>> {
        let found = TERMINALS.lock().get(&number).and_then(Weak::upgrade);
        found.filter(|terminal| terminal.has_master.load(Ordering::SeqCst))
    }

    /// Numbers of all whose master is open.
    #[must_use]
    pub fn numbers() -> alloc::vec::Vec<u32> {
        TERMINALS.lock().keys().copied().collect()
    }

    /// A slave. EIO if the master is closed or has not unlocked it.
    pub fn open_slave(self: &Arc<Self>) -> Result<Arc<dyn File>, Errno> {
        if !self.has_master.load(Ordering::SeqCst) || !self.is_unlocked.load(Ordering::SeqCst) {
            return Err(Errno::EIO);
        }
        self.slaves.fetch_add(1, Ordering::SeqCst);
        self.had_slave.store(true, Ordering::SeqCst);
        self.queue.wake_all();
        Ok(Arc::new(Slave { terminal: Arc::clone(self) }))
    }

    /// Something has changed: whoever waits looks again.
    pub fn wake(&self) {
        self.queue.wake_all();
        if let Some(watcher) = self.watcher.get() {
            watcher();
        }
    }

    /// Has `watcher` called after every change, by whoever made it; the first one counts.
    pub fn set_watcher(&self, watcher: Box<dyn Fn() + Send + Sync>) {
        self.watcher.call_once(|| watcher);
    }

    /// Makes whoever waits look again, but the watcher.
    pub fn wake_waiters(&self) {
        self.queue.wake_all();
    }

    /// Where those wait that wait for it.
    #[must_use]
    pub fn waiters(&self) -> &WaitQueue {
        &self.queue
    }

    /// Sends a signal to the foreground group.
    pub fn signal_foreground(&self, signal: u32) {
        let owner = *self.owner.lock();
        if let Some((_, group)) = owner {
            jobs::signal_group(group, signal);
        }
    }

    /// Whether there was a slave, and none is open any more.
    fn is_left(&self) -> bool {
        self.had_slave.load(Ordering::SeqCst) && self.slaves.load(Ordering::SeqCst) == 0
    }
}

/// The terminal that `file` is an end of, and whether it is the master's.
#[must_use]
pub fn of(file: &dyn File) -> Option<(&Arc<Terminal>, bool)> {
    let any = file.as_any();
    let master = any.downcast_ref().map(|master: &Master| (&master.terminal, true));
    master.or_else(|| any.downcast_ref().map(|slave: &Slave| (&slave.terminal, false)))
}

/// What `/dev/tty` opens: the terminal that controls the session. ENXIO if none does.
pub fn open_controlling() -> Result<Arc<dyn File>, Errno> {
    jobs::controlling(jobs::current().session).ok_or(Errno::ENXIO)?.open_slave()
}

/// Status flags with which a slave is opened by its master (TIOCGPTPEER).
#[must_use]
pub fn slave_flags(flags: u32) -> OpenFlags {
    OpenFlags::from_bits_truncate(flags)
        & (OpenFlags::WRITE_ONLY | OpenFlags::READ_WRITE | OpenFlags::NON_BLOCKING)
}

/// The master's end.
pub struct Master {
    terminal: Arc<Terminal>,
}

impl Master {
    /// What it is the master of.
    #[must_use]
    pub fn terminal(&self) -> &Arc<Terminal> {
        &self.terminal
    }
}

impl File for Master {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        if to.remaining() == 0 {
            return Ok(0);
        }
        let packets = &self.terminal.packets;
        let is_packet = packets.is_on();
        if let Some(news) = packets.take() {
            return to.put(&[news]);
        }
        let most = (to.remaining() - usize::from(is_packet)).min(PIECE);
        let mut bytes = self.terminal.discipline.lock().see(most);
        let has_bytes = !bytes.is_empty() || most == 0 && self.terminal.discipline.lock().unseen() > 0;
        if !has_bytes {
            return Err(if self.terminal.is_left() { Errno::EIO } else { Errno::EAGAIN });
        }
        if is_packet {
            bytes.insert(0, packet::DATA);
        }
        let len = to.put(&bytes);
        self.terminal.wake();
        len
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        let mut total = 0;
        let mut bytes = [0; PIECE];
        let mut signals = alloc::vec::Vec::new();
        while from.remaining() > 0 {
            // What is taken from the program has to be kept: as much as surely fits.
            let room = {
                let discipline = self.terminal.discipline.lock();
                let has_lines = discipline.settings.has(local::LINES);
                if has_lines { PIECE } else { PIECE.min(4096_usize.saturating_sub(discipline.waiting())) }
            };
            if room == 0 {
                break;
            }
            let len = from.take(&mut bytes[..room.min(from.remaining())])?;
            if len == 0 {
                break;
            }
            let mut discipline = self.terminal.discipline.lock();
            let was_stopped = discipline.is_stopped;
            discipline.type_in(&bytes[..len], |signal| signals.push(signal));
            self.terminal.packets.tell_stop(was_stopped, discipline.is_stopped);
            total += len;
        }
        self.terminal.wake();
        signals.into_iter().for_each(|signal| self.terminal.signal_foreground(signal));
        if total == 0 { Err(Errno::EAGAIN) } else { Ok(total) }
    }

    fn poll(&self) -> u16 {
        let discipline = self.terminal.discipline.lock();
        let has_room = discipline.settings.has(local::LINES) || discipline.waiting() < 4096;
        let mut events = if has_room { poll::OUT } else { 0 };
        if discipline.unseen() > 0 {
            events |= poll::IN;
        }
        if self.terminal.packets.has_news() {
            events |= poll::IN | poll::URGENT;
        }
        if self.terminal.is_left() {
            events |= poll::HUP;
        }
        events
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.terminal.queue)
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.terminal.discipline.lock().unseen())
    }
}

impl Drop for Master {
    fn drop(&mut self) {
        self.terminal.has_master.store(false, Ordering::SeqCst);
        let forgotten = TERMINALS.lock().remove(&self.terminal.number);
        drop(forgotten);
        self.terminal.wake();
        let owner = self.terminal.owner.lock().take();
        if let Some((session, group)) = owner {
            jobs::let_go(session);
            jobs::signal_group(group, signal::SIGHUP);
            jobs::signal_group(group, signal::SIGCONT);
        }
    }
}

/// A slave: what programs take for a terminal.
pub struct Slave {
    terminal: Arc<Terminal>,
}

impl Slave {
    fn is_hung_up(&self) -> bool {
        !self.terminal.has_master.load(Ordering::SeqCst)
    }

    /// What a reader gets that wants no bytes at least (MIN 0): nothing, at once or when its time (TIME) is over.
    fn nothing(&self, tenths: u8) -> Result<usize, Errno> {
        let gives_up = &self.terminal.gives_up_ns;
        let now = monotonic_ns();
        match gives_up.load(Ordering::SeqCst) {
            0 if tenths > 0 => {
                gives_up.store(now + u64::from(tenths) * 100_000_000, Ordering::SeqCst);
                Err(Errno::EAGAIN)
            }
            end if now < end => Err(Errno::EAGAIN),
            _ => {
                gives_up.store(0, Ordering::SeqCst);
                Ok(0)
            }
        }
    }
}

impl File for Slave {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn is_seekable(&self) -> bool {
        false
    }

    fn read_at(&self, _offset: u64, to: &mut dyn Destination) -> Result<usize, Errno> {
        jobs::check_foreground(&self.terminal, signal::SIGTTIN)?;
        let mut discipline = self.terminal.discipline.lock();
        let characters = discipline.settings.characters;
        let is_polling = !discipline.settings.has(local::LINES) && characters[character::LEAST] == 0;
        if discipline.readable().is_none() {
            drop(discipline);
            return match () {
                () if self.is_hung_up() => Ok(0),
                () if is_polling => self.nothing(characters[character::TIME]),
                () => Err(Errno::EAGAIN),
            };
        }
        self.terminal.gives_up_ns.store(0, Ordering::SeqCst);
        let bytes = discipline.read(to.remaining().min(4096));
        drop(discipline);
        self.terminal.wake();
        if bytes.is_empty() { Ok(0) } else { to.put(&bytes) }
    }

    fn write_at(&self, _offset: u64, from: &mut dyn Source) -> Result<usize, Errno> {
        if self.is_hung_up() {
            return Err(Errno::EIO);
        }
        if self.terminal.discipline.lock().settings.has(local::STOPS_OUTPUT) {
            jobs::check_foreground(&self.terminal, signal::SIGTTOU)?;
        }
        let mut total = 0;
        let mut bytes = [0; PIECE];
        while from.remaining() > 0 {
            let room = self.terminal.discipline.lock().output_room().min(PIECE);
            if room == 0 {
                break;
            }
            let len = from.take(&mut bytes[..room.min(from.remaining())])?;
            if len == 0 {
                break;
            }
            self.terminal.discipline.lock().print(&bytes[..len]);
            total += len;
        }
        if total > 0 {
            self.terminal.wake();
        }
        if total == 0 && from.remaining() > 0 { Err(Errno::EAGAIN) } else { Ok(total) }
    }

    fn poll(&self) -> u16 {
        if self.is_hung_up() {
            return poll::IN | poll::OUT | poll::HUP | poll::ERR;
        }
        let discipline = self.terminal.discipline.lock();
        let can_read = if discipline.settings.has(local::LINES) {
            discipline.readable().is_some()
        } else {
            discipline.waiting() > 0
        };
        (if can_read { poll::IN } else { 0 }) | if discipline.output_room() > 0 { poll::OUT } else { 0 }
    }

    fn wait_queue(&self) -> Option<&WaitQueue> {
        Some(&self.terminal.queue)
    }

    fn deadline_ns(&self) -> Option<u64> {
        Some(self.terminal.gives_up_ns.load(Ordering::SeqCst)).filter(|&end| end > 0)
    }

    fn available(&self) -> Result<usize, Errno> {
        Ok(self.terminal.discipline.lock().waiting())
    }
}

impl Drop for Slave {
    fn drop(&mut self) {
        if self.terminal.slaves.fetch_sub(1, Ordering::SeqCst) == 1 {
            // What nobody has read goes with the last one.
            self.terminal.discipline.lock().forget_input();
        }
        self.terminal.wake();
    }
}
