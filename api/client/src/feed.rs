//! Server-Sent Events, one after the other.

use std::marker::PhantomData;

use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use septum_api_types::v1::Problem;
use serde::de::DeserializeOwned;

use crate::no_answer;

/// Bytes of the longest event.
const LONGEST: usize = 1 << 20;

/// What comes, each a `T`.
#[derive(Debug)]
pub struct Feed<T> {
    body: Incoming,
    rest: Vec<u8>,
    kind: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Feed<T> {
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, rest: Vec::new(), kind: PhantomData }
    }

    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or what came is no event.
    pub async fn next(&mut self) -> Result<Option<T>, Problem> {
        let mut looked_at = 0;
        loop {
            let end = self.rest.get(looked_at..).and_then(|new| new.iter().position(|&byte| byte == b'\n'));
            if let Some(end) = end {
                let line: Vec<u8> = self.rest.drain(..=looked_at + end).collect();
                looked_at = 0;
                if let Some(data) = line.strip_prefix(b"data: ") {
                    return serde_json::from_slice(data).map(Some).map_err(no_answer);
                }
                continue;
            }
            looked_at = self.rest.len();
            if self.rest.len() > LONGEST {
                return Err(no_answer("an event is too long"));
            }
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(bytes) = frame.into_data() {
                        self.rest.extend_from_slice(&bytes);
                    }
                }
                Some(Err(error)) => return Err(no_answer(error)),
            }
        }
    }
}
