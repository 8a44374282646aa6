//! Address spaces, with the host's simulated frames and page tables.

use super::area::{Backing, Label, Protection};
use super::fault::{Access, Fault, resolve};
use super::layout::{Layout, STACK_LIMIT};
use super::remap::Move;
use super::space::{AddressSpace, Place};
use super::{buffer, buffer::UserBuffer};
use crate::fs::inode::File;
use crate::io::{Destination, Source};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use septum_abi::linux::Errno;
use septum_guest_hal::frame::Frame;
use septum_guest_hal::sync::Mutex;
use std::sync::mpsc;
use std::time::Duration;

const PAGE: u64 = 4096;
const READ_WRITE: Protection = Protection::READ.union(Protection::WRITE);

fn space() -> Mutex<AddressSpace> {
    let space = AddressSpace::new(Layout::random([7, 9], STACK_LIMIT), STACK_LIMIT).unwrap();
    space.activate();
    Mutex::new(space)
}

fn map(space: &Mutex<AddressSpace>, place: Place, pages: u64) -> Result<u64, Errno> {
    space.lock().map(place, pages * PAGE, READ_WRITE, Backing::Anonymous, Label::None)
}

#[test]
fn what_is_written_is_read_and_untouched_memory_is_zero() {
    let space = space();
    let at = map(&space, Place::Hint(0), 20).unwrap();
    buffer::write(&space, at + 3 * PAGE - 2, b"across").unwrap();
    let mut bytes = [1; 10];
    buffer::read(&space, at + 3 * PAGE - 4, &mut bytes).unwrap();
    assert_eq!(&bytes, b"\0\0across\0\0");
    assert_eq!(buffer::write(&space, at + 20 * PAGE - 1, b"xy"), Err(Errno::EFAULT));
}

#[test]
fn new_mappings_go_below_and_freed_room_is_used_again() {
    let space = space();
    let first = map(&space, Place::Hint(0), 4).unwrap();
    let second = map(&space, Place::Hint(0), 2).unwrap();
    assert_eq!(second, first - 2 * PAGE);
    space.lock().unmap(second, 2 * PAGE).unwrap();
    assert_eq!(map(&space, Place::Hint(0), 1).unwrap(), first - PAGE);
    // Joined with its neighbour: one area.
    assert_eq!(space.lock().areas().count(), 1);
}

#[test]
fn a_hole_in_the_middle_splits_and_loses_its_contents() {
    let space = space();
    let at = map(&space, Place::Hint(0), 5).unwrap();
    for page in 0..5 {
        buffer::write(&space, at + page * PAGE, &[7]).unwrap();
    }
    space.lock().unmap(at + 2 * PAGE, PAGE).unwrap();
    assert_eq!(space.lock().areas().count(), 2);
    assert_eq!(buffer::read(&space, at + 2 * PAGE, &mut [0]), Err(Errno::EFAULT));
    assert_eq!(map(&space, Place::FixedFree(at + 2 * PAGE), 1), Ok(at + 2 * PAGE));
    assert_eq!(map(&space, Place::FixedFree(at + PAGE), 1), Err(Errno::EEXIST));
    let mut byte = [1];
    buffer::read(&space, at + 2 * PAGE, &mut byte).unwrap();
    assert_eq!(byte, [0]);
    buffer::read(&space, at + 3 * PAGE, &mut byte).unwrap();
    assert_eq!(byte, [7]);
}

#[test]
fn rights_are_kept_and_contents_survive_having_none() {
    let space = space();
    let at = map(&space, Place::Hint(0), 2).unwrap();
    buffer::write(&space, at, b"kept").unwrap();
    space.lock().protect(at, PAGE, Protection::empty()).unwrap();
    assert_eq!(buffer::read(&space, at, &mut [0]), Err(Errno::EFAULT));
    assert_eq!(resolve(&space, at, Access::Read), Err(Fault::NotAllowed));
    space.lock().protect(at, PAGE, Protection::READ).unwrap();
    let mut bytes = [0; 4];
    buffer::read(&space, at, &mut bytes).unwrap();
    assert_eq!(&bytes, b"kept");
    assert_eq!(buffer::write(&space, at, b"x"), Err(Errno::EFAULT));
    assert_eq!(space.lock().protect(at, 9 * PAGE, READ_WRITE), Err(Errno::ENOMEM));
}

#[test]
fn moving_takes_the_contents_along() {
    let space = space();
    let at = map(&space, Place::Hint(0), 2).unwrap();
    map(&space, Place::FixedFree(at + 2 * PAGE), 1).unwrap();
    buffer::write(&space, at + PAGE, b"moved").unwrap();
    assert_eq!(space.lock().remap(at, 2 * PAGE, 9 * PAGE, Move::Never, false), Err(Errno::ENOMEM));
    let new = space.lock().remap(at, 2 * PAGE, 9 * PAGE, Move::IfNeeded, false).unwrap();
    let mut bytes = [0; 5];
    buffer::read(&space, new + PAGE, &mut bytes).unwrap();
    assert_eq!((&bytes, buffer::read(&space, at, &mut [0])), (b"moved", Err(Errno::EFAULT)));
    assert_eq!(space.lock().remap(new, 9 * PAGE, PAGE, Move::Never, false), Ok(new));
    assert_eq!(buffer::read(&space, new + PAGE, &mut [0]), Err(Errno::EFAULT));
}

#[test]
fn the_break_grows_and_shrinks_and_refuses_the_impossible() {
    let space = space();
    space.lock().set_break(0x40_0000);
    assert_eq!(space.lock().move_break(0x40_1234), 0x40_1234);
    buffer::write(&space, 0x40_1230, b"end").unwrap();
    assert_eq!(space.lock().move_break(1 << 40), 0x40_1234);
    assert_eq!(space.lock().move_break(0x40_0000), 0x40_0000);
    assert_eq!(buffer::read(&space, 0x40_1000, &mut [0]), Err(Errno::EFAULT));
}

#[test]
fn a_stack_grows_down_to_its_limit() {
    let space = space();
    let top = space.lock().layout().stack_top;
    map(&space, Place::FixedFree(top - 4 * PAGE), 4).unwrap();
    space.lock().let_grow(top - 4 * PAGE, top - 64 * PAGE);
    assert_eq!(resolve(&space, top - 60 * PAGE, Access::Write), Ok(()));
    assert_eq!(resolve(&space, top - 70 * PAGE, Access::Write), Err(Fault::NotMapped));
    space.lock().set_stack_limit(62 * PAGE);
    assert_eq!(resolve(&space, top - 62 * PAGE, Access::Write), Ok(()));
    assert_eq!(resolve(&space, top - 63 * PAGE, Access::Write), Err(Fault::NotMapped));
    space.lock().set_stack_limit(u64::MAX);
    assert_eq!(resolve(&space, top - 63 * PAGE, Access::Write), Ok(()));
}

#[test]
fn buffers_stop_where_memory_ends() {
    let space = space();
    let at = map(&space, Place::Hint(0), 2).unwrap();
    let mut to = UserBuffer::new(&space, at + 2 * PAGE - 3, 10);
    assert_eq!(to.put(b"abcdef"), Ok(3));
    assert_eq!(to.put(b"def"), Err(Errno::EFAULT));
    let mut from = UserBuffer::new(&space, at + 2 * PAGE - 3, 3);
    let mut bytes = [0; 8];
    assert_eq!(from.take(&mut bytes), Ok(3));
    assert_eq!(&bytes[..3], b"abc");
    let mut pieces = Vec::new();
    let mut to = UserBuffer::new(&space, at + 100, 2 * 4096);
    let pinned = Destination::pin(&mut to, usize::MAX, &mut pieces).unwrap();
    assert_eq!((pinned, pieces.len()), (Ok(2 * 4096 - 100), 2));
}

#[test]
fn discarded_pages_read_as_zero_again() {
    let space = space();
    let at = map(&space, Place::Hint(0), 1).unwrap();
    buffer::write(&space, at, b"gone").unwrap();
    space.lock().discard(at, PAGE, super::discard::DONTNEED).unwrap();
    let mut bytes = [1; 4];
    buffer::read(&space, at, &mut bytes).unwrap();
    assert_eq!(bytes, [0; 4]);
}

#[test]
fn strings_end_at_their_nul_even_at_the_end_of_memory() {
    let space = space();
    let at = map(&space, Place::Hint(0), 1).unwrap();
    buffer::write(&space, at + PAGE - 6, b"hello\0").unwrap();
    assert_eq!(buffer::read_string(&space, at + PAGE - 6, 100), Ok(Some(b"hello".to_vec())));
    assert_eq!(buffer::read_string(&space, at + PAGE - 6, 4), Ok(None));
    buffer::write(&space, at + PAGE - 1, b"x").unwrap();
    assert_eq!(buffer::read_string(&space, at + PAGE - 6, 100), Err(Errno::EFAULT));
}

/// A file whose page comes when the test says so.
struct SlowFile {
    asked: Mutex<Option<mpsc::Sender<()>>>,
    come: Mutex<Option<mpsc::Receiver<Frame>>>,
}

impl File for SlowFile {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn page(&self, _index: u64) -> Result<Option<Frame>, Errno> {
        let (asked, come) = (self.asked.lock().take(), self.come.lock().take());
        let (Some(asked), Some(come)) = (asked, come) else { return Err(Errno::EIO) };
        asked.send(()).map_err(|_| Errno::EIO)?;
        // What must not wait for this page has long been done by then.
        come.recv_timeout(Duration::from_secs(20)).map(Some).map_err(|_| Errno::EIO)
    }
}

/// Maps a slow file; returns its address, and what tells that it was asked and gives the page.
fn map_slow(space: &Mutex<AddressSpace>) -> (u64, mpsc::Receiver<()>, mpsc::Sender<Frame>) {
    let (asked, is_asked) = mpsc::channel();
    let (give, come) = mpsc::channel();
    let file = Arc::new(SlowFile { asked: Mutex::new(Some(asked)), come: Mutex::new(Some(come)) });
    let backing = Backing::File {
        file,
        dentry: None,
        offset: 0,
        is_shared: false,
        may_write: true,
        may_execute: true,
        writer: None,
    };
    let at = space.lock().map(Place::Hint(0), PAGE, Protection::READ, backing, Label::None).unwrap();
    (at, is_asked, give)
}

fn page_of(byte: u8) -> Frame {
    let frame = Frame::zeroed().unwrap();
    frame.write(0, &[byte]);
    frame
}

#[test]
fn a_file_that_is_slow_to_read_keeps_nobody_else_waiting() {
    let space = space();
    let (slow, is_asked, give) = map_slow(&space);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| resolve(&space, slow, Access::Read));
        is_asked.recv().unwrap();
        let other = map(&space, Place::Hint(0), 1).unwrap();
        assert_eq!(resolve(&space, other, Access::Write), Ok(()));
        give.send(page_of(7)).unwrap();
        assert_eq!(reader.join().unwrap(), Ok(()));
    });
    let mut byte = [0];
    buffer::read(&space, slow, &mut byte).unwrap();
    assert_eq!(byte, [7]);
}

#[test]
fn what_replaced_the_file_meanwhile_is_what_is_mapped() {
    let space = space();
    let (slow, is_asked, give) = map_slow(&space);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| resolve(&space, slow, Access::Read));
        is_asked.recv().unwrap();
        map(&space, Place::Fixed(slow), 1).unwrap();
        give.send(page_of(7)).unwrap();
        assert_eq!(reader.join().unwrap(), Ok(()));
    });
    let mut byte = [1];
    buffer::read(&space, slow, &mut byte).unwrap();
    assert_eq!(byte, [0]);
}
