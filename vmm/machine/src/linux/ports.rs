//! What a vCPU of a Linux guest reaches by ports.

use super::layout::SERIAL;
use super::power;
use super::serial::SerialPort;
use crate::bus::Bus;
use crate::exits::{Exits, Reason};
use crate::run_loop::{Guest, Served};
use septum_devices::pci::{CONFIG_ADDRESS_PORT, CONFIG_DATA_PORT};
use std::sync::Arc;

/// The platform, as one vCPU sees it.
#[derive(Clone)]
pub struct Platform {
    /// PCI.
    pub bus: Arc<Bus>,
    /// The console.
    pub serial: Arc<SerialPort>,
    /// Of all vCPUs together.
    pub exits: Arc<Exits>,
}

/// A register of the serial port.
fn serial_register(port: u16) -> Option<u8> {
    if SERIAL.contains(&port) { u8::try_from(port - SERIAL.start).ok() } else { None }
}

fn is_configuration(port: u16) -> bool {
    (CONFIG_ADDRESS_PORT..CONFIG_DATA_PORT + 4).contains(&port)
}

impl Guest for Platform {
    fn bus(&self) -> &Bus {
        &self.bus
    }

    fn exits(&self) -> &Exits {
        &self.exits
    }

    fn port_read(&mut self, port: u16, data: &mut [u8]) {
        if let Some(register) = serial_register(port) {
            self.serial.read(register, data);
        } else if is_configuration(port) {
            self.bus.pci.config_port_read(port, data);
        } else {
            data.fill(power::read(port).unwrap_or(0xff));
        }
    }

    fn port_write(&mut self, port: u16, data: &[u8]) -> Served {
        if let Some(register) = serial_register(port) {
            self.serial.write(register, data);
            return Served::As(Reason::Serial);
        }
        if is_configuration(port) {
            self.bus.pci.config_port_write(port, data);
        } else if let Some(end) = power::written(port, data) {
            return Served::End(end);
        }
        Served::As(Reason::PortWrite)
    }

    fn lost_page(&self) -> Option<u64> {
        None
    }
}
