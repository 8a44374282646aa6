//! What a vCPU's thread does: runs the guest, serves its exits, until somebody ends the partition.

use crate::bus::Bus;
use crate::exits::{Exits, Reason};
use crate::profile::Samples;
use septum_hypervisor::{Exit, Vcpu};
use std::sync::atomic::Ordering;

/// Where a processor begins. KVM on SVM resets one that took a triple fault, and where that was is lost.
const RESET_RIP: u64 = 0xfff0;

/// Why a vCPU stopped.
#[derive(Debug)]
pub enum VcpuEnd {
    /// The report says how the guest ended.
    Reported,
    /// KVM or the guest broke.
    Broken(String),
    /// The guest turned its machine off.
    PoweredOff,
    /// The guest reset its machine.
    Restarted,
    /// Kicked.
    Kicked,
}

/// What a vCPU's thread counted.
#[derive(Debug, Default)]
pub struct Account {
    /// Where the guest was, if a profile is made.
    pub samples: Samples,
}

impl Account {
    /// Adds another's counts.
    pub fn add(&mut self, other: Self) {
        self.samples.merge(other.samples);
    }
}

/// What a write to a port means.
pub enum Served {
    /// The guest goes on; exits are counted by this reason.
    As(Reason),
    /// As a `command`: the vCPU's extended state gets the values of a reset.
    ResetExtendedState,
    /// As a `command`: the partition ends.
    End(VcpuEnd),
}

/// What serves the exits of one vCPU in which kernels differ. Called by the vCPU's thread.
pub trait Guest {
    /// What MMIO reaches.
    fn bus(&self) -> &Bus;
    /// Where exits are counted.
    fn exits(&self) -> &Exits;
    /// The guest reads a port: all of `data` is to be filled.
    fn port_read(&mut self, port: u16, data: &mut [u8]);
    /// It writes to one.
    fn port_write(&mut self, port: u16, data: &[u8]) -> Served;
    /// Where it is to take a page fault if the host lost a page that it needs; without such a place the partition ends.
    fn lost_page(&self) -> Option<u64>;
    /// After each exit.
    fn after_exit(&mut self) {}
    /// Whether interruptions are looked at for a profile.
    fn is_profiled(&self) -> bool {
        false
    }
}

/// Runs `vcpu` to its end.
pub fn run(mut vcpu: Vcpu, guest: &mut impl Guest) -> (VcpuEnd, Account) {
    let mut account = Account::default();
    let stop = vcpu.stop_flag();
    loop {
        let (reason, end) = match vcpu.run() {
            Ok(Exit::MmioRead(address, data)) => {
                guest.bus().read(address, data);
                (Reason::MmioRead, None)
            }
            Ok(Exit::MmioWrite(address, data)) => {
                guest.bus().write(address, data);
                (Reason::MmioWrite, None)
            }
            Ok(Exit::PortWrite(port, data)) => match guest.port_write(port, data) {
                Served::As(reason) => (reason, None),
                Served::ResetExtendedState => match vcpu.reset_extended_state() {
                    Ok(()) => (Reason::Command, None),
                    Err(error) => (Reason::Error, Some(VcpuEnd::Broken(error.to_string()))),
                },
                Served::End(end) => (Reason::Command, Some(end)),
            },
            Ok(Exit::PortRead(port, data)) => {
                guest.port_read(port, data);
                (Reason::PortRead, None)
            }
            Ok(Exit::PageLost) => match guest.lost_page().map(|place| vcpu.inject_page_fault(place)) {
                Some(Ok(())) => (Reason::PageLost, None),
                Some(Err(error)) => (Reason::Error, Some(VcpuEnd::Broken(error.to_string()))),
                None => {
                    (Reason::PageLost, Some(VcpuEnd::Broken("the host lost a page of its memory".into())))
                }
            },
            Ok(Exit::Interrupted) if stop.load(Ordering::Acquire) => (Reason::Kick, Some(VcpuEnd::Kicked)),
            Ok(Exit::Interrupted) => (Reason::Signal, None),
            Ok(Exit::Halted) => (Reason::Halt, None),
            Ok(Exit::Shutdown) => {
                (Reason::Shutdown, Some(VcpuEnd::Broken("the guest kernel took a triple fault".into())))
            }
            Ok(Exit::Failed(message)) => (Reason::Failed, Some(VcpuEnd::Broken(format!("KVM: {message}")))),
            Ok(Exit::Other(what)) => (Reason::Other, Some(VcpuEnd::Broken(format!("KVM returned {what}")))),
            Err(error) => (Reason::Error, Some(VcpuEnd::Broken(error.to_string()))),
        };
        guest.exits().count(reason);
        guest.after_exit();
        if guest.is_profiled()
            && reason == Reason::Signal
            && let Ok(regs) = vcpu.regs()
        {
            account.samples.add(regs.rip);
        }
        if let Some(mut end) = end {
            if let VcpuEnd::Broken(message) = &mut end
                && let Ok(regs) = vcpu.regs()
                && regs.rip != RESET_RIP
            {
                message.push_str(&format!(" (at {:#x})", regs.rip));
            }
            return (end, account);
        }
    }
}
