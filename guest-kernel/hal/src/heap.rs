//! The kernel's heap: free lists of power-of-two sizes, carved from frames.
//!
//! Up to half a page, a size class has a list of free blocks; while that is empty, blocks are cut from the class's own page, one
//! after the other, and from a new frame when it is used up; the first page of each class is a part of the kernel's image. Larger
//! blocks are neighbouring frames; freed, they go back to the pool one by one. Few instructions a call matter more here than
//! a few per cent of memory: ring 0 may be emulated.

use crate::address::PhysAddr;
use crate::frame::{self, Frame};
use crate::sync::Mutex;
use core::alloc::{GlobalAlloc, Layout};
use core::cell::UnsafeCell;
use core::ptr::{self, NonNull};
use septum_abi::layout::{DIRECT_MAP, PAGE_SIZE};

/// 16, 32 … 2048 bytes.
const CLASSES: usize = 8;
const SMALLEST_SHIFT: u32 = 4;

#[derive(Clone, Copy)]
struct Class {
    free: Option<NonNull<Block>>,
    /// What was not cut yet of the class's frame: from here on, so many bytes.
    fresh: *mut u8,
    left: usize,
}

struct Lists([Class; CLASSES]);

struct Block {
    next: Option<NonNull<Block>>,
}

// SAFETY: the blocks are owned by the lists, whichever CPU holds the lock.
unsafe impl Send for Lists {}

struct Heap(Mutex<Lists>);

/// The page that each class begins with.
#[repr(C, align(4096))]
struct FirstPages(UnsafeCell<[[u8; PAGE_SIZE]; CLASSES]>);

// SAFETY: only the lists use it, whichever CPU holds their lock, and who got a block from them.
unsafe impl Sync for FirstPages {}

static FIRST_PAGES: FirstPages = FirstPages(UnsafeCell::new([[0; PAGE_SIZE]; CLASSES]));

#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(Lists({
    let mut classes = [Class { free: None, fresh: ptr::null_mut(), left: PAGE_SIZE }; CLASSES];
    let mut class = 0;
    while class < CLASSES {
        classes[class].fresh = FIRST_PAGES.0.get().cast::<u8>().wrapping_add(class * PAGE_SIZE);
        class += 1;
    }
    classes
})));

fn class_of(layout: &Layout) -> Option<usize> {
    // Of the largest offset in the smallest block: the position of its highest bit tells the class.
    let last = (layout.size().max(layout.align()).wrapping_sub(1)) | ((1 << SMALLEST_SHIFT) - 1);
    let class = (usize::BITS - SMALLEST_SHIFT - last.leading_zeros()) as usize;
    (class < CLASSES).then_some(class)
}

impl Class {
    /// A block of `size` bytes, the class's size; null if memory ran out.
    fn take(&mut self, size: usize) -> *mut u8 {
        if let Some(block) = self.free {
            // SAFETY: blocks in a list hold a valid `Block`.
            self.free = unsafe { block.as_ref() }.next;
            return block.as_ptr().cast();
        }
        if self.left == 0 && !self.renew() {
            return ptr::null_mut();
        }
        let block = self.fresh;
        self.fresh = block.wrapping_add(size);
        self.left -= size;
        block
    }

    /// Takes a new frame to cut from; false if memory ran out.
    #[cold]
    #[inline(never)]
    fn renew(&mut self) -> bool {
        let Some(frame) = Frame::for_kernel_uninit() else { return false };
        (self.fresh, self.left) = (frame::memory_at(frame.into_address(), 0), PAGE_SIZE);
        true
    }

    fn give_back(&mut self, block: *mut u8) {
        let block = block.cast::<Block>();
        // SAFETY: 1. the caller gives back a block of this class, which nothing uses any more; 2. blocks are aligned to their
        // size, at least 16.
        unsafe { block.write(Block { next: self.free }) };
        self.free = NonNull::new(block);
    }
}

/// Neighbouring frames; null if memory ran out.
#[cold]
#[inline(never)]
fn large(layout: &Layout) -> *mut u8 {
    let frames = layout.size().div_ceil(PAGE_SIZE) as u64;
    match Frame::contiguous_uninit(frames) {
        Some(address) if layout.align() <= PAGE_SIZE => frame::memory_at(address, 0),
        _ => ptr::null_mut(),
    }
}

// SAFETY: 1. a block is in a list or handed out, never both; 2. sizes and alignments are rounded up to the class's;
// 3. nothing here unwinds.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(&layout) else {
            return large(&layout);
        };
        self.0.lock().0[class].take(1 << (class as u32 + SMALLEST_SHIFT))
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(class) = class_of(&layout) else {
            let first = PhysAddr(pointer as u64 - DIRECT_MAP);
            for step in 0..layout.size().div_ceil(PAGE_SIZE) as u64 {
                drop(Frame::from_address(PhysAddr(first.0 + step * PAGE_SIZE as u64)));
            }
            return;
        };
        self.0.lock().0[class].give_back(pointer);
    }
}
