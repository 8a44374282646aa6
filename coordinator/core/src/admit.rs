//! Letting partitions start when there is room.
//!
//! Whoever is to be started is in the book as `Starting`, and so has its part of the host, or as `Pending`, before the lock is let go: two that
//! come at once are not both given the last place.

use std::sync::Arc;

use septum_api_types::size::Size;
use septum_api_types::v1::{CreatePartition, PartitionState, Problem, ProblemCode, Waiting};
use septum_registry::record::now_ms;

use crate::admission::{Load, plan};
use crate::coordinator::{Coordinator, Inner};
use crate::machine::{Change, Partition};

/// Those that wait, at most.
const LONGEST_QUEUE: usize = 10_000;

impl Coordinator {
    /// What a partition would have to wait for if it were to be started now. `None`: nothing.
    ///
    /// # Errors
    /// Too many wait.
    pub(crate) fn waits_for(&self, inner: &Inner, partition: &Partition) -> Result<Option<Waiting>, Problem> {
        let mut candidate = Partition { record: None, ..partition.clone() };
        candidate.state = PartitionState::Pending { reason: Waiting::Turn, since_ms: now_ms() };
        let others = inner.book.all().filter(|it| it.id != candidate.id);
        let mut plan = plan(&self.configuration.capacity, others.chain(std::iter::once(&candidate)));
        let waits = plan.waits.remove(&candidate.id);
        if waits.is_some() && plan.waits.len() >= LONGEST_QUEUE {
            return Err(Problem::new(
                ProblemCode::Unavailable,
                format!("cannot start partition '{}'", partition.id),
                format!("{LONGEST_QUEUE} partitions wait for room already"),
                "try again later, or on another host",
            ));
        }
        Ok(waits)
    }

    /// Fails if a partition is larger than what the host gives to all.
    pub(crate) fn fits_ever(&self, what: &str, create: &CreatePartition) -> Result<(), Problem> {
        let (capacity, wanted) = (self.configuration.capacity, Load::wanted(create));
        let cause = match Load::default().lacks(wanted, &capacity) {
            None => return Ok(()),
            Some(Waiting::Memory) => format!(
                "field 'memory': it asks for {}, and this host gives {} to all partitions together",
                Size(wanted.memory_bytes),
                Size(capacity.memory_bytes)
            ),
            Some(Waiting::Cpus) => format!(
                "field 'cpus': it asks for {}, and this host gives {} to all partitions together",
                wanted.cpus, capacity.cpus
            ),
            Some(_) => "this host takes no partitions".to_owned(),
        };
        let next =
            "ask for less, or serve with more: septum serve --max-memory, --max-cpus, --max-partitions";
        Err(Problem::new(ProblemCode::Invalid, what, cause, next))
    }

    /// Starts those that wait and for whom there is room now.
    pub(crate) fn admit(self: &Arc<Self>) {
        let (mut admitted, mut events) = (Vec::new(), Vec::new());
        let mut inner = self.lock();
        if !inner.book.all().any(|it| matches!(it.state, PartitionState::Pending { .. })) {
            return;
        }
        let plan = plan(&self.configuration.capacity, inner.book.all());
        for id in plan.starts {
            if !inner.busy.insert(id.clone()) {
                continue;
            }
            // If it cannot be kept, it goes on waiting: the next sweep tries again.
            match Self::change_locked(&mut inner, &id, "start", Change::Admit) {
                Ok((_, event)) => {
                    events.push(event);
                    admitted.push(id);
                }
                Err(_) => drop(inner.busy.remove(&id)),
            }
        }
        drop(inner);
        for (id, waiting) in plan.waits {
            self.note(&id, Change::Wait(waiting));
        }
        events.into_iter().for_each(|event| self.tell(event));
        for id in admitted {
            let coordinator = Arc::clone(self);
            tokio::spawn(async move {
                let leaves_nothing = {
                    let inner = coordinator.lock();
                    inner.book.get(&id).and_then(|it| it.create.as_ref()).is_some_and(|it| it.auto_remove)
                };
                // What fails is in its state.
                let _ = coordinator.launch_and_finish(id, leaves_nothing).await;
            });
        }
    }
}
