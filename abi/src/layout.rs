//! Where things are: guest-physical and guest-virtual memory, selectors and ports.
//!
//! Guest-physical memory, as the host lays it out:
//!
//! ```text
//! 0x0000_0000  nothing (catches null)
//! 0x0000_1000  boot page                       boot::BootPage
//! 0x0000_2000  clock page                      clock::ClockPage, mapped read-only into programs (vvar)
//! 0x0000_3000  IDT, one for all vCPUs
//! 0x0000_4000  report                          report::GuestReport (64 KiB)
//! 0x0001_4000  rings of ready devices           ready::ReadyQueue (48 KiB)
//! 0x0002_0000  first vCPU's area (64 KiB; the guest makes room for others where it likes)
//! 0x0003_0000  boot page tables
//! 0x000f_0000  service vCPU's area (64 KiB), if it starts
//! 0x0010_0000  guest kernel image (text, read-only data, data, bss)
//!              boot configuration              config::BootConfig
//!              free memory                     BootPage::free_start ..
//! 0xc000_0000  end of low RAM; PCI memory windows
//! 0xe000_0000  ECAM (PCI configuration space, bus 0)
//! 0xfee0_0000  local APIC
//! 0x1_0000_0000  high RAM, if any
//! 0x40_0000_0000 file window: files of the host, mapped on request
//! 0x42_0000_0000 image window: the image that is the root, if one is (boot::BootPage::image)
//! 0x60_0000_0000 large BARs of devices of the host, up to 0x80_0000_0000
//! ```
//!
//! Guest-virtual memory (PML4 slots in brackets; slot 256 is not usable on every host):
//!
//! ```text
//! 0x0000_0000_0000_0000 [0..255]  the program
//! 0xffff_8800_0000_0000 [272]     direct map of guest-physical memory below `MMIO_BASE`'s reach, no execute
//! 0xffff_9000_0000_0000 [288]     the last GiB below 4 GiB (devices, ECAM, local APIC), uncached
//! 0xffff_ffff_8010_0000 [511]     the guest kernel image
//! ```

/// Size of a page and of a frame, in bytes.
pub const PAGE_SIZE: usize = 4096;
/// `log2(PAGE_SIZE)`.
pub const PAGE_SHIFT: u32 = 12;

/// Guest-physical address of the [`crate::boot::BootPage`].
pub const BOOT_PAGE: u64 = 0x1000;
/// Guest-physical address of the [`crate::clock::ClockPage`].
pub const CLOCK_PAGE: u64 = 0x2000;
/// Guest-physical address of the interrupt descriptor table (256 gates of 16 bytes).
pub const IDT_PAGE: u64 = 0x3000;
/// Guest-physical address of the [`crate::report::GuestReport`].
pub const REPORT: u64 = 0x4000;
/// Bytes set aside for the report.
pub const REPORT_SIZE: u64 = 0x1_0000;
/// Guest-physical memory for the rings of devices that are up before the guest runs.
pub const READY_RINGS: core::ops::Range<u64> = REPORT + REPORT_SIZE..FIRST_VCPU_AREA;
/// Guest-physical address of the first vCPU's [area](VCPU_AREA_SIZE).
pub const FIRST_VCPU_AREA: u64 = 0x2_0000;
/// Guest-physical address of the boot page tables.
pub const BOOT_PAGE_TABLES: u64 = 0x3_0000;
/// Guest-physical address of the [service vCPU](crate::service)'s area. Page tables end below it.
pub const SERVICE_AREA: u64 = KERNEL_BASE - VCPU_AREA_SIZE;
/// Guest-physical address of the guest kernel image.
pub const KERNEL_BASE: u64 = 0x10_0000;
/// End of RAM below 4 GiB, and start of the PCI memory window.
pub const LOW_RAM_END: u64 = 0xc000_0000;
/// PCI memory window below 4 GiB (end is exclusive).
pub const PCI_WINDOW: core::ops::Range<u64> = 0xc000_0000..0xe000_0000;
/// PCI configuration space of bus 0 (PCI Express ECAM).
pub const ECAM_BASE: u64 = 0xe000_0000;
/// Size of the ECAM of one bus.
pub const ECAM_SIZE: u64 = 0x10_0000;
/// Local APIC registers.
pub const LAPIC_BASE: u64 = 0xfee0_0000;
/// From here on the host backs RAM with huge pages where it can: a multiple of 2 MiB. Below are boot structures, kernel image
/// and what small programs need.
pub const BULK_RAM_START: u64 = 0x80_0000;
/// RAM that does not fit below [`LOW_RAM_END`] continues here.
pub const HIGH_RAM_START: u64 = 0x1_0000_0000;
/// Where files of the host are mapped: above all RAM, within what every processor can address, and aligned to its size.
pub const FILE_WINDOW: core::ops::Range<u64> = 0x40_0000_0000..0x42_0000_0000;
/// Where an image is mapped, read-only: behind the file window, within what every processor can address.
pub const IMAGE_WINDOW: core::ops::Range<u64> = FILE_WINDOW.end..0x4a_0000_0000;
/// Where BARs with addresses of 64 bits are, of devices of the host: within what every processor can address.
pub const HIGH_PCI_WINDOW: core::ops::Range<u64> = 0x60_0000_0000..0x80_0000_0000;
/// Where a page fault is said to be whose page the host lost, as it does when a mapped file becomes shorter: the window in the direct
/// map. Which page that was has to be found out from the files.
pub const LOST_PAGE: u64 = DIRECT_MAP + FILE_WINDOW.start;
/// What is mapped there at once is a multiple of this, and so are its place and its offset in the file.
pub const FILE_WINDOW_UNIT: u64 = 2 << 20;

/// Virtual address of guest-physical 0 in the direct map.
pub const DIRECT_MAP: u64 = 0xffff_8800_0000_0000;
/// Virtual address at which the GiB that starts at [`LOW_RAM_END`] is mapped uncached.
pub const MMIO_MAP: u64 = 0xffff_9000_0000_0000;
/// Bytes mapped at [`MMIO_MAP`].
pub const MMIO_SIZE: u64 = 0x4000_0000;
/// Virtual address of guest-physical 0 in the kernel image's mapping.
pub const KERNEL_MAP: u64 = 0xffff_ffff_8000_0000;
/// First address that a program cannot use.
pub const USER_END: u64 = 0x0000_7fff_ffff_f000;

/// Bytes set aside for the vDSO.
pub const VDSO_LEN: u64 = 0x1000;
/// Offset in the vDSO of the code that saves the extended state and goes on to a signal handler.
pub const VDSO_SIGNAL_ENTRY: u64 = 0xa00;
/// Offset in the vDSO of the code that restores the extended state after a signal handler.
pub const VDSO_SIGNAL_RETURN: u64 = 0xa40;
/// System-call number with which the latter ends a signal: not one of Linux's.
pub const SIGNAL_END_CALL: u64 = 0x5e9;

/// Bytes per vCPU area, and its alignment: whoever runs on the vCPU's stack finds the area by masking RSP.
///
/// ```text
/// +0x0000  GDT (VCPU_GDT), TSS (VCPU_TSS)
/// +0x0200  per-vCPU variables of the guest kernel (VCPU_LOCAL)
/// +0x0400  the program's registers, 176 bytes, up to VCPU_CONTEXT_END
/// +0x0500  single-privilege mode: where the CPU pushes frames, two places of 256 bytes (ends VCPU_ALTERNATE_FRAME_END,
///          VCPU_FRAME_END), then the frames with which ring 0 enters the kernel (VCPU_ENTRY_FRAME, VCPU_FAULT_ENTRY_FRAME)
/// +0x1000  IST stack of double faults, NMI and machine checks   top VCPU_FAULT_STACK_TOP
/// +0x3000  single-privilege mode: entry of system calls (VCPU_SYSCALL_ENTRY), a page of code
/// +0x4000  kernel stack                                         top VCPU_KERNEL_STACK_TOP
/// ```
pub const VCPU_AREA_SIZE: u64 = 0x1_0000;
/// Offset of the GDT in a vCPU area.
pub const VCPU_GDT: u64 = 0x0;
/// Bytes of the GDT (9 descriptors, the TSS taking two).
pub const VCPU_GDT_SIZE: u64 = 0x50;
/// Offset of the TSS in a vCPU area.
pub const VCPU_TSS: u64 = 0x80;
/// Bytes of the TSS; the I/O permission map lies past this limit, so there is none.
pub const VCPU_TSS_SIZE: u64 = 0x68;
/// Offset of the guest kernel's per-vCPU variables; the base of GS while in the kernel.
pub const VCPU_LOCAL: u64 = 0x200;
/// Offset of the vCPU's number (32 bits, written by the host), which is one of those variables.
pub const VCPU_NUMBER: u64 = VCPU_LOCAL + 24;
/// Offset of the name of the thread that the vCPU runs (16 bytes, ends with zeros), for the host to show; one of those variables.
pub const VCPU_NAME: u64 = VCPU_LOCAL + 72;
/// Offset of the end of the program's registers: what the TSS calls the stack of ring 0.
pub const VCPU_CONTEXT_END: u64 = 0x4b0;
/// Offset of the top of the IST1 stack.
pub const VCPU_FAULT_STACK_TOP: u64 = 0x3000;
/// Offset of the end of the place where the CPU pushes frames in single-privilege mode: what the TSS calls the stack of ring 0.
pub const VCPU_FRAME_END: u64 = 0x700;
/// Offset of the end of the place where it pushes them while the one before is being copied.
pub const VCPU_ALTERNATE_FRAME_END: u64 = 0x600;
/// Offset of the frame (RIP, CS, RFLAGS, RSP, SS) with which ring 0 enters the kernel in single-privilege mode.
pub const VCPU_ENTRY_FRAME: u64 = 0x700;
/// Offset of the one with which it enters the kernel for a page fault.
pub const VCPU_FAULT_ENTRY_FRAME: u64 = 0x740;
/// Offset of the page of code that LSTAR names in single-privilege mode.
pub const VCPU_SYSCALL_ENTRY: u64 = 0x3000;
/// Offset of the top of the kernel stack.
pub const VCPU_KERNEL_STACK_TOP: u64 = VCPU_AREA_SIZE;

/// Selectors, laid out as Linux does (some hosts insist on it).
pub mod selector {
    /// Kernel code, 64-bit.
    pub const KERNEL_CODE: u16 = 0x10;
    /// Kernel data.
    pub const KERNEL_DATA: u16 = 0x18;
    /// Base of `sysretq`: 32-bit user code.
    pub const USER_CODE_32: u16 = 0x23;
    /// User data.
    pub const USER_DATA: u16 = 0x2b;
    /// User code, 64-bit.
    pub const USER_CODE: u16 = 0x33;
    /// Task state segment.
    pub const TSS: u16 = 0x40;
}

/// I/O port on which the guest kernel gives the worker a [`Command`](crate::control::Command).
pub const COMMAND_PORT: u16 = 0x5e0;
