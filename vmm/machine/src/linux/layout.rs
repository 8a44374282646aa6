//! Where things are for a Linux guest: guest-physical memory and ports.
//!
//! ```text
//! 0x0000_0000  RAM
//! 0x0000_0500  GDT                         until Linux has its own
//! 0x0000_7000  zero page                   boot_params of the boot protocol
//! 0x0000_9000  page tables (6 pages)       the first 4 GiB where they are, until Linux has its own
//! 0x0002_0000  command line
//! 0x0009_fc00  reserved
//! 0x000e_0000  ACPI tables, first of them the root pointer
//! 0x000f_fff0  what resets the machine     for kernels that jump there to restart
//! 0x0010_0000  kernel                      where it wants to be; bzImage: 0x10_0000, and unpacks itself to where it wants to be
//!      …       free RAM
//!      …       initial RAM disk            at the end of low RAM
//! 0xc000_0000  end of low RAM at the latest; PCI memory window, configuration space, APICs, high RAM as for our own kernel (`septum_abi::layout`)
//! ```
//!
//! ```text
//! port 0x3f8..0x400   serial port, line 4
//! port 0x600          sleep control, sleep status      (ACPI 6.5 section 4.8.3.7)
//! port 0x601          reset                            (ACPI 6.5 section 4.8.3.6)
//! port 0x64           the keyboard controller's command that resets, for `reboot=k`
//! port 0xcf8..0xd00   PCI configuration space
//! ```

use std::ops::Range;

/// Descriptors for the entry.
pub const GDT: u64 = 0x500;
/// What the kernel is told (`struct boot_params`).
pub const ZERO_PAGE: u64 = 0x7000;
/// Top level of the page tables for the entry.
pub const PAGE_TABLES: u64 = 0x9000;
/// The command line.
pub const COMMAND_LINE: u64 = 0x2_0000;
/// End of the memory below 1 MiB that is the kernel's.
pub const LOW_END: u64 = 0x9_fc00;
/// ACPI tables; a kernel that is not told where looks for the root pointer here.
pub const ACPI: Range<u64> = 0xe_0000..RESET_VECTOR;
/// Where a PC without firmware begins, in real mode.
pub const RESET_VECTOR: u64 = 0xf_fff0;
/// A kernel's image begins here or above.
pub const KERNEL_START: u64 = 0x10_0000;

/// I/O APIC.
pub const IO_APIC: u32 = 0xfec0_0000;

/// The serial port.
pub const SERIAL: Range<u16> = 0x3f8..0x400;
/// Its interrupt.
pub const SERIAL_LINE: u32 = 4;
/// Sleep control and status.
pub const SLEEP_PORT: u16 = 0x600;
/// Reset.
pub const RESET_PORT: u16 = 0x601;
/// What is written there to reset.
pub const RESET_VALUE: u8 = 1;
/// The sleep type of "soft off".
pub const SLEEP_OFF: u8 = 5;
/// Command port of a PC's keyboard controller.
pub const KEYBOARD_PORT: u16 = 0x64;
/// Its command that pulses the reset line.
pub const KEYBOARD_RESET: u8 = 0xfe;
