//! Reading and writing guest memory.

use septum_memory::GuestRam;
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
