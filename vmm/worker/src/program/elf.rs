//! Whether an ELF file is a program that a partition can run, and which interpreter loads it.
//!
//! Reads the file header and the program headers only (ELF specification, chapters 1 and 2). Every offset comes from
//! the file and is checked against its length.

use std::io;

use thiserror::Error;

use super::executable::Executable;

/// What an ELF file starts with.
pub(super) const MAGIC: &[u8] = b"\x7fELF";

const HEADER_SIZE: usize = 64;
const PROGRAM_HEADER_SIZE: u16 = 56;
const MACHINE_X86_64: u16 = 62;
const TYPE_EXECUTABLE: u16 = 2;
const TYPE_SHARED: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_INTERPRETER: u32 = 3;
/// Linux's limit of a path.
const PATH_LIMIT: u64 = 4096;

/// A program that can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    /// `PT_INTERP`, without its NUL.
    pub(super) interpreter: Option<Vec<u8>>,
}

/// Why it cannot.
#[derive(Debug, Error)]
pub(super) enum ElfError {
    #[error("it is a program for {}, and the partition is x86-64", machine_name(*machine))]
    Machine { machine: u16 },
    #[error("it is a 32-bit program for {}, and the partition is x86-64, 64-bit", machine_name(*machine))]
    Narrow { machine: u16 },
    #[error("it is truncated: it has {has} bytes and needs {needs}")]
    Truncated { has: u64, needs: u64 },
    #[error("it is {}, not a program", kind_name(*.0))]
    Kind(u16),
    #[error("it is malformed: {0}")]
    Malformed(&'static str),
    #[error("it cannot be read")]
    Io(#[from] io::Error),
}

/// Checks an ELF file.
pub(super) fn inspect(file: &Executable) -> Result<Program, ElfError> {
    let length = file.len();
    let header: [u8; HEADER_SIZE] = read(file, length, 0)?;
    if !header.starts_with(MAGIC) {
        return Err(ElfError::Malformed("it does not start with an ELF header"));
    }
    let is_little_endian = match header[5] {
        1 => true,
        2 => false,
        _ => return Err(ElfError::Malformed("its byte order is unknown")),
    };
    let two = |at: usize| {
        let bytes = [header[at], header[at + 1]];
        if is_little_endian { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) }
    };
    let machine = two(18);
    match header[4] {
        1 => return Err(ElfError::Narrow { machine }),
        2 if machine == MACHINE_X86_64 && is_little_endian => {}
        2 => return Err(ElfError::Machine { machine }),
        _ => return Err(ElfError::Malformed("its word size is unknown")),
    }
    let kind = two(16);
    if kind != TYPE_EXECUTABLE && kind != TYPE_SHARED {
        return Err(ElfError::Kind(kind));
    }
    if two(54) != PROGRAM_HEADER_SIZE {
        return Err(ElfError::Malformed("its program headers have an unknown size"));
    }
    segments(file, length, quad(&header, 32), two(56))
}

fn segments(file: &Executable, length: u64, start: u64, count: u16) -> Result<Program, ElfError> {
    let mut interpreter = None;
    let mut has_load = false;
    for index in 0..u64::from(count) {
        let at = start
            .checked_add(index * u64::from(PROGRAM_HEADER_SIZE))
            .ok_or(ElfError::Malformed("its program headers are out of reach"))?;
        let header: [u8; PROGRAM_HEADER_SIZE as usize] = read(file, length, at)?;
        let (offset, size) = (quad(&header, 8), quad(&header, 32));
        match u32::from_le_bytes([header[0], header[1], header[2], header[3]]) {
            SEGMENT_LOAD => {
                has_load = true;
                within(length, offset, size)?;
            }
            SEGMENT_INTERPRETER if interpreter.is_none() => {
                within(length, offset, size)?;
                interpreter = Some(path(file, offset, size)?);
            }
            _ => {}
        }
    }
    if has_load { Ok(Program { interpreter }) } else { Err(ElfError::Malformed("it has nothing to load")) }
}

fn path(file: &Executable, offset: u64, size: u64) -> Result<Vec<u8>, ElfError> {
    const BAD: ElfError = ElfError::Malformed("the path of its interpreter is malformed");
    if !(2..=PATH_LIMIT).contains(&size) {
        return Err(BAD);
    }
    let mut path = vec![0; usize::try_from(size).map_err(|_| BAD)?];
    file.read_exact_at(&mut path, offset)?;
    if path.pop() != Some(0) || path.contains(&0) { Err(BAD) } else { Ok(path) }
}

fn within(length: u64, offset: u64, size: u64) -> Result<(), ElfError> {
    let needs = offset.checked_add(size).ok_or(ElfError::Malformed("a segment is out of reach"))?;
    if needs > length { Err(ElfError::Truncated { has: length, needs }) } else { Ok(()) }
}

fn read<const SIZE: usize>(file: &Executable, length: u64, at: u64) -> Result<[u8; SIZE], ElfError> {
    within(length, at, u64::try_from(SIZE).unwrap_or(u64::MAX))?;
    let mut bytes = [0; SIZE];
    file.read_exact_at(&mut bytes, at)?;
    Ok(bytes)
}

fn quad(bytes: &[u8], at: usize) -> u64 {
    let mut eight = [0; 8];
    eight.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(eight)
}

/// Who brings this interpreter, if it is a known one.
pub(super) fn package_of(interpreter: &[u8]) -> Option<&'static str> {
    let name = interpreter.rsplit(|&byte| byte == b'/').next()?;
    if name.starts_with(b"ld-musl") {
        Some("musl")
    } else if name.starts_with(b"ld-linux") {
        Some("the C library (glibc)")
    } else {
        None
    }
}

fn machine_name(machine: u16) -> String {
    let name = match machine {
        2 | 18 | 43 => "SPARC",
        3 => "x86 (i386)",
        8 => "MIPS",
        20 => "PowerPC",
        21 => "PowerPC 64",
        22 => "IBM Z",
        40 => "ARM",
        62 => "x86-64",
        183 => "ARM 64 (AArch64)",
        243 => "RISC-V",
        247 => "BPF",
        258 => "LoongArch",
        _ => return format!("machine number {machine}"),
    };
    name.to_owned()
}

fn kind_name(kind: u16) -> &'static str {
    match kind {
        1 => "an object file",
        4 => "a core dump",
        _ => "an ELF file of unknown kind",
    }
}
