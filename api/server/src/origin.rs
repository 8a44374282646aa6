//! Requests that a browser makes because of somebody else's page.
//!
//! By the Unix socket nobody needs a token: whoever may connect is the owner. A proxy in front of it, such as `ssh -L 8080:…/septum.sock`, lets
//! browsers in, and any page of the world can have a browser ask `http://localhost:8080`, or by a name of its own that leads there (DNS
//! rebinding). Both are told from the owner's own requests by what browsers say of them. By TCP the token is what such a page does not have.

use std::net::IpAddr;

use axum::http::{HeaderMap, header};

/// Whether a request comes from no page, or from one that this server gave.
pub fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or("\u{fffd}"));
    let host = text(header::HOST.as_str()).unwrap_or_default();
    // Browsers say it to servers on this machine, and to those with TLS.
    if let Some(site) = text("sec-fetch-site") {
        return matches!(site, "same-origin" | "none");
    }
    if let Some(origin) = text(header::ORIGIN.as_str())
        && origin.split_once("://").is_none_or(|(_, place)| !place.eq_ignore_ascii_case(host))
    {
        return false;
    }
    is_local(host)
}

/// Whether a host's name is none that anybody can have lead to this machine: an address, `localhost`, or a single word.
fn is_local(host: &str) -> bool {
    let bare = host
        .rsplit_once(':')
        .map_or(host, |(name, port)| if port.bytes().all(|it| it.is_ascii_digit()) { name } else { host });
    let is_address = bare.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>().is_ok();
    is_address || !bare.contains('.') || bare.ends_with(".localhost")
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderValue;

    fn with(pairs: &[(&'static str, &'static str)]) -> HeaderMap {
        pairs.iter().map(|(key, value)| (key.parse().unwrap(), HeaderValue::from_static(value))).collect()
    }

    #[test]
    fn clients_and_the_own_page_are_served() {
        for headers in [
            &[][..],
            &[("host", "septum")],
            &[("host", "localhost:8080")],
            &[("host", "127.0.0.1")],
            &[("host", "[::1]:80")],
            &[("host", "::1")],
            &[("host", "a.localhost:80")],
            &[("host", "localhost:8080"), ("origin", "http://localhost:8080")],
            // A proxy with TLS and a name of its own.
            &[("host", "septum.example.org"), ("sec-fetch-site", "same-origin")],
            &[("host", "localhost"), ("sec-fetch-site", "none")],
        ] {
            assert!(is_own(&with(headers)), "{headers:?}");
        }
    }

    #[test]
    fn pages_of_others_are_not() {
        for headers in [
            &[("host", "localhost:8080"), ("sec-fetch-site", "cross-site")][..],
            &[("host", "localhost:8080"), ("sec-fetch-site", "same-site")],
            &[("host", "localhost:8080"), ("sec-fetch-site", "")],
            &[("host", "localhost:8080"), ("origin", "http://evil.example")],
            &[("host", "localhost:8080"), ("origin", "http://localhost:9090")],
            &[("host", "localhost:8080"), ("origin", "null")],
            &[("host", "evil.example:8080")],
            &[("host", "evil.example:8080"), ("origin", "http://evil.example:8080")],
            &[("host", "127.0.0.1.evil.example")],
        ] {
            assert!(!is_own(&with(headers)), "{headers:?}");
        }
    }
}
