//! Everything about the host that is not KVM.

use std::fs;
use std::path::Path;

use septum_api_types::size::Size;
use septum_worker::Landlock;
use septum_worker::huge_pages::Pool;

use super::Finding;

/// Memory and disk space below which a warning is in order.
const COMFORT_BYTES: u64 = 1 << 30;

pub(super) fn findings() -> Vec<Finding> {
    vec![
        linux(),
        isolation(),
        landlock(),
        cgroups(),
        cpu_limits(),
        huge_pages(),
        vfio(),
        processors(),
        memory(),
        disk(),
    ]
}

fn read(path: &str) -> String {
    fs::read_to_string(path).map(|text| text.trim().to_owned()).unwrap_or_default()
}

fn linux() -> Finding {
    let release = read("/proc/sys/kernel/osrelease");
    let mut numbers = release.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    let version: (u32, u32) = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version >= (5, 12) {
        Finding::ok("linux", release)
    } else {
        Finding::missing("linux", format!("{release} is too old"), "use Linux 5.12 or newer")
    }
}

/// Tried, not guessed: many settings can forbid it.
fn isolation() -> Finding {
    match septum_worker::supervisor::try_isolation() {
        Ok(()) if rustix::process::geteuid().is_root() => Finding::ok(
            "isolation",
            "workers get a file system and system-call filters of their own (as root)",
        ),
        Ok(()) => Finding::ok(
            "isolation",
            "workers get a file system and system-call filters of their own (by user namespaces)",
        ),
        Err(failure) => {
            Finding::missing("isolation", format!("{}: {}", failure.what, failure.why), failure.hint)
        }
    }
}

/// The wall around a worker's files that does not depend on mounts.
fn landlock() -> Finding {
    let host = Landlock::of_host();
    if let Some((why, fix)) = host.lack() {
        return Finding::missing("landlock", why, fix);
    }
    let Landlock::Version(version) = host else { return Finding::ok("landlock", "there") };
    match host.gaps() {
        None => {
            Finding::ok("landlock", format!("version {version}: keeps files, TCP, ioctl of devices, signals"))
        }
        Some(gaps) => Finding::warning(
            "landlock",
            format!("version {version} keeps a worker's files; it {gaps}"),
            "use a newer Linux kernel for a second wall there, too; the first one stands without",
        ),
    }
}

fn cgroups() -> Finding {
    let root = Path::new("/sys/fs/cgroup");
    let controllers = read("/sys/fs/cgroup/cgroup.controllers");
    if !controllers.is_empty() {
        return Finding::ok("cgroups", format!("version 2: {controllers}"));
    }
    let has_first = ["memory", "cpu"].iter().all(|controller| root.join(controller).is_dir());
    let fix = "boot with systemd.unified_cgroup_hierarchy=1 to limit partitions from outside";
    if has_first {
        Finding::warning("cgroups", "version 1 only", fix)
    } else {
        Finding::warning("cgroups", "none", fix)
    }
}

/// Tried as well.
fn cpu_limits() -> Finding {
    match septum_worker::supervisor::cpu_confinement() {
        "affinity" => Finding::warning(
            "cpu-limits",
            "--cpus binds a partition to fixed processors: no control group can be made",
            "run septum as root, or in a group that was delegated with the controller cpu",
        ),
        group => Finding::ok("cpu-limits", format!("--cpus is a quota of time ({group})")),
    }
}

fn huge_pages() -> Finding {
    let enabled = read("/sys/kernel/mm/transparent_hugepage/enabled");
    let pool = match Pool::read() {
        Some(Pool { total, available, .. }) => {
            format!("of {total} in the pool for --hugepages {available} are free")
        }
        None => "no pool for --hugepages".to_owned(),
    };
    let chosen = enabled.split(['[', ']']).nth(1).unwrap_or("");
    match chosen {
        "always" | "madvise" => {
            Finding::ok("huge-pages", format!("transparent ones on request ({chosen}); {pool}"))
        }
        _ => Finding::warning(
            "huge-pages",
            format!("no transparent ones: memory is slower at first use; {pool}"),
            "echo madvise | sudo tee /sys/kernel/mm/transparent_hugepage/enabled",
        ),
    }
}

fn vfio() -> Finding {
    let groups = fs::read_dir("/sys/kernel/iommu_groups").map(Iterator::count).unwrap_or(0);
    match (groups, Path::new("/dev/vfio/vfio").exists()) {
        (0, _) => Finding::warning(
            "vfio",
            "no IOMMU: PCI devices cannot be passed through",
            "turn on VT-d or AMD-Vi in the firmware and boot with intel_iommu=on or amd_iommu=on",
        ),
        (_, false) => Finding::warning(
            "vfio",
            format!("{groups} IOMMU groups, but no driver"),
            "sudo modprobe vfio-pci",
        ),
        (_, true) => Finding::ok("vfio", format!("{groups} IOMMU groups")),
    }
}

fn processors() -> Finding {
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    Finding::ok("processors", count.to_string())
}

fn memory() -> Finding {
    let table = read("/proc/meminfo");
    let bytes = |wanted: &str| {
        let line = table.lines().find(|line| line.starts_with(wanted));
        let kib = line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    };
    let (total, available) = (bytes("MemTotal:"), bytes("MemAvailable:"));
    let found = format!("{} of {} available", mebibytes(available), mebibytes(total));
    if available >= COMFORT_BYTES {
        Finding::ok("memory", found)
    } else {
        Finding::warning("memory", found, "free memory, or give partitions less with --memory")
    }
}

fn disk() -> Finding {
    let Ok(space) = rustix::fs::statvfs(".") else {
        return Finding::warning(
            "disk",
            "the current directory cannot be looked at",
            "go to another directory",
        );
    };
    let free = space.f_bavail.saturating_mul(space.f_frsize);
    let found = format!("{} free in the current directory", mebibytes(free));
    if free >= COMFORT_BYTES {
        Finding::ok("disk", found)
    } else {
        Finding::warning("disk", found, "free space if programs are to write into volumes here")
    }
}

/// Whole mebibytes, for people.
fn mebibytes(bytes: u64) -> Size {
    Size(bytes >> 20 << 20)
}
