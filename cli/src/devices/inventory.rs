//! The PCI functions of a host, as its sysfs tells of them.
//!
//! Everything is asked for when it is needed, and what cannot be read is not known: functions come and go, and some hosts have no
//! PCI bus in sysfs at all. Nothing here changes anything.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use septum_api_types::pci::Address;

/// The driver that passes functions on.
pub const VFIO: &str = "vfio-pci";

/// Drivers that may have a function of a group without keeping the others from being passed on: they do no DMA of their own
/// (Linux, Documentation/driver-api/vfio.rst).
const HARMLESS: [&str; 3] = [VFIO, "pci-stub", "pcieport"];

/// Base class of bridges, which are not passed on.
const BRIDGE: u32 = 0x06;

/// Flag of a line of `resource`: memory.
const IS_MEMORY: u64 = 0x200;
/// As there: prefetchable.
const IS_PREFETCHABLE: u64 = 0x2000;

/// Where the host tells of itself.
#[derive(Clone, Debug)]
pub struct Host {
    /// `/sys`
    pub sys: PathBuf,
    /// `/proc`
    pub proc: PathBuf,
    /// `/dev`
    pub dev: PathBuf,
}

/// A memory BAR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Bar {
    /// Which: 0 to 5.
    pub index: usize,
    /// Its size.
    pub bytes: u64,
    /// Whether reading it changes nothing.
    pub is_prefetchable: bool,
}

/// A function.
#[derive(Clone, Debug, Serialize)]
pub struct Function {
    /// Where it is.
    pub address: Address,
    /// What it is, in words.
    pub kind: &'static str,
    /// Class, subclass and interface: 24 bits in hexadecimal.
    pub class: String,
    /// Who made it: 16 bits in hexadecimal.
    pub vendor: String,
    /// Which it is of theirs, likewise.
    pub device: String,
    /// Its IOMMU group: what is passed on as a whole. Without an IOMMU there is none.
    pub group: Option<u32>,
    /// The IOMMU that it is behind.
    pub iommu: Option<String>,
    /// The driver that has it.
    pub driver: Option<String>,
    /// The ways in which the host can reset it, first the one that it takes.
    pub reset: Vec<String>,
    /// Its memory.
    pub bars: Vec<Bar>,
    /// What keeps it from being passed to a partition as things are; nothing if it is ready.
    pub blocked_by: Vec<String>,
    /// What on this host would miss it.
    pub used_for: Vec<String>,
}

fn text(path: &Path) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn link_name(path: &Path) -> Option<String> {
    Some(fs::read_link(path).ok()?.file_name()?.to_string_lossy().into_owned())
}

/// A number of sysfs, without its `0x`.
fn hexadecimal(path: &Path) -> String {
    text(path).map_or_else(String::new, |text| text.trim_start_matches("0x").to_owned())
}

impl Host {
    /// This host.
    pub fn here() -> Self {
        Self { sys: "/sys".into(), proc: "/proc".into(), dev: "/dev".into() }
    }

    /// The directory of the bus.
    pub fn bus(&self) -> PathBuf {
        self.sys.join("bus/pci")
    }

    /// The directory of a function.
    pub fn directory(&self, address: Address) -> PathBuf {
        self.bus().join("devices").join(address.to_string())
    }

    /// The driver that has a function.
    pub fn driver(&self, address: Address) -> Option<String> {
        link_name(&self.directory(address).join("driver"))
    }

    /// All functions, by address; `None` if the host shows no PCI bus.
    pub fn functions(&self) -> Option<Vec<Function>> {
        let entries = fs::read_dir(self.bus().join("devices")).ok()?;
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut addresses: Vec<Address> = names.collect();
        addresses.sort_unstable();
        Some(addresses.into_iter().filter_map(|address| self.function(address)).collect())
    }

    /// One function, if it is there.
    pub fn function(&self, address: Address) -> Option<Function> {
        let directory = self.directory(address);
        if !directory.is_dir() {
            return None;
        }
        let class = hexadecimal(&directory.join("class"));
        let base = u32::from_str_radix(&class, 16).unwrap_or(0) >> 16;
        let mut function = Function {
            address,
            kind: kind(base),
            class,
            vendor: hexadecimal(&directory.join("vendor")),
            device: hexadecimal(&directory.join("device")),
            group: link_name(&directory.join("iommu_group")).and_then(|name| name.parse().ok()),
            iommu: link_name(&directory.join("iommu")),
            driver: self.driver(address),
            reset: reset_methods(&directory),
            bars: text(&directory.join("resource")).map_or_else(Vec::new, |text| bars(&text)),
            blocked_by: Vec::new(),
            used_for: super::usage::of(self, &directory),
        };
        function.blocked_by = self.obstacles(&function, base);
        Some(function)
    }

    /// Other functions of the group that a driver of the host has, and the drivers.
    fn neighbours_in_use(&self, group: u32, own: Address) -> Vec<(Address, String)> {
        let members = self.sys.join(format!("kernel/iommu_groups/{group}/devices"));
        let entries = fs::read_dir(members).into_iter().flatten();
        let names = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
        let mut others: Vec<(Address, String)> = names
            .filter(|&address| address != own)
            .filter_map(|address| Some((address, self.driver(address)?)))
            .filter(|(_, driver)| !HARMLESS.contains(&driver.as_str()))
            .collect();
        others.sort_unstable();
        others
    }

    fn obstacles(&self, function: &Function, base: u32) -> Vec<String> {
        if base == BRIDGE {
            return vec!["it is a bridge".to_owned()];
        }
        let mut obstacles = Vec::new();
        match function.group {
            None => obstacles.push("it is behind no IOMMU".to_owned()),
            Some(group) => {
                for (address, driver) in self.neighbours_in_use(group, function.address) {
                    obstacles.push(format!(
                        "{address}, of the same group {group}, belongs to the driver {driver}"
                    ));
                }
            }
        }
        if !function.used_for.is_empty() {
            obstacles.push(format!("this host needs it: {}", function.used_for.join(", ")));
        }
        match function.driver.as_deref() {
            Some(VFIO) => {}
            Some(driver) => obstacles.push(format!("it belongs to the driver {driver}")),
            None => obstacles.push(format!("it does not belong to {VFIO}")),
        }
        obstacles
    }
}

/// Linux 5.15 and later name the methods; before, there is only a file to write to.
fn reset_methods(directory: &Path) -> Vec<String> {
    match text(&directory.join("reset_method")) {
        Some(methods) => methods.split_ascii_whitespace().map(str::to_owned).collect(),
        None if directory.join("reset").exists() => vec!["unnamed".to_owned()],
        None => Vec::new(),
    }
}

/// The memory BARs of a file `resource`: a line each, with start, end and flags.
fn bars(text: &str) -> Vec<Bar> {
    let number = |word: &str| u64::from_str_radix(word.trim_start_matches("0x"), 16).ok();
    let bar = |(index, line): (usize, &str)| {
        let mut words = line.split_ascii_whitespace().map(number);
        let (start, end, flags) = (words.next()??, words.next()??, words.next()??);
        let bytes = end.checked_sub(start)?.checked_add(1)?;
        let is_there = flags & IS_MEMORY != 0 && end > 0;
        is_there.then_some(Bar { index, bytes, is_prefetchable: flags & IS_PREFETCHABLE != 0 })
    };
    text.lines().take(6).enumerate().filter_map(bar).collect()
}

/// Base classes (PCI Code and ID Assignment Specification, section 1).
fn kind(base: u32) -> &'static str {
    match base {
        0x01 => "storage",
        0x02 => "network",
        0x03 => "display",
        0x04 => "multimedia",
        0x05 => "memory",
        BRIDGE => "bridge",
        0x07 => "communication",
        0x08 => "system",
        0x09 => "input",
        0x0b => "processor",
        0x0c => "serial bus",
        0x0d => "wireless",
        0x10 => "encryption",
        0x11 => "signal processing",
        0x12 => "accelerator",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bars_of_many_gibibytes_and_nonsense_are_read() {
        let recorded = "0x00000000fb000000 0x00000000fbffffff 0x0000000000040200\n\
             0x0000004000000000 0x0000005fffffffff 0x000000000014220c\n\
             0x0000000000000000 0x0000000000000000 0x0000000000000000\n\
             0x000000000000e000 0x000000000000e07f 0x0000000000040101\n";
        let found = bars(recorded);
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], Bar { index: 0, bytes: 16 << 20, is_prefetchable: false });
        assert_eq!(found[1], Bar { index: 1, bytes: 128 << 30, is_prefetchable: true });
        let hostile = "0xffffffffffffffff 0x0 0x200\n0x0 0xffffffffffffffff 0x200\nx y z\n0x1\n";
        assert!(bars(hostile).is_empty());
    }
}
