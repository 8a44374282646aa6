//! Frames of the windows in which the host maps files (VirtIO shared memory) and the image that is the root, beyond RAM.
//!
//! ```text
//! frame numbers   0 ........ end of RAM          FIRST ............ FIRST + LEN
//!                 pool: counts in one array      a unit of 512 frames at a time: counts made when it is first used
//! ```
//!
//! While a unit is [open](Unit::open), each of its frames has one reference that stands for that; mappings and copies
//! in progress have others. So a frame of the window is never the only reference to itself, which is what makes a private
//! mapping copy it before a store, and it never goes to the pool. A unit can be closed when nobody refers to its frames.
//!
//! The direct map shows a unit from the first time it is open. Devices cannot reach the windows. The units of an image, which never
//! changes, stay open: [`image_frame`].

use super::large::{LARGE_PAGE, LargeFrame};
use super::pool::BLOCK;
use super::{Frame, memory};
use crate::address::{PhysAddr, to_usize};
use crate::sync::Mutex;
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicPtr, AtomicU32, Ordering};
use septum_abi::layout::{FILE_WINDOW, FILE_WINDOW_UNIT, IMAGE_WINDOW, PAGE_SHIFT};

const FIRST: u64 = FILE_WINDOW.start >> PAGE_SHIFT;
const END: u64 = IMAGE_WINDOW.end >> PAGE_SHIFT;
/// Units of the window for files; those of the image follow.
pub const UNITS: usize = to_usize((FILE_WINDOW.end - FILE_WINDOW.start) / FILE_WINDOW_UNIT);
const _: () = assert!(FILE_WINDOW_UNIT == LARGE_PAGE && FILE_WINDOW.end == IMAGE_WINDOW.start);
/// Units of the image.
const IMAGE_UNITS: usize = to_usize((IMAGE_WINDOW.end - IMAGE_WINDOW.start) / FILE_WINDOW_UNIT);
const ALL_UNITS: usize = UNITS + IMAGE_UNITS;

type Counts = [AtomicU32; BLOCK as usize];

static COUNTS: [AtomicPtr<Counts>; ALL_UNITS] = [const { AtomicPtr::new(core::ptr::null_mut()) }; ALL_UNITS];

/// Whether a frame of this number lies in the window.
pub fn contains(number: u64) -> bool {
    (FIRST..END).contains(&number)
}

/// The reference count of a frame of the window, if its unit was ever open.
pub fn count(number: u64) -> Option<&'static AtomicU32> {
    let at = to_usize(number.checked_sub(FIRST)?);
    let counts = COUNTS.get(at / BLOCK as usize)?.load(Ordering::Acquire);
    // SAFETY: the pointer is null, or of counts that were leaked in `counts_of`: they live for ever and are atomics.
    let counts = unsafe { counts.as_ref() }?;
    counts.get(at % BLOCK as usize)
}

fn counts_of(unit: usize) -> Option<&'static Counts> {
    let place = COUNTS.get(unit)?;
    // SAFETY: as in `count`.
    if let Some(counts) = unsafe { place.load(Ordering::Acquire).as_ref() } {
        return Some(counts);
    }
    let counts: &'static Counts = Box::leak(Box::new([const { AtomicU32::new(0) }; BLOCK as usize]));
    place.store(core::ptr::from_ref(counts).cast_mut(), Ordering::Release);
    Some(counts)
}

/// The frame that holds page `index` of the image; the boot page says how many there are. `None` if there is no memory for the tables.
#[must_use]
pub fn image_frame(index: u64) -> Option<Frame> {
    static IS_OPEN: [AtomicBool; IMAGE_UNITS] = [const { AtomicBool::new(false) }; IMAGE_UNITS];
    static OPENING: Mutex<()> = Mutex::new(());
    let number = to_usize(index / BLOCK);
    let is_open = IS_OPEN.get(number)?;
    if !is_open.load(Ordering::Acquire) {
        let _opening = OPENING.lock();
        if !is_open.load(Ordering::Acquire) {
            Unit::open(UNITS + number)?;
            is_open.store(true, Ordering::Release);
        }
    }
    Some(Unit(UNITS + number).frame(index))
}

/// 2 MiB of the window, open.
#[derive(Debug)]
pub struct Unit(usize);

impl Unit {
    /// Opens unit `index`, which is not open. `None` if it does not exist, or there is no memory for the tables.
    #[must_use]
    pub fn open(index: usize) -> Option<Self> {
        let counts = counts_of(index)?;
        crate::paging::upper::show_in_direct_map(PhysAddr(FILE_WINDOW.start + index as u64 * LARGE_PAGE))
            .ok()?;
        counts.iter().for_each(|count| count.store(1, Ordering::Release));
        Some(Self(index))
    }

    /// Its index.
    #[must_use]
    pub fn index(&self) -> usize {
        self.0
    }

    /// Frame `index` of it.
    #[must_use]
    pub fn frame(&self, index: u64) -> Frame {
        let frame = Frame(FIRST + self.0 as u64 * BLOCK + index % BLOCK);
        memory::count(frame.0).fetch_add(1, Ordering::Relaxed);
        frame
    }

    /// All of it.
    #[must_use]
    pub fn large(&self) -> LargeFrame {
        let first = FIRST + self.0 as u64 * BLOCK;
        memory::counts(first, BLOCK).iter().for_each(|count| {
            count.fetch_add(1, Ordering::Relaxed);
        });
        LargeFrame::of_window(first)
    }

    /// Whether nobody refers to its frames.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        counts_of(self.0).is_some_and(|counts| counts.iter().all(|count| count.load(Ordering::Acquire) == 1))
    }

    /// Closes it, if nobody refers to its frames; else it stays as it is for ever.
    pub fn close(self) -> Option<usize> {
        self.is_idle().then_some(self.0)
    }
}
