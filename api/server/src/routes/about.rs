//! The coordinator itself.

use axum::Json;
use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse as _, Response};
use septum_api_types::v1::{Health, Host, Version};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::problem::Refused;
use crate::{Shared, description};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(health))
        .routes(routes!(host))
        .routes(routes!(version))
        .routes(routes!(openapi))
}

/// Whether the coordinator works.
#[utoipa::path(get, path = "/v1/health", tag = "about", responses((status = 200, body = Health)))]
async fn health(State(coordinator): State<Shared>) -> Json<Health> {
    Json(coordinator.health())
}

/// What partitions have of the host, and what there is for them.
#[utoipa::path(get, path = "/v1/host", tag = "about", responses((status = 200, body = Host)))]
async fn host(State(coordinator): State<Shared>) -> Json<Host> {
    Json(coordinator.host())
}

/// What it is.
#[utoipa::path(get, path = "/v1/version", tag = "about", responses((status = 200, body = Version)))]
async fn version() -> Json<Version> {
    Json(Version { version: env!("CARGO_PKG_VERSION").to_owned(), api: vec!["v1".to_owned()] })
}

/// This description.
#[utoipa::path(get, path = "/v1/openapi.json", tag = "about", responses((status = 200, content_type = "application/json")))]
async fn openapi() -> Result<Response, Refused> {
    let text = description()
        .map_err(|error| septum_coordinator::problems::internal("the API cannot be described", error))?;
    Ok(([(header::CONTENT_TYPE, "application/json")], text).into_response())
}
