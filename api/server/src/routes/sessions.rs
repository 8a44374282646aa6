//! Programs in partitions whose streams are the client's.

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::Response;
use septum_api_types::v1::session::LONGEST_MESSAGE;
use septum_api_types::v1::{ExecRequest, Problem, ProblemCode};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::access::{Bearer, Place};
use crate::extract::{Body, Named, parse};
use crate::problem::Refused;
use crate::sessions::{first_message, refuse, serve};

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new().routes(routes!(exec, exec_detached)).routes(routes!(attach))
}

/// Bytes that are read from a connection at once.
const READ_BUFFER: usize = 16 << 10;

/// A client that wants to speak as a WebSocket, and what it has of the server while it does.
struct Upgrade(WebSocketUpgrade, Place, Bearer);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Refused;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Refused> {
        let place = parts.extensions.get::<Place>().cloned().unwrap_or_default();
        let bearer = parts.extensions.get::<Bearer>().cloned().unwrap_or_default();
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await.map_err(|rejection| {
            Refused(Problem::new(
                ProblemCode::Malformed,
                "the request cannot be met",
                format!("this path speaks as a WebSocket: {}", rejection.body_text()),
                "ask with the headers of RFC 6455 (docs/api.md#programs-and-their-streams)",
            ))
        })?;
        let upgrade = upgrade
            .read_buffer_size(READ_BUFFER)
            .write_buffer_size(0)
            .max_message_size(LONGEST_MESSAGE)
            .max_frame_size(LONGEST_MESSAGE);
        Ok(Self(upgrade, place, bearer))
    }
}

/// Starts another program in a partition that runs; its streams are the messages of a WebSocket. The client says first what is to be run
/// (ExecRequest); then both sides send ToProgram, FromProgram, and binary messages that begin with the number of a stream.
#[utoipa::path(get, path = "/v1/partitions/{partition}/exec", tag = "sessions",
    params(("partition" = String, Path)),
    responses((status = 101, description = "a WebSocket; docs/api.md tells what is said"), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn exec(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Upgrade(upgrade, place, bearer): Upgrade,
) -> Result<Response, Refused> {
    let live = coordinator.live(&wanted, "start another program in")?;
    Ok(upgrade.on_upgrade(async move |mut socket| {
        let _place = place;
        let request = first_message(&mut socket).await.and_then(|text| parse::<ExecRequest>(text.as_bytes()));
        let session = match request {
            Ok(request) => live.exec(&request).await,
            Err(problem) => Err(problem),
        };
        match session {
            Ok(session) => serve(socket, session, bearer.until_worthless(&coordinator)).await,
            Err(problem) => refuse(socket, problem).await,
        }
    }))
}

/// Starts another program in a partition that runs, for which nobody waits, and whose output is lost.
#[utoipa::path(post, path = "/v1/partitions/{partition}/exec", tag = "sessions", request_body = ExecRequest,
    params(("partition" = String, Path)),
    responses((status = 202, description = "it is being started"), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 413, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem)))]
async fn exec_detached(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Body(request): Body<ExecRequest>,
) -> Result<StatusCode, Refused> {
    coordinator.live(&wanted, "start another program in")?.exec_detached(&request).await?;
    Ok(StatusCode::ACCEPTED)
}

/// Makes the client part of the streams of a partition's first program: a WebSocket as that of exec, without its first message.
#[utoipa::path(get, path = "/v1/partitions/{partition}/attach", tag = "sessions",
    params(("partition" = String, Path)),
    responses((status = 101, description = "a WebSocket; docs/api.md tells what is said"), (status = 400, body = Problem),
        (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn attach(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Upgrade(upgrade, place, bearer): Upgrade,
) -> Result<Response, Refused> {
    let session = coordinator.live(&wanted, "attach to")?.attach().await?;
    Ok(upgrade.on_upgrade(async move |socket| {
        let _place = place;
        serve(socket, session, bearer.until_worthless(&coordinator)).await;
    }))
}
