//! Messages of DNS: a guest's, answered by the proxy, and a nameserver's.

use septum_api_types::network::Protocol;
use septum_netproxy::names::{self, is_answer};

use crate::bytes::Bytes;

/// The number of the questions in the seeds, and the name that they ask for.
const ID: u16 = 7;
const NAME: &str = "example.test";

/// A question, and the same bytes as an answer.
pub(super) fn run(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let protocol = if bytes.byte() & 1 == 0 { Protocol::Udp } else { Protocol::Tcp };
    let message = bytes.take(bytes.left());
    let _ = is_answer(message, ID, NAME);
    if let Some(answer) = names::answer(message, protocol, [192, 0, 2, 7].into()) {
        assert_eq!(
            answer.first_chunk::<2>(),
            message.first_chunk::<2>(),
            "an answer has its question's number"
        );
        assert!(answer.get(2).is_some_and(|flags| flags & 0x80 != 0), "it is an answer");
        assert!(answer.len() <= if protocol == Protocol::Udp { 1232 } else { 65_535 });
    }
}

/// A message with a question of this kind for the name, and `answers`.
fn message(flags: u16, kind: u16, answers: &[&[u8]]) -> Vec<u8> {
    let count = u16::try_from(answers.len()).unwrap();
    let head = [ID, flags, 1, count, 0, 0].map(u16::to_be_bytes).concat();
    let labels =
        NAME.split('.').map(|label| [&[u8::try_from(label.len()).unwrap()], label.as_bytes()].concat());
    let name = labels.collect::<Vec<_>>().concat();
    [&head, &name[..], &[0], &kind.to_be_bytes(), &1_u16.to_be_bytes(), &answers.concat()].concat()
}

pub(super) fn seeds() -> Vec<Vec<u8>> {
    // Names that point to the question's, an address each.
    let v4: &[u8] = &[0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 7];
    let v6: &[u8] = &[&[0xc0, 12, 0, 28, 0, 1, 0, 0, 0, 60, 0, 16][..], &[0xfd; 16]].concat();
    let messages = [
        message(0x0100, 1, &[]),
        message(0x0100, 28, &[]),
        message(0x0100, 15, &[]),
        message(0x8180, 1, &[v4, v4]),
        message(0x8180, 28, &[v6]),
        message(0x8183, 1, &[]),
    ];
    let by = |protocol: u8| messages.iter().map(move |message| [&[protocol], &message[..]].concat());
    by(0).chain(by(1)).collect()
}
