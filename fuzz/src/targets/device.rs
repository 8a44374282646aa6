//! Machines with one device, and how targets make requests of it.

use std::time::Instant;

use crate::driver::Driver;
use crate::machine::{Machine, PATIENCE};
use crate::virtqueue::{Range, Virtqueue};

/// A driver that has brought its device up.
pub(super) fn started<'a>(
    machine: &'a Machine,
    kind: u32,
    features: u64,
    queues: &[(u16, u16)],
) -> (Driver<'a>, Vec<Virtqueue<'a>>) {
    let mut driver = Driver::probe(machine, kind);
    driver.begin(features);
    let queues = queues.iter().map(|&(number, size)| driver.queue(number, size)).collect();
    driver.finish();
    (driver, queues)
}

/// Makes a request. False if the device stopped listening, as it may when it was lied to.
pub(super) fn ask(driver: &Driver<'_>, queue: &mut Virtqueue<'_>, ranges: &[Range]) -> bool {
    queue.add(ranges);
    queue.kick();
    let start = Instant::now();
    loop {
        if queue.take_used().is_some() {
            return true;
        }
        if driver.status() & crate::driver::NEEDS_RESET != 0 {
            return false;
        }
        assert!(start.elapsed() < PATIENCE, "the device does not answer");
        std::thread::yield_now();
    }
}
