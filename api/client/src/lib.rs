//! A typed client of the REST API, by its Unix socket.
//!
//! Every failure is a [`Problem`]: the server's own, or one of this side if there was no answer.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod operations;
mod partitions;

use std::path::{Path, PathBuf};

use http_body_util::{BodyExt as _, Full};
use hyper::body::{Bytes, Incoming};
use hyper::{Request, Response, header};
use hyper_util::rt::TokioIo;
use septum_api_types::v1::{CreateToken, Event, NewToken, Problem, ProblemCode, TokenList};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::net::UnixStream;

/// Bytes of the longest event.
const LONGEST_EVENT: usize = 1 << 20;

/// Where the coordinator is.
#[derive(Clone, Debug)]
pub struct Client {
    socket: PathBuf,
}

/// What happens, one after the other.
#[derive(Debug)]
pub struct Events {
    body: Incoming,
    rest: Vec<u8>,
}

fn no_answer(cause: impl std::fmt::Display) -> Problem {
    Problem::new(
        ProblemCode::Unavailable,
        "the coordinator does not answer",
        cause.to_string(),
        "start it: septum serve",
    )
}

impl Client {
    /// By a socket.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        Self { socket: socket.to_owned() }
    }

    async fn send(
        &self,
        method: &str,
        path: &str,
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Problem> {
        self.send_with(method, path, &[], body).await
    }

    /// The same with headers.
    async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Option<Vec<u8>>,
    ) -> Result<Response<Incoming>, Problem> {
        let stream = UnixStream::connect(&self.socket)
            .await
            .map_err(|error| no_answer(format!("'{}': {error}", self.socket.display())))?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
        tokio::spawn(connection);
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, "septum");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if body.is_some() {
            request = request.header(header::CONTENT_TYPE, "application/json");
        }
        let request = request.body(Full::new(Bytes::from(body.unwrap_or_default()))).map_err(no_answer)?;
        let response = sender.send_request(request).await.map_err(no_answer)?;
        if response.status().is_success() {
            return Ok(response);
        }
        let status = response.status();
        let bytes = response.into_body().collect().await.map_err(no_answer)?.to_bytes();
        Err(serde_json::from_slice(&bytes).unwrap_or_else(|_| no_answer(format!("it says {status}"))))
    }

    /// Sends a request, and reads an answer.
    ///
    /// # Errors
    /// What the server says, or that it says nothing.
    async fn ask<T: DeserializeOwned>(
        &self,
        method: &str,
        path: &str,
        body: Option<&(impl Serialize + Sync)>,
    ) -> Result<T, Problem> {
        let body = body.map(serde_json::to_vec).transpose().map_err(no_answer)?;
        let response = self.send(method, path, body).await?;
        let bytes = response.into_body().collect().await.map_err(no_answer)?.to_bytes();
        serde_json::from_slice(&bytes).map_err(|error| no_answer(format!("its answer is strange: {error}")))
    }

    /// Makes a token.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn create_token(&self, create: &CreateToken) -> Result<NewToken, Problem> {
        self.ask("POST", "/v1/tokens", Some(create)).await
    }

    /// Lists tokens.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn tokens(&self) -> Result<TokenList, Problem> {
        self.ask("GET", "/v1/tokens", None::<&()>).await
    }

    /// Revokes a token, by its identifier: hexadecimal digits.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), Problem> {
        // Of anything else, nothing is part of a path.
        let id: String = id.chars().filter(char::is_ascii_alphanumeric).collect();
        self.send("DELETE", &format!("/v1/tokens/{id}"), None).await.map(|_| ())
    }

    /// What happens: after an event, or from now on; with `follow` until the connection ends.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn events(&self, after: Option<u64>, follow: bool) -> Result<Events, Problem> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let response = self.send("GET", &format!("/v1/events?follow={follow}{after}"), None).await?;
        Ok(Events { body: response.into_body(), rest: Vec::new() })
    }
}

impl Events {
    /// The next one; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or what came is no event.
    pub async fn next(&mut self) -> Result<Option<Event>, Problem> {
        loop {
            if let Some(end) = self.rest.iter().position(|&byte| byte == b'\n') {
                let line: Vec<u8> = self.rest.drain(..=end).collect();
                if let Some(data) = line.strip_prefix(b"data: ") {
                    return serde_json::from_slice(data).map(Some).map_err(no_answer);
                }
                continue;
            }
            if self.rest.len() > LONGEST_EVENT {
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
