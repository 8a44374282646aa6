//! A machine's life: made, run once, gone.
//!
//! The thread that calls [`Machine::run`] waits; the vCPU has a thread of its own, devices have two. Whichever ends
//! the partition (the guest, or a [`StopHandle`]) sends a message to the waiting thread, which then stops the others in
//! order: vCPU first, so that nobody kicks devices any more, then the devices.

use crate::boot::{self, BootError, LateFacts};
use crate::bus::{Bus, VmServices};
use crate::cpu::CpuPolicy;
use crate::outcome::{End, MachineStats, Outcome, StopReason};
use crate::profile::{SAMPLE_PERIOD, Samples};
use crate::report::{self, TscBase};
use crate::spec::{MachineResources, MachineSpec};
use septum_abi::control::Command;
use septum_abi::layout::{COMMAND_PORT, FIRST_VCPU_AREA, PCI_WINDOW};
use septum_devices::core::{DeviceThread, GuestMemory, HostServices, MsiSender};
use septum_devices::pci::{PciBus, PciError};
use septum_devices::virtio::console::{Console, ConsolePorts, ControlPort};
use septum_devices::virtio::entropy::Entropy;
use septum_devices::virtio::fs::{FileSystem, FsConfig};
use septum_hypervisor::{Exit, Kicker, KvmError, Vcpu};
use septum_memory::{GuestRam, MemoryError};
use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvError, RecvTimeoutError, Sender, channel};
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
    /// Guest memory could not be prepared.
    #[error("cannot prepare guest memory")]
    Boot(#[from] BootError),
    /// A device could not be made.
    #[error("cannot make the {0} device")]
    Device(&'static str, #[source] io::Error),
    /// The bus refused a device.
    #[error("cannot attach the {0} device")]
    Bus(&'static str, #[source] PciError),
    /// A thread could not be started.
    #[error("cannot start a thread")]
    Thread(#[source] io::Error),
}

enum Message {
    /// The vCPU will not run again.
    Ended(VcpuEnd),
    Stop(StopReason),
}

/// Why the vCPU stopped.
enum VcpuEnd {
    /// The report says how the guest ended.
    Reported,
    /// KVM or the guest broke.
    Broken(String),
    /// Kicked.
    Kicked,
}

/// Stops a machine from another thread.
#[derive(Clone, Debug)]
pub struct StopHandle(Sender<Message>);

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("message")
    }
}

impl StopHandle {
    /// Ends the partition. The first end, this or the guest's own, counts.
    pub fn stop(&self, reason: StopReason) {
        // A machine that has ended already needs no stopping.
        let _ = self.0.send(Message::Stop(reason));
    }
}

/// A partition, ready to run.
pub struct Machine {
    vcpu: Option<Vcpu>,
    bus: Arc<Bus>,
    ram: GuestRam,
    threads: Vec<DeviceThread>,
    sender: Sender<Message>,
    receiver: Receiver<Message>,
    stats: MachineStats,
    tsc_khz: u64,
    tsc_base: TscBase,
    profile: bool,
    samples: Samples,
    is_ending: Arc<AtomicBool>,
    /// Dropped last: memory slots go with it.
    _vm: Arc<septum_hypervisor::Vm>,
}

impl Machine {
    /// Makes memory, vCPU and devices, and puts the guest kernel in place.
    ///
    /// # Errors
    /// See [`MachineError`].
    pub fn new(spec: &MachineSpec, resources: MachineResources) -> Result<Self, MachineError> {
        let created_ns = boot::monotonic_ns();
        let kvm = resources.kvm;
        let ram = septum_memory::allocate(spec.memory_bytes)?;
        let ranges = septum_memory::ranges(spec.memory_bytes);
        let mut vm = kvm.create_vm()?;
        vm.add_ram(&ram)?;
        let vm = Arc::new(vm);

        let is_ending = Arc::new(AtomicBool::new(false));
        let vm_services = Arc::new(VmServices { vm: Arc::clone(&vm), is_ending: Arc::clone(&is_ending) });
        let services = HostServices {
            memory: GuestMemory::new(ram.clone()),
            msi: Arc::clone(&vm_services) as Arc<dyn MsiSender>,
            kicks: vm_services,
        };
        let pci = PciBus::new(services, PCI_WINDOW);
        let thread = |name: &str| DeviceThread::spawn(name).map_err(MachineError::Thread);
        let (streams, files) = (thread("streams")?, thread("files")?);
        let streams_of = [&resources.stdin, &resources.stdout, &resources.stderr];
        let closed_streams =
            (0..).zip(streams_of).map(|(bit, stream)| u32::from(stream.is_none()) << bit).sum();
        let ports = ConsolePorts {
            log: None,
            stdin: resources.stdin,
            stdout: resources.stdout,
            stderr: resources.stderr,
        };
        let console = Console::new(ports, Arc::new(NoMessages), streams.handle())
            .map_err(|e| MachineError::Device("console", e))?;
        pci.add_virtio(Box::new(console)).map_err(|e| MachineError::Bus("console", e))?;
        let file_system = FileSystem::new(FsConfig::new(resources.shared_root), files.handle())
            .map_err(|e| MachineError::Device("file system", e))?;
        pci.add_virtio(Box::new(file_system)).map_err(|e| MachineError::Bus("file system", e))?;
        let entropy = Entropy::new(streams.handle()).map_err(|e| MachineError::Device("entropy", e))?;
        pci.add_virtio(Box::new(entropy)).map_err(|e| MachineError::Bus("entropy", e))?;
        // Slots and doorbells are in place: with the interrupt controller there, changing them takes much longer.
        vm.create_irqchip()?;
        let vcpu = vm.create_vcpu(0)?;
        let (kernel, config) = boot::prepare(&ram, &ranges, spec, closed_streams, spec.privilege)?;
        let policy = CpuPolicy::new(kvm.supported_cpuid()?, spec.cpus, spec.privilege);
        policy.apply(&vcpu, FIRST_VCPU_AREA, &kernel, kernel.entry)?;
        let tsc_khz = u64::from(vcpu.tsc_khz()?);
        let facts = LateFacts {
            pci_devices: (1 << pci.device_count()) - 1,
            tsc_khz,
            has_tsc_deadline: policy.has_tsc_deadline,
            privilege: spec.privilege,
            vcpu_limit: spec.vcpu_limit,
        };
        boot::write_boot_page(&ram, &ranges, config, spec, facts)?;

        let (sender, receiver) = channel();
        let stats = MachineStats {
            created_ns,
            guest_limit_bytes: spec.memory_bytes,
            kernel_bytes: kernel.end,
            privilege: spec.privilege.name(),
            ..MachineStats::default()
        };
        let bus = Arc::new(Bus { pci });
        Ok(Self {
            vcpu: Some(vcpu),
            bus,
            ram,
            threads: vec![streams, files],
            sender,
            receiver,
            stats,
            tsc_khz,
            tsc_base: TscBase::default(),
            profile: spec.profile,
            samples: Samples::default(),
            is_ending,
            _vm: vm,
        })
    }

    /// For stopping it from another thread.
    #[must_use]
    pub fn stop_handle(&self) -> StopHandle {
        StopHandle(self.sender.clone())
    }

    /// Runs the partition to its end.
    #[must_use]
    pub fn run(mut self) -> Outcome {
        match self.run_vcpu() {
            Ok((end, exits)) => self.finish(end, exits),
            Err(message) => {
                let end = End::Failed { message };
                Outcome { end, stats: self.stats, log: String::new() }
            }
        }
    }

    fn run_vcpu(&mut self) -> Result<(Ending, Exits), String> {
        Vcpu::prepare_process().map_err(|error| format!("cannot install the kick handler: {error}"))?;
        let tsc = self.vcpu.as_ref().map_or(Ok(0), Vcpu::tsc).map_err(|error| error.to_string())?;
        boot::write_clock_page(&self.ram, tsc, self.tsc_khz).map_err(|error| error.to_string())?;
        let start_ns = boot::monotonic_ns();
        self.stats.first_guest_instruction_ns = Some(start_ns);
        self.tsc_base = TscBase { tsc, ns: start_ns, khz: self.tsc_khz };

        let vcpu = self.vcpu.take().ok_or("the machine ran already")?;
        let profile = self.profile;
        let (stop, bus, sender) = (vcpu.stop_flag(), Arc::clone(&self.bus), self.sender.clone());
        let thread = std::thread::Builder::new()
            .name("vcpu/0".into())
            .spawn(move || {
                let (end, exits, samples) = run_loop(vcpu, &bus, profile);
                let _ = sender.send(Message::Ended(end));
                (exits, samples)
            })
            .map_err(|error| format!("cannot start the vCPU's thread: {error}"))?;
        let kicker = Kicker::new(thread, stop);
        let message =
            if self.profile { sample_until_message(&kicker, &self.receiver) } else { self.receiver.recv() };
        let (exits, samples) = kicker.stop().map_err(|_| "the vCPU's thread panicked".to_owned())?;
        self.stats.exit_ns = boot::monotonic_ns();
        self.samples = samples;
        Ok(match message {
            Ok(Message::Ended(VcpuEnd::Reported)) => (Ending::Reported, exits),
            Ok(Message::Ended(VcpuEnd::Broken(message))) => (Ending::Known(End::Failed { message }), exits),
            Ok(Message::Stop(reason)) => (Ending::Known(End::Stopped(reason)), exits),
            Ok(Message::Ended(VcpuEnd::Kicked)) | Err(_) => {
                (Ending::Known(End::Failed { message: "the vCPU stopped for no reason".into() }), exits)
            }
        })
    }

    fn finish(self, ending: Ending, exits: Exits) -> Outcome {
        self.is_ending.store(true, Ordering::Relaxed);
        for mut thread in self.threads {
            thread.stop();
        }
        let mut stats = self.stats;
        stats.exits = exits;
        let mut outcome = report::outcome(&self.ram, ending.known(), stats, self.tsc_base);
        if self.profile {
            outcome.log.push_str(&self.samples.describe());
        }
        outcome
    }
}

/// The guest has nothing to say on the control port yet: it reports in memory.
struct NoMessages;

impl ControlPort for NoMessages {
    fn message(&self, _message: &[u8]) {}
}

/// How the run ended, as far as the machine itself knows.
enum Ending {
    Reported,
    Known(End),
}

impl Ending {
    fn known(self) -> Option<End> {
        match self {
            Self::Reported => None,
            Self::Known(end) => Some(end),
        }
    }
}

/// Exits by reason.
type Exits = BTreeMap<&'static str, u64>;

/// Waits for a message, interrupting the guest now and then so that its thread looks where it is.
fn sample_until_message<T>(kicker: &Kicker<T>, receiver: &Receiver<Message>) -> Result<Message, RecvError> {
    loop {
        match receiver.recv_timeout(SAMPLE_PERIOD) {
            Ok(message) => return Ok(message),
            Err(RecvTimeoutError::Disconnected) => return Err(RecvError),
            Err(RecvTimeoutError::Timeout) => kicker.interrupt(),
        }
    }
}

fn run_loop(mut vcpu: Vcpu, bus: &Bus, profile: bool) -> (VcpuEnd, Exits, Samples) {
    let mut exits = Exits::new();
    let mut samples = Samples::default();
    let stop = vcpu.stop_flag();
    loop {
        let (reason, end) = match vcpu.run() {
            Ok(Exit::MmioRead(address, data)) => {
                bus.read(address, data);
                ("mmio_read", None)
            }
            Ok(Exit::MmioWrite(address, data)) => {
                bus.write(address, data);
                ("mmio_write", None)
            }
            Ok(Exit::PortWrite(COMMAND_PORT, data)) => ("command", command(data)),
            Ok(Exit::PortWrite(..)) => ("port_write", None),
            Ok(Exit::PortRead(_, data)) => {
                data.fill(0xff);
                ("port_read", None)
            }
            Ok(Exit::Interrupted) if stop.load(Ordering::Acquire) => ("kick", Some(VcpuEnd::Kicked)),
            Ok(Exit::Interrupted) => ("signal", None),
            Ok(Exit::Halted) => ("halt", None),
            Ok(Exit::Shutdown) => {
                ("shutdown", Some(VcpuEnd::Broken("the guest kernel took a triple fault".into())))
            }
            Ok(Exit::Failed(message)) => ("failed", Some(VcpuEnd::Broken(format!("KVM: {message}")))),
            Ok(Exit::Other(what)) => ("other", Some(VcpuEnd::Broken(format!("KVM returned {what}")))),
            Err(error) => ("error", Some(VcpuEnd::Broken(error.to_string()))),
        };
        *exits.entry(reason).or_default() += 1;
        if profile
            && reason == "signal"
            && let Ok(regs) = vcpu.regs()
        {
            samples.add(regs.rip);
        }
        if let Some(mut end) = end {
            if let VcpuEnd::Broken(message) = &mut end
                && let Ok(regs) = vcpu.regs()
            {
                message.push_str(&format!(" (at {:#x})", regs.rip));
            }
            return (end, exits, samples);
        }
    }
}

/// What the guest wrote to the command port.
fn command(data: &[u8]) -> Option<VcpuEnd> {
    let number = <[u8; 4]>::try_from(data).map(u32::from_le_bytes).ok()?;
    match Command::from_number(number)? {
        Command::Exit | Command::Panic => Some(VcpuEnd::Reported),
        Command::Log | Command::StartVcpu => None,
    }
}
