//! Making partitions, each once however often it is asked for.

use std::sync::Arc;

use septum_api_types::failure::Failure;
use septum_api_types::v1::{self, CreatePartition, PartitionState, Problem, ProblemCode};
use septum_registry::directory::new_id;
use septum_registry::keeper::Verdict;
use septum_registry::record::now_ms;
use sha2::{Digest as _, Sha256};

use crate::coordinator::Coordinator;
use crate::machine::{Change, Partition};
use crate::problems;

/// A partition that was asked for.
#[derive(Clone, Debug)]
pub struct Made {
    /// It.
    pub partition: v1::Partition,
    /// Whether the same request had made it before.
    pub is_replay: bool,
}

/// What became of a new partition.
enum Entered {
    /// It is in the book.
    New,
    /// The same request has made this one before.
    Before(String),
    /// It does not start at once, and nobody has looked yet whether it ever could.
    Unchecked,
}

impl Coordinator {
    /// Makes a partition, and starts it if that is wanted. With a key, the same request makes it once.
    ///
    /// # Errors
    /// It cannot be, or did not start; nothing of it is left then.
    pub async fn create(
        self: &Arc<Self>,
        create: CreatePartition,
        key: Option<String>,
        owner: String,
    ) -> Result<Made, Problem> {
        let digest = digest_of(&create)?;
        if let Some(id) = self.claimed(key.as_deref(), &digest)? {
            return self.replay(&id).await;
        }
        self.fits_ever(MESSAGE, &create)?;
        let id = new_id().map_err(|error| problems::internal("cannot make a partition", error))?;
        let mut partition = Partition::new(id.clone(), create.clone(), owner, now_ms());
        let claim = key.as_deref().map(|key| (key, digest.as_str()));
        // One that is started at once says itself what is wrong with it.
        let mut is_checked = false;
        loop {
            match self.enter(&mut partition, claim, is_checked)? {
                Entered::New => break,
                Entered::Before(id) => return self.replay(&id).await,
                Entered::Unchecked => self.check(&create).await?,
            }
            is_checked = true;
        }
        if partition.state == PartitionState::Starting {
            self.launch_and_finish(id.clone(), true).await?;
        } else {
            self.finish(&id);
        }
        let inner = self.lock();
        // One that leaves nothing of itself may be gone.
        let partition = inner.book.get(&id).map_or_else(|| partition.view(), Partition::view);
        Ok(Made { partition, is_replay: false })
    }

    /// Puts a new partition into the book and marks it as busy.
    fn enter(
        &self,
        partition: &mut Partition,
        claim: Option<(&str, &str)>,
        is_checked: bool,
    ) -> Result<Entered, Problem> {
        let not_kept = |error| problems::not_kept(MESSAGE, &error);
        let mut inner = self.lock();
        if let Some((key, _)) = claim
            && let Some((id, _)) = inner.store.claimed(key).map_err(not_kept)?
        {
            return Ok(Entered::Before(id));
        }
        let name = partition.name.as_deref().unwrap_or_default();
        if let Some(owner) = inner.book.named(name) {
            return Err(name_taken(name, &owner.id));
        }
        let waits_for = if partition.create.as_ref().is_some_and(|create| create.start) {
            Some(self.waits_for(&inner, partition)?)
        } else {
            None
        };
        if waits_for != Some(None) && !is_checked {
            return Ok(Entered::Unchecked);
        }
        if let Some(waits_for) = waits_for {
            // Cannot be refused: it is new.
            let _ = partition.apply(Change::Start(waits_for), now_ms());
        }
        inner.busy.insert(partition.id.clone());
        if let Err(error) = self.insert(&mut inner, partition, claim) {
            inner.busy.remove(&partition.id);
            return Err(not_kept(error));
        }
        Ok(Entered::New)
    }

    fn claimed(&self, key: Option<&str>, digest: &str) -> Result<Option<String>, Problem> {
        let Some(key) = key else { return Ok(None) };
        let found = self.lock().store.claimed(key).map_err(|error| problems::not_kept(MESSAGE, &error))?;
        match found {
            None => Ok(None),
            Some((id, other)) if other == digest => Ok(Some(id)),
            Some((id, _)) => Err(Problem::new(
                ProblemCode::Conflict,
                MESSAGE,
                format!("another request with this idempotency key has made partition {id}"),
                "use a new key for each partition",
            )),
        }
    }

    /// The partition of an earlier request, once it is known whether it runs.
    async fn replay(&self, id: &str) -> Result<Made, Problem> {
        let mut changes = self.changes();
        loop {
            {
                let inner = self.lock();
                let Some(partition) = inner.book.get(id) else {
                    return Err(Problem::new(
                        ProblemCode::Conflict,
                        MESSAGE,
                        "the first request with this idempotency key failed",
                        "try once more",
                    ));
                };
                // One that a coordinator before this has begun shows up in the folder, or is forgotten.
                let is_open = partition.state == PartitionState::Starting && partition.record.is_none();
                if !inner.busy.contains(id) && !is_open {
                    return Ok(Made { partition: partition.view(), is_replay: true });
                }
            }
            if changes.changed().await.is_err() {
                return Err(problems::internal(MESSAGE, "the coordinator ends"));
            }
        }
    }

    /// Whether a partition could be, as far as can be told without it.
    ///
    /// # Errors
    /// It could not.
    pub async fn check(&self, create: &CreatePartition) -> Result<(), Problem> {
        match self.order("000000000000", create, true).await? {
            Verdict::Refused(failure) => Err(invalid(&failure)),
            Verdict::Failed { status, message } => Err(problems::not_started(status, &message)),
            Verdict::Good | Verdict::Started => Ok(()),
        }
    }
}

const MESSAGE: &str = "cannot make the partition";

/// A request that asks for what cannot be.
pub(crate) fn invalid(failure: &Failure) -> Problem {
    problems::failed(ProblemCode::Invalid, failure)
}

pub(crate) fn name_taken(name: &str, id: &str) -> Problem {
    Problem::new(
        ProblemCode::Conflict,
        MESSAGE,
        format!("the name '{name}' is taken by partition {id}"),
        "choose another name, or remove that partition",
    )
}

/// Of what is asked for, whatever it looked like.
fn digest_of(create: &CreatePartition) -> Result<String, Problem> {
    let text = serde_json::to_vec(create).map_err(|error| problems::internal(MESSAGE, error))?;
    Ok(hex(&Sha256::digest(text)))
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
