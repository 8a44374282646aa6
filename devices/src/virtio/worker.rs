//! The half of a device that runs on a device thread.
//!
//! ```text
//!   vCPU thread                              device thread
//!   start(rings) ─┐                       ┌── doorbell n ──► Backend::kicked(n)
//!   stop()       ─┼─► Mutex<Core> ◄───────┼── wake ────────► Backend::woken
//!   wake()       ─┘    rings, backend     └── host fd ─────► Backend::host_event
//! ```
//!
//! Doorbells are attached to the thread once, when the device is put on the bus, and stay: activation and reset only
//! put rings in and take them out, under the lock. After `stop` returns the thread cannot be at work on the rings.
//! A doorbell that rings while there are no rings is read and forgotten.
//!
//! A backend may take the doorbells of one queue on the vCPU's own thread ([`Worker::doorkeeper`]), if the device thread is not at work
//! just then: whoever waits for the answer would only wait for that thread to wake up.

use std::io;
use std::sync::{Arc, Mutex, TryLockError};

use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

use super::device::Doorkeeper;
use super::ring::Rings;
use crate::core::{DeviceThreadHandle, index, lock};

/// Event tag of the wake event; smaller tags are queue numbers.
const WAKE: u32 = 0x1000_0000;
/// First event tag of a backend's own descriptors.
pub(crate) const HOST_EVENTS: u32 = 0x2000_0000;

/// Whether a backend stopped early to let others run, and wants to be called again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// Nothing left to do until the next event.
    Done,
    /// Call again soon.
    More,
}

/// What a device does when something happens. Runs on the device thread, with the worker's lock held.
pub(crate) trait Backend: Send + 'static {
    /// The driver notified `queue`.
    fn kicked(&mut self, queue: usize, rings: &mut Rings, operations: &mut EventOps) -> Turn;

    /// The driver notified `queue`, for which there is a [`Worker::doorkeeper`]. Runs on the vCPU's thread. [`Turn::More`]: the device
    /// thread is to go on.
    fn rung(&mut self, queue: usize, rings: &mut Rings) -> Turn {
        let _ = (queue, rings);
        Turn::More
    }

    /// The rings are new, or [`Worker::wake`] was called.
    fn woken(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let _ = (rings, operations);
        Turn::Done
    }

    /// A descriptor that the backend registered with `tag` is ready; there may be no rings.
    fn host_event(&mut self, tag: u32, rings: &mut Rings, operations: &mut EventOps) {
        let _ = (tag, rings, operations);
    }

    /// The rings are about to go: forget everything that refers to them. Runs on a vCPU thread.
    fn stopped(&mut self) {}
}

struct Core<B> {
    backend: B,
    rings: Option<Rings>,
    kicks: Vec<Arc<EventFd>>,
}

/// A backend with its thread.
pub(crate) struct Worker<B> {
    core: Arc<Mutex<Core<B>>>,
    wake: Arc<EventFd>,
    thread: DeviceThreadHandle,
}

impl<B: Backend> Worker<B> {
    /// A worker for `backend`, to run on `thread`.
    pub(crate) fn new(backend: B, thread: DeviceThreadHandle) -> io::Result<Self> {
        let core = Core { backend, rings: None, kicks: Vec::new() };
        let wake = EventFd::new(EFD_NONBLOCK)?;
        Ok(Self { core: Arc::new(Mutex::new(core)), wake: Arc::new(wake), thread })
    }

    /// Puts the worker on its thread, listening to these doorbells.
    pub(crate) fn attach(&self, kicks: Vec<Arc<EventFd>>) -> io::Result<()> {
        lock(&self.core).kicks = kicks;
        let subscriber = WorkerSubscriber { core: Arc::clone(&self.core), wake: Arc::clone(&self.wake) };
        self.thread.attach(Box::new(subscriber))
    }

    /// Hands the rings to the backend.
    pub(crate) fn start(&self, rings: Rings) -> io::Result<()> {
        lock(&self.core).rings = Some(rings);
        self.wake.write(1)
    }

    /// Takes the rings away. On return the backend is not using them and will not.
    pub(crate) fn stop(&self) {
        let mut core = lock(&self.core);
        core.backend.stopped();
        core.rings = None;
    }

    /// Has [`Backend::rung`] called for the doorbells of `queue`.
    pub(crate) fn doorkeeper(&self, queue: usize) -> Arc<dyn Doorkeeper> {
        Arc::new(OnTheSpot { core: Arc::clone(&self.core), queue })
    }

    /// A handle that makes the thread call [`Backend::woken`].
    pub(crate) fn waker(&self) -> Arc<EventFd> {
        Arc::clone(&self.wake)
    }
}

struct OnTheSpot<B> {
    core: Arc<Mutex<Core<B>>>,
    queue: usize,
}

impl<B: Backend> Doorkeeper for OnTheSpot<B> {
    fn keeps(&self, queue: usize) -> bool {
        queue == self.queue
    }

    fn rung(&self, queue: usize) -> bool {
        let mut core = match self.core.try_lock() {
            Ok(core) => core,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return false,
        };
        let Core { backend, rings, .. } = &mut *core;
        rings.as_mut().is_none_or(|rings| backend.rung(queue, rings) == Turn::Done)
    }
}

struct WorkerSubscriber<B> {
    core: Arc<Mutex<Core<B>>>,
    wake: Arc<EventFd>,
}

impl<B: Backend> MutEventSubscriber for WorkerSubscriber<B> {
    fn process(&mut self, events: Events, operations: &mut EventOps) {
        let mut guard = lock(&self.core);
        let core = &mut *guard;
        let tag = events.data();
        if tag == WAKE {
            drain(&self.wake);
            if let Some(rings) = &mut core.rings
                && core.backend.woken(rings, operations) == Turn::More
            {
                ring(&self.wake);
            }
        } else if tag >= HOST_EVENTS {
            match &mut core.rings {
                Some(rings) => core.backend.host_event(tag, rings, operations),
                None => core.backend.host_event(tag, &mut Rings::default(), operations),
            }
        } else if let Some(kick) = core.kicks.get(index(tag)) {
            drain(kick);
            if let Some(rings) = &mut core.rings
                && core.backend.kicked(index(tag), rings, operations) == Turn::More
            {
                ring(kick);
            }
        }
    }

    fn init(&mut self, operations: &mut EventOps) {
        let core = lock(&self.core);
        let doorbells = core.kicks.iter().zip(0_u32..);
        for (event, tag) in doorbells.chain([(&self.wake, WAKE)]) {
            if let Err(error) = operations.add(Events::with_data(&**event, tag, EventSet::IN)) {
                log::error!("device event {tag:#x} cannot be watched: {error}");
            }
        }
    }
}

/// Resets an event's counter; that it was zero already (somebody else read it) does not matter.
fn drain(event: &EventFd) {
    let _ = event.read();
}

/// Signals an event; it can only fail when the counter is full, and then it is signalled anyway.
fn ring(event: &EventFd) {
    let _ = event.write(1);
}
