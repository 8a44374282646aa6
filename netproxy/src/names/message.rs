//! Messages of DNS: what the guest asks and is answered, and the same with the nameserver. Whoever wrote them is hostile.

use std::net::IpAddr;

use septum_api_types::network::Protocol;
use simple_dns::rdata::{A, AAAA, OPT, RData};
use simple_dns::{
    CLASS, Name, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, ResourceRecord, TYPE,
};

use crate::requests::{LONGEST_NAME, MOST_ADDRESSES};

/// Longest that an answer may be kept, seconds.
const LONGEST_TTL: u32 = 300;
/// Longest answer by UDP to those who do not say (RFC 1035), and what we say ourselves.
const PLAIN: usize = 512;
const OURS: u16 = 1232;

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    V4,
    V6,
}

/// What the guest asks.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    /// The name, in lower case, without a dot at its end.
    pub name: String,
    /// The family, if it asks for addresses at all.
    pub family: Option<Family>,
}

/// What can be answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Addresses, for so many seconds; or none of that kind.
    Addresses(Vec<IpAddr>, u32),
    /// There is no such name.
    NoName,
    /// Nobody could tell.
    Failed,
    /// It is no question.
    Malformed,
    /// It is a question of a kind that is not answered.
    NotImplemented,
}

/// The question in a message of the guest. `None` for what gets no answer.
pub(super) fn parse(message: &[u8]) -> Option<Result<Asked, Verdict>> {
    let flags_high = message.get(2)?;
    if message.len() < 12 || flags_high & 0x80 != 0 {
        return None;
    }
    let Ok(packet) = Packet::parse(message) else { return Some(Err(Verdict::Malformed)) };
    if packet.opcode() != OPCODE::StandardQuery {
        return Some(Err(Verdict::NotImplemented));
    }
    let [question] = packet.questions.as_slice() else { return Some(Err(Verdict::Malformed)) };
    if !matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY) {
        return Some(Err(Verdict::NotImplemented));
    }
    let Some(name) = text(&question.qname) else { return Some(Err(Verdict::NoName)) };
    let family = match question.qtype {
        QTYPE::TYPE(TYPE::A) => Some(Family::V4),
        QTYPE::TYPE(TYPE::AAAA) => Some(Family::V6),
        _ => None,
    };
    Some(Ok(Asked { name, family }))
}

/// A name as rules have it. `None` if none could mean it.
fn text(name: &Name<'_>) -> Option<String> {
    let mut text = String::new();
    for label in name.as_bytes() {
        let is_plain = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
        if label.is_empty() || !label.iter().all(is_plain) {
            return None;
        }
        if !text.is_empty() {
            text.push('.');
        }
        text.extend(label.iter().map(|byte| char::from(byte.to_ascii_lowercase())));
    }
    (1..=LONGEST_NAME).contains(&text.len()).then_some(text)
}

/// The answer to a message of the guest, which came by `protocol`. `None` if there can be none.
pub(super) fn answer(message: &[u8], verdict: &Verdict, protocol: Protocol) -> Option<Vec<u8>> {
    let id = u16::from_be_bytes(*message.first_chunk()?);
    let asked = Packet::parse(message).ok();
    let mut reply = Packet::new_reply(id);
    reply.set_flags(PacketFlag::RECURSION_AVAILABLE);
    let mut most = if protocol == Protocol::Udp { PLAIN } else { usize::from(u16::MAX) };
    if let Some(asked) = &asked {
        if asked.has_flags(PacketFlag::RECURSION_DESIRED) {
            reply.set_flags(PacketFlag::RECURSION_DESIRED);
        }
        reply.questions.clone_from(&asked.questions);
        reply.questions.truncate(1);
        if let Some(theirs) = asked.opt() {
            most = most.max(usize::from(theirs.udp_packet_size.min(OURS)));
            *reply.opt_mut() = Some(options());
        }
    }
    *reply.rcode_mut() = match verdict {
        Verdict::Addresses(..) => RCODE::NoError,
        Verdict::NoName => RCODE::NameError,
        Verdict::Failed => RCODE::ServerFailure,
        Verdict::Malformed => RCODE::FormatError,
        Verdict::NotImplemented => RCODE::NotImplemented,
    };
    if let (Verdict::Addresses(addresses, ttl), Some(question)) = (verdict, reply.questions.first()) {
        let name = question.qname.clone();
        let record = |ip: &IpAddr| {
            let data = match ip {
                IpAddr::V4(ip) => RData::A(A { address: u32::from(*ip) }),
                IpAddr::V6(ip) => RData::AAAA(AAAA { address: u128::from(*ip) }),
            };
            ResourceRecord::new(name.clone(), CLASS::IN, (*ttl).min(LONGEST_TTL), data)
        };
        reply.answers = addresses.iter().take(MOST_ADDRESSES).map(record).collect();
    }
    let bytes = reply.build_bytes_vec_compressed().ok()?;
    if bytes.len() <= most {
        return Some(bytes);
    }
    // Who asks by TCP gets everything.
    reply.answers.clear();
    reply.set_flags(PacketFlag::TRUNCATION);
    reply.build_bytes_vec_compressed().ok()
}

fn options() -> OPT<'static> {
    OPT { opt_codes: Vec::new(), udp_packet_size: OURS, version: 0 }
}

/// A question to a nameserver. `None` if it is no name.
pub(super) fn question(id: u16, name: &str, family: Family) -> Option<Vec<u8>> {
    let mut packet = Packet::new_query(id);
    packet.set_flags(PacketFlag::RECURSION_DESIRED);
    let kind = match family {
        Family::V4 => TYPE::A,
        Family::V6 => TYPE::AAAA,
    };
    let name = Name::new(name).ok()?;
    packet.questions.push(Question::new(name, QTYPE::TYPE(kind), QCLASS::CLASS(CLASS::IN), false));
    *packet.opt_mut() = Some(options());
    packet.build_bytes_vec().ok()
}

/// Whether an answer is cut short, and is whole by TCP.
pub(super) fn is_cut_short(message: &[u8]) -> bool {
    message.get(2).is_some_and(|flags| flags & 2 != 0)
}

/// What a nameserver says. `None` if it is no answer to that question.
pub(super) fn verdict(message: &[u8], id: u16, name: &str, family: Family) -> Option<Verdict> {
    let packet = Packet::parse(message).ok()?;
    if packet.id() != id || !packet.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    // One that refuses need not repeat the question.
    if let Some(question) = packet.questions.first()
        && text(&question.qname).as_deref() != Some(name)
    {
        return None;
    }
    let mut addresses = Vec::new();
    let mut ttl = LONGEST_TTL;
    for record in &packet.answers {
        let ip = match (&record.rdata, family) {
            (RData::A(a), Family::V4) => IpAddr::from(a.address.to_be_bytes()),
            (RData::AAAA(aaaa), Family::V6) => IpAddr::from(aaaa.address.to_be_bytes()),
            _ => continue,
        };
        if addresses.len() < MOST_ADDRESSES && !addresses.contains(&ip) {
            addresses.push(ip);
            ttl = ttl.min(record.ttl);
        }
    }
    Some(match packet.rcode() {
        RCODE::NoError => Verdict::Addresses(addresses, ttl),
        RCODE::NameError => Verdict::NoName,
        _ => Verdict::Failed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(name: &str, family: Family) -> Vec<u8> {
        question(7, name, family).unwrap()
    }

    #[test]
    fn questions_are_understood_and_answered() {
        let message = asked("Example.ORG", Family::V4);
        let name = "example.org".to_owned();
        assert_eq!(parse(&message), Some(Ok(Asked { name, family: Some(Family::V4) })));
        let ip: IpAddr = "192.0.2.7".parse().unwrap();
        let found = Verdict::Addresses(vec![ip], 9);
        let reply = answer(&message, &found, Protocol::Udp).unwrap();
        assert_eq!(verdict(&reply, 7, "example.org", Family::V4), Some(found));
        assert_eq!(verdict(&reply, 8, "example.org", Family::V4), None, "another question's");
        assert_eq!(verdict(&reply, 7, "example.net", Family::V4), None, "another name's");
        assert_eq!(verdict(&message, 7, "example.org", Family::V4), None, "a question");
        for verdict_ in [Verdict::NoName, Verdict::Failed] {
            let reply = answer(&message, &verdict_, Protocol::Udp).unwrap();
            assert_eq!(verdict(&reply, 7, "example.org", Family::V4), Some(verdict_));
        }
    }

    #[test]
    fn what_is_too_long_for_udp_is_asked_for_by_tcp() {
        let mut packet = Packet::parse(&asked("example.org", Family::V6)).unwrap().into_owned_question();
        *packet.opt_mut() = None;
        let message = packet.build_bytes_vec().unwrap();
        let many = (0..32_u128).map(|ip| IpAddr::from(ip.to_be_bytes())).collect();
        let found = Verdict::Addresses(many, 1);
        let short = answer(&message, &found, Protocol::Udp).unwrap();
        assert!(short.len() <= PLAIN && short[2] & 2 != 0);
        let long = answer(&message, &found, Protocol::Tcp).unwrap();
        assert_eq!(verdict(&long, 7, "example.org", Family::V6), Some(found));
    }

    trait OwnedQuestion {
        fn into_owned_question(self) -> Packet<'static>;
    }

    impl OwnedQuestion for Packet<'_> {
        fn into_owned_question(self) -> Packet<'static> {
            let mut packet = Packet::new_query(self.id());
            packet.questions = self.questions.into_iter().map(Question::into_owned).collect();
            packet
        }
    }

    #[test]
    fn noise_is_no_question_and_no_answer() {
        let good = asked("example.org", Family::V4);
        let reply =
            answer(&good, &Verdict::Addresses(vec!["192.0.2.7".parse().unwrap()], 9), Protocol::Udp).unwrap();
        // Every message cut short, and with each byte replaced by others.
        for whole in [&good, &reply] {
            for len in 0..whole.len() {
                try_both(&whole[..len]);
            }
            for at in 0..whole.len() {
                for byte in [0, 1, 0x3f, 0x40, 0x7f, 0xc0, 0xff] {
                    let mut bytes = whole.clone();
                    bytes[at] = byte;
                    try_both(&bytes);
                }
            }
        }
        // A name that points to itself.
        let mut circle = good.clone();
        (circle[12], circle[13]) = (0xc0, 12);
        assert!(matches!(parse(&circle), Some(Err(_))));
    }

    fn try_both(bytes: &[u8]) {
        if let Some(asked) = parse(bytes) {
            let verdict = asked.err().unwrap_or(Verdict::NoName);
            let _ = answer(bytes, &verdict, Protocol::Tcp);
        }
        let _ = verdict(bytes, 7, "example.org", Family::V4);
    }

    #[test]
    fn strange_names_are_nobodys() {
        for name in ["a b.org", "ä.org", "a*.org"] {
            let Some(message) = question(7, name, Family::V4) else { continue };
            assert_eq!(parse(&message), Some(Err(Verdict::NoName)), "{name}");
        }
    }
}
