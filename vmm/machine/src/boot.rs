//! Everything that is in guest memory before the guest runs.

use crate::core::CoreSpec;
use crate::guest::write_bytes;
use crate::image::{self, ImageError, LoadedKernel};
use crate::spec::MachineSpec;
use crate::tables;
use rustix::rand::{GetRandomFlags, getrandom};
use septum_abi::boot::{BOOT_MAGIC, BootPage, MemoryRange, Privilege};
use septum_abi::clock::{CLOCK_SHIFT, ClockPage};
use septum_abi::config::{Mount, Source};
use septum_abi::layout::{BOOT_PAGE, CLOCK_PAGE, ECAM_BASE, FIRST_VCPU_AREA, PAGE_SIZE};
use septum_abi::ready::{DEVICES, ReadyDevice};
use septum_memory::{GuestRam, OwnFile, Plain};
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use thiserror::Error;
use vm_memory::{Bytes, GuestAddress, GuestMemoryError};

/// The host's KVM runs the local APIC timer at 1 GHz.
const LAPIC_KHZ: u64 = 1_000_000;

/// Why guest memory could not be prepared.
#[derive(Debug, Error)]
pub enum BootError {
    /// The guest kernel.
    #[error(transparent)]
    Image(#[from] ImageError),
    /// Something does not fit.
    #[error("guest memory is too small for the boot structures")]
    Memory(#[from] GuestMemoryError),
    /// No random numbers.
    #[error("the host gives no random numbers")]
    Random,
}

/// Facts that are only known when the vCPU and the devices exist.
#[derive(Clone, Copy, Debug)]
pub struct LateFacts {
    /// Bit N: a device at 00:N.0.
    pub pci_devices: u32,
    /// Frequency of the guest's time-stamp counter.
    pub tsc_khz: u64,
    /// Whether the local APIC timer has the TSC-deadline mode.
    pub has_tsc_deadline: bool,
    /// Where the guest kernel runs.
    pub privilege: Privilege,
    /// vCPUs there may be at most.
    pub vcpu_limit: u32,
    /// Bytes of the image, if there is one.
    pub image_len: u64,
    /// Bit N: 00:N.0 is a function of the host.
    pub passed_functions: u64,
    /// Devices that are up.
    pub ready: [ReadyDevice; DEVICES],
}

/// Loads the kernel and writes the tables that it is entered with.
pub fn load_kernel(
    ram: &GuestRam,
    memory_bytes: u64,
    privilege: Privilege,
    own_file: Option<&OwnFile>,
) -> Result<LoadedKernel, BootError> {
    let kernel = image::load(ram, septum_kernel_image::KERNEL, own_file)?;
    tables::write_page_tables(ram, &septum_memory::ranges(memory_bytes), &kernel, privilege)?;
    let vectors = match privilege {
        Privilege::Ring0 => &kernel.vectors,
        Privilege::Single => &kernel.single_vectors,
    };
    tables::write_idt(ram, vectors)?;
    tables::write_vcpu_area(ram, FIRST_VCPU_AREA, 0, privilege)?;
    Ok(kernel)
}

/// The program's standard streams.
#[derive(Clone, Copy, Debug)]
pub struct Streams {
    /// A bit for each that it does not have.
    pub closed: u32,
    /// Rows and columns, if they are a terminal.
    pub terminal: Option<[u16; 2]>,
}

/// Writes what to run behind the kernel; returns where it lies.
pub fn write_configuration(
    ram: &GuestRam,
    kernel: &LoadedKernel,
    spec: &MachineSpec,
    streams: Streams,
    disks: u32,
    has_network: bool,
) -> Result<MemoryRange, BootError> {
    let config = configuration(spec, streams, disks, has_network);
    write_bytes(ram, kernel.end, &config)?;
    Ok(MemoryRange { start: kernel.end, len: config.len() as u64 })
}

fn configuration(spec: &MachineSpec, streams: Streams, disks: u32, has_network: bool) -> Vec<u8> {
    let arguments: Vec<&[u8]> = spec.arguments.iter().map(Vec::as_slice).collect();
    let environment: Vec<&[u8]> = spec.environment.iter().map(Vec::as_slice).collect();
    let mounts: Vec<Mount<'_>> = spec
        .mounts
        .iter()
        .map(|mount| Mount {
            kind: mount.kind,
            refusals: mount.refusals,
            source: &mount.source,
            target: &mount.target,
        })
        .collect();
    let source = Source {
        program: &spec.program,
        workdir: &spec.workdir,
        hostname: &spec.hostname,
        arguments: &arguments,
        environment: &environment,
        mounts: &mounts,
        uid: spec.uid,
        gid: spec.gid,
        umask: spec.umask,
        closed_streams: streams.closed,
        disks,
        has_network,
        terminal: streams.terminal,
        groups: &spec.groups,
        limits: &spec.limits,
    };
    let mut blob = Vec::new();
    source.write(|bytes| blob.extend_from_slice(bytes));
    blob
}

/// The first guest-physical byte that the guest may use as it likes.
pub fn free_start(config: MemoryRange) -> u64 {
    (config.start + config.len).next_multiple_of(PAGE_SIZE as u64)
}

/// Fills `bytes` with what nobody can guess: the program's secrets are made of it.
fn fill_random(bytes: &mut [u8]) -> Result<(), BootError> {
    // Requests of up to 256 bytes are answered whole once the host has randomness at all.
    match getrandom(&mut *bytes, GetRandomFlags::empty()) {
        Ok(count) if count == bytes.len() => Ok(()),
        _ => Err(BootError::Random),
    }
}

/// Writes the boot page.
pub fn write_boot_page(
    ram: &GuestRam,
    config: MemoryRange,
    core: &CoreSpec,
    debug_panic: bool,
    facts: LateFacts,
) -> Result<(), BootError> {
    let mut page = BootPage {
        magic: BOOT_MAGIC,
        version: septum_abi::VERSION,
        free_start: free_start(config),
        config_address: config.start,
        config_len: config.len,
        ecam_base: ECAM_BASE,
        pci_devices: facts.pci_devices,
        cpu_count: core.cpus,
        tsc_khz: facts.tsc_khz,
        lapic_khz: LAPIC_KHZ,
        has_tsc_deadline: u32::from(facts.has_tsc_deadline),
        debug_panic: u32::from(debug_panic),
        privilege: facts.privilege as u32,
        vcpu_limit: facts.vcpu_limit,
        image_len: facts.image_len,
        passed_functions: facts.passed_functions,
        ready: facts.ready,
        ..BootPage::default()
    };
    for (slot, (start, len)) in page.ram.iter_mut().zip(septum_memory::ranges(core.memory_bytes)) {
        *slot = MemoryRange { start, len };
        page.ram_count += 1;
    }
    fill_random(&mut page.seed)?;
    fill_random(page.random.as_flattened_mut())?;
    ram.write_obj(Plain(page), GuestAddress(BOOT_PAGE))?;
    Ok(())
}

/// Writes the clock page: the guest's counter was `tsc` at this moment.
pub fn write_clock_page(ram: &GuestRam, tsc: u64, khz: u64) -> Result<(), BootError> {
    let ns = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    let page = ClockPage {
        sequence: 0,
        shift: CLOCK_SHIFT,
        multiplier: ClockPage::multiplier_for(khz),
        base_tsc: tsc,
        monotonic_ns: monotonic_ns(),
        realtime_ns: SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, ns),
    };
    ram.write_obj(Plain(page), GuestAddress(CLOCK_PAGE))?;
    Ok(())
}

/// CLOCK_MONOTONIC, ns.
pub fn monotonic_ns() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

#[cfg(test)]
mod random_tests {
    use super::fill_random;

    #[test]
    fn random_bytes_are_no_function_of_the_time() {
        // Words that are made from a time stamp one after the other differ in few bits at equal places.
        let mut bytes = [0; 64];
        assert!(fill_random(&mut bytes).is_ok());
        let words: Vec<u32> = bytes
            .chunks_exact(4)
            .map(|word| u32::from_le_bytes([word[0], word[1], word[2], word[3]]))
            .collect();
        // Undoing what xorshift does to a counter gives numbers that only grow; random ones do not, but for one time in 16!.
        let undone: Vec<u32> = words.iter().map(|&word| undo_xorshift(word)).collect();
        assert!(undone.windows(2).any(|pair| pair[1].wrapping_sub(pair[0]) > 1 << 20));
    }

    fn undo_xorshift(word: u32) -> u32 {
        let left = |value: u32, by: u32| (0..32 / by).fold(value, |got, _| value ^ (got << by));
        let right = |value: u32, by: u32| (0..32 / by).fold(value, |got, _| value ^ (got >> by));
        left(right(left(word, 5), 17), 13)
    }
}
