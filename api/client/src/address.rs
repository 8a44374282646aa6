//! Where a coordinator is: what people write, and what it means.

use std::path::PathBuf;

use hyper::Uri;

/// The port of those who do not say one: what the documentation serves on.
const USUAL_PORT: u16 = 7443;

/// Where a coordinator is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Address {
    /// A socket of this host.
    Unix(PathBuf),
    /// By TCP.
    Tcp {
        /// A name or an address.
        host: String,
        /// The port.
        port: u16,
        /// Whether it is encrypted; else it must be this host.
        is_tls: bool,
    },
}

impl std::fmt::Display for Address {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Unix(path) => write!(out, "unix:{}", path.display()),
            Self::Tcp { host, port, is_tls } => {
                let scheme = if *is_tls { "https" } else { "http" };
                // An IPv6 address.
                if host.contains(':') {
                    write!(out, "{scheme}://[{host}]:{port}")
                } else {
                    write!(out, "{scheme}://{host}:{port}")
                }
            }
        }
    }
}

impl std::str::FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected unix:PATH, https://HOST[:PORT] or http://HOST[:PORT]";
        if let Some(path) = text.strip_prefix("unix:") {
            let path = path.strip_prefix("//").unwrap_or(path);
            return match path {
                "" => Err(format!("is no address: the path is missing; {expected}")),
                path => Ok(Self::Unix(path.into())),
            };
        }
        let is_tls = match text.split_once("://") {
            Some(("https", _)) => true,
            Some(("http", _)) => false,
            _ => return Err(format!("is no address; {expected}")),
        };
        let uri: Uri = text.parse().map_err(|error| format!("is no address: {error}; {expected}"))?;
        let authority = uri.authority().map(hyper::http::uri::Authority::as_str).unwrap_or_default();
        if authority.contains('@') {
            return Err("is no address: a token is given apart from it".to_owned());
        }
        if !matches!(uri.path_and_query().map(|it| it.as_str()), None | Some("" | "/")) {
            return Err(format!("is no address: nothing may follow the port; {expected}"));
        }
        let host = uri.host().unwrap_or_default();
        let host = host.strip_prefix('[').and_then(|it| it.strip_suffix(']')).unwrap_or(host);
        if host.is_empty() {
            return Err(format!("is no address: the host is missing; {expected}"));
        }
        let port = match (uri.port_u16(), authority.rsplit_once(']').map_or(authority, |(_, rest)| rest)) {
            (Some(port), _) => port,
            (None, rest) if rest.contains(':') => return Err("is no address: its port is none".to_owned()),
            (None, _) => USUAL_PORT,
        };
        Ok(Self::Tcp { host: host.to_owned(), port, is_tls })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tcp(host: &str, port: u16, is_tls: bool) -> Result<Address, String> {
        Ok(Address::Tcp { host: host.to_owned(), port, is_tls })
    }

    #[test]
    fn addresses() {
        let parsed = |text: &str| text.parse::<Address>();
        assert_eq!(parsed("unix:/run/a.sock"), Ok(Address::Unix("/run/a.sock".into())));
        assert_eq!(parsed("unix:///run/a.sock"), Ok(Address::Unix("/run/a.sock".into())));
        assert_eq!(parsed("https://example.org"), tcp("example.org", 7443, true));
        assert_eq!(parsed("http://127.0.0.1:80/"), tcp("127.0.0.1", 80, false));
        assert_eq!(parsed("https://[::1]:7"), tcp("::1", 7, true));
        assert_eq!(parsed("https://[::1]"), tcp("::1", 7443, true));
        for text in ["unix:/a", "https://a:1", "http://[::1]:2"] {
            assert_eq!(parsed(text).unwrap().to_string(), text);
        }
        for text in [
            "",
            "a",
            "unix:",
            "unix://",
            "ftp://a",
            "https://",
            "https://a:b",
            "https://a:99999",
            "https://a:",
            "https://u:p@a",
            "https://a/x",
            "https://a?x",
            "https://a b",
            "//a",
            "tcp://a:1",
        ] {
            assert!(parsed(text).is_err(), "{text}: {:?}", parsed(text));
        }
    }
}
