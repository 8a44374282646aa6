//! Files in the host's own page cache: the window (virtio 1.2 section 5.11.6.2).
//!
//! ```text
//! first mapping of a file ──► large, or opened for writing?  no ──► its pages are cached here (pages)
//!                                  │ yes
//! page that is mapped nowhere ──► SETUPMAPPING of units of 2 MiB from it on, more the further a program goes
//!                                  ▼
//!                             frames of the window: what the host and everybody else reads and writes
//! ```
//!
//! What was decided at the first mapping stays. Of a file in the window nothing is cached here, so `read` and `write` and its
//! mappings agree: all of them use the host's pages. If the window is full of what is mapped, or the host cannot map the
//! file, pages are cached here after all.
//!
//! A file's units are given back when nobody has it open or mapped any more, and taken from files whose units nobody
//! maps when there are no others.

use super::fuse::{self, Opcode};
use super::node::Node;
use super::session::Data;
use super::volume::Volume;
use crate::pci::Place;
use crate::virtio::transport::shared_memory;
use alloc::boxed::Box;
use alloc::collections::BTreeMap;
use alloc::sync::Weak;
use alloc::vec::Vec;
use core::sync::atomic::{AtomicU8, Ordering};
use septum_abi::layout::{FILE_WINDOW, FILE_WINDOW_UNIT, PAGE_SIZE};
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::frame::large::LargeFrame;
use septum_guest_hal::frame::window::{UNITS, Unit};
use septum_guest_hal::sync::{Mutex, Once};

/// Files below are cached here. A window costs some milliseconds once, and where the host has a file in small pieces each
/// page costs as much as an exit; with 32 MiB that is still more than reading them.
const LEAST_SIZE: u64 = 64 << 20;
/// Units that are mapped together at most.
const MOST_AHEAD: u64 = 16;
/// Pages of a unit.
const PAGES: u64 = FILE_WINDOW_UNIT / PAGE_SIZE as u64;

/// FUSE_SETUPMAPPING: writable.
const WRITABLE: u64 = 1 << 0;
/// FUSE_SETUPMAPPING: readable.
const READABLE: u64 = 1 << 1;

/// The window of a connection.
pub struct Window {
    /// Whose shared memory it is.
    place: Option<Place>,
    /// Looked for when it is first needed: that costs register accesses.
    units: Once<usize>,
    free: Mutex<Free>,
    /// Files that have units.
    users: Mutex<Vec<Weak<Node>>>,
}

#[derive(Default)]
struct Free {
    /// Units from here on were never used.
    next: usize,
    /// Those before that are free again.
    returned: Vec<usize>,
}

/// How a file's pages are mapped.
#[derive(Debug, Default)]
pub struct Manner(AtomicU8);

const UNDECIDED: u8 = 0;
const CACHED: u8 = 1;
const WINDOWED: u8 = 2;

impl Manner {
    /// They are frames of the window.
    pub fn is_windowed(&self) -> bool {
        self.0.load(Ordering::Acquire) == WINDOWED
    }

    /// They are cached here.
    pub fn is_cached(&self) -> bool {
        self.0.load(Ordering::Acquire) == CACHED
    }
}

/// The units that a file has, by their number in the file.
#[derive(Default)]
pub struct Units(Option<Box<Mapped>>);

#[derive(Default)]
struct Mapped {
    units: BTreeMap<u64, MappedUnit>,
    /// How many to map the next time, if it is where the last time ended.
    ahead: u64,
    last_end: u64,
}

struct MappedUnit {
    unit: Unit,
    is_writable: bool,
}

/// What is to be done for a unit of a file.
enum Plan {
    /// It is there.
    Nothing,
    /// It is there, at this place of the window, but can only be read.
    Upgrade(usize),
    /// So many are to be mapped from it on; none was before.
    Map { wanted: usize, is_first: bool },
}

impl Units {
    fn plan(&mut self, number: u64, size: u64, is_for_writing: bool) -> Plan {
        let is_first = self.0.is_none();
        let mapped = self.0.get_or_insert_default();
        match mapped.units.get(&number) {
            Some(known) if known.is_writable || !is_for_writing => return Plan::Nothing,
            Some(known) => return Plan::Upgrade(known.unit.index()),
            None => {}
        }
        mapped.ahead = if mapped.last_end == number { (mapped.ahead * 2).clamp(1, MOST_AHEAD) } else { 1 };
        let next = mapped.units.range(number..).next().map_or(u64::MAX, |(next, _)| *next);
        let end = size.div_ceil(FILE_WINDOW_UNIT).min(next);
        let wanted = mapped.ahead.min(end.saturating_sub(number)).max(1);
        Plan::Map { wanted: usize::try_from(wanted).unwrap_or(1), is_first }
    }

    fn insert(&mut self, number: u64, unit: Unit, is_writable: bool) {
        let mapped = self.0.get_or_insert_default();
        mapped.units.insert(number, MappedUnit { unit, is_writable });
        mapped.last_end = number + 1;
    }

    fn set_writable(&mut self, number: u64) {
        if let Some(known) = self.0.as_mut().and_then(|mapped| mapped.units.get_mut(&number)) {
            known.is_writable = true;
        }
    }

    fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|mapped| mapped.units.is_empty())
    }

    fn get(&self, number: u64, is_for_writing: bool) -> Option<&Unit> {
        let mapped = self.0.as_ref()?.units.get(&number)?;
        (mapped.is_writable || !is_for_writing).then_some(&mapped.unit)
    }
}

impl Window {
    /// The shared memory of the device at `place`, if it has any.
    pub fn new(place: Option<Place>) -> Self {
        Self { place, units: Once::new(), free: Mutex::default(), users: Mutex::default() }
    }

    /// How many units there are.
    fn units(&self) -> usize {
        *self.units.call_once(|| {
            let place = self.place.and_then(Place::function).and_then(|function| shared_memory(&function));
            // The kernel counts on where it is.
            let place = place.filter(|place| place.start.0 == FILE_WINDOW.start);
            place.map_or(0, |place| usize::try_from(place.len / FILE_WINDOW_UNIT).unwrap_or(0).min(UNITS))
        })
    }

    /// Up to `wanted` neighbouring units, at least one. `None` if there are none left.
    fn take(&self, wanted: usize) -> Option<core::ops::Range<usize>> {
        let mut free = self.free.lock();
        let left = self.units().saturating_sub(free.next);
        if left > 0 {
            let start = free.next;
            free.next += wanted.min(left);
            return Some(start..free.next);
        }
        free.returned.pop().map(|unit| unit..unit + 1)
    }

    fn give_back(&self, unit: usize) {
        self.free.lock().returned.push(unit);
    }

    /// Takes from files the units that nobody maps.
    fn reclaim(&self) {
        let users: Vec<_> = {
            let mut users = self.users.lock();
            users.retain(|node| node.strong_count() > 0);
            users.iter().filter_map(Weak::upgrade).collect()
        };
        users.iter().for_each(|node| node.give_up_units(false));
    }
}

impl Volume {
    fn request_mapping(&self, node: u64, offset: u64, at: usize, len: u64, flags: u64) -> Result<(), Errno> {
        let mut exchange = self.session.begin(Opcode::SetUpMapping, node)?;
        // File handle (unused) | offset in the file | length | flags | offset in the window
        exchange.words([0, offset, len, flags, at as u64 * FILE_WINDOW_UNIT]);
        exchange.call(0, Data::None).map(|_| ())
    }

    /// Has the host let go of a unit. Nobody waits: requests are served in order.
    fn remove_mapping(&self, node: u64, unit: usize) {
        let Ok(mut exchange) = self.session.begin(Opcode::RemoveMapping, node) else { return };
        // A count of 32 bits, and then offset in the window and length, which makes their halves lie askew.
        let (at, len) = (unit as u64 * FILE_WINDOW_UNIT, FILE_WINDOW_UNIT);
        let words = [
            fuse::pair(1, fuse::low(at)),
            fuse::pair(fuse::high(at), fuse::low(len)),
            fuse::pair(fuse::high(len), 0),
        ];
        exchange.words(words);
        exchange.leave();
    }
}

impl Node {
    /// The frame of page `index`, if it is mapped in the window so that it can be used.
    pub(super) fn window_frame(&self, index: u64, is_for_writing: bool) -> Option<Frame> {
        let units = self.units.lock();
        units.get(index / PAGES, is_for_writing).map(|unit| unit.frame(index % PAGES))
    }

    /// The frames from `first` on that are mapped in the window, up to page `end`.
    pub(super) fn window_frames(
        &self,
        first: u64,
        end: u64,
        is_for_writing: bool,
        tell: &mut dyn FnMut(u64, &[Frame]),
    ) {
        let units = self.units.lock();
        for index in first..end {
            if let Some(unit) = units.get(index / PAGES, is_for_writing) {
                tell(index - first, &[unit.frame(index % PAGES)]);
            }
        }
    }

    /// The 512 frames that begin with page `index`, if they are a unit.
    pub(super) fn window_large(&self, index: u64, is_for_writing: bool) -> Option<LargeFrame> {
        let is_first = index.is_multiple_of(PAGES);
        let units = self.units.lock();
        units.get(index / PAGES, is_for_writing).filter(|_| is_first).map(Unit::large)
    }

    /// Decides, at the first mapping of a file of `size` bytes, how it is mapped. Returns whether in the window.
    fn decide(&self, size: u64, is_for_writing: bool) -> bool {
        if self.manner.0.load(Ordering::Acquire) == UNDECIDED {
            let is_worth_it = is_for_writing || size >= LEAST_SIZE;
            let manner = if is_worth_it && self.volume.window.units() > 0 { WINDOWED } else { CACHED };
            let _ = self.manner.0.compare_exchange(UNDECIDED, manner, Ordering::AcqRel, Ordering::Acquire);
            if self.manner.is_windowed() {
                // Nobody maps them yet, and they would get out of date.
                self.drop_pages();
            }
        }
        self.manner.is_windowed()
    }

    /// Maps page `index` of the file, which has `size` bytes, in the window, and more that follow it. False if it is
    /// to be cached here instead.
    pub(super) fn map_in_window(&self, index: u64, size: u64, is_for_writing: bool) -> Result<bool, Errno> {
        if !self.decide(size, is_for_writing) {
            return Ok(false);
        }
        let _mapping = self.mapping.lock();
        let number = index / PAGES;
        let offset = number * FILE_WINDOW_UNIT;
        let flags = if is_for_writing { READABLE | WRITABLE } else { READABLE };
        let plan = self.units.lock().plan(number, size, is_for_writing);
        let (wanted, is_first) = match plan {
            Plan::Nothing => return Ok(true),
            Plan::Upgrade(at) => {
                self.volume.request_mapping(self.id, offset, at, FILE_WINDOW_UNIT, flags)?;
                self.units.lock().set_writable(number);
                return Ok(true);
            }
            Plan::Map { wanted, is_first } => (wanted, is_first),
        };
        let Some(places) = self.volume.window.take(wanted) else { return Ok(false) };
        let len = places.len() as u64 * FILE_WINDOW_UNIT;
        let result = self.volume.request_mapping(self.id, offset, places.start, len, flags);
        let mut has_any = false;
        for (number, place) in (number..).zip(places) {
            match Unit::open(place).filter(|_| result.is_ok()) {
                Some(unit) => self.units.lock().insert(number, unit, is_for_writing),
                None => self.volume.window.give_back(place),
            }
            has_any = !self.units.lock().is_empty();
        }
        if is_first {
            self.volume.window.users.lock().push(self.weak());
        }
        if result.is_err() && !has_any {
            // The host's file system cannot, or does not allow it.
            self.manner.0.store(CACHED, Ordering::Release);
        }
        Ok(result.is_ok())
    }

    /// As [`map_in_window`](Self::map_in_window), taking units from files that nobody maps if there are no others.
    pub(super) fn map_in_window_for_sure(
        &self,
        index: u64,
        size: u64,
        is_for_writing: bool,
    ) -> Result<bool, Errno> {
        if self.map_in_window(index, size, is_for_writing)? {
            return Ok(true);
        }
        if !self.manner.is_windowed() {
            return Ok(false);
        }
        self.volume.window.reclaim();
        self.map_in_window(index, size, is_for_writing)
    }

    /// Gives units back that nobody maps. `is_last` says that the file is not used any more.
    pub(super) fn give_up_units(&self, is_last: bool) {
        let _mapping = self.mapping.lock();
        let mut units = self.units.lock();
        let Some(mapped) = &mut units.0 else { return };
        let idle: Vec<u64> = mapped
            .units
            .iter()
            .filter(|(_, mapped)| mapped.unit.is_idle())
            .map(|(number, _)| *number)
            .collect();
        for number in idle {
            let Some(place) = mapped.units.remove(&number).and_then(|mapped| mapped.unit.close()) else {
                continue;
            };
            self.volume.remove_mapping(self.id, place);
            self.volume.window.give_back(place);
        }
        debug_assert!(!is_last || mapped.units.is_empty(), "a page of a file outlives it");
    }
}
