//! `GET /metrics`, for Prometheus.

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::{Shared, metrics};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get))
}

/// Everything that is counted, in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "stats",
    responses((status = 200, content_type = "text/plain", body = String, description = "metrics in the text format of Prometheus, version 0.0.4")))]
async fn get(State(coordinator): State<Shared>) -> Response {
    let stats = coordinator.all_stats().await;
    let text = metrics::text(&stats, &coordinator.host(), &coordinator.states());
    ([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text).into_response()
}
