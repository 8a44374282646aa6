//! The legacy way into configuration space: an address port and a data port (PCI 3.0 section 3.2.2.3.2).
//!
//! Guests that know ECAM never come here; Linux does, before it has read the tables that name the ECAM window.

use super::address::PciAddress;
use super::bus::PciBus;

/// First of the four ports that hold the address.
pub const CONFIG_ADDRESS_PORT: u16 = 0xcf8;
/// First of the four ports through which the addressed register is accessed.
pub const CONFIG_DATA_PORT: u16 = 0xcfc;

impl PciBus {
    /// Reads one of the ports 0xcf8 to 0xcff.
    pub fn config_port_read(&self, port: u16, data: &mut [u8]) {
        let selected = self.selected();
        data.fill(0xff);
        if port == CONFIG_ADDRESS_PORT && data.len() == 4 {
            data.copy_from_slice(&selected.to_le_bytes());
        } else if let Some((address, register)) = target(selected, port, data.len()) {
            self.config_read(address, register, data);
        }
    }

    /// Writes one of the ports 0xcf8 to 0xcff.
    pub fn config_port_write(&self, port: u16, data: &[u8]) {
        if port == CONFIG_ADDRESS_PORT {
            if let Ok(bytes) = data.try_into() {
                self.select(u32::from_le_bytes(bytes));
            }
        } else if let Some((address, register)) = target(self.selected(), port, data.len()) {
            self.config_write(address, register, data);
        }
    }
}

/// The register behind an access of `length` bytes to a data port; accesses past the last data port have none.
fn target(selected: u32, port: u16, length: usize) -> Option<(PciAddress, usize)> {
    let byte = usize::from(port.checked_sub(CONFIG_DATA_PORT)?);
    let (address, register) = PciAddress::from_config_address(selected)?;
    (byte + length <= 4).then_some((address, register + byte))
}
