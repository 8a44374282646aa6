//! What a vCPU's thread does: runs the guest, serves its exits, until somebody ends the partition.

use crate::exits::Reason;
use crate::profile::Samples;
use crate::thread_name::ThreadName;
use crate::vcpus::Vcpus;
use septum_abi::control::Command;
use septum_abi::layout::{COMMAND_PORT, LOST_PAGE};
use septum_abi::service::CALL;
use septum_hypervisor::{Exit, Vcpu};
use std::sync::Arc;
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

/// Runs `vcpu` to its end, in the thread that `name` is about.
pub fn run(mut vcpu: Vcpu, vcpus: &Arc<Vcpus>, mut name: ThreadName) -> (VcpuEnd, Account) {
    let mut account = Account::default();
    let stop = vcpu.stop_flag();
    loop {
        let (reason, end) = match vcpu.run() {
            Ok(Exit::MmioRead(address, data)) => {
                vcpus.bus().read(address, data);
                (Reason::MmioRead, None)
            }
            Ok(Exit::MmioWrite(address, data)) => {
                vcpus.bus().write(address, data);
                (Reason::MmioWrite, None)
            }
            Ok(Exit::PortWrite(COMMAND_PORT, data)) => match number_of(data) {
                Some(Command::ResetExtendedState) => match vcpu.reset_extended_state() {
                    Ok(()) => (Reason::Command, None),
                    Err(error) => (Reason::Error, Some(VcpuEnd::Broken(error.to_string()))),
                },
                Some(number) => (Reason::Command, command(number, vcpus)),
                None => {
                    if let Some(number) = service_call(data) {
                        vcpus.service().call(number, vcpus.ram(), &stop);
                    }
                    (Reason::Command, None)
                }
            },
            Ok(Exit::PortWrite(..)) => (Reason::PortWrite, None),
            Ok(Exit::PortRead(_, data)) => {
                data.fill(0xff);
                (Reason::PortRead, None)
            }
            Ok(Exit::PageLost) => match vcpu.inject_page_fault(LOST_PAGE) {
                Ok(()) => (Reason::PageLost, None),
                Err(error) => (Reason::Error, Some(VcpuEnd::Broken(error.to_string()))),
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
        vcpus.exits().count(reason);
        name.show(vcpus.ram());
        if vcpus.is_profiled()
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

/// What the guest wrote to the command port.
fn number_of(data: &[u8]) -> Option<Command> {
    <[u8; 4]>::try_from(data).ok().and_then(|bytes| Command::from_number(u32::from_le_bytes(bytes)))
}

/// The same, if it is a call of the service vCPU.
fn service_call(data: &[u8]) -> Option<u32> {
    let number = u32::from_le_bytes(data.try_into().ok()?);
    (number & CALL != 0).then_some(number)
}

fn command(command: Command, vcpus: &Arc<Vcpus>) -> Option<VcpuEnd> {
    match command {
        Command::Exit | Command::Panic => Some(VcpuEnd::Reported),
        Command::Log | Command::Renamed | Command::ResetExtendedState => None,
        Command::StartVcpu => {
            vcpus.start_for_guest();
            None
        }
        Command::StartService => {
            vcpus.start_service();
            None
        }
    }
}
