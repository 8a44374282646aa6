//! The guest kernel's ELF file: loaded by `linux-loader`, and its header read.

use crate::guest::write_bytes;
use linux_loader::loader::KernelLoader;
use linux_loader::loader::elf::Elf;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};
use septum_abi::boot::{HEADER_MAGIC, KernelHeader};
use septum_abi::layout::{KERNEL_BASE, KERNEL_MAP, PAGE_SIZE};
use septum_memory::{GuestRam, OwnFile};
use std::io::Cursor;
use thiserror::Error;

/// A loaded segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    /// Guest-physical, page-aligned.
    pub start: u64,
    /// End, page-aligned.
    pub end: u64,
    /// Rights.
    pub write: bool,
    /// Rights.
    pub execute: bool,
}

/// The kernel in guest memory.
#[derive(Clone, Debug)]
pub struct LoadedKernel {
    /// Virtual address of the first instruction.
    pub entry: u64,
    /// Handler addresses of the ring-0 mode, one a vector.
    pub vectors: Vec<u64>,
    /// Those of the single-privilege mode.
    pub single_vectors: Vec<u64>,
    /// Where a vCPU other than the first begins.
    pub secondary_entry: u64,
    /// What LSTAR gets.
    pub syscall_entry: u64,
    /// Its parts.
    pub segments: Vec<Segment>,
    /// First free byte after it (guest-physical, page-aligned).
    pub end: u64,
}

/// The embedded kernel does not fit this worker: a build error, seen at once by every test.
#[derive(Debug, Error)]
pub enum ImageError {
    /// Not the ELF file that was expected.
    #[error("the guest kernel is not a usable ELF file: {0}")]
    Format(&'static str),
    /// Built for another contract.
    #[error("the guest kernel speaks version {0} of the contract, this worker {expected}", expected = septum_abi::VERSION)]
    Version(u32),
    /// It does not fit into guest memory.
    #[error("guest memory is too small for the guest kernel")]
    Memory,
}

const PAGE: u64 = PAGE_SIZE as u64;

/// Puts the kernel into guest memory: mapped from this program's own file as far as that goes.
///
/// # Errors
/// See [`ImageError`].
pub fn load(
    ram: &GuestRam,
    file: &'static [u8],
    own_file: Option<&OwnFile>,
) -> Result<LoadedKernel, ImageError> {
    let endian = LittleEndian;
    let header = elf::FileHeader64::<LittleEndian>::parse(file).map_err(|_| ImageError::Format("header"))?;
    let programs = header.program_headers(endian, file).map_err(|_| ImageError::Format("program headers"))?;
    if !own_file.is_some_and(|own_file| map(ram, own_file, programs, file)) {
        Elf::load(ram, None, &mut Cursor::new(file), None).map_err(|_| ImageError::Memory)?;
    }
    let mut segments = Vec::new();
    for program in programs.iter().filter(|program| program.p_type(endian) == elf::PT_LOAD) {
        let start = program.p_paddr(endian);
        if start < KERNEL_BASE || start % PAGE != 0 {
            return Err(ImageError::Format("segment address"));
        }
        let flags = program.p_flags(endian);
        segments.push(Segment {
            start,
            end: (start + program.p_memsz(endian)).next_multiple_of(PAGE),
            write: flags.contains(elf::PF_W),
            execute: flags.contains(elf::PF_X),
        });
    }
    let find = |address: u64, len: usize| {
        programs
            .iter()
            .find_map(|program| program.data_range(endian, file, address, len as u64).ok().flatten())
    };
    // The header opens the read-only segment.
    let place = segments.iter().find(|segment| !segment.write && !segment.execute);
    let place = place.ok_or(ImageError::Format("no read-only segment"))?.start + KERNEL_MAP;
    let bytes = find(place, size_of::<KernelHeader>()).ok_or(ImageError::Format("no kernel header"))?;
    let word =
        |at: usize| bytes.get(at..at + 8).and_then(|b| b.try_into().ok()).map_or(0, u64::from_le_bytes);
    if word(0) != HEADER_MAGIC {
        return Err(ImageError::Format("kernel header"));
    }
    let version = u32::try_from(word(8) & 0xffff_ffff).unwrap_or(0);
    if version != septum_abi::VERSION {
        return Err(ImageError::Version(version));
    }
    let vectors = |address: u64| -> Result<Vec<u64>, ImageError> {
        let table = find(address, 256 * 8).ok_or(ImageError::Format("vector table"))?;
        Ok(table.chunks_exact(8).filter_map(|b| b.try_into().ok()).map(u64::from_le_bytes).collect())
    };
    let end = word(32).checked_sub(KERNEL_MAP).ok_or(ImageError::Format("image end"))?;
    Ok(LoadedKernel {
        entry: header.e_entry(endian),
        vectors: vectors(word(16))?,
        single_vectors: vectors(word(40))?,
        secondary_entry: word(48),
        syscall_entry: word(24),
        segments,
        end: end.next_multiple_of(PAGE),
    })
}

/// Maps the whole pages of each segment, and copies the rest. False if that did not work.
fn map(
    ram: &GuestRam,
    own_file: &OwnFile,
    programs: &[elf::ProgramHeader64<LittleEndian>],
    file: &'static [u8],
) -> bool {
    let endian = LittleEndian;
    programs.iter().filter(|program| program.p_type(endian) == elf::PT_LOAD).all(|program| {
        let Ok(bytes) = program.data(endian, file) else { return false };
        let start = program.p_paddr(endian);
        let mapped = own_file.place(ram, start, bytes);
        let is_mapped = mapped == bytes.len() / PAGE_SIZE * PAGE_SIZE;
        is_mapped && write_bytes(ram, start + mapped as u64, &bytes[mapped..]).is_ok()
    })
}
