//! What one vCPU may still see of page tables that have changed.
//!
//! A vCPU is *touching* while the program runs on it, or the kernel copies from or to the program. Only then does it use the
//! translations that it remembers, so only then must somebody who took a page away wait for it. Each round of forgetting has a number;
//! a vCPU that begins to touch catches up with the newest. Either it sees the new number, or whoever made that sees it touching:
//! each side writes its own word before it reads the other's, with a full fence in between.
//!
//! Address spaces have rounds of their own. A vCPU says in which one it is before it loads that one's tables, which makes it forget
//! whatever it remembers: so whoever took a page away either sees it there, or it loads the tables after the change.

use super::atomic::{AtomicU32, Ordering, fence};

/// One vCPU's.
#[derive(Debug)]
pub struct View {
    /// 1 while it is touching.
    pub(super) touching: AtomicU32,
    /// The newest round that it has caught up with, of its address space.
    pub(super) seen: AtomicU32,
    /// The address space that it is in.
    pub(super) space: AtomicU32,
}

impl View {
    /// The vCPU, which is not touching, goes to another address space: `load` loads its tables and forgets everything.
    pub fn enter(&self, space: u32, round: &AtomicU32, load: impl FnOnce()) {
        self.space.store(space, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        let newest = round.load(Ordering::Acquire);
        load();
        self.seen.store(newest, Ordering::Release);
    }

    /// The vCPU is about to touch. If rounds were missed, it `forget`s everything first.
    pub fn begin(&self, round: &AtomicU32, forget: impl FnOnce()) {
        self.touching.store(1, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        self.catch_up(round.load(Ordering::Acquire), forget);
    }

    fn catch_up(&self, newest: u32, forget: impl FnOnce()) {
        if self.seen.load(Ordering::Relaxed) != newest {
            forget();
            self.seen.store(newest, Ordering::Release);
        }
    }

    /// It has stopped touching.
    pub fn end(&self) {
        self.touching.store(0, Ordering::Release);
    }

    /// Makes a round of a change to the pages of `space`, and returns its number. If this vCPU is in that space it has forgotten them by itself;
    /// if it missed others' rounds, it `forget`s everything.
    pub fn announce(&self, space: u32, round: &AtomicU32, forget: impl FnOnce()) -> u32 {
        let before = round.fetch_add(1, Ordering::AcqRel);
        let own = before.wrapping_add(1);
        if self.space.load(Ordering::Relaxed) == space {
            self.catch_up(before, forget);
            self.seen.store(own, Ordering::Release);
        }
        fence(Ordering::SeqCst);
        own
    }

    /// Whether it may still use what it remembers of `space` from before `round`.
    pub fn lags(&self, space: u32, round: u32) -> bool {
        self.touching.load(Ordering::Acquire) != 0
            && self.space.load(Ordering::Acquire) == space
            && round.wrapping_sub(self.seen.load(Ordering::Acquire)).cast_signed() > 0
    }
}
