//! A Linux kernel's image: told from other files, checked, and put into guest memory.
//!
//! The file is the user's, and is not believed: what its header says is compared with its length and with the partition's memory before
//! anything is copied. What it does to the guest is the guest's affair.

use super::layout::KERNEL_START;
use linux_loader::loader::bootparam::{XLF_KERNEL_64, setup_header};
use linux_loader::loader::{BzImage, Elf, KernelLoader as _};
use object::read::ReadCache;
use object::read::elf::{FileHeader, ProgramHeader};
use object::{LittleEndian, elf};
use septum_memory::GuestRam;
use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use thiserror::Error;
use vm_memory::{Address as _, ByteValued as _, Bytes as _, GuestAddress};

/// Where a bzImage has its header (Linux boot protocol).
const HEADER: u64 = 0x1f1;
/// "HdrS".
const MAGIC: u32 = 0x5372_6448;
/// The first version that says what 64-bit mode needs: Linux 3.8.
const VERSION_64: u16 = 0x20c;
/// Where a bzImage is entered in 64-bit mode, from its start in memory.
const ENTRY_64: u64 = 0x200;
/// Bytes of a command line that every kernel takes, the zero at its end not counted.
const USUAL_COMMAND_LINE: u32 = 2047;

/// Why a kernel cannot be started.
#[derive(Debug, Error)]
pub enum LinuxError {
    /// Something else.
    #[error("it is neither a bzImage nor an ELF file for x86-64")]
    NoKernel,
    /// Too old, or built for 32 bits.
    #[error("it cannot be entered in 64-bit mode")]
    Not64,
    /// It is not whole.
    #[error("it is cut off: it has {have} bytes and should have {should} or more")]
    CutOff {
        /// Bytes.
        have: u64,
        /// As its header says.
        should: u64,
    },
    /// It makes no sense.
    #[error("it is damaged: {0}")]
    Damaged(&'static str),
    /// It cannot be read.
    #[error("it cannot be read")]
    Read(#[source] io::Error),
    /// Memory is too small.
    #[error("kernel and initial RAM disk need {needed} bytes of memory")]
    Memory {
        /// Bytes.
        needed: u64,
    },
    /// The RAM disk cannot be read.
    #[error("the initial RAM disk cannot be read")]
    RamDisk(#[source] io::Error),
    /// The command line is too long.
    #[error("the command line has {have} bytes, and the kernel takes {limit}")]
    CommandLine {
        /// Bytes.
        have: usize,
        /// The most.
        limit: u32,
    },
    /// The host's KVM has no ring 0 that Linux could run in.
    #[error("this host's KVM emulates ring 0, and not all of it")]
    EmulatedRing0,
    /// More than APIC ids can tell apart.
    #[error("{0} processors are too many")]
    Cpus(u32),
    /// Boot structures do not fit.
    #[error("guest memory is too small for the boot structures")]
    Structures,
}

/// A kernel in guest memory.
#[derive(Debug)]
pub struct LoadedLinux {
    /// Physical address of its first instruction in 64-bit mode.
    pub entry: u64,
    /// What it is told of itself.
    pub header: setup_header,
    /// First byte that it does not need before it knows its memory.
    pub end: u64,
}

/// Loads `file` into `ram`, whose part below 4 GiB ends at `low_end`.
///
/// # Errors
/// It is no kernel, not whole, or does not fit.
pub fn load(ram: &GuestRam, file: &mut File, low_end: u64) -> Result<LoadedLinux, LinuxError> {
    let length = file.seek(SeekFrom::End(0)).map_err(LinuxError::Read)?;
    let mut magic = [0; 4];
    file.rewind().map_err(LinuxError::Read)?;
    match file.read_exact(&mut magic) {
        Ok(()) if magic == elf::ELFMAG => load_elf(ram, file, length, low_end),
        Ok(()) => load_bz_image(ram, file, length, low_end),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Err(LinuxError::NoKernel),
        Err(error) => Err(LinuxError::Read(error)),
    }
}

fn load_bz_image(
    ram: &GuestRam,
    file: &mut File,
    length: u64,
    low_end: u64,
) -> Result<LoadedLinux, LinuxError> {
    let mut header = setup_header::default();
    file.seek(SeekFrom::Start(HEADER)).map_err(LinuxError::Read)?;
    if let Err(error) = file.read_exact(header.as_mut_slice()) {
        let is_short = error.kind() == io::ErrorKind::UnexpectedEof;
        return Err(if is_short { LinuxError::NoKernel } else { LinuxError::Read(error) });
    }
    if { header.header } != MAGIC {
        return Err(LinuxError::NoKernel);
    }
    if { header.version } < VERSION_64 || u32::from(header.xloadflags) & XLF_KERNEL_64 == 0 {
        return Err(LinuxError::Not64);
    }
    let setup = (u64::from(if header.setup_sects == 0 { 4 } else { header.setup_sects }) + 1) * 512;
    let should = setup + u64::from(header.syssize) * 16;
    if length < should {
        return Err(LinuxError::CutOff { have: length, should });
    }
    // It unpacks itself at the preferred place, and needs so much there.
    let start = { header.pref_address }.max(KERNEL_START);
    let end = start.checked_add(u64::from(header.init_size)).ok_or(LinuxError::Damaged("its size"))?;
    let end = end.max(KERNEL_START + (length - setup));
    if end > low_end {
        return Err(LinuxError::Memory { needed: end });
    }
    let place = GuestAddress(KERNEL_START);
    let loaded =
        BzImage::load(ram, Some(place), file, None).map_err(|_| LinuxError::Damaged("its header"))?;
    let header = loaded.setup_header.ok_or(LinuxError::NoKernel)?;
    Ok(LoadedLinux { entry: loaded.kernel_load.raw_value() + ENTRY_64, header, end })
}

fn load_elf(ram: &GuestRam, file: &mut File, length: u64, low_end: u64) -> Result<LoadedLinux, LinuxError> {
    let (entry, end) = check_elf(file, length)?;
    if end > low_end {
        return Err(LinuxError::Memory { needed: end });
    }
    Elf::load(ram, None, file, None).map_err(|_| LinuxError::Damaged("its segments"))?;
    // A kernel that has been unpacked already has no such header, and reads these fields of it.
    let header = setup_header {
        boot_flag: 0xaa55,
        header: MAGIC,
        version: VERSION_64,
        loadflags: 1,
        kernel_alignment: 0x100_0000,
        cmdline_size: USUAL_COMMAND_LINE,
        initrd_addr_max: 0x7fff_ffff,
        ..setup_header::default()
    };
    Ok(LoadedLinux { entry, header, end })
}

/// Entry, and end of the last segment.
fn check_elf(file: &mut File, length: u64) -> Result<(u64, u64), LinuxError> {
    let endian = LittleEndian;
    let data = ReadCache::new(file);
    let header =
        elf::FileHeader64::<LittleEndian>::parse(&data).map_err(|_| LinuxError::Damaged("its header"))?;
    if header.e_machine(endian) != elf::EM_X86_64 {
        return Err(LinuxError::NoKernel);
    }
    let programs = header.program_headers(endian, &data).map_err(|_| LinuxError::Damaged("its segments"))?;
    let mut end = 0;
    let mut has_entry = false;
    let entry = header.e_entry(endian);
    for program in programs.iter().filter(|program| program.p_type(endian) == elf::PT_LOAD) {
        let (start, size) = (program.p_paddr(endian), program.p_memsz(endian).max(program.p_filesz(endian)));
        let in_file = program.p_offset(endian).checked_add(program.p_filesz(endian));
        let in_memory = start.checked_add(size);
        let (Some(in_file), Some(in_memory)) = (in_file, in_memory) else {
            return Err(LinuxError::Damaged("a segment's size"));
        };
        if in_file > length {
            return Err(LinuxError::CutOff { have: length, should: in_file });
        }
        if start < KERNEL_START {
            return Err(LinuxError::Damaged("a segment below 1 MiB"));
        }
        has_entry |= (start..in_memory).contains(&entry);
        end = end.max(in_memory);
    }
    if !has_entry {
        return Err(LinuxError::Damaged("its entry lies in no segment"));
    }
    Ok((entry, end))
}

/// Puts the initial RAM disk at the end of low RAM, and says in the kernel's header where.
///
/// # Errors
/// There is no room behind the kernel, or it cannot be read.
pub fn load_ram_disk(
    ram: &GuestRam,
    kernel: &mut LoadedLinux,
    file: &mut File,
    low_end: u64,
) -> Result<(), LinuxError> {
    const PAGE: u64 = 4096;
    let length = file.seek(SeekFrom::End(0)).map_err(LinuxError::RamDisk)?;
    file.rewind().map_err(LinuxError::RamDisk)?;
    let top = low_end.min(u64::from(kernel.header.initrd_addr_max) + 1);
    let needed = kernel.end.saturating_add(length).next_multiple_of(PAGE);
    let start = top.checked_sub(length).map(|start| start & !(PAGE - 1));
    let start = start.filter(|&start| start >= kernel.end).ok_or(LinuxError::Memory { needed })?;
    let (Ok(address), Ok(size), Ok(count)) =
        (u32::try_from(start), u32::try_from(length), usize::try_from(length))
    else {
        return Err(LinuxError::Memory { needed });
    };
    ram.read_exact_volatile_from(GuestAddress(start), file, count)
        .map_err(|error| LinuxError::RamDisk(io::Error::other(error)))?;
    (kernel.header.ramdisk_image, kernel.header.ramdisk_size) = (address, size);
    Ok(())
}

/// Whether the kernel takes a command line of this length.
///
/// # Errors
/// It does not.
pub fn check_command_line(kernel: &LoadedLinux, line: &[u8]) -> Result<(), LinuxError> {
    // The most that a partition's memory has room for, whatever the kernel says.
    const ROOM: u32 = 0x1_0000;
    let limit = { kernel.header.cmdline_size }.min(ROOM);
    let limit = if limit == 0 { 255 } else { limit };
    if line.len() > usize::try_from(limit).unwrap_or(usize::MAX) {
        return Err(LinuxError::CommandLine { have: line.len(), limit });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::fs::{MemfdFlags, memfd_create};
    use septum_memory::Pages;
    use std::io::Write as _;

    const MEMORY: u64 = 32 << 20;

    fn file(bytes: &[u8]) -> File {
        let mut file = File::from(memfd_create("kernel", MemfdFlags::CLOEXEC).unwrap());
        file.write_all(bytes).unwrap();
        file
    }

    /// A header and two kilobytes of kernel.
    fn bz_image() -> Vec<u8> {
        let header = setup_header {
            setup_sects: 1,
            header: MAGIC,
            version: 0x20f,
            loadflags: 1,
            xloadflags: 1,
            syssize: 128,
            cmdline_size: 100,
            initrd_addr_max: 0x7fff_ffff,
            pref_address: 0x100_0000,
            init_size: 0x10_0000,
            ..setup_header::default()
        };
        let mut bytes = vec![0; 1024 + 2048];
        bytes[0x1f1..0x1f1 + header.as_slice().len()].copy_from_slice(header.as_slice());
        bytes
    }

    /// One segment of a page at 16 MiB.
    fn elf_image() -> Vec<u8> {
        let mut bytes = vec![0; 0x2000];
        bytes[..8].copy_from_slice(b"\x7fELF\x02\x01\x01\0");
        let mut put = |at: usize, value: u64, length: usize| {
            bytes[at..at + length].copy_from_slice(&value.to_le_bytes()[..length]);
        };
        for (at, value, length) in [(16, 2, 2), (18, 62, 2), (20, 1, 4), (24, 0x100_0000, 8), (32, 64, 8)] {
            put(at, value, length);
        }
        for (at, value) in [(52, 64), (54, 56), (56, 1)] {
            put(at, value, 2);
        }
        for (at, value, length) in [(64, 1, 4), (68, 7, 4), (72, 0x1000, 8), (88, 0x100_0000, 8)] {
            put(at, value, length);
        }
        put(96, 0x1000, 8);
        put(104, 0x2000, 8);
        bytes
    }

    fn load_bytes(ram: &GuestRam, bytes: &[u8]) -> Result<LoadedLinux, LinuxError> {
        load(ram, &mut file(bytes), MEMORY)
    }

    #[test]
    fn kernels_are_told_from_other_files() {
        let ram = septum_memory::allocate(MEMORY, Pages::Ordinary).unwrap();
        let bz = load_bytes(&ram, &bz_image()).unwrap();
        assert_eq!((bz.entry, bz.end), (0x10_0200, 0x110_0000));
        let elf = load_bytes(&ram, &elf_image()).unwrap();
        assert_eq!((elf.entry, elf.end), (0x100_0000, 0x100_2000));
        for other in [&b""[..], b"x", &[0; 600], b"\x7fELF", &[0x7f; 9000]] {
            assert!(load_bytes(&ram, other).is_err());
        }
        let cut = |image: &[u8]| load_bytes(&ram, &image[..image.len() - 1]);
        assert!(matches!(cut(&bz_image()), Err(LinuxError::CutOff { have: 3071, should: 3072 })));
        assert!(matches!(cut(&elf_image()), Err(LinuxError::CutOff { have: 0x1fff, should: 0x2000 })));
        let small = load(&ram, &mut file(&bz_image()), 0x100_0000);
        assert!(matches!(small, Err(LinuxError::Memory { needed: 0x110_0000 })));
    }

    #[test]
    fn a_ram_disk_lies_behind_the_kernel_or_is_refused() {
        let ram = septum_memory::allocate(MEMORY, Pages::Ordinary).unwrap();
        let mut kernel = load_bytes(&ram, &bz_image()).unwrap();
        load_ram_disk(&ram, &mut kernel, &mut file(&[7; 5000]), MEMORY).unwrap();
        assert_eq!((kernel.header.ramdisk_image, kernel.header.ramdisk_size), (0x1ff_e000, 5000));
        let end = kernel.end;
        let refused = load_ram_disk(&ram, &mut kernel, &mut file(&[7; 5000]), end + 4096);
        assert!(matches!(refused, Err(LinuxError::Memory { .. })));
        assert!(check_command_line(&kernel, &[b'a'; 100]).is_ok());
        assert!(matches!(
            check_command_line(&kernel, &[b'a'; 101]),
            Err(LinuxError::CommandLine { have: 101, limit: 100 })
        ));
    }

    #[test]
    fn no_header_makes_us_panic() {
        let ram = septum_memory::allocate(MEMORY, Pages::Ordinary).unwrap();
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        for image in [bz_image(), elf_image()] {
            for _ in 0..3000 {
                let mut bytes = image.clone();
                let fields = if image[0] == 0x7f { 0..120 } else { 0x1f1..0x270 };
                for _ in 0..1 + next() % 4 {
                    let at = fields.start + usize::try_from(next()).unwrap() % fields.len();
                    bytes[at] = [0, 1, 0x7f, 0x80, 0xff, next().to_le_bytes()[0]]
                        [usize::try_from(next() % 6).unwrap()];
                }
                bytes.truncate(bytes.len() - usize::try_from(next() % 2 * (next() % 3000)).unwrap());
                if let Ok(mut kernel) = load_bytes(&ram, &bytes) {
                    let _ = load_ram_disk(&ram, &mut kernel, &mut file(b"disk"), MEMORY);
                    let _ = check_command_line(&kernel, b"line");
                }
            }
        }
    }
}
