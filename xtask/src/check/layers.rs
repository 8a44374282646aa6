//! Dependencies point down only. This is the picture in `ARCHITECTURE.md` as a table that is enforced.
//!
//! ```text
//!   60  septum (cli)      septum-api-server
//!   50  septum-worker     septum-coordinator  septum-api-client
//!   40  septum-machine
//!   35  septum-netproxy
//!   30  septum-devices    septum-vfio     septum-images
//!   20  septum-hypervisor septum-memory  septum-host-io  septum-kernel-image  septum-registry
//!   10  septum-api-types
//!    0  septum-abi        septum-erofs                  beside it: septum-guest-* → these two only
//! ```
//!
//! A crate may use crates of lower layers and of its own, never of a higher one. Besides, some libraries
//! may be used by one crate only (whoever imports kvm-ioctls can make a virtual machine), and the contract
//! and guest crates may use next to nothing.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

/// The layer of each of our crates. A crate that is not here fails the check, so that a new one is placed.
const LAYERS: &[(&str, u8)] = &[
    ("septum", 60),
    ("septum-api-server", 60),
    ("septum-api-client", 50),
    ("septum-coordinator", 50),
    ("septum-worker", 50),
    ("septum-machine", 40),
    ("septum-netproxy", 35),
    ("septum-devices", 30),
    ("septum-vfio", 30),
    ("septum-images", 30),
    ("septum-hypervisor", 20),
    ("septum-memory", 20),
    ("septum-host-io", 20),
    ("septum-kernel-image", 20),
    ("septum-registry", 20),
    ("septum-api-types", 10),
    ("septum-abi", 0),
    ("septum-erofs", 0),
];

/// Libraries that only the named crates may use.
const RESERVED: &[(&[&str], &[&str])] = &[
    (&["kvm-ioctls"], &["septum-hypervisor"]),
    (&["tokio-rustls", "rustls"], &["septum-api-server", "septum-api-client"]),
    (&["rusqlite"], &["septum-coordinator"]),
    (&["io-uring"], &["septum-host-io"]),
    (&["vfio-ioctls", "vfio-bindings"], &["septum-vfio"]),
    (
        &[
            "axum",
            "hyper",
            "hyper-util",
            "utoipa-axum",
            "actix-web",
            "dropshot",
            "warp",
            "tower-http",
            "reqwest",
            "ureq",
            "rocket",
        ],
        &["septum-api-server", "septum-api-client"],
    ),
];

/// Crates that may use only what is listed (a `*` at the end stands for any rest of the name).
const CONFINED: &[(&str, &[&str])] = &[
    ("septum-abi", &["bitflags"]),
    ("septum-erofs", &[]),
    ("septum-guest-*", &["septum-abi", "septum-erofs", "septum-guest-*", "bitflags", "spin"]),
];

/// Crates that are tools: nothing of the product depends on them, and they may use anything.
const TOOLS: &[&str] = &["xtask", "septum-fuzz", "septum-syscall-docs", "septum-tests"];

/// Checks every crate of the workspace.
pub fn check(metadata: &Value) -> Result<()> {
    let members =
        metadata.get("workspace_members").and_then(Value::as_array).context("no workspace_members")?;
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let mut faults = Vec::new();
    for package in packages.iter().filter(|package| package.get("id").is_some_and(|id| members.contains(id)))
    {
        let name = package.get("name").and_then(Value::as_str).context("a package without a name")?;
        let dependencies =
            package.get("dependencies").and_then(Value::as_array).context("no dependencies")?;
        let is_test_only = |dependency: &Value| dependency.get("kind").and_then(Value::as_str) == Some("dev");
        for dependency in dependencies.iter().filter(|dependency| !is_test_only(dependency)) {
            let used =
                dependency.get("name").and_then(Value::as_str).context("a dependency without a name")?;
            faults.extend(fault(name, used));
        }
        let is_placed = LAYERS.iter().any(|(placed, _)| *placed == name);
        if !is_placed && !TOOLS.contains(&name) && !matches("septum-guest-*", name) {
            faults.push(format!("{name} has no layer; add it to LAYERS"));
        }
    }
    if !faults.is_empty() {
        bail!("{}", faults.join("\n"));
    }
    Ok(())
}

/// What is wrong with one crate using another, if anything is.
fn fault(name: &str, used: &str) -> Option<String> {
    let allowed = CONFINED.iter().filter(|(pattern, _)| matches(pattern, name));
    for (_, allowed) in allowed {
        if !allowed.iter().any(|pattern| matches(pattern, used)) {
            return Some(format!("{name} uses {used}, but may use only {}", allowed.join(", ")));
        }
    }
    for (libraries, owners) in RESERVED {
        if libraries.contains(&used) && !owners.contains(&name) {
            return Some(format!("{name} uses {used}, which is reserved for {}", owners.join(", ")));
        }
    }
    if TOOLS.contains(&used) {
        return Some(format!("{name} uses {used}, which is a tool"));
    }
    let layer = |wanted: &str| LAYERS.iter().find(|(placed, _)| *placed == wanted).map(|(_, layer)| *layer);
    match (layer(name), layer(used)) {
        (Some(upper), Some(lower)) if lower > upper => {
            Some(format!("{name} (layer {upper}) uses {used} (layer {lower}): dependencies point down only"))
        }
        _ => None,
    }
}

fn matches(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |prefix| name.starts_with(prefix))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn downward_is_fine() {
        for (name, used) in [
            ("septum", "septum-worker"),
            ("septum-hypervisor", "kvm-ioctls"),
            ("septum-devices", "septum-memory"),
            ("septum-guest-core", "septum-guest-hal"),
            ("xtask", "kvm-bindings"),
        ] {
            assert_eq!(fault(name, used), None);
        }
    }

    #[test]
    fn each_rule_bites() {
        for (name, used) in [
            ("septum-devices", "septum-machine"),
            ("septum-machine", "kvm-ioctls"),
            ("septum-abi", "serde"),
            ("septum-guest-hal", "libc"),
            ("septum-worker", "hyper"),
            ("septum-machine", "septum-tests"),
        ] {
            assert!(fault(name, used).is_some(), "{name} → {used}");
        }
    }
}
