//! Changing inputs at random, for tests that run without the engine.

/// A small deterministic generator (xorshift64*), and what it does to inputs.
#[derive(Debug)]
pub struct Mutator(u64);

impl Mutator {
    /// `seed` must not be 0.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed.max(1))
    }

    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// Changes it in one to eight places.
    pub fn change(&mut self, input: &mut Vec<u8>) {
        for _ in 0..=self.below(8) {
            let at = self.below(input.len());
            match (self.below(6), input.get_mut(at)) {
                (0, Some(byte)) => *byte ^= 1 << self.below(8),
                (1, Some(byte)) => *byte = self.next() as u8,
                (2, Some(_)) => {
                    let values = [0, 1, 0x7f, 0x80, 0xff];
                    let value = values[self.below(values.len())];
                    let end = (at + [1, 2, 4, 8][self.below(4)]).min(input.len());
                    input[at..end].fill(value);
                }
                (3, Some(_)) => {
                    let end = (at + self.below(32)).min(input.len());
                    input.drain(at..end);
                }
                (4, Some(_)) => {
                    let end = (at + self.below(64)).min(input.len());
                    let piece = input[at..end].to_vec();
                    let to = self.below(input.len());
                    input.splice(to..to, piece);
                }
                _ => {
                    let piece: Vec<u8> = (0..self.below(16)).map(|_| self.next() as u8).collect();
                    input.splice(at..at, piece);
                }
            }
        }
    }
}
