//! The part of a machine that depends on nothing but amounts: VM, memory, interrupt controller, first vCPU, the guest kernel.
//!
//! It is made by a thread of its own while the worker composes the partition's files; KVM makes both wait now and then.

use crate::boot;
use crate::cpu::CpuPolicy;
use crate::image::LoadedKernel;
use crate::machine::MachineError;
use crate::spec::PrivilegeChoice;
use crate::vcpus;
use septum_abi::boot::Privilege;
use septum_abi::layout::FIRST_VCPU_AREA;
use septum_host_io::CloseLater;
use septum_hypervisor::{Kvm, Vcpu, Vm};
use septum_memory::{GuestImage, GuestRam, OwnFile, Pages};
use septum_vfio::Container;
use std::ops::Range;
use std::os::fd::BorrowedFd;
use std::sync::Arc;

/// The guest looks for a moment itself before it halts, where that may pay; what comes later than that is worth no polling.
const HALT_POLLING_NS: u32 = 0;

/// What of the guest's memory even a small program uses: the kernel takes frames behind its image, and the pages of files and those
/// of programs come from the blocks of 2 MiB that follow (`septum_guest_hal::frame::pool`).
fn first_used(image_end: u64) -> [(u64, u64); 3] {
    const BLOCK: u64 = 2 << 20;
    let block = image_end.next_multiple_of(BLOCK);
    [(image_end, 192 << 10), (block, 768 << 10), (block + BLOCK, 128 << 10)]
}

/// How much of everything.
#[derive(Clone, Copy, Debug)]
pub struct CoreSpec {
    /// Guest RAM, bytes.
    pub memory_bytes: u64,
    /// What the host backs it with.
    pub pages: Pages,
    /// CPUs that the program is told it has.
    pub cpus: u32,
    /// vCPUs there may be at most: threads of the program.
    pub vcpu_limit: u32,
    /// Where the guest kernel runs.
    pub privilege: PrivilegeChoice,
}

/// A virtual machine without devices.
pub struct Core {
    pub(crate) spec: CoreSpec,
    pub(crate) created_ns: u64,
    pub(crate) ram: GuestRam,
    pub(crate) vm: Arc<Vm>,
    /// Has the host take the virtual machine apart when this process has ended.
    pub(crate) later: Option<CloseLater>,
    pub(crate) first: Vcpu,
    pub(crate) policy: CpuPolicy,
    pub(crate) privilege: Privilege,
    pub(crate) vcpu_limit: u32,
    pub(crate) kernel: LoadedKernel,
    pub(crate) tsc_khz: u64,
    pub(crate) image_len: u64,
    /// Where this process has the image mapped.
    pub(crate) image_mappings: Vec<Range<u64>>,
}

/// RAM, and a virtual machine that has it and nothing else. Functions in `container` reach all of it.
pub fn memory_and_vm(
    kvm: &Kvm,
    bytes: u64,
    pages: Pages,
    container: Option<&Container>,
) -> Result<(GuestRam, Vm), MachineError> {
    let ram = septum_memory::allocate(bytes, pages)?;
    let vm = kvm.create_vm()?;
    vm.add_ram(&ram)?;
    if let Some(container) = container {
        container.pin(&ram).map_err(MachineError::Pin)?;
        for group in container.groups() {
            // Only functions that do DMA past the caches need it.
            let _ = vm.know_group(group);
        }
    }
    Ok((ram, vm))
}

impl Core {
    /// Makes it. `own_file` is this program's own file, of which the guest kernel is a part; `image` is what the guest has for its root.
    /// Functions in `container` reach all of its memory from then on, so it must stay what it is: there must be no `own_file` to map over it.
    /// If there is a file `ending`, the host takes the virtual machine apart when the process has ended, and has that file open as long.
    ///
    /// # Errors
    /// No memory, KVM refused, or the privilege mode that is asked for cannot be.
    pub fn new(
        kvm: &Kvm,
        spec: CoreSpec,
        own_file: Option<&OwnFile>,
        image: Option<&GuestImage>,
        container: Option<&Container>,
        ending: Option<BorrowedFd<'_>>,
    ) -> Result<Self, MachineError> {
        let created_ns = boot::monotonic_ns();
        let (ram, vm) = memory_and_vm(kvm, spec.memory_bytes, spec.pages, container)?;
        // Where the host cannot, it is taken apart before.
        let later = ending.and_then(|ending| CloseLater::new(&[ending, vm.descriptor()]).ok());
        if let Some(image) = image {
            vm.add_image(image.memory())?;
        }
        let mut wanted_vcpus = spec.vcpu_limit;
        if wanted_vcpus >= vcpus::XAPIC_LIMIT && vm.use_wide_apic_ids().is_err() {
            wanted_vcpus = vcpus::XAPIC_LIMIT - 1;
        }
        vm.create_irqchip()?;
        // Where KVM cannot, its own bound holds.
        let _ = vm.limit_halt_polling(HALT_POLLING_NS);
        let mut first = vm.create_vcpu(0)?;
        let policy = CpuPolicy::new(kvm.supported_cpuid()?, spec.cpus);
        policy.identify(&first)?;
        let privilege = policy.choose(spec.privilege, &mut first, &ram)?;
        let privilege = privilege.ok_or(MachineError::NoSinglePrivilege)?;
        let policy = policy.for_privilege(privilege);
        let vcpu_limit = vcpus::limit(wanted_vcpus, kvm.max_vcpus(), privilege);
        let kernel = boot::load_kernel(&ram, spec.memory_bytes, privilege, own_file)?;
        for (start, len) in first_used(kernel.end) {
            // A wish: else it comes page by page.
            let _ = septum_memory::populate(&ram, start, len);
        }
        policy.apply(&first, FIRST_VCPU_AREA, &kernel, kernel.entry)?;
        let tsc_khz = u64::from(first.tsc_khz()?);
        let vm = Arc::new(vm);
        let image_len = image.map_or(0, GuestImage::len);
        let image_mappings = image.map_or_else(Vec::new, |image| septum_memory::host_ranges(image.memory()));
        Ok(Self {
            spec,
            created_ns,
            image_len,
            image_mappings,
            ram,
            vm,
            later,
            first,
            policy,
            privilege,
            vcpu_limit,
            kernel,
            tsc_khz,
        })
    }
}
