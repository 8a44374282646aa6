//! `start`, `stop`, `kill`, `pause`, `unpause`, `wait` and `rm`: the same order for each partition that is named.

use septum_api_client::Client;
use septum_api_types::signal::Signal;
use septum_api_types::v1::{KillRequest, Partition, PartitionState, Problem, ProblemCode, StopRequest};

use super::words::wrong;
use crate::args::{Kill, Rm, Several, Stop};
use crate::message;

/// Does something for each; what fails is told, and the first failure is the exit status.
async fn for_each(
    which: &Several,
    act: impl AsyncFn(&str) -> Result<String, Problem>,
) -> Result<u8, Problem> {
    let mut status = 0;
    for wanted in &which.partitions {
        match act(wanted).await {
            Ok(line) => message::print(&format!("{line}\n")),
            Err(problem) => {
                let its = super::tell(problem);
                status = if status == 0 { its } else { status };
            }
        }
    }
    Ok(status)
}

/// `septum start`
pub async fn start(client: &Client, which: &Several) -> Result<u8, Problem> {
    for_each(which, async |wanted| client.start_now(wanted).await.map(|_| wanted.to_owned())).await
}

/// `septum stop`
pub async fn stop(client: &Client, options: &Stop) -> Result<u8, Problem> {
    // -1 is all the time that it wants: 136 years.
    let request = StopRequest { seconds: Some(u32::try_from(options.time).unwrap_or(u32::MAX)) };
    for_each(&options.partitions, async |wanted| {
        ended_already(client, wanted, client.stop_now(wanted, &request).await).await
    })
    .await
}

/// `septum kill`
pub async fn kill(client: &Client, options: &Kill) -> Result<u8, Problem> {
    let request = KillRequest { signal: Some(options.signal.to_string()) };
    for_each(&options.partitions, async |wanted| {
        let answer = client.kill(wanted, &request).await;
        if options.signal == Signal::KILL {
            return ended_already(client, wanted, answer).await;
        }
        answer.map(|_| wanted.to_owned())
    })
    .await
}

/// `septum pause`
pub async fn pause(client: &Client, which: &Several) -> Result<u8, Problem> {
    for_each(which, async |wanted| client.pause(wanted).await.map(|_| wanted.to_owned())).await
}

/// `septum unpause`
pub async fn resume(client: &Client, which: &Several) -> Result<u8, Problem> {
    for_each(which, async |wanted| client.resume(wanted).await.map(|_| wanted.to_owned())).await
}

/// `septum wait`
pub async fn wait(client: &Client, which: &Several) -> Result<u8, Problem> {
    for_each(which, async |wanted| match client.wait(wanted).await?.state {
        PartitionState::Exited { status, .. } => Ok(status.to_string()),
        other => {
            let what = format!("cannot wait for partition '{wanted}'");
            Err(wrong(
                what,
                format!("it is {}, and has no exit status", other.name()),
                "'septum start' starts it",
            ))
        }
    })
    .await
}

/// `septum rm`
pub async fn rm(client: &Client, options: &Rm) -> Result<u8, Problem> {
    if options.volumes {
        let why = "option '--volumes' is not in the API";
        return Err(wrong(
            "cannot do this at a coordinator",
            why,
            "'septum volume prune' removes what nobody has",
        ));
    }
    for_each(&options.partitions, async |wanted| {
        client.remove_now(wanted, options.force).await.map(|()| wanted.to_owned())
    })
    .await
}

/// An order that ends a partition is obeyed if that has ended by itself.
async fn ended_already(
    client: &Client,
    wanted: &str,
    answer: Result<Partition, Problem>,
) -> Result<String, Problem> {
    let problem = match answer {
        Ok(_) => return Ok(wanted.to_owned()),
        Err(problem) => problem,
    };
    let has_ended = problem.code == ProblemCode::Conflict
        && client.look(wanted).await.is_ok_and(|now| matches!(now.state, PartitionState::Exited { .. }));
    if has_ended { Ok(wanted.to_owned()) } else { Err(problem) }
}
