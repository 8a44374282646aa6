//! A split virtqueue (virtio 1.2 section 2.7), as its driver uses it.
//!
//! Its rings lie in one region, as [`RingLayout`] says.
//!
//! A request is a chain of segments: first those the device reads, then those it writes. [`Queue::submit`] puts
//! it into the ring, [`Queue::wait`] returns how many bytes the device wrote. Several requests may be under way, submitted and
//! awaited by different CPUs; the lock is held only while indices move.
//!
//! What is in flight is remembered in private memory ([`Slot`]), never read back from the ring: the device can
//! change the ring at will. A used entry that names no request in flight breaks the queue, and everything on
//! it fails with EIO; one that claims more bytes than fit fails its own request.
//!
//! Of a queue that [wakes owners](Queue::wakes_owners), one waiter at a time looks, the others halt at once ([`owners`]). Else:
//!
//! Interrupts are off (`VIRTQ_AVAIL_F_NO_INTERRUPT`) while nobody sleeps. A waiter first looks a few times, then
//! turns them on, looks once more and halts. They stay on until the last sleeper is awake again, whoever
//! takes its request from the ring meanwhile, so no sleeper is forgotten.

mod owners;

use self::owners::Wakes;
use crate::platform::{self, Line, Region, Registers};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use septum_abi::linux::Errno;
use septum_abi::ready::RingLayout;
use septum_guest_hal::address::PhysAddr;
use septum_guest_hal::sync::Mutex;

const DESCRIPTOR_SIZE: usize = 16;
const NEXT: u64 = 1 << 32;
const WRITE: u64 = 2 << 32;
const NO_INTERRUPT: u16 = 1;
const NO_NOTIFY: u16 = 1;
/// How often a waiter looks at least before it halts (where instructions are slow, this takes long).
const LOOKS: u32 = 16;
/// For how long a waiter looks at least before it halts, in ticks of the time-stamp counter: some 40 µs.
const LOOK_TICKS: u64 = 100_000;
/// End of the free list.
const NONE: u16 = u16::MAX;

/// A piece of memory that a device reads or writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub address: PhysAddr,
    /// Bytes.
    pub len: u32,
}

/// A request under way; to be awaited exactly once.
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a request that nobody awaits never gives its descriptors back"]
pub struct Token(u16);

/// Descriptors set aside for requests that always use the same memory.
#[derive(Debug)]
pub struct Chain {
    head: u16,
    capacity: u32,
}

/// A request could not be submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SubmitError {
    /// Too few free descriptors until others are done.
    Full,
    /// The request is empty or has more segments than the queue has descriptors.
    Size,
    /// The device broke the ring.
    Broken,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Free, or inside of a chain.
    Idle,
    /// Head of a chain that the device has; the number is how many bytes it may write.
    Flying(u32),
    /// Done, with so many bytes written.
    Done(u32),
    /// Done, and the device claims to have written more than fits.
    Overrun,
}

/// What the driver knows of a descriptor.
#[derive(Clone, Copy, Debug)]
struct Slot {
    phase: Phase,
    /// Next in the chain or in the free list.
    next: u16,
    /// Of a head: last of the chain.
    tail: u16,
    /// Of a head: descriptors of the chain, or 0 if they are set aside for ever.
    count: u16,
    /// Of a head: the vCPU that halted until it is done.
    owner: Option<u32>,
}

struct State {
    /// Descriptors used so far; those beyond have never been.
    slots: Vec<Slot>,
    free: u16,
    free_count: u16,
    available: u16,
    used: u16,
    sleepers: u16,
    /// Of those who wait for their own request: who has halted, and who looks.
    owners: u16,
    lookers: u16,
    /// Who is to be woken when the lock is free.
    wakes: Wakes,
    is_broken: bool,
}

/// A virtqueue.
pub struct Queue {
    region: Region,
    size: u16,
    index: u16,
    /// Offset of the used ring in the region.
    used_ring: usize,
    doorbell: Registers,
    line: Line,
    state: Mutex<State>,
    wakes_owners: AtomicBool,
    /// There was an interrupt while somebody had the lock: whoever gives it back looks.
    has_interrupt: AtomicBool,
    /// Written to keep a store before a load (an exchange is a full barrier, and cheap where `mfence` is not available).
    barrier: AtomicU32,
}

impl Queue {
    /// A queue in `region`, which holds at least [`RingLayout::of`] its size, a power of two; `doorbell` is the queue's notification register.
    pub(super) fn new(index: u16, size: u16, region: Region, doorbell: Registers, line: Line) -> Self {
        let state = State {
            slots: Vec::with_capacity(usize::from(size)),
            free: NONE,
            free_count: size,
            available: 0,
            used: 0,
            sleepers: 0,
            owners: 0,
            lookers: 0,
            wakes: Wakes::new(),
            is_broken: false,
        };
        region.write_u16(RingLayout::of(size).available, NO_INTERRUPT);
        let used_ring = RingLayout::of(size).used;
        Self {
            region,
            size,
            index,
            used_ring,
            doorbell,
            line,
            state: Mutex::new(state),
            wakes_owners: AtomicBool::new(false),
            has_interrupt: AtomicBool::new(false),
            barrier: AtomicU32::new(0),
        }
    }

    /// Descriptors: the most segments that a request may have.
    #[must_use]
    pub fn size(&self) -> u16 {
        self.size
    }

    /// Hands the device a request: it reads `output`, then writes `input`.
    ///
    /// The memory must stay the device's until the request is done.
    pub fn submit(&self, output: &[Segment], input: &[Segment]) -> Result<Token, SubmitError> {
        let token = self.submit_quietly(output, input)?;
        self.notify();
        Ok(token)
    }

    /// As [`submit`](Self::submit), waiting for descriptors if there are too few.
    pub fn submit_blocking(&self, output: &[Segment], input: &[Segment]) -> Result<Token, Errno> {
        self.submit_in_company(output, input, false)
    }

    /// As [`submit_blocking`](Self::submit_blocking). If it `rings`, it tells the device also if that is looking: whoever takes the doorbell serves, and
    /// not who looks.
    pub fn submit_in_company(
        &self,
        output: &[Segment],
        input: &[Segment],
        rings: bool,
    ) -> Result<Token, Errno> {
        match self.submit_quietly(output, input) {
            Ok(token) => {
                if rings {
                    self.ring();
                } else {
                    self.notify();
                }
                Ok(token)
            }
            Err(SubmitError::Full) => self.submit_when_free(output, input),
            Err(SubmitError::Size | SubmitError::Broken) => Err(Errno::EIO),
        }
    }

    #[cold]
    fn submit_when_free(&self, output: &[Segment], input: &[Segment]) -> Result<Token, Errno> {
        self.set_sleeping(true);
        let result = self.line.wait_until(|| {
            self.with_state(|state| self.take_used(state));
            match self.submit(output, input) {
                Ok(token) => Some(Ok(token)),
                Err(SubmitError::Full) => None,
                Err(SubmitError::Size | SubmitError::Broken) => Some(Err(Errno::EIO)),
            }
        });
        self.set_sleeping(false);
        result
    }

    /// Puts a request into the ring without telling the device: [`notify`](Self::notify) does, for all of them.
    pub fn submit_quietly(&self, output: &[Segment], input: &[Segment]) -> Result<Token, SubmitError> {
        let count = u16::try_from(output.len() + input.len()).unwrap_or(u16::MAX);
        if count == 0 || count > self.size {
            return Err(SubmitError::Size);
        }
        self.with_state(|state| self.describe_all(state, output, input, count))
    }

    fn describe_all(
        &self,
        state: &mut State,
        output: &[Segment],
        input: &[Segment],
        count: u16,
    ) -> Result<Token, SubmitError> {
        if state.is_broken {
            return Err(SubmitError::Broken);
        }
        if state.free_count < count {
            return Err(SubmitError::Full);
        }
        state.free_count -= count;
        let head = state.take_descriptor();
        let (mut current, mut left, mut capacity) = (head, count, 0u32);
        for segment in output {
            current = self.describe(state, current, segment, 0, &mut left);
        }
        for segment in input {
            capacity = capacity.saturating_add(segment.len);
            current = self.describe(state, current, segment, WRITE, &mut left);
        }
        if let Some(slot) = state.slots.get_mut(usize::from(head)) {
            slot.phase = Phase::Flying(capacity);
            slot.tail = current;
            slot.count = count;
        }
        self.publish(state, head);
        Ok(Token(head))
    }

    /// Makes a chain available to the device.
    fn publish(&self, state: &mut State, head: u16) {
        let position = state.available;
        state.available = position.wrapping_add(1);
        let available = DESCRIPTOR_SIZE * usize::from(self.size);
        self.region.write_u16(available + 4 + 2 * usize::from(position & (self.size - 1)), head);
        self.region.write_u16(available + 2, state.available);
    }

    /// Sets descriptors aside for requests that have the device read from one segment and write to another.
    pub fn reserve(&self, output: &Segment, input: &Segment) -> Result<Chain, SubmitError> {
        self.with_state(|state| {
            if state.free_count < 2 {
                return Err(SubmitError::Full);
            }
            state.free_count -= 2;
            let head = state.take_descriptor();
            let mut left = 2;
            let tail = self.describe(state, head, output, 0, &mut left);
            self.describe(state, tail, input, WRITE, &mut left);
            Ok(Chain { head, capacity: input.len })
        })
    }

    /// As [`submit`](Self::submit), with descriptors set aside, of which none is under way; the device reads `len` bytes of the output.
    pub fn submit_chain(&self, chain: &Chain, len: u32) -> Result<Token, SubmitError> {
        self.with_state(|state| {
            if state.is_broken {
                return Err(SubmitError::Broken);
            }
            self.region.write_u32(DESCRIPTOR_SIZE * usize::from(chain.head) + 8, len);
            if let Some(slot) = state.slots.get_mut(usize::from(chain.head)) {
                slot.phase = Phase::Flying(chain.capacity);
                slot.count = 0;
            }
            self.publish(state, chain.head);
            Ok(())
        })?;
        self.notify();
        Ok(Token(chain.head))
    }

    /// Fills descriptor `current`; returns the one after it, or `current` if it is the last.
    fn describe(
        &self,
        state: &mut State,
        current: u16,
        segment: &Segment,
        flags: u64,
        left: &mut u16,
    ) -> u16 {
        *left -= 1;
        let next = if *left == 0 { None } else { Some(state.take_descriptor()) };
        let link = next.map_or(0, |next| NEXT | u64::from(next) << 48);
        let place = DESCRIPTOR_SIZE * usize::from(current);
        self.region.write_u64(place, segment.address.0);
        self.region.write_u64(place + 8, u64::from(segment.len) | flags | link);
        let Some(next) = next else { return current };
        if let Some(slot) = state.slots.get_mut(usize::from(current)) {
            slot.next = next;
        }
        next
    }

    /// Tells the device that there are requests, unless it is looking anyway.
    pub fn notify(&self) {
        self.barrier.swap(0, Ordering::SeqCst);
        if self.region.read_u16(self.used_ring) & NO_NOTIFY == 0 {
            self.ring();
        }
    }

    fn ring(&self) {
        self.doorbell.write_u16(0, self.index);
    }

    /// Waits until the device is done with a request. Returns how many bytes it wrote; EIO if it broke the rules.
    pub fn wait(&self, token: Token) -> Result<u32, Errno> {
        if self.wakes_owners.load(Ordering::Relaxed) {
            return self.wait_as_owner(&token);
        }
        match self.poll_awhile(&token) {
            Some(result) => result,
            None => self.wait_halting(token),
        }
    }

    /// As [`poll`](Self::poll), looking for a few microseconds.
    pub fn poll_awhile(&self, token: &Token) -> Option<Result<u32, Errno>> {
        let mut looks = 0;
        let start = platform::timestamp();
        loop {
            if let Some(result) = self.poll(token) {
                return Some(result);
            }
            looks += 1;
            if looks >= LOOKS && platform::timestamp().wrapping_sub(start) >= LOOK_TICKS {
                return None;
            }
            core::hint::spin_loop();
        }
    }

    /// As [`wait`](Self::wait), for what may take long: halts at once.
    #[expect(clippy::needless_pass_by_value, reason = "a token is used up by waiting")]
    pub fn wait_halting(&self, token: Token) -> Result<u32, Errno> {
        let mut is_armed = false;
        let result = self.line.wait_until(|| {
            if let Some(result) = self.poll(&token) {
                return Some(result);
            }
            if is_armed {
                return None;
            }
            is_armed = true;
            self.set_sleeping(true);
            self.poll(&token)
        });
        if is_armed {
            self.set_sleeping(false);
        }
        result
    }

    /// Whether a request is done, and if so, what [`wait`](Self::wait) would return. Must not be asked again after that.
    pub fn poll(&self, token: &Token) -> Option<Result<u32, Errno>> {
        self.with_state(|state| {
            self.take_used(state);
            state.finish(token)
        })
    }

    /// Whether the device has returned something that nobody has looked at.
    #[must_use]
    pub fn has_news(&self) -> bool {
        let used = self.with_state(|state| state.used);
        self.region.read_u16(self.used_ring + 2) != used
    }

    /// Counts who sleeps: the device interrupts while somebody does.
    ///
    /// For those who sleep elsewhere, until something that they [`poll`](Self::poll) for is done.
    pub fn set_sleeping(&self, is_sleeping: bool) {
        self.with_state(|state| {
            state.sleepers = if is_sleeping { state.sleepers + 1 } else { state.sleepers.saturating_sub(1) };
            self.set_interrupts(state);
        });
    }

    /// Interrupts are on while somebody sleeps whom nobody else would wake.
    fn set_interrupts(&self, state: &State) {
        let are_on = state.sleepers > 0 || state.owners > 0 && state.lookers == 0;
        let flags = if are_on { 0 } else { NO_INTERRUPT };
        self.region.write_u16(DESCRIPTOR_SIZE * usize::from(self.size), flags);
        self.barrier.swap(0, Ordering::SeqCst);
    }

    /// Takes what the device returned from the used ring.
    fn take_used(&self, state: &mut State) {
        let ring = self.used_ring;
        let index = self.region.read_u16(ring + 2);
        if index == state.used || state.is_broken {
            return;
        }
        if index.wrapping_sub(state.used) > self.size {
            return state.break_down();
        }
        while state.used != index {
            let entry = self.region.read_u64(ring + 4 + 8 * usize::from(state.used & (self.size - 1)));
            state.used = state.used.wrapping_add(1);
            if state.complete(entry).is_none() {
                return state.break_down();
            }
        }
    }
}

impl State {
    /// A free descriptor; the caller has made sure that there is one.
    fn take_descriptor(&mut self) -> u16 {
        if let Some(slot) = self.slots.get(usize::from(self.free)) {
            return core::mem::replace(&mut self.free, slot.next);
        }
        let fresh = u16::try_from(self.slots.len()).unwrap_or(NONE);
        self.slots.push(Slot { phase: Phase::Idle, next: NONE, tail: NONE, count: 0, owner: None });
        fresh
    }

    /// The device broke the rules: everybody's request fails.
    fn break_down(&mut self) {
        self.is_broken = true;
        let Self { slots, wakes, .. } = self;
        slots.iter_mut().filter_map(|slot| slot.owner.take()).for_each(|owner| wakes.add(owner));
    }

    /// Notes what a used entry says; `None` if it names no request in flight.
    fn complete(&mut self, entry: u64) -> Option<()> {
        let head = usize::try_from(entry & 0xffff_ffff).ok()?;
        let len = u32::try_from(entry >> 32).ok()?;
        let slot = self.slots.get_mut(head)?;
        let Phase::Flying(capacity) = slot.phase else { return None };
        slot.phase = if len <= capacity { Phase::Done(len) } else { Phase::Overrun };
        if let Some(owner) = slot.owner.take() {
            self.wakes.add(owner);
        }
        let Slot { next, tail, count, .. } = *slot;
        if count > 1 {
            self.free_count += count - 1;
            let free = core::mem::replace(&mut self.free, next);
            self.slots.get_mut(usize::from(tail))?.next = free;
        }
        Some(())
    }

    /// The result of a request that is done; its head is free then, as the rest of the chain already is.
    fn finish(&mut self, token: &Token) -> Option<Result<u32, Errno>> {
        let slot = self.slots.get_mut(usize::from(token.0))?;
        let result = match slot.phase {
            Phase::Done(len) => Ok(len),
            Phase::Overrun => Err(Errno::EIO),
            // Its descriptors stay in use for ever: nobody knows what the device still does with them.
            _ if self.is_broken => return Some(Err(Errno::EIO)),
            Phase::Idle | Phase::Flying(_) => return None,
        };
        slot.phase = Phase::Idle;
        if slot.count > 0 {
            slot.next = core::mem::replace(&mut self.free, token.0);
            self.free_count += 1;
        }
        Some(result)
    }
}

#[cfg(test)]
mod tests;
