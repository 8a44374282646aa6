//! What clients want of partitions that there are.

use std::sync::Arc;
use std::time::Duration;

use septum_api_types::signal::Signal;
use septum_api_types::v1::{self, PartitionState, Problem, ProblemCode};
use septum_registry::control::{Answer, Request};

use crate::control;
use crate::coordinator::{Coordinator, Inner};
use crate::machine::{Change, Partition, Refusal};
use crate::problems;

/// How often something that is about to be is looked for, and how long that is between two looks.
const LOOKS: u32 = 300;
const GLANCE: Duration = Duration::from_millis(10);

/// What a client has seen of a partition, if it cares: its revision.
pub type Seen = Option<u64>;

impl Coordinator {
    /// Fails if a partition is not what its client has seen.
    fn expect(&self, id: &str, seen: Seen) -> Result<(), Problem> {
        Self::expect_locked(&self.lock(), id, seen)
    }

    /// The same, for those who hold the lock already.
    pub(crate) fn expect_locked(inner: &Inner, id: &str, seen: Seen) -> Result<(), Problem> {
        let Some(seen) = seen else { return Ok(()) };
        let revision = inner.book.get(id).map(|partition| partition.revision);
        if revision == Some(seen) {
            return Ok(());
        }
        Err(Problem::new(
            ProblemCode::Changed,
            format!("cannot change partition '{id}'"),
            format!("it has changed: its revision is {}, not {seen}", revision.unwrap_or(0)),
            "look at it again, and decide anew",
        ))
    }

    /// Whom an order is for, as that one is now and as its client has seen it.
    pub(crate) fn aim(&self, wanted: &str, seen: Seen) -> Result<String, Problem> {
        let id = self.meant(wanted)?;
        self.look(&id);
        self.expect(&id, seen)?;
        Ok(id)
    }

    pub(crate) fn view(&self, id: &str) -> Result<v1::Partition, Problem> {
        self.lock().book.get(id).map(Partition::view).ok_or_else(|| problems::no_partition(id))
    }

    /// Starts one that does not run, or has it wait until there is room.
    ///
    /// # Errors
    /// It runs, or does not start.
    pub async fn start(self: &Arc<Self>, wanted: &str, seen: Seen) -> Result<v1::Partition, Problem> {
        let id = self.aim(wanted, seen)?;
        if !self.begin(&id) {
            return Err(problems::refused("start", wanted, &Refusal::Live("busy")));
        }
        let begun = self.admit_one(&id);
        match &begun {
            Ok(partition) if partition.state == PartitionState::Starting => {
                self.launch_and_finish(id.clone(), false).await?;
            }
            _ => self.finish(&id),
        }
        begun?;
        self.view(&id)
    }

    /// Gives it its part of the host, or has it wait.
    fn admit_one(&self, id: &str) -> Result<Partition, Problem> {
        let mut inner = self.lock();
        let partition = inner.book.get(id).cloned().ok_or_else(|| problems::no_partition(id))?;
        if let Some(create) = &partition.create {
            self.fits_ever(&format!("cannot start partition '{id}'"), create)?;
        }
        let waits_for = self.waits_for(&inner, &partition)?;
        let (partition, event) = Self::change_locked(&mut inner, id, "start", Change::Start(waits_for))?;
        drop(inner);
        self.tell(event);
        Ok(partition)
    }

    /// Asks the program to end, and ends the partition when its time is up.
    ///
    /// # Errors
    /// It does not run.
    pub async fn stop(&self, wanted: &str, seconds: u32, seen: Seen) -> Result<v1::Partition, Problem> {
        self.end(wanted, "stop", &Request::Stop { seconds: Some(seconds) }, seen).await
    }

    /// Sends the program a signal; with KILL, ends the partition.
    ///
    /// # Errors
    /// It does not run.
    pub async fn kill(&self, wanted: &str, signal: Signal, seen: Seen) -> Result<v1::Partition, Problem> {
        if signal == Signal::KILL {
            return self.end(wanted, "kill", &Request::Kill, seen).await;
        }
        self.command(wanted, "send a signal to", &Request::Signal(signal), seen).await
    }

    /// Holds the processors.
    ///
    /// # Errors
    /// It does not run.
    pub async fn pause(&self, wanted: &str, seen: Seen) -> Result<v1::Partition, Problem> {
        self.command(wanted, "pause", &Request::Pause, seen).await
    }

    /// Lets them go on.
    ///
    /// # Errors
    /// It does not run.
    pub async fn resume(&self, wanted: &str, seen: Seen) -> Result<v1::Partition, Problem> {
        self.command(wanted, "resume", &Request::Resume, seen).await
    }

    async fn end(
        &self,
        wanted: &str,
        what: &str,
        request: &Request,
        seen: Seen,
    ) -> Result<v1::Partition, Problem> {
        let id = self.aim(wanted, seen)?;
        let mut last = self.change(&id, what, Change::Stop)?.view();
        if !last.state.is_live() {
            // It only waited.
            return Ok(last);
        }
        let answer = self.ask(&id, wanted, what, request).await;
        // Its supervisor answers, then writes.
        for _ in 0..LOOKS {
            self.look(&id);
            match self.view(&id) {
                // One that leaves nothing of itself is gone.
                Err(_) => return Ok(last),
                Ok(now) if !now.state.is_live() => return Ok(now),
                Ok(now) => last = now,
            }
            if answer.is_err() {
                break;
            }
            tokio::time::sleep(GLANCE).await;
        }
        answer.map(|_| last)
    }

    async fn command(
        &self,
        wanted: &str,
        what: &str,
        request: &Request,
        seen: Seen,
    ) -> Result<v1::Partition, Problem> {
        let id = self.aim(wanted, seen)?;
        self.ask(&id, wanted, what, request).await?;
        self.look(&id);
        self.view(&id)
    }

    async fn ask(&self, id: &str, wanted: &str, what: &str, request: &Request) -> Result<Answer, Problem> {
        let state = self.view(id)?.state;
        let found = self.registry.get(id).filter(|found| found.record.state.is_live());
        let Some(found) = found else {
            let refusal = Refusal::NotLive(if state.is_live() { "about to end" } else { state.name() });
            return Err(problems::refused(what, wanted, &refusal));
        };
        match control::ask(&found, request).await {
            Ok(Answer::Refused(failure)) => Err(problems::failed(ProblemCode::Conflict, &failure)),
            Ok(answer) => Ok(answer),
            Err(error) => Err(problems::unanswered(wanted, &error)),
        }
    }

    /// Waits until a partition does not run any more. `Ok(None)`: it has gone without a trace meanwhile.
    ///
    /// # Errors
    /// There is none.
    pub async fn wait(&self, wanted: &str) -> Result<Option<v1::Partition>, Problem> {
        let id = self.meant(wanted)?;
        let mut changes = self.changes();
        self.look(&id);
        loop {
            match self.view(&id) {
                Err(_) => return Ok(None),
                Ok(now) if !now.state.is_live() => return Ok(Some(now)),
                Ok(_) => {}
            }
            if changes.changed().await.is_err() {
                return Err(problems::internal("cannot wait", "the coordinator ends"));
            }
        }
    }

    /// Removes a partition and all that it has left.
    ///
    /// # Errors
    /// It runs, and `force` is not set.
    pub async fn remove(self: &Arc<Self>, wanted: &str, force: bool, seen: Seen) -> Result<(), Problem> {
        let id = self.aim(wanted, seen)?;
        if !self.begin(&id) {
            return Err(problems::refused("remove", wanted, &Refusal::Live("being started or removed")));
        }
        if let Err(problem) = self.change(&id, "remove", Change::Remove { force }) {
            self.finish(&id);
            return Err(problem);
        }
        let coordinator = Arc::clone(self);
        let task = tokio::spawn(async move {
            let result = coordinator.clear_away(&id).await;
            coordinator.finish(&id);
            result
        });
        task.await.map_err(|error| problems::internal("cannot remove the partition", error))?
    }

    /// Ends it if it runs, then removes record, log and row.
    pub(crate) async fn clear_away(&self, id: &str) -> Result<(), Problem> {
        for _ in 0..LOOKS {
            let Some(found) = self.registry.get(id) else {
                let _ = std::fs::remove_dir_all(self.configuration.data.join("logs").join(id));
                self.forget(id);
                return Ok(());
            };
            if found.record.state.is_live() {
                // It may have ended just now.
                let _ = control::ask(&found, &Request::Kill).await;
            } else {
                if let Some(log) = &found.record.log {
                    let _ = std::fs::remove_dir_all(log);
                }
                if found.remove(&self.registry) {
                    continue;
                }
            }
            tokio::time::sleep(GLANCE).await;
        }
        Err(Problem::new(
            ProblemCode::Unavailable,
            format!("cannot remove partition '{id}'"),
            "its supervisor does not end",
            "it is tried again until it succeeds; see the supervisor's process",
        ))
    }
}
