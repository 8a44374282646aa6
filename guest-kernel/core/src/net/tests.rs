//! Stories of sockets, without system calls.

use super::passing::{Credentials, Passed};
use super::*;
use crate::fs::inode::poll;
use crate::io::{KernelDestination, KernelSource};

fn send(socket: &Socket, bytes: &[u8]) -> Result<usize, Errno> {
    socket.send(&mut KernelSource(bytes), &Target::Peer, &mut Extra::default())
}

fn receive(socket: &Socket, len: usize) -> Result<Vec<u8>, Errno> {
    let mut bytes = alloc::vec![0; len];
    let received = socket.receive(&mut KernelDestination(&mut bytes), How::default())?;
    bytes.truncate(received.len);
    Ok(bytes)
}

fn pass(socket: &Socket, files: Vec<Arc<OpenFile>>) -> Result<usize, Errno> {
    let mut extra = Extra { files: Some(Passed::new(files)?), ..Extra::default() };
    socket.send(&mut KernelSource(b"x"), &Target::Peer, &mut extra)
}

#[test]
fn a_pair_talks_until_one_end_is_closed() {
    let [one, other] = Socket::pair(Kind::Stream).unwrap();
    assert_eq!(receive(&other, 9), Err(Errno::EAGAIN));
    assert_eq!(send(&one, b"hello"), Ok(5));
    assert_eq!((other.poll(), one.poll()), (poll::IN | poll::OUT, poll::OUT));
    assert_eq!(receive(&other, 3).unwrap(), b"hel");
    drop(one);
    assert_eq!(receive(&other, 9).unwrap(), b"lo");
    assert_eq!(receive(&other, 9).unwrap(), b"");
    assert_eq!(send(&other, b"x"), Err(Errno::EPIPE));
    assert_eq!(other.poll(), poll::IN | poll::OUT | poll::HUP | poll::READ_HUP);
}

#[test]
fn a_full_stream_takes_more_when_a_third_is_free() {
    let [one, other] = Socket::pair(Kind::Stream).unwrap();
    let bytes = alloc::vec![7; 1 << 20];
    let size = send(&one, &bytes).unwrap();
    assert_eq!((send(&one, b"x"), one.poll()), (Err(Errno::EAGAIN), 0));
    let edge = one.edge();
    assert_eq!(receive(&other, size / 4).unwrap().len(), size / 4);
    assert_eq!((one.poll(), one.edge()), (0, edge));
    assert_eq!(receive(&other, size / 4).unwrap().len(), size / 4);
    assert_eq!(one.poll(), poll::OUT);
    assert_ne!(one.edge(), edge);
}

#[test]
fn senders_are_told_apart_when_asked() {
    let [one, other] = Socket::pair(Kind::Stream).unwrap();
    for (pid, bytes) in [(1, b"ab"), (1, b"cd"), (2, b"ef")] {
        let mut extra = Extra { credentials: Credentials { pid, uid: 0, gid: 0 }, ..Extra::default() };
        one.send(&mut KernelSource(bytes), &Target::Peer, &mut extra).unwrap();
    }
    let mut bytes = [0; 9];
    let how = How { is_peek: true, tells_senders_apart: true };
    let received = other.receive(&mut KernelDestination(&mut bytes), how).unwrap();
    assert_eq!((received.len, received.credentials.map(|who| who.pid)), (4, Some(1)));
    assert_eq!(receive(&other, 9).unwrap(), b"abcdef");
}

#[test]
fn a_chain_of_sockets_in_each_others_queues_is_closed_in_a_loop() {
    let [first, mut last] = Socket::pair(Kind::Stream).unwrap();
    for _ in 0..900 {
        let [carrier, holder] = Socket::pair(Kind::Stream).unwrap();
        pass(&carrier, alloc::vec![last.open(OpenFlags::empty())]).unwrap();
        last = holder;
    }
    // A kernel's stack is far smaller than this thread's: nine hundred nested calls would not fit.
    let small = std::thread::Builder::new().stack_size(64 * 1024);
    small.spawn(move || drop(last)).unwrap().join().unwrap();
    assert_eq!(receive(&first, 1).unwrap(), b"");
}

#[test]
fn datagrams_wait_for_room_and_are_whole() {
    let [one, other] = Socket::pair(Kind::Datagram).unwrap();
    let mut count = 0;
    while send(&one, b"four").is_ok() {
        count += 1;
    }
    assert_eq!((send(&one, b"x"), one.poll() & poll::OUT), (Err(Errno::EAGAIN), 0));
    let edge = one.edge();
    assert_eq!(receive(&other, 2).unwrap(), b"fo");
    assert_ne!(one.edge(), edge);
    assert_eq!(one.poll() & poll::OUT, poll::OUT);
    assert!(count > 100);
    drop(other);
    assert_eq!(send(&one, b"x"), Err(Errno::ECONNREFUSED));
    assert_eq!(send(&one, b"x"), Err(Errno::ENOTCONN));
}
