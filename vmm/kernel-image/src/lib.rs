//! The guest kernel, embedded, so that `septum` is one file.
#![forbid(unsafe_code)]

/// The guest kernel: an ELF file with symbols.
pub static KERNEL: &[u8] = include_bytes!(env!("SEPTUM_KERNEL"));
