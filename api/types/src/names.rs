//! Names that a partition is told: some with addresses, and who is asked for the others.
//!
//! ```text
//! host entry   NAME:ADDRESS | NAME:host-gateway
//! nameserver   ADDRESS | ADDRESS:PORT | [ADDRESS]:PORT
//! ```

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::network::{is_internal, is_name};

/// What Docker calls the host's address as its containers see it.
const GATEWAY: &str = "host-gateway";
/// The port of nameservers.
const DNS: u16 = 53;

/// A name with an address.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostEntry {
    /// The name, in lower case.
    pub name: String,
    /// The address; none is the host, as `host.septum.internal` is.
    pub address: Option<IpAddr>,
}

/// A text is no host entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum HostEntryError {
    /// It has not the form of one.
    #[error("is not a name and an address; expected NAME:ADDRESS or NAME:host-gateway")]
    Form,
    /// It is a name that has a meaning.
    #[error("is a name below 'septum.internal', which are Septum's own")]
    Internal,
}

impl FromStr for HostEntry {
    type Err = HostEntryError;

    fn from_str(text: &str) -> Result<Self, HostEntryError> {
        let (name, address) = text.split_once(':').ok_or(HostEntryError::Form)?;
        let name = name.strip_suffix('.').unwrap_or(name).to_ascii_lowercase();
        if !is_name(&name) || name.parse::<IpAddr>().is_ok() {
            return Err(HostEntryError::Form);
        }
        if is_internal(&name) {
            return Err(HostEntryError::Internal);
        }
        let bare = address.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(address);
        let address = match bare {
            GATEWAY => None,
            bare => Some(bare.parse::<IpAddr>().map_err(|_| HostEntryError::Form)?.to_canonical()),
        };
        Ok(Self { name, address })
    }
}

/// Who is asked for names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Nameserver(pub SocketAddr);

/// A text is no nameserver.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("is not the address of a nameserver; expected ADDRESS, or ADDRESS:PORT ([ADDRESS]:PORT of IPv6)")]
pub struct NameserverError;

impl FromStr for Nameserver {
    type Err = NameserverError;

    fn from_str(text: &str) -> Result<Self, NameserverError> {
        if let Ok(ip) = text.parse::<IpAddr>() {
            return Ok(Self(SocketAddr::new(ip, DNS)));
        }
        let place = text.parse::<SocketAddr>().map_err(|_| NameserverError)?;
        if place.port() == 0 { Err(NameserverError) } else { Ok(Self(place)) }
    }
}

impl fmt::Display for Nameserver {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_addresses() {
        let entry = |text: &str| text.parse::<HostEntry>();
        let is = |name: &str, ip: &str| Ok(HostEntry { name: name.to_owned(), address: ip.parse().ok() });
        assert_eq!(entry("DB.:10.0.0.1"), is("db", "10.0.0.1"));
        assert_eq!(entry("db:2001:db8::1"), is("db", "2001:db8::1"));
        assert_eq!(entry("db:[2001:db8::1]"), is("db", "2001:db8::1"));
        assert_eq!(entry("db:host-gateway"), is("db", ""));
        for text in ["", "db", "db:", ":1.2.3.4", "a b:1.2.3.4", "db:1.2.3", "1.2.3.4:1.2.3.4"] {
            assert_eq!(entry(text), Err(HostEntryError::Form), "{text}");
        }
        assert_eq!(entry("x.septum.internal:1.2.3.4"), Err(HostEntryError::Internal));
    }

    #[test]
    fn nameservers() {
        let server = |text: &str| text.parse::<Nameserver>().map(|server| server.to_string());
        assert_eq!(server("192.0.2.1"), Ok("192.0.2.1:53".to_owned()));
        assert_eq!(server("127.0.0.1:5353"), Ok("127.0.0.1:5353".to_owned()));
        assert_eq!(server("::1"), Ok("[::1]:53".to_owned()));
        assert_eq!(server("[::1]:5353"), Ok("[::1]:5353".to_owned()));
        for text in ["", "dns.example.org", "1.2.3.4:", "1.2.3.4:0"] {
            assert_eq!(server(text), Err(NameserverError), "{text}");
        }
    }
}
