use super::*;

/// For tests that count frames.
static ALONE: crate::sync::Mutex<()> = crate::sync::Mutex::new(());
const WRITE: Rights = Rights { read: true, write: true, execute: false };
const READ: Rights = Rights { read: true, write: false, execute: false };

fn at(address: u64) -> UserAddr {
    UserAddr::new(address).unwrap()
}

#[test]
fn mapping_unmapping_and_freeing_balance() {
    let _alone = ALONE.lock();
    let before = frame::usage().used;
    {
        let mut table = PageTable::new().unwrap();
        let mut flush = Flush::new();
        let rights = Rights { read: true, write: true, execute: false };
        for page in 0..600u64 {
            let frame = Frame::zeroed().unwrap();
            frame.write(0, &page.to_le_bytes());
            table.map(at(0x4000_0000 + page * PAGE), frame, rights, &mut flush).unwrap();
        }
        let (frame, got) = table.query(at(0x4000_0000 + 599 * PAGE + 123)).unwrap();
        let mut bytes = [0; 8];
        frame.read(0, &mut bytes);
        assert_eq!((u64::from_le_bytes(bytes), got), (599, rights));
        drop(frame);
        table.unmap(0x4000_0000, 0x4000_0000 + 300 * PAGE, &mut flush);
        assert!(table.query(at(0x4000_0000)).is_none());
        assert!(table.query(at(0x4000_0000 + 300 * PAGE)).is_some());
        flush.now();
    }
    assert_eq!(frame::usage().used, before);
}

#[test]
fn taking_rights_away_is_flushed_and_giving_is_not() {
    let mut table = PageTable::new().unwrap();
    let mut flush = Flush::new();
    let write = Rights { read: true, write: true, execute: false };
    let read = Rights { read: true, write: false, execute: false };
    table.map(at(0x1000), Frame::zeroed().unwrap(), read, &mut flush).unwrap();
    table.protect(0x1000, 0x2000, &mut flush, |_| write);
    assert_eq!(flush.count, 0);
    table.protect(0x1000, 0x2000, &mut flush, |_| read);
    assert_eq!(flush.count, 1);
    assert_eq!(table.query(at(0x1000)).unwrap().1, read);
    flush.now();
}

fn large_page(table: &mut PageTable, address: u64) {
    assert!(table.has_room_for_large(address));
    table.map_large(at(address), LargeFrame::zeroed().unwrap(), WRITE).unwrap();
    assert!(!table.has_room_for_large(address));
}

fn word(table: &PageTable, address: u64) -> u64 {
    let mut bytes = [0; 8];
    table.query(at(address)).unwrap().0.read(0, &mut bytes);
    u64::from_le_bytes(bytes)
}

fn mark(table: &PageTable, address: u64, value: u64) {
    table.query(at(address)).unwrap().0.write(0, &value.to_le_bytes());
}

#[test]
fn a_large_page_is_512_frames_and_goes_as_a_whole() {
    let _alone = ALONE.lock();
    let before = frame::usage().used;
    {
        let mut table = PageTable::new().unwrap();
        let empty = frame::usage().used;
        let start = 0x4000_0000;
        large_page(&mut table, start);
        assert_eq!(frame::usage().used - empty, 512 + 2, "two tables on the way");
        for page in 0..512 {
            mark(&table, start + page * PAGE, page);
        }
        assert_eq!(word(&table, start + 511 * PAGE), 511);
        assert_eq!(table.query(at(start + 5)).unwrap().1, WRITE);
        assert!(table.is_mapped(at(start + LARGE_PAGE - 1)) && !table.is_mapped(at(start + LARGE_PAGE)));
        let mut flush = Flush::new();
        table.unmap(start, start + LARGE_PAGE, &mut flush);
        flush.now();
        assert!(table.query(at(start)).is_none() && table.has_room_for_large(start));
        assert_eq!(frame::usage().used - empty, 2);
    }
    assert_eq!(frame::usage().used, before);
}

#[test]
fn what_concerns_a_part_splits_it() {
    let _alone = ALONE.lock();
    let before = frame::usage().used;
    {
        let mut table = PageTable::new().unwrap();
        let mut flush = Flush::new();
        let start = 0x4000_0000;
        large_page(&mut table, start);
        let held = table.query(at(start + 9 * PAGE)).unwrap().0;
        mark(&table, start + 9 * PAGE, 99);
        let (from, to) = (start + 8 * PAGE, start + 10 * PAGE);
        table.split_edges(from, to, &mut flush).unwrap();
        assert!(flush.count > 0);
        table.protect(from, to, &mut flush, |_| READ);
        assert_eq!(table.query(at(from)).unwrap().1, READ);
        assert_eq!(table.query(at(to)).unwrap().1, WRITE);
        table.unmap(from, to, &mut flush);
        flush.now();
        assert!(table.query(at(from)).is_none() && table.query(at(to)).is_some());
        // Who held a frame keeps it.
        let mut bytes = [0; 8];
        held.read(0, &mut bytes);
        assert_eq!(u64::from_le_bytes(bytes), 99);
    }
    assert_eq!(frame::usage().used, before);
}

#[test]
fn protecting_a_whole_large_page_leaves_it_whole() {
    let _alone = ALONE.lock();
    let mut table = PageTable::new().unwrap();
    let mut flush = Flush::new();
    large_page(&mut table, 0x4000_0000);
    let used = frame::usage().used;
    table.protect(0x4000_0000, 0x4020_0000, &mut flush, |_| READ);
    assert_eq!((flush.count, frame::usage().used), (1, used));
    assert_eq!(table.query(at(0x4000_3000)).unwrap().1, READ);
    let none = Rights { read: false, write: false, execute: false };
    table.protect(0x4000_0000, 0x4020_0000, &mut flush, |_| none);
    assert!(table.is_mapped(at(0x4000_0000)) && !table.query(at(0x4000_0000)).unwrap().1.read);
    flush.now();
}

#[test]
fn moving_keeps_large_pages_where_the_target_is_aligned() {
    let _alone = ALONE.lock();
    let mut table = PageTable::new().unwrap();
    let mut flush = Flush::new();
    let (from, to, odd) = (0x4000_0000, 0x8000_0000, 0x9000_1000);
    large_page(&mut table, from);
    mark(&table, from + 7 * PAGE, 77);
    table.relocate(from, to, LARGE_PAGE, &mut flush).unwrap();
    assert!(table.has_room_for_large(from));
    assert_eq!(word(&table, to + 7 * PAGE), 77);
    table.relocate(to, odd, LARGE_PAGE, &mut flush).unwrap();
    assert!(!table.is_mapped(at(to)) && table.is_mapped(at(odd + LARGE_PAGE - PAGE)));
    assert_eq!(word(&table, odd + 7 * PAGE), 77);
    flush.now();
}

#[test]
fn what_is_shared_is_copied_by_nobody_until_one_writes() {
    let _alone = ALONE.lock();
    let before = frame::usage().used;
    {
        let (mut first, mut second) = (PageTable::new().unwrap(), PageTable::new().unwrap());
        let mut flush = Flush::new();
        let (small, large) = (0x4000_0000, 0x4020_0000);
        first.map(at(small), Frame::zeroed().unwrap(), WRITE, &mut flush).unwrap();
        first.map(at(small + PAGE), Frame::zeroed().unwrap(), WRITE, &mut flush).unwrap();
        large_page(&mut first, large);
        mark(&first, small, 5);
        mark(&first, large + 9 * PAGE, 6);
        let pinned = first.query(at(small + PAGE)).unwrap().0.pin();
        let used = frame::usage().used;
        second.share(&mut first, small, large + LARGE_PAGE, true, &mut flush).unwrap();
        assert_eq!(frame::usage().used - used, 4, "three tables, and the frame that is pinned");
        assert!(flush.count > 0);
        flush.now();
        for table in [&first, &second] {
            assert_eq!((word(table, small), word(table, large + 9 * PAGE)), (5, 6));
            assert_eq!((table.query(at(small)).unwrap().1, table.query(at(large)).unwrap().1), (READ, READ));
            assert_eq!(table.query(at(small + PAGE)).unwrap().1, WRITE);
            assert_eq!(table.resident(), 514);
        }
        let mut third = PageTable::new().unwrap();
        assert_eq!(first.count_writable(small, small + 2 * PAGE, 9), 1);
        third.copy(&mut first, small, small + 2 * PAGE).unwrap();
        assert_eq!(third.query(at(small)).unwrap().0, first.query(at(small)).unwrap().0);
        assert_ne!(third.query(at(small + PAGE)).unwrap().0, first.query(at(small + PAGE)).unwrap().0);
        drop(third);
        drop(pinned);
        assert!(!first.own_large(at(large)));
        first.own(at(small), small + PAGE, WRITE);
        assert_eq!(first.query(at(small)).unwrap().1, READ);
        drop(second);
        assert!(first.own_large(at(large)));
        first.own(at(small), small + PAGE, WRITE);
        assert_eq!((first.query(at(small)).unwrap().1, first.query(at(large)).unwrap().1), (WRITE, WRITE));
    }
    assert_eq!(frame::usage().used, before);
}

#[test]
fn memory_of_a_device_has_no_frames_and_stays_uncached() {
    use crate::device_memory::DeviceMemory;
    use septum_abi::layout::PCI_WINDOW;
    let bar = DeviceMemory::new(PhysAddr(PCI_WINDOW.start), 4 << 20).unwrap();
    let bits = |table: &PageTable, address: u64| match table.find(address) {
        Leaf::Small(entry) | Leaf::Large(entry) => entry.load(Ordering::Relaxed),
        Leaf::Missing(_) => 0,
    };
    let is_right = |bits: u64, at: u64, write: bool| {
        let wanted = PRESENT | USER | UNCACHED | DEVICE | HELD | NO_EXECUTE;
        bits & wanted == wanted
            && bits & ADDRESS & !(LARGE_PAGE - 1) == (PCI_WINDOW.start + at) & !(LARGE_PAGE - 1)
            && (bits & WRITABLE != 0) == write
    };
    let (mut table, mut child) = (PageTable::new().unwrap(), PageTable::new().unwrap());
    let mut flush = Flush::new();
    let all = Rights { read: true, write: true, execute: true };
    table.map_device(at(0x4000_0000), bar.part(0, 512).unwrap(), all).unwrap();
    table.map_device(at(0x4020_1000), bar.part(512, 512).unwrap(), READ).unwrap();
    assert!(bits(&table, 0x4000_0000) & LARGE != 0 && is_right(bits(&table, 0x4000_0000), 0, true));
    // Not aligned as the memory is: pages, up to the end of the table.
    assert!(is_right(bits(&table, 0x4020_1000), 2 << 20, false) && bits(&table, 0x4020_1000) & LARGE == 0);
    assert!(table.is_mapped(at(0x403f_f000)) && !table.is_mapped(at(0x4040_0000)));
    assert!(table.query(at(0x4000_0000)).is_none() && table.query(at(0x4020_1000)).is_none());
    // A part loses its rights and gets them back.
    let (from, to) = (0x4000_1000, 0x4000_2000);
    table.split_edges(from, to, &mut flush).unwrap();
    let given = |rights| {
        move |frame: Option<&Frame>| {
            assert!(frame.is_none());
            rights
        }
    };
    table.protect(from, to, &mut flush, given(READ));
    assert!(is_right(bits(&table, from), 0x1000, false) && is_right(bits(&table, to), 0x2000, true));
    table.protect(from, to, &mut flush, given(all));
    assert_eq!(bits(&table, from) & ADDRESS, PCI_WINDOW.start + 0x1000);
    assert!(is_right(bits(&table, from), 0x1000, true));
    // A child has the same; nobody has frames of it.
    child.share(&mut table, 0x4000_0000, 0x4040_0000, false, &mut flush).unwrap();
    assert_eq!(bits(&child, from), bits(&table, from));
    table.unmap(0x4000_0000, 0x4040_0000, &mut flush);
    flush.now();
    assert!(!table.is_mapped(at(0x4000_0000)) && child.is_mapped(at(0x4000_0000)));
    assert_eq!((table.resident(), child.resident()), (0, 0));
}
