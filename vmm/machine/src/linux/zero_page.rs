//! What the kernel is told: the zero page (`Documentation/arch/x86/zero-page.rst`), with its map of memory.

use super::kernel::{LinuxError, LoadedLinux};
use super::layout::{ACPI, COMMAND_LINE, KERNEL_START, LOW_END, ZERO_PAGE};
use linux_loader::loader::bootparam::{boot_e820_entry, boot_params};
use septum_abi::layout::{ECAM_BASE, ECAM_SIZE};
use septum_memory::GuestRam;
use vm_memory::{Bytes as _, GuestAddress};

const USABLE: u32 = 1;
const RESERVED: u32 = 2;
/// A boot loader without a number of its own.
const LOADER: u8 = 0xff;

/// Memory of a partition of `bytes`: start, length, kind.
pub fn memory_map(bytes: u64) -> Vec<(u64, u64, u32)> {
    let mut map = vec![(0, LOW_END, USABLE), (LOW_END, KERNEL_START - LOW_END, RESERVED)];
    for (start, length) in septum_memory::ranges(bytes) {
        let first = start.max(KERNEL_START);
        map.push((first, (start + length).saturating_sub(first), USABLE));
    }
    // Linux uses the configuration space only if its place is reserved.
    map.push((ECAM_BASE, ECAM_SIZE, RESERVED));
    map.sort_unstable();
    map
}

/// Writes command line and zero page.
///
/// # Errors
/// They do not fit into memory.
pub fn write(ram: &GuestRam, kernel: &LoadedLinux, line: &[u8], bytes: u64) -> Result<(), LinuxError> {
    let mut params = boot_params { hdr: kernel.header, acpi_rsdp_addr: ACPI.start, ..boot_params::default() };
    params.hdr.type_of_loader = LOADER;
    params.hdr.cmd_line_ptr = u32::try_from(COMMAND_LINE).unwrap_or(0);
    let map = memory_map(bytes);
    params.e820_entries = u8::try_from(map.len()).unwrap_or(0);
    let mut table = [boot_e820_entry::default(); 128];
    for (entry, (addr, size, type_)) in table.iter_mut().zip(map) {
        *entry = boot_e820_entry { addr, size, type_ };
    }
    params.e820_table = table;
    let terminated = [line, b"\0"].concat();
    ram.write_slice(&terminated, GuestAddress(COMMAND_LINE))
        .and_then(|()| ram.write_obj(params, GuestAddress(ZERO_PAGE)))
        .map_err(|_| LinuxError::Structures)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_map_has_all_memory_and_no_overlap() {
        for bytes in [64 << 20, 3 << 30, 8 << 30] {
            let map = memory_map(bytes);
            assert!(map.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "{map:x?}");
            let usable: u64 = map.iter().filter(|entry| entry.2 == USABLE).map(|entry| entry.1).sum();
            assert_eq!(usable, bytes - (KERNEL_START - LOW_END));
        }
    }
}
