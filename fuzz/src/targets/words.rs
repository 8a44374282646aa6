//! What is read as text.

use std::str::FromStr;

use septum_api_types::disk::Disk;
use septum_api_types::duration::Span;
use septum_api_types::network::{Protocol, Publish, Rule};
use septum_api_types::restart::Restart;
use septum_api_types::signal::Signal;
use septum_api_types::size::Size;
use septum_api_types::volume::Volume;
use septum_images::Reference;
use septum_netproxy::policy::Policy;
use septum_registry::control::{self, Answer, Reader, Request};
use septum_registry::record::Record;

use crate::bytes::Bytes;

/// Frames in pieces of any size.
pub(super) fn frames(input: &[u8]) {
    let mut bytes = Bytes::new(input);
    let size = usize::from(bytes.byte()).max(1);
    let is_request = bytes.byte() & 1 == 0;
    let mut reader = Reader::default();
    while !bytes.is_empty() {
        reader.add(bytes.take(size), Vec::new());
        let goes_on = if is_request {
            reader.take::<Request>().map(|_| ())
        } else {
            reader.take::<Answer>().map(|_| ())
        };
        if goes_on.is_err() {
            break;
        }
    }
    if let Ok(record) = serde_json::from_slice::<Record>(input) {
        let text = serde_json::to_vec(&record).unwrap();
        assert_eq!(
            serde_json::from_slice::<Record>(&text).unwrap(),
            record,
            "a record is read as it was written"
        );
    }
}

pub(super) fn frame_seeds() -> Vec<Vec<u8>> {
    let requests = [
        Request::Stop { seconds: Some(10) },
        Request::Kill,
        Request::Signal(Signal::TERM),
        Request::Pause,
        Request::Wait,
        Request::Attach,
    ];
    let mut seeds: Vec<Vec<u8>> = Vec::new();
    for request in requests {
        seeds.push([&[7, 0][..], &control::frame(&request).unwrap()].concat());
    }
    seeds.push([&[200, 1][..], &control::frame(&Answer::Ended(3)).unwrap()].concat());
    seeds
}

fn same<T: FromStr + ToString>(text: &str) {
    if let Ok(value) = text.parse::<T>() {
        let shown = value.to_string();
        let again = shown.parse::<T>().map(|value| value.to_string());
        assert!(
            again.is_ok_and(|again| again == shown),
            "'{text}' is shown as '{shown}', which is not read as that"
        );
    }
}

/// What is typed. What is shown is read as the same again.
pub(super) fn options(input: &[u8]) {
    let _ = (Volume::parse(input), Disk::parse(input));
    let Ok(text) = std::str::from_utf8(input) else { return };
    let _ = text.parse::<Publish>();
    same::<Size>(text);
    same::<Span>(text);
    same::<Rule>(text);
    same::<Restart>(text);
    same::<Signal>(text);
    same::<Reference>(text);
    if let Ok(rule) = text.parse::<Rule>() {
        let policy = Policy::new(vec![rule]);
        for to in [
            "127.0.0.1:80",
            "[::1]:80",
            "169.254.169.254:80",
            "[fe80::1]:80",
            "0.0.0.0:80",
            "[::ffff:127.0.0.1]:80",
        ] {
            let decided = policy.decide(Protocol::Tcp, to.parse().unwrap(), &[], |_| None, |_| false);
            assert!(decided.is_err(), "'{text}' leads to {to}");
        }
    }
}

pub(super) fn option_seeds() -> Vec<Vec<u8>> {
    [
        "512M",
        "1.5G",
        "30s",
        "1h30m",
        "10.0.0.0/8:443",
        "[2001:db8::/32]:1-2",
        "any",
        "host.septum.internal:5432",
        "127.0.0.1:8080:80/tcp",
        "8080:80",
        "on-failure:3",
        "SIGRTMIN+3",
        "always",
        "debian:12",
        "sha256:0123abcd",
        "/a:/b:ro",
        "disk.img:ro",
        "example.org:443",
        "*.example.org",
    ]
    .into_iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}
