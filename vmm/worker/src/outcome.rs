//! What the machine says, in the terms of those who asked for a partition.

use rustix::io::Errno;
use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::privilege::PrivilegeChoice;
use septum_api_types::size::Size;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::{self, PartitionStats, Timings};
use septum_hypervisor::KvmError;
use septum_machine::{
    End as MachineEnd, LinuxError, MachineError, MachineStats, Outcome, StartError, StopReason,
};

use crate::functions;
use crate::huge_pages;
use crate::protocol::{End, Ended, StopCause};

/// What a system call's error means, without its number.
pub(crate) fn reason(error: Errno) -> String {
    without_number(&std::io::Error::from(error))
}

/// The text of an error of the operating system, without `(os error N)`, starting in lower case.
pub(crate) fn without_number(error: &std::io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error").next().unwrap_or(&text);
    let mut characters = text.chars();
    let first = characters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default();
    first + characters.as_str()
}

/// An error with all its sources.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(inner) = source {
        text = format!("{text}: {inner}");
        source = inner.source();
    }
    text
}

/// KVM cannot be used.
pub(crate) fn kvm_failure(error: KvmError) -> Failure {
    let failure = Failure::new(Code::Host, "cannot use KVM", chain(&error));
    match error {
        KvmError::Missing => failure.hint(
            "turn on virtualization in the firmware and load the module ('modprobe kvm_intel' or 'modprobe kvm_amd'); \
             'septum doctor' tells more",
        ),
        KvmError::Permission => failure.hint(septum_hypervisor::permission_advice()),
        KvmError::TooOld { .. } | KvmError::MissingCapability(_) => {
            failure.hint("this needs a newer Linux kernel; 'septum doctor' tells more")
        }
        _ => failure,
    }
}

/// Where the guest kernel is to run, as the machine calls it.
pub(crate) fn privilege_choice(choice: PrivilegeChoice) -> septum_machine::PrivilegeChoice {
    match choice {
        PrivilegeChoice::Auto => septum_machine::PrivilegeChoice::ByTrial,
        PrivilegeChoice::Ring0 => septum_machine::PrivilegeChoice::Ring0,
        PrivilegeChoice::Single => septum_machine::PrivilegeChoice::Single,
    }
}

/// The machine could not be built.
pub(crate) fn machine_failure(error: &MachineError, spec: &PartitionSpec) -> Failure {
    let size = Size(spec.memory_bytes);
    let why = chain(error);
    match error {
        MachineError::Memory(_) if spec.huge_pages => huge_pages::refused_late(spec.memory_bytes, why),
        MachineError::Memory(_) => {
            Failure::new(Code::Memory, format!("cannot make a partition with {size} of memory"), why)
                .hint("choose another size with --memory; 'septum doctor' tells how much the host has")
        }
        // The embedded kernel is whole, so what does not fit is the memory.
        MachineError::Boot(_) => {
            Failure::new(Code::Memory, format!("cannot start in a partition with {size} of memory"), why)
        }
        MachineError::NoSinglePrivilege => {
            Failure::new(Code::Usage, "the guest kernel cannot run in single-privilege mode", why)
        }
        MachineError::Disk(name, error) => {
            let what = format!("cannot use '{}' as a disk", String::from_utf8_lossy(name));
            let why = match error.kind() {
                std::io::ErrorKind::UnexpectedEof => "it is shorter than a sector (512 bytes)".to_owned(),
                std::io::ErrorKind::InvalidInput => {
                    "it is neither a regular file nor a block device".to_owned()
                }
                _ => without_number(error),
            };
            Failure::new(Code::Path, what, why)
        }
        MachineError::Linux(error) => linux_failure(error, spec),
        MachineError::Pin(error) => functions::pinning(error),
        MachineError::Function(..) => Failure::new(Code::Host, "cannot build the virtual machine", why),
        MachineError::Kvm(_) => Failure::new(Code::Host, "cannot build the virtual machine", why),
        _ => Failure::new(Code::Internal, "cannot build the virtual machine", why),
    }
}

/// A Linux kernel cannot be started.
fn linux_failure(error: &LinuxError, spec: &PartitionSpec) -> Failure {
    let (kernel, ram_disk) = match &spec.linux {
        Some(linux) => (&linux.kernel, linux.initrd.clone().unwrap_or_default()),
        None => (&spec.program, ByteString::default()),
    };
    let what = format!("cannot start the kernel '{kernel}'");
    let of_program = |hint: &str| Failure::new(Code::Program, what.clone(), chain(error)).hint(hint);
    match error {
        LinuxError::NoKernel => of_program(
            "give the bzImage that distributions install as /boot/vmlinuz, or the vmlinux of a build",
        ),
        LinuxError::Not64 => of_program("this needs a kernel for x86-64, Linux 3.8 or newer"),
        LinuxError::CutOff { .. } | LinuxError::Damaged(_) => of_program("get or build it once more"),
        LinuxError::Read(_) => of_program("give a regular file"),
        LinuxError::RamDisk(error) => Failure::new(
            Code::Path,
            format!("cannot use '{ram_disk}' as initial RAM disk"),
            without_number(error),
        ),
        LinuxError::Memory { needed } => {
            let why = format!("the kernel and its initial RAM disk alone take {}", Size(*needed));
            let what = format!("cannot start a Linux guest with {} of memory", Size(spec.memory_bytes));
            Failure::new(Code::Memory, what, why)
        }
        LinuxError::CommandLine { .. } => {
            Failure::new(Code::Usage, what, chain(error)).hint("make --cmdline shorter")
        }
        LinuxError::Cpus(_) => Failure::new(Code::Usage, what, chain(error)).hint("the most are 254"),
        LinuxError::EmulatedRing0 => Failure::new(Code::Host, "cannot run a Linux guest", chain(error)).hint(
            "this needs a processor with VT-x or AMD-V; programs run here in partitions without --kernel",
        ),
        LinuxError::Structures => Failure::new(Code::Internal, what, chain(error)),
    }
}

/// The machine's outcome as the worker's last word.
pub(crate) fn translate(outcome: Outcome, spec: &PartitionSpec, epoch_ns: u64, timings: &Timings) -> Ended {
    let Outcome { end, stats, log } = outcome;
    Ended { end: translate_end(end, spec), stats: translate_stats(stats, spec, epoch_ns, timings), log }
}

fn translate_end(end: MachineEnd, spec: &PartitionSpec) -> End {
    match end {
        MachineEnd::Exited { code } => End::Exited { code },
        MachineEnd::Signaled { signal } => End::Signaled { signal },
        MachineEnd::Stopped(StopReason::Timeout) => End::Stopped(StopCause::Timeout),
        MachineEnd::Stopped(StopReason::Signal(signal)) => End::Stopped(StopCause::Signal(signal)),
        MachineEnd::NotStarted { reason, errno } => End::Failed(not_started(reason, errno, spec)),
        MachineEnd::Panicked(report) => {
            let text = report.text.trim_end();
            let text = text.strip_prefix("panicked ").unwrap_or(text);
            End::Failed(Failure::new(Code::Panic, "the guest kernel panicked", text))
        }
        MachineEnd::Restarted => {
            let why = "it reset its machine: a restart, or a panic with panic=-1";
            End::Failed(Failure::new(Code::Restarted, "the guest restarted", why))
        }
        MachineEnd::OutOfMemory { limit_bytes } => {
            let why = format!("the partition's {} are used up", Size(limit_bytes));
            End::Failed(Failure::new(Code::OutOfMemory, "the program was killed", why))
        }
        MachineEnd::Failed { message } => {
            End::Failed(Failure::new(Code::Internal, "the partition failed", message))
        }
    }
}

fn not_started(reason: StartError, errno: u32, spec: &PartitionSpec) -> Failure {
    let errno = i32::try_from(errno).unwrap_or(0);
    let why = reason_of_number(errno);
    let what = format!("cannot start '{}'", spec.program);
    match reason {
        StartError::Memory => {
            let why = format!("it does not fit into {} of memory", Size(spec.memory_bytes));
            Failure::new(Code::Memory, what, why)
        }
        StartError::Workdir => Failure::new(Code::Path, "cannot enter the working directory", why),
        StartError::Root => Failure::new(Code::Internal, "cannot mount the partition's root", why),
        StartError::Interpreter => {
            Failure::new(Code::Program, what, format!("its interpreter cannot be loaded: {why}"))
        }
        StartError::Format => Failure::new(Code::Program, what, format!("it cannot be loaded: {why}")),
        _ => Failure::new(Code::Program, what, why),
    }
}

fn reason_of_number(errno: i32) -> String {
    without_number(&std::io::Error::from_raw_os_error(errno))
}

fn translate_stats(
    machine: MachineStats,
    spec: &PartitionSpec,
    epoch_ns: u64,
    timings: &Timings,
) -> PartitionStats {
    let at = |time: Option<u64>| time.map(|ns| crate::stages::since_us(epoch_ns, ns));
    PartitionStats {
        network: septum_api_types::stats::NetworkStats::default(),
        version: stats::VERSION,
        name: spec.name.clone(),
        end: stats::EndStats::default(),
        timings_us: Timings {
            first_guest_instruction: at(machine.first_guest_instruction_ns),
            first_user_instruction: at(machine.first_user_instruction_ns),
            exit: at(Some(machine.exit_ns).filter(|&ns| ns != 0)),
            ..timings.clone()
        },
        exits: machine.exits.into_iter().map(|(reason, count)| (reason.to_owned(), count)).collect(),
        syscalls: machine.syscalls,
        syscalls_missing: machine.syscalls_missing,
        page_faults: machine.page_faults,
        interrupts: machine.interrupts,
        memory: stats::MemoryStats {
            guest_limit_bytes: spec.memory_bytes,
            guest_peak_bytes: machine.guest_peak_bytes,
            kernel_bytes: machine.kernel_bytes,
            worker_pss_bytes: 0,
        },
        cpus: stats::CpuStats { count: spec.cpus, kept_by: None },
        threads: stats::ThreadStats {
            limit: machine.vcpu_limit,
            peak: machine.vcpus_peak,
            refused: machine.vcpus_refused,
            refusal: machine.vcpu_refusal,
        },
        privilege: machine.privilege.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reasons_read_as_part_of_a_sentence() {
        assert_eq!(reason(Errno::NOENT), "no such file or directory");
        assert_eq!(reason_of_number(libc::EACCES), "permission denied");
    }
}
