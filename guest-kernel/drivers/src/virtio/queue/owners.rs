//! Waiting for a request of one's own, where each waiter is woken by name.
//!
//! ```text
//!   looker    one of those who wait watches the used ring for a moment, and notes what is done for all of them
//!   owners    the others halt, each noted in its request; whoever finds that it is done wakes them
//!   nobody looks and somebody has halted: the device interrupts, and the first vCPU looks
//! ```
//!
//! Whoever stops looking turns the interrupts on if others have halted, and looks once more: nothing that is done in between is missed. An interrupt that
//! comes while somebody has the lock leaves a note for it ([`Queue::interrupted`]), since the first vCPU may be anywhere and must not wait.

use super::{LOOK_TICKS, LOOKS, Phase, Queue, State, Token};
use crate::platform;
use core::sync::atomic::Ordering;
use septum_abi::linux::Errno;

/// vCPUs that are noted at once; more are woken with the lock held.
const MOST: usize = 16;

/// vCPUs to wake.
pub(super) struct Wakes {
    numbers: [u32; MOST],
    count: usize,
}

impl Wakes {
    pub(super) fn new() -> Self {
        Self { numbers: [0; MOST], count: 0 }
    }

    pub(super) fn add(&mut self, number: u32) {
        match self.numbers.get_mut(self.count) {
            Some(place) => {
                *place = number;
                self.count += 1;
            }
            None => platform::unpark(number),
        }
    }

    fn take(&mut self) -> Option<Self> {
        (self.count > 0).then(|| core::mem::replace(self, Self::new()))
    }

    fn wake(&self) {
        self.numbers.iter().take(self.count).for_each(|&number| platform::unpark(number));
    }
}

impl Queue {
    /// From now on whoever waits for a request is woken by name. Somebody calls [`interrupted`](Self::interrupted) after each interrupt.
    pub fn wake_owners(&self) {
        self.wakes_owners.store(true, Ordering::Relaxed);
    }

    /// Works on the state; wakes who is to be woken, and looks if there was an interrupt meanwhile.
    pub(super) fn with_state<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        let mut state = self.state.lock();
        let result = work(&mut state);
        let wakes = state.wakes.take();
        drop(state);
        if let Some(wakes) = wakes {
            wakes.wake();
        }
        if self.has_interrupt.load(Ordering::SeqCst) {
            self.look();
        }
        result
    }

    /// After an interrupt: wakes those whose requests are done. Does not wait.
    pub fn interrupted(&self) {
        self.has_interrupt.store(true, Ordering::SeqCst);
        self.look();
    }

    /// Whoever has the lock sees the note when it gives it back; else there is nobody, and it is looked at here.
    fn look(&self) {
        while self.has_interrupt.load(Ordering::SeqCst) {
            let Some(mut state) = self.state.try_lock() else { return };
            self.has_interrupt.store(false, Ordering::SeqCst);
            self.take_used(&mut state);
            let wakes = state.wakes.take();
            drop(state);
            if let Some(wakes) = wakes {
                wakes.wake();
            }
        }
    }

    /// Waits until the device is done with a request, as [`wait`](Self::wait).
    pub(super) fn wait_as_owner(&self, token: &Token) -> Result<u32, Errno> {
        let (mut result, is_looker) = self.with_state(|state| {
            self.take_used(state);
            let result = state.finish(token);
            let is_looker = result.is_none() && state.lookers == 0;
            if is_looker {
                state.lookers = 1;
                self.set_interrupts(state);
            }
            (result, is_looker)
        });
        if is_looker {
            result = self.look_awhile(token);
        }
        match result {
            Some(result) => result,
            None => self.halt(token, is_looker),
        }
    }

    /// Watches the ring for a moment. If the request is done, this is no looker any more.
    fn look_awhile(&self, token: &Token) -> Option<Result<u32, Errno>> {
        let start = platform::timestamp();
        let (mut seen, mut looks) = (None, 0);
        loop {
            let index = self.region.read_u16(self.used_ring + 2);
            if seen != Some(index) {
                seen = Some(index);
                let result = self.with_state(|state| {
                    self.take_used(state);
                    let result = state.finish(token);
                    if result.is_some() {
                        self.stop_looking(state);
                    }
                    result
                });
                if result.is_some() {
                    return result;
                }
            }
            looks += 1;
            if looks >= LOOKS && platform::timestamp().wrapping_sub(start) >= LOOK_TICKS {
                return None;
            }
            core::hint::spin_loop();
        }
    }

    fn stop_looking(&self, state: &mut State) {
        state.lookers = state.lookers.saturating_sub(1);
        if state.owners > 0 {
            self.set_interrupts(state);
            self.take_used(state);
        }
    }

    /// Halts until the request is done.
    fn halt(&self, token: &Token, was_looker: bool) -> Result<u32, Errno> {
        let mut is_noted = false;
        platform::wait_by_name(|own| {
            self.with_state(|state| {
                if !is_noted {
                    is_noted = true;
                    state.owners += 1;
                    if was_looker {
                        state.lookers = state.lookers.saturating_sub(1);
                    }
                    self.set_interrupts(state);
                }
                self.take_used(state);
                let result = state.finish(token);
                if result.is_some() {
                    state.owners = state.owners.saturating_sub(1);
                    if state.owners == 0 {
                        self.set_interrupts(state);
                    }
                } else if let Some(slot) = state.slots.get_mut(usize::from(token.0))
                    && matches!(slot.phase, Phase::Flying(_))
                {
                    slot.owner = Some(own);
                }
                result
            })
        })
    }
}
