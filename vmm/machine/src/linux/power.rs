//! How a guest turns its machine off, or resets it.

use super::kernel::LinuxError;
use super::layout::{
    KEYBOARD_PORT, KEYBOARD_RESET, RESET_PORT, RESET_VALUE, RESET_VECTOR, SLEEP_OFF, SLEEP_PORT,
};
use crate::guest::write_bytes;
use crate::run_loop::VcpuEnd;
use septum_memory::GuestRam;

/// Sleep control register: the sleep type is in bits 2 to 4, bit 5 goes there (ACPI 6.5 section 4.8.3.7.1).
const SLEEP_ENABLE: u8 = 1 << 5;

/// In real mode. Linux on hardware-reduced ACPI wants EFI to restart it, and without EFI goes back to where a PC begins, for firmware to do it.
const AT_RESET_VECTOR: [u8; 9] = [
    0xb0,
    RESET_VALUE, // mov al, RESET_VALUE
    0xba,
    RESET_PORT.to_le_bytes()[0],
    RESET_PORT.to_le_bytes()[1], // mov dx, RESET_PORT
    0xee,                        // out dx, al
    0xf4,                        // hlt
    0xeb,
    0xfd, // jmp to the hlt
];

/// Writes what stands where firmware would.
///
/// # Errors
/// There is no memory.
pub fn write(ram: &GuestRam) -> Result<(), LinuxError> {
    write_bytes(ram, RESET_VECTOR, &AT_RESET_VECTOR).map_err(|_| LinuxError::Structures)
}

/// What a write to one of the registers means; `None` if it means nothing.
pub fn written(port: u16, data: &[u8]) -> Option<VcpuEnd> {
    let &[value, ..] = data else { return None };
    match port {
        SLEEP_PORT if value & SLEEP_ENABLE != 0 && (value >> 2) & 7 == SLEEP_OFF => Some(VcpuEnd::PoweredOff),
        RESET_PORT if value == RESET_VALUE => Some(VcpuEnd::Restarted),
        KEYBOARD_PORT if value == KEYBOARD_RESET => Some(VcpuEnd::Restarted),
        _ => None,
    }
}

/// What is read there: it never slept. `None` for a port that is not one of them.
pub fn read(port: u16) -> Option<u8> {
    matches!(port, SLEEP_PORT | RESET_PORT).then_some(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_soft_off_turns_the_machine_off() {
        for value in 0..=u8::MAX {
            let is_off = matches!(written(SLEEP_PORT, &[value]), Some(VcpuEnd::PoweredOff));
            assert_eq!(is_off, value & 0x3c == 0x34, "{value:#x}");
        }
        assert!(matches!(written(RESET_PORT, &[1]), Some(VcpuEnd::Restarted)));
        assert!(matches!(written(KEYBOARD_PORT, &[0xfe]), Some(VcpuEnd::Restarted)));
        assert!(written(KEYBOARD_PORT, &[0xd1]).is_none());
        assert!(written(RESET_PORT, &[]).is_none());
        assert!(written(0x3f8, &[1]).is_none());
    }
}
