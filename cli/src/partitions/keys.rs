//! The keys that end a command at a terminal, among all that is typed.

/// What was typed of them so far.
#[derive(Debug)]
pub struct Detector {
    keys: Vec<u8>,
    seen: usize,
}

impl Detector {
    /// Without keys, everything is the program's.
    pub fn new(keys: &[u8]) -> Self {
        Self { keys: keys.to_vec(), seen: 0 }
    }

    /// What of this is the program's; and whether the keys were typed, which ends it.
    pub fn take(&mut self, bytes: &[u8]) -> (Vec<u8>, bool) {
        let mut typed = Vec::with_capacity(bytes.len());
        for &byte in bytes {
            if self.keys.get(self.seen) == Some(&byte) {
                self.seen += 1;
                if self.seen == self.keys.len() {
                    return (typed, true);
                }
                continue;
            }
            // They were meant for the program after all.
            typed.extend_from_slice(&self.keys[..self.seen]);
            self.seen = usize::from(self.keys.first() == Some(&byte));
            if self.seen == 0 {
                typed.push(byte);
            }
        }
        (typed, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_begins_like_them_is_the_programs() {
        let mut detector = Detector::new(&[16, 17]);
        assert_eq!(detector.take(b"a\x10b"), (b"a\x10b".to_vec(), false));
        assert_eq!(detector.take(b"\x10"), (vec![], false));
        assert_eq!(detector.take(b"\x10"), (vec![16], false));
        assert_eq!(detector.take(b"\x11x"), (vec![], true));
        assert_eq!(Detector::new(&[]).take(b"\x10\x11"), (vec![16, 17], false));
    }
}
