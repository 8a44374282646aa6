//! What is linked into Septum must be usable under terms that its own licence, Apache-2.0, can live with.

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::spdx;

const ALLOWED: &[&str] = &[
    "0BSD",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "BSD-3-Clause",
    "CC0-1.0",
    "ISC",
    "MIT",
    "MPL-2.0",
    "NCSA",
    "Unicode-3.0",
    "Unlicense",
    "Zlib",
];

/// Checks every package of the dependency graph, our own included.
pub fn check(metadata: &Value) -> Result<()> {
    let packages = metadata.get("packages").and_then(Value::as_array).context("no packages")?;
    let used = metadata.pointer("/resolve/nodes").and_then(Value::as_array).context("no resolve")?;
    let is_used = |package: &Value| {
        let id = package.get("id");
        id.is_some() && used.iter().any(|node| node.get("id") == id)
    };
    let mut faults = Vec::new();
    for package in packages.iter().filter(|package| is_used(package)) {
        let text = |key: &str| package.get(key).and_then(Value::as_str).unwrap_or("none stated");
        let licence = text("license");
        if !spdx::permits(licence, &|name| ALLOWED.contains(&name)) {
            faults.push(format!("{} {}: licence {licence}", text("name"), text("version")));
        }
    }
    if !faults.is_empty() {
        bail!("{}\nallowed are: {}", faults.join("\n"), ALLOWED.join(", "));
    }
    Ok(())
}
