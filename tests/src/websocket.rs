//! A WebSocket (RFC 6455) by hand, so that nothing of the product checks itself.

use std::io::{Read, Write};

use serde_json::Value;

/// A key that is no secret, and what its server answers.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// A message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// JSON.
    Text(Value),
    /// The first byte, and the others.
    Binary(u8, Vec<u8>),
    /// The end, with its code.
    Close(u16),
}

/// One, by any connection.
#[derive(Debug)]
pub struct WebSocket<S> {
    stream: S,
}

/// What a program said, until its last word and the end of the connection.
#[derive(Clone, Debug, Default)]
pub struct Heard {
    /// To standard output.
    pub output: Vec<u8>,
    /// To standard error.
    pub errors: Vec<u8>,
    /// The server's last word.
    pub last: Value,
    /// How it was closed; 0: not at all.
    pub code: u16,
}

impl Heard {
    /// Standard output as text.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.output).into_owned()
    }

    /// Fails the test unless the program ended with this status, and all was said properly.
    #[track_caller]
    pub fn expect(&self, status: u8) -> &Self {
        let shown = (&self.last, self.code, self.text(), String::from_utf8_lossy(&self.errors));
        assert!(
            self.last["is"] == "ended" && self.last["status"] == status && self.code == 1000,
            "{shown:?}"
        );
        self
    }
}

impl<S: Read + Write> WebSocket<S> {
    /// Asks for one; what is said instead, if there is none.
    ///
    /// # Errors
    /// Status and body of the answer.
    ///
    /// # Panics
    /// There is no answer.
    pub fn open(mut stream: S, path: &str, headers: &[&str]) -> Result<Self, (u16, String)> {
        let mut head = format!(
            "GET {path} HTTP/1.1\r\nhost: septum\r\nconnection: Upgrade\r\nupgrade: websocket\r\n\
             sec-websocket-version: 13\r\nsec-websocket-key: {KEY}\r\n"
        );
        headers.iter().for_each(|header| head += &format!("{header}\r\n"));
        stream.write_all(format!("{head}\r\n").as_bytes()).expect("it listens");
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).expect("an answer");
            answer.push(byte[0]);
        }
        let answer = String::from_utf8(answer).expect("text").to_ascii_lowercase();
        let status = answer.split(' ').nth(1).and_then(|status| status.parse().ok()).expect("a status");
        if status != 101 {
            let length = answer.split("content-length: ").nth(1).and_then(|rest| rest.split("\r\n").next());
            let mut body = vec![0; length.and_then(|length| length.parse().ok()).unwrap_or(0)];
            stream.read_exact(&mut body).expect("a body");
            return Err((status, String::from_utf8_lossy(&body).into_owned()));
        }
        assert!(answer.contains(&ACCEPT.to_ascii_lowercase()), "{answer}");
        Ok(Self { stream })
    }

    /// By a connection that is one already: another handle of it, say.
    pub fn over(stream: S) -> Self {
        Self { stream }
    }

    /// The connection.
    pub fn stream(&mut self) -> &mut S {
        &mut self.stream
    }

    /// Sends a frame of any kind; false if nobody reads.
    pub fn send(&mut self, opcode: u8, payload: &[u8]) -> bool {
        let mut frame = vec![0x80 | opcode];
        match payload.len() {
            length @ 0..126 => frame.push(0x80 | u8::try_from(length).expect("small")),
            length @ 126..0x1_0000 => {
                frame.push(0x80 | 126);
                frame.extend(u16::try_from(length).expect("small").to_be_bytes());
            }
            length => {
                frame.push(0x80 | 127);
                frame.extend(u64::try_from(length).expect("small").to_be_bytes());
            }
        }
        frame.extend(MASK);
        frame.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        self.stream.write_all(&frame).is_ok()
    }

    /// Says something.
    pub fn say(&mut self, text: &str) -> bool {
        self.send(1, text.as_bytes())
    }

    /// Gives the program input.
    pub fn input(&mut self, bytes: &[u8]) -> bool {
        self.send(2, &[&[0], bytes].concat())
    }

    fn bytes(&mut self, length: usize) -> Option<Vec<u8>> {
        let mut bytes = vec![0; length];
        self.stream.read_exact(&mut bytes).ok()?;
        Some(bytes)
    }

    /// The next message; `None` at the end.
    ///
    /// # Panics
    /// What comes is none.
    pub fn message(&mut self) -> Option<Message> {
        let head = self.bytes(2)?;
        assert!(head[0] & 0x80 != 0 && head[1] & 0x80 == 0, "a whole message without a mask: {head:?}");
        let length = match head[1] {
            126 => u64::from(u16::from_be_bytes(self.bytes(2)?.try_into().ok()?)),
            127 => u64::from_be_bytes(self.bytes(8)?.try_into().ok()?),
            length => length.into(),
        };
        let payload = self.bytes(usize::try_from(length).expect("small"))?;
        Some(match head[0] & 0xf {
            1 => Message::Text(serde_json::from_slice(&payload).expect("JSON")),
            2 => Message::Binary(payload[0], payload[1..].to_vec()),
            8 => Message::Close(payload.first_chunk().map_or(1005, |code| u16::from_be_bytes(*code))),
            other => panic!("a frame of kind {other}"),
        })
    }

    /// Everything until the end, and closes.
    pub fn hear(&mut self) -> Heard {
        self.hear_until(|_| false)
    }

    /// Everything until something is so, or the end.
    pub fn hear_until(&mut self, is_enough: impl Fn(&Heard) -> bool) -> Heard {
        let mut heard = Heard::default();
        while !is_enough(&heard) {
            match self.message() {
                Some(Message::Binary(1, bytes)) => heard.output.extend(bytes),
                Some(Message::Binary(_, bytes)) => heard.errors.extend(bytes),
                Some(Message::Text(word)) if word["is"] == "took" => {}
                Some(Message::Text(word)) => heard.last = word,
                Some(Message::Close(code)) => {
                    heard.code = code;
                    self.send(8, &code.to_be_bytes());
                }
                None => break,
            }
        }
        heard
    }
}
