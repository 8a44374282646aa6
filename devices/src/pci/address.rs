//! Naming a function of the bus, and decoding the two ways in which a guest names one.

use std::fmt;

/// Device number on bus 0; only function 0 of a device exists.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PciAddress {
    device: u8,
}

impl PciAddress {
    /// Devices on a bus.
    pub const DEVICES: usize = 32;

    /// Function 0 of this device of bus 0, if the bus has such a slot.
    #[must_use]
    pub fn new(device: u8) -> Option<Self> {
        (usize::from(device) < Self::DEVICES).then_some(Self { device })
    }

    /// Device number, 0 to 31.
    #[must_use]
    pub fn device(self) -> u8 {
        self.device
    }

    /// Splits an offset into the ECAM window into function and register.
    ///
    /// ```text
    /// 27     20 19    15 14  12 11       0
    /// ┌────────┬────────┬──────┬──────────┐
    /// │  bus   │ device │ func │ register │      PCI Express 7.2.2
    /// └────────┴────────┴──────┴──────────┘
    /// ```
    #[must_use]
    pub fn from_ecam(offset: u64) -> Option<(Self, usize)> {
        let device = u8::try_from(offset >> 15).ok()?;
        let function = (offset >> 12) & 0x7;
        let register = usize::try_from(offset & 0xfff).ok()?;
        (function == 0).then_some(())?;
        Some((Self::new(device)?, register))
    }

    /// Splits the value of the CF8 port into function and register.
    ///
    /// ```text
    ///  31   30    24 23   16 15    11 10   8 7        2 1 0
    /// ┌──┬─────────┬───────┬────────┬──────┬──────────┬───┐
    /// │en│ ignored │  bus  │ device │ func │ register │ 0 │      PCI 3.0 3.2.2.3.2
    /// └──┴─────────┴───────┴────────┴──────┴──────────┴───┘
    /// ```
    #[must_use]
    pub fn from_config_address(value: u32) -> Option<(Self, usize)> {
        let [register, function, bus, enable] = value.to_le_bytes();
        (enable & 0x80 != 0 && bus == 0 && function & 0x7 == 0).then_some(())?;
        Some((Self::new(function >> 3)?, usize::from(register & 0xfc)))
    }
}

impl fmt::Display for PciAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "00:{:02x}.0", self.device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_mechanisms_name_the_same_register() {
        let expected = Some((PciAddress { device: 3 }, 0x10));
        assert_eq!(PciAddress::from_ecam(3 << 15 | 0x10), expected);
        assert_eq!(PciAddress::from_config_address(0x8000_0000 | 3 << 11 | 0x10), expected);
    }

    #[test]
    fn other_buses_functions_and_disabled_accesses_name_nothing() {
        assert_eq!(PciAddress::from_ecam(1 << 20), None);
        assert_eq!(PciAddress::from_ecam(1 << 12), None);
        assert_eq!(PciAddress::from_ecam(u64::MAX), None);
        assert_eq!(PciAddress::from_config_address(3 << 11), None);
        assert_eq!(PciAddress::from_config_address(0x8001_0000), None);
    }
}
