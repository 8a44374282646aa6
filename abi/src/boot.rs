//! The boot page: what the guest kernel is told when it is entered.
//!
//! The host enters the kernel at the ELF entry point in 64-bit mode, paging on, interrupts off (in single-privilege mode: in
//! ring 3, and on), with RSP at the top of the first vCPU's kernel stack, GS base at its per-vCPU variables, and GDT, IDT, TSS, page
//! tables and MSRs already in place. Nothing else is passed in registers.

use crate::linux::SYSCALL_LIMIT;
use crate::ready::{DEVICES, ReadyDevice};

/// "SEPTUMBP", little endian.
pub const BOOT_MAGIC: u64 = u64::from_le_bytes(*b"SEPTUMBP");
/// "SEPTUMKH", little endian.
pub const HEADER_MAGIC: u64 = u64::from_le_bytes(*b"SEPTUMKH");

/// Where the guest kernel runs.
#[repr(u32)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Privilege {
    /// In ring 0, walled off from the program in ring 3.
    #[default]
    Ring0 = 0,
    /// In ring 3, like the program, where the host's KVM would emulate ring 0 instruction by instruction.
    Single = 1,
}

impl Privilege {
    /// The mode with this number.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        match number {
            0 => Some(Self::Ring0),
            1 => Some(Self::Single),
            _ => None,
        }
    }

    /// Its name for people: `ring0` or `single`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Ring0 => "ring0",
            Self::Single => "single",
        }
    }
}

/// A range of guest-physical memory.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct MemoryRange {
    /// First byte.
    pub start: u64,
    /// Length in bytes.
    pub len: u64,
}

/// The boot page, at [`crate::layout::BOOT_PAGE`].
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct BootPage {
    /// [`BOOT_MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// How many of `ram` are used.
    pub ram_count: u32,
    /// RAM, ascending.
    pub ram: [MemoryRange; 4],
    /// The first frame that the host did not use; everything from here to the end of RAM is free and zero.
    pub free_start: u64,
    /// Guest-physical address of the [boot configuration](crate::config).
    pub config_address: u64,
    /// Its length in bytes.
    pub config_len: u64,
    /// Guest-physical address of the ECAM.
    pub ecam_base: u64,
    /// Bit N: there is a device at 00:N.0, so that nobody has to look for absent ones.
    pub pci_devices: u32,
    /// CPUs that the program is told it has.
    pub cpu_count: u32,
    /// Frequency of the time-stamp counter in kHz.
    pub tsc_khz: u64,
    /// Frequency of the local APIC timer in kHz, before its divider.
    pub lapic_khz: u64,
    /// Non-zero if the local APIC timer has the TSC-deadline mode.
    pub has_tsc_deadline: u32,
    /// Non-zero: panic as soon as the kernel is up (tests the panic path).
    pub debug_panic: u32,
    /// A [`Privilege`].
    pub privilege: u32,
    /// vCPUs there may be at most: threads of the program.
    pub vcpu_limit: u32,
    /// The image that is mapped read-only from [`crate::layout::IMAGE_WINDOW`]'s start on: its length in bytes, whole pages; 0 if
    /// there is none.
    pub image_len: u64,
    /// Bit N: the function at 00:N.0 is one of the host's, and the programs'.
    pub passed_functions: u64,
    /// Devices that are up already.
    pub ready: [ReadyDevice; DEVICES],
    /// Random bytes: the key of the kernel's generator.
    pub seed: [u8; 32],
    /// Random bytes that the kernel gives out first (AT_RANDOM, places of mappings), each once.
    pub random: [[u8; 32]; 2],
}

/// The first thing in the guest kernel's image (section `.septum.header`), read by the host before it loads it.
///
/// Every address is the kernel's virtual address; the host builds the IDT and the MSRs from them, which
/// spares the guest that work.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct KernelHeader {
    /// [`HEADER_MAGIC`].
    pub magic: u64,
    /// [`crate::VERSION`].
    pub version: u32,
    /// How many system-call numbers the report has room for: [`SYSCALL_LIMIT`].
    pub syscall_limit: u32,
    /// Address of 256 handler addresses, one a vector.
    pub vector_table: u64,
    /// Handler of `syscall` in ring-0 mode; goes to LSTAR.
    pub syscall_entry: u64,
    /// First byte after the bss.
    pub image_end: u64,
    /// Address of 256 handler addresses for the single-privilege mode.
    pub single_vector_table: u64,
    /// Where a vCPU other than the first begins.
    pub secondary_entry: u64,
}

impl KernelHeader {
    /// The limit that this version of the contract sets.
    pub const SYSCALL_LIMIT: u32 = SYSCALL_LIMIT;
}
