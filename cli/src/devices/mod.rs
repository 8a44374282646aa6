//! `septum devices`: flags, what the host has, what it says.
//!
//! ```text
//!   inventory (functions, groups, drivers) ◄── usage (what the host would miss)
//!        ▲
//!   binding (to vfio-pci and back)
//! ```

mod binding;
mod inventory;
#[cfg(test)]
mod tests;
mod usage;

use std::process::ExitCode;

use septum_api_types::failure::Failure;
use septum_api_types::size::Size;

use crate::args::{DeviceAction, Devices};
use crate::message;
use inventory::{Function, Host};

/// Does what was asked for.
pub fn devices(devices: &Devices) -> ExitCode {
    let host = Host::here();
    let result = match &devices.action {
        None => {
            list(&host, devices.json);
            Ok(())
        }
        Some(DeviceAction::Bind(which)) => {
            which.addresses.iter().try_for_each(|&address| binding::bind(&host, address))
        }
        Some(DeviceAction::Unbind(which)) => which.addresses.iter().try_for_each(|&address| {
            let driver = binding::unbind(&host, address)?;
            let driver =
                driver.map_or_else(|| "no driver".to_owned(), |driver| format!("the driver {driver}"));
            message::print(&format!("{address} belongs to {driver}\n"));
            Ok(())
        }),
    };
    finish(result)
}

fn finish(result: Result<(), Failure>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            message::failure(&failure);
            ExitCode::from(failure.code.number())
        }
    }
}

fn list(host: &Host, as_json: bool) {
    let functions = host.functions();
    if as_json {
        let functions = functions.unwrap_or_default();
        message::print(&format!("{}\n", serde_json::to_string_pretty(&functions).unwrap_or_default()));
    } else {
        message::print(&functions.map_or_else(no_bus, |functions| table(&functions)));
    }
}

fn no_bus() -> String {
    "This host shows no PCI bus (no /sys/bus/pci): there is nothing to pass to partitions.\n".to_owned()
}

/// One line a function, and below it what blocks it.
fn table(functions: &[Function]) -> String {
    let mut text = format!(
        "{:<13} {:<17} {:<10} {:>5} {:<14} {:<10} {:>8}  {}\n",
        "ADDRESS", "KIND", "ID", "GROUP", "DRIVER", "RESET", "MEMORY", "PASSING THROUGH"
    );
    for function in functions {
        let memory: u64 = function.bars.iter().fold(0, |sum, bar| sum.saturating_add(bar.bytes));
        text.push_str(&format!(
            "{:<13} {:<17} {:<10} {:>5} {:<14} {:<10} {:>8}  {}\n",
            function.address.to_string(),
            function.kind,
            format!("{}:{}", function.vendor, function.device),
            function.group.map_or_else(|| "-".to_owned(), |group| group.to_string()),
            function.driver.as_deref().unwrap_or("-"),
            function.reset.first().map_or("-", String::as_str),
            Size(memory).to_string(),
            if function.blocked_by.is_empty() { "ready" } else { "blocked:" },
        ));
        for obstacle in &function.blocked_by {
            text.push_str(&format!("{:13} {obstacle}\n", ""));
        }
    }
    if functions.iter().all(|function| function.group.is_none()) {
        text.push_str("\nThis host has no IOMMU turned on: no function can be passed to a partition.\n");
    }
    text
}
