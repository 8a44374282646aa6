//! Volumes.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use septum_api_types::v1::{CreateVolume, Problem, Volume, VolumeList};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::apart;
use crate::Shared;
use crate::extract::{Body, Named};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(list, create)).routes(routes!(get, remove))
}

/// Lists volumes, by name.
#[utoipa::path(get, path = "/v1/volumes", tag = "volumes", responses((status = 200, body = VolumeList)))]
async fn list(State(coordinator): State<Shared>) -> Result<Json<VolumeList>, Refused> {
    Ok(Json(VolumeList { items: apart(move || coordinator.list_volumes()).await? }))
}

/// Makes a volume; one of that name is as good.
#[utoipa::path(post, path = "/v1/volumes", tag = "volumes", request_body = CreateVolume,
    responses((status = 201, body = Volume), (status = 200, body = Volume, description = "it was there"), (status = 400, body = Problem),
        (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 507, body = Problem)))]
async fn create(
    State(coordinator): State<Shared>,
    Body(request): Body<CreateVolume>,
) -> Result<(StatusCode, Json<Volume>), Refused> {
    let (volume, is_new) = apart(move || coordinator.create_volume(request)).await?;
    Ok((if is_new { StatusCode::CREATED } else { StatusCode::OK }, Json(volume)))
}

/// A volume.
#[utoipa::path(get, path = "/v1/volumes/{volume}", tag = "volumes", params(("volume" = String, Path)),
    responses((status = 200, body = Volume), (status = 404, body = Problem)))]
async fn get(State(coordinator): State<Shared>, Named(name): Named) -> Result<Json<Volume>, Refused> {
    Ok(Json(apart(move || coordinator.volume(&name)).await?))
}

/// Removes a volume with all that is in it, unless a partition has it.
#[utoipa::path(delete, path = "/v1/volumes/{volume}", tag = "volumes", params(("volume" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn remove(State(coordinator): State<Shared>, Named(name): Named) -> Result<StatusCode, Refused> {
    apart(move || coordinator.remove_volume(&name)).await?;
    Ok(StatusCode::NO_CONTENT)
}
