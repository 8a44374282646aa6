//! What a partition may reach.
//!
//! ```text
//! address of the guest's connection          decided by
//! HOST (host.septum.internal)                a rule with that very name, or one that a person gave the host; leads to the host's loopback
//! that of another partition                  a rule with its name; leads to that partition
//! the host's own, loopback, link-local, …    nobody: refused, whatever rules say
//! everything else                            'any', a rule with the address, or with a name that led to it
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::Arc;

use septum_abi::net;
use septum_api_types::network::{HOST_NAME, Protocol, Rule};

/// Where a connection may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To this address.
    Direct(SocketAddr),
    /// To this port of the host's loopback.
    Host(u16),
    /// To this port of another partition.
    Neighbour(Arc<str>, u16),
}

/// Why a connection is refused: what to tell a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// To whom it was.
    pub to: String,
    /// What would allow it, or why nothing does.
    pub advice: String,
}

/// The rules of a partition.
#[derive(Debug, Default)]
pub struct Policy {
    rules: Vec<Rule>,
}

impl Policy {
    /// A policy that allows what `rules` say.
    #[must_use]
    pub fn new(rules: Vec<Rule>) -> Self {
        Self { rules }
    }

    /// Whether a rule allows this port of this name.
    #[must_use]
    fn allows_name(&self, name: &str, protocol: Protocol, port: u16) -> bool {
        self.rules.iter().any(|rule| rule.allows_name(name) && rule.allows_port(protocol, port))
    }

    /// Whether a rule allows this port of this partition.
    #[must_use]
    pub fn allows_partition(&self, name: &str, protocol: Protocol, port: u16) -> bool {
        self.rules.iter().any(|rule| rule.allows_partition(name) && rule.allows_port(protocol, port))
    }

    /// Whether a rule allows anything of this name, so that it may be looked up.
    #[must_use]
    pub fn may_ask(&self, name: &str) -> bool {
        self.rules.iter().any(|rule| rule.allows_name(name))
    }

    /// Where a connection to `to`, to which `names` led, may go. `neighbour` tells which partition an address is, `is_own` whether it
    /// is the host's.
    ///
    /// # Errors
    /// It may go nowhere.
    pub fn decide(
        &self,
        protocol: Protocol,
        to: SocketAddr,
        names: &[Arc<str>],
        neighbour: impl Fn(IpAddr) -> Option<Arc<str>>,
        is_own: impl Fn(IpAddr) -> bool,
    ) -> Result<Way, Refusal> {
        let (ip, port) = (to.ip().to_canonical(), to.port());
        let suffix = protocol.suffix();
        let has_name = names.iter().any(|name| self.allows_name(name, protocol, port));
        if ip == IpAddr::V4(net::HOST) {
            return if has_name || self.allows_name(HOST_NAME, protocol, port) {
                Ok(Way::Host(port))
            } else {
                let rule = format!("--allow-net {HOST_NAME}:{port}{suffix}");
                Err(refusal(format!("{HOST_NAME}:{port}{suffix}"), rule))
            };
        }
        if let Some(name) = neighbour(ip) {
            return if self.allows_partition(&name, protocol, port) {
                Ok(Way::Neighbour(name, port))
            } else {
                let to = format!("{name}:{port}{suffix}");
                Err(refusal(to.clone(), format!("--allow-net {to}")))
            };
        }
        let shown = format!("{}{suffix}", SocketAddr::new(ip, port));
        if is_never(ip) {
            return Err(Refusal { to: shown, advice: "no rule can allow such an address".to_owned() });
        }
        let is_allowed = |rule: &Rule| rule.allows_port(protocol, port) && rule.allows_address(ip);
        if !has_name && !self.rules.iter().any(is_allowed) {
            return Err(match names.last() {
                Some(name) => {
                    refusal(format!("{name}:{port}{suffix}"), format!("--allow-net {name}:{port}{suffix}"))
                }
                None => refusal(shown.clone(), format!("--allow-net {shown}")),
            });
        }
        if is_own(ip) {
            let advice =
                format!("it is the host itself, which --allow-net {HOST_NAME}:{port}{suffix} would allow");
            return Err(Refusal { to: shown, advice });
        }
        Ok(Way::Direct(SocketAddr::new(ip, port)))
    }
}

fn refusal(to: String, rule: String) -> Refusal {
    Refusal { to, advice: format!("{rule} would allow it") }
}

/// Addresses that lead to the host, to its link, to many, or to nobody, whatever the host's routes say.
#[must_use]
pub fn is_never(ip: IpAddr) -> bool {
    match ip.to_canonical() {
        IpAddr::V4(ip) => {
            let [first, second, ..] = ip.octets();
            let is_ours = first == 198 && second & 0xfe == 18;
            ip.is_loopback()
                || ip.is_link_local()
                || ip.is_multicast()
                || ip.is_broadcast()
                || first == 0
                || first >= 240
                || is_ours
        }
        IpAddr::V6(ip) => {
            // What is translated to IPv4 somewhere is judged as that.
            let translated = match ip.segments() {
                [0x64, 0xff9b, 0, 0, 0, 0, high, low]
                | [0x2002, high, low, ..]
                | [0, 0, 0, 0, 0, 0, high, low] => {
                    Some(Ipv4Addr::from(u32::from(high) << 16 | u32::from(low)))
                }
                _ => None,
            };
            ip.is_loopback()
                || ip.is_unspecified()
                || ip.is_multicast()
                || ip.is_unicast_link_local()
                || ip == net::GUEST_V6
                || translated.is_some_and(|ip| is_never(IpAddr::V4(ip)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn policy(rules: &[&str]) -> Policy {
        Policy::new(rules.iter().map(|rule| rule.parse().unwrap()).collect())
    }

    fn decide(policy: &Policy, to: &str) -> Result<Way, String> {
        let own: IpAddr = "192.0.2.99".parse().unwrap();
        let (to, protocol) = match to.strip_suffix("/udp") {
            Some(to) => (to, Protocol::Udp),
            None => (to, Protocol::Tcp),
        };
        policy
            .decide(protocol, to.parse().unwrap(), &[], neighbour, |ip| ip == own)
            .map_err(|refusal| refusal.advice)
    }

    fn neighbour(ip: IpAddr) -> Option<Arc<str>> {
        (ip.to_string() == "198.18.1.1").then(|| "web".into())
    }

    fn direct(to: &str) -> Result<Way, String> {
        Ok(Way::Direct(to.parse().unwrap()))
    }

    #[test]
    fn nothing_is_allowed_unless_a_rule_says_so() {
        let none = policy(&[]);
        assert_eq!(decide(&none, "192.0.2.1:80"), Err("--allow-net 192.0.2.1:80 would allow it".to_owned()));
        assert_eq!(
            decide(&none, "198.18.0.1:80"),
            Err("--allow-net host.septum.internal:80 would allow it".to_owned())
        );
        let some = policy(&["192.0.2.0/24:80", "2001:db8::/32"]);
        assert_eq!(decide(&some, "192.0.2.1:80"), direct("192.0.2.1:80"));
        assert!(decide(&some, "192.0.2.1:81").is_err());
        assert_eq!(decide(&some, "[2001:db8::7]:1"), direct("[2001:db8::7]:1"));
    }

    #[test]
    fn the_host_is_reached_by_its_name_alone() {
        for rules in [&["any"][..], &["0.0.0.0/0", "::/0"]] {
            let policy = policy(rules);
            for to in [
                "127.0.0.1:80",
                "[::1]:80",
                "[::ffff:127.0.0.1]:80",
                "[64:ff9b::7f00:1]:80",
                "[2002:7f00:1::]:80",
                "[::127.0.0.1]:80",
                "0.0.0.0:80",
                "0.1.2.3:80",
                "169.254.169.254:80",
                "[fe80::1]:80",
                "224.0.0.1:80",
                "[ff02::1]:80",
                "255.255.255.255:80",
                "198.18.7.7:80",
                "192.0.2.99:80",
            ] {
                assert!(decide(&policy, to).is_err(), "{rules:?} {to}");
            }
        }
        assert!(decide(&policy(&["any"]), "198.18.0.1:80").is_err());
        assert_eq!(decide(&policy(&["host.septum.internal:80"]), "198.18.0.1:80"), Ok(Way::Host(80)));
        assert!(decide(&policy(&["host.septum.internal:80"]), "198.18.0.1:81").is_err());
    }

    #[test]
    fn an_address_is_its_names() {
        let policy = policy(&["example.org:443", "*.example.net", "db:5432"]);
        let decide = |to: &str, name: &str| {
            let own: IpAddr = "192.0.2.99".parse().unwrap();
            let names = [name.into()];
            policy
                .decide(Protocol::Tcp, to.parse().unwrap(), &names, neighbour, |ip| ip == own)
                .map_err(|refusal| refusal.advice)
        };
        assert_eq!(decide("192.0.2.1:443", "example.org"), direct("192.0.2.1:443"));
        assert_eq!(
            decide("192.0.2.1:80", "example.org"),
            Err("--allow-net example.org:80 would allow it".to_owned())
        );
        assert_eq!(decide("192.0.2.1:80", "a.example.net"), direct("192.0.2.1:80"));
        assert!(decide("192.0.2.1:80", "example.net").is_err());
        // Whatever a nameserver says.
        for to in ["127.0.0.1:443", "169.254.169.254:443", "[::1]:443", "192.0.2.99:443", "0.0.0.0:443"] {
            assert!(decide(to, "example.org").is_err(), "{to}");
        }
        // A person may give the host a name of its own.
        assert_eq!(decide("198.18.0.1:5432", "db"), Ok(Way::Host(5432)));
        assert!(decide("198.18.0.1:5433", "db").is_err());
        assert!(
            policy.may_ask("example.org") && policy.may_ask("a.example.net") && !policy.may_ask("other.org")
        );
    }

    #[test]
    fn a_partition_is_reached_by_its_name_alone() {
        let policy = policy(&["web:80", "any", "0.0.0.0/0", "198.18.1.1"]);
        assert_eq!(decide(&policy, "198.18.1.1:80"), Ok(Way::Neighbour("web".into(), 80)));
        assert_eq!(decide(&policy, "198.18.1.1:81"), Err("--allow-net web:81 would allow it".to_owned()));
        assert_eq!(
            decide(&policy, "198.18.1.1:80/udp"),
            Err("--allow-net web:80/udp would allow it".to_owned())
        );
        assert!(decide(&policy, "198.18.1.2:80").is_err());
    }

    #[test]
    fn protocols_have_rules_of_their_own() {
        let policy = policy(&["192.0.2.1:53/udp", "192.0.2.2"]);
        assert_eq!(decide(&policy, "192.0.2.1:53/udp"), direct("192.0.2.1:53"));
        assert!(decide(&policy, "192.0.2.1:53").is_err());
        assert_eq!(
            decide(&policy, "192.0.2.2:53/udp"),
            Err("--allow-net 192.0.2.2:53/udp would allow it".to_owned())
        );
    }
}
