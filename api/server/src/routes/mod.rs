//! All paths, a file for each resource.

mod about;
mod events;
mod files;
mod images;
mod logs;
mod metrics;
mod operations;
mod partitions;
mod sessions;
mod specs;
mod stats;
mod tokens;
mod volumes;

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
        .merge(sessions::router())
        .merge(files::router())
        .merge(events::router())
        .merge(stats::router())
        .merge(metrics::router())
        .merge(images::router())
        .merge(volumes::router())
        .merge(operations::router())
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

/// Work with files, on a thread where it holds nobody up.
async fn apart<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, septum_api_types::v1::Problem> + Send + 'static,
) -> Result<T, problem::Refused> {
    let done = tokio::task::spawn_blocking(work).await;
    let done = done.map_err(|error| septum_coordinator::problems::internal("the request failed", error))?;
    Ok(done?)
}
