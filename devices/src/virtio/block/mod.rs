//! Block device (virtio 1.2 section 5.2): a file or a device of the host as a disk.
//!
//! ```text
//!   vCPU threads ──ring──► Shared ── pop ──► Request ── host's file, no lock held ── push ──► used ring
//!   device thread ─watch──►   as above, for everything that it finds; what the host must fetch is under way by io_uring
//! ```
//!
//! Who serves (decisions 0022 and 0030):
//!
//! - **Whoever rings**, as a rule: a thread of the guest waits for its request, so its vCPU's thread is free to make the host's system call. Requests
//!   are only taken and given back with the lock held. So it is with many threads that each wait for one, which ring although somebody watches:
//!   the device thread steps back.
//! - **The device thread** ([`watch`]) where one asks again and again: it watches the ring, so that requests cost no exits; and where several requests are
//!   there at one doorbell.
//! - **Both**, where a read is [`long`]: its driver rings although somebody watches.

mod config;
mod disk;
mod long;
mod ranges;
mod request;
mod watch;

pub use disk::Disk;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock};

use septum_abi::block::feature::{CONFIG_WCE, FLUSH};
use vmm_sys_util::eventfd::EventFd;

use self::config::Config;
use self::long::Offer;
use self::request::Request;
use self::watch::Watch;
use super::chain::ChainError;
use super::device::{
    ActivateError, ActivationContext, Attachment, Doorkeeper, VirtioDevice, read_config_bytes,
};
use super::device_type;
use super::ring::{Chain, Ring};
use crate::core::{DeviceThreadHandle, Pace, lock, spin_limit};

const QUEUE: usize = 0;
const QUEUE_SIZES: [u16; 1] = [1024];

/// Requests that a vCPU's thread serves before it goes back to its own: others may have made more meanwhile.
const SHARE: usize = 4;

/// Doorbells that found nobody else at work, until it is believed that only one asks: most requests are short, and few of them meet.
const ALONE: u32 = 256;

/// A block device.
pub struct Block {
    shared: Arc<Shared>,
    thread: DeviceThreadHandle,
}

impl Block {
    /// A block device for `disk`. Where there is much to do it is done on `thread`, which may be at it for long: it serves no other device.
    #[must_use]
    pub fn new(disk: Disk, thread: DeviceThreadHandle) -> Self {
        let state = State {
            ring: None,
            in_flight: 0,
            by_who_rang: 0,
            is_crowded: false,
            alone: 0,
            is_watched: false,
            is_serial: false,
            pace: Pace::new(spin_limit()),
            config: Config::of(&disk),
        };
        Self {
            shared: Arc::new(Shared {
                disk,
                state: Mutex::new(state),
                idle: Condvar::new(),
                offer: Offer::default(),
                helper: OnceLock::new(),
            }),
            thread,
        }
    }
}

impl VirtioDevice for Block {
    fn device_type(&self) -> u16 {
        device_type::BLOCK
    }

    fn name(&self) -> &'static str {
        "virtio-block"
    }

    fn features(&self) -> u64 {
        config::features(&self.shared.disk)
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        read_config_bytes(&lock(&self.shared.state).config.bytes(), offset, data);
    }

    fn write_config(&mut self, offset: u64, data: &[u8]) {
        lock(&self.shared.state).config.write(offset, data);
    }

    fn doorkeeper(&self) -> Option<Arc<dyn Doorkeeper>> {
        Some(Arc::clone(&self.shared) as Arc<dyn Doorkeeper>)
    }

    fn attach(&mut self, attachment: Attachment) -> io::Result<()> {
        let kick = attachment.kicks.into_iter().next().ok_or_else(|| io::Error::other("no doorbell"))?;
        // Attached once.
        let _ = self.shared.helper.set(Arc::clone(&kick));
        self.thread.attach(Box::new(Watch::new(Arc::clone(&self.shared), kick)))
    }

    fn activate(&mut self, mut context: ActivationContext) -> Result<(), ActivateError> {
        let ring = context.rings.take(QUEUE).ok_or(ActivateError::MissingQueue(QUEUE))?;
        let mut state = lock(&self.shared.state);
        state.config.start(context.features & FLUSH != 0, context.features & CONFIG_WCE != 0);
        state.ring = Some(ring);
        state.is_watched = false;
        Ok(())
    }

    fn reset(&mut self) {
        let mut state = lock(&self.shared.state);
        state.ring = None;
        while state.in_flight > 0 {
            state = match self.shared.idle.wait(state) {
                Ok(state) => state,
                Err(poisoned) => poisoned.into_inner(),
            };
        }
    }
}

struct State {
    ring: Option<Ring>,
    /// Requests that threads are at work on, or the host is.
    in_flight: usize,
    /// Of them those that vCPUs' threads are at work on.
    by_who_rang: usize,
    /// Several vCPUs ask, each for itself: they are served by their own threads.
    is_crowded: bool,
    /// How many doorbells in a row found no vCPU's thread at work.
    alone: u32,
    /// The device thread sees what comes: nobody has to ring.
    is_watched: bool,
    /// The device thread can only have one request under way.
    is_serial: bool,
    pace: Pace,
    config: Config,
}

impl State {
    /// The device thread watches: the driver need not ring.
    fn watch(&mut self) {
        if let Some(ring) = &mut self.ring
            && !self.is_watched
        {
            ring.disarm();
            self.is_watched = true;
        }
    }

    /// It does not any more. True if there is something already, for which nobody will ring.
    fn leave(&mut self) -> bool {
        self.is_watched = false;
        self.ring.as_mut().is_some_and(Ring::arm)
    }

    /// Interrupts the driver about what was given back, if it wants that.
    fn notify(&mut self) {
        if let Some(ring) = &mut self.ring {
            ring.notify();
        }
    }

    /// Whether the device thread should watch: one asks again and again.
    fn is_busy(&self) -> bool {
        !self.is_watched && !self.is_crowded && self.pace.is_quick() && self.by_who_rang == 0
    }

    /// Whether the device thread is better at it than a vCPU's own: it can have several under way.
    fn is_for_the_thread(&self) -> bool {
        let available = self.ring.as_ref().map_or(0, Ring::available);
        let has_company = available > 1 || self.in_flight > self.by_who_rang;
        has_company && !self.is_watched && !self.is_crowded && !self.is_serial
    }

    /// A doorbell was rung; who watches may have to step back.
    fn note_company(&mut self) {
        self.alone = if self.by_who_rang > 0 { 0 } else { self.alone.saturating_add(1) };
        if self.by_who_rang > 0 {
            self.is_crowded = true;
            if self.is_watched {
                self.leave();
            }
        } else if self.alone >= ALONE {
            self.is_crowded = false;
        }
    }

    /// Takes the next request.
    fn pop(&mut self, disk: &Disk) -> Option<(u16, Result<Request, ChainError>)> {
        let chain: Chain = self.ring.as_mut()?.pop()?;
        self.in_flight += 1;
        let (head, memory) = (chain.head_index(), self.ring.as_ref()?.memory());
        Some((head, Request::parse(disk, chain, memory)))
    }
}

/// What vCPU threads and the device thread share.
struct Shared {
    disk: Disk,
    state: Mutex<State>,
    /// Nothing is in flight any more.
    idle: Condvar,
    /// A long read that a second thread may help with.
    offer: Offer,
    /// Wakes the device thread.
    helper: OnceLock<Arc<EventFd>>,
}

impl Shared {
    /// Does what can be done without waiting for a disk, a long read together with another thread, which is woken if it `sleeps`. True if that was all.
    fn at_once(&self, request: &mut Request, sleeps: bool) -> bool {
        if let Some((buffers, offset)) = request.long_read() {
            let copied = self.offer.copy(&self.disk, buffers, offset, || {
                if let Some(helper) = self.helper.get().filter(|_| sleeps) {
                    // It can only fail when it rings already.
                    let _ = helper.write(1);
                }
            });
            if request.advance(copied) {
                return true;
            }
        }
        request.at_once(&self.disk)
    }

    /// Serves a request as long as it takes.
    fn serve<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        head: u16,
        request: Result<Request, ChainError>,
    ) -> MutexGuard<'a, State> {
        let is_write_through = !state.config.is_write_back();
        state.by_who_rang += 1;
        drop(state);
        let result = request.and_then(|mut request| {
            if !self.at_once(&mut request, true) {
                request.wait(&self.disk, is_write_through);
            }
            request.answer()
        });
        let mut state = self.give_back(lock(&self.state), head, result);
        state.by_who_rang -= 1;
        state.notify();
        state.pace.served();
        state
    }

    /// Answers a request, whose driver is told with the next [`Ring::notify`].
    fn give_back<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        head: u16,
        result: Result<u32, ChainError>,
    ) -> MutexGuard<'a, State> {
        state.in_flight -= 1;
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
        // A ring that was reset meanwhile is gone: its buffers are the driver's again.
        if let Some(ring) = &mut state.ring {
            match result {
                Ok(written) => ring.push(head, written),
                Err(error) => ring.reject(head, error.describe()),
            }
        }
        state
    }
}

impl Doorkeeper for Shared {
    fn keeps(&self, queue: usize) -> bool {
        queue == QUEUE
    }

    fn rung(&self, _queue: usize) -> bool {
        self.offer.help(&self.disk);
        let mut state = lock(&self.state);
        state.pace.rung();
        state.note_company();
        for _ in 0..SHARE {
            if state.is_for_the_thread() {
                return false;
            }
            let request = state.pop(&self.disk);
            // Who watches will see the next one.
            let has_more = !state.is_watched && state.ring.as_mut().is_some_and(Ring::arm);
            match request {
                None if has_more => {}
                None => return true,
                Some((head, request)) => {
                    state = self.serve(state, head, request);
                    if !has_more {
                        return !state.is_busy();
                    }
                }
            }
        }
        false
    }
}
