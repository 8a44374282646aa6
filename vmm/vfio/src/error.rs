//! Why a function cannot be used.

use std::io;

use thiserror::Error;

/// Why a function cannot be used, or VFIO refused something.
#[derive(Debug, Error)]
pub enum VfioError {
    /// There is no such function.
    #[error("there is no such PCI function")]
    Missing,
    /// It has no IOMMU group.
    #[error("it is behind no IOMMU, which would keep its DMA within the partition")]
    NoIommu,
    /// It belongs to another driver, or to none.
    #[error("{}", match .0 {
        Some(driver) => format!("it belongs to the driver {driver}"),
        None => "no driver has it".to_owned(),
    })]
    OtherDriver(Option<String>),
    /// Other functions of its group belong to the host.
    #[error("its group {group} is not free: {}", describe(.others))]
    NotViable {
        /// The group.
        group: u32,
        /// The functions, and whose they are.
        others: Vec<(String, Option<String>)>,
    },
    /// Somebody has the group open.
    #[error("its group {0} is in use")]
    Busy(u32),
    /// A file of `/dev/vfio` cannot be opened.
    #[error("'{path}' cannot be opened")]
    Open {
        /// Which.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The kernel's VFIO is of another kind.
    #[error("this kernel's VFIO has no {0}")]
    Lacks(&'static str),
    /// Guest memory cannot be pinned: the caller may not lock so much.
    #[error(
        "{needed} bytes of memory have to stay in place for the device, and this process may lock {limit}"
    )]
    MemoryLimit {
        /// Bytes.
        needed: u64,
        /// Bytes (RLIMIT_MEMLOCK).
        limit: u64,
    },
    /// An ioctl failed.
    #[error("{call} failed")]
    Call {
        /// Which.
        call: &'static str,
        /// Why.
        #[source]
        source: io::Error,
    },
}

fn describe(others: &[(String, Option<String>)]) -> String {
    if others.is_empty() {
        return "the kernel says so".to_owned();
    }
    let one = |(address, driver): &(String, Option<String>)| match driver {
        Some(driver) => format!("{address} belongs to the driver {driver}"),
        None => format!("{address} has no driver"),
    };
    others.iter().map(one).collect::<Vec<_>>().join(", ")
}
