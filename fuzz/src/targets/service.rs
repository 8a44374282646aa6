//! A guest's calls about what the host wants of it: its further programs, and their streams.
//!
//! ```text
//! input   [page, 2] [the call] then [what]   again and again; `what` says who else does something on the host
//! ```

use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use septum_abi::service::{CALL, Call, event, operation, stream};
use septum_memory::{GuestRam, Pages};
use vm_memory::{Bytes as _, GuestAddress};

use crate::bytes::Bytes;
use crate::service::{Listener, Notice, Service};

const RAM: u64 = 16 << 20;
const PAGE: u64 = 4096;
const CALLS: u32 = 64;
/// Sessions that there are.
const SESSIONS: u32 = 3;
/// Bytes of a call.
const LEN: usize = size_of::<Call>();

/// Its contents stay from one input to the next, which changes nothing: what a call reads was just written.
fn ram() -> &'static GuestRam {
    static RAM_OF_ALL: OnceLock<GuestRam> = OnceLock::new();
    RAM_OF_ALL.get_or_init(|| septum_memory::allocate(RAM, Pages::Ordinary).unwrap())
}

pub(super) fn run(input: &[u8]) {
    let ram = ram();
    let ends = Arc::new(AtomicUsize::new(0));
    let heard = Arc::clone(&ends);
    let listener = Listener(Box::new(move |notice| {
        if let Notice::Ended(session, _) = notice {
            assert!(session < SESSIONS, "there is no such session");
            heard.fetch_add(1, Ordering::Relaxed);
        }
    }));
    let service = Service::new(listener).unwrap();
    let mut others = Vec::new();
    for session in 0..SESSIONS {
        let (ours, theirs) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        theirs.set_nonblocking(true).unwrap();
        let end = || Some(OwnedFd::from(theirs.try_clone().unwrap()));
        service.begin_session(session, b"what is to be run".to_vec(), [end(), end(), end()], session == 1);
        others.push(ours);
    }
    let mut bytes = Bytes::new(input);
    for _ in 0..CALLS {
        if bytes.is_empty() {
            break;
        }
        let page = u32::from(bytes.half());
        let call = bytes.array::<LEN>();
        let at = GuestAddress(u64::from(page) * PAGE);
        let is_there = ram.write_slice(&call, at).is_ok();
        // NEXT waits, except where the machine ends.
        service.call(CALL | page, ram, &AtomicBool::new(true));
        if is_there {
            check(&call, ram, at);
        }
        let what = bytes.byte();
        if let Some(other) = others.get_mut(usize::from(what & 3)) {
            if what & 4 != 0 {
                let _ = other.write(&[what; 5000]);
            }
            if what & 8 != 0 {
                let _ = other.read(&mut [0; 9000]);
            }
            if what & 16 != 0 {
                let _ = other.shutdown(std::net::Shutdown::Both);
            }
        }
    }
    assert!(ends.load(Ordering::Relaxed) <= SESSIONS as usize, "a session ends once");
}

/// What the answer may be.
fn check(call: &[u8; LEN], ram: &GuestRam, at: GuestAddress) {
    let word = |bytes: &[u8], at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap());
    let mut answer = [0; LEN];
    ram.read_slice(&mut answer, at).unwrap();
    let (asked, value) = (word(call, 0), word(&answer, 20).cast_signed());
    let own_page = u32::try_from(at.0 / PAGE).unwrap();
    let is_data = (0..4).any(|index| word(call, 32 + 4 * index) == own_page);
    if matches!(asked, operation::READ | operation::WRITE) && !is_data {
        let most = i64::from(word(call, 28)).min(4 * 4096);
        assert!(i64::from(value) <= most && value > -200, "{value} of {most}");
    }
    if asked == operation::NEXT {
        assert_eq!(word(&answer, 4), event::NONE, "the machine ends");
    }
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    let call = |operation: u32, session: u32, stream: u32, value: i32, offset: u32, len: u32| {
        let mut bytes = 8_u16.to_le_bytes().to_vec();
        for word in [operation, 0, session, stream, 0, value.cast_unsigned(), offset, len, 16, 17, 18, 19] {
            bytes.extend(word.to_le_bytes());
        }
        bytes
    };
    let after = |call: Vec<u8>, what: u8| [call, vec![what]].concat();
    vec![
        [
            after(call(operation::READ, 0, stream::PROGRAM, 0, 0, 99), 4),
            after(call(operation::READ, 0, stream::INPUT, 0, 0, 16384), 5),
            after(call(operation::WRITE, 1, stream::OUTPUT, 0, 100, 9000), 9),
            after(call(operation::NEXT, 0, 0, 0, 0, 0), 0),
        ]
        .concat(),
        [
            after(call(operation::WRITE, 2, stream::ERROR, 0, 4095, 2), 18),
            after(call(operation::READ, 2, stream::INPUT, 0, 0, 5), 3),
            after(call(operation::CLOSE, 2, stream::INPUT, 0, 0, 0), 3),
            after(call(operation::ENDED, 2, 0, 256 + 9, 0, 0), 3),
            after(call(operation::ENDED, 1, 0, -2, 0, 0), 3),
            after(call(operation::WRITE, 2, stream::OUTPUT, 0, 0, 1), 3),
        ]
        .concat(),
    ]
}
