//! A coordinator of a test's own, and what a client says to it: HTTP by hand, so that nothing of the product checks itself.

use std::os::unix::net::UnixStream;
use std::thread::sleep;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::{Host, Invocation, Running, Sink};

/// How long something may be waited for.
const PATIENCE: Duration = Duration::from_secs(60);

/// An answer.
#[derive(Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The head, as it came.
    pub head: String,
    /// The body.
    pub body: String,
}

impl Answer {
    /// The body as JSON.
    ///
    /// # Panics
    /// It is none.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// A text of the body, by its place.
    #[track_caller]
    pub fn text(&self, pointer: &str) -> String {
        let json = self.json();
        let value = json.pointer(pointer).unwrap_or_else(|| panic!("no {pointer} in {json}"));
        value.as_str().map_or_else(|| value.to_string(), str::to_owned)
    }

    /// A header, by its name in small letters.
    pub fn header(&self, name: &str) -> Option<&str> {
        let lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.into_iter().find(|(key, _)| key.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Fails the test unless the status is this one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{self:?}");
        self
    }
}

/// `septum serve` of a host, until it is dropped.
pub struct Serving<'a> {
    host: &'a Host,
    process: Running,
}

impl<'a> Serving<'a> {
    /// Starts it, and waits until it answers.
    ///
    /// # Panics
    /// It does not.
    #[track_caller]
    pub fn start(host: &'a Host) -> Self {
        Self::start_with(host, &[])
    }

    /// The same with options.
    #[track_caller]
    pub fn start_with(host: &'a Host, options: &[&str]) -> Self {
        Self::start_as(host, host.septum(&[&["serve"], options].concat()))
    }

    /// The same of a command line of one's own, of `host`.
    #[track_caller]
    pub fn start_as(host: &'a Host, septum: Invocation) -> Self {
        let process = septum.stderr(Sink::File(host.place.join("serve.log")));
        let process = process.deadline(PATIENCE * 4).spawn();
        let mut serving = Self { host, process };
        let end = Instant::now() + PATIENCE;
        while serving.try_ask("GET", "/v1/health", &[], "").is_none() {
            assert!(Instant::now() < end && !serving.process.has_ended(), "it does not serve");
            sleep(Duration::from_millis(5));
        }
        serving
    }

    /// Its process.
    pub fn pid(&self) -> rustix::process::Pid {
        self.process.pid()
    }

    /// The Unix socket.
    pub fn socket(&self) -> std::path::PathBuf {
        self.host.place.join("run/septum.sock")
    }

    /// A connection.
    ///
    /// # Errors
    /// Nobody listens.
    pub fn connect(&self) -> std::io::Result<UnixStream> {
        UnixStream::connect(self.socket())
    }

    /// Sends a request; `None` if there is no answer.
    pub fn try_ask(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Option<Answer> {
        exchange(self.connect().ok()?, method, path, headers, body)
    }

    /// Sends a request by a connection of any kind.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn ask_by(
        &self,
        stream: impl std::io::Read + std::io::Write,
        method: &str,
        path: &str,
        headers: &[&str],
        body: &str,
    ) -> Answer {
        exchange(stream, method, path, headers, body)
            .unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// Where it listens for TCP: what it has said.
    ///
    /// # Panics
    /// It has not.
    #[track_caller]
    pub fn tcp_address(&self) -> std::net::SocketAddr {
        let text = std::fs::read_to_string(self.host.place.join("serve.log")).expect("it says something");
        let address = text.lines().find_map(|line| line.split_once("://"));
        address.expect("an address").1.trim().parse().expect("an address")
    }

    /// Sends a request.
    ///
    /// # Panics
    /// There is no answer.
    #[track_caller]
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Answer {
        self.ask_with(method, path, &[], body)
    }

    /// Sends a request with headers.
    #[track_caller]
    pub fn ask_with(&self, method: &str, path: &str, headers: &[&str], body: &str) -> Answer {
        self.try_ask(method, path, headers, body).unwrap_or_else(|| panic!("no answer to {method} {path}"))
    }

    /// Waits until a partition is in a state.
    ///
    /// # Panics
    /// It never is.
    #[track_caller]
    pub fn wait_for(&self, partition: &str, state: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let answer = self.ask("GET", &format!("/v1/partitions/{partition}"), "");
            if answer.status == 200 && answer.text("/state/is") == state {
                return;
            }
            assert!(Instant::now() < end, "not {state}: {answer:?}");
            sleep(Duration::from_millis(10));
        }
    }

    /// Kills it, as the host's kernel would if memory ran out.
    ///
    /// # Panics
    /// It cannot be killed.
    pub fn kill(self) {
        self.process.signal(rustix::process::Signal::KILL);
        drop(self.process.wait());
    }
}

fn exchange(
    mut stream: impl std::io::Read + std::io::Write,
    method: &str,
    path: &str,
    headers: &[&str],
    body: &str,
) -> Option<Answer> {
    let mut head = format!("{method} {path} HTTP/1.1\r\nhost: septum\r\nconnection: close\r\n");
    if !body.is_empty() {
        head += &format!("content-type: application/json\r\ncontent-length: {}\r\n", body.len());
    }
    headers.iter().for_each(|header| head += &format!("{header}\r\n"));
    // A server may have answered, and gone, before it has read everything.
    let _ = stream.write_all(format!("{head}\r\n{body}").as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    parse(&String::from_utf8_lossy(&answer))
}

/// Head and body, which may come in chunks.
fn parse(text: &str) -> Option<Answer> {
    let (head, rest) = text.split_once("\r\n\r\n")?;
    let status = head.split(' ').nth(1)?.parse().ok()?;
    let mut body = rest.to_owned();
    if head.to_ascii_lowercase().contains("transfer-encoding: chunked") {
        (body, _) = (String::new(), ());
        let mut left = rest;
        while let Some((length, after)) = left.split_once("\r\n") {
            let length = usize::from_str_radix(length, 16).ok()?;
            if length == 0 {
                break;
            }
            body += after.get(..length)?;
            left = after.get(length + 2..)?;
        }
    }
    Some(Answer { status, head: head.to_owned(), body })
}
