//! KVM, and nothing but KVM: the only crate that makes its ioctls.
//!
//! * [`Kvm`]: the device, opened and checked;
//! * [`Vm`]: a virtual machine: memory slots, interrupts, doorbells, devices of the host;
//! * [`Vcpu`]: a virtual CPU: its state and its exits;
//! * [`probe`]: what the host can do, for `septum doctor`.
#![allow(unsafe_code, reason = "memory slots, and the signal that kicks a vCPU")]

mod passthrough;
mod privilege;
mod probe;
mod system;
mod vcpu;
mod vm;

pub use kvm_bindings::{CpuId, kvm_msr_entry, kvm_regs, kvm_segment, kvm_sregs, kvm_xcrs};
pub use privilege::stays_in_ring3;
pub use probe::{Capability, HostReport, probe};
pub use system::{Kvm, KvmError, permission_advice};
pub use vcpu::{Exit, Kicker, Vcpu, VcpuState, stop_all};
pub use vm::Vm;
