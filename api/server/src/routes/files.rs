//! Files of partitions, as archives.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::time::Duration;

use axum::body::{Body, BodyDataStream, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::{Stream, StreamExt as _, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use septum_api_types::v1::problem::TRAILER;
use septum_api_types::v1::{Problem, ProblemCode};
use septum_coordinator::files::Packing;
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::extract::{Named, Query, expect_archive};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// How much of a body, and how long, is read and forgotten after the answer: closing a connection with something unread could take that back.
const LAST_BYTES: usize = 64 << 20;
const PATIENCE: Duration = Duration::from_secs(10);

/// Which files.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct FilesQuery {
    /// A path in the partition, from its root.
    path: String,
}

/// A file or a directory of a partition that runs, with all that is in it, as a tar whose entries begin with its name. The partition's own
/// tar makes it. One that breaks off is not whole; who sends `TE: trailers` is told why, by a Problem in the trailer `septum-problem`.
#[utoipa::path(get, path = "/v1/partitions/{partition}/files", tag = "sessions",
    params(("partition" = String, Path), FilesQuery),
    responses((status = 200, content_type = "application/x-tar", body = Vec<u8>), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
async fn get(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<FilesQuery>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let mut packing = coordinator.pack(&wanted, &query.path).await?;
    // What fails at once is an answer of its own.
    let first = packing.next().await?;
    let takes_trailers = headers.get_all(header::TE).iter().any(|value| {
        value
            .to_str()
            .is_ok_and(|text| text.split(',').any(|word| word.trim().eq_ignore_ascii_case("trailers")))
    });
    let body = Body::new(StreamBody::new(frames(packing, first, takes_trailers)));
    let kind = [(header::CONTENT_TYPE, "application/x-tar"), (header::TRAILER, TRAILER)];
    Ok((StatusCode::OK, kind, body).into_response())
}

type Frames = Pin<Box<dyn Stream<Item = io::Result<Frame<Bytes>>> + Send>>;

/// An archive, read when somebody takes it, and what is said if it is not whole.
fn frames(packing: Packing, first: Option<Vec<u8>>, takes_trailers: bool) -> Frames {
    let start = (Some(packing), first);
    Box::pin(stream::unfold(start, move |(packing, first)| async move {
        let mut packing = packing?;
        let next = match first {
            Some(piece) => Ok(Some(piece)),
            None => packing.next().await,
        };
        match next {
            Ok(piece) => Some((Ok(Frame::data(Bytes::from(piece?))), (Some(packing), None))),
            Err(problem) => match trailers(&problem).filter(|_| takes_trailers) {
                Some(trailers) => Some((Ok(Frame::trailers(trailers)), (None, None))),
                None => Some((Err(io::Error::other(problem)), (None, None))),
            },
        }
    }))
}

fn trailers(problem: &Problem) -> Option<HeaderMap> {
    let text = serde_json::to_vec(problem).ok()?;
    Some(
        [(header::HeaderName::from_static(TRAILER), HeaderValue::from_bytes(&text).ok()?)]
            .into_iter()
            .collect(),
    )
}

/// Unpacks a tar into a directory of a partition that runs, by the partition's own tar. One that breaks off leaves what came before.
#[utoipa::path(put, path = "/v1/partitions/{partition}/files", tag = "sessions",
    params(("partition" = String, Path), FilesQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "application/x-tar is as good"),
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem)))]
async fn put(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<FilesQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<StatusCode, Refused> {
    let mut parts = body.into_data_stream();
    let done = async {
        expect_archive(&headers, "cannot unpack files")?;
        let mut unpacking = coordinator.unpack(&wanted, &query.path).await?;
        while let Some(part) = parts.next().await {
            // Whoever goes in the middle hangs up on what unpacks.
            let part = part.map_err(broken_off)?;
            if !unpacking.write(&part).await {
                break;
            }
        }
        unpacking.end().await
    };
    let done: Result<(), Problem> = done.await;
    if done.is_err() {
        tokio::spawn(tokio::time::timeout(PATIENCE, forget(parts)));
    }
    done?;
    Ok(StatusCode::NO_CONTENT)
}

fn broken_off(error: axum::Error) -> Problem {
    let next = "send it again; what came before that is there";
    Problem::new(
        ProblemCode::Malformed,
        "cannot unpack files",
        format!("the archive broke off: {error}"),
        next,
    )
}

/// Hears a client out.
async fn forget(mut parts: BodyDataStream) -> Result<(), Infallible> {
    let mut left = LAST_BYTES;
    while let Some(Ok(part)) = parts.next().await
        && left > 0
    {
        left = left.saturating_sub(part.len());
    }
    Ok(())
}
