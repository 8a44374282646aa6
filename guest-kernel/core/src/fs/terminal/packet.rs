//! Packets (TIOCPKT): a master that reads is told, in the first byte, whether bytes follow or what has happened to the slave.

use core::sync::atomic::{AtomicBool, AtomicU8, Ordering};

/// TIOCPKT_DATA: bytes follow.
pub const DATA: u8 = 0;
/// TIOCPKT_FLUSHREAD: what was typed was forgotten.
pub const INPUT_FORGOTTEN: u8 = 1;
/// TIOCPKT_FLUSHWRITE: what was written was forgotten.
pub const OUTPUT_FORGOTTEN: u8 = 2;
/// TIOCPKT_STOP, TIOCPKT_START: output.
const STOPPED: u8 = 4;
const STARTED: u8 = 8;
/// TIOCPKT_NOSTOP, TIOCPKT_DOSTOP: whether ^S and ^Q stop and start output.
const NO_USUAL_STOPS: u8 = 16;
const USUAL_STOPS: u8 = 32;

/// What a master is to be told.
#[derive(Debug, Default)]
pub struct Packets {
    is_on: AtomicBool,
    news: AtomicU8,
}

impl Packets {
    /// Whether the master wants them.
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::SeqCst)
    }

    /// Has the master read packets, or no longer.
    pub fn set(&self, is_on: bool) {
        self.news.store(0, Ordering::SeqCst);
        self.is_on.store(is_on, Ordering::SeqCst);
    }

    /// Whether there is something to tell.
    #[must_use]
    pub fn has_news(&self) -> bool {
        self.news.load(Ordering::SeqCst) != 0
    }

    /// What there is to tell, once.
    #[must_use]
    pub fn take(&self) -> Option<u8> {
        Some(self.news.swap(0, Ordering::SeqCst)).filter(|&news| news != 0)
    }

    /// Tells; what says the opposite is not told any more.
    pub fn tell(&self, news: u8, instead_of: u8) {
        if self.is_on() {
            self.news.fetch_and(!instead_of, Ordering::SeqCst);
            self.news.fetch_or(news, Ordering::SeqCst);
        }
    }

    /// Output was stopped or started, if that is another state than before.
    pub fn tell_stop(&self, was_stopped: bool, is_stopped: bool) {
        match (was_stopped, is_stopped) {
            (false, true) => self.tell(STOPPED, STARTED),
            (true, false) => self.tell(STARTED, STOPPED),
            _ => {}
        }
    }

    /// The usual characters stop and start output, or no longer.
    pub fn tell_usual_stops(&self, had: bool, has: bool) {
        match (had, has) {
            (false, true) => self.tell(USUAL_STOPS, NO_USUAL_STOPS),
            (true, false) => self.tell(NO_USUAL_STOPS, USUAL_STOPS),
            _ => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_who_wants_news_is_told_and_only_the_last_of_opposites() {
        let packets = Packets::default();
        packets.tell_stop(false, true);
        assert_eq!(packets.take(), None);
        packets.set(true);
        packets.tell_stop(false, true);
        packets.tell_usual_stops(true, false);
        packets.tell_stop(true, false);
        packets.tell_stop(false, false);
        assert_eq!((packets.take(), packets.take()), (Some(STARTED | NO_USUAL_STOPS), None));
    }
}
