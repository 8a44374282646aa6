//! The kernel's half, which the page tables of all programs share from the third level on.

use super::{
    ADDRESS, DIRTY, Frame, LARGE, NO_EXECUTE, OutOfMemory, PRESENT, PageTable, PhysAddr, TABLE_OF_KERNEL,
    arch,
};
use core::sync::atomic::Ordering;

/// The table at `level` that the walk for `virtual_address` comes to, made if it is missing; `bits` are those of pages of the kernel.
fn table_at(root: PhysAddr, virtual_address: u64, level: usize, bits: u64) -> Result<PhysAddr, OutOfMemory> {
    let mut table = root;
    for level in 0..level {
        let entry = PageTable::entry(table, PageTable::index(virtual_address, level));
        let mut value = entry.load(Ordering::Relaxed);
        if value & PRESENT == 0 {
            let table_bits = (bits & !NO_EXECUTE) | TABLE_OF_KERNEL;
            value = Frame::for_kernel().ok_or(OutOfMemory)?.into_address().0 | table_bits;
            entry.store(value, Ordering::Release);
        }
        table = PhysAddr(value & ADDRESS);
    }
    Ok(table)
}

/// Maps the 2 MiB at `address`, which are no RAM, into the direct map of all programs; nothing happens if they are there already.
pub(crate) fn show_in_direct_map(address: PhysAddr) -> Result<(), OutOfMemory> {
    let Some((root, bits)) = arch::direct_map() else { return Ok(()) };
    let virtual_address = septum_abi::layout::DIRECT_MAP + address.0;
    let table = table_at(root, virtual_address, 2, bits)?;
    let entry = PageTable::entry(table, PageTable::index(virtual_address, 2));
    entry.store(address.0 | bits | TABLE_OF_KERNEL | DIRTY | LARGE, Ordering::Release);
    Ok(())
}

/// Maps `frame` for ever at `address`, where nothing is, to be read and executed by whoever may execute the direct map: nobody but in
/// single-privilege mode.
#[cfg(target_os = "none")]
pub(crate) fn map_code(address: u64, frame: Frame) -> Result<(), OutOfMemory> {
    let (root, bits) = arch::direct_map().ok_or(OutOfMemory)?;
    let table = table_at(root, address, 3, bits)?;
    let entry = PageTable::entry(table, PageTable::index(address, 3));
    entry.store(frame.into_address().0 | bits | TABLE_OF_KERNEL | DIRTY, Ordering::Release);
    Ok(())
}
