//! Images: those that there are, and those that are made from archives.

use axum::Json;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::StreamExt as _;
use septum_api_types::v1::{ImageDetails, ImageList, Operation, Problem, ProblemCode};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::apart;
use crate::Shared;
use crate::access::Owner;
use crate::extract::{Named, Query, expect_archive};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, build)).routes(routes!(get, remove))
}

/// Lists images, by name.
#[utoipa::path(get, path = "/v1/images", tag = "images", responses((status = 200, body = ImageList)))]
async fn list(State(coordinator): State<Shared>) -> Result<Json<ImageList>, Refused> {
    Ok(Json(ImageList { items: apart(move || coordinator.list_images()).await? }))
}

/// What an image is to be.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct BuildQuery {
    /// Its name, such as `tools` or `team/tool:1.2`; without, it is found by its digest.
    name: Option<String>,
}

/// Makes an image from an archive: one of `docker save`, an OCI layout or a root in a tar, compressed or not. That is an operation.
#[utoipa::path(post, path = "/v1/images", tag = "images", params(BuildQuery),
    request_body(content = Vec<u8>, content_type = "application/octet-stream", description = "application/x-tar is as good"),
    responses((status = 202, body = Operation, headers(("Location" = String, description = "the operation"))),
        (status = 400, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem),
        (status = 503, body = Problem), (status = 507, body = Problem)))]
async fn build(
    State(coordinator): State<Shared>,
    Owner(owner): Owner,
    Query(query): Query<BuildQuery>,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, Refused> {
    let broken_off = |error: axum::Error| {
        let cause = format!("it broke off: {error}");
        Problem::new(ProblemCode::Malformed, "cannot make an image", cause, "send the archive again")
    };
    expect_archive(&headers, "cannot make an image")?;
    let mut upload = coordinator.upload().await?;
    let mut parts = body.into_data_stream();
    while let Some(part) = parts.next().await {
        let part = part.map_err(broken_off)?;
        upload.write(&part).await?;
    }
    let operation = coordinator.build_image(upload, query.name, owner).await?;
    let location = format!("/v1/operations/{}", operation.id);
    Ok((StatusCode::ACCEPTED, [(header::LOCATION, location)], Json(operation)).into_response())
}

/// All that is known of an image, by name or digest.
#[utoipa::path(get, path = "/v1/images/{image}", tag = "images", params(("image" = String, Path, description = "name or digest, with %2F for /")),
    responses((status = 200, body = ImageDetails), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn get(State(coordinator): State<Shared>, Named(wanted): Named) -> Result<Json<ImageDetails>, Refused> {
    Ok(Json(apart(move || coordinator.image(&wanted)).await?))
}

/// Removes a name, and the image with its last one; by digest, the image. Partitions that run it keep its files.
#[utoipa::path(delete, path = "/v1/images/{image}", tag = "images", params(("image" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(coordinator): State<Shared>, Named(wanted): Named) -> Result<StatusCode, Refused> {
    apart(move || coordinator.remove_image(&wanted)).await?;
    Ok(StatusCode::NO_CONTENT)
}
