//! Keeping a partition to the processors it was given (`--cpus`): as much time as that many have, wherever the host runs it.
//!
//! A partition that has no more virtual CPUs than that needs nothing and gets nothing, so programs with one thread do not pay.
//! When it asks for one more, the worker says so (`Crowded`), and its process is put into a control group with a quota, made inside the
//! caller's own group so that whatever limits the caller limits the partition too:
//!
//! ```text
//!   group of the caller (hierarchy with the controller `cpu`, version 1 or 2)
//!     └─ septum-SUPERVISOR      cpu.cfs_quota_us or cpu.max;  the worker
//! ```
//!
//! Without the right to make one, the worker's threads are bound to that many of the caller's processors: two partitions may then
//! compete for one while another is idle, so which ones is chosen by the supervisor's number.
//!
//! The supervisor removes the group when the worker is gone. If it is killed itself, the worker dies with it, and the next
//! supervisor in the same group removes what is left (see `docs/decisions/0015-cpus.md`).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

/// Time slices are handed out anew this often: a partition that used its own up stands still for less than that.
const PERIOD_US: u64 = 20_000;
const PREFIX: &str = "septum-";

/// How a partition is kept to its processors.
#[derive(Debug)]
pub(super) enum Confinement {
    /// By a quota of this group.
    Group { directory: PathBuf, version: u8 },
    /// By binding its threads.
    Affinity,
    /// Nothing worked.
    None,
}

impl Confinement {
    /// Its name in statistics.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Group { version: 1, .. } => "cgroup-v1",
            Self::Group { .. } => "cgroup-v2",
            Self::Affinity => "affinity",
            Self::None => "none",
        }
    }

    /// Removes the group; its processes are gone.
    pub(super) fn end(self) {
        if let Self::Group { directory, .. } = self {
            // The kernel may need a moment after the last process was waited for.
            for _ in 0..50 {
                match fs::remove_dir(&directory) {
                    Err(error) if error.raw_os_error() == Some(libc::EBUSY) => {
                        std::thread::sleep(Duration::from_millis(1));
                    }
                    _ => return,
                }
            }
        }
    }
}

/// Keeps the process to `cpus` processors; `None` if it may use no more anyway.
pub(super) fn confine(worker: Pid, cpus: u32) -> Option<Confinement> {
    let allowed = allowed_cpus();
    let count = usize::try_from(cpus).unwrap_or(usize::MAX);
    if count >= allowed.len() {
        return None;
    }
    for (parent, version) in own_groups() {
        remove_leftovers(&parent);
        let directory = parent.join(format!("{PREFIX}{}", std::process::id()));
        if make_group(&parent, &directory, version, cpus).is_ok()
            && fs::write(directory.join("cgroup.procs"), worker.as_raw_nonzero().to_string()).is_ok()
        {
            return Some(Confinement::Group { directory, version });
        }
        // It may not be there at all.
        let _ = fs::remove_dir(&directory);
    }
    let first = usize::try_from(std::process::id()).unwrap_or(0).wrapping_mul(count) % allowed.len();
    let mut set = CpuSet::new();
    allowed.iter().cycle().skip(first).take(count).for_each(|&cpu| set.set(cpu));
    Some(if bind(worker, &set).is_ok() { Confinement::Affinity } else { Confinement::None })
}

/// What [`confine`] would do here, tried without a worker.
pub(super) fn try_out() -> Confinement {
    for (parent, version) in own_groups() {
        let directory = parent.join(format!("{PREFIX}{}", std::process::id()));
        let is_made = make_group(&parent, &directory, version, 1).is_ok();
        let _ = fs::remove_dir(&directory);
        if is_made {
            return Confinement::Group { directory, version };
        }
    }
    Confinement::Affinity
}

fn allowed_cpus() -> Vec<usize> {
    let set = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
    (0..CpuSet::MAX_CPU).filter(|&cpu| set.is_set(cpu)).collect()
}

/// Binds all threads. Those that are made meanwhile take over what their maker has, which the second round has seen to.
fn bind(worker: Pid, set: &CpuSet) -> io::Result<()> {
    for _ in 0..2 {
        for entry in fs::read_dir(format!("/proc/{}/task", worker.as_raw_nonzero()))? {
            let name = entry?.file_name();
            let thread = name.to_str().and_then(|name| name.parse().ok()).and_then(Pid::from_raw);
            // A thread that is gone needs no binding.
            let _ = sched_setaffinity(thread, set);
        }
    }
    Ok(())
}

fn make_group(parent: &Path, directory: &Path, version: u8, cpus: u32) -> io::Result<()> {
    fs::create_dir(directory)?;
    let quota_us = u64::from(cpus) * PERIOD_US;
    if version == 1 {
        fs::write(directory.join("cpu.cfs_period_us"), PERIOD_US.to_string())?;
        return fs::write(directory.join("cpu.cfs_quota_us"), quota_us.to_string());
    }
    let (limit, kind) = (directory.join("cpu.max"), directory.join("cgroup.type"));
    if !limit.exists() {
        fs::write(parent.join("cgroup.subtree_control"), "+cpu")?;
    }
    // The root group's children may have processes. A group with processes of its own has children that are threaded, and only
    // then takes this controller.
    if fs::read_to_string(&kind)?.trim() == "domain invalid" {
        fs::write(kind, "threaded")?;
    }
    fs::write(limit, format!("{quota_us} {PERIOD_US}"))
}

/// Groups of supervisors that are gone. Only empty ones can be removed.
fn remove_leftovers(parent: &Path) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let supervisor = name.to_str().and_then(|name| name.strip_prefix(PREFIX)?.parse::<u32>().ok());
        if supervisor.is_some_and(|pid| !Path::new(&format!("/proc/{pid}")).exists()) {
            let _ = fs::remove_dir(entry.path());
        }
    }
}

/// The caller's groups in hierarchies that can have the controller `cpu`, and their versions.
fn own_groups() -> Vec<(PathBuf, u8)> {
    let text = |path| fs::read_to_string(path).unwrap_or_default();
    groups_of(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"))
}

/// From `/proc/PID/cgroup` (hierarchy, controllers, path) and `/proc/PID/mountinfo` (`proc(5)`).
fn groups_of(groups: &str, mounts: &str) -> Vec<(PathBuf, u8)> {
    let mut found = Vec::new();
    for line in groups.lines() {
        let mut fields = line.splitn(3, ':');
        let (Some(number), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next())
        else {
            continue;
        };
        let version = match (number, controllers) {
            ("0", "") => 2,
            _ if controllers.split(',').any(|controller| controller == "cpu") => 1,
            _ => continue,
        };
        if let Some(directory) = mounts.lines().find_map(|mount| place(mount, version, path)) {
            found.push((directory, version));
        }
    }
    found
}

/// Where the group at `path` is, if this is the mount of its hierarchy.
fn place(mount: &str, version: u8, path: &str) -> Option<PathBuf> {
    let (front, back) = mount.split_once(" - ")?;
    let mut front = front.split(' ').skip(3);
    let (root, point) = (front.next()?, front.next()?);
    let mut back = back.split(' ');
    let (kind, options) = (back.next()?, back.nth(1)?);
    let is_meant = match version {
        1 => kind == "cgroup" && options.split(',').any(|option| option == "cpu"),
        _ => kind == "cgroup2",
    };
    let below = path.strip_prefix(root.trim_end_matches('/'))?;
    is_meant.then(|| Path::new(point).join(below.trim_start_matches('/')))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn groups_are_found_in_both_hierarchies() {
        let groups = "4:memory:/a\n1:cpu,cpuacct:/shell/one\n0::/user.slice\n";
        let mounts = "\
25 20 0:22 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:5 - cgroup cgroup rw,cpu,cpuacct
26 20 0:23 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw,nsdelegate
27 20 0:24 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory
";
        let found = groups_of(groups, mounts);
        assert_eq!(
            found,
            [
                (PathBuf::from("/sys/fs/cgroup/cpu,cpuacct/shell/one"), 1),
                (PathBuf::from("/sys/fs/cgroup/unified/user.slice"), 2)
            ]
        );
    }

    #[test]
    fn a_hierarchy_that_is_mounted_in_part_is_told_from_its_root() {
        let mount = "30 20 0:22 /docker/x /sys/fs/cgroup rw - cgroup2 cgroup rw";
        assert_eq!(place(mount, 2, "/docker/x/y"), Some(PathBuf::from("/sys/fs/cgroup/y")));
        assert_eq!(place(mount, 2, "/elsewhere"), None);
        assert_eq!(place(mount, 1, "/docker/x/y"), None);
    }
}
