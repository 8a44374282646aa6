//! Reading and writing guest memory.

use septum_memory::{GuestRam, boxed_zeros};
use vm_memory::{ByteValued, Bytes, GuestAddress, GuestMemoryError};

/// Writes `bytes` at guest-physical `address`.
pub fn write_bytes(ram: &GuestRam, address: u64, bytes: &[u8]) -> Result<(), GuestMemoryError> {
    ram.write_slice(bytes, GuestAddress(address))
}

/// Writes words, one after the other.
pub fn write_words(ram: &GuestRam, address: u64, words: &[u64]) -> Result<(), GuestMemoryError> {
    let bytes: Vec<u8> = words.iter().flat_map(|word| word.to_le_bytes()).collect();
    write_bytes(ram, address, &bytes)
}

/// Reads a value, once.
pub fn read<T: ByteValued>(ram: &GuestRam, address: u64) -> Result<T, GuestMemoryError> {
    ram.read_obj(GuestAddress(address))
}

/// Reads a value, once, and never keeps it on the stack: the report is 60 KiB, and what a stack has had stays resident.
pub fn read_boxed<T: ByteValued>(ram: &GuestRam, address: u64) -> Result<Box<T>, GuestMemoryError> {
    let mut value = boxed_zeros::<T>();
    ram.read_slice(value.as_mut_slice(), GuestAddress(address))?;
    Ok(value)
}
