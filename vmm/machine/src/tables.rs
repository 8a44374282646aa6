//! Page tables, descriptor tables and task state, written into guest memory before it runs.

use crate::guest::{write_bytes, write_words};
use crate::image::LoadedKernel;
use septum_abi::boot::Privilege;
use septum_abi::layout::{
    BOOT_PAGE_TABLES, DIRECT_MAP, IDT_PAGE, KERNEL_MAP, LOW_RAM_END, MMIO_MAP, MMIO_SIZE, PAGE_SIZE,
    SERVICE_AREA, VCPU_CONTEXT_END, VCPU_FAULT_STACK_TOP, VCPU_FRAME_END, VCPU_GDT, VCPU_NUMBER, VCPU_TSS,
    VCPU_TSS_SIZE, selector,
};
use septum_memory::GuestRam;
use vm_memory::GuestMemoryError;

const PAGE: u64 = PAGE_SIZE as u64;
const PRESENT: u64 = 1;
const WRITE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
const UNCACHED: u64 = 1 << 3 | 1 << 4;
const ACCESSED_DIRTY: u64 = 1 << 5 | 1 << 6;
const LARGE: u64 = 1 << 7;
const GLOBAL: u64 = 1 << 8;
const NO_EXECUTE: u64 = 1 << 63;
const LARGE_PAGE: u64 = 2 << 20;

/// Page tables under construction, one after the other from `BOOT_PAGE_TABLES` on.
struct Builder {
    /// Flags of entries that lead to tables, besides those they always have.
    flags: u64,
    tables: Vec<[u64; 512]>,
}

impl Builder {
    fn new(flags: u64) -> Self {
        Self { flags, tables: vec![[0; 512]] }
    }

    /// Maps one page of the size that belongs to `last_level` (3: 4 KiB, 2: 2 MiB) at `address`.
    fn map(&mut self, address: u64, entry: u64, last_level: usize) {
        let index = |level: usize| usize::try_from(address >> (39 - 9 * level)).unwrap_or(0) & 511;
        let mut table = 0;
        for level in 0..last_level {
            let slot = self.tables[table][index(level)];
            table = if slot == 0 {
                let new = self.tables.len();
                self.tables.push([0; 512]);
                self.tables[table][index(level)] =
                    Self::address_of(new) | PRESENT | WRITE | ACCESSED_DIRTY | self.flags;
                new
            } else {
                usize::try_from((slot - BOOT_PAGE_TABLES) / PAGE).unwrap_or(0)
            };
        }
        self.tables[table][index(last_level)] = entry;
    }

    /// Where the table with this number is.
    fn address_of(table: usize) -> u64 {
        BOOT_PAGE_TABLES + table as u64 * PAGE
    }
}

/// Writes the page tables of `septum_abi::layout` for this RAM and kernel. The root is at `BOOT_PAGE_TABLES`.
///
/// In single-privilege mode all of it is for ring 3, and the direct map executable: system calls enter in vCPU areas.
pub fn write_page_tables(
    ram: &GuestRam,
    ranges: &[(u64, u64)],
    kernel: &LoadedKernel,
    privilege: Privilege,
) -> Result<(), GuestMemoryError> {
    let (user, no_execute) = match privilege {
        Privilege::Ring0 => (0, NO_EXECUTE),
        Privilege::Single => (USER, 0),
    };
    let mut builder = Builder::new(user);
    let data = PRESENT | WRITE | ACCESSED_DIRTY | no_execute | user;
    for &(start, len) in ranges {
        for address in (start..start + len).step_by(usize::try_from(LARGE_PAGE).unwrap_or(0)) {
            builder.map(DIRECT_MAP + address, address | data | LARGE | GLOBAL, 2);
        }
    }
    for offset in (0..MMIO_SIZE).step_by(usize::try_from(LARGE_PAGE).unwrap_or(0)) {
        builder.map(MMIO_MAP + offset, (LOW_RAM_END + offset) | data | UNCACHED | LARGE | GLOBAL, 2);
    }
    for segment in &kernel.segments {
        for address in (segment.start..segment.end).step_by(PAGE_SIZE) {
            let mut entry = address | PRESENT | ACCESSED_DIRTY | GLOBAL | user;
            if segment.write {
                entry |= WRITE;
            }
            if !segment.execute {
                entry |= NO_EXECUTE;
            }
            builder.map(KERNEL_MAP + address, entry, 3);
        }
    }
    debug_assert!(
        Builder::address_of(builder.tables.len()) <= SERVICE_AREA,
        "page tables run into what is behind them"
    );
    let mut tables = builder.tables.iter().enumerate();
    tables.try_for_each(|(number, entries)| write_words(ram, Builder::address_of(number), entries))
}

/// Writes the IDT: every vector an interrupt gate, the fatal ones on their own stack (IST1).
pub fn write_idt(ram: &GuestRam, vectors: &[u64]) -> Result<(), GuestMemoryError> {
    const FATAL: [usize; 3] = [2, 8, 18];
    let gate = |(vector, &handler): (usize, &u64)| {
        let ist = u64::from(FATAL.contains(&vector));
        // Breakpoint and overflow may be raised by a program.
        let dpl = if vector == 3 || vector == 4 { 3 } else { 0 };
        let attributes = 0x8e00 | dpl << 13 | ist;
        let low = (handler & 0xffff)
            | u64::from(selector::KERNEL_CODE) << 16
            | attributes << 32
            | (handler >> 16 & 0xffff) << 48;
        [low, handler >> 32]
    };
    let gates: Vec<u64> = vectors.iter().enumerate().flat_map(gate).collect();
    write_words(ram, IDT_PAGE, &gates)
}

/// Writes GDT, TSS and number of a vCPU into its area at guest-physical `area`.
pub fn write_vcpu_area(
    ram: &GuestRam,
    area: u64,
    number: u32,
    privilege: Privilege,
) -> Result<(), GuestMemoryError> {
    let base = DIRECT_MAP + area;
    let tss = base + VCPU_TSS;
    let limit = VCPU_TSS_SIZE - 1;
    let tss_low = limit | (tss & 0xff_ffff) << 16 | 0x89 << 40 | (tss >> 24 & 0xff) << 56;
    let gdt = [
        0,
        0,
        0x00af_9b00_0000_ffff, // 0x10 kernel code
        0x00cf_9300_0000_ffff, // 0x18 kernel data
        0x00cf_fb00_0000_ffff, // 0x20 user code, 32-bit
        0x00cf_f300_0000_ffff, // 0x28 user data
        0x00af_fb00_0000_ffff, // 0x30 user code
        0,
        tss_low, // 0x40
        tss >> 32,
    ];
    write_words(ram, area + VCPU_GDT, &gdt)?;
    let mut task = [0u8; 0x68];
    let stack = match privilege {
        Privilege::Ring0 => VCPU_CONTEXT_END,
        Privilege::Single => VCPU_FRAME_END,
    };
    task[4..12].copy_from_slice(&(base + stack).to_le_bytes());
    task[36..44].copy_from_slice(&(base + VCPU_FAULT_STACK_TOP).to_le_bytes());
    task[102..104].copy_from_slice(&0x68u16.to_le_bytes());
    write_bytes(ram, area + VCPU_TSS, &task)?;
    write_bytes(ram, area + VCPU_NUMBER, &number.to_le_bytes())
}
