//! Devices of a partition, as the guest sees them, and what they do on the host.
//!
//! ```text
//!   vCPU threads (register accesses)                device threads (queue work)
//!        │ ECAM, CF8/CFC, memory BARs                    ▲ kick (EventFd)      │ completion (MSI-X)
//!        ▼                                               │                     ▼
//!   pci::PciBus ──► virtio::transport ──► VirtioDevice: console, entropy, fs ──► core::MsiSender
//! ```
//!
//! [`core`] holds the small traits through which a device reaches the machine it lives in; [`pci`] the bus and its
//! configuration space; [`virtio`] the transport and the devices. Nothing here knows KVM: the machine implements
//! [`core::MsiSender`] and [`core::KickRegistrar`] and forwards guest accesses to [`pci::PciBus`].
//!
//! Rules that hold everywhere in this crate:
//!
//! - The guest is hostile. What it writes is copied once, checked, and at worst counted ([`core::Misbehaviour`]); it
//!   never panics and never makes the host wait for the guest.
//! - Registers are pure models without locks or descriptors; adapters add locks, events and interrupts.
//! - Locks are taken in the order *transport, device worker, MSI-X table*; none is held across a call to the machine
//!   except the transport's.
//!
//! The process ignores SIGPIPE (as Rust programs do): a closed output is an `EPIPE` that the guest is told about.

pub mod core;
pub mod passthrough;
pub mod pci;
pub mod virtio;
