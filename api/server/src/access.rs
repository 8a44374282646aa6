//! Who asks, and what that one may do.

use std::sync::Arc;

use axum::body::{Body, HttpBody as _};
use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::Method;
use axum::http::request::Parts;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use futures_util::stream;
use http_body_util::{BodyExt as _, StreamBody};
use septum_api_types::v1::{Problem, ProblemCode, Scope, Token};
use septum_coordinator::Coordinator;
use tokio::sync::OwnedSemaphorePermit;

use crate::origin;
use crate::problem::Refused;

/// Who is at the other end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Caller {
    /// The coordinator's own user or root, by the Unix socket.
    Owner,
    /// Whoever came by TCP: a token has to say what is allowed.
    Stranger,
}

/// What a connection has of those that there may be, for as long as somebody keeps this.
#[derive(Clone, Debug, Default)]
pub struct Place {
    /// Kept, never looked at.
    pub _permit: Option<Arc<OwnedSemaphorePermit>>,
}

/// Whose token a request has, if it needs one: what goes on after the answer has begun ends with that.
#[derive(Clone, Debug, Default)]
pub struct Bearer(pub Option<Token>);

impl Bearer {
    /// Waits until the request would not be allowed any more.
    pub async fn until_worthless(&self, coordinator: &Coordinator) {
        match &self.0 {
            Some(token) => coordinator.until_worthless(token).await,
            None => std::future::pending().await,
        }
    }

    /// What is told then.
    pub fn worthless() -> Problem {
        Problem::new(
            ProblemCode::Unauthorized,
            "the connection ends",
            "the token was revoked, or has expired",
            "make one on the host (septum token create), and come again",
        )
    }
}

/// Who has a share of the host by what a request makes.
#[derive(Clone, Debug)]
pub struct Owner(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Owner {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Ok(parts
            .extensions
            .get::<Self>()
            .cloned()
            .unwrap_or_else(|| Self(septum_coordinator::machine::local())))
    }
}

/// What a request needs.
fn needed(method: &Method, path: &str) -> Scope {
    if path.starts_with("/v1/tokens") {
        Scope::Admin
    } else if is_inside(path) {
        Scope::Write
    } else if matches!(*method, Method::GET | Method::HEAD) {
        Scope::Read
    } else {
        Scope::Write
    }
}

/// Whether a path leads into a partition, whatever the method: to programs that are started there, to files, or to environments, which hold secrets.
fn is_inside(path: &str) -> bool {
    let place = path.strip_prefix("/v1/partitions/").and_then(|rest| rest.split_once('/'));
    matches!(place, Some((_, "exec" | "attach" | "files" | "spec")))
}

/// Lets requests through that are allowed.
pub async fn guard(
    axum::extract::State(coordinator): axum::extract::State<crate::Shared>,
    mut request: axum::extract::Request,
    next: Next,
) -> Response {
    let caller = request.extensions().get::<Caller>().copied().unwrap_or(Caller::Stranger);
    if caller == Caller::Owner {
        return match origin::is_own(request.headers()) {
            true => next.run(request).await,
            false => not_own().into_response(),
        };
    }
    let header = request.headers().get(axum::http::header::AUTHORIZATION);
    let secret = header.and_then(|value| value.to_str().ok()).and_then(|value| value.strip_prefix("Bearer "));
    let Some(token) = secret.and_then(|secret| coordinator.bearer(secret)) else {
        let cause = if secret.is_some() { "the token is none, or has expired" } else { "it has no token" };
        return Refused(Problem::new(
            ProblemCode::Unauthorized,
            "the request is not allowed",
            cause,
            "make one on the host (septum token create), and send Authorization: Bearer TOKEN",
        ))
        .into_response();
    };
    let needed = needed(request.method(), request.uri().path());
    if token.scope < needed {
        return Refused(Problem::new(
            ProblemCode::Forbidden,
            "the request is not allowed",
            format!("it needs a token of scope {needed}, and this one has {}", token.scope),
            "use another token",
        ))
        .into_response();
    }
    request.extensions_mut().insert(Owner(token.name.clone()));
    let bearer = Bearer(Some(token));
    request.extensions_mut().insert(bearer.clone());
    let response = next.run(request).await;
    // What is short is over before anybody could revoke anything.
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    response.map(|body| ending(body, bearer, coordinator))
}

/// A body that breaks off when its reader may not read it any more.
fn ending(body: Body, bearer: Bearer, coordinator: crate::Shared) -> Body {
    let end = Box::pin(async move { bearer.until_worthless(&coordinator).await });
    let frames = stream::unfold(Some((body, end)), |state| async {
        let (mut body, mut end) = state?;
        let frame = tokio::select! {
            biased;
            () = &mut end => return Some((Err(axum::Error::new(Bearer::worthless())), None)),
            frame = body.frame() => frame?,
        };
        Some((frame, Some((body, end))))
    });
    Body::new(StreamBody::new(Box::pin(frames)))
}

fn not_own() -> Refused {
    Refused(Problem::new(
        ProblemCode::Forbidden,
        "the request is not allowed",
        "a browser sent it for the page of another server, or by a name that is not this machine's",
        "open this server's own page, by localhost or an address; a proxy with a name of its own needs TLS",
    ))
}

/// The revision that a client has seen (`If-Match`).
pub struct Seen(pub Option<u64>);

impl<S: Send + Sync> FromRequestParts<S> for Seen {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Some(value) = parts.headers.get(axum::http::header::IF_MATCH) else { return Ok(Self(None)) };
        if value == "*" {
            return Ok(Self(None));
        }
        let text = value.to_str().ok().and_then(|text| text.strip_prefix('"')?.strip_suffix('"'));
        let digits =
            text.filter(|it| (1..=19).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_digit()));
        match digits.and_then(|text| text.parse().ok()) {
            Some(revision) => Ok(Self(Some(revision))),
            None => Err(Refused(Problem::new(
                ProblemCode::Malformed,
                "the request cannot be read",
                "If-Match is no ETag of this API",
                "give the ETag that a GET answered",
            ))),
        }
    }
}

/// The key by which a request that is sent twice counts once.
pub struct IdempotencyKey(pub Option<String>);

impl<S: Send + Sync> FromRequestParts<S> for IdempotencyKey {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Refused> {
        let Some(value) = parts.headers.get("idempotency-key") else { return Ok(Self(None)) };
        let key = value.to_str().ok();
        let key =
            key.filter(|it| (1..=200).contains(&it.len()) && it.bytes().all(|it| it.is_ascii_graphic()));
        key.map(|key| Self(Some(key.to_owned()))).ok_or_else(|| {
            Refused(Problem::new(
                ProblemCode::Malformed,
                "the request cannot be read",
                "Idempotency-Key must have 1 to 200 characters of ASCII, without spaces",
                "use a random one for each partition",
            ))
        })
    }
}

/// Where a client that was cut off wants to go on (`Last-Event-ID`).
pub struct LastEvent(pub u64);

impl<S: Send + Sync> OptionalFromRequestParts<S> for LastEvent {
    type Rejection = std::convert::Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Self::Rejection> {
        let value = parts.headers.get("last-event-id").and_then(|value| value.to_str().ok());
        Ok(value.and_then(|text| text.parse().ok()).map(Self))
    }
}
