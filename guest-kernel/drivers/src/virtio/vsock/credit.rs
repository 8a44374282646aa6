//! What may be sent on a connection before the other side's program has taken what it was sent (virtio 1.2 section 5.10.6.3).
//!
//! Both sides say with every packet how much they keep and how much their program has taken since the beginning; numbers wrap.

/// One side's view.
#[derive(Debug, Default)]
pub struct Credit {
    /// What the other side keeps.
    there: u32,
    /// What its program has taken.
    passed_there: u32,
    /// What was sent to it.
    sent: u32,
    /// What is kept here.
    here: u32,
    /// What came.
    came: u32,
    /// What the program has taken.
    passed: u32,
    /// What of that the other side was told.
    told: u32,
}

impl Credit {
    /// So much is kept here; nothing is known of the other side.
    pub fn new(here: u32) -> Self {
        Self { here, ..Self::default() }
    }

    /// The other side says what it keeps and has passed on.
    pub fn learn(&mut self, there: u32, passed: u32) {
        (self.there, self.passed_there) = (there, passed);
    }

    /// Bytes that it has not passed on.
    pub fn unsent(&self) -> u32 {
        self.sent.wrapping_sub(self.passed_there)
    }

    /// Bytes that may be sent.
    pub fn room(&self) -> u32 {
        self.there.saturating_sub(self.unsent())
    }

    /// Whether there is enough room to say so.
    pub fn has_room(&self) -> bool {
        self.room() > 0 && self.room() >= self.there / 4
    }

    /// So many are sent.
    pub fn send(&mut self, len: u32) {
        self.sent = self.sent.wrapping_add(len);
    }

    /// So many are not sent after all.
    pub fn send_not(&mut self, len: u32) {
        self.sent = self.sent.wrapping_sub(len);
    }

    /// So many came; false if that is more than was allowed.
    pub fn receive(&mut self, len: u32) -> bool {
        self.came = self.came.wrapping_add(len);
        self.came.wrapping_sub(self.told) <= self.here
    }

    /// The program has taken so many; true if the other side is to be told now.
    pub fn pass(&mut self, len: u32) -> bool {
        self.passed = self.passed.wrapping_add(len);
        self.passed.wrapping_sub(self.told) >= self.here / 4
    }

    /// What the other side is told with a packet: what is kept here, and what was taken.
    pub fn tell(&mut self) -> (u32, u32) {
        self.told = self.passed;
        (self.here, self.passed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_sent_shrinks_and_grows_also_where_numbers_wrap() {
        let mut credit = Credit::new(100);
        credit.learn(1000, u32::MAX - 10);
        credit.sent = u32::MAX - 10;
        assert_eq!((credit.room(), credit.has_room()), (1000, true));
        credit.send(900);
        assert_eq!((credit.room(), credit.has_room(), credit.unsent()), (100, false, 900));
        credit.learn(1000, 889);
        assert_eq!(credit.room(), 1000);
        // A side that keeps less than it did, or claims what cannot be, gets nothing.
        credit.learn(0, 5000);
        assert_eq!(credit.room(), 0);
    }

    #[test]
    fn the_other_side_is_told_in_quarters_and_held_to_it() {
        let mut credit = Credit::new(100);
        assert!(credit.receive(100));
        assert!(!credit.pass(24));
        assert!(credit.pass(1));
        assert_eq!(credit.tell(), (100, 25));
        assert!(credit.receive(25));
        assert!(!credit.receive(1));
    }
}
