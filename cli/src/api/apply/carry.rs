//! Carrying a plan out, next to others who do the same, and over the end of a coordinator.
//!
//! Each change says which revision it is for, so that who comes second is refused, looks again and decides anew. A create has a key that makes
//! it count once, and a change that starts is one step for the coordinator: whenever somebody dies, the next `septum apply` goes on.

use std::time::Duration;

use septum_api_client::Client;
use septum_api_types::v1::{
    APPLIED, CreatePartition, Partition, PartitionState, Problem, ProblemCode, StopRequest,
};
use tokio::time::{Instant, sleep};

use super::plan::{Action, Present, Step, decide};

/// How often somebody else may have been quicker.
const TRIES: u32 = 20;
/// The pause before another try, and between two looks.
const PAUSE: Duration = Duration::from_millis(50);
/// How long a coordinator that was there before may be away.
const AWAY: Duration = Duration::from_secs(20);
/// How long a start may take that somebody else has begun.
const STARTING: Duration = Duration::from_secs(60);

/// A partition as it is. One that is being started is waited for: it is not yet known whether there will be one.
pub async fn look(client: &Client, name: &str) -> Result<Option<Present>, Problem> {
    let end = Instant::now() + STARTING;
    loop {
        let found = client.partition(name).await?;
        // Beginnings of identifiers are not meant.
        let Some(partition) = found.filter(|it| it.name.as_deref() == Some(name)) else { return Ok(None) };
        let is_open = matches!(partition.state, PartitionState::Starting | PartitionState::Removing);
        if is_open && Instant::now() < end {
            sleep(PAUSE).await;
            continue;
        }
        let spec = if partition.is_managed {
            client.spec(&partition.id).await
        } else {
            return Ok(Some(Present { partition, spec: None }));
        };
        match spec {
            Ok(spec) => return Ok(Some(Present { partition, spec: Some(spec) })),
            // It has gone meanwhile.
            Err(problem) if problem.code == ProblemCode::NotFound => {}
            Err(problem) => return Err(problem),
        }
    }
}

/// Makes a partition what is wanted; returns what was done for that, or was not needed.
pub async fn settle(client: &Client, name: &str, wanted: &CreatePartition) -> Result<Step, Problem> {
    let key = key()?;
    patiently(async || {
        let present = look(client, name).await?;
        let step = decide(name, wanted, present.as_ref())?;
        match (present, step.action) {
            (_, Action::Unchanged) => {}
            (Some(present), Action::Replace) => replace(client, &present.partition, wanted, &key).await?,
            (Some(present), Action::Start) => drop(client.start(&present.partition).await?),
            (Some(present), action) => {
                let starts = action == Action::ChangeAndStart;
                client.set_spec(&present.partition, wanted, starts).await?;
            }
            (None, _) => drop(client.create(wanted, &key).await?),
        }
        Ok(step)
    })
    .await
}

async fn replace(
    client: &Client,
    seen: &Partition,
    wanted: &CreatePartition,
    key: &str,
) -> Result<(), Problem> {
    let ended = client.stop(seen, &StopRequest::default()).await?;
    // Its supervisor still writes how it ended.
    let now = match client.partition(&ended.id).await? {
        Some(now) => now,
        None => return client.create(wanted, key).await.map(drop),
    };
    client.set_spec(&now, wanted, wanted.start).await.map(drop)
}

/// Removes one that no file wants.
pub async fn remove(client: &Client, name: &str, id: &str) -> Result<(), Problem> {
    patiently(async || {
        let Some(partition) = client.partition(id).await? else { return Ok(()) };
        if !partition.labels.contains_key(APPLIED) || partition.name.as_deref() != Some(name) {
            return Ok(());
        }
        if partition.state.is_live() {
            client.stop(&partition, &StopRequest::default()).await?;
        }
        match client.partition(id).await? {
            Some(now) => client.remove(&now).await,
            None => Ok(()),
        }
    })
    .await
}

/// Tries again if somebody else was quicker, or the coordinator is away for a moment.
async fn patiently<T>(mut attempt: impl AsyncFnMut() -> Result<T, Problem>) -> Result<T, Problem> {
    let (mut tries, mut gone) = (0, None);
    loop {
        let problem = match attempt().await {
            Ok(value) => return Ok(value),
            Err(problem) => problem,
        };
        match problem.code {
            ProblemCode::Conflict | ProblemCode::Changed | ProblemCode::NotFound
                if tries < TRIES && !is_final(&problem) =>
            {
                tries += 1;
            }
            ProblemCode::Unavailable if gone.get_or_insert_with(Instant::now).elapsed() < AWAY => {}
            _ => return Err(problem),
        }
        sleep(PAUSE).await;
    }
}

/// Whether looking again changes nothing: the name is somebody else's.
fn is_final(problem: &Problem) -> bool {
    problem.message.starts_with("cannot apply")
}

/// Waits until a partition runs, or has done what it had to.
pub async fn wait(client: &Client, name: &str, end: Option<Instant>) -> Result<(), Problem> {
    let message = || format!("partition '{name}' does not run");
    loop {
        let found = patiently(async || client.partition(name).await).await?;
        // One that leaves nothing of itself has ended.
        let Some(partition) = found else { return Ok(()) };
        match &partition.state {
            PartitionState::Running | PartitionState::Exited { status: 0, .. } => return Ok(()),
            PartitionState::Exited { status, message: why, .. } => {
                let cause = why.clone().unwrap_or_else(|| format!("it ended with status {status}"));
                let mut problem =
                    Problem::new(ProblemCode::Conflict, message(), cause, format!("see septum logs {name}"));
                problem.exit_status = Some(*status);
                return Err(problem);
            }
            _ if end.is_some_and(|end| Instant::now() >= end) => {
                let cause = format!("it is {} when the time is up", partition.state.name());
                let mut problem =
                    Problem::new(ProblemCode::Conflict, message(), cause, "give more time: --wait=TIMEOUT");
                problem.exit_status = Some(septum_api_types::exit::Code::Timeout.number());
                return Err(problem);
            }
            _ => sleep(PAUSE).await,
        }
    }
}

fn key() -> Result<String, Problem> {
    let id = || septum_coordinator::random_id();
    let failed = |error| septum_coordinator::problems::internal("cannot apply", error);
    Ok(format!("apply-{}{}", id().map_err(failed)?, id().map_err(failed)?))
}
