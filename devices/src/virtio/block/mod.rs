//! Block device (virtio 1.2 section 5.2): a file or a device of the host as a disk.
//!
//! ```text
//!   vCPU threads ──ring──► Shared ── pop ──► request::serve (no lock: the host's file does its own) ── push ──► used ring
//!   device thread ──event──► what was left over when a vCPU had done its share
//! ```
//!
//! Whoever rings serves (decision 0022): a thread of the guest waits for its request, so its vCPU's thread is free to make the
//! host's system call, and as many are under way as there are threads that wait. Requests are only taken and given back
//! with the lock held.

mod config;
mod disk;
mod request;

pub use disk::Disk;

use std::io;
use std::sync::{Arc, Condvar, Mutex, MutexGuard};

use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use vmm_sys_util::eventfd::EventFd;

use septum_abi::block::feature::{CONFIG_WCE, FLUSH};

use self::config::Config;
use super::device::{
    ActivateError, ActivationContext, Attachment, Doorkeeper, VirtioDevice, read_config_bytes,
};
use super::device_type;
use super::ring::{Chain, Ring};
use crate::core::{DeviceThreadHandle, lock};

const QUEUE: usize = 0;
const QUEUE_SIZES: [u16; 1] = [1024];

/// Requests that a vCPU's thread serves before it goes back to its own: others may have made more meanwhile.
const SHARE: usize = 4;

/// A block device.
pub struct Block {
    shared: Arc<Shared>,
    thread: DeviceThreadHandle,
}

impl Block {
    /// A block device for `disk`. What the vCPUs leave is done on `thread`, which waits for the disk: it serves no other kind of
    /// device.
    #[must_use]
    pub fn new(disk: Disk, thread: DeviceThreadHandle) -> Self {
        let state = State { ring: None, in_flight: 0, config: Config::of(&disk) };
        Self { shared: Arc::new(Shared { disk, state: Mutex::new(state), idle: Condvar::new() }), thread }
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
        self.thread.attach(Box::new(Leftovers { shared: Arc::clone(&self.shared), kick }))
    }

    fn activate(&mut self, mut context: ActivationContext) -> Result<(), ActivateError> {
        let ring = context.rings.take(QUEUE).ok_or(ActivateError::MissingQueue(QUEUE))?;
        let mut state = lock(&self.shared.state);
        state.config.start(context.features & FLUSH != 0, context.features & CONFIG_WCE != 0);
        state.ring = Some(ring);
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
    /// Requests that threads are at work on.
    in_flight: usize,
    config: Config,
}

struct Shared {
    disk: Disk,
    state: Mutex<State>,
    /// Nothing is in flight any more.
    idle: Condvar,
}

impl Shared {
    /// Serves the next request. False if there is none.
    fn serve_one(&self) -> bool {
        let mut state = lock(&self.state);
        let Some(chain) = state.ring.as_mut().and_then(next) else { return false };
        let is_write_through = !state.config.is_write_back();
        state.in_flight += 1;
        drop(state);
        let result = request::serve(&self.disk, &chain, is_write_through);
        self.give_back(lock(&self.state), |ring| {
            match result {
                Ok(written) => ring.push(chain.head_index(), written),
                Err(error) => ring.reject(chain.head_index(), error.describe()),
            }
            ring.notify();
        });
        true
    }

    fn give_back(&self, mut state: MutexGuard<'_, State>, give: impl FnOnce(&mut Ring)) {
        state.in_flight -= 1;
        if state.in_flight == 0 {
            self.idle.notify_all();
        }
        // A ring that was reset meanwhile is gone: its buffers are the driver's again.
        if let Some(ring) = &mut state.ring {
            give(ring);
        }
    }

    fn has_more(&self) -> bool {
        lock(&self.state).ring.as_ref().is_some_and(Ring::has_available)
    }
}

/// Takes the next request and asks to be told of the one after it: another thread may make it while this one is served.
fn next(ring: &mut Ring) -> Option<Chain> {
    loop {
        let chain = ring.pop();
        let has_more = ring.arm();
        if chain.is_some() || !has_more {
            return chain;
        }
    }
}

impl Doorkeeper for Shared {
    fn keeps(&self, queue: usize) -> bool {
        queue == QUEUE
    }

    fn rung(&self, _queue: usize) -> bool {
        (0..SHARE).any(|_| !self.serve_one()) || !self.has_more()
    }
}

/// The device thread's part.
struct Leftovers {
    shared: Arc<Shared>,
    kick: Arc<EventFd>,
}

impl MutEventSubscriber for Leftovers {
    fn process(&mut self, _events: Events, _operations: &mut EventOps) {
        // That it was zero does not matter.
        let _ = self.kick.read();
        while self.shared.serve_one() {}
    }

    fn init(&mut self, operations: &mut EventOps) {
        if let Err(error) = operations.add(Events::new(&*self.kick, EventSet::IN)) {
            log::error!("the block device's doorbell cannot be watched: {error}");
        }
    }
}
