//! The kernel's heap: free lists of power-of-two sizes, carved from frames.
//!
//! Up to half a page, a size class has a list of free blocks; an empty list is refilled with one frame. Larger
//! blocks are neighbouring frames; freed, they go back to the pool one by one. Few instructions a call matter more here than
//! a few per cent of memory: ring 0 may be emulated.

use crate::address::PhysAddr;
use crate::frame::{self, Frame};
use crate::sync::Mutex;
use core::alloc::{GlobalAlloc, Layout};
use core::ptr::{self, NonNull};
use septum_abi::layout::{DIRECT_MAP, PAGE_SIZE};

/// 16, 32 … 2048 bytes.
const CLASSES: usize = 8;
const SMALLEST_SHIFT: u32 = 4;

struct Lists([Option<NonNull<Block>>; CLASSES]);

struct Block {
    next: Option<NonNull<Block>>,
}

// SAFETY: the blocks are owned by the lists, whichever CPU holds the lock.
unsafe impl Send for Lists {}

struct Heap(Mutex<Lists>);

#[global_allocator]
static HEAP: Heap = Heap(Mutex::new(Lists([None; CLASSES])));

fn class_of(layout: &Layout) -> Option<usize> {
    let size = layout.size().max(layout.align()).max(1 << SMALLEST_SHIFT);
    let class = (size.next_power_of_two().trailing_zeros() - SMALLEST_SHIFT) as usize;
    (class < CLASSES).then_some(class)
}

impl Lists {
    fn refill(&mut self, class: usize) -> Option<()> {
        let address = Frame::for_kernel_uninit()?.into_address();
        let size = 1usize << (class as u32 + SMALLEST_SHIFT);
        let base = frame::memory_at(address, 0);
        for offset in (0..PAGE_SIZE).step_by(size).rev() {
            let block = base.wrapping_add(offset).cast::<Block>();
            // SAFETY: 1. the frame is ours alone; 2. blocks are aligned to their size, at least 16.
            unsafe { block.write(Block { next: self.0[class] }) };
            self.0[class] = NonNull::new(block);
        }
        Some(())
    }
}

// SAFETY: 1. a block is in a list or handed out, never both; 2. sizes and alignments are rounded up to the class's;
// 3. nothing here unwinds.
unsafe impl GlobalAlloc for Heap {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let Some(class) = class_of(&layout) else {
            let frames = layout.size().div_ceil(PAGE_SIZE) as u64;
            return match Frame::contiguous_uninit(frames) {
                Some(address) if layout.align() <= PAGE_SIZE => frame::memory_at(address, 0),
                _ => ptr::null_mut(),
            };
        };
        let mut lists = self.0.lock();
        if lists.0[class].is_none() && lists.refill(class).is_none() {
            return ptr::null_mut();
        }
        let Some(block) = lists.0[class] else { return ptr::null_mut() };
        // SAFETY: blocks in a list hold a valid `Block`.
        lists.0[class] = unsafe { block.as_ref() }.next;
        block.as_ptr().cast()
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        let Some(class) = class_of(&layout) else {
            let first = PhysAddr(pointer as u64 - DIRECT_MAP);
            for step in 0..layout.size().div_ceil(PAGE_SIZE) as u64 {
                drop(Frame::from_address(PhysAddr(first.0 + step * PAGE_SIZE as u64)));
            }
            return;
        };
        let mut lists = self.0.lock();
        let block = pointer.cast::<Block>();
        // SAFETY: the caller gives back a block of this class, which nothing uses any more.
        unsafe { block.write(Block { next: lists.0[class] }) };
        lists.0[class] = NonNull::new(block);
    }
}
