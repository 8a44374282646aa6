//! Requests of a worker that somebody has taken over to its broker, and calls of such a broker to the supervisor.

use std::os::fd::AsFd as _;

use rustix::net::{AddressFamily, SendFlags, SocketFlags, SocketType, send, socketpair};
use septum_netproxy::is_request;
use septum_netproxy::neighbours::{Refusal, answer, next_call};

use crate::bytes::Bytes;

/// Messages.
pub(super) fn run(input: &[u8]) {
    let (theirs, ours) =
        socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None).unwrap();
    let mut bytes = Bytes::new(input);
    for _ in 0..8 {
        if bytes.is_empty() {
            break;
        }
        let message = bytes.piece();
        let _ = is_request(message);
        send(&theirs, message, SendFlags::DONTWAIT).unwrap();
        if let Ok(Some(call)) = next_call(ours.as_fd()) {
            assert!(message.len() >= 9, "a call has a head");
            assert!(call.name.is_none_or(|name| message.ends_with(name.as_bytes()) || message.len() > 262));
            let _ = answer(ours.as_fd(), call.number, Err(Refusal::Rule));
        }
    }
    drop(theirs);
    assert!(next_call(ours.as_fd()).is_err(), "a broker that is gone calls nobody");
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let piece = |message: &[u8]| {
        let len = u16::try_from(message.len()).unwrap();
        [&len.to_le_bytes()[..], message].concat()
    };
    let call_by = |protocol: u8, name: &str| {
        piece(&[&7_u32.to_le_bytes(), &80_u32.to_le_bytes(), &[protocol][..], name.as_bytes()].concat())
    };
    let call = |name: &str| call_by(0, name);
    let request = |kind: u8, family: u8, contents: &[u8]| {
        piece(&[&[kind, family, 0, 0, 7, 0, 0, 0], contents].concat())
    };
    let place = [&[4, 0, 80, 0, 192, 0, 2, 1][..], &[0; 12]].concat();
    vec![
        call("other"),
        call_by(1, "other"),
        call(""),
        [call(&"a".repeat(253)), call("b")].concat(),
        request(1, 0, &place),
        request(2, 0, &place),
        request(3, 0, &5000_u32.to_le_bytes()),
        request(4, 6, b"example.test"),
    ]
}
