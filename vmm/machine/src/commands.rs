//! What Septum's own guest kernel says to its worker: commands by a port, while it is stopped in the exit.

use crate::bus::Bus;
use crate::exits::{Exits, Reason};
use crate::run_loop::{Guest, Served, VcpuEnd};
use crate::thread_name::ThreadName;
use crate::vcpus::Vcpus;
use septum_abi::control::Command;
use septum_abi::layout::{COMMAND_PORT, LOST_PAGE};
use septum_abi::service::CALL;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// One vCPU of the kernel.
pub struct Commands {
    /// All of them.
    pub vcpus: Arc<Vcpus>,
    /// Of the thread that runs it.
    pub name: ThreadName,
    /// Set when it is to stop.
    pub stop: Arc<AtomicBool>,
}

impl Guest for Commands {
    fn bus(&self) -> &Bus {
        self.vcpus.bus()
    }

    fn exits(&self) -> &Exits {
        self.vcpus.exits()
    }

    fn port_read(&mut self, _port: u16, data: &mut [u8]) {
        data.fill(0xff);
    }

    fn port_write(&mut self, port: u16, data: &[u8]) -> Served {
        if port != COMMAND_PORT {
            return Served::As(Reason::PortWrite);
        }
        match number_of(data) {
            Some(Command::ResetExtendedState) => return Served::ResetExtendedState,
            Some(Command::Exit | Command::Panic) => return Served::End(VcpuEnd::Reported),
            Some(Command::StartVcpu) => self.vcpus.start_for_guest(),
            Some(Command::StartService) => self.vcpus.start_service(),
            Some(Command::Log | Command::Renamed) => {}
            None => {
                if let Some(number) = service_call(data) {
                    self.vcpus.service().call(number, self.vcpus.ram(), &self.stop);
                }
            }
        }
        Served::As(Reason::Command)
    }

    fn lost_page(&self) -> Option<u64> {
        Some(LOST_PAGE)
    }

    fn after_exit(&mut self) {
        self.name.show(self.vcpus.ram());
    }

    fn is_profiled(&self) -> bool {
        self.vcpus.is_profiled()
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
