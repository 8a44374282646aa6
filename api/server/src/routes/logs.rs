//! What programs have said, as Server-Sent Events.

use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse;
use axum::response::{IntoResponse as _, Response, Sse};
use futures_util::stream;
use septum_api_types::bytes::ByteString;
use septum_api_types::v1::{LogLine, Problem, ProblemCode};
use septum_coordinator::problems::internal;
use septum_registry::logs::{Entry, Reader};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::apart;
use crate::Shared;
use crate::extract::{Named, Query};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// How often a log that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(50);

/// Which part of the log is sent.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogsQuery {
    /// Whether to go on until the partition ends.
    #[serde(default)]
    follow: bool,
    /// Only so many lines from the end of what is there.
    tail: Option<usize>,
    /// Only what was said since then (RFC 3339, such as `2026-11-25T12:00:00Z`).
    since: Option<String>,
}

/// A time in the form that logs have it in, in which the order of texts is that of times.
fn time(text: &str) -> Result<String, Problem> {
    let parsed = humantime::parse_rfc3339(text).or_else(|_| humantime::parse_rfc3339_weak(text));
    parsed.map(|time| humantime::format_rfc3339_nanos(time).to_string()).map_err(|error| {
        Problem::new(
            ProblemCode::Invalid,
            "cannot show the log",
            format!("field 'since': '{text}' is not a time: {error}"),
            "give one such as 2026-11-25T12:00:00Z",
        )
    })
}

struct Feed {
    coordinator: Shared,
    id: String,
    reader: Reader,
    since: Option<String>,
    follows: bool,
}

/// What the program has said, as Server-Sent Events whose data is a LogLine. The stream ends with the log.
#[utoipa::path(get, path = "/v1/partitions/{partition}/logs", tag = "partitions",
    params(("partition" = String, Path), LogsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "events whose data is a LogLine"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 422, body = Problem)))]
async fn logs(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refused> {
    let (id, directory) = coordinator.log_of(&wanted)?;
    let since = query.since.as_deref().map(time).transpose()?;
    let reader = apart(move || match query.tail {
        Some(lines) => {
            Reader::open_last(&directory, lines).map_err(|error| internal("cannot read the log", error))
        }
        None => Ok(Reader::open(&directory)),
    });
    let feed = Feed { coordinator, id, reader: reader.await?, since, follows: query.follow };
    let stream = stream::unfold(feed, |mut feed| async move {
        let entry = feed.next().await?;
        let line = LogLine {
            time: entry.time,
            is_error: entry.is_error,
            is_whole: entry.is_whole,
            text: ByteString(entry.text),
        };
        let data = serde_json::to_string(&line).unwrap_or_default();
        Some((Ok::<_, Infallible>(sse::Event::default().event("log").data(data)), feed))
    });
    Ok(Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response())
}

impl Feed {
    async fn next(&mut self) -> Option<Entry> {
        loop {
            // Whatever was said before it ended is there once it has.
            let was_live = self.follows && self.coordinator.is_live(&self.id);
            while let Some(entry) = self.reader.next_entry().ok()? {
                if self.since.as_ref().is_none_or(|since| entry.time >= *since) {
                    return Some(entry);
                }
            }
            if !was_live {
                return None;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}
