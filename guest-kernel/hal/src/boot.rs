//! What the host said at the start.

use crate::address::PhysAddr;
use crate::frame::{self, Frame};
use crate::{local, single};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, Ordering};
use septum_abi::boot::{BOOT_MAGIC, BootPage};
use septum_abi::config::BootConfig;
use septum_abi::layout::{BOOT_PAGE, CLOCK_PAGE, DIRECT_MAP, KERNEL_MAP, PAGE_SIZE};

static IS_STARTED: AtomicBool = AtomicBool::new(false);

/// The boot page; never written after the host entered the kernel.
#[must_use]
pub fn page() -> &'static BootPage {
    // SAFETY: 1. the host put it there before the first instruction; 2. integers of any value are valid;
    // 3. nothing writes it.
    unsafe { &*((DIRECT_MAP + BOOT_PAGE) as *const BootPage) }
}

/// The boot configuration.
#[must_use]
pub fn config() -> Option<BootConfig<'static>> {
    let page = page();
    // SAFETY: 1. the host put the blob below `free_start`, where no frame is handed out; 2. nothing writes it.
    let blob = unsafe {
        core::slice::from_raw_parts((DIRECT_MAP + page.config_address) as *const u8, page.config_len as usize)
    };
    BootConfig::parse(blob).ok()
}

/// Gets the machine ready: called once, before anything else of this crate.
///
/// Panics if the host speaks another version of the contract.
pub fn start() {
    assert!(!IS_STARTED.swap(true, Ordering::Relaxed), "started twice");
    let page = page();
    single::set_mode(page.privilege);
    if single::is_single() {
        // SAFETY: 1. this runs on the first vCPU's kernel stack, in its area; 2. no program runs yet.
        unsafe { single::prepare_area(local::area()) };
    }
    crate::report::started();
    assert!(page.magic == BOOT_MAGIC && page.version == septum_abi::VERSION, "boot page of another version");
    let count = (page.ram_count as usize).min(page.ram.len());
    frame::init(page.free_start, &page.ram[..count]);
}

/// The frames of the kernel's own image that hold `bytes`, which start on a page, for mapping into programs. They are never freed.
#[must_use]
pub fn image_frames(bytes: &'static [u8]) -> Vec<Frame> {
    let start = (bytes.as_ptr() as u64).wrapping_sub(KERNEL_MAP);
    (start..start + bytes.len() as u64).step_by(PAGE_SIZE).map(|at| Frame::of_kernel(PhysAddr(at))).collect()
}

/// The frame of the clock page.
#[must_use]
pub fn clock_frame() -> Frame {
    Frame::of_kernel(PhysAddr(CLOCK_PAGE))
}

/// Defines the kernel's entry point: `entry!(main)` with `fn main() -> !`.
#[macro_export]
macro_rules! entry {
    ($main:path) => {
        #[unsafe(no_mangle)]
        extern "C" fn septum_main() -> ! {
            $crate::boot::start();
            $main()
        }
    };
}
