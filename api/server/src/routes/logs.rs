//! What programs have said, as Server-Sent Events.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::extract::State;
use axum::response::sse;
use axum::response::{IntoResponse as _, Response, Sse};
use futures_util::stream;
use septum_api_types::bytes::ByteString;
use septum_api_types::v1::{LogLine, Problem};
use septum_registry::logs::{Entry, Reader};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::extract::{Named, Query};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(logs))
}

/// How often a log that is followed is looked at.
const GLANCE: Duration = Duration::from_millis(50);
/// Pieces that are kept in memory for `tail`.
const LONGEST_TAIL: usize = 10_000;

/// Which part of the log is sent.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LogsQuery {
    /// Whether to go on until the partition ends.
    #[serde(default)]
    follow: bool,
    /// Only so many pieces from the end.
    #[param(maximum = 10000)]
    tail: Option<usize>,
}

struct Feed {
    coordinator: Shared,
    id: String,
    reader: Reader,
    tail: VecDeque<Entry>,
    follows: bool,
}

/// What the program has said, as Server-Sent Events whose data is a LogLine. The stream ends with the log.
#[utoipa::path(get, path = "/v1/partitions/{partition}/logs", tag = "partitions",
    params(("partition" = String, Path), LogsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "events whose data is a LogLine"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn logs(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<LogsQuery>,
) -> Result<Response, Refused> {
    let (id, directory) = coordinator.log_of(&wanted)?;
    let mut reader = Reader::open(&directory);
    let mut tail = VecDeque::new();
    if let Some(most) = query.tail {
        let most = most.min(LONGEST_TAIL);
        while let Ok(Some(entry)) = reader.next_entry() {
            tail.push_back(entry);
            if tail.len() > most {
                tail.pop_front();
            }
        }
    }
    let feed = Feed { coordinator, id, reader, tail, follows: query.follow };
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
            if let Some(entry) = self.tail.pop_front() {
                return Some(entry);
            }
            // Whatever was said before it ended is there once it has.
            let was_live = self.follows && self.coordinator.is_live(&self.id);
            if let Some(entry) = self.reader.next_entry().ok()? {
                return Some(entry);
            }
            if !was_live {
                return None;
            }
            tokio::time::sleep(GLANCE).await;
        }
    }
}
