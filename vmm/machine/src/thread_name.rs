//! Names of the guest's threads on the threads of the host that run them: `top -H` shows `3:python3`.
//!
//! The guest kernel writes the name into the vCPU's area; here it is looked at after each exit, which the guest makes one of where
//! a name should not be late. It is the guest's word: whatever it holds, the host shows printable characters.

use crate::guest::read;
use septum_abi::layout::VCPU_NAME;
use septum_memory::GuestRam;
use std::ffi::CString;

/// Bytes of a name on Linux (TASK_COMM_LEN), its end included.
const MOST: usize = 16;

/// The name of a vCPU's thread.
#[derive(Debug)]
pub struct ThreadName {
    number: u32,
    place: u64,
    shown: u128,
}

impl ThreadName {
    /// Of the vCPU with this number and area.
    pub fn new(number: u32, area: u64) -> Self {
        Self { number, place: area + VCPU_NAME, shown: 0 }
    }

    /// Gives the calling thread its name, if that has changed.
    pub fn show(&mut self, ram: &GuestRam) {
        // The area is RAM.
        let name = read::<u128>(ram, self.place).unwrap_or(0);
        if name != self.shown {
            self.shown = name;
            // A thread without a name works as well.
            if let Ok(text) = CString::new(text(self.number, name)) {
                let _ = rustix::thread::set_name(&text);
            }
        }
    }
}

/// What is shown of a name.
fn text(number: u32, name: u128) -> String {
    let bytes = name.to_le_bytes();
    let bytes = bytes.iter().take_while(|byte| **byte != 0);
    let printable = bytes.map(|&byte| if matches!(byte, 0x20..0x7f) { char::from(byte) } else { '?' });
    format!("{number}:").chars().chain(printable).take(MOST - 1).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(bytes: &[u8]) -> u128 {
        let mut all = [0; 16];
        all[..bytes.len()].copy_from_slice(bytes);
        u128::from_le_bytes(all)
    }

    #[test]
    fn the_number_comes_first_and_nothing_is_odd() {
        assert_eq!(text(3, name(b"python3")), "3:python3");
        assert_eq!(text(12, name(b"a\x1b[2J\xff\n")), "12:a?[2J??");
        assert_eq!(text(255, name(b"0123456789abcdef")), "255:0123456789a");
        assert_eq!(text(0, 0), "0:");
    }
}
