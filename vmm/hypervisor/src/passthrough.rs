//! What KVM does for devices of the host that belong to the guest: their memory in slots of its own, their interrupts without an exit.
//!
//! ```text
//!   device ─► host's interrupt ─► event ─► line (GSI) ─► route: address and data ─► local APIC
//! ```
//!
//! A line has its route before it is connected to its event. Routes are set as one table, so every change gives KVM all of them, those of the I/O
//! APIC's pins too where there is one.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

use kvm_bindings::{
    KVM_DEV_VFIO_GROUP, KVM_DEV_VFIO_GROUP_ADD, KVM_IRQ_ROUTING_IRQCHIP, KVM_IRQ_ROUTING_MSI,
    KVM_IRQCHIP_IOAPIC, KvmIrqRouting, kvm_create_device, kvm_device_attr, kvm_device_type_KVM_DEV_TYPE_VFIO,
    kvm_irq_routing_entry,
};
use kvm_ioctls::DeviceFd;
use vm_memory::{GuestMemory as _, GuestMemoryMmap};
use vmm_sys_util::eventfd::EventFd;

use crate::system::KvmError;
use crate::vm::Vm;

/// The first slot of device memory; RAM, files and the image have those before.
const FIRST_SLOT: u32 = 16;
/// Slots that every KVM has.
const SLOTS: u32 = 480;
/// Pins of KVM's I/O APIC.
const PINS: u32 = 24;

/// Lines with their routes: address and data of a message.
#[derive(Debug, Default)]
struct State {
    routes: BTreeMap<u32, (u64, u32)>,
    /// Mapped for as long as KVM may use it.
    memory: Vec<GuestMemoryMmap<()>>,
    next_slot: u32,
    /// Through which KVM knows of the groups.
    groups: Option<DeviceFd>,
}

/// What a virtual machine keeps of it.
#[derive(Debug, Default)]
pub struct Passthrough {
    state: Mutex<State>,
    /// There is an I/O APIC, whose pins are the first lines.
    has_pins: AtomicBool,
}

impl Passthrough {
    /// Says that there is an I/O APIC.
    pub(crate) fn keep_pins(&self) {
        self.has_pins.store(true, Ordering::Relaxed);
    }
}

fn host(error: kvm_ioctls::Error) -> io::Error {
    io::Error::from_raw_os_error(error.errno())
}

fn entry(line: u32, (address, data): (u64, u32)) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry { gsi: line, type_: KVM_IRQ_ROUTING_MSI, ..Default::default() };
    let [low, high] = [address & 0xffff_ffff, address >> 32].map(|half| u32::try_from(half).unwrap_or(0));
    entry.u.msi.address_lo = low;
    entry.u.msi.address_hi = high;
    entry.u.msi.data = data;
    entry
}

/// From a line to the pin of the same number.
fn pin_entry(line: u32) -> kvm_irq_routing_entry {
    let mut entry = kvm_irq_routing_entry { gsi: line, type_: KVM_IRQ_ROUTING_IRQCHIP, ..Default::default() };
    entry.u.irqchip.irqchip = KVM_IRQCHIP_IOAPIC;
    entry.u.irqchip.pin = line;
    entry
}

impl Vm {
    /// The first line that has no other meaning.
    #[must_use]
    pub fn first_line(&self) -> u32 {
        if self.passthrough.has_pins.load(Ordering::Relaxed) { PINS } else { 0 }
    }

    fn set_routes(&self, routes: &BTreeMap<u32, (u64, u32)>) -> io::Result<()> {
        let pins = (0..self.first_line()).map(pin_entry);
        let entries: Vec<_> =
            pins.chain(routes.iter().map(|(&line, &message)| entry(line, message))).collect();
        let table = KvmIrqRouting::from_entries(&entries).map_err(|_| io::ErrorKind::InvalidInput)?;
        self.fd.set_gsi_routing(&table).map_err(host)
    }

    /// Has line `line` deliver this message from now on.
    ///
    /// # Errors
    /// KVM refused; then it is as before.
    pub fn route_line(&self, line: u32, message: (u64, u32)) -> io::Result<()> {
        let mut state = self.passthrough.state.lock().unwrap_or_else(PoisonError::into_inner);
        let mut routes = state.routes.clone();
        routes.insert(line, message);
        self.set_routes(&routes)?;
        state.routes = routes;
        Ok(())
    }

    /// `event` raises line `line` from now on, without anybody waking up in between; at once if it is signalled already.
    ///
    /// # Errors
    /// KVM refused.
    pub fn connect_line(&self, line: u32, event: &EventFd) -> io::Result<()> {
        self.fd.register_irqfd(event, line).map_err(host)
    }

    /// Undoes [`connect_line`](Self::connect_line); the event keeps what comes.
    ///
    /// # Errors
    /// It is not connected.
    pub fn disconnect_line(&self, line: u32, event: &EventFd) -> io::Result<()> {
        self.fd.unregister_irqfd(event, line).map_err(host)
    }

    /// Gives the guest memory of a device, which does not overlap anything that it has.
    ///
    /// # Errors
    /// KVM refused, or there are no more slots.
    pub fn add_device_memory(&self, memory: &GuestMemoryMmap<()>) -> Result<(), KvmError> {
        let mut state = self.passthrough.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.next_slot >= SLOTS {
            let source = io::Error::from_raw_os_error(libc::ENOSPC);
            return Err(KvmError::Call { call: "KVM_SET_USER_MEMORY_REGION", source });
        }
        self.set_slots(FIRST_SLOT + state.next_slot, memory, 0)?;
        state.next_slot += u32::try_from(memory.iter().count()).unwrap_or(SLOTS);
        state.memory.push(memory.clone());
        Ok(())
    }

    /// Tells KVM of a VFIO group whose devices the guest has: some of them may do DMA past the caches.
    ///
    /// # Errors
    /// KVM refused. The machine works nevertheless, but with such devices.
    pub fn know_group(&self, group: BorrowedFd<'_>) -> io::Result<()> {
        let mut state = self.passthrough.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.groups.is_none() {
            let mut device = kvm_create_device { type_: kvm_device_type_KVM_DEV_TYPE_VFIO, fd: 0, flags: 0 };
            state.groups = Some(self.fd.create_device(&mut device).map_err(host)?);
        }
        let descriptor = group.as_raw_fd();
        let attribute = kvm_device_attr {
            group: KVM_DEV_VFIO_GROUP,
            attr: u64::from(KVM_DEV_VFIO_GROUP_ADD),
            addr: std::ptr::from_ref(&descriptor).addr() as u64,
            flags: 0,
        };
        // KVM reads the descriptor, which lives until here.
        state.groups.as_ref().map_or(Ok(()), |device| device.set_device_attr(&attribute).map_err(host))
    }
}
