//! Ranges of guest memory, as the host's kernel wants to have them.

use std::ffi::c_int;

use vm_memory::atomic::GuestMemoryLoadGuard;
use vm_memory::{GuestAddress, GuestMemory as _, GuestMemoryMmap};

/// What keeps guest memory mapped.
pub type Memory = GuestMemoryLoadGuard<GuestMemoryMmap<()>>;

/// The most pieces that a vectored system call takes (`UIO_MAXIOV`).
pub const MOST_PIECES: usize = 1024;

/// Ranges of guest memory, in the order in which bytes go there or come from.
#[derive(Debug)]
pub struct Buffers {
    pieces: Vec<libc::iovec>,
    /// Pieces in front that are used up.
    done: usize,
    len: usize,
    /// Keeps them mapped.
    memory: Memory,
}

// SAFETY: the addresses are those of memory that the guest changes at any time anyway; they are only given to the host's kernel, which may be asked from
// any thread.
unsafe impl Send for Buffers {}

// SAFETY: as for Send: nothing here goes through the addresses, and what is shared cannot change them.
unsafe impl Sync for Buffers {}

impl Buffers {
    /// These ranges, each a guest-physical address and bytes. `None` if one is not in guest memory, or they are more than
    /// [`MOST_PIECES`].
    #[must_use]
    pub fn new(memory: Memory, ranges: &[(GuestAddress, usize)]) -> Option<Self> {
        let mut pieces = Vec::with_capacity(ranges.len());
        let mut total = 0_usize;
        for &(start, len) in ranges {
            for slice in memory.get_slices(start, len) {
                let slice = slice.ok()?;
                total = total.checked_add(slice.len())?;
                let start = slice.ptr_guard_mut().as_ptr();
                pieces.push(libc::iovec { iov_base: start.cast(), iov_len: slice.len() });
            }
        }
        let fits = pieces.len() <= MOST_PIECES;
        fits.then_some(Self { pieces, done: 0, len: total, memory })
    }

    /// Bytes that are left.
    #[must_use]
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none are.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The first `count` bytes, or all, are done.
    pub fn advance(&mut self, count: usize) {
        let mut left = count.min(self.len);
        self.len -= left;
        while let Some(piece) = self.pieces.get_mut(self.done) {
            if left < piece.iov_len {
                piece.iov_base = piece.iov_base.wrapping_byte_add(left);
                piece.iov_len -= left;
                return;
            }
            left -= piece.iov_len;
            self.done += 1;
        }
    }

    /// `len` of the bytes that are left, from `start` on, or as many as there are: the same memory once more.
    #[must_use]
    pub fn part(&self, start: usize, len: usize) -> Self {
        let (mut skipped, mut wanted) = (start.min(self.len), len.min(self.len.saturating_sub(start)));
        let (mut pieces, len) = (Vec::new(), wanted);
        for piece in self.pieces.get(self.done..).unwrap_or_default() {
            if wanted == 0 {
                break;
            }
            let before = skipped.min(piece.iov_len);
            skipped -= before;
            let taken = wanted.min(piece.iov_len - before);
            wanted -= taken;
            if taken > 0 {
                let start = piece.iov_base.wrapping_byte_add(before);
                pieces.push(libc::iovec { iov_base: start, iov_len: taken });
            }
        }
        Self { pieces, done: 0, len, memory: self.memory.clone() }
    }

    /// What system calls take.
    pub(crate) fn pieces(&self) -> (*const libc::iovec, c_int) {
        let left = self.pieces.get(self.done..).unwrap_or_default();
        (left.as_ptr(), c_int::try_from(left.len()).unwrap_or(0))
    }
}
