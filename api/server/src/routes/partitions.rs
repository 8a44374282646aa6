//! Partitions: make, list, look, change, remove.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use septum_api_types::signal::Signal;
use septum_api_types::v1::{
    CreatePartition, KillRequest, Partition, PartitionList, PartitionState, Problem, ProblemCode, StopRequest,
};
use septum_coordinator::{Filter, problems};
use serde::Deserialize;
use utoipa::IntoParams;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::Shared;
use crate::access::{IdempotencyKey, Owner, Seen};
use crate::extract::{Body, MaybeBody, Named, Query};
use crate::problem::Refused;

pub(super) fn router() -> OpenApiRouter<Shared> {
    OpenApiRouter::new()
        .routes(routes!(create, list))
        .routes(routes!(get, remove))
        .routes(routes!(start))
        .routes(routes!(stop))
        .routes(routes!(kill))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(wait))
}

/// Partitions on a page, if nothing is said.
const USUAL_LIMIT: usize = 100;
/// The most.
const LARGEST_LIMIT: usize = 1000;
/// Seconds that a program has to end, if nothing is said.
const USUAL_STOP_SECONDS: u32 = 10;

/// 202 for one that waits for room.
pub(super) fn accepted_or(status: StatusCode, partition: &Partition) -> StatusCode {
    if matches!(partition.state, PartitionState::Pending { .. }) { StatusCode::ACCEPTED } else { status }
}

/// One partition, with its ETag.
pub(super) fn shown(status: StatusCode, partition: Partition) -> Response {
    let tag = format!("\"{}\"", partition.revision);
    (status, [(header::ETAG, tag)], Json(partition)).into_response()
}

/// Makes a partition and, unless it says otherwise, starts it. With an idempotency key the same request makes it once.
#[utoipa::path(post, path = "/v1/partitions", tag = "partitions", request_body = CreatePartition,
    params(("Idempotency-Key" = Option<String>, Header, pattern = "^[!-~]{1,200}$", description = "a random key; the same request with it makes one partition")),
    responses((status = 201, body = Partition), (status = 200, body = Partition, description = "it was made before"),
        (status = 202, body = Partition, description = "it waits for the host to have room"), (status = 503, body = Problem),
        (status = 400, body = Problem), (status = 409, body = Problem), (status = 413, body = Problem),
        (status = 415, body = Problem), (status = 422, body = Problem), (status = 507, body = Problem)))]
async fn create(
    State(coordinator): State<Shared>,
    IdempotencyKey(key): IdempotencyKey,
    Owner(owner): Owner,
    Body(request): Body<CreatePartition>,
) -> Result<Response, Refused> {
    let made = coordinator.create(request, key, owner).await?;
    let status = if made.is_replay { StatusCode::OK } else { StatusCode::CREATED };
    Ok(shown(accepted_or(status, &made.partition), made.partition))
}

/// Which partitions are listed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ListQuery {
    /// Names of states, with commas between them.
    state: Option<String>,
    /// `KEY` or `KEY=VALUE`, with commas between them: all must match.
    label: Option<String>,
    /// What names begin with.
    name: Option<String>,
    /// Where the page before ended.
    #[param(pattern = "^[0-9]{1,19}-[0-9a-f]{12}$")]
    cursor: Option<String>,
    /// Partitions on the page.
    #[param(minimum = 1, maximum = 1000)]
    limit: Option<usize>,
}

impl ListQuery {
    fn filter(&self) -> Filter {
        let words = |text: &Option<String>| -> Vec<String> {
            text.iter()
                .flat_map(|text| text.split(','))
                .filter(|it| !it.is_empty())
                .map(str::to_owned)
                .collect()
        };
        let label = |text: String| match text.split_once('=') {
            Some((key, value)) => (key.to_owned(), Some(value.to_owned())),
            None => (text, None),
        };
        Filter {
            states: words(&self.state),
            labels: words(&self.label).into_iter().map(label).collect(),
            name_prefix: self.name.clone(),
        }
    }
}

/// Lists partitions, oldest first.
#[utoipa::path(get, path = "/v1/partitions", tag = "partitions", params(ListQuery),
    responses((status = 200, body = PartitionList), (status = 400, body = Problem), (status = 422, body = Problem)))]
async fn list(
    State(coordinator): State<Shared>,
    Query(query): Query<ListQuery>,
) -> Result<Json<PartitionList>, Refused> {
    let limit = query.limit.unwrap_or(USUAL_LIMIT);
    if !(1..=LARGEST_LIMIT).contains(&limit) {
        let cause = format!("limit must be 1 to {LARGEST_LIMIT}");
        let problem =
            Problem::new(ProblemCode::Invalid, "cannot list partitions", cause, "give another limit");
        return Err(problem.into());
    }
    Ok(Json(coordinator.list(&query.filter(), query.cursor.as_deref(), limit)?))
}

/// A partition as it is now.
#[utoipa::path(get, path = "/v1/partitions/{partition}", tag = "partitions",
    params(("partition" = String, Path, description = "name, identifier or the beginning of that"),
        ("If-None-Match" = Option<String>, Header, description = "the ETag that the client has")),
    responses((status = 200, body = Partition), (status = 304), (status = 404, body = Problem), (status = 409, body = Problem)))]
async fn get(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let partition = coordinator.get(&wanted)?;
    let has = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if has == Some(format!("\"{}\"", partition.revision).as_str()) {
        return Ok(StatusCode::NOT_MODIFIED.into_response());
    }
    Ok(shown(StatusCode::OK, partition))
}

/// How a partition is removed.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct RemoveQuery {
    /// Whether one that runs is ended.
    #[serde(default)]
    force: bool,
}

/// Removes a partition, its log and its record.
#[utoipa::path(delete, path = "/v1/partitions/{partition}", tag = "partitions",
    params(("partition" = String, Path), RemoveQuery, ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 204), (status = 400, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem),
        (status = 412, body = Problem), (status = 507, body = Problem)))]
async fn remove(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Query(query): Query<RemoveQuery>,
    Seen(seen): Seen,
) -> Result<StatusCode, Refused> {
    coordinator.remove(&wanted, query.force, seen).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Starts a partition that does not run, or has it wait until the host has room.
#[utoipa::path(post, path = "/v1/partitions/{partition}/start", tag = "partitions",
    params(("partition" = String, Path), ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 200, body = Partition), (status = 202, body = Partition, description = "it waits for the host to have room"), (status = 503, body = Problem), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 422, body = Problem), (status = 507, body = Problem)))]
async fn start(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Seen(seen): Seen,
) -> Result<Response, Refused> {
    let partition = coordinator.start(&wanted, seen).await?;
    Ok(shown(accepted_or(StatusCode::OK, &partition), partition))
}

/// Asks the program to end, and ends the partition when its time is up. Answers when it has ended.
#[utoipa::path(post, path = "/v1/partitions/{partition}/stop", tag = "partitions", request_body = Option<StopRequest>,
    params(("partition" = String, Path), ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 200, body = Partition), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 507, body = Problem)))]
async fn stop(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Seen(seen): Seen,
    MaybeBody(request): MaybeBody<StopRequest>,
) -> Result<Response, Refused> {
    let seconds = request.seconds.unwrap_or(USUAL_STOP_SECONDS);
    Ok(shown(StatusCode::OK, coordinator.stop(&wanted, seconds, seen).await?))
}

/// Sends the program a signal; KILL ends the partition at once.
#[utoipa::path(post, path = "/v1/partitions/{partition}/kill", tag = "partitions", request_body = Option<KillRequest>,
    params(("partition" = String, Path), ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 200, body = Partition), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem), (status = 415, body = Problem), (status = 422, body = Problem), (status = 507, body = Problem)))]
async fn kill(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Seen(seen): Seen,
    MaybeBody(request): MaybeBody<KillRequest>,
) -> Result<Response, Refused> {
    let signal = match request.signal.as_deref().map(str::parse::<Signal>) {
        None => Signal::KILL,
        Some(Ok(signal)) => signal,
        Some(Err(error)) => {
            let cause = format!("field 'signal': it {error}");
            let message = format!("cannot send a signal to partition '{wanted}'");
            return Err(Problem::new(ProblemCode::Invalid, message, cause, "give its name or number").into());
        }
    };
    Ok(shown(StatusCode::OK, coordinator.kill(&wanted, signal, seen).await?))
}

/// Holds the partition's processors.
#[utoipa::path(post, path = "/v1/partitions/{partition}/pause", tag = "partitions",
    params(("partition" = String, Path), ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 200, body = Partition), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn pause(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Seen(seen): Seen,
) -> Result<Response, Refused> {
    Ok(shown(StatusCode::OK, coordinator.pause(&wanted, seen).await?))
}

/// Lets them go on.
#[utoipa::path(post, path = "/v1/partitions/{partition}/resume", tag = "partitions",
    params(("partition" = String, Path), ("If-Match" = Option<String>, Header, description = "the ETag that the client has", pattern = r#"^(\*|"[0-9]{1,19}")$"#)),
    responses((status = 200, body = Partition), (status = 400, body = Problem), (status = 404, body = Problem),
        (status = 409, body = Problem), (status = 412, body = Problem)))]
async fn resume(
    State(coordinator): State<Shared>,
    Named(wanted): Named,
    Seen(seen): Seen,
) -> Result<Response, Refused> {
    Ok(shown(StatusCode::OK, coordinator.resume(&wanted, seen).await?))
}

/// Answers when the partition does not run any more.
#[utoipa::path(post, path = "/v1/partitions/{partition}/wait", tag = "partitions",
    params(("partition" = String, Path)),
    responses((status = 200, body = Partition), (status = 404, body = Problem, description = "there is none, or it has gone without a trace"),
        (status = 409, body = Problem)))]
async fn wait(State(coordinator): State<Shared>, Named(wanted): Named) -> Result<Response, Refused> {
    match coordinator.wait(&wanted).await? {
        Some(partition) => Ok(shown(StatusCode::OK, partition)),
        None => Err(problems::no_partition(&wanted).into()),
    }
}
