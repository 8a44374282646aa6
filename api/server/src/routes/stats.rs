//! Statistics: one reading, or a stream of them as Server-Sent Events.

use std::convert::Infallible;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::sse;
use axum::response::{IntoResponse as _, Response, Sse};
use futures_util::stream;
use septum_api_types::v1::{Problem, Stats, StatsList};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::extract::{Named, Query};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(all))
        .routes(routes!(all_stream))
        .routes(routes!(one))
        .routes(routes!(one_stream))
}

/// Between two readings of a stream.
const PERIOD: Duration = Duration::from_secs(1);

/// What a reading has.
#[derive(Clone, Copy, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct StatsQuery {
    /// Whether it has the threads one by one.
    #[serde(default)]
    threads: bool,
}

fn event(data: &impl Serialize) -> sse::Event {
    sse::Event::default().event("stats").data(serde_json::to_string(data).unwrap_or_default())
}

/// A reading of all partitions that run. It may be a second old.
#[utoipa::path(get, path = "/v1/stats", tag = "stats", responses((status = 200, body = StatsList)))]
async fn all(State(coordinator): State<Shared>) -> Json<StatsList> {
    Json(StatsList { items: coordinator.all_stats().await.to_vec() })
}

/// A reading of all partitions that run each second, as Server-Sent Events whose data is a StatsList.
#[utoipa::path(get, path = "/v1/stats/stream", tag = "stats",
    responses((status = 200, content_type = "text/event-stream", body = String, description = "events whose data is a StatsList")))]
async fn all_stream(State(coordinator): State<Shared>) -> Response {
    let stream = stream::unfold((coordinator, false), |(coordinator, goes_on)| async move {
        if goes_on {
            tokio::time::sleep(PERIOD).await;
        }
        let list = StatsList { items: coordinator.all_stats().await.to_vec() };
        Some((Ok::<_, Infallible>(event(&list)), (coordinator, true)))
    });
    Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response()
}

/// A reading of a partition that runs.
#[utoipa::path(get, path = "/v1/partitions/{partition}/stats", tag = "stats",
    params(("partition" = String, Path), StatsQuery),
    responses((status = 200, body = Stats), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 503, body = Problem)))]
async fn one(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<StatsQuery>,
) -> Result<Json<Stats>, Refused> {
    Ok(Json(coordinator.stats(&wanted, query.threads).await?))
}

/// A reading of a partition each second until it ends, as Server-Sent Events whose data is a Stats.
#[utoipa::path(get, path = "/v1/partitions/{partition}/stats/stream", tag = "stats",
    params(("partition" = String, Path), StatsQuery),
    responses((status = 200, content_type = "text/event-stream", body = String, description = "events whose data is a Stats"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 503, body = Problem)))]
async fn one_stream(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<StatsQuery>,
) -> Result<Response, Refused> {
    // That it cannot be read is an answer of its own.
    let first = coordinator.stats(&wanted, query.threads).await?;
    let id = first.partition.clone();
    let stream = stream::unfold((coordinator, Some(first)), move |(coordinator, first)| {
        let id = id.clone();
        async move {
            let stats = match first {
                Some(first) => first,
                None => {
                    tokio::time::sleep(PERIOD).await;
                    coordinator.stats(&id, query.threads).await.ok()?
                }
            };
            Some((Ok::<_, Infallible>(event(&stats)), (coordinator, None)))
        }
    });
    Ok(Sse::new(stream).keep_alive(sse::KeepAlive::default()).into_response())
}
