//! Capabilities that tell a driver where the registers are (virtio 1.2 section 4.1.4).
//!
//! ```text
//! 0      1      2      3       4     5    6  7  8        12       16
//! ┌──────┬──────┬──────┬───────┬─────┬────┬─────┬────────┬────────┬──────────────────────┐
//! │ 0x09 │ next │ size │ type  │ BAR │ id │  0  │ offset │ length │ multiplier (notify)  │
//! └──────┴──────┴──────┴───────┴─────┴────┴─────┴────────┴────────┤ data window (PCI cfg)│
//!                                                                 └──────────────────────┘
//! ```

use super::layout;
use crate::pci::{CapabilityError, ConfigSpace, msix};

/// Capability number of vendor-specific capabilities.
const VENDOR_SPECIFIC: u8 = 0x09;

const TYPE_COMMON: u8 = 1;
const TYPE_NOTIFY: u8 = 2;
const TYPE_ISR: u8 = 3;
const TYPE_DEVICE: u8 = 4;
const TYPE_PCI_CONFIG: u8 = 5;
const TYPE_SHARED_MEMORY: u8 = 8;

/// Offsets, within the PCI configuration access capability, of what the driver writes there.
pub mod window {
    /// BAR to access.
    pub const BAR: usize = 4;
    /// Offset into the BAR.
    pub const OFFSET: usize = 8;
    /// Bytes to access: 1, 2 or 4.
    pub const LENGTH: usize = 12;
    /// The data; reading or writing it performs the access.
    pub const DATA: usize = 16;
}

/// Where capabilities with registers of their own ended up in configuration space.
#[derive(Clone, Copy, Debug)]
pub struct Capabilities {
    /// MSI-X.
    pub msix: usize,
    /// PCI configuration access.
    pub window: usize,
}

/// Adds the transport's capabilities for a device with `queues` queues and so many bytes of shared memory.
///
/// # Errors
/// Configuration space is full; cannot happen in a space without other capabilities.
pub fn add(
    space: &mut ConfigSpace,
    queues: u16,
    shared_memory: Option<u64>,
) -> Result<Capabilities, CapabilityError> {
    let multiplier = layout::NOTIFY_MULTIPLIER.to_le_bytes();
    let doorbells = u64::from(queues) * u64::from(layout::NOTIFY_MULTIPLIER);
    let structures: [(u8, u64, u64, &[u8]); 4] = [
        (TYPE_COMMON, layout::COMMON, layout::COMMON_SIZE, &[]),
        (TYPE_NOTIFY, layout::NOTIFY, doorbells, &multiplier),
        (TYPE_ISR, layout::ISR, layout::ISR_SIZE, &[]),
        (TYPE_DEVICE, layout::DEVICE, layout::DEVICE_SIZE, &[]),
    ];
    for (kind, offset, length, extra) in structures {
        space.add_capability(VENDOR_SPECIFIC, &body(kind, offset, length, extra)?, &[])?;
    }
    let msix = space.add_capability(msix::CAPABILITY, &msix_body(queues)?, &msix::CONTROL_WRITABLE)?;
    // The driver may write BAR, offset, length and data; these begin two bytes into the body.
    let mut writable = [0; 18];
    writable[window::BAR - 2] = 0xff;
    writable[window::OFFSET - 2..].fill(0xff);
    let body = body(TYPE_PCI_CONFIG, 0, 0, &[0; 4])?;
    let window = space.add_capability(VENDOR_SPECIFIC, &body, &writable)?;
    if let Some(length) = shared_memory {
        space.add_capability(VENDOR_SPECIFIC, &shared_memory_body(length)?, &[])?;
    }
    Ok(Capabilities { msix, window })
}

/// A capability from its third byte on.
fn body(kind: u8, offset: u64, length: u64, extra: &[u8]) -> Result<Vec<u8>, CapabilityError> {
    let word = |value: u64| u32::try_from(value).map(u32::to_le_bytes).map_err(|_| CapabilityError);
    let mut bytes = vec![0, kind, 0, 0, 0, 0];
    bytes.extend(word(offset)?);
    bytes.extend(word(length)?);
    bytes.extend(extra);
    bytes[0] = u8::try_from(bytes.len() + 2).map_err(|_| CapabilityError)?;
    Ok(bytes)
}

/// Region 0, the whole of its BAR: `virtio_pci_cap64`, whose offset and length are 64 bits wide.
fn shared_memory_body(length: u64) -> Result<Vec<u8>, CapabilityError> {
    let [l0, l1, l2, l3, high @ ..] = length.to_le_bytes();
    let mut bytes = body(TYPE_SHARED_MEMORY, 0, 0, &[0; 8])?;
    bytes[2] = u8::try_from(layout::SHARED_MEMORY_BAR).map_err(|_| CapabilityError)?;
    bytes[10..14].copy_from_slice(&[l0, l1, l2, l3]);
    bytes[18..22].copy_from_slice(&high);
    Ok(bytes)
}

/// Message control, table and pending bits; the BAR number 0 is in the low bits of both offsets.
fn msix_body(queues: u16) -> Result<Vec<u8>, CapabilityError> {
    let word = |value: u64| u32::try_from(value).map(u32::to_le_bytes).map_err(|_| CapabilityError);
    let last_vector = queues;
    let mut bytes = last_vector.to_le_bytes().to_vec();
    bytes.extend(word(layout::MSIX_TABLE)?);
    bytes.extend(word(layout::MSIX_PENDING)?);
    Ok(bytes)
}
