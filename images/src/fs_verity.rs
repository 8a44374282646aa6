//! fs-verity: the host's file system checks every block of a file when it reads it, and keeps everybody from writing it.
#![allow(unsafe_code, reason = "two ioctls that have no safe wrapper")]

use std::fs::File;
use std::os::fd::AsRawFd as _;

/// FS_IOC_ENABLE_VERITY, FS_IOC_MEASURE_VERITY
const ENABLE: u64 = 0x4080_6685;
const MEASURE: u64 = 0xc004_6686;
const SHA256: u32 = 1;

/// `struct fsverity_enable_arg`
#[repr(C)]
struct Enable {
    version: u32,
    hash_algorithm: u32,
    block_size: u32,
    salt_size: u32,
    salt: u64,
    signature_size: u32,
    reserved1: u32,
    signature: u64,
    reserved2: [u64; 11],
}

/// `struct fsverity_digest`, with room for one of SHA-256
#[repr(C)]
struct Measured {
    algorithm: u16,
    size: u16,
    digest: [u8; 32],
}

/// Has the file system guard a file, which nobody may have open for writing. False where it cannot.
pub(crate) fn enable(file: &File) -> bool {
    let argument = Enable {
        version: 1,
        hash_algorithm: SHA256,
        block_size: 4096,
        salt_size: 0,
        salt: 0,
        signature_size: 0,
        reserved1: 0,
        signature: 0,
        reserved2: [0; 11],
    };
    // SAFETY: 1. the argument has the layout and size that the request's number says; 2. it outlives the call; 3. it names no other memory.
    unsafe { libc::ioctl(file.as_raw_fd(), ENABLE, &raw const argument) == 0 }
}

/// The digest that the file system holds a file to, if it does.
pub(crate) fn measure(file: &File) -> Option<[u8; 32]> {
    let mut measured = Measured { algorithm: 0, size: 32, digest: [0; 32] };
    // SAFETY: 1. the kernel writes at most `size` bytes behind the header, for which there is room; 2. it outlives the call.
    let result = unsafe { libc::ioctl(file.as_raw_fd(), MEASURE, &raw mut measured) };
    (result == 0 && measured.size == 32 && u32::from(measured.algorithm) == SHA256).then_some(measured.digest)
}
