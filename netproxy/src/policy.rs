//! What a partition may reach.
//!
//! ```text
//! address of the guest's connection          decided by
//! HOST (host.septum.internal)                a rule with that very name; leads to the host's loopback
//! the host's own, loopback, link-local, …    nobody: refused, whatever rules say
//! everything else                            'any', or a rule with the address
//! ```

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use septum_abi::net;
use septum_api_types::network::{HOST_NAME, Rule};

/// Where a connection may go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Way {
    /// To this address.
    Direct(SocketAddr),
    /// To this port of the host's loopback.
    Host(u16),
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
    fn allows_name(&self, name: &str, port: u16) -> bool {
        self.rules.iter().any(|rule| rule.allows_name(name) && rule.allows_port(port))
    }

    /// Where a connection to `to` may go. `is_own` tells whether an address is the host's.
    ///
    /// # Errors
    /// It may go nowhere.
    pub fn decide(&self, to: SocketAddr, is_own: impl Fn(IpAddr) -> bool) -> Result<Way, Refusal> {
        let (ip, port) = (to.ip().to_canonical(), to.port());
        if ip == IpAddr::V4(net::HOST) {
            return if self.allows_name(HOST_NAME, port) {
                Ok(Way::Host(port))
            } else {
                Err(refusal(format!("{HOST_NAME}:{port}"), format!("--allow-net {HOST_NAME}:{port}")))
            };
        }
        let shown = SocketAddr::new(ip, port).to_string();
        if is_never(ip) {
            return Err(Refusal { to: shown, advice: "no rule can allow such an address".to_owned() });
        }
        let is_allowed = |rule: &Rule| rule.allows_port(port) && rule.allows_address(ip);
        if !self.rules.iter().any(is_allowed) {
            return Err(refusal(shown.clone(), format!("--allow-net {shown}")));
        }
        if is_own(ip) {
            let advice = format!("it is the host itself, which --allow-net {HOST_NAME}:{port} would allow");
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
        policy.decide(to.parse().unwrap(), |ip| ip == own).map_err(|refusal| refusal.advice)
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
}
