//! A machine's life: made, run once, gone.
//!
//! The thread that calls [`Machine::run`] waits; each vCPU has a thread of its own, devices have two. Whichever ends
//! the partition (the guest, or a [request](Requests)) sends a message to the waiting thread, which then stops the vCPUs,
//! so that what they report is whole, and leaves the devices to the end of the process.

use crate::boot::{self, BootError, LateFacts, Streams};
use crate::bus::Bus;
use crate::core::Core;
use crate::devices::{self, Devices, Line};
use crate::linux::LinuxError;
use crate::mailbox::{Message, Requests, Waiting, mailbox};
use crate::outcome::{End, MachineStats, Outcome};
use crate::profile::SAMPLE_PERIOD;
use crate::reading;
use crate::report::{self, TscBase};
use crate::run_loop::VcpuEnd;
use crate::service::Service;
use crate::spec::{MachineResources, MachineSpec};
use crate::vcpus::{self, Vcpus};
use septum_devices::core::DeviceThread;
use septum_devices::pci::PciError;
use septum_host_io::CloseLater;
use septum_hypervisor::{KvmError, Vcpu};
use septum_memory::{GuestRam, MemoryError};
use septum_vfio::VfioError;
use std::io;
use std::mem::ManuallyDrop;
use std::sync::{Arc, Mutex};
use thiserror::Error;

/// Why there is no machine.
#[derive(Debug, Error)]
pub enum MachineError {
    /// KVM refused something.
    #[error("KVM refused")]
    Kvm(#[from] KvmError),
    /// No guest memory.
    #[error("no guest memory")]
    Memory(#[from] MemoryError),
    /// Single-privilege mode was asked for.
    #[error("on this host a system call leaves ring 3: the processor itself has a ring 0 for guests")]
    NoSinglePrivilege,
    /// Guest memory could not be prepared.
    #[error("cannot prepare guest memory")]
    Boot(#[from] BootError),
    /// A Linux kernel cannot be started.
    #[error(transparent)]
    Linux(#[from] LinuxError),
    /// A device could not be made.
    #[error("cannot make the {0} device")]
    Device(&'static str, #[source] io::Error),
    /// A file cannot be a disk.
    #[error("'{}' cannot be a disk", String::from_utf8_lossy(.0))]
    Disk(Vec<u8>, #[source] io::Error),
    /// The bus refused a device.
    #[error("cannot attach the {0} device")]
    Bus(&'static str, #[source] PciError),
    /// The functions cannot reach the guest's memory.
    #[error("the device cannot be given the partition's memory")]
    Pin(#[source] VfioError),
    /// A function of the host could not be put on the bus.
    #[error("cannot attach the PCI function {0}")]
    Function(String, #[source] io::Error),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

/// A partition, ready to run.
pub struct Machine {
    first: Vcpu,
    vcpus: Arc<Vcpus>,
    ram: GuestRam,
    threads: Vec<DeviceThread>,
    waiting: Waiting,
    stats: MachineStats,
    tsc_khz: u64,
    /// Memory slots go with it.
    vm: Arc<septum_hypervisor::Vm>,
    later: Option<CloseLater>,
}

impl Machine {
    /// Gives a core devices, and tells the guest what to run.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn new(core: Core, spec: &MachineSpec, resources: MachineResources) -> Result<Self, MachineError> {
        let Core {
            ram,
            vm,
            later,
            first,
            policy,
            privilege,
            vcpu_limit,
            kernel,
            tsc_khz,
            image_len,
            image_mappings,
            ..
        } = core;
        let Devices {
            pci,
            ready,
            closed_streams,
            disks,
            passed_functions,
            has_network,
            threads,
            guest_mappings,
            when_crowded,
            listener,
            line,
            confine,
        } = devices::attach(&vm, &ram, resources, spec.returns_free_memory)?;
        let streams = Streams { closed: closed_streams, terminal: line.as_ref().map(|line| line.size) };
        let config = boot::write_configuration(&ram, &kernel, spec, streams, disks, has_network)?;
        let facts = LateFacts {
            pci_devices: (1 << pci.device_count()) - 1,
            tsc_khz,
            has_tsc_deadline: policy.has_tsc_deadline,
            privilege,
            vcpu_limit,
            image_len,
            passed_functions,
            ready: ready.devices,
        };
        boot::write_boot_page(&ram, config, &core.spec, spec.debug_panic, facts)?;

        let (mailbox, waiting) = mailbox().map_err(MachineError::Thread)?;
        let stats = MachineStats {
            created_ns: core.created_ns,
            guest_limit_bytes: core.spec.memory_bytes,
            kernel_bytes: kernel.end,
            guest_mappings: [guest_mappings, image_mappings].concat(),
            vcpu_limit,
            privilege: privilege.name(),
            ..MachineStats::default()
        };
        let service = Service::new(listener).map_err(MachineError::Thread)?;
        if let Some(Line { input, output, .. }) = line {
            service.give_terminal(input, output, &ram);
        }
        let parts = vcpus::Parts {
            vm: Arc::clone(&vm),
            ram: ram.clone(),
            policy,
            free_start: boot::free_start(config),
            kernel,
            privilege,
            limit: vcpu_limit,
            bus: Arc::new(Bus { pci }),
            is_profiled: spec.profile,
            cpus: core.spec.cpus,
            service,
            when_crowded: Mutex::new(Some(when_crowded)),
            confine,
        };
        let vcpus = Vcpus::new(parts, mailbox);
        Ok(Self { first, vcpus, ram, threads, waiting, stats, tsc_khz, vm, later })
    }

    /// Runs the partition to its end.
    ///
    /// What is left of the machine then, device threads included, is left to the end of the process, which must be near: the
    /// host's kernel takes everything apart at once, in a fraction of the time.
    #[must_use]
    pub fn run(self, requests: Option<Requests<'_>>) -> Outcome {
        let Self { first, vcpus, ram, threads, waiting, mut stats, tsc_khz, vm, later } = self;
        // Nobody uses the memory after the VM, whatever becomes of this function.
        let _left = ManuallyDrop::new((threads, Arc::clone(&vcpus), vm, later));
        let tsc_base = match prepare_to_run(&first, &ram, tsc_khz) {
            Ok(base) => base,
            Err(message) => return Outcome { end: End::Failed { message }, stats, log: String::new() },
        };
        stats.first_guest_instruction_ns = Some(tsc_base.ns);
        let message = match vcpus.start_first(first) {
            Err(error) => Message::Ended(VcpuEnd::Broken(format!("cannot start the vCPU's thread: {error}"))),
            Ok(()) => {
                // For a profile, the guest is interrupted now and then, so that its threads look where it is.
                let patience = vcpus.is_profiled().then_some(SAMPLE_PERIOD);
                waiting.wait(
                    requests,
                    patience,
                    || vcpus.interrupt_all(),
                    |wish| vcpus.want(wish),
                    || reading::look(&vcpus, stats.clone()),
                )
            }
        };
        let total = vcpus.stop_all();
        stats.exit_ns = boot::monotonic_ns();
        stats.exits = vcpus.exits().by_name();
        (stats.vcpus_peak, stats.vcpus_refused, stats.vcpu_refusal) =
            (total.count, total.refused, total.refusal);
        let mut outcome = report::outcome(&ram, known_end(message), stats, tsc_base);
        if vcpus.is_profiled() {
            outcome.log.push_str(&total.account.samples.describe());
        }
        outcome
    }
}

/// The last that is done before the guest's first instruction: from here its clock runs.
fn prepare_to_run(first: &Vcpu, ram: &GuestRam, tsc_khz: u64) -> Result<TscBase, String> {
    Vcpu::prepare_process().map_err(|error| format!("cannot install the kick handler: {error}"))?;
    let tsc = first.tsc().map_err(|error| error.to_string())?;
    boot::write_clock_page(ram, tsc, tsc_khz).map_err(|error| error.to_string())?;
    Ok(TscBase { tsc, ns: boot::monotonic_ns(), khz: tsc_khz })
}

/// How the partition ended, if its report does not say so.
fn known_end(message: Message) -> Option<End> {
    match message {
        Message::Ended(VcpuEnd::Reported) => None,
        Message::Ended(VcpuEnd::Broken(message)) => Some(End::Failed { message }),
        Message::Stop(reason) => Some(End::Stopped(reason)),
        Message::Ended(VcpuEnd::Kicked | VcpuEnd::PoweredOff | VcpuEnd::Restarted) => {
            Some(End::Failed { message: "the vCPUs stopped for no reason".into() })
        }
    }
}
