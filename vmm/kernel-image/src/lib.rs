//! The guest kernel, embedded, so that `septum` is one file.
#![forbid(unsafe_code)]

/// On pages of its own, so that the kernel's parts, which are on pages in its file, can be mapped from there.
#[repr(align(4096))]
struct OnPage<T: ?Sized>(T);

static FILE: &OnPage<[u8]> = &OnPage(*include_bytes!(env!("SEPTUM_KERNEL")));

/// The guest kernel: an ELF file with symbols.
pub static KERNEL: &[u8] = &FILE.0;
