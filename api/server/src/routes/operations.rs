//! Work that takes longer than a request should.

use axum::Json;
use axum::extract::State;
use septum_api_types::v1::{Operation, OperationList, Problem};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::extract::Named;
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(get))
        .routes(routes!(wait))
        .routes(routes!(cancel))
}

/// The last thousand operations, oldest first.
#[utoipa::path(get, path = "/v1/operations", tag = "operations", responses((status = 200, body = OperationList)))]
async fn list(State(coordinator): State<Shared>) -> Json<OperationList> {
    Json(OperationList { items: coordinator.operations() })
}

/// How far an operation is.
#[utoipa::path(get, path = "/v1/operations/{operation}", tag = "operations", params(("operation" = String, Path)),
    responses((status = 200, body = Operation), (status = 404, body = Problem)))]
async fn get(State(coordinator): State<Shared>, Named(id): Named) -> Result<Json<Operation>, Refused> {
    Ok(Json(coordinator.operation(&id)?))
}

/// Answers when an operation has ended.
#[utoipa::path(post, path = "/v1/operations/{operation}/wait", tag = "operations", params(("operation" = String, Path)),
    responses((status = 200, body = Operation), (status = 404, body = Problem)))]
async fn wait(State(coordinator): State<Shared>, Named(id): Named) -> Result<Json<Operation>, Refused> {
    Ok(Json(coordinator.wait_operation(&id).await?))
}

/// Ends an operation, and answers when it has. It leaves nothing.
#[utoipa::path(post, path = "/v1/operations/{operation}/cancel", tag = "operations", params(("operation" = String, Path)),
    responses((status = 200, body = Operation), (status = 404, body = Problem), (status = 409, body = Problem, description = "it has ended by itself")))]
async fn cancel(State(coordinator): State<Shared>, Named(id): Named) -> Result<Json<Operation>, Refused> {
    Ok(Json(coordinator.cancel_operation(&id).await?))
}
