//! What makes a partition, told and changed.

use std::sync::Arc;

use septum_api_types::v1::{self, CreatePartition, PartitionState, Problem, ProblemCode};
use septum_registry::record::now_ms;

use crate::coordinator::Coordinator;
use crate::machine::{Change, Refusal};
use crate::orders::Seen;
use crate::problems;

impl Coordinator {
    /// What makes a partition, and its revision.
    ///
    /// # Errors
    /// There is none, or somebody else started it.
    pub fn spec(&self, wanted: &str) -> Result<(CreatePartition, u64), Problem> {
        let id = self.meant(wanted)?;
        self.look(&id);
        let inner = self.lock();
        let partition = inner.book.get(&id).ok_or_else(|| problems::no_partition(wanted))?;
        let create = partition.create.clone();
        let create =
            create.ok_or_else(|| problems::refused("tell what makes", wanted, &Refusal::NotManaged))?;
        Ok((create, partition.revision))
    }

    /// Has something else make a partition; with `start` one that does not run is started with it, in one step that a crash does not part.
    ///
    /// # Errors
    /// It could not be, it runs and would have to be started anew, or it does not start.
    pub async fn respec(
        self: &Arc<Self>,
        wanted: &str,
        mut create: CreatePartition,
        start: bool,
        seen: Seen,
    ) -> Result<v1::Partition, Problem> {
        let id = self.aim(wanted, seen)?;
        let name = self.view(&id)?.name;
        if create.name.is_some() && create.name != name {
            let cause = "field 'name': a partition keeps its name";
            return Err(Problem::new(
                ProblemCode::Invalid,
                message(wanted),
                cause,
                "leave it as it is, or out",
            ));
        }
        create.name = name;
        self.fits_ever(&message(wanted), &create)?;
        if self.spec(&id)?.0 != create {
            self.check(&create).await?;
        }
        if !self.begin(&id) {
            return Err(problems::refused("change", wanted, &Refusal::Live("being started or removed")));
        }
        match self.write_spec(&id, create, start, seen) {
            Ok(true) => self.launch_and_finish(id.clone(), false).await?,
            Ok(false) => {
                self.finish(&id);
                // It may be smaller now, and fit.
                self.admit();
            }
            Err(problem) => {
                self.finish(&id);
                return Err(problem);
            }
        }
        self.view(&id)
    }

    /// Whether it is to be started now.
    fn write_spec(
        &self,
        id: &str,
        create: CreatePartition,
        start: bool,
        seen: Seen,
    ) -> Result<bool, Problem> {
        let mut inner = self.lock();
        Self::expect_locked(&inner, id, seen)?;
        let mut partition = inner.book.get(id).cloned().ok_or_else(|| problems::no_partition(id))?;
        let refused = |refusal| problems::refused("change", id, &refusal);
        let mut effect = None;
        if partition.create.as_ref() != Some(&create) {
            effect = partition.apply(Change::Respec(Box::new(create)), now_ms()).map_err(refused)?;
        }
        let starts = start && !partition.state.is_live();
        if starts {
            let waits_for = self.waits_for(&inner, &partition)?;
            effect = partition.apply(Change::Start(waits_for), now_ms()).map_err(refused)?;
        }
        let Some(effect) = effect else { return Ok(false) };
        let event = inner.event(&partition, effect.kind, effect.detail);
        let kept = inner.store.save(&partition, None, Some(&event));
        kept.map_err(|error| problems::not_kept(&message(id), &error))?;
        let starts = starts && partition.state == PartitionState::Starting;
        inner.book.put(partition);
        drop(inner);
        self.tell(Some(event));
        Ok(starts)
    }
}

fn message(wanted: &str) -> String {
    format!("cannot change partition '{wanted}'")
}
