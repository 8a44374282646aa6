//! What happens, as Server-Sent Events.

use std::collections::VecDeque;
use std::convert::Infallible;

use axum::extract::State;
use axum::response::sse;
use axum::response::{IntoResponse as _, Response, Sse};
use futures_util::stream;
use septum_api_types::v1::{Event, Problem};
use serde::Deserialize;
use tokio::sync::broadcast;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::access::LastEvent;
use crate::extract::Query;
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(events))
}

/// Events that are read at once.
const PORTION: u32 = 256;

/// Which events are sent.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct EventsQuery {
    /// Those after this number; without it, and without Last-Event-ID, those from now on.
    after: Option<u64>,
    /// Whether to go on with what happens from now on; else the end is the last that is known.
    follow: Option<bool>,
}

struct Feed {
    coordinator: Shared,
    news: broadcast::Receiver<Event>,
    known: VecDeque<Event>,
    last: u64,
    follows: bool,
    is_caught_up: bool,
}

/// What happens to partitions, as Server-Sent Events; each has its number as identifier, and `Last-Event-ID` goes on after one.
#[utoipa::path(get, path = "/v1/events", tag = "events",
    params(EventsQuery, ("Last-Event-ID" = Option<String>, Header)),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "events whose data is an Event"),
        (status = 400, body = Problem)))]
async fn events(
    State(coordinator): State<Shared>,
    Query(query): Query<EventsQuery>,
    last: Option<LastEvent>,
) -> Result<Response, Refused> {
    let after = query.after.or(last.map(|last| last.0));
    let news = coordinator.subscribe();
    let feed = Feed {
        coordinator,
        news,
        known: VecDeque::new(),
        last: after.unwrap_or(0),
        follows: query.follow.unwrap_or(true),
        is_caught_up: after.is_none(),
    };
    let stream = stream::unfold(feed, |mut feed| async move {
        let event = feed.next().await?;
        let data = serde_json::to_string(&event).unwrap_or_default();
        let id = event.sequence.to_string();
        let message = sse::Event::default().id(id).event(event.kind.name()).data(data);
        Some((Ok::<_, Infallible>(message), feed))
    });
    Ok(Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response())
}

impl Feed {
    /// The next event: first what was kept, then what comes; who is too slow reads again what was kept.
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(event) = self.known.pop_front() {
                self.last = event.sequence;
                return Some(event);
            }
            if !self.is_caught_up {
                self.known = self.coordinator.events_after(self.last, PORTION).ok()?.into();
                self.is_caught_up = self.known.is_empty();
                continue;
            }
            if !self.follows {
                return None;
            }
            match self.news.recv().await {
                Ok(event) if event.sequence > self.last => self.known.push_back(event),
                Ok(_) => {}
                Err(broadcast::error::RecvError::Lagged(_)) => self.is_caught_up = self.last == 0,
                Err(broadcast::error::RecvError::Closed) => return None,
            }
        }
    }
}
