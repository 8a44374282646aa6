//! A host made of files: its functions, their groups, what it needs of them.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use super::binding;
use super::inventory::Host;
use super::table;

struct Made {
    _folder: tempfile::TempDir,
    host: Host,
}

fn put(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

fn link(from: &Path, to: &Path) {
    fs::create_dir_all(from.parent().unwrap()).unwrap();
    fs::create_dir_all(to).unwrap();
    symlink(to, from).unwrap();
}

impl Made {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        let host = Host { sys: at("sys"), proc: at("proc"), dev: at("dev") };
        put(&host.proc.join("self/mountinfo"), "");
        put(&host.bus().join("drivers_probe"), "");
        Self { _folder: folder, host }
    }

    fn function(&self, address: &str, class: &str, group: Option<u32>, driver: Option<&str>) {
        let place = self.host.sys.join("devices/pci0000:00").join(address);
        put(&place.join("class"), &format!("{class}\n"));
        put(&place.join("vendor"), "0x1234\n");
        put(&place.join("device"), "0x11e8\n");
        put(&place.join("driver_override"), "(null)\n");
        link(&self.host.bus().join("devices").join(address), &place);
        if let Some(group) = group {
            let group = self.host.sys.join(format!("kernel/iommu_groups/{group}"));
            link(&place.join("iommu_group"), &group);
            link(&group.join("devices").join(address), &place);
        }
        if let Some(driver) = driver {
            let driver = self.host.bus().join("drivers").join(driver);
            put(&driver.join("unbind"), "");
            link(&place.join("driver"), &driver);
        }
    }
}

#[test]
fn what_blocks_a_function_is_told() {
    let made = Made::new();
    made.function("0000:00:01.0", "0x060400", Some(0), Some("pcieport"));
    made.function("0000:01:00.0", "0x030000", Some(1), Some("vfio-pci"));
    made.function("0000:01:00.1", "0x040300", Some(1), Some("snd_hda_intel"));
    made.function("0000:02:00.0", "0x120000", Some(2), Some("vfio-pci"));
    made.function("0000:03:00.0", "0x00ff00", None, None);
    let functions = made.host.functions().unwrap();
    let blocked: Vec<String> = functions.iter().map(|function| function.blocked_by.join("; ")).collect();
    assert_eq!(
        blocked,
        [
            "it is a bridge",
            "0000:01:00.1, of the same group 1, belongs to the driver snd_hda_intel",
            "it belongs to the driver snd_hda_intel",
            "",
            "it is behind no IOMMU; it does not belong to vfio-pci",
        ]
    );
    assert!(table(&functions).contains("accelerator"));
}

#[test]
fn the_disk_of_the_root_and_the_way_to_the_network_stay() {
    let made = Made::new();
    made.function("0000:00:04.0", "0x010802", Some(4), Some("nvme"));
    made.function("0000:00:05.0", "0x020000", Some(5), Some("virtio-pci"));
    let place = made.host.bus().join("devices/0000:00:04.0/nvme/nvme0/nvme0n1p1");
    put(&place.join("dev"), "259:1\n");
    link(&made.host.sys.join("class/block/nvme0n1p1"), &place);
    put(
        &made.host.proc.join("self/mountinfo"),
        "21 1 259:1 / / rw shared:1 - ext4 /dev/root rw\nnonsense\n - \n",
    );
    let card = made.host.bus().join("devices/0000:00:05.0");
    link(&made.host.sys.join("class/net/eth0"), &card.join("net/eth0"));
    link(&card.join("net/eth0/device"), &card);
    made.function("0000:00:06.0", "0x018000", Some(6), Some("virtio-pci"));
    let shared = made.host.bus().join("devices/0000:00:06.0/virtio0");
    link(&made.host.sys.join("bus/virtio/drivers/virtiofs/virtio0"), &shared);
    let needed = |address: &str| {
        let failure = binding::bind(&made.host, address.parse().unwrap()).unwrap_err();
        let override_now = made.host.bus().join("devices").join(address).join("driver_override");
        assert_eq!(fs::read_to_string(override_now).unwrap(), "(null)\n", "nothing was changed");
        failure.why
    };
    assert_eq!(needed("0000:00:04.0"), "this host needs it: nvme0n1p1 is mounted at /");
    assert_eq!(needed("0000:00:05.0"), "this host needs it: eth0 is the only network interface");
    assert_eq!(needed("0000:00:06.0"), "this host needs it: it shares a directory (virtio-fs)");
}

#[test]
fn a_function_that_the_driver_does_not_take_goes_back() {
    let made = Made::new();
    made.function("0000:00:06.0", "0x00ff00", Some(6), Some("edu"));
    let address = "0000:00:06.0".parse().unwrap();
    assert!(binding::bind(&made.host, address).unwrap_err().hint.contains("modprobe"));
    fs::create_dir_all(made.host.bus().join("drivers/vfio-pci")).unwrap();
    // These files move nothing, as a driver that refuses would.
    let failure = binding::bind(&made.host, address).unwrap_err();
    assert_eq!(failure.why, "the driver did not take it");
    let override_now = fs::read_to_string(made.host.directory(address).join("driver_override")).unwrap();
    assert!(override_now.starts_with('\n'), "{override_now:?}");
    let failure = binding::unbind(&made.host, address).unwrap_err();
    assert_eq!(failure.why, "it belongs to the driver edu");
}

#[test]
fn a_host_without_a_bus_says_so() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let host = Host { sys: at("sys"), proc: at("proc"), dev: at("dev") };
    assert!(host.functions().is_none());
    let failure = binding::bind(&host, "00:01.0".parse().unwrap()).unwrap_err();
    assert!(failure.why.contains("no PCI bus"), "{failure}");
}
