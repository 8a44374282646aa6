//! A typed client of the REST API: by its Unix socket, by TCP to this host, or by TLS.
//!
//! ```text
//!   Client ─► Way: a connection for each request ─► answer, Feed (Server-Sent Events), Speaker and Listener (a WebSocket)
//! ```
//!
//! Every failure is a [`Problem`]: the server's own, or one of this side if there was no answer. A token is sent by TLS, to this host's
//! loopback addresses, and nowhere else.
#![forbid(unsafe_code)]
#![warn(missing_docs)]

mod address;
mod connect;
mod feed;
mod files;
mod operations;
mod partitions;
mod resources;
mod session;

use std::path::Path;

use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::header::HeaderValue;
use hyper::{Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use septum_api_types::v1::{CreateToken, Event, NewToken, Problem, ProblemCode, TokenList};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

pub use address::Address;
pub use feed::Feed;
pub use files::{Archive, Pieces};
pub use hyper::body::Bytes;
pub use partitions::LogPart;
pub use session::{Listener, Said, Speaker};

use connect::Way;

/// Bytes of the longest answer that is read as a whole.
const LONGEST_ANSWER: usize = 64 << 20;

/// What is sent.
type Payload = UnsyncBoxBody<Bytes, std::io::Error>;

/// A coordinator, and who asks it.
#[derive(Clone)]
pub struct Client {
    way: Way,
    /// `Bearer TOKEN`.
    authorization: Option<HeaderValue>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A token is nobody's to read.
        out.debug_struct("Client").field("way", &self.way).finish_non_exhaustive()
    }
}

/// What to tell if there is no answer, or none that can be understood.
fn no_answer(cause: impl std::fmt::Display) -> Problem {
    Problem::new(
        ProblemCode::Unavailable,
        "the coordinator does not answer",
        cause.to_string(),
        "see whether it runs (septum serve), and in the same version",
    )
}

impl Client {
    /// By a socket of this host.
    #[must_use]
    pub fn new(socket: &Path) -> Self {
        // Without TLS there is nothing that could fail.
        let way = Way::plain(Address::Unix(socket.to_owned()));
        Self { way, authorization: None }
    }

    /// At an address, with a token, trusting those in a PEM file instead of those whom this host trusts.
    ///
    /// # Errors
    /// The file cannot be used, or the token is none.
    pub fn at(address: Address, token: Option<&str>, ca: Option<&Path>) -> Result<Self, Problem> {
        let authorization = token.map(|token| {
            HeaderValue::from_str(&format!("Bearer {}", token.trim())).map(|mut value| {
                value.set_sensitive(true);
                value
            })
        });
        let authorization = authorization.transpose().map_err(|_| {
            Problem::new(
                ProblemCode::Invalid,
                format!("cannot talk to the coordinator at {address}"),
                "the token is none",
                "make one on that host: septum token create",
            )
        })?;
        Ok(Self { way: Way::to(address, ca)?, authorization })
    }

    /// Where it is.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.way.address
    }

    /// Sends a request; what is no success is a problem.
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
        let json = body.is_some().then_some((header::CONTENT_TYPE.as_str(), "application/json"));
        let headers: Vec<_> = headers.iter().copied().chain(json).collect();
        let body = Full::new(Bytes::from(body.unwrap_or_default()));
        self.send_body(method, path, &headers, body.map_err(|never| match never {}).boxed_unsync()).await
    }

    /// The same with a body of any kind.
    async fn send_body(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Payload,
    ) -> Result<Response<Incoming>, Problem> {
        let stream = self.way.connect().await?;
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(no_answer)?;
        let connection = tokio::spawn(connection.with_upgrades());
        let host = match &self.way.address {
            Address::Unix(_) => "septum".to_owned(),
            Address::Tcp { host, port, .. } if host.contains(':') => format!("[{host}]:{port}"),
            Address::Tcp { host, port, .. } => format!("{host}:{port}"),
        };
        let mut request = Request::builder().method(method).uri(path).header(header::HOST, host);
        if let Some(authorization) = &self.authorization {
            request = request.header(header::AUTHORIZATION, authorization);
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).map_err(no_answer)?;
        let response = sender.send_request(request).await.map_err(no_answer)?;
        let status = response.status();
        if status.is_success() || status == StatusCode::SWITCHING_PROTOCOLS {
            return Ok(response);
        }
        let bytes = whole(response).await;
        // What was still to be sent is not wanted.
        connection.abort();
        let bytes = bytes?;
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
        partitions::read(self.send(method, path, body).await?).await
    }

    /// Becomes a WebSocket.
    async fn upgrade(&self, path: &str) -> Result<(Speaker, Listener), Problem> {
        let key = generate_key();
        let accepted = derive_accept_key(key.as_bytes());
        let headers = [
            (header::CONNECTION.as_str(), "Upgrade"),
            (header::UPGRADE.as_str(), "websocket"),
            (header::SEC_WEBSOCKET_VERSION.as_str(), "13"),
            (header::SEC_WEBSOCKET_KEY.as_str(), &key),
        ];
        let response = self.send_with("GET", path, &headers, None).await?;
        let is_meant = response.headers().get(header::SEC_WEBSOCKET_ACCEPT).is_some_and(|it| *it == accepted);
        if response.status() != StatusCode::SWITCHING_PROTOCOLS || !is_meant {
            return Err(no_answer("it does not become a WebSocket"));
        }
        Ok(session::open(hyper::upgrade::on(response).await.map_err(no_answer)?).await)
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

    /// Revokes a token, by its identifier.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn revoke_token(&self, id: &str) -> Result<(), Problem> {
        self.send("DELETE", &format!("/v1/tokens/{}", partitions::encoded(id)), None).await.map(drop)
    }

    /// What happens: after an event, or from now on; with `follow` until the connection ends.
    ///
    /// # Errors
    /// See [`Problem`].
    pub async fn events(&self, after: Option<u64>, follow: bool) -> Result<Feed<Event>, Problem> {
        let after = after.map(|after| format!("&after={after}")).unwrap_or_default();
        let path = format!("/v1/events?follow={follow}{after}");
        Ok(Feed::new(self.send("GET", &path, None).await?.into_body()))
    }
}

/// A body, up to a limit.
async fn whole(response: Response<Incoming>) -> Result<Bytes, Problem> {
    let body = http_body_util::Limited::new(response.into_body(), LONGEST_ANSWER);
    body.collect().await.map(http_body_util::Collected::to_bytes).map_err(no_answer)
}
