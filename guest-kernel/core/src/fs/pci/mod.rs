//! PCI functions of the host, for programs to drive: `/sys/bus/pci`, and `/dev/uio0`, `/dev/uio1` … for their interrupts.
//!
//! ```text
//! /sys/bus/pci/devices/0000:00:05.0/ ─┬─ vendor device subsystem_* class revision numa_node      text
//!                                     ├─ config         registers; what is written reaches the host, which filters it
//!                                     ├─ enable         always 1: decoding is on
//!                                     ├─ resource       where its memory is
//!                                     ├─ resource0 …    the memory itself: mapped, shared, uncached
//!                                     └─ uio/uio0/name  which of /dev/uio* has its interrupts
//! ```
//!
//! As on Linux, with these differences: the directories are no links, `driver` and the like are absent, and the files belong to
//! the partition's user, not to root. The driver below only has to say what is in [`Function`]. A program that drives a function
//! can have it read and write any memory of the partition, the kernel's included: the wall is the partition's, not the process's.

mod file;
mod tree;
mod uio;

use alloc::boxed::Box;
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::device_memory::DeviceMemory;
use septum_guest_hal::sync::Once;
pub use tree::file_system;
pub use uio::{number as uio_number, open as open_uio};

/// BARs of a function.
pub const BARS: usize = 6;

/// Memory of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bar {
    /// Its pages.
    pub memory: DeviceMemory,
    /// Its bytes.
    pub bytes: u64,
    /// Whether its address has 64 bits.
    pub is_wide: bool,
    /// Whether reading it changes nothing.
    pub is_prefetchable: bool,
}

/// A function, as its driver has it.
pub trait Function: Send + Sync {
    /// N of 0000:00:N.0.
    fn number(&self) -> u8;

    /// Reads registers: `bytes.len()` bytes from `register` on, within the first 4096.
    fn read(&self, register: usize, bytes: &mut [u8]);

    /// Writes registers, likewise.
    fn write(&self, register: usize, bytes: &[u8]);

    /// Memory BAR `index`, if it is there.
    fn bar(&self, index: usize) -> Option<Bar>;

    /// Has it interrupt, or not. ENODEV if it cannot.
    fn set_interrupting(&self, is_on: bool) -> Result<(), Errno>;

    /// How often it has interrupted.
    fn interrupts(&self) -> u32;
}

/// The functions, and whose their files are.
struct Functions {
    all: Vec<Box<dyn Function>>,
    uid: u32,
    gid: u32,
}

static FUNCTIONS: Once<Functions> = Once::new();

/// Says which functions there are, and whose; the first call counts.
pub fn set_functions(all: Vec<Box<dyn Function>>, uid: u32, gid: u32) {
    FUNCTIONS.call_once(|| Functions { all, uid, gid });
}

fn functions() -> &'static [Box<dyn Function>] {
    FUNCTIONS.get().map_or(&[], |functions| &functions.all)
}

/// Whose the files are.
#[must_use]
pub fn owner() -> (u32, u32) {
    FUNCTIONS.get().map_or((0, 0), |functions| (functions.uid, functions.gid))
}

/// How many there are.
#[must_use]
pub fn count() -> usize {
    functions().len()
}

/// The function with this index.
fn function(index: usize) -> Option<&'static dyn Function> {
    functions().get(index).map(|function| &**function)
}

fn name(function: &dyn Function) -> String {
    format!("0000:00:{:02x}.0", function.number())
}
