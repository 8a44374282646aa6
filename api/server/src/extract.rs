//! Bodies and queries, with errors that name the field.

use axum::body::Bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use septum_api_types::v1::{Problem, ProblemCode};
use serde::de::DeserializeOwned;

use crate::problem::Refused;

/// Bytes of the longest body.
pub const BODY_LIMIT: usize = 1 << 20;

fn unreadable(code: ProblemCode, cause: impl Into<String>) -> Refused {
    Refused(Problem::new(
        code,
        "the request cannot be read",
        cause,
        "GET /v1/openapi.json describes what it should be",
    ))
}

/// A body of JSON.
pub struct Body<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Body<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        read(request, state).await.map(Self)
    }
}

/// A body of JSON that may be absent, or `null`.
pub struct MaybeBody<T>(pub T);

impl<T: DeserializeOwned + Default, S: Send + Sync> FromRequest<S> for MaybeBody<T> {
    type Rejection = Refused;

    async fn from_request(request: Request, state: &S) -> Result<Self, Refused> {
        let is_empty = hyper::body::Body::is_end_stream(request.body());
        let given: Option<T> = if is_empty { None } else { read(request, state).await? };
        Ok(Self(given.unwrap_or_default()))
    }
}

async fn read<T: DeserializeOwned, S: Send + Sync>(request: Request, state: &S) -> Result<T, Refused> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
    let kind = kind.map(|kind| kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase());
    if kind.as_deref() != Some("application/json") {
        return Err(unreadable(ProblemCode::UnsupportedMediaType, "its body must be application/json"));
    }
    let bytes = Bytes::from_request(request, state).await.map_err(|rejection| {
        let is_long = rejection.status() == axum::http::StatusCode::PAYLOAD_TOO_LARGE;
        let code = if is_long { ProblemCode::TooLarge } else { ProblemCode::Malformed };
        unreadable(code, rejection.body_text())
    })?;
    Ok(parse(&bytes)?)
}

/// What archives may be called.
const ARCHIVES: [&str; 2] = ["application/x-tar", "application/octet-stream"];

/// Fails unless a body is an archive, by what its sender says of it. `what`: what cannot be done then.
///
/// # Errors
/// It is something else.
pub fn expect_archive(headers: &HeaderMap, what: &str) -> Result<(), Problem> {
    let kind = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if ARCHIVES.contains(&kind.split(';').next().unwrap_or_default().trim()) {
        return Ok(());
    }
    Err(Problem::new(
        ProblemCode::UnsupportedMediaType,
        what,
        "its body must be application/x-tar",
        "send an archive: application/x-tar",
    ))
}

/// Something in JSON, with errors that name the field.
///
/// # Errors
/// It is none.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut reader = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut reader).map_err(|error| {
        let (path, inner) = (error.path().to_string(), error.into_inner());
        let is_data = inner.is_data();
        let code = if is_data { ProblemCode::Invalid } else { ProblemCode::Malformed };
        let place = if is_data && path != "." { format!("field '{path}': ") } else { String::new() };
        unreadable(code, format!("{place}{inner}")).0
    })?;
    reader.end().map_err(|error| unreadable(ProblemCode::Malformed, error.to_string()).0)?;
    Ok(value)
}

/// What follows `?`.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let query = axum::extract::Query::<T>::from_request_parts(parts, state).await;
        query
            .map(|query| Self(query.0))
            .map_err(|rejection: QueryRejection| unreadable(ProblemCode::Malformed, rejection.body_text()))
    }
}

/// The part of the path that names a resource.
pub struct Named(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let path = axum::extract::Path::<String>::from_request_parts(parts, state).await;
        path.map(|path| Self(path.0))
            .map_err(|rejection: PathRejection| unreadable(ProblemCode::Malformed, rejection.body_text()))
    }
}
