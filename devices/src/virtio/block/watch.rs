//! The device thread's part: everything, while there is much to do.
//!
//! ```text
//!   asleep ──(a vCPU says that the disk is busy)──► watching ──(nothing came for a moment)──► asleep
//!                                                    │    ▲
//!                                     under way, and │    │ the host is done with some
//!                                     nothing comes  ▼    │
//!                                                   waiting
//! ```
//!
//! While it watches, the driver is told not to ring. Asleep and waiting, doorbells are exits again, and whoever rings serves.
//!
//! What the page cache has is read at once; for the rest the host's io_uring has as many requests under way as there are. Writes go to the page cache and
//! are done in their turn. Without io_uring it steps back whenever it would have to wait for the disk, so that others are served by who rings.

use std::sync::Arc;
use std::time::{Duration, Instant};

use event_manager::{EventOps, EventSet, Events, MutEventSubscriber};
use septum_host_io::Batch;
use vmm_sys_util::eventfd::EventFd;

use super::Shared;
use super::request::Request;
use crate::core::lock;

/// Requests under way at most: as many as a ring of this device has room for with three descriptors each.
const MOST: u16 = 341;
/// Requests taken before others may be answered.
const TAKEN: usize = 32;
/// How much longer it watches while requests are under way.
const UNDER_WAY: Duration = Duration::from_micros(60);
/// Rounds before the thread looks for other events, its own end among them.
const ROUNDS: usize = 4096;

const KICK: u32 = 0;
const HOST: u32 = 1;

/// The device thread's part of a block device.
pub(super) struct Watch {
    shared: Arc<Shared>,
    kick: Arc<EventFd>,
    /// Where requests are put under way, if the host allows it.
    batch: Option<Box<Batch<Request>>>,
}

impl Watch {
    /// Makes the ring of requests under way, which the device's thread could not: it is confined.
    pub(super) fn new(shared: Arc<Shared>, kick: Arc<EventFd>) -> Self {
        let batch = Batch::new(MOST)
            .inspect_err(|error| log::debug!("the host has no io_uring for disks: {error}"))
            .ok()
            .map(Box::new);
        Self { shared, kick, batch }
    }

    /// Serves until nothing comes for a moment. False if it is to go on.
    fn watch(&mut self) -> bool {
        let mut last = Instant::now();
        let mut has_seen = false;
        lock(&self.shared.state).watch();
        for _ in 0..ROUNDS {
            let has_helped = self.shared.offer.help(&self.shared.disk);
            let (taken, answered) = (self.serve(), self.collect());
            if !lock(&self.shared.state).is_watched {
                return true;
            }
            let now = Instant::now();
            if taken || answered || has_helped {
                (last, has_seen) = (now, true);
                continue;
            }
            // Answers come one after the other while requests are under way.
            let longer = if self.under_way() > 0 { UNDER_WAY } else { Duration::ZERO };
            let mut state = lock(&self.shared.state);
            if now >= state.pace.deadline(last) + longer {
                state.pace.watched(has_seen);
                if !state.leave() {
                    return true;
                }
                state.watch();
                last = now;
            }
            drop(state);
            std::hint::spin_loop();
        }
        false
    }

    fn under_way(&self) -> usize {
        self.batch.as_ref().map_or(0, |batch| batch.under_way())
    }

    /// Serves what there is, as far as it needs no disk, and puts the rest under way. False if there was nothing.
    fn serve(&mut self) -> bool {
        let mut taken = 0;
        while taken < TAKEN {
            let mut state = lock(&self.shared.state);
            if !state.is_watched {
                break;
            }
            let Some((head, request)) = state.pop(&self.shared.disk) else { break };
            let is_write_through = !state.config.is_write_back();
            drop(state);
            taken += 1;
            match request {
                Err(error) => drop(self.shared.give_back(lock(&self.shared.state), head, Err(error))),
                Ok(request) => self.serve_one(request, is_write_through),
            }
        }
        if taken > 0 {
            if let Some(batch) = &mut self.batch
                && let Err(error) = batch.submit()
            {
                log::debug!("io_uring: {error}");
            }
            lock(&self.shared.state).notify();
        }
        taken > 0
    }

    fn serve_one(&mut self, mut request: Request, is_write_through: bool) {
        if !self.shared.at_once(&mut request, false) {
            request = match self.begin(request) {
                Ok(()) => return,
                Err(request) => request,
            };
            request.wait(&self.shared.disk, is_write_through);
        }
        self.answer(request);
    }

    /// Puts a request under way. What cannot be comes back, to be waited for.
    fn begin(&mut self, request: Request) -> Result<(), Request> {
        let Some(batch) = &mut self.batch else {
            // Others are not to wait with this one.
            let mut state = lock(&self.shared.state);
            state.is_serial = true;
            state.leave();
            state.notify();
            return Err(request);
        };
        request.begin(&self.shared.disk, batch)
    }

    fn answer(&self, request: Request) {
        let head = request.head;
        drop(self.shared.give_back(lock(&self.shared.state), head, request.answer()));
    }

    /// Answers what the host is done with. False if that was nothing.
    fn collect(&mut self) -> bool {
        let Some(batch) = &mut self.batch else { return false };
        let mut has_some = false;
        while let Some(done) = batch.take() {
            has_some = true;
            let mut request = Request::ended(done);
            if !request.is_done() {
                request = match request.begin(&self.shared.disk, batch) {
                    Ok(()) => continue,
                    Err(request) => request,
                };
                request.wait(&self.shared.disk, false);
            }
            let head = request.head;
            drop(self.shared.give_back(lock(&self.shared.state), head, request.answer()));
        }
        if has_some {
            if let Err(error) = batch.submit() {
                log::debug!("io_uring: {error}");
            }
            lock(&self.shared.state).notify();
        }
        has_some
    }
}

impl MutEventSubscriber for Watch {
    fn process(&mut self, events: Events, _operations: &mut EventOps) {
        if events.data() == HOST && lock(&self.shared.state).is_crowded {
            self.collect();
            return;
        }
        // That it was zero does not matter.
        let _ = self.kick.read();
        if !self.watch() {
            // It can only fail when it rings already.
            let _ = self.kick.write(1);
        }
    }

    fn init(&mut self, operations: &mut EventOps) {
        if let Err(error) = operations.add(Events::with_data(&*self.kick, KICK, EventSet::IN)) {
            log::error!("the block device's doorbell cannot be watched: {error}");
        }
        let of_batch =
            self.batch.as_deref().map(|batch| operations.add(Events::with_data(batch, HOST, EventSet::IN)));
        if let Some(Err(error)) = of_batch {
            log::debug!("io_uring cannot be watched: {error}");
            self.batch = None;
        }
    }
}
