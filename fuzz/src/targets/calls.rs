//! Calls of a worker that somebody has taken over, to the supervisor.

use std::os::fd::AsFd as _;

use rustix::io::IoSlice;
use rustix::net::{
    AddressFamily, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, sendmsg,
    socketpair,
};
use septum_netproxy::neighbours::{answer, next_call};

use crate::bytes::Bytes;

/// Messages, each with or without a descriptor.
pub(super) fn run(input: &[u8]) {
    let (theirs, ours) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut bytes = Bytes::new(input);
    for _ in 0..8 {
        if bytes.is_empty() {
            break;
        }
        let count = usize::from(bytes.byte() % 3);
        let message = bytes.piece();
        let descriptors = vec![theirs.as_fd(); count];
        let mut space = [std::mem::MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
        let mut ancillary = SendAncillaryBuffer::new(&mut space);
        if count > 0 {
            assert!(ancillary.push(SendAncillaryMessage::ScmRights(&descriptors)));
        }
        sendmsg(&theirs, &[IoSlice::new(message)], &mut ancillary, SendFlags::DONTWAIT).unwrap();
        if let Ok(Some(call)) = next_call(ours.as_fd()) {
            assert!(count > 0 && message.len() >= 8, "a call comes with its socket and its head");
            assert!(call.name.is_none_or(|name| message.ends_with(name.as_bytes()) || message.len() > 261));
            let _ = answer(ours.as_fd(), call.number, Ok(()));
        }
    }
    drop(theirs);
    assert!(next_call(ours.as_fd()).is_err(), "a worker that is gone calls nobody");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let call = |count: u8, name: &str| {
        let message = [&7_u32.to_le_bytes(), &80_u32.to_le_bytes(), name.as_bytes()].concat();
        let len = u16::try_from(message.len()).unwrap();
        [&[count], &len.to_le_bytes()[..], &message].concat()
    };
    vec![call(1, "other"), call(0, "other"), call(2, ""), [call(1, &"a".repeat(253)), call(1, "b")].concat()]
}
