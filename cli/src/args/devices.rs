//! What was typed after `septum devices`.

use clap::{Args, Subcommand};
use septum_api_types::pci::Address;

/// List the PCI functions of this host, and what keeps each from being passed to a partition; give them to vfio-pci, or back to
/// their own drivers.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub struct Devices {
    /// Print JSON: one list
    #[arg(long)]
    pub json: bool,

    #[command(subcommand)]
    pub action: Option<DeviceAction>,
}

#[derive(Debug, Subcommand)]
pub enum DeviceAction {
    /// Take functions from their drivers and give them to vfio-pci
    Bind(Functions),
    /// Take functions from vfio-pci and let their own drivers have them
    Unbind(Functions),
}

#[derive(Debug, Args)]
pub struct Functions {
    /// Where each is, such as 0000:41:00.0
    #[arg(required = true, value_name = "ADDRESS")]
    pub addresses: Vec<Address>,
}
