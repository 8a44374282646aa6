//! Real vCPUs of the host's KVM, with a few instructions of machine code as their kernel.

use super::*;
use crate::bus::VmServices;
use crate::image::Segment;
use crate::mailbox::{Waiting, mailbox};
use crate::service::Listener;
use crate::spec::Confine;
use septum_abi::layout::{BOOT_PAGE_TABLES, KERNEL_BASE, KERNEL_MAP, PCI_WINDOW};
use septum_devices::core::{GuestMemory as DeviceMemory, HostServices};
use septum_devices::pci::PciBus;
use septum_hypervisor::Kvm;
use septum_memory::Pages;
use std::time::{Duration, Instant};

/// Where the program keeps its variables, 8 bytes each: lock, latest time, times that went back, vCPUs that are done, rounds.
const VARIABLES: u64 = 0x18_0000;
const TIMES_BACK: u64 = VARIABLES + 16;
const DONE: u64 = VARIABLES + 24;
const ROUNDS: u64 = VARIABLES + 32;
const AREAS: u64 = 0x20_0000;

/// Under a lock, compares the time with the latest that any vCPU saw, so many rounds; then counts itself and halts.
const CODE: &[u8] = &[
    0x49, 0xbe, 0x00, 0x00, 0x18, 0x00, 0x00, 0x88, 0xff, 0xff, //     mov r14, DIRECT_MAP + VARIABLES
    0x41, 0x8b, 0x4e, 0x20, //                                         mov ecx, [r14 + 32]
    0x31, 0xc0, //                                                  1: xor eax, eax
    0xba, 0x01, 0x00, 0x00, 0x00, //                                   mov edx, 1
    0xf0, 0x41, 0x0f, 0xb1, 0x16, //                                   lock cmpxchg [r14], edx
    0x74, 0x04, //                                                     je 2f
    0xf3, 0x90, //                                                     pause
    0xeb, 0xee, //                                                     jmp 1b
    0x0f, 0xae, 0xe8, //                                            2: lfence
    0x0f, 0x31, //                                                     rdtsc
    0x48, 0xc1, 0xe2, 0x20, //                                         shl rdx, 32
    0x48, 0x09, 0xd0, //                                               or rax, rdx
    0x49, 0x3b, 0x46, 0x08, //                                         cmp rax, [r14 + 8]
    0x73, 0x04, //                                                     jae 3f
    0x49, 0xff, 0x46, 0x10, //                                         inc qword [r14 + 16]
    0x49, 0x89, 0x46, 0x08, //                                      3: mov [r14 + 8], rax
    0x41, 0xc7, 0x06, 0x00, 0x00, 0x00, 0x00, //                       mov dword [r14], 0
    0xff, 0xc9, //                                                     dec ecx
    0x75, 0xc9, //                                                     jnz 1b
    0xf0, 0x49, 0xff, 0x46, 0x18, //                                   lock inc qword [r14 + 24]
    0xf4, //                                                        4: hlt
    0xeb, 0xfd, //                                                     jmp 4b
];

struct Bench {
    vcpus: Arc<Vcpus>,
    ram: GuestRam,
    ended: Waiting,
}

/// A machine of up to `limit` vCPUs that go `rounds`; the first one runs. `None` on a host without KVM.
fn bench(limit: u32, rounds: u64) -> Option<Bench> {
    let Ok(kvm) = Kvm::open() else {
        eprintln!("skipped: no KVM here");
        return None;
    };
    Vcpu::prepare_process().unwrap();
    let ram = septum_memory::allocate(64 << 20, Pages::Ordinary).unwrap();
    let ranges = septum_memory::ranges(64 << 20);
    let vm = kvm.create_vm().unwrap();
    vm.add_ram(&ram).unwrap();
    if limit > XAPIC_LIMIT {
        vm.use_wide_apic_ids().unwrap();
    }
    vm.create_irqchip().unwrap();
    let vm = Arc::new(vm);
    let entry = KERNEL_MAP + KERNEL_BASE;
    let kernel = LoadedKernel {
        entry,
        vectors: vec![0; 256],
        single_vectors: vec![0; 256],
        secondary_entry: entry,
        syscall_entry: entry,
        segments: vec![Segment { start: KERNEL_BASE, end: KERNEL_BASE + 4096, write: false, execute: true }],
        end: KERNEL_BASE + 4096,
    };
    write_bytes(&ram, KERNEL_BASE, CODE).unwrap();
    write_bytes(&ram, ROUNDS, &rounds.to_le_bytes()).unwrap();
    tables::write_page_tables(&ram, &ranges, &kernel, Privilege::Ring0).unwrap();
    tables::write_vcpu_area(&ram, FIRST_VCPU_AREA, 0, Privilege::Ring0).unwrap();
    let policy = CpuPolicy::new(kvm.supported_cpuid().unwrap(), 1);
    let first = vm.create_vcpu(0).unwrap();
    policy.identify(&first).unwrap();
    policy.apply(&first, FIRST_VCPU_AREA, &kernel, entry).unwrap();
    let services = Arc::new(VmServices { vm: Arc::clone(&vm) });
    let services = HostServices {
        memory: DeviceMemory::new(ram.clone()),
        msi: Arc::clone(&services) as Arc<_>,
        kicks: services,
    };
    let bus = Arc::new(Bus { pci: PciBus::new(services, PCI_WINDOW) });
    let parts = Parts {
        confine: Confine(Arc::new(|_| ())),
        vm,
        ram: ram.clone(),
        policy,
        free_start: AREAS,
        kernel,
        privilege: Privilege::Ring0,
        limit,
        bus,
        is_profiled: false,
        cpus: 1,
        service: Service::new(Listener(Box::new(|_| {}))).unwrap(),
        when_crowded: Mutex::new(None),
    };
    let (sender, ended) = mailbox().unwrap();
    let vcpus = Vcpus::new(parts, sender);
    vcpus.start_first(first).unwrap();
    Some(Bench { vcpus, ram, ended })
}

impl Bench {
    /// What the guest is told that asks for a vCPU with its area at `area`.
    fn ask(&self, area: u64) -> i32 {
        let place = |offset: usize| REPORT + u64::try_from(offset).unwrap();
        let request = place(offset_of!(GuestReport, vcpu_area));
        write_bytes(&self.ram, request, &area.to_le_bytes()).unwrap();
        self.vcpus.start_for_guest();
        read(&self.ram, place(offset_of!(GuestReport, vcpu_answer))).unwrap()
    }

    fn wait_until_done(&self, count: u64) {
        let start = Instant::now();
        while read::<u64>(&self.ram, DONE).unwrap() < count {
            assert!(self.ended.take().is_none(), "a vCPU ended by itself");
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", read::<u64>(&self.ram, DONE));
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

fn area(index: u64) -> u64 {
    AREAS + index * VCPU_AREA_SIZE
}

#[test]
fn vcpus_count_up_from_0_and_their_time_never_goes_back() {
    let Some(bench) = bench(8, 300) else { return };
    for number in 1..6 {
        assert_eq!(bench.ask(area(number)), i32::try_from(number).unwrap());
        assert_eq!(
            read::<u32>(&bench.ram, area(number) + septum_abi::layout::VCPU_NUMBER).unwrap(),
            u32::try_from(number).unwrap()
        );
    }
    bench.wait_until_done(6);
    assert_eq!(read::<u64>(&bench.ram, TIMES_BACK).unwrap(), 0, "a counter is behind another");
    let total = bench.vcpus.stop_all();
    assert_eq!((total.count, total.refused, total.has_panicked), (6, 0, false));
    assert_eq!(bench.vcpus.exits().by_name().get("kick"), Some(&6));
    assert_eq!(bench.ask(area(7)), -11, "an ending machine starts nothing");
}

#[test]
fn two_hundred_halted_vcpus_stop_within_a_second() {
    let Some(bench) = bench(200, 1) else { return };
    for number in 1..200 {
        assert_eq!(bench.ask(area(number)), i32::try_from(number).unwrap());
    }
    bench.wait_until_done(200);
    let start = Instant::now();
    assert_eq!(bench.vcpus.stop_all().count, 200);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn two_hundred_busy_vcpus_stop_within_a_second() {
    let Some(bench) = bench(200, u64::from(u32::MAX)) else { return };
    for number in 1..200 {
        assert_eq!(bench.ask(area(number)), i32::try_from(number).unwrap());
    }
    let start = Instant::now();
    assert_eq!(bench.vcpus.stop_all().count, 200);
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[test]
fn ids_go_beyond_255() {
    let Some(bench) = bench(300, 1) else { return };
    for number in 1..300 {
        assert_eq!(bench.ask(area(number)), i32::try_from(number).unwrap());
    }
    bench.wait_until_done(300);
    bench.vcpus.stop_all();
}

#[test]
fn what_is_no_place_for_an_area_is_refused() {
    let Some(bench) = bench(4, 1) else { return };
    let wrong = [
        0,
        1,
        FIRST_VCPU_AREA,
        BOOT_PAGE_TABLES,
        KERNEL_BASE,
        AREAS - VCPU_AREA_SIZE,
        AREAS + 8,
        AREAS + 4096,
        64 << 20,
        (64 << 20) - 4096,
        0xfee0_0000,
        u64::MAX,
        !(VCPU_AREA_SIZE - 1),
    ];
    for address in wrong {
        assert_eq!(bench.ask(address), -22, "{address:#x}");
    }
    assert_eq!(bench.ask(area(0)), 1);
    assert_eq!(bench.ask(area(0)), -22, "it is taken");
    assert_eq!(bench.ask((64 << 20) - VCPU_AREA_SIZE), 2);
    assert_eq!(bench.ask(area(5)), 3);
    assert_eq!(bench.ask(area(6)), -11, "the limit is 4");
    let total = bench.vcpus.stop_all();
    assert_eq!((total.count, total.refused), (4, 0));
}

#[test]
fn the_limit_is_that_of_the_host_and_the_mode_too() {
    assert_eq!(limit(256, 1024, Privilege::Ring0), 256);
    assert_eq!(limit(256, 1024, Privilege::Single), 254);
    assert_eq!(limit(1024, 288, Privilege::Ring0), 287);
    assert_eq!(limit(1024, 4096, Privilege::Ring0), 1023);
    assert_eq!(limit(4, 0, Privilege::Ring0), 1);
}
