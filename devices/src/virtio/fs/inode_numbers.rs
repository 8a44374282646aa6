//! Inode numbers for a guest that sees one file system where the host has several.
//!
//! A file's number on the host is unique only together with its device. The guest is shown one device, so the
//! device's place in a table goes into the number:
//!
//! ```text
//!  63 62 61       48 47                                  0
//! ┌──┬──┬───────────┬────────────────────────────────────┐
//! │ 0│ m│  device   │  host number, or mixed (m) to fit  │
//! └──┴──┴───────────┴────────────────────────────────────┘
//! ```
//!
//! Devices get their places as they are met; the root's device has place 0, so its files keep the host's numbers.

use std::sync::{PoisonError, RwLock};

use super::listing::Numbers;

const NUMBER_BITS: u32 = 48;
const NUMBER_MASK: u64 = (1 << NUMBER_BITS) - 1;
/// Places for devices; those beyond share the last one.
const LAST_PLACE: u64 = (1 << 14) - 1;
const MIXED: u64 = 1 << 62;

/// Devices met so far.
#[derive(Debug, Default)]
pub(super) struct InodeNumbers {
    devices: RwLock<Vec<Device>>,
}

#[derive(Clone, Copy, Debug)]
struct Device {
    number: u64,
    listed: Option<Numbers>,
}

impl InodeNumbers {
    /// The number that the guest sees for file `number` of `device`.
    pub(super) fn number(&self, device: u64, number: u64) -> u64 {
        let place = self.place(device) << NUMBER_BITS;
        if number <= NUMBER_MASK {
            place | number
        } else {
            MIXED | place | (number ^ number >> NUMBER_BITS << 7) & NUMBER_MASK
        }
    }

    /// What is known of the numbers that the device lists.
    pub(super) fn listed(&self, device: u64) -> Option<Numbers> {
        let position = self.position(device);
        self.devices.read().unwrap_or_else(PoisonError::into_inner).get(position)?.listed
    }

    /// Notes it.
    pub(super) fn set_listed(&self, device: u64, listed: Numbers) {
        let position = self.position(device);
        let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = devices.get_mut(position) {
            known.listed = Some(listed);
        }
    }

    fn place(&self, device: u64) -> u64 {
        u64::try_from(self.position(device)).unwrap_or(LAST_PLACE).min(LAST_PLACE)
    }

    fn position(&self, number: u64) -> usize {
        let find = |devices: &[Device]| devices.iter().position(|known| known.number == number);
        let known = find(&self.devices.read().unwrap_or_else(PoisonError::into_inner));
        known.unwrap_or_else(|| {
            let mut devices = self.devices.write().unwrap_or_else(PoisonError::into_inner);
            find(&devices).unwrap_or_else(|| {
                devices.push(Device { number, listed: None });
                devices.len() - 1
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_different_devices_have_different_numbers() {
        let numbers = InodeNumbers::default();
        assert_eq!(numbers.number(7, 1234), 1234);
        assert_ne!(numbers.number(8, 1234), 1234);
        assert_eq!(numbers.number(7, 1234), 1234);
        assert_eq!(numbers.number(8, 1234), numbers.number(8, 1234));
        assert_ne!(numbers.number(8, 1234), numbers.number(8, 1235));
    }

    #[test]
    fn large_numbers_fit_and_stay_apart_from_small_ones() {
        let numbers = InodeNumbers::default();
        let large = numbers.number(7, u64::MAX - 1);
        assert_ne!(large, numbers.number(7, u64::MAX));
        assert!(large < 1 << 63);
        assert_ne!(large & MIXED, 0);
    }
}
