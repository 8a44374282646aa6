//! On a host: registers and memory of a machine that the test supplies.
//!
//! A test [enters](enter) its machine; everything that its thread does afterwards reaches that machine. The
//! machine is told of all memory that drivers share with devices, since a frame's address alone does not lead to its
//! contents. Waiting runs the machine's devices; if they have nothing to do and the condition still does not hold,
//! the guest would hang, and the test fails.

use septum_guest_hal::address::PhysAddr;
use septum_guest_hal::dma;
use septum_guest_hal::frame::Frame;
use std::cell::RefCell;
use std::sync::Arc;

/// A machine for tests.
pub trait Machine: Send + Sync {
    /// The `width` (1, 2, 4 or 8) bytes at guest-physical `address`.
    fn read(&self, address: u64, width: usize) -> u64;

    /// Stores `width` bytes at guest-physical `address`.
    fn write(&self, address: u64, width: usize, value: u64);

    /// A driver shares this frame with devices from now on.
    fn share_frame(&self, frame: Frame);

    /// A driver shares this region with devices from now on.
    fn share_region(&self, region: Arc<dma::Region>);

    /// Runs the devices for a moment; false if they had nothing to do.
    fn run(&self) -> bool;
}

thread_local! {
    static CURRENT: RefCell<Option<Arc<dyn Machine>>> = const { RefCell::new(None) };
}

/// This thread's machine from now on.
pub fn enter(machine: Arc<dyn Machine>) {
    CURRENT.with(|current| *current.borrow_mut() = Some(machine));
}

fn current() -> Option<Arc<dyn Machine>> {
    CURRENT.with(|current| current.borrow().clone())
}

/// Memory to share with a device.
#[derive(Clone, Debug)]
pub struct Region(Arc<dma::Region>);

impl Region {
    /// No device is ready on a host.
    #[must_use]
    pub fn ready(_address: PhysAddr, _len: usize) -> Option<Self> {
        None
    }

    /// At least `len` bytes of zeros; `None` if memory ran out.
    #[must_use]
    pub fn allocate(len: usize) -> Option<Self> {
        let region = Arc::new(dma::Region::allocate(len)?);
        if let Some(machine) = current() {
            machine.share_region(Arc::clone(&region));
        }
        Some(Self(region))
    }
}

impl core::ops::Deref for Region {
    type Target = dma::Region;

    fn deref(&self) -> &dma::Region {
        &self.0
    }
}

fn shared(frame: Option<Frame>) -> Option<Frame> {
    if let Some((frame, machine)) = frame.as_ref().zip(current()) {
        machine.share_frame(frame.clone());
    }
    frame
}

/// A frame with unspecified contents; `None` if memory ran out.
pub fn new_frame() -> Option<Frame> {
    shared(Frame::uninit())
}

/// Up to `count` frames with unspecified contents, appended to `frames`.
pub fn new_frames(count: usize, frames: &mut Vec<Frame>) {
    frames.extend((0..count).map_while(|_| new_frame()));
}

/// A frame of zeros; `None` if memory ran out.
pub fn zeroed_frame() -> Option<Frame> {
    shared(Frame::zeroed())
}

/// Registers of a device of this thread's machine.
#[derive(Clone, Copy, Debug)]
pub struct Registers {
    base: u64,
    len: usize,
}

macro_rules! accessors {
    ($($read:ident $write:ident $type:ty)*) => {$(
        /// Reads the register at `offset`; all ones if it is not in this window.
        #[must_use]
        pub fn $read(&self, offset: usize) -> $type {
            let value = self.at(offset, size_of::<$type>()).zip(current());
            let value = value.map(|(address, machine)| machine.read(address, size_of::<$type>()));
            value.and_then(|value| <$type>::try_from(value).ok()).unwrap_or(<$type>::MAX)
        }

        /// Writes the register at `offset`; nothing happens if it is not in this window.
        pub fn $write(&self, offset: usize, value: $type) {
            if let Some((address, machine)) = self.at(offset, size_of::<$type>()).zip(current()) {
                machine.write(address, size_of::<$type>(), u64::from(value));
            }
        }
    )*};
}

impl Registers {
    /// The `len` bytes at `address`; `None` in RAM.
    #[must_use]
    pub fn map(address: PhysAddr, len: usize) -> Option<Self> {
        (address.0 >= septum_abi::layout::LOW_RAM_END).then_some(Self { base: address.0, len })
    }

    fn at(&self, offset: usize, width: usize) -> Option<u64> {
        let fits = offset.checked_add(width)? <= self.len && offset.is_multiple_of(width);
        fits.then_some(self.base + offset as u64)
    }

    accessors! {
        read_u8 write_u8 u8
        read_u16 write_u16 u16
        read_u32 write_u32 u32
        read_u64 write_u64 u64
    }
}

/// A line that never interrupts: waiting runs the machine instead.
#[derive(Clone, Debug)]
pub struct Line(());

impl Line {
    /// No device is ready on a host.
    #[must_use]
    pub fn ready(_place: usize) -> Option<Self> {
        None
    }

    /// Always there.
    #[must_use]
    pub fn allocate() -> Option<Self> {
        Some(Self(()))
    }

    /// An address and data that are easy to recognise.
    #[must_use]
    pub fn message(&self) -> (u64, u32) {
        (septum_abi::layout::LAPIC_BASE, 0x40)
    }

    /// Nothing is counted.
    #[must_use]
    pub fn count(&self) -> u32 {
        0
    }

    /// Runs the machine until `condition` gives something.
    ///
    /// # Panics
    /// If the machine has nothing to do: a kernel would halt for ever.
    pub fn wait_until<T>(&self, mut condition: impl FnMut() -> Option<T>) -> T {
        loop {
            if let Some(value) = condition() {
                return value;
            }
            let has_run = current().is_some_and(|machine| machine.run());
            if !has_run {
                if let Some(value) = condition() {
                    return value;
                }
                panic!("the driver waits for something that will never happen");
            }
        }
    }
}

/// As [`Line::wait_until`]: nobody has to be woken, since the machine runs while one waits.
///
/// # Panics
/// As there.
pub fn wait_by_name<T>(mut condition: impl FnMut(u32) -> Option<T>) -> T {
    Line(()).wait_until(|| condition(0))
}

/// Nobody halts here.
pub fn unpark(_number: u32) {}

/// Nobody is interrupted here.
#[must_use]
pub fn look_when_interrupted(_look: Box<dyn Fn() + Send + Sync>) -> bool {
    true
}

/// Time does not matter here: it is always late.
#[must_use]
pub fn timestamp() -> u64 {
    static NOW: std::sync::atomic::AtomicU64 = std::sync::atomic::AtomicU64::new(0);
    NOW.fetch_add(1 << 32, std::sync::atomic::Ordering::Relaxed)
}
