//! What a partition may reach, and what reaches it.
//!
//! ```text
//! rule      WHOM[:PORT][/tcp|/udp], WHOM: any | NAME | *.DOMAIN | ADDRESS[/BITS] | [ADDRESS[/BITS]]
//! publish   [[ADDRESS:]HOSTPORT:]GUESTPORT[/tcp|/udp]
//! expose    PORT[/tcp|/udp]
//! ```
//!
//! A rule whose name has no dot, or stands before `.septum.internal`, is about a partition of the same user on the same host.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::bytes::ByteString;
use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use crate::names::{HostEntry, Nameserver};

/// The host, as a partition calls it.
pub const HOST_NAME: &str = "host.septum.internal";
/// The domain of the host and of the partitions on it.
pub const DOMAIN: &str = "septum.internal";
/// What the host is called in [`DOMAIN`]: no partition's name.
const HOST: &str = "host";

/// The network of a partition.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Network {
    /// What it may reach.
    pub allow: Vec<Rule>,
    /// Ports of the host that lead into it.
    pub publish: Vec<Publish>,
    /// Its ports that other partitions of the same user may reach, if a rule of theirs allows it.
    #[serde(default)]
    pub expose: Vec<Expose>,
    /// The Unix socket of the host that leads to its ports of AF_VSOCK; with `_PORT` behind it, those that its programs connect to.
    #[serde(default)]
    pub vsock: Option<ByteString>,
    /// Names with addresses that somebody has said.
    #[serde(default)]
    pub hosts: Vec<HostEntry>,
    /// Who is asked for names, instead of whom the host asks.
    #[serde(default)]
    pub nameservers: Vec<Nameserver>,
}

impl Network {
    /// Whether it needs a network at all.
    #[must_use]
    pub fn is_wanted(&self) -> bool {
        let has_ports = !(self.publish.is_empty() && self.expose.is_empty() && self.vsock.is_none());
        has_ports || !self.allow.is_empty()
    }

    /// The partitions that rules are about, each once, in the order of the rules. What has an address of its own is none of them.
    #[must_use]
    pub fn neighbours(&self) -> Vec<&str> {
        let mut names = Vec::new();
        for rule in &self.allow {
            let Destination::Name(name) = &rule.to else { continue };
            let Some(partition) = partition(name) else { continue };
            if !names.contains(&partition) && !self.hosts.iter().any(|entry| entry.name == *name) {
                names.push(partition);
            }
        }
        names
    }
}

/// How something is carried.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP
    #[default]
    Tcp,
    /// UDP
    Udp,
}

impl Protocol {
    /// What follows a port.
    #[must_use]
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Tcp => "",
            Self::Udp => "/udp",
        }
    }

    /// The protocol that `text` ends with, and what is before it.
    fn split(text: &str) -> (&str, Self) {
        match (text.strip_suffix("/udp"), text.strip_suffix("/tcp")) {
            (Some(rest), _) => (rest, Self::Udp),
            (None, Some(rest)) => (rest, Self::Tcp),
            (None, None) => (text, Self::Tcp),
        }
    }
}

/// To whom a rule allows connections.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Destination {
    /// Everyone outside the host.
    Any,
    /// Addresses that begin with so many bits.
    Net(IpAddr, u8),
    /// A name, in lower case.
    Name(String),
    /// All names below one, in lower case.
    Below(String),
}

/// A rule: what a partition may reach.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// To whom.
    pub to: Destination,
    /// At which port; any, if it does not say.
    pub port: Option<u16>,
    /// By which protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A text is no rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// It has no form of a rule.
    #[error(
        "is not a destination; expected 'any', a name, '*.DOMAIN' or an address, which '/BITS', ':PORT' and '/udp' may follow"
    )]
    Form,
    /// The port is none.
    #[error("has no port from 1 to 65535 behind its last colon")]
    Port,
    /// The address has fewer bits.
    #[error("has more bits behind '/' than such an address")]
    Bits,
    /// The host itself.
    #[error("is the partition's own, or the host's; to reach the host's, allow 'host.septum.internal:PORT'")]
    Local,
}

impl Rule {
    /// Whether it allows this port of this protocol.
    #[must_use]
    pub fn allows_port(&self, protocol: Protocol, port: u16) -> bool {
        self.protocol == protocol && self.port.is_none_or(|allowed| allowed == port)
    }

    /// Whether it allows the address, as such.
    #[must_use]
    pub fn allows_address(&self, ip: IpAddr) -> bool {
        match (&self.to, ip) {
            (Destination::Any, _) => true,
            (&Destination::Net(IpAddr::V4(net), bits), IpAddr::V4(ip)) => {
                let shift = 32_u32.saturating_sub(u32::from(bits));
                (u32::from(net) ^ u32::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            (&Destination::Net(IpAddr::V6(net), bits), IpAddr::V6(ip)) => {
                let shift = 128_u32.saturating_sub(u32::from(bits));
                (u128::from(net) ^ u128::from(ip)).checked_shr(shift).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// Whether it allows the name, which is in lower case and has no dot at its end.
    #[must_use]
    pub fn allows_name(&self, name: &str) -> bool {
        match &self.to {
            // The host and its partitions are never meant by everyone.
            Destination::Any => !is_internal(name),
            Destination::Net(..) => false,
            Destination::Name(allowed) => {
                allowed == name || partition(allowed).is_some_and(|allowed| partition(name) == Some(allowed))
            }
            Destination::Below(domain) => {
                !is_internal(name)
                    && name
                        .strip_suffix(domain.as_str())
                        .is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
            }
        }
    }
}

impl Rule {
    /// Whether it is about this partition, which no other kind of rule ever means.
    #[must_use]
    pub fn allows_partition(&self, name: &str) -> bool {
        matches!(&self.to, Destination::Name(allowed) if partition(allowed) == Some(name))
    }
}

/// Whether a name is one of the host or its partitions.
#[must_use]
pub fn is_internal(name: &str) -> bool {
    name.strip_suffix(DOMAIN).is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
}

/// The partition that a name, in lower case, means to the others on the host: what stands before the domain, or a name without a dot.
#[must_use]
pub fn partition(name: &str) -> Option<&str> {
    let below = name.strip_suffix(DOMAIN).and_then(|rest| rest.strip_suffix('.'));
    let partition = below.or_else(|| (!name.contains('.')).then_some(name))?;
    (!partition.is_empty() && partition != HOST).then_some(partition)
}

/// Whether a partition of this name can be reached by it: as names are looked up, in lower case.
#[must_use]
pub fn is_reachable_name(name: &str) -> bool {
    is_name(name) && !name.bytes().any(|byte| byte.is_ascii_uppercase()) && name != HOST && !is_number(name)
}

fn port(text: &str) -> Result<u16, RuleError> {
    let is_plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|&port| is_plain && port != 0).ok_or(RuleError::Port)
}

/// Whether it can be a name that is looked up.
pub(crate) fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        (1..=63).contains(&label.len()) && label.chars().all(is_plain)
    };
    text.len() <= 253 && text.split('.').all(is_label)
}

/// Whether programs would take it for a part of an address, such as 10.1.
fn is_number(text: &str) -> bool {
    text.split('.').all(|label| label.bytes().all(|byte| byte.is_ascii_digit()))
}

/// An address or a network, without a port.
fn net(text: &str) -> Result<Option<Destination>, RuleError> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(ip) = address.parse::<IpAddr>() else {
        return if bits.is_some() { Err(RuleError::Form) } else { Ok(None) };
    };
    let most = if ip.is_ipv4() { 32 } else { 128 };
    let bits = match bits {
        Some(bits) => bits.parse().ok().filter(|&bits| bits <= most).ok_or(RuleError::Bits)?,
        None => most,
    };
    let ip = ip.to_canonical();
    if bits > 0 && (ip.is_loopback() || ip.is_unspecified()) {
        return Err(RuleError::Local);
    }
    Ok(Some(Destination::Net(ip, bits)))
}

impl FromStr for Rule {
    type Err = RuleError;

    fn from_str(text: &str) -> Result<Self, RuleError> {
        let (text, protocol) = Protocol::split(text);
        // IPv6 addresses have colons of their own.
        if let Some(rest) = text.strip_prefix('[') {
            let (inside, behind) = rest.split_once(']').ok_or(RuleError::Form)?;
            let to = net(inside)?.ok_or(RuleError::Form)?;
            let port = match behind.strip_prefix(':') {
                Some(text) => Some(port(text)?),
                None if behind.is_empty() => None,
                None => return Err(RuleError::Form),
            };
            return Ok(Self { to, port, protocol });
        }
        if text.matches(':').count() > 1 {
            return Ok(Self { to: net(text)?.ok_or(RuleError::Form)?, port: None, protocol });
        }
        let (host, port) = match text.split_once(':') {
            Some((host, text)) => (host, Some(port(text)?)),
            None => (text, None),
        };
        if let Some(to) = net(host)? {
            return Ok(Self { to, port, protocol });
        }
        let host = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        let to = match host.as_str() {
            "any" => Destination::Any,
            "localhost" => return Err(RuleError::Local),
            _ => match host.strip_prefix("*.") {
                Some(domain) if is_name(domain) => Destination::Below(domain.to_owned()),
                None if is_name(&host) && !is_number(&host) => Destination::Name(host),
                _ => return Err(RuleError::Form),
            },
        };
        Ok(Self { to, port, protocol })
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let whole = |ip: &IpAddr| if ip.is_ipv4() { 32 } else { 128 };
        match (&self.to, self.port) {
            (Destination::Any, _) => f.write_str("any")?,
            (Destination::Net(ip @ IpAddr::V6(_), bits), Some(_)) if *bits == whole(ip) => {
                write!(f, "[{ip}]")?
            }
            (Destination::Net(ip @ IpAddr::V6(_), bits), Some(_)) => write!(f, "[{ip}/{bits}]")?,
            (Destination::Net(ip, bits), _) if *bits == whole(ip) => write!(f, "{ip}")?,
            (Destination::Net(ip, bits), _) => write!(f, "{ip}/{bits}")?,
            (Destination::Name(name), _) => f.write_str(name)?,
            (Destination::Below(domain), _) => write!(f, "*.{domain}")?,
        }
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))?;
        f.write_str(self.protocol.suffix())
    }
}

/// A port of the host that leads into the partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Publish {
    /// The host's address and port; port 0 is any that is free.
    pub host: SocketAddr,
    /// The partition's port.
    pub guest_port: u16,
    /// Of which protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

/// A text is no publication.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum PublishError {
    /// It has not the form of one.
    #[error("is not a published port; expected [[ADDRESS:]HOSTPORT:]GUESTPORT[/tcp|/udp]")]
    Form,
    /// One of the ports is none.
    #[error("has a part that is no port from 1 to 65535")]
    Port,
}

impl FromStr for Publish {
    type Err = PublishError;

    fn from_str(text: &str) -> Result<Self, PublishError> {
        let (text, protocol) = Protocol::split(text);
        let (rest, guest) = text.rsplit_once(':').unwrap_or(("", text));
        let guest_port = port(guest).map_err(|_| PublishError::Port)?;
        // Whoever wants others to reach it says so: the address of all interfaces is 0.0.0.0.
        let local = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let (ip, host) = match rest.rsplit_once(':') {
            _ if rest.is_empty() => (local, ""),
            None => (local, rest),
            Some((ip, host)) => {
                let ip = match ip.strip_prefix('[').and_then(|ip| ip.strip_suffix(']')) {
                    Some(ip) => ip.parse::<Ipv6Addr>().map(IpAddr::V6).ok(),
                    None => ip.parse::<Ipv4Addr>().map(IpAddr::V4).ok(),
                };
                (ip.ok_or(PublishError::Form)?, host)
            }
        };
        let host_port = match host {
            "" | "0" => 0,
            host => port(host).map_err(|_| PublishError::Port)?,
        };
        Ok(Self { host: SocketAddr::new(ip, host_port), guest_port, protocol })
    }
}

/// A port of the partition that others of the same user may reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Expose {
    /// The partition's port.
    pub port: u16,
    /// Of which protocol.
    #[serde(default)]
    pub protocol: Protocol,
}

impl fmt::Display for Expose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.port, self.protocol.suffix())
    }
}

/// A text is no exposed port.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("is not a port of the partition; expected 1 to 65535, which '/tcp' or '/udp' may follow")]
pub struct ExposeError;

impl FromStr for Expose {
    type Err = ExposeError;

    fn from_str(text: &str) -> Result<Self, ExposeError> {
        let (text, protocol) = Protocol::split(text);
        Ok(Self { port: port(text).map_err(|_| ExposeError)?, protocol })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(text: &str) -> Rule {
        text.parse().unwrap_or_else(|error| panic!("'{text}' {error}"))
    }

    #[test]
    fn rules_are_read_and_written_alike() {
        for text in [
            "any",
            "any:443",
            "10.0.0.0/8",
            "10.0.0.0/8:80",
            "192.0.2.7:80",
            "192.0.2.7",
            "2001:db8::1",
            "2001:db8::/32",
            "[2001:db8::1]:443",
            "[2001:db8::/32]:443",
            "host.septum.internal:80",
            "example.org",
            "*.example.org:443",
            "any:53/udp",
            "[2001:db8::1]:443/udp",
            "10.0.0.0/8/udp",
        ] {
            assert_eq!(rule(text).to_string(), text);
        }
        assert_eq!(rule("Host.Septum.Internal.:443").to_string(), "host.septum.internal:443");
        assert_eq!(rule("[2001:db8::1]").to_string(), "2001:db8::1");
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        use RuleError::{Bits, Form, Local, Port};
        for (text, error) in [
            ("", Form),
            ("exa mple", Form),
            ("*.", Form),
            ("*", Form),
            ("a.*.b", Form),
            ("*.*.example.org:443", Form),
            ("10.1", Form),
            ("-/icmp", Form),
            ("example.org:", Port),
            ("example.org:0", Port),
            ("example.org:65536", Port),
            ("example.org:http", Port),
            ("example.org:+80", Port),
            ("10.0.0.0/33", Bits),
            ("2001:db8::/129", Bits),
            ("name/8", Form),
            ("127.0.0.1:80", Local),
            ("127.0.0.0/8", Local),
            ("::1", Local),
            ("0.0.0.0", Local),
            ("[::ffff:127.0.0.1]:80", Local),
            ("localhost:80", Local),
            ("[2001:db8::1", Form),
            ("[2001:db8::1]80", Form),
        ] {
            assert_eq!(text.parse::<Rule>(), Err(error), "{text}");
        }
    }

    #[test]
    fn rules_allow_what_they_say() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert!(rule("10.0.0.0/8").allows_address(ip("10.1.2.3")));
        assert!(!rule("10.0.0.0/8").allows_address(ip("11.1.2.3")));
        assert!(!rule("10.0.0.0/8").allows_address(ip("::10.1.2.3")));
        assert!(rule("0.0.0.0/0").allows_address(ip("8.8.8.8")));
        assert!(rule("2001:db8::/32").allows_address(ip("2001:db8:ffff::1")));
        assert!(!rule("2001:db8::/32").allows_address(ip("2001:db9::1")));
        assert!(rule("any").allows_address(ip("8.8.8.8")) && !rule("any").allows_name(HOST_NAME));
        assert!(rule(HOST_NAME).allows_name(HOST_NAME) && !rule(HOST_NAME).allows_name("example.org"));
        let (tcp, udp) = (Protocol::Tcp, Protocol::Udp);
        assert!(rule("any:80").allows_port(tcp, 80) && !rule("any:80").allows_port(tcp, 81));
        assert!(rule("any").allows_port(tcp, 81) && !rule("any").allows_port(udp, 81));
        assert!(rule("any:80/udp").allows_port(udp, 80) && !rule("any:80/udp").allows_port(tcp, 80));
        let below = rule("*.example.org");
        assert!(below.allows_name("a.example.org") && below.allows_name("a.b.example.org"));
        for other in ["example.org", ".example.org", "aexample.org", "a.example.org.net"] {
            assert!(!below.allows_name(other), "{other}");
        }
        assert!(!rule("*.internal").allows_name(HOST_NAME), "the host's name is said as such");
    }

    #[test]
    fn published_ports() {
        let publish = |text: &str| text.parse::<Publish>();
        let of = |host: &str, guest_port| {
            Ok(Publish { host: host.parse().unwrap(), guest_port, protocol: Protocol::Tcp })
        };
        assert_eq!(publish("8080:80"), of("127.0.0.1:8080", 80));
        assert_eq!(publish("80"), of("127.0.0.1:0", 80));
        assert_eq!(publish(":80"), of("127.0.0.1:0", 80));
        assert_eq!(publish("0:80"), of("127.0.0.1:0", 80));
        assert_eq!(publish("0.0.0.0:8080:80"), of("0.0.0.0:8080", 80));
        assert_eq!(publish("[::1]:8080:80/tcp"), of("[::1]:8080", 80));
        assert_eq!(publish("127.0.0.1::80"), of("127.0.0.1:0", 80));
        assert_eq!(publish("53:53/udp").map(|publish| publish.protocol), Ok(Protocol::Udp));
        for text in
            ["", "x:80", "80:x", "80:0", "70000:80", "80/icmp", "80:80/udp/tcp", "::1:80:80", "a:80:80"]
        {
            assert!(publish(text).is_err(), "{text}");
        }
    }

    #[test]
    fn partitions_are_named_with_or_without_the_domain() {
        for (name, is) in [
            ("web", Some("web")),
            ("web.septum.internal", Some("web")),
            ("a.b.septum.internal", Some("a.b")),
            ("host", None),
            (HOST_NAME, None),
            (DOMAIN, None),
            ("web.example.org", None),
        ] {
            assert_eq!(partition(name), is, "{name}");
        }
        for (rule_, name) in [("web", "web.septum.internal"), ("web.septum.internal", "web")] {
            assert!(rule(rule_).allows_name(name), "{rule_} {name}");
        }
        assert!(!rule("host").allows_name(HOST_NAME) && !rule("web").allows_name("web.example.org"));
        let network = Network {
            allow: ["web:80", "web.septum.internal:81", "db", "example.org", "any", HOST_NAME]
                .map(rule)
                .into(),
            hosts: vec!["db:192.0.2.1".parse().unwrap()],
            ..Network::default()
        };
        assert_eq!(network.neighbours(), ["web"]);
        assert!(rule("a.b.septum.internal").allows_partition("a.b") && rule("web").allows_partition("web"));
        for other in ["a.b", "any", "*.b", HOST_NAME] {
            assert!(!rule(other).allows_partition("a.b"), "{other}");
        }
        assert!(is_reachable_name("web-1") && is_reachable_name("a.b"));
        for name in ["Web", "host", "127.1", "a..b", ""] {
            assert!(!is_reachable_name(name), "{name}");
        }
    }

    #[test]
    fn exposed_ports() {
        let tcp = Expose { port: 8000, protocol: Protocol::Tcp };
        assert_eq!(("8000".parse(), "8000/tcp".parse()), (Ok(tcp), Ok(tcp)));
        let udp = Expose { port: 53, protocol: Protocol::Udp };
        assert_eq!("53/udp".parse(), Ok(udp));
        assert_eq!((tcp.to_string(), udp.to_string()), ("8000".to_owned(), "53/udp".to_owned()));
        for text in ["", "0", "65536", "80:80", "x"] {
            assert_eq!(text.parse::<Expose>(), Err(ExposeError), "{text}");
        }
    }
}
