//! Names, asked for by the guest at its nameserver's address and answered here.
//!
//! ```text
//! guest's message ──► Questions ── the name, the kind of addresses ──► Resolver (in the broker) ──► a question of its own
//!                        ◄───────────────── what it is ──────────────────┘
//! ```
//!
//! What the guest wrote never leaves the host, nor its worker: a nameserver is asked for addresses of a name that a rule allows, and for
//! nothing else.

mod bindings;
mod carrier;
mod message;
mod questions;
mod resolver;
mod wire;

pub(crate) use self::bindings::Bindings;
pub(crate) use self::carrier::Carrier;
pub(crate) use self::message::{Family, Verdict};
pub(crate) use self::questions::{Asker, Questions};
pub(crate) use self::resolver::Resolver;

/// Whether a nameserver's message answers the question for addresses of `name` that has the number `id`.
#[cfg(feature = "testing")]
#[must_use]
pub fn is_answer(message: &[u8], id: u16, name: &str) -> bool {
    let _ = message::is_cut_short(message);
    [Family::V4, Family::V6].into_iter().any(|family| message::verdict(message, id, name, family).is_some())
}

/// The answer to a message of the guest, as if its name had this address, if there is one.
#[cfg(feature = "testing")]
#[must_use]
pub fn answer(
    message: &[u8],
    protocol: septum_api_types::network::Protocol,
    address: std::net::IpAddr,
) -> Option<Vec<u8>> {
    let mut questions = Questions::default();
    if let Some((number, request)) = questions.ask(Asker { stream: 1, protocol }, message) {
        let sent = crate::requests::Request::from_bytes(&request.to_bytes(number));
        assert_eq!(sent, Some((number, request)), "what is asked is a request");
        questions.answered(number, &Verdict::Addresses(vec![address], 60));
    }
    let answer = questions.next_answer().map(|(_, answer)| answer);
    assert!(questions.next_answer().is_none(), "one question has one answer");
    answer
}
