//! From an exit to the device that owns the address.

use septum_abi::layout::FILE_WINDOW;
use septum_abi::layout::{ECAM_BASE, ECAM_SIZE};
use septum_devices::core::{FileWindow, KickRegistrar, MemoryPopulator, MsiSender};
use septum_devices::pci::PciBus;
use septum_devices::virtio::balloon::MemoryReclaimer;
use septum_hypervisor::Vm;
use septum_memory::GuestRam;
use std::io;
use std::ops::Range;
use std::os::fd::{BorrowedFd, RawFd};
use std::sync::Arc;
use vmm_sys_util::eventfd::EventFd;

/// Interrupts and doorbells of the devices, by KVM.
pub struct VmServices {
    /// The machine's VM.
    pub vm: Arc<Vm>,
}

impl MsiSender for VmServices {
    fn signal(&self, address: u64, data: u32) -> io::Result<()> {
        self.vm.signal_msi(address, data)
    }
}

impl KickRegistrar for VmServices {
    fn register(&self, fd: &EventFd, address: u64) -> io::Result<()> {
        self.vm.register_doorbell(fd, address)
    }

    fn unregister(&self, fd: &EventFd, address: u64) -> io::Result<()> {
        self.vm.unregister_doorbell(fd, address)
    }
}

/// Guest RAM, for the balloon to take from and the file system to give to.
pub struct Ram(pub GuestRam);

impl MemoryReclaimer for Ram {
    fn reclaim(&self, start: u64, len: u64) -> io::Result<()> {
        septum_memory::reclaim(&self.0, start, len)
    }
}

impl MemoryPopulator for Ram {
    fn populate(&self, start: u64, len: u64) -> io::Result<()> {
        septum_memory::populate(&self.0, start, len)
    }
}

/// Files in the guest's physical memory. KVM is told of it when the first is mapped: a slot costs milliseconds on some hosts.
pub struct Window {
    /// The machine's VM.
    pub vm: Arc<Vm>,
    /// The host's side.
    pub files: septum_memory::FileWindow,
}

impl FileWindow for Window {
    fn place(&self) -> Range<u64> {
        FILE_WINDOW
    }

    fn map(&self, at: u64, len: u64, file: RawFd, offset: u64, is_writable: bool) -> io::Result<()> {
        self.vm.add_window(self.files.memory()).map_err(io::Error::other)?;
        self.files.map(at, len, file, offset, is_writable)
    }

    fn copy(&self, at: u64, len: u64, file: BorrowedFd<'_>, offset: u64) -> io::Result<()> {
        self.files.copy(at, len, file, offset)
    }

    fn lies_still(&self, file: BorrowedFd<'_>) -> bool {
        septum_memory::lies_still(file)
    }

    fn unmap(&self, at: u64, len: u64) -> io::Result<()> {
        self.files.unmap(at, len)
    }
}

/// Everything that a vCPU can reach by MMIO.
pub struct Bus {
    /// The PCI bus.
    pub pci: PciBus,
}

fn ecam_offset(address: u64) -> Option<u64> {
    address.checked_sub(ECAM_BASE).filter(|offset| *offset < ECAM_SIZE)
}

impl Bus {
    /// The guest reads; an address that nobody owns reads as all ones.
    pub fn read(&self, address: u64, data: &mut [u8]) {
        match ecam_offset(address) {
            Some(offset) => self.pci.ecam_read(offset, data),
            None if self.pci.mmio_read(address, data) => {}
            None => data.fill(0xff),
        }
    }

    /// The guest writes; an address that nobody owns ignores it.
    pub fn write(&self, address: u64, data: &[u8]) {
        match ecam_offset(address) {
            Some(offset) => self.pci.ecam_write(offset, data),
            None => {
                let _ = self.pci.mmio_write(address, data);
            }
        }
    }
}
