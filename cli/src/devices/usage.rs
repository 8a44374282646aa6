//! What a host would miss if a PCI function went: its file systems, its swap space, its way to the network.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::inventory::Host;

/// What is behind the function of this directory and in use, in words.
pub fn of(host: &Host, function: &Path) -> Vec<String> {
    let Ok(function) = fs::canonicalize(function) else { return Vec::new() };
    let mut uses = disks(host, &function);
    uses.extend(shared_directories(host, &function));
    uses.extend(interfaces(host, &function));
    uses
}

/// The entries of a directory of links, and where they lead.
fn leading(directory: &Path) -> Vec<(String, PathBuf)> {
    let entries = fs::read_dir(directory).into_iter().flatten().filter_map(Result::ok);
    let mut all: Vec<(String, PathBuf)> = entries
        .filter_map(|entry| {
            Some((entry.file_name().into_string().ok()?, fs::canonicalize(entry.path()).ok()?))
        })
        .collect();
    all.sort_unstable();
    all
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_default()
}

/// A mount of the host.
struct Mount<'a> {
    device: &'a str,
    target: &'a str,
    source: &'a str,
}

/// The lines of `mountinfo` (proc_pid_mountinfo(5)).
fn mounts(text: &str) -> impl Iterator<Item = Mount<'_>> {
    text.lines().filter_map(|line| {
        let (first, second) = line.split_once(" - ")?;
        let mut first = first.split(' ').skip(2);
        let (device, target) = (first.next()?, first.nth(1)?);
        let mut second = second.split(' ');
        Some(Mount { device, target, source: second.nth(1)? })
    })
}

/// Disks and partitions of disks that are mounted, swapped to, or a part of something else.
fn disks(host: &Host, function: &Path) -> Vec<String> {
    let mountinfo = read(&host.proc.join("self/mountinfo"));
    let swaps = read(&host.proc.join("swaps"));
    let mut uses = Vec::new();
    for (name, place) in leading(&host.sys.join("class/block")) {
        if !place.starts_with(function) {
            continue;
        }
        let number = read(&place.join("dev"));
        let node = format!("/dev/{name}");
        let is_its = |mount: &Mount<'_>| mount.device == number.trim() || mount.source == node;
        if let Some(mount) = mounts(&mountinfo).find(is_its) {
            uses.push(format!("{name} is mounted at {}", mount.target));
        } else if swaps.lines().any(|line| line.split_ascii_whitespace().next() == Some(&node)) {
            uses.push(format!("{name} is swap space"));
        } else if let Some((holder, _)) = leading(&place.join("holders")).first() {
            uses.push(format!("{name} is a part of {holder}"));
        }
    }
    uses
}

/// Whether a shared directory is mounted, its device does not tell, and the mount may be out of sight (below an overlay, in another
/// namespace): those that the driver has are needed.
fn shared_directories(host: &Host, function: &Path) -> Vec<String> {
    let devices = leading(&host.sys.join("bus/virtio/drivers/virtiofs"));
    let is_one =
        devices.iter().any(|(name, place)| name.starts_with("virtio") && place.starts_with(function));
    if is_one { vec!["it shares a directory (virtio-fs)".to_owned()] } else { Vec::new() }
}

/// The interface that the host's default route leaves by, or its only one that is hardware.
fn interfaces(host: &Host, function: &Path) -> Vec<String> {
    let of_hardware: Vec<(String, PathBuf)> = leading(&host.sys.join("class/net"))
        .into_iter()
        .filter(|(_, place)| place.join("device").exists())
        .collect();
    let routes = default_interfaces(&read(&host.proc.join("net/route")));
    let all: BTreeSet<&Path> = of_hardware.iter().filter_map(|(_, place)| place.parent()?.parent()).collect();
    let own = of_hardware.iter().filter(|(_, place)| place.starts_with(function));
    own.filter_map(|(name, _)| {
        if routes.contains(name) {
            Some(format!("the default route leaves by {name}"))
        } else {
            (all.len() == 1).then(|| format!("{name} is the only network interface"))
        }
    })
    .collect()
}

/// The interfaces of the routes to 0.0.0.0/0.
fn default_interfaces(routes: &str) -> BTreeSet<String> {
    let is_default = |line: &&str| {
        let words: Vec<&str> = line.split_ascii_whitespace().collect();
        words.get(1) == Some(&"00000000") && words.get(7) == Some(&"00000000")
    };
    routes
        .lines()
        .filter(is_default)
        .filter_map(|line| line.split_ascii_whitespace().next().map(str::to_owned))
        .collect()
}
