//! The queue against a device that echoes, and against one that lies.

use super::{Queue, Segment, SubmitError};
use crate::pci;
use crate::platform::Region;
use crate::testing::{self, Answer, FakeMachine, Model};
use crate::virtio::transport::Transport;
use septum_abi::layout::ECAM_BASE;
use septum_abi::linux::Errno;
use septum_guest_hal::address::PhysAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// Returns what it is given, reversed.
struct Reverse;

impl Model for Reverse {
    fn device_type(&self) -> u16 {
        4
    }
    fn features(&self) -> u64 {
        0
    }
    fn queue_sizes(&self) -> Vec<u16> {
        vec![8]
    }
    fn request(&mut self, _queue: u16, output: &[u8], capacity: usize) -> Answer {
        Answer::Reply(output.iter().rev().copied().take(capacity).collect())
    }
    fn as_any(&mut self) -> &mut dyn std::any::Any {
        self
    }
}

fn queue() -> (Arc<FakeMachine>, Queue, Region) {
    let machine = testing::machine(vec![Box::new(Reverse)]);
    let function = pci::functions(ECAM_BASE, machine.pci_devices()).next().unwrap();
    let transport = Transport::probe(&function).unwrap();
    transport.negotiate(0, 0).unwrap();
    let queue = transport.queue(0, 8).unwrap();
    transport.start();
    (machine, queue, Region::allocate(4096).unwrap())
}

fn part(region: &Region, offset: u64, len: u32) -> Segment {
    Segment { address: PhysAddr(region.address().0 + offset), len }
}

fn bytes(region: &Region, offset: usize, len: usize) -> Vec<u8> {
    let mut bytes = vec![0; len];
    region.read(offset, &mut bytes);
    bytes
}

#[test]
fn segments_go_out_and_come_back_in_order_many_times() {
    let (machine, queue, region) = queue();
    region.write(0, b"hello");
    region.write(100, b", world");
    for _ in 0..70_000 {
        let output = [part(&region, 0, 5), part(&region, 100, 7)];
        let input = [part(&region, 200, 3), part(&region, 300, 20)];
        let token = queue.submit(&output, &input).unwrap();
        assert_eq!(queue.wait(token), Ok(12));
    }
    assert_eq!(bytes(&region, 200, 3), b"dlr");
    assert_eq!(bytes(&region, 300, 9), b"ow ,olleh");
    machine.with_device(0, |device, _| assert_eq!(device.interrupts, 0, "nobody slept"));
}

#[test]
fn a_sleeper_is_interrupted() {
    let (machine, queue, region) = queue();
    machine.is_prompt.store(false, Ordering::Relaxed);
    let token = queue.submit(&[part(&region, 0, 4)], &[part(&region, 8, 4)]).unwrap();
    assert_eq!(queue.wait(token), Ok(4));
    machine.with_device(0, |device, _| assert_eq!(device.interrupts, 1));
    machine.is_prompt.store(true, Ordering::Relaxed);
    let token = queue.submit(&[part(&region, 0, 4)], &[part(&region, 8, 4)]).unwrap();
    assert_eq!(queue.wait(token), Ok(4));
    machine.with_device(0, |device, _| assert_eq!(device.interrupts, 1));
}

#[test]
fn requests_may_be_awaited_in_any_order() {
    let (machine, queue, region) = queue();
    machine.is_prompt.store(false, Ordering::Relaxed);
    let mut tokens: Vec<_> = (0..4)
        .map(|number: u32| queue.submit(&[part(&region, 0, number)], &[part(&region, 64, 8)]).unwrap())
        .collect();
    assert_eq!(queue.submit(&[part(&region, 0, 1)], &[]), Err(SubmitError::Full));
    let last = tokens.pop().unwrap();
    assert_eq!(queue.wait(last), Ok(3));
    for (number, token) in tokens.into_iter().enumerate() {
        assert_eq!(queue.wait(token), Ok(u32::try_from(number).unwrap()));
    }
}

#[test]
fn a_request_waits_for_descriptors() {
    let (machine, queue, region) = queue();
    machine.is_prompt.store(false, Ordering::Relaxed);
    let first = queue.submit(&[part(&region, 0, 1); 7], &[]).unwrap();
    let second = queue.submit_blocking(&[part(&region, 0, 1); 7], &[]).unwrap();
    assert_eq!((queue.wait(second), queue.wait(first)), (Ok(0), Ok(0)));
    let all = queue.submit_blocking(&[part(&region, 0, 1); 8], &[]).unwrap();
    assert_eq!(queue.wait(all), Ok(0));
}

#[test]
fn a_request_has_a_sensible_size() {
    let (_machine, queue, region) = queue();
    assert_eq!(queue.submit(&[], &[]), Err(SubmitError::Size));
    let many = vec![part(&region, 0, 1); 9];
    assert_eq!(queue.submit(&many, &[]), Err(SubmitError::Size));
}

#[test]
fn a_device_that_claims_too_much_fails_that_request_only() {
    let (machine, queue, region) = queue();
    machine.is_prompt.store(false, Ordering::Relaxed);
    let token = queue.submit(&[part(&region, 0, 4)], &[part(&region, 8, 4)]).unwrap();
    machine.with_device(0, |device, memory| device.finish(0, 0, 5, memory));
    assert_eq!(queue.wait(token), Err(Errno::EIO));
}

#[test]
fn a_device_that_returns_what_it_has_not_got_breaks_the_queue() {
    for head in [1, 7, 8, 0xffff, 0x1_0000, u32::MAX] {
        let (machine, queue, region) = queue();
        machine.is_prompt.store(false, Ordering::Relaxed);
        let token = queue.submit(&[part(&region, 0, 4)], &[part(&region, 8, 4)]).unwrap();
        machine.with_device(0, |device, memory| device.finish(0, head, 0, memory));
        assert_eq!(queue.wait(token), Err(Errno::EIO));
        assert_eq!(queue.submit(&[part(&region, 0, 4)], &[]), Err(SubmitError::Broken));
    }
}

#[test]
fn a_used_index_too_far_ahead_breaks_the_queue() {
    let (machine, queue, region) = queue();
    machine.is_prompt.store(false, Ordering::Relaxed);
    let token = queue.submit(&[part(&region, 0, 4)], &[]).unwrap();
    machine.with_device(0, |device, memory| memory.write_u16(device.queues[0].used + 2, 9));
    assert_eq!(queue.wait(token), Err(Errno::EIO));
}

#[test]
fn several_cpus_share_a_queue() {
    let (machine, queue, region) = queue();
    std::thread::scope(|scope| {
        for cpu in 0..4u8 {
            let (machine, queue, region) = (Arc::clone(&machine), &queue, &region);
            scope.spawn(move || {
                crate::platform::enter(machine);
                let at = 64 * u64::from(cpu);
                region.write(usize::from(cpu) * 64, &[cpu; 8]);
                for _ in 0..2000 {
                    let token =
                        queue.submit_blocking(&[part(region, at, 8)], &[part(region, at + 32, 8)]).unwrap();
                    assert_eq!(queue.wait(token), Ok(8));
                }
                assert_eq!(bytes(region, usize::from(cpu) * 64 + 32, 8), [cpu; 8]);
            });
        }
    });
}

#[test]
fn descriptors_set_aside_are_used_again_and_again() {
    let (machine, queue, region) = queue();
    let chain = queue.reserve(&part(&region, 0, 100), &part(&region, 200, 50)).unwrap();
    region.write(0, b"abcdef");
    for len in (1..=6).cycle().take(1000) {
        let token = queue.submit_chain(&chain, len).unwrap();
        assert_eq!(queue.wait(token), Ok(len));
    }
    assert_eq!(bytes(&region, 200, 4), b"dcba");
    let others = queue.submit(&[part(&region, 0, 1); 6], &[]).unwrap();
    assert_eq!(queue.wait(others), Ok(0));
    machine.is_prompt.store(false, Ordering::Relaxed);
    let token = queue.submit_chain(&chain, 1).unwrap();
    machine.with_device(0, |device, memory| device.finish(0, 0, 51, memory));
    assert_eq!(queue.wait(token), Err(Errno::EIO));
}
