//! A virtual machine.

use crate::passthrough::Passthrough;
use crate::system::{KvmError, failed};
use crate::vcpu::Vcpu;
use kvm_bindings::{
    KVM_CAP_HALT_POLL, KVM_CAP_SPLIT_IRQCHIP, KVM_CAP_X2APIC_API, KVM_MEM_READONLY,
    KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK, KVM_X2APIC_API_USE_32BIT_IDS, kvm_enable_cap, kvm_msi,
    kvm_userspace_memory_region,
};
use kvm_ioctls::{IoEventAddress, NoDatamatch, VmFd};
use std::io;
use std::os::fd::{AsRawFd as _, BorrowedFd};
use std::sync::OnceLock;
use vm_memory::{Address, GuestMemory, GuestMemoryMmap, GuestMemoryRegion};
use vmm_sys_util::eventfd::EventFd;

/// Unused guest-physical pages that VT-x wants for itself; below the ECAM's end and above its first bus.
const TSS_ADDRESS: usize = 0xe010_0000;

/// A virtual machine. Threads share it.
#[derive(Debug)]
pub struct Vm {
    pub(crate) fd: VmFd,
    pub(crate) passthrough: Passthrough,
    /// Kept mapped for as long as KVM may use it.
    memory: OnceLock<GuestMemoryMmap<()>>,
    /// Likewise.
    window: OnceLock<GuestMemoryMmap<()>>,
    /// Likewise.
    image: OnceLock<GuestMemoryMmap<()>>,
}

/// The slot of the window for files; RAM has those before.
const WINDOW_SLOT: u32 = 8;
/// The slot of the image.
const IMAGE_SLOT: u32 = 9;

impl Vm {
    pub(crate) fn new(fd: VmFd) -> Self {
        Self {
            fd,
            passthrough: Passthrough::default(),
            memory: OnceLock::new(),
            window: OnceLock::new(),
            image: OnceLock::new(),
        }
    }

    /// What this process has the machine by.
    #[must_use]
    pub fn descriptor(&self) -> BorrowedFd<'_> {
        // SAFETY: 1. `self.fd` owns the descriptor, and outlives what is borrowed.
        unsafe { BorrowedFd::borrow_raw(self.fd.as_raw_fd()) }
    }

    /// Gives the guest `ram` as memory, one slot a region; once. Before
    /// [`create_irqchip`](Self::create_irqchip) and any [doorbell](Self::register_doorbell): on some hosts slots take
    /// milliseconds afterwards.
    ///
    /// # Errors
    /// KVM refused, or there is memory already.
    pub fn add_ram(&self, ram: &GuestMemoryMmap<()>) -> Result<(), KvmError> {
        self.memory.set(ram.clone()).map_err(|_| KvmError::Call {
            call: "KVM_SET_USER_MEMORY_REGION",
            source: io::Error::from_raw_os_error(libc::EEXIST),
        })?;
        self.set_slots(0, ram, 0)
    }

    /// Gives the guest the window for files, once; it does not overlap RAM, and may be given while the guest runs.
    ///
    /// # Errors
    /// KVM refused.
    pub fn add_window(&self, window: &GuestMemoryMmap<()>) -> Result<(), KvmError> {
        if self.window.get().is_none() {
            self.set_slots(WINDOW_SLOT, window, 0)?;
            // Kept from here on; the caller has it until then.
            let _ = self.window.set(window.clone());
        }
        Ok(())
    }

    /// Gives the guest an image that it can only read, once; when, as for [`add_ram`](Self::add_ram).
    ///
    /// # Errors
    /// KVM refused.
    pub fn add_image(&self, image: &GuestMemoryMmap<()>) -> Result<(), KvmError> {
        self.set_slots(IMAGE_SLOT, image, KVM_MEM_READONLY)?;
        // Nobody calls this twice; if somebody did, the first one would stay mapped.
        let _ = self.image.set(image.clone());
        Ok(())
    }

    pub(crate) fn set_slots(
        &self,
        first: u32,
        memory: &GuestMemoryMmap<()>,
        flags: u32,
    ) -> Result<(), KvmError> {
        for (slot, region) in (first..).zip(memory.iter()) {
            let region = kvm_userspace_memory_region {
                slot,
                flags,
                guest_phys_addr: region.start_addr().raw_value(),
                memory_size: region.len(),
                userspace_addr: region.as_ptr() as u64,
            };
            // SAFETY: 1. the range is a live mapping of that length, kept by `self` for as long as the VM; 2. regions
            // of one `GuestMemoryMmap` do not overlap.
            unsafe { self.fd.set_user_memory_region(region) }
                .map_err(failed("KVM_SET_USER_MEMORY_REGION"))?;
        }
        Ok(())
    }

    /// Makes local APICs, and no legacy controllers where KVM can do without.
    ///
    /// # Errors
    /// KVM refused.
    pub fn create_irqchip(&self) -> Result<(), KvmError> {
        self.fd.set_tss_address(TSS_ADDRESS).map_err(failed("KVM_SET_TSS_ADDR"))?;
        let split = kvm_enable_cap { cap: KVM_CAP_SPLIT_IRQCHIP, ..kvm_enable_cap::default() };
        if self.fd.enable_cap(&split).is_ok() {
            return Ok(());
        }
        self.fd.create_irq_chip().map_err(failed("KVM_CREATE_IRQCHIP"))
    }

    /// Makes local APICs and the I/O APIC, whose pins are the first [lines](Self::first_line): what other kernels than ours need for devices
    /// that have no messages for their interrupts.
    ///
    /// # Errors
    /// KVM refused.
    pub fn create_pc_irqchip(&self) -> Result<(), KvmError> {
        self.fd.set_tss_address(TSS_ADDRESS).map_err(failed("KVM_SET_TSS_ADDR"))?;
        self.fd.create_irq_chip().map_err(failed("KVM_CREATE_IRQCHIP"))?;
        self.passthrough.keep_pins();
        Ok(())
    }

    /// Bounds for how long KVM looks for an interrupt before it lets the thread of a halted vCPU sleep, while no other thread wants
    /// the processor. Its own bound burns a fifth of a millisecond and more a halt.
    ///
    /// # Errors
    /// KVM cannot.
    pub fn limit_halt_polling(&self, ns: u32) -> Result<(), KvmError> {
        let args = [u64::from(ns), 0, 0, 0];
        let cap = kvm_enable_cap { cap: KVM_CAP_HALT_POLL, args, ..kvm_enable_cap::default() };
        self.fd.enable_cap(&cap).map_err(failed("KVM_CAP_HALT_POLL"))
    }

    /// Lets local APIC ids go beyond 255, and 255 itself be one: in x2APIC mode only.
    ///
    /// # Errors
    /// KVM cannot.
    pub fn use_wide_apic_ids(&self) -> Result<(), KvmError> {
        let flags = KVM_X2APIC_API_USE_32BIT_IDS | KVM_X2APIC_API_DISABLE_BROADCAST_QUIRK;
        let args = [u64::from(flags), 0, 0, 0];
        let cap = kvm_enable_cap { cap: KVM_CAP_X2APIC_API, args, ..kvm_enable_cap::default() };
        self.fd.enable_cap(&cap).map_err(failed("KVM_CAP_X2APIC_API"))
    }

    /// A new virtual CPU.
    ///
    /// # Errors
    /// KVM refused: it has no more of them (`EINVAL`), or not now.
    pub fn create_vcpu(&self, id: u32) -> Result<Vcpu, KvmError> {
        Ok(Vcpu::new(self.fd.create_vcpu(u64::from(id)).map_err(failed("KVM_CREATE_VCPU"))?))
    }

    /// Delivers a message-signalled interrupt.
    ///
    /// # Errors
    /// KVM refused; a blocked interrupt is none.
    pub fn signal_msi(&self, address: u64, data: u32) -> io::Result<()> {
        let [low, high] = [address & 0xffff_ffff, address >> 32].map(|half| u32::try_from(half).unwrap_or(0));
        let msi = kvm_msi { address_lo: low, address_hi: high, data, ..kvm_msi::default() };
        self.fd.signal_msi(msi).map(|_| ()).map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    /// A guest write of any width to `address` signals `fd` and does not exit.
    ///
    /// # Errors
    /// KVM refused.
    pub fn register_doorbell(&self, fd: &EventFd, address: u64) -> io::Result<()> {
        self.fd
            .register_ioevent(fd, &IoEventAddress::Mmio(address), NoDatamatch)
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }

    /// Undoes [`register_doorbell`](Self::register_doorbell).
    ///
    /// # Errors
    /// There was none.
    pub fn unregister_doorbell(&self, fd: &EventFd, address: u64) -> io::Result<()> {
        self.fd
            .unregister_ioevent(fd, &IoEventAddress::Mmio(address), NoDatamatch)
            .map_err(|error| io::Error::from_raw_os_error(error.errno()))
    }
}
