//! The vCPU itself: asking for it, and its line to the host.

use super::Wish;
use crate::address::PhysAddr;
use crate::frame::{self, Frame};
use crate::{cpu, local, park, report, shootdown, single};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use septum_abi::control::Command;
use septum_abi::layout::{DIRECT_MAP, PAGE_SHIFT, SERVICE_AREA};
use septum_abi::service::{CALL, Call, operation};

/// What the service vCPU runs: a `fn() -> !`; 0 before the kernel is ready for one.
static MAIN: AtomicU64 = AtomicU64::new(0);
static IS_ASKED_FOR: AtomicBool = AtomicBool::new(false);

/// The kernel is ready to do what the host wants; called on the first vCPU. The service vCPU, should there ever be one, runs `main`.
pub fn ready(main: fn() -> !) {
    MAIN.store(main as usize as u64, Ordering::Release);
    look();
}

/// Asks for the service vCPU if the host wants it; called on the first vCPU, which is in the kernel.
pub(crate) fn look() {
    if !report::is_service_wanted() || MAIN.load(Ordering::Acquire) == 0 {
        return;
    }
    if IS_ASKED_FOR.swap(true, Ordering::AcqRel) {
        return;
    }
    let area = DIRECT_MAP + SERVICE_AREA;
    // SAFETY: 1. the area is set aside, and nobody uses it before the vCPU starts; 2. this happens once.
    let local = unsafe {
        if single::is_single() {
            single::prepare_area(area);
        }
        local::of_area(area)
    };
    local.main.store(MAIN.load(Ordering::Relaxed), Ordering::Relaxed);
    shootdown::expect_another();
    // Without an answer: if there is none, nobody comes with wishes.
    cpu::command(Command::StartService);
}

/// The service vCPU's line to the host.
pub struct Line {
    page: Frame,
    /// This vCPU counts as one that works.
    is_awake: bool,
}

impl Line {
    /// A new one; `None` if there is no memory.
    #[must_use]
    pub fn open() -> Option<Self> {
        Some(Self { page: Frame::for_kernel()?, is_awake: false })
    }

    /// The next wish; the one before is dealt with. Waits in the host, where it costs the others nothing.
    pub fn next_wish(&mut self) -> Wish {
        if core::mem::replace(&mut self.is_awake, false) {
            park::expect_awake(false);
        }
        let answer = call(&self.page, Call { operation: operation::NEXT, ..Call::default() });
        park::expect_awake(true);
        self.is_awake = true;
        Wish::of(&answer)
    }
}

/// Makes a call, by way of a page that is the caller's alone.
pub(super) fn call(page: &Frame, call: Call) -> Call {
    let PhysAddr(address) = page.address();
    let place = frame::memory_at(PhysAddr(address), 0).cast::<Call>();
    // SAFETY: 1. the frame is larger than a call, and its owner lent it; 2. the worker writes it only while this vCPU waits for it;
    // 3. any bit pattern is a call.
    unsafe {
        place.write_volatile(call);
        cpu::write_command(CALL | (address >> PAGE_SHIFT) as u32);
        place.read_volatile()
    }
}
