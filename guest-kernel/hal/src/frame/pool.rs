//! Which frames are free: blocks of 2 MiB, and a bit for each frame of a block.
//!
//! ```text
//! untouched ──► partial (of a group) ◄──► full
//!     │              │ last frame freed      ▲
//!     │              ▼                       │ as one large page
//!     └────────►   dirty ──► reporting ──► clean
//!                 all free   the host takes   all free, zero, and
//!                            the memory back  without host memory
//! ```
//!
//! An untouched block has never been used: the host made it zero, and not even its bits have been written. Every
//! block that is used in pieces belongs to a [`Group`], so that what the kernel keeps for long does not come to lie
//! between pages that a program gives back together. Only if nothing else is left a group takes from another's.
//!
//! A frame that is free and known to be zero is *clean* (never used, or given back to the host since). Whole blocks
//! become clean again by way of the host; a program's large pages are made of clean blocks only, so nobody ever
//! clears 2 MiB.

use crate::report;
use septum_abi::layout::BULK_RAM_START;

/// Frames of a block.
pub const BLOCK: u64 = 512;
/// Blocks below have small pages on the host: a large page would gain nothing there.
const BULK: u64 = BULK_RAM_START / (2 << 20);
/// Whole blocks that are kept for use as they are before memory that was never used is begun.
const KEEP: u64 = 8;

/// Frames of small pages that programs take before they get those of large ones: what a small program needs. The host has them ready
/// (`septum_machine::core`); each one after them would cost it a page fault, and KVM another.
const SMALL_FOR_PROGRAMS: u16 = 32;

/// For whom a frame is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Page tables, heap.
    Kernel = 0,
    /// Pages of programs.
    Program = 1,
    /// Contents of files.
    Cache = 2,
}

const GROUPS: [Group; 3] = [Group::Program, Group::Cache, Group::Kernel];

/// Where a block is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Untouched,
    /// In pieces: in its group's list if any frame is free.
    Partial,
    /// Wholly in use as one piece, or on its way to the host: in no list.
    Taken,
    Dirty,
    Clean,
}

/// What is known of a block. All zeros mean untouched.
#[derive(Clone, Debug, Default)]
pub struct Block {
    free: [u64; 8],
    /// Of those, the ones that are zero.
    clean: [u64; 8],
    /// Neighbours in its list, plus one.
    next: u32,
    previous: u32,
    free_count: u16,
    /// How many of the free ones are not known to be zero.
    dirty_count: u16,
    state: State,
    group: u8,
}

impl Block {
    fn set(&mut self, bit: u64, is_clean: bool) {
        let (word, mask) = (bit as usize / 64, 1u64 << (bit % 64));
        self.free[word] |= mask;
        if is_clean {
            self.clean[word] |= mask;
        } else {
            self.dirty_count += 1;
        }
        self.free_count += 1;
    }

    /// A word that has free frames, and which of them: those that are zero, or not, as wanted, if there are any.
    fn some_free(&self, want_zero: bool) -> Option<(usize, u64)> {
        if self.dirty_count == 0 {
            let (word, bits) = self.free.iter().enumerate().find(|(_, bits)| **bits != 0)?;
            return Some((word, *bits));
        }
        let mut other = None;
        for (word, (&free, &clean)) in self.free.iter().zip(&self.clean).enumerate() {
            if free == 0 {
                continue;
            }
            let preferred = if want_zero { clean } else { free & !clean };
            if preferred != 0 {
                return Some((word, preferred));
            }
            other = other.or(Some((word, free)));
        }
        other
    }

    fn is_free(&self, bit: u64) -> bool {
        self.free[bit as usize / 64] >> (bit % 64) & 1 != 0
    }

    fn take(&mut self, bit: u64) -> bool {
        let (word, mask) = (bit as usize / 64, 1u64 << (bit % 64));
        let is_clean = self.clean[word] & mask != 0;
        self.free[word] &= !mask;
        self.clean[word] &= !mask;
        self.free_count -= 1;
        self.dirty_count -= u16::from(!is_clean);
        is_clean
    }

    /// The first run of free frames of at least `count`, aligned to `align`.
    fn find_run(&self, count: u64, align: u64) -> Option<u64> {
        let mut start = 0;
        while start + count <= BLOCK {
            match (start..start + count).find(|&bit| !self.is_free(bit)) {
                None => return Some(start),
                Some(taken) => start = (taken + 1).next_multiple_of(align),
            }
        }
        None
    }
}

/// Neighbouring frames that were taken together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Run {
    /// First frame number.
    pub first: u64,
    /// Frames.
    pub len: u64,
    /// All of them are zero.
    pub is_zero: bool,
}

/// Free frames.
pub struct Pool {
    blocks: &'static mut [Block],
    /// Heads of the lists of partial blocks, plus one, by group.
    partial: [u32; 3],
    dirty: u32,
    /// Clean blocks: those of small pages on the host, and the bulk.
    clean: [u32; 2],
    dirty_count: u64,
    /// Untouched blocks of small pages, and of the bulk: the next one.
    small: u64,
    bulk: u64,
    /// One past the last frame.
    end: u64,
    /// Frames between low and high memory.
    gap: core::ops::Range<u64>,
    free: u64,
    total: u64,
    peak: u64,
}

impl Pool {
    /// Nothing to give.
    pub const fn empty() -> Self {
        Self {
            blocks: &mut [],
            partial: [0; 3],
            dirty: 0,
            clean: [0; 2],
            dirty_count: 0,
            small: 0,
            bulk: 0,
            end: 0,
            gap: 0..0,
            free: 0,
            total: 0,
            peak: 0,
        }
    }

    /// Frames from `first` to `end` except `gap`, which is aligned to blocks; all zero. `blocks` are zero too and enough for `end`.
    pub fn new(first: u64, end: u64, gap: core::ops::Range<u64>, blocks: &'static mut [Block]) -> Self {
        let total = end.saturating_sub(first) - (gap.end - gap.start);
        let begun = first / BLOCK;
        let small = begun + 1;
        let mut pool =
            Self { blocks, small, bulk: small.max(BULK), end, gap, free: total, total, ..Self::empty() };
        pool.open(begun, first..end, Group::Kernel);
        pool
    }

    /// Frames there are.
    pub fn total(&self) -> u64 {
        self.total
    }

    /// Frames in use.
    pub fn used(&self) -> u64 {
        self.total - self.free
    }

    /// The most that were ever in use.
    pub fn peak(&self) -> u64 {
        self.peak
    }

    /// Frames that are free.
    pub fn free(&self) -> u64 {
        self.free
    }

    /// Whole blocks that are free, but have been used.
    pub fn dirty_blocks(&self) -> u64 {
        self.dirty_count
    }

    fn head(&mut self, state: State, block: u64) -> Option<&mut u32> {
        match state {
            State::Partial => {
                let group = usize::from(self.blocks[block as usize].group);
                self.partial.get_mut(group)
            }
            State::Dirty => Some(&mut self.dirty),
            State::Clean => self.clean.get_mut(usize::from(block >= BULK)),
            State::Untouched | State::Taken => None,
        }
    }

    /// Moves a block that is in no list to the list of `state`.
    fn enlist(&mut self, block: u64, state: State) {
        let me = block as u32 + 1;
        let next = self.head(state, block).map_or(0, |head| core::mem::replace(head, me));
        if next != 0 {
            self.blocks[next as usize - 1].previous = me;
        }
        let entry = &mut self.blocks[block as usize];
        (entry.next, entry.previous, entry.state) = (next, 0, state);
        self.dirty_count += u64::from(state == State::Dirty);
    }

    /// Takes a block out of its list.
    fn unlist(&mut self, block: u64) {
        let Block { next, previous, state, .. } = self.blocks[block as usize];
        if next != 0 {
            self.blocks[next as usize - 1].previous = previous;
        }
        if previous != 0 {
            self.blocks[previous as usize - 1].next = next;
        } else if let Some(head) = self.head(state, block) {
            *head = next;
        }
        self.dirty_count -= u64::from(state == State::Dirty);
    }

    /// Makes the frames of `block` that lie in `frames` free and clean ones of `group`.
    fn open(&mut self, block: u64, frames: core::ops::Range<u64>, group: Group) {
        let start = block * BLOCK;
        let entry = &mut self.blocks[block as usize];
        let first = frames.start.clamp(start, start + BLOCK) - start;
        let end = frames.end.clamp(start + first, start + BLOCK) - start;
        for (word, at) in (0..BLOCK).step_by(64).enumerate() {
            // The bits from `first` on that are not from `end` on.
            let from = |bit: u64| u64::MAX.checked_shl(bit.saturating_sub(at) as u32).unwrap_or(0);
            entry.free[word] = from(first) & !from(end);
        }
        (entry.clean, entry.free_count, entry.dirty_count) = (entry.free, (end - first) as u16, 0);
        entry.group = group as u8;
        if entry.free_count > 0 {
            self.enlist(block, State::Partial);
        } else {
            entry.state = State::Partial;
        }
    }

    /// The next untouched block, of small pages if there is one and `is_bulk` does not forbid it.
    fn take_untouched(&mut self, is_bulk: bool) -> Option<u64> {
        if !is_bulk && self.small < BULK && self.small * BLOCK < self.end {
            self.small += 1;
            return Some(self.small - 1);
        }
        if self.gap.contains(&(self.bulk * BLOCK)) {
            self.bulk = self.gap.end / BLOCK;
        }
        if self.bulk * BLOCK >= self.end {
            return None;
        }
        self.bulk += 1;
        Some(self.bulk - 1)
    }

    fn pop(&mut self, state: State, list: u32) -> Option<u64> {
        let block = u64::from(list.checked_sub(1)?);
        debug_assert_eq!(self.blocks[block as usize].state, state);
        self.unlist(block);
        Some(block)
    }

    /// Gives `group` another block.
    fn refill(&mut self, group: Group, want_zero: bool) -> Option<u64> {
        let enough_dirty = self.dirty_count > 0 && (!want_zero || self.dirty_count > KEEP);
        let clean = if self.clean[0] != 0 { self.clean[0] } else { self.clean[1] };
        let used = if enough_dirty { self.pop(State::Dirty, self.dirty) } else { None };
        let block = match used.or_else(|| self.pop(State::Clean, clean)) {
            Some(block) => block,
            None => match self.take_untouched(false) {
                Some(block) => {
                    self.open(block, 0..self.end, group);
                    return Some(block);
                }
                None => self.pop(State::Dirty, self.dirty)?,
            },
        };
        self.blocks[block as usize].group = group as u8;
        self.enlist(block, State::Partial);
        Some(block)
    }

    /// Whether a block of small pages has given what it is for, and has nothing that was used before.
    fn is_enough_for_small_programs(&self, block: u64) -> bool {
        let Block { free_count, dirty_count, .. } = self.blocks[block as usize];
        block < BULK && dirty_count == 0 && BLOCK as u16 - free_count >= SMALL_FOR_PROGRAMS
    }

    /// A block of which `group` may take frames.
    fn source(&mut self, group: Group, want_zero: bool) -> Option<u64> {
        let own = self.partial[group as usize].checked_sub(1).map(u64::from);
        if group == Group::Program
            && own.is_some_and(|block| self.is_enough_for_small_programs(block))
            && let Some(block) = self.take_untouched(true)
        {
            self.open(block, 0..self.end, group);
            return Some(block);
        }
        if own.is_some() {
            return own;
        }
        if let Some(block) = self.refill(group, want_zero) {
            return Some(block);
        }
        let others = GROUPS.iter().map(|&other| self.partial[other as usize]);
        others.filter(|&list| list != 0).map(|list| u64::from(list - 1)).next()
    }

    /// Tells how much is in use, after that has changed.
    fn tell(&mut self) {
        self.peak = self.peak.max(self.used());
        report::frames_used(self.used(), self.peak);
    }

    fn note_taken(&mut self, block: u64, count: u64) {
        self.free -= count;
        self.tell();
        if self.blocks[block as usize].free_count == 0 {
            self.unlist(block);
        }
    }

    /// Up to `most` neighbouring frames, leaving `reserve` free.
    pub fn take_run(&mut self, group: Group, want_zero: bool, most: u64, reserve: u64) -> Option<Run> {
        let most = most.min(self.free.saturating_sub(reserve));
        if most == 0 {
            return None;
        }
        let block = self.source(group, want_zero)?;
        let entry = &mut self.blocks[block as usize];
        let (word, bits) = entry.some_free(want_zero)?;
        let start = u64::from(bits.trailing_zeros());
        let len = u64::from((!(bits >> start)).trailing_zeros()).min(most);
        let mask = if len == 64 { u64::MAX } else { ((1 << len) - 1) << start };
        // All of `bits` are alike, but for those of a block that has no zeros of the wanted kind at all.
        let dirty = mask & !entry.clean[word];
        let is_zero = dirty == 0;
        if !is_zero {
            entry.dirty_count -= dirty.count_ones() as u16;
        }
        entry.free[word] &= !mask;
        entry.clean[word] &= !mask;
        entry.free_count -= len as u16;
        self.note_taken(block, len);
        Some(Run { first: block * BLOCK + word as u64 * 64 + start, len, is_zero })
    }

    /// `count` neighbouring frames for the kernel, aligned to `align` frames (at most a block). Says of each whether it is zero.
    pub fn take_contiguous(
        &mut self,
        count: u64,
        align: u64,
        mut taken: impl FnMut(u64, bool),
    ) -> Option<u64> {
        if count > self.free || align > BLOCK {
            return None;
        }
        if count > BLOCK {
            return self.take_blocks(count, taken);
        }
        let (block, start) = self.find_contiguous(count, align)?;
        for bit in start..start + count {
            let is_clean = self.blocks[block as usize].take(bit);
            taken(block * BLOCK + bit, is_clean);
        }
        self.note_taken(block, count);
        Some(block * BLOCK + start)
    }

    fn find_contiguous(&mut self, count: u64, align: u64) -> Option<(u64, u64)> {
        /// Blocks of a list that are looked at.
        const LOOKS: usize = 64;
        let search = |pool: &Self, group: Group| {
            let mut list = pool.partial[group as usize];
            for _ in 0..LOOKS {
                let block = list.checked_sub(1)?;
                let entry = &pool.blocks[block as usize];
                if u64::from(entry.free_count) >= count
                    && let Some(start) = entry.find_run(count, align)
                {
                    return Some((u64::from(block), start));
                }
                list = entry.next;
            }
            None
        };
        if let Some(found) = search(self, Group::Kernel) {
            return Some(found);
        }
        if let Some(block) = self.refill(Group::Kernel, true)
            && let Some(start) = self.blocks[block as usize].find_run(count, align)
        {
            return Some((block, start));
        }
        search(self, Group::Program).or_else(|| search(self, Group::Cache))
    }

    /// More than a block: whole neighbouring blocks, of which the rest is given back.
    fn take_blocks(&mut self, count: u64, mut taken: impl FnMut(u64, bool)) -> Option<u64> {
        let need = count.div_ceil(BLOCK);
        let is_whole = |pool: &Self, block: u64| {
            let is_free = match pool.blocks[block as usize].state {
                State::Dirty | State::Clean => true,
                State::Untouched => block >= pool.small && !(BULK..pool.bulk).contains(&block),
                State::Partial | State::Taken => false,
            };
            is_free && (block + 1) * BLOCK <= pool.end && !pool.gap.contains(&(block * BLOCK))
        };
        let (mut first, last) = (0, self.end / BLOCK);
        while first + need <= last {
            match (first..first + need).rev().find(|&block| !is_whole(self, block)) {
                None => break,
                Some(taken) => first = taken + 1,
            }
        }
        if first + need > last {
            return None;
        }
        for block in first..first + need {
            if self.blocks[block as usize].state == State::Untouched {
                self.touch_up_to(block);
            } else {
                self.unlist(block);
            }
            let used = count - (block - first) * BLOCK;
            let entry = &mut self.blocks[block as usize];
            entry.group = Group::Kernel as u8;
            for bit in 0..used.min(BLOCK) {
                let is_clean = entry.take(bit);
                taken(block * BLOCK + bit, is_clean);
            }
            entry.state = State::Partial;
            if entry.free_count > 0 {
                self.enlist(block, State::Partial);
            }
        }
        self.free -= count;
        self.tell();
        Some(first * BLOCK)
    }

    /// Makes untouched blocks up to `block` clean ones, and `block` itself one that is in no list.
    fn touch_up_to(&mut self, block: u64) {
        let is_bulk = block >= BULK;
        while let Some(next) = self.take_untouched(is_bulk) {
            self.open(next, 0..self.end, Group::Kernel);
            self.unlist(next);
            if next == block {
                return;
            }
            self.enlist(next, State::Clean);
        }
    }

    /// A clean block of the bulk, as one piece, if `reserve` frames are left then.
    pub fn take_block(&mut self, reserve: u64) -> Option<u64> {
        if self.free < reserve + BLOCK {
            return None;
        }
        let block = match self.pop(State::Clean, self.clean[1]) {
            Some(block) => block,
            None if (self.bulk + 1) * BLOCK > self.end => return None,
            None => self.take_untouched(true).filter(|block| (block + 1) * BLOCK <= self.end)?,
        };
        let entry = &mut self.blocks[block as usize];
        *entry = Block { state: State::Partial, group: Group::Program as u8, ..Block::default() };
        self.free -= BLOCK;
        self.tell();
        Some(block * BLOCK)
    }

    /// Takes back all frames of the block that starts at `first`.
    pub fn give_block(&mut self, first: u64) {
        let block = first / BLOCK;
        self.free += BLOCK;
        self.tell();
        let entry = &mut self.blocks[block as usize];
        (entry.free, entry.clean) = ([u64::MAX; 8], [0; 8]);
        (entry.free_count, entry.dirty_count) = (512, 512);
        self.enlist(block, State::Dirty);
    }

    /// Takes a frame back.
    pub fn give(&mut self, number: u64, is_clean: bool) {
        let block = number / BLOCK;
        self.free += 1;
        self.tell();
        let entry = &mut self.blocks[block as usize];
        entry.set(number % BLOCK, is_clean);
        match entry.free_count {
            1 => self.enlist(block, State::Partial),
            512 => {
                self.unlist(block);
                self.enlist(block, State::Dirty);
            }
            _ => {}
        }
    }

    /// Takes a dirty block for the host to take back, as long as more than `keep` are there. Tells its first frame.
    pub fn begin_report(&mut self, keep: u64) -> Option<u64> {
        if self.dirty_count <= keep {
            return None;
        }
        let block = self.pop(State::Dirty, self.dirty)?;
        self.blocks[block as usize].state = State::Taken;
        self.free -= BLOCK;
        Some(block * BLOCK)
    }

    /// Takes back a block that [`begin_report`](Self::begin_report) gave: clean, if the host took its memory.
    pub fn end_report(&mut self, first: u64, is_clean: bool) {
        let block = first / BLOCK;
        self.free += BLOCK;
        self.tell();
        let entry = &mut self.blocks[block as usize];
        (entry.clean, entry.dirty_count) = if is_clean { (entry.free, 0) } else { ([0; 8], 512) };
        self.enlist(block, if is_clean { State::Clean } else { State::Dirty });
    }
}

#[cfg(test)]
mod tests;
