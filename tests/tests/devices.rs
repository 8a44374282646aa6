//! `--device`: a PCI function of the host, driven by a program of the partition.
//!
//! The device is QEMU's `edu`, which the nested host has, behind its IOMMU. There is one, so these tests take turns. Elsewhere, where a
//! device of the host may be somebody's, nothing is taken from anybody: they are skipped.

use std::fs;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use septum_tests::lane::Lane;
use septum_tests::{Invocation, Place, Septum, exit, family, lane, needs_partitions};
use serde_json::Value;

const DEVICES: &str = "/sys/bus/pci/devices";

/// The device, ours until this is dropped, and bound to vfio-pci.
struct Edu {
    address: String,
    _turn: MutexGuard<'static, ()>,
}

/// What a function's file says.
fn fact(address: &str, name: &str) -> String {
    fs::read_to_string(Path::new(DEVICES).join(address).join(name)).unwrap_or_default().trim().to_owned()
}

fn driver(address: &str) -> Option<String> {
    let link = fs::read_link(Path::new(DEVICES).join(address).join("driver")).ok()?;
    Some(link.file_name()?.to_string_lossy().into_owned())
}

/// The function whose vendor and device these are.
fn find(vendor: &str, device: &str) -> Option<String> {
    let names = fs::read_dir(DEVICES).ok()?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.into_iter().find(|address| fact(address, "vendor") == vendor && fact(address, "device") == device)
}

fn take() -> Result<Edu, String> {
    static TURN: Mutex<()> = Mutex::new(());
    if lane::Lane::current() != Lane::Nested {
        return Err("devices of this host are left alone; the nested lane has one to give".to_owned());
    }
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    let address = find("0x1234", "0x11e8").ok_or("this host has no edu device")?;
    Septum::raw(["devices", "bind", &address]).run().expect_code(0);
    assert_eq!(driver(&address).as_deref(), Some("vfio-pci"));
    Ok(Edu { address, _turn: turn })
}

macro_rules! edu {
    () => {{
        needs_partitions!();
        match take() {
            Ok(edu) => edu,
            Err(reason) => return lane::skip(&reason),
        }
    }};
}

/// The program, with the device: little memory, for all of it is pinned.
fn passed(place: &Place, edu: &Edu) -> Septum {
    place.septum("passed").option("--device", &edu.address).option("--memory", "64M")
}

/// `--device`, with a program that never runs.
fn refused(address: &str) -> Septum {
    Septum::run("true").option("--device", address).option("--memory", "64M")
}

#[test]
fn a_program_finds_the_device() {
    let edu = edu!();
    let place = Place::new();
    let output = passed(&place, &edu).argument("look").output();
    output.expect_code(0).expect_stdout(
        "vendor 0x1234\ndevice 0x11e8\nsubsystem_vendor 0x1af4\nsubsystem_device 0x1100\nrevision 0x10\n\
         class 0x00ff00\nenable 1\nnuma_node -1\nresource0 100000 bytes, flags 40200\ncapabilities 5\n",
    );
    // Without a device there is none to be found.
    let script = "ls /sys/bus/pci/devices; ls /dev/uio0 2>/dev/null || echo none";
    place.septum_tool("sh").arguments(["-c", script]).output().expect_code(0).expect_stdout("none\n");
}

#[test]
fn registers_are_reached_without_an_exit() {
    let edu = edu!();
    let place = Place::new();
    let exits = |what: &str| {
        let path = place.join("statistics.json");
        let run = passed(&place, &edu).argument(what).option("--json-stats", &path);
        let output = run.output();
        output.expect_code(0);
        let text = fs::read_to_string(&path).expect("the statistics were written");
        let document: Value = serde_json::from_str(&text).expect("a document");
        let of =
            |name: &str| document.pointer(&format!("/exits/{name}")).and_then(Value::as_u64).unwrap_or(0);
        (of("mmio_read") + of("mmio_write"), output.stdout_text())
    };
    let (without, _) = exits("nothing");
    let (with, text) = exits("mmio");
    assert_eq!(text, "12! = 479001600\ndone\n");
    // 4000 accesses and more; what is left are registers of the bus.
    assert!(with < without + 100, "{with} exits, {without} without accesses");
}

#[test]
fn the_device_reads_and_writes_memory() {
    let edu = edu!();
    let place = Place::new();
    passed(&place, &edu)
        .argument("dma")
        .output()
        .expect_code(0)
        .expect_stdout("there and back\nnot without bus mastering\n");
}

#[test]
fn interrupts_arrive_and_are_counted() {
    let edu = edu!();
    let place = Place::new();
    passed(&place, &edu)
        .argument("interrupt")
        .output()
        .expect_code(0)
        .expect_stdout("10! = 3628800\ninterrupted\n");
}

#[test]
fn what_a_program_may_not_do_is_an_error_and_registers_survive_nonsense() {
    let edu = edu!();
    let place = Place::new();
    passed(&place, &edu).argument("edges").output().expect_code(0).expect_stdout("edges\n");
}

#[test]
fn the_device_reaches_nothing_but_the_partitions_memory() {
    let edu = edu!();
    let place = Place::new();
    passed(&place, &edu).argument("wild").output().expect_code(0).expect_stdout("nothing came from there\n");
    // The host noticed, and is well.
    if let Some(dmesg) = lane::host_tool("dmesg") {
        let log = Invocation::new(dmesg).run().stdout_text();
        let refused = |what: &str| {
            log.lines().any(|line| line.contains(what) && line.contains(&edu.address["0000:".len()..]))
        };
        assert!(refused("[DMA Read") && refused("[DMA Write"), "{log}");
    }
    Septum::run("true").output().expect_code(0);
    passed(&place, &edu).argument("mmio").output().expect_code(0);
}

#[test]
fn a_killed_worker_leaves_a_device_that_the_next_partition_can_have() {
    let edu = edu!();
    let place = Place::new();
    for _ in 0..3 {
        let run = passed(&place, &edu).argument("forever").spawn();
        run.wait_for_stdout("ready\n");
        assert!(family::kill_descendants(run.pid()) > 0, "there is a worker");
        run.wait().expect_code(exit::WORKER);
        // Bus mastering is off, whatever the program had under way.
        let config = fs::read(Path::new(DEVICES).join(&edu.address).join("config")).expect("is there");
        assert_eq!(config[4] & 4, 0, "it may send still");
        passed(&place, &edu).argument("dma").output().expect_code(0);
    }
}

#[test]
fn many_partitions_have_it_one_after_the_other() {
    let edu = edu!();
    let place = Place::new();
    for _ in 0..8 {
        passed(&place, &edu).arguments(["mmio", "dma"]).output().expect_code(0);
    }
    Septum::raw(["devices", "unbind", &edu.address]).run().expect_code(0);
}

#[test]
fn one_partition_has_it_at_a_time() {
    let edu = edu!();
    let place = Place::new();
    let mut first = passed(&place, &edu).argument("forever").spawn();
    first.wait_for_stdout("ready\n");
    refused(&edu.address)
        .output()
        .expect_code(exit::HOST)
        .expect_stderr("is in use")
        .expect_stderr("end the partition");
    assert!(!first.has_ended());
    first.signal(rustix::process::Signal::KILL);
    drop(first.wait());
}

#[test]
fn a_bar_of_64_gib_is_mapped_beside_another_device() {
    let edu = edu!();
    let place = Place::new();
    let Some(large) = find("0x1b36", "0x0005") else { return lane::skip("this host has no pci-testdev") };
    Septum::raw(["devices", "bind", &large]).run().expect_code(0);
    let run = passed(&place, &edu).option("--device", &large).arguments(["large", "mmio"]);
    run.output().expect_code(0).expect_stdout("64 GiB\ntouched\n12! = 479001600\ndone\n");
    Septum::raw(["devices", "unbind", &large]).run().expect_code(0);
}

#[test]
fn an_nvme_controller_answers_and_interrupts_by_msi_x() {
    let edu = edu!();
    let place = Place::new();
    let Some(nvme) = find("0x1b36", "0x0010") else {
        return lane::skip("this host has no emulated NVMe controller");
    };
    Septum::raw(["devices", "bind", &nvme]).run().expect_code(0);
    // Twice: its reset makes it forget the first time.
    for _ in 0..2 {
        let run = passed(&place, &edu).option("--device", &nvme).arguments(["nvme", "interrupt"]);
        run.output()
            .expect_code(0)
            .expect_stdout("QEMU NVMe Ctrl, 10 interrupts\n10! = 3628800\ninterrupted\n");
    }
    Septum::raw(["devices", "unbind", &nvme]).run().expect_code(0);
}

#[test]
fn a_group_that_the_host_has_a_part_of_is_refused() {
    let _edu = edu!();
    // Two functions of one device number share a group.
    let names = fs::read_dir(DEVICES)
        .expect("is there")
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let group = |address: &str| fs::read_link(Path::new(DEVICES).join(address).join("iommu_group")).ok();
    let free: Vec<String> = names
        .filter(|address| driver(address).is_none() && !fact(address, "class").starts_with("0x06"))
        .collect();
    let pair = free
        .iter()
        .find_map(|one| Some((one, free.iter().find(|other| *other > one && group(other) == group(one))?)));
    let Some((passed_on, kept)) = pair else {
        return lane::skip("no two functions of this host share a group");
    };
    Septum::raw(["devices", "bind", passed_on]).run().expect_code(0);
    refused(passed_on).output().expect_code(0);
    let write = |path: &str, text: &str| fs::write(Path::new("/sys/bus/pci").join(path), text);
    write(&format!("devices/{kept}/driver_override"), "uio_pci_generic").expect("sysfs takes it");
    write("drivers_probe", kept).expect("sysfs takes it");
    assert_eq!(driver(kept).as_deref(), Some("uio_pci_generic"));
    refused(passed_on)
        .output()
        .expect_code(exit::HOST)
        .expect_stderr(&format!("{kept} belongs to the driver uio_pci_generic"))
        .expect_stderr(&format!("septum devices bind {kept}"));
    write("drivers/uio_pci_generic/unbind", kept).expect("sysfs takes it");
    write(&format!("devices/{kept}/driver_override"), "\n").expect("sysfs takes it");
    Septum::raw(["devices", "unbind", passed_on]).run().expect_code(0);
}

#[test]
fn what_cannot_be_passed_on_is_explained() {
    let edu = edu!();
    Septum::raw(["devices", "unbind", &edu.address]).run().expect_code(0);
    refused(&edu.address)
        .output()
        .expect_code(exit::HOST)
        .expect_stderr(&format!("cannot pass {} on: no driver has it", edu.address))
        .expect_stderr(&format!("septum devices bind {}", edu.address));
    refused("0000:00:1e.7").output().expect_code(exit::PATH).expect_stderr("there is no such PCI function");
    refused("edu").output().expect_code(exit::USAGE).expect_stderr("is no PCI address");
    // Another driver has it.
    let of_others = fs::read_dir(DEVICES).expect("is there").filter_map(Result::ok);
    let names: Vec<String> = of_others.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    let other = names
        .iter()
        .find(|address| driver(address).as_deref() == Some("virtio-pci"))
        .expect("the host's own disk");
    let output = refused(other).output();
    output.expect_code(exit::HOST).expect_stderr("it belongs to the driver virtio-pci");
    Septum::raw(["devices", "bind", &edu.address]).run().expect_code(0);
    refused(&edu.address)
        .option("--device", &edu.address)
        .output()
        .expect_code(exit::USAGE)
        .expect_stderr("named more than once");
    refused(&edu.address)
        .option("--privilege", "single")
        .output()
        .expect_code(exit::USAGE)
        .expect_stderr("single");
}
