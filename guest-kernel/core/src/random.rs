//! Random numbers: the ChaCha20 stream cipher (RFC 8439) as a generator.
//!
//! The host seeds it once with 32 bytes. Every request is answered with one block under the current key:
//!
//! ```text
//! block(key, counter 0)   | next key, 32 bytes | 32 bytes: the answer if it is short,   |
//!                         |                    | else the key of a stream that is used |
//!                         |                    | for this answer alone                 |
//! ```
//!
//! The key is replaced before anything is given out, so what was given out says nothing about earlier answers
//! even to one who reads the kernel's memory later. The lock is held for one block only.
//!
//! Short answers are cut from bytes that are at hand, and forgotten there: 64 that the host gave along with the seed, then what
//! a block has left. Where ring 0 is emulated, a block costs a millisecond.

use septum_guest_hal::sync::Mutex;

const KEY_LEN: usize = 32;
const BLOCK_LEN: usize = 64;
const READY_LEN: usize = 64;
type Key = [u8; KEY_LEN];

struct Generator {
    /// All zeros until [`seed`] was called.
    key: Key,
    /// The first `left` of them have not been given out; the others are zero.
    ready: [u8; READY_LEN],
    left: usize,
}

static GENERATOR: Mutex<Generator> =
    Mutex::new(Generator { key: [0; KEY_LEN], ready: [0; READY_LEN], left: 0 });

impl Generator {
    /// Answers from what is at hand; false if that is too little.
    fn take(&mut self, bytes: &mut [u8]) -> bool {
        let Some(rest) = self.left.checked_sub(bytes.len()) else { return false };
        let taken = &mut self.ready[rest..self.left];
        bytes.copy_from_slice(taken);
        taken.fill(0);
        self.left = rest;
        true
    }

    /// Replaces the key; returns 32 bytes that nobody knows.
    fn step(&mut self) -> Key {
        let first = block(&self.key, 0);
        self.key.copy_from_slice(&first[..KEY_LEN]);
        let mut once: Key = [0; KEY_LEN];
        once.copy_from_slice(&first[KEY_LEN..]);
        once
    }
}

/// Takes the host's randomness: 32 bytes that are mixed into the key, and the first that are given out.
pub fn seed(key: &[u8; KEY_LEN], ready: [[u8; KEY_LEN]; 2]) {
    let mut generator = GENERATOR.lock();
    for (byte, new) in generator.key.iter_mut().zip(key) {
        *byte ^= new;
    }
    generator.ready.copy_from_slice(ready.as_flattened());
    generator.left = READY_LEN;
}

/// Fills `bytes` with random bytes.
pub fn fill(bytes: &mut [u8]) {
    let once = {
        let mut generator = GENERATOR.lock();
        if generator.take(bytes) {
            return;
        }
        let once = generator.step();
        if bytes.len() <= KEY_LEN {
            generator.ready[..KEY_LEN].copy_from_slice(&once);
            generator.left = KEY_LEN;
            generator.take(bytes);
            return;
        }
        once
    };
    for (counter, chunk) in (0..).zip(bytes.chunks_mut(BLOCK_LEN)) {
        let stream = block(&once, counter);
        chunk.copy_from_slice(&stream[..chunk.len()]);
    }
}

/// The ChaCha20 block function (RFC 8439 §2.3) with a nonce of zeros.
fn block(key: &Key, counter: u32) -> [u8; BLOCK_LEN] {
    let mut out = [0; BLOCK_LEN];
    let initial = initial_state(key, counter);
    let mut state = initial;
    for _ in 0..10 {
        quarter(&mut state, 0, 4, 8, 12);
        quarter(&mut state, 1, 5, 9, 13);
        quarter(&mut state, 2, 6, 10, 14);
        quarter(&mut state, 3, 7, 11, 15);
        quarter(&mut state, 0, 5, 10, 15);
        quarter(&mut state, 1, 6, 11, 12);
        quarter(&mut state, 2, 7, 8, 13);
        quarter(&mut state, 3, 4, 9, 14);
    }
    for ((bytes, word), start) in out.chunks_exact_mut(4).zip(state).zip(initial) {
        bytes.copy_from_slice(&word.wrapping_add(start).to_le_bytes());
    }
    out
}

fn initial_state(key: &Key, counter: u32) -> [u32; 16] {
    let mut state = [0; 16];
    // "expand 32-byte k"
    state[..4].copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
    for (word, bytes) in state[4..12].iter_mut().zip(key.chunks_exact(4)) {
        *word = bytes.iter().rev().fold(0, |word, &byte| (word << 8) | u32::from(byte));
    }
    state[12] = counter;
    state
}

/// The quarter round (RFC 8439 §2.1).
fn quarter(state: &mut [u32; 16], a: usize, b: usize, c: usize, d: usize) {
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(16);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(12);
    state[a] = state[a].wrapping_add(state[b]);
    state[d] = (state[d] ^ state[a]).rotate_left(8);
    state[c] = state[c].wrapping_add(state[d]);
    state[b] = (state[b] ^ state[c]).rotate_left(7);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_block_function_gives_the_vector_of_rfc_8439_appendix_a() {
        // Appendix A.1, test vector 1: key, nonce and counter of zeros.
        let stream = block(&[0; KEY_LEN], 0);
        assert_eq!(
            stream[..16],
            [0x76, 0xb8, 0xe0, 0xad, 0xa0, 0xf1, 0x3d, 0x90, 0x40, 0x5d, 0x6a, 0xe5, 0x53, 0x86, 0xbd, 0x28]
        );
        // Test vector 2: counter 1.
        let stream = block(&[0; KEY_LEN], 1);
        assert_eq!(stream[..8], [0x9f, 0x07, 0xe7, 0xbe, 0x55, 0x51, 0x38, 0x7a]);
    }

    #[test]
    fn the_quarter_round_gives_the_vector_of_rfc_8439_section_2_1_1() {
        let mut state = [0; 16];
        state[..4].copy_from_slice(&[0x1111_1111, 0x0102_0304, 0x9b8d_6f43, 0x0123_4567]);
        quarter(&mut state, 0, 1, 2, 3);
        assert_eq!(state[..4], [0xea2a_92f4, 0xcb1c_f8ce, 0x4581_472e, 0x5881_c4bb]);
    }

    #[test]
    fn answers_differ_and_every_length_works() {
        seed(&[7; KEY_LEN], [[1; KEY_LEN], [2; KEY_LEN]]);
        let mut given = [0; 48];
        fill(&mut given);
        assert_eq!((given[..16].to_vec(), given[16..].to_vec()), (std::vec![1; 16], std::vec![2; 32]));
        {
            let generator = GENERATOR.lock();
            assert_eq!((generator.left, &generator.ready[16..]), (16, &[0; 48][..]), "forgotten");
        }
        let mut answers = std::vec::Vec::new();
        for len in [16, 31, 32, 33, 64, 200] {
            let mut bytes = std::vec![0; len];
            fill(&mut bytes);
            assert!(bytes.iter().any(|&byte| byte != 0), "{len}");
            answers.push(bytes[..16].to_vec());
        }
        answers.sort();
        answers.dedup();
        assert_eq!(answers.len(), 6);
    }
}
