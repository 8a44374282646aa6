//! All paths, a file for each resource.

mod about;
mod events;
mod logs;
mod metrics;
mod partitions;
mod specs;
mod stats;
mod tokens;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use utoipa::OpenApi as _;
use utoipa_axum::router::OpenApiRouter;

use crate::description::Description;
use crate::{Shared, access, extract, page, problem};

/// Paths and their description.
pub(crate) fn described() -> OpenApiRouter<Shared> {
    OpenApiRouter::with_openapi(Description::openapi())
        .merge(about::router())
        .merge(partitions::router())
        .merge(specs::router())
        .merge(logs::router())
        .merge(events::router())
        .merge(stats::router())
        .merge(metrics::router())
        .merge(tokens::router())
}

/// All that is served.
pub fn router(coordinator: Shared) -> Router {
    let (router, _) = described().split_for_parts();
    let api = router
        .fallback(problem::no_path)
        .method_not_allowed_fallback(problem::no_method)
        .layer(axum::middleware::from_fn_with_state(coordinator.clone(), access::guard))
        .layer(DefaultBodyLimit::max(extract::BODY_LIMIT))
        .with_state(coordinator);
    // Its files are not the API, and need no token.
    api.merge(page::router())
}
