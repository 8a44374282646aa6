use std::io::Write as _;
use std::sync::Arc;

use vm_memory::{Bytes as _, GuestAddress, GuestAddressSpace as _, GuestMemoryAtomic, GuestMemoryMmap};

use super::*;

const SIZE: usize = 1 << 16;

fn memory() -> GuestMemoryAtomic<GuestMemoryMmap<()>> {
    GuestMemoryAtomic::new(GuestMemoryMmap::from_ranges(&[(GuestAddress(0), SIZE)]).unwrap())
}

fn file(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

#[test]
fn bytes_go_to_the_pieces_in_their_order_and_the_rest_follows() {
    let memory = memory();
    let file = file(b"0123456789");
    let ranges = [(GuestAddress(100), 3), (GuestAddress(0), 0), (GuestAddress(50), 4)];
    let mut buffers = Buffers::new(memory.memory(), &ranges).unwrap();
    assert_eq!(buffers.len(), 7);
    assert_eq!(read(&file, &buffers, 1).unwrap(), 7);
    buffers.advance(5);
    assert_eq!(buffers.len(), 2);
    assert_eq!(read_now(&file, &buffers, 0).unwrap().unwrap_or(2), 2);
    let mut got = [0; 7];
    memory.memory().read_slice(&mut got[..3], GuestAddress(100)).unwrap();
    memory.memory().read_slice(&mut got[3..], GuestAddress(50)).unwrap();
    assert_eq!(&got[..5], b"12345");
    assert!(&got[5..] == b"01" || &got[5..] == b"67", "{got:?}");
    buffers.advance(100);
    assert!(buffers.is_empty());
    assert_eq!(read(&file, &buffers, 0).unwrap(), 0);
}

#[test]
fn a_part_is_the_same_memory() {
    let memory = memory();
    let ranges = [(GuestAddress(100), 3), (GuestAddress(0), 2), (GuestAddress(50), 4)];
    let mut buffers = Buffers::new(memory.memory(), &ranges).unwrap();
    buffers.advance(1);
    let part = buffers.part(1, 4);
    assert_eq!((part.len(), read(&file(b"abcdefgh"), &part, 0).unwrap()), (4, 4));
    let mut got = [0; 4];
    memory.memory().read_slice(&mut got[..1], GuestAddress(102)).unwrap();
    memory.memory().read_slice(&mut got[1..3], GuestAddress(0)).unwrap();
    memory.memory().read_slice(&mut got[3..], GuestAddress(50)).unwrap();
    assert_eq!(&got, b"abcd");
    assert_eq!(
        (buffers.part(6, 9).len(), buffers.part(8, 1).len(), buffers.part(usize::MAX, usize::MAX).len()),
        (2, 0, 0)
    );
}

#[test]
fn what_is_not_guest_memory_is_refused() {
    let memory = memory();
    let whole = |start, len| Buffers::new(memory.memory(), &[(GuestAddress(start), len)]);
    assert!(whole(0, SIZE).is_some());
    assert!(whole(1, SIZE).is_none());
    assert!(whole(u64::MAX, 2).is_none());
    assert!(whole(SIZE as u64, 1).is_none());
    let many = vec![(GuestAddress(0), 1); MOST_PIECES + 1];
    assert!(Buffers::new(memory.memory(), &many).is_none());
    assert!(Buffers::new(memory.memory(), &many[1..]).is_some());
}

#[test]
fn many_operations_are_under_way_and_each_ends_once() {
    let Ok(mut batch) = Batch::new(8) else {
        eprintln!("skipped: the host has no io_uring");
        return;
    };
    let memory = memory();
    let bytes: Vec<u8> = (0..SIZE).map(|place| u8::try_from(place / 512).unwrap()).collect();
    let file = Arc::new(file(&bytes));
    let buffers = |number: u64| Buffers::new(memory.memory(), &[(GuestAddress(number * 512), 512)]).unwrap();
    for number in 0..7_u64 {
        batch.push(&file, Operation::Read(buffers(number), number * 512), number).unwrap();
    }
    batch.push(&file, Operation::Sync, 7).unwrap();
    let (_, refused) = batch.push(&file, Operation::Sync, 8).unwrap_err();
    assert_eq!((refused, batch.under_way()), (8, 8));
    let mut seen = Vec::new();
    while seen.len() < 8 {
        batch.submit().unwrap();
        while let Some(done) = batch.take() {
            assert_eq!(done.buffers.is_some(), done.tag < 7);
            assert_eq!(done.result.unwrap(), if done.tag < 7 { 512 } else { 0 });
            seen.push(done.tag);
        }
    }
    seen.sort_unstable();
    assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6, 7]);
    let mut got = vec![0; 7 * 512];
    memory.memory().read_slice(&mut got, GuestAddress(0)).unwrap();
    assert_eq!(got, bytes[..7 * 512]);
    // Whoever drops it waits.
    batch.push(&file, Operation::Read(buffers(9), 9 * 512), 9).unwrap();
    drop(batch);
    assert_eq!(memory.memory().read_obj::<u8>(GuestAddress(9 * 512)).unwrap(), 9);
}

#[test]
fn what_fails_says_so() {
    let Ok(mut batch) = Batch::new(2) else {
        eprintln!("skipped: the host has no io_uring");
        return;
    };
    let memory = memory();
    let folder = Arc::new(File::open("/").unwrap());
    let buffers = Buffers::new(memory.memory(), &[(GuestAddress(0), 512)]).unwrap();
    batch.push(&folder, Operation::Read(buffers, 0), ()).unwrap();
    let done = loop {
        batch.submit().unwrap();
        if let Some(done) = batch.take() {
            break done;
        }
    };
    assert_eq!(done.result.unwrap_err().raw_os_error(), Some(libc::EISDIR));
}
