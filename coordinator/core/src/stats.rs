//! Statistics of partitions, for all who want them at once.
//!
//! Supervisors are asked when somebody wants to know, and no more often than once in [`FRESH`]: what they said then is what others who want
//! to know get, so a hundred who watch cost as much as one. Who does not answer within [`PATIENCE`] is left out.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use septum_api_types::v1::{Problem, ProblemCode, Stats};
use septum_registry::Found;
use septum_registry::control::{Answer, Request};
use tokio::sync::Mutex;
use tokio::task::JoinSet;

use crate::control;
use crate::coordinator::Coordinator;
use crate::problems;

/// How old a reading of all may be.
const FRESH: Duration = Duration::from_millis(900);
/// How long a supervisor has to answer.
const PATIENCE: Duration = Duration::from_secs(2);
/// How many are asked at once.
const AT_ONCE: usize = 16;

/// The latest reading of all.
#[derive(Debug, Default)]
pub(crate) struct Latest(Mutex<Option<(Instant, Arc<Vec<Stats>>)>>);

impl Coordinator {
    /// A reading of one partition, with its threads one by one if wanted.
    ///
    /// # Errors
    /// There is no such partition, it does not run, or does not answer.
    pub async fn stats(&self, wanted: &str, threads: bool) -> Result<Stats, Problem> {
        let id = self.meant(wanted)?;
        let what = || format!("cannot read statistics of partition '{wanted}'");
        let found = self.look(&id).filter(|found| found.record.state.is_live()).ok_or_else(|| {
            Problem::new(ProblemCode::Conflict, what(), "it does not run", "start it first")
        })?;
        let request = Request::Stats { threads };
        let asked = control::ask(&found, &request);
        match tokio::time::timeout(PATIENCE, asked).await {
            Ok(Ok(Answer::Stats(stats))) => Ok(*stats),
            Ok(Ok(Answer::Refused(failure))) => Err(problems::failed(ProblemCode::Conflict, &failure)),
            Ok(Ok(_)) => Err(problems::internal(&what(), "its supervisor gave a strange answer")),
            Ok(Err(error)) => Err(problems::unanswered(wanted, &error)),
            Err(_) => Err(Problem::new(
                ProblemCode::Unavailable,
                what(),
                "its supervisor does not answer",
                "try again; if that does not help, see its log",
            )),
        }
    }

    /// A reading of all that run, in the order in which they were made.
    pub async fn all_stats(&self) -> Arc<Vec<Stats>> {
        let mut latest = self.stats.0.lock().await;
        if let Some((at, stats)) = latest.as_ref()
            && at.elapsed() < FRESH
        {
            return Arc::clone(stats);
        }
        let stats = Arc::new(self.ask_all().await);
        *latest = Some((Instant::now(), Arc::clone(&stats)));
        stats
    }

    async fn ask_all(&self) -> Vec<Stats> {
        let registry = self.registry.clone();
        // Reading the folder is reading files.
        let found = tokio::task::spawn_blocking(move || registry.list()).await.unwrap_or_default();
        let live: Vec<Found> = found.into_iter().filter(|found| found.record.state.is_live()).collect();
        let order: Vec<String> = live.iter().map(|found| found.record.id.clone()).collect();
        let (mut asked, mut answers) = (JoinSet::new(), HashMap::new());
        for found in live {
            if asked.len() >= AT_ONCE {
                keep(asked.join_next().await, &mut answers);
            }
            asked.spawn(async move {
                let request = Request::Stats { threads: false };
                let answer = control::ask(&found, &request);
                match tokio::time::timeout(PATIENCE, answer).await {
                    Ok(Ok(Answer::Stats(stats))) => Some(*stats),
                    _ => None,
                }
            });
        }
        while let Some(answer) = asked.join_next().await {
            keep(Some(answer), &mut answers);
        }
        order.iter().filter_map(|id| answers.remove(id)).collect()
    }
}

fn keep(answer: Option<Result<Option<Stats>, tokio::task::JoinError>>, answers: &mut HashMap<String, Stats>) {
    if let Some(Ok(Some(stats))) = answer {
        answers.insert(stats.partition.clone(), stats);
    }
}
