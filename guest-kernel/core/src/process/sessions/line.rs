//! The line from a terminal of the partition to the host's end of it.
//!
//! The line is the terminal's master: what the host has typed goes through the discipline to programs and becomes signals there, whoever
//! reads or not; what is to be seen goes to the host as soon as it is written, in the writer's own thread. What the host does not take waits in the
//! discipline, and then writers do.

use crate::fs::anonymous;
use crate::fs::descriptors::OpenFile;
use crate::fs::inode::File;
use crate::fs::open::OpenFlags;
use crate::fs::terminal::file_system::slave;
use crate::fs::terminal::{Master, Terminal, jobs};
use crate::io::KernelSource;
use crate::wait::wait_for_any;
use alloc::boxed::Box;
use alloc::sync::Arc;
use core::ops::Range;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::linux::{Errno, signal};
use septum_abi::service::stream as number;
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::service::Channel;
use septum_guest_hal::sync::Mutex;

/// How long the end of the partition waits for a host that does not take what is to be seen, ns.
const PATIENCE_NS: u64 = 10_000_000_000;

struct Typed {
    channel: Channel,
    leftover: Range<usize>,
    /// The host has said that there is more.
    is_ready: bool,
}

struct Shown {
    channel: Channel,
    pending: Range<usize>,
    is_broken: bool,
    is_finished: bool,
    is_closed: bool,
}

/// See above.
pub struct Line {
    session: u32,
    terminal: Arc<Terminal>,
    master: Mutex<Option<Arc<Master>>>,
    typed: Mutex<Typed>,
    shown: Mutex<Shown>,
    /// Programs have to read before more can be typed.
    is_full: AtomicBool,
}

impl Line {
    /// A terminal with its line.
    pub fn new(session: u32, size: [u16; 2]) -> Result<Arc<Self>, Errno> {
        let channel = || Channel::open().ok_or(Errno::ENOMEM);
        let master = Terminal::open_master()?;
        let terminal = Arc::clone(master.terminal());
        terminal.is_unlocked.store(true, Ordering::SeqCst);
        *terminal.size.lock() = [size[0], size[1], 0, 0];
        let line = Arc::new(Self {
            session,
            terminal: Arc::clone(&terminal),
            master: Mutex::new(Some(Arc::new(master))),
            typed: Mutex::new(Typed { channel: channel()?, leftover: 0..0, is_ready: false }),
            shown: Mutex::new(Shown {
                channel: channel()?,
                pending: 0..0,
                is_broken: false,
                is_finished: false,
                is_closed: false,
            }),
            is_full: AtomicBool::new(false),
        });
        let of_terminal = Arc::downgrade(&line);
        terminal.set_watcher(Box::new(move || {
            if let Some(line) = of_terminal.upgrade() {
                line.pump();
            }
        }));
        Ok(line)
    }

    /// The terminal, open for a program that leads session `leader`, whose terminal it becomes.
    pub fn open(&self, leader: u32) -> Result<Arc<OpenFile>, Errno> {
        let file = self.terminal.open_slave()?;
        *self.terminal.owner.lock() = Some((leader, leader));
        jobs::control(leader, &self.terminal);
        let name = alloc::format!("/dev/pts/{}", self.terminal.number);
        let place = anonymous::dentry(name.as_bytes(), slave(self.terminal.number));
        Ok(OpenFile::new(place, file, OpenFlags::READ_WRITE))
    }

    /// The host has more to type, or takes more.
    pub(super) fn ready(&self, stream: u32) {
        if stream == number::INPUT {
            self.typed.lock().is_ready = true;
            self.type_in();
        } else {
            self.show();
            if self.is_over()
                && let Some(session) = super::find(self.session)
            {
                super::forget_if_over(&session);
            }
        }
    }

    /// Something has changed at the terminal.
    fn pump(&self) {
        self.show();
        if self.is_full.swap(false, Ordering::SeqCst) {
            self.type_in();
        }
    }

    /// Types what the host has typed, as far as there is room.
    fn type_in(&self) {
        let Some(master) = self.master.lock().clone() else { return };
        let mut is_at_end = false;
        {
            let mut guard = self.typed.lock();
            let typed = &mut *guard;
            loop {
                if !typed.leftover.is_empty() {
                    let bytes = typed.channel.get(typed.leftover.clone());
                    match master.write_at(0, &mut KernelSource(&bytes)) {
                        Ok(len) => typed.leftover.start += len,
                        Err(_) => {
                            self.is_full.store(true, Ordering::SeqCst);
                            // Somebody may have read before that was said.
                            let is_stuck = master.poll() & crate::fs::inode::poll::OUT == 0;
                            if is_stuck || !self.is_full.swap(false, Ordering::SeqCst) {
                                break;
                            }
                        }
                    }
                } else if typed.is_ready {
                    match typed.channel.read(self.session, number::INPUT, 4096) {
                        Ok(0) => {
                            typed.is_ready = false;
                            is_at_end = true;
                        }
                        Ok(len) => typed.leftover = 0..len,
                        Err(errno) => {
                            typed.is_ready = false;
                            is_at_end = errno != Errno::EAGAIN;
                        }
                    }
                } else {
                    break;
                }
            }
        }
        if is_at_end {
            drop(master);
            self.cut();
        }
    }

    /// Gives the host what is to be seen, as far as it takes it.
    fn show(&self) {
        let mut has_moved = false;
        let mut is_last = false;
        {
            let mut guard = self.shown.lock();
            let shown = &mut *guard;
            loop {
                if shown.pending.is_empty() {
                    let bytes = self.terminal.discipline.lock().see(Channel::MOST);
                    if bytes.is_empty() {
                        break;
                    }
                    has_moved = true;
                    shown.pending = 0..shown.channel.put(&bytes);
                }
                if shown.is_broken {
                    shown.pending = 0..0;
                    continue;
                }
                match shown.channel.write(self.session, number::OUTPUT, shown.pending.clone()) {
                    Ok(0) | Err(Errno::EAGAIN) => break,
                    Ok(len) => shown.pending.start += len,
                    Err(_) => shown.is_broken = true,
                }
            }
            if shown.is_finished
                && shown.pending.is_empty()
                && !core::mem::replace(&mut shown.is_closed, true)
            {
                shown.channel.close(self.session, number::OUTPUT);
                is_last = true;
            }
        }
        if has_moved {
            self.terminal.wake_waiters();
        }
        if is_last {
            self.cut();
        }
    }

    /// Nobody types any more: the terminal is hung up.
    pub(super) fn cut(&self) {
        let master = self.master.lock().take();
        drop(master);
    }

    /// Its program has ended: when all is shown it is closed.
    pub(super) fn finish(&self) {
        self.shown.lock().is_finished = true;
        self.show();
    }

    pub(super) fn is_over(&self) -> bool {
        self.shown.lock().is_closed
    }

    /// Waits until all is shown, or the host has not taken it for too long.
    pub(super) fn drain(&self) {
        let deadline = monotonic_ns() + PATIENCE_NS;
        let is_shown = || {
            self.show();
            let shown = self.shown.lock();
            (shown.pending.is_empty() || shown.is_broken).then_some(())
        };
        let _ = wait_for_any(&[self.terminal.waiters()], Some(deadline), is_shown);
    }

    pub(super) fn resize(&self, rows: u16, columns: u16) {
        let size = [rows, columns, 0, 0];
        let before = core::mem::replace(&mut *self.terminal.size.lock(), size);
        if before != size {
            self.terminal.signal_foreground(signal::SIGWINCH);
        }
    }
}
