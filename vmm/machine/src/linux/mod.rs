//! A machine for a Linux kernel of the user's own, instead of a program on Septum's.
//!
//! ```text
//! LinuxCore (RAM, VM, interrupt controllers, vCPUs)          as `core` for our kernel
//!   kernel ── zero_page, acpi, cpu ──► guest memory          instead of `image`, `boot`, `tables`
//!   devices (disks, entropy, balloon, functions of the host) the same devices on the same bus
//!   serial, power ──► ports                                  instead of `commands`
//!         └──► LinuxMachine ──run──► run_loop ──► Outcome    the same loop, the same mailbox
//! ```
//!
//! All vCPUs exist from the start, each with its thread; KVM keeps all but the first waiting until the guest wakes them. The guest has no way
//! to talk to the worker but its devices and ports, and the worker has none to ask it for anything: a signal ends it
//! ([0042](../../../../docs/decisions/0042-linux-guests.md)).

mod acpi;
mod cpu;
mod kernel;
mod layout;
mod ports;
mod power;
mod serial;
mod zero_page;

pub use kernel::LinuxError;

use crate::boot::monotonic_ns;
use crate::bus::{Bus, Ram};
use crate::core::memory_and_vm;
use crate::devices::{attach_disks, services, thread};
use crate::functions;
use crate::machine::MachineError;
use crate::mailbox::{Message, Requests, Waiting, mailbox};
use crate::outcome::{End, MachineStats, Outcome};
use crate::reading::Reading;
use crate::run_loop::{self, Account, VcpuEnd};
use crate::spec::{BlockFile, Confine, Role};
use crate::vcpu_thread;
use ports::Platform;
use septum_abi::layout::{BOOT_PAGE_TABLES, HIGH_PCI_WINDOW, LOW_RAM_END, PCI_WINDOW};
use septum_devices::core::DeviceThread;
use septum_devices::pci::PciBus;
use septum_devices::virtio::balloon::Balloon;
use septum_devices::virtio::entropy::Entropy;
use septum_hypervisor::{Kicker, Kvm, Vcpu, Vm, stop_all};
use septum_memory::{GuestRam, Pages, host_ranges};
use septum_vfio::{Container, Function};
use serial::SerialPort;
use std::fs::File;
use std::io;
use std::mem::ManuallyDrop;
use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct LinuxSpec {
    /// Guest RAM, bytes.
    pub memory_bytes: u64,
    /// What the host backs it with.
    pub pages: Pages,
    /// Processors.
    pub cpus: u32,
    /// Whether memory that the guest frees goes back to the host while it runs.
    pub returns_free_memory: bool,
}

/// What the machine gets from the host, and nothing else.
#[derive(Debug)]
pub struct LinuxResources {
    /// bzImage or vmlinux.
    pub kernel: File,
    /// Initial RAM disk.
    pub ram_disk: Option<File>,
    /// Without the zero at its end.
    pub command_line: Vec<u8>,
    /// What is typed at the serial console.
    pub stdin: Option<OwnedFd>,
    /// What it says.
    pub stdout: Option<OwnedFd>,
    /// Its disks.
    pub disks: Vec<BlockFile>,
    /// PCI functions of the host that are its own.
    pub functions: Vec<Function>,
    /// What holds its threads.
    pub confine: Confine,
}

/// A virtual machine with memory and vCPUs, and nothing in them.
pub struct LinuxCore {
    spec: LinuxSpec,
    created_ns: u64,
    ram: GuestRam,
    vm: Arc<Vm>,
    vcpus: Vec<Vcpu>,
}

impl LinuxCore {
    /// Makes it. Functions in `container` reach all of its memory from then on.
    ///
    /// # Errors
    /// No memory, KVM refused, or it is one that Linux cannot run on.
    pub fn new(kvm: &Kvm, spec: LinuxSpec, container: Option<&Container>) -> Result<Self, MachineError> {
        let created_ns = monotonic_ns();
        if spec.cpus > cpu::MOST {
            return Err(LinuxError::Cpus(spec.cpus).into());
        }
        let (ram, vm) = memory_and_vm(kvm, spec.memory_bytes, spec.pages, container)?;
        vm.create_pc_irqchip()?;
        let supported = kvm.supported_cpuid()?;
        let make = |number| -> Result<Vcpu, MachineError> {
            let vcpu = vm.create_vcpu(number)?;
            vcpu.set_cpuid(&cpu::cpuid(&supported, number, spec.cpus))?;
            Ok(vcpu)
        };
        let mut vcpus = (0..spec.cpus).map(make).collect::<Result<Vec<_>, _>>()?;
        if let Some(first) = vcpus.first_mut()
            && first.stays_in_ring3(&ram, BOOT_PAGE_TABLES)?
        {
            return Err(LinuxError::EmulatedRing0.into());
        }
        Ok(Self { spec, created_ns, ram, vm: Arc::new(vm), vcpus })
    }
}

/// A Linux guest, ready to run.
pub struct LinuxMachine {
    vcpus: Vec<Vcpu>,
    platform: Platform,
    stdin: Option<OwnedFd>,
    confine: Confine,
    threads: Vec<DeviceThread>,
    stats: MachineStats,
    vm: Arc<Vm>,
}

impl LinuxMachine {
    /// Gives a core its kernel and its devices.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn new(core: LinuxCore, resources: LinuxResources) -> Result<Self, MachineError> {
        let LinuxCore { spec, created_ns, ram, vm, vcpus } = core;
        let LinuxResources { mut kernel, ram_disk, command_line, stdin, stdout, disks, functions, confine } =
            resources;
        let low_end = spec.memory_bytes.min(LOW_RAM_END);
        let mut loaded = kernel::load(&ram, &mut kernel, low_end)?;
        if let Some(mut file) = ram_disk {
            kernel::load_ram_disk(&ram, &mut loaded, &mut file, low_end)?;
        }
        kernel::check_command_line(&loaded, &command_line)?;
        zero_page::write(&ram, &loaded, &command_line, spec.memory_bytes)?;
        acpi::write(&ram, spec.cpus)?;
        cpu::write_tables(&ram)?;
        power::write(&ram)?;
        if let Some(first) = vcpus.first() {
            cpu::enter_at(first, loaded.entry)?;
        }

        let pci = PciBus::new(services(&vm, &ram), PCI_WINDOW).with_high_window(HIGH_PCI_WINDOW);
        let streams = thread("streams", Role::Streams, &confine)?;
        let entropy = Entropy::new(streams.handle()).map_err(|e| MachineError::Device("entropy", e))?;
        pci.add_virtio(Box::new(entropy)).map_err(|e| MachineError::Bus("entropy", e))?;
        if spec.returns_free_memory {
            let balloon = Balloon::new(Arc::new(Ram(ram.clone())), streams.handle())
                .map_err(|e| MachineError::Device("balloon", e))?;
            pci.add_virtio(Box::new(balloon)).map_err(|e| MachineError::Bus("balloon", e))?;
        }
        let mut threads = vec![streams];
        threads.extend(attach_disks(&pci, disks, &confine)?);
        functions::attach(&vm, &pci, functions)?;

        let serial = serial_port(&vm, stdout).map_err(|e| MachineError::Device("serial", e))?;
        let stats = MachineStats {
            created_ns,
            guest_limit_bytes: spec.memory_bytes,
            guest_mappings: host_ranges(&ram),
            vcpu_limit: spec.cpus,
            vcpus_peak: u64::from(spec.cpus),
            privilege: "ring0",
            ..MachineStats::default()
        };
        let platform =
            Platform { bus: Arc::new(Bus { pci }), serial: Arc::new(serial), exits: Arc::default() };
        Ok(Self { vcpus, platform, stdin, confine, threads, stats, vm })
    }

    /// Runs the guest to its end. As with [`Machine::run`](crate::Machine::run), what is left is left to the end of the process.
    #[must_use]
    pub fn run(self, requests: Option<Requests<'_>>) -> Outcome {
        let Self { vcpus, platform, stdin, confine, threads, mut stats, vm } = self;
        let _left = ManuallyDrop::new((threads, platform.clone(), vm));
        stats.first_guest_instruction_ns = Some(monotonic_ns());
        let message = match start(vcpus, &platform, stdin, &confine) {
            Err(error) => {
                let text = format!("cannot start the machine's threads: {error}");
                Message::Ended(VcpuEnd::Broken(text))
            }
            Ok((kickers, waiting)) => {
                let message = waiting.wait(requests, None, || (), |_| (), || read(&platform, stats.clone()));
                platform.serial.end();
                drop(stop_all(kickers));
                message
            }
        };
        stats.exit_ns = monotonic_ns();
        stats.exits = platform.exits.by_name();
        Outcome { end: end_of(message), stats, log: String::new() }
    }
}

/// What is counted so far. How much of its memory the guest uses, the guest alone knows.
fn read(platform: &Platform, mut stats: MachineStats) -> Reading {
    stats.exits = platform.exits.by_name();
    let devices = platform.bus.pci.traffic();
    let devices = devices.iter().map(|traffic| (traffic.device(), traffic.count())).collect();
    Reading { vcpus: stats.vcpus_peak, devices, stats, ..Reading::default() }
}

/// The port, with its line and its output.
fn serial_port(vm: &Vm, stdout: Option<OwnedFd>) -> io::Result<SerialPort> {
    let line = EventFd::new(EFD_NONBLOCK)?;
    vm.connect_line(layout::SERIAL_LINE, &line)?;
    SerialPort::new(line, stdout)
}

/// Starts all threads; the guest runs when all of them, and the calling one, are confined.
fn start(
    vcpus: Vec<Vcpu>,
    platform: &Platform,
    stdin: Option<OwnedFd>,
    confine: &Confine,
) -> io::Result<(Vec<Kicker<Account>>, Waiting)> {
    Vcpu::prepare_process()?;
    if let Some(stdin) = stdin {
        let (serial, confine) = (Arc::clone(&platform.serial), confine.clone());
        let carrier = std::thread::Builder::new().name("console".to_owned());
        carrier.spawn(move || {
            (confine.0)(Role::Streams);
            serial.carry(&stdin);
        })?;
    }
    let (ended, waiting) = mailbox()?;
    let mut kickers = Vec::new();
    let mut held: Vec<Sender<()>> = Vec::new();
    for (number, vcpu) in (0..).zip(vcpus) {
        let (hold, wait) = channel::<()>();
        let (mut platform, confine) = (platform.clone(), confine.clone());
        let run = move |vcpu| {
            (confine.0)(Role::LinuxVcpu);
            // The other end is dropped.
            let _ = wait.recv();
            run_loop::run(vcpu, &mut platform)
        };
        kickers.push(vcpu_thread::spawn(number, vcpu, ended.clone(), run).map_err(|(_, error)| error)?);
        held.push(hold);
    }
    (confine.0)(Role::Main);
    drop(held);
    Ok((kickers, waiting))
}

/// What a message says of the end.
fn end_of(message: Message) -> End {
    match message {
        Message::Ended(VcpuEnd::PoweredOff) => End::Exited { code: 0 },
        Message::Ended(VcpuEnd::Restarted) => End::Restarted,
        Message::Ended(VcpuEnd::Broken(message)) => End::Failed { message },
        Message::Stop(reason) => End::Stopped(reason),
        Message::Ended(VcpuEnd::Kicked | VcpuEnd::Reported) => {
            End::Failed { message: "the vCPUs stopped for no reason".into() }
        }
    }
}
