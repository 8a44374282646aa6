//! The machine's devices: made, put on the bus, and served by two threads, or three if there is a network.

use crate::bus::{Ram, VmServices, Window};
use crate::functions;
use crate::machine::MachineError;
use crate::ready::Readiness;
use crate::service::Listener;
use crate::spec::{BlockFile, Confine, MachineResources, Network, Role, WhenCrowded};
use septum_abi::layout::{HIGH_PCI_WINDOW, PCI_WINDOW};
use septum_devices::core::{DeviceThread, GuestMemory, HostServices, MsiSender};
use septum_devices::pci::PciBus;
use septum_devices::virtio::balloon::Balloon;
use septum_devices::virtio::block::{Block, Disk};
use septum_devices::virtio::console::{Console, ConsolePorts, ControlPort};
use septum_devices::virtio::entropy::Entropy;
use septum_devices::virtio::fs::{FileSystem, FsConfig};
use septum_devices::virtio::vsock::Vsock;
use septum_hypervisor::Vm;
use septum_memory::{FileWindow, GuestRam, host_ranges};
use std::ops::Range;
use std::os::fd::OwnedFd;
use std::sync::Arc;

/// What [`attach`] made.
pub struct Devices {
    pub pci: PciBus,
    /// What the guest gets to know of those that are up already.
    pub ready: Readiness,
    /// A bit for each standard stream that the program does not have.
    pub closed_streams: u32,
    /// How many block devices are on the bus.
    pub disks: u32,
    /// A bit for each device number of a function of the host.
    pub passed_functions: u64,
    /// There is a socket device.
    pub has_network: bool,
    pub threads: Vec<DeviceThread>,
    /// Where this process has guest memory mapped, files for the guest included.
    pub guest_mappings: Vec<Range<u64>>,
    pub when_crowded: WhenCrowded,
    pub listener: Listener,
    /// The first program's terminal.
    pub line: Option<Line>,
    /// What holds the machine's threads.
    pub confine: Confine,
}

/// The host's end of a terminal.
pub struct Line {
    /// Rows and columns.
    pub size: [u16; 2],
    pub input: Option<OwnedFd>,
    pub output: Option<OwnedFd>,
}

/// Makes the devices of a partition.
///
/// # Errors
/// See [`MachineError`].
pub fn attach(
    vm: &Arc<Vm>,
    ram: &GuestRam,
    resources: MachineResources,
    returns_free_memory: bool,
) -> Result<Devices, MachineError> {
    let pci = PciBus::new(services(vm, ram), PCI_WINDOW).with_high_window(HIGH_PCI_WINDOW);
    let confine = resources.confine.clone();
    let (streams, files) =
        (thread("streams", Role::Streams, &confine)?, thread("files", Role::Files, &confine)?);
    let mut ready = Readiness::new();

    let MachineResources {
        shared_root,
        stdin,
        stdout,
        stderr,
        terminal,
        disks,
        when_crowded,
        listener,
        network,
        functions,
        confine,
    } = resources;
    let closed_streams =
        (0..).zip([&stdin, &stdout, &stderr]).map(|(bit, stream)| u32::from(stream.is_none()) << bit).sum();
    let (stdin, stdout, line) = match terminal {
        None => (stdin, stdout, None),
        Some(size) => (None, None, Some(Line { size, input: stdin, output: stdout })),
    };
    let ports = ConsolePorts { log: None, stdin, stdout, stderr };
    let console = Console::new(ports, Arc::new(NoMessages), streams.handle())
        .map_err(|e| MachineError::Device("console", e))?;
    ready.add(&pci, Box::new(console)).map_err(|e| MachineError::Bus("console", e))?;

    let window = FileWindow::reserve().map_err(|e| MachineError::Device("file system", e))?;
    let guest_mappings = [host_ranges(ram), host_ranges(window.memory())].concat();
    let config = FsConfig {
        window: Some(Arc::new(Window { vm: Arc::clone(vm), files: window })),
        populator: Some(Arc::new(Ram(ram.clone()))),
        ..FsConfig::new(shared_root)
    };
    let file_system =
        FileSystem::new(config, files.handle()).map_err(|e| MachineError::Device("file system", e))?;
    ready.add(&pci, Box::new(file_system)).map_err(|e| MachineError::Bus("file system", e))?;

    let entropy = Entropy::new(streams.handle()).map_err(|e| MachineError::Device("entropy", e))?;
    pci.add_virtio(Box::new(entropy)).map_err(|e| MachineError::Bus("entropy", e))?;
    if returns_free_memory {
        let balloon = Balloon::new(Arc::new(Ram(ram.clone())), streams.handle())
            .map_err(|e| MachineError::Device("balloon", e))?;
        pci.add_virtio(Box::new(balloon)).map_err(|e| MachineError::Bus("balloon", e))?;
    }
    let mut threads = vec![streams, files];
    let count = u32::try_from(disks.len()).unwrap_or(0);
    if !disks.is_empty() {
        threads.extend(attach_disks(&pci, disks, &confine)?);
    }
    let has_network = network.is_some();
    if let Some(Network(host)) = network {
        let carrier = thread("network", Role::Network, &confine)?;
        let device = Vsock::new(host, carrier.handle()).map_err(|e| MachineError::Device("sockets", e))?;
        pci.add_virtio(Box::new(device)).map_err(|e| MachineError::Bus("sockets", e))?;
        threads.push(carrier);
    }
    let passed_functions = functions::attach(vm, &pci, functions)?;
    Ok(Devices {
        passed_functions,
        pci,
        ready,
        closed_streams,
        disks: count,
        has_network,
        threads,
        guest_mappings,
        when_crowded,
        listener,
        line,
        confine,
    })
}

/// A thread for devices that has what its role needs, and no more.
pub fn thread(name: &str, role: Role, confine: &Confine) -> Result<DeviceThread, MachineError> {
    let confine = confine.clone();
    DeviceThread::spawn_with(name, move || (confine.0)(role)).map_err(MachineError::Thread)
}

/// Puts the disks on the bus, in their order. Returns their threads.
pub fn attach_disks(
    pci: &PciBus,
    disks: Vec<BlockFile>,
    confine: &Confine,
) -> Result<Vec<DeviceThread>, MachineError> {
    let mut threads = Vec::new();
    for (number, BlockFile { file, is_read_only, name }) in disks.into_iter().enumerate() {
        let thread = thread(&format!("disk/{number}"), Role::Disk, confine)?;
        let disk = Disk::new(file, is_read_only, &name).map_err(|e| MachineError::Disk(name, e))?;
        pci.add_virtio(Box::new(Block::new(disk, thread.handle())))
            .map_err(|e| MachineError::Bus("block", e))?;
        threads.push(thread);
    }
    Ok(threads)
}

/// What devices get from the rest of the machine.
pub fn services(vm: &Arc<Vm>, ram: &GuestRam) -> HostServices {
    let of_vm = Arc::new(VmServices { vm: Arc::clone(vm) });
    HostServices {
        memory: GuestMemory::new(ram.clone()),
        msi: Arc::clone(&of_vm) as Arc<dyn MsiSender>,
        kicks: of_vm,
    }
}

/// The guest has nothing to say on the control port yet: it reports in memory.
struct NoMessages;

impl ControlPort for NoMessages {
    fn message(&self, _message: &[u8]) {}
}
