//! What makes partitions.

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use septum_api_types::v1::{CreatePartition, Partition, Problem};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::partitions::{accepted_or, shown};
use crate::Shared;
use crate::access::Seen;
use crate::extract::{Body, Named, Query};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(get, put))
}

/// What makes a partition. By TCP it takes a token of scope `write`: environments hold secrets.
#[utoipa::path(get, path = "/v1/partitions/{partition}/spec", tag = "partitions", params(("partition" = String, Path)),
    responses((status = 200, body = CreatePartition), (status = 404, body = Problem), (status = 409, body = Problem, description = "somebody else started it")))]
async fn get(State(coordinator): State<Shared>, Named(wanted): Named) -> Result<Response, Refused> {
    let (spec, revision) = coordinator.spec(&wanted)?;
    Ok(([(header::ETAG, format!("\"{revision}\""))], Json(spec)).into_response())
}

/// What else happens.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct PutQuery {
    /// Whether one that does not run is started with it.
    #[serde(default)]
    start: bool,
}

/// Has something else make a partition. Of one that runs, labels, priority and `start` can be changed; for all else stop it first.
#[utoipa::path(put, path = "/v1/partitions/{partition}/spec", tag = "partitions", request_body = CreatePartition,
    params(("partition" = String, Path), PutQuery, ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 200, body = Partition), (status = 202, body = Partition, description = "it waits for the host to have room"),
        (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 412, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem), (status = 507, body = Problem)))]
async fn put(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<PutQuery>,
    Seen(seen): Seen,
    Body(request): Body<CreatePartition>,
) -> Result<Response, Refused> {
    let partition = coordinator.respec(&wanted, request, query.start, seen).await?;
    Ok(shown(accepted_or(StatusCode::OK, &partition), partition))
}
