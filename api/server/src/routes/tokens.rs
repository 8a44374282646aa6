//! Who may come by TCP.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use septum_api_types::v1::{CreateToken, NewToken, Problem, TokenList};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::extract::{Body, Named};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(create, list)).routes(routes!(revoke))
}

/// Makes a token, whose secret is told this once.
#[utoipa::path(post, path = "/v1/tokens", tag = "tokens", request_body = CreateToken,
    responses((status = 201, body = NewToken), (status = 400, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 507, body = Problem)))]
async fn create(
    State(coordinator): State<Shared>,
    Body(request): Body<CreateToken>,
) -> Result<(StatusCode, Json<NewToken>), Refused> {
    Ok((StatusCode::CREATED, Json(coordinator.create_token(request)?)))
}

/// Lists tokens.
#[utoipa::path(get, path = "/v1/tokens", tag = "tokens", responses((status = 200, body = TokenList)))]
async fn list(State(coordinator): State<Shared>) -> Result<Json<TokenList>, Refused> {
    Ok(Json(TokenList { items: coordinator.tokens()? }))
}

/// Makes a token worthless from now on.
#[utoipa::path(delete, path = "/v1/tokens/{token}", tag = "tokens", params(("token" = String, Path)),
    responses((status = 204), (status = 404, body = Problem), (status = 507, body = Problem)))]
async fn revoke(State(coordinator): State<Shared>, Named(id): Named) -> Result<StatusCode, Refused> {
    coordinator.revoke_token(&id)?;
    Ok(StatusCode::NO_CONTENT)
}
