//! Programs that must not start: files that look like a program and are broken in one place.
//!
//! Each is made from a good ELF file, so that the broken part is the only reason to refuse it. Offsets are those of
//! the ELF-64 specification, "ELF Header".
//!
//! ```text
//!   0   7f 45 4c 46   magic
//!   4   class (1: 32 bits, 2: 64 bits)
//!   16  e_type  18 e_machine  24 e_entry  32 e_phoff  54 e_phentsize  56 e_phnum
//! ```

const MACHINE_OFFSET: usize = 18;
const CLASS_OFFSET: usize = 4;
const HEADER_COUNT_OFFSET: usize = 56;
const AARCH64: [u8; 2] = 183_u16.to_le_bytes();
const INTERPRETER: &[u8] = b"/lib64/ld-linux-x86-64.so.2";
const NO_INTERPRETER: &[u8] = b"/lib64/ld-absent-x86-64.so2";

/// The same program, said to be for another processor.
pub fn for_another_machine(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[MACHINE_OFFSET..MACHINE_OFFSET + 2].copy_from_slice(&AARCH64);
    bytes
}

/// The same program, said to be of 32 bits.
pub fn of_32_bits(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[CLASS_OFFSET] = 1;
    bytes
}

/// A program that ends within its header.
pub fn cut_in_the_header(good: &[u8]) -> Vec<u8> {
    good[..40].to_vec()
}

/// A program that ends within its first segments: the headers are whole, what they point at is not there.
pub fn cut_in_a_segment(good: &[u8]) -> Vec<u8> {
    good[..2048.min(good.len() / 2)].to_vec()
}

/// A program with more program headers than it has bytes.
pub fn with_absurd_header_count(good: &[u8]) -> Vec<u8> {
    let mut bytes = good.to_vec();
    bytes[HEADER_COUNT_OFFSET..HEADER_COUNT_OFFSET + 2].copy_from_slice(&[0xff, 0xfe]);
    bytes
}

/// A dynamic program whose interpreter is a file that does not exist.
///
/// # Panics
///
/// When the program names no interpreter.
pub fn with_missing_interpreter(dynamic: &[u8]) -> Vec<u8> {
    let mut bytes = dynamic.to_vec();
    let place = bytes.windows(INTERPRETER.len()).position(|window| window == INTERPRETER);
    let place = place.expect("a dynamic program names its interpreter");
    bytes[place..place + INTERPRETER.len()].copy_from_slice(NO_INTERPRETER);
    bytes
}

/// The name of the interpreter that [`with_missing_interpreter`] asks for.
pub fn missing_interpreter() -> String {
    String::from_utf8_lossy(NO_INTERPRETER).into_owned()
}
