//! The streams of a nested host: two that are copied, one that says how things are.
//!
//! Each stream has a thread that reads it to its end, so the nested host never waits for us longer than
//! our own standard output makes us wait. The copied streams close with a marker, because the order
//! between a stream's last bytes and the control port's last line is not otherwise known.

use std::io::{self, BufRead as _, BufReader, Read, Write};
use std::os::unix::net::UnixListener;
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::{Duration, Instant};

/// What ends a copied stream. No program is expected to print it.
pub const END_MARKER: &str = "\u{1}septum-nested-end-of-stream\u{4}";

/// Something that happened in the nested host.
pub enum Event {
    /// It lives.
    Progress,
    /// The command ended with this status.
    Exit(u8),
    /// Nobody reads one of our own output streams any more.
    OutputClosed,
}

enum Message {
    Event(Event),
    StreamEnd,
}

/// The three ports, being read.
pub struct Streams {
    messages: Receiver<Message>,
    open_streams: usize,
}

impl Streams {
    /// Starts to read the three ports; the emulator connects to them.
    pub fn listen(out: UnixListener, err: UnixListener, control: UnixListener) -> Self {
        let (sender, messages) = mpsc::channel();
        spawn_copy(out, io::stdout(), sender.clone());
        spawn_copy(err, io::stderr(), sender.clone());
        thread::spawn(move || {
            let Ok((socket, _)) = control.accept() else { return };
            for line in BufReader::new(socket).lines().map_while(Result::ok) {
                let status = line.trim().strip_prefix("exit ").and_then(|status| status.parse().ok());
                let event = status.map_or(Event::Progress, Event::Exit);
                if sender.send(Message::Event(event)).is_err() {
                    return;
                }
            }
        });
        Self { messages, open_streams: 2 }
    }

    /// The next event, if one comes within this time.
    pub fn next(&mut self, wait: Duration) -> Option<Event> {
        match self.messages.recv_timeout(wait) {
            Ok(Message::Event(event)) => Some(event),
            Ok(Message::StreamEnd) => {
                self.open_streams = self.open_streams.saturating_sub(1);
                None
            }
            Err(mpsc::RecvTimeoutError::Timeout) => None,
            Err(mpsc::RecvTimeoutError::Disconnected) => {
                thread::sleep(wait);
                None
            }
        }
    }

    /// Waits until both copied streams have ended. A process that the command left behind may hold them
    /// open; they are given up after `limit`.
    pub fn drain(&mut self, limit: Duration) {
        let deadline = Instant::now() + limit;
        while self.open_streams > 0 && Instant::now() < deadline {
            let _ = self.next(Duration::from_millis(50));
        }
    }
}

fn spawn_copy(listener: UnixListener, mut destination: impl Write + Send + 'static, sender: Sender<Message>) {
    thread::spawn(move || {
        if let Ok((socket, _)) = listener.accept()
            && copy_to_marker(socket, &mut destination).is_err()
        {
            let _ = sender.send(Message::Event(Event::OutputClosed));
        }
        let _ = sender.send(Message::StreamEnd);
    });
}

/// Copies up to the end marker, holding back only what may be its beginning.
fn copy_to_marker(mut source: impl Read, destination: &mut impl Write) -> io::Result<()> {
    let marker = END_MARKER.as_bytes();
    let mut buffer = vec![0; 64 * 1024];
    let mut held = Vec::new();
    loop {
        let length = source.read(&mut buffer)?;
        held.extend_from_slice(buffer.get(..length).unwrap_or_default());
        let end = held.windows(marker.len()).position(|window| window == marker);
        let ready =
            if length == 0 { held.len() } else { end.unwrap_or_else(|| held.len() - marker_start(&held)) };
        let ready: Vec<u8> = held.drain(..ready).collect();
        destination.write_all(&ready)?;
        destination.flush()?;
        if length == 0 || end.is_some() {
            return Ok(());
        }
    }
}

/// How many of the last bytes may be the beginning of the marker.
fn marker_start(bytes: &[u8]) -> usize {
    let marker = END_MARKER.as_bytes();
    (1..marker.len())
        .rev()
        .find(|&length| marker.get(..length).is_some_and(|head| bytes.ends_with(head)))
        .unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Delivers one byte a call, the hardest case for a marker.
    struct Trickle<'a>(&'a [u8]);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some((first, rest)) = self.0.split_first() else { return Ok(0) };
            buffer[0] = *first;
            self.0 = rest;
            Ok(1)
        }
    }

    fn copied(input: &[u8]) -> Vec<u8> {
        let mut output = Vec::new();
        copy_to_marker(Trickle(input), &mut output).unwrap();
        output
    }

    #[test]
    fn the_marker_ends_the_stream_and_is_not_copied() {
        assert_eq!(copied(format!("hello{END_MARKER}rest").as_bytes()), b"hello");
        assert_eq!(copied(END_MARKER.as_bytes()), b"");
    }

    #[test]
    fn what_only_looks_like_the_marker_is_copied() {
        let near = &END_MARKER[..END_MARKER.len() - 1];
        assert_eq!(copied(format!("{near}!{near}").as_bytes()), format!("{near}!{near}").as_bytes());
        assert_eq!(copied(b"\x01\x01\x01"), b"\x01\x01\x01");
    }
}
