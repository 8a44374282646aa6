//! Work that takes longer than a request should: what there is, how far it is, and who ends it.
//!
//! ```text
//!   begin ──► Running ──► Done, Failed, Cancelled       what is Running when a coordinator begins is Lost
//! ```
//!
//! An operation is in the database before its client hears of it, and again when it has ended; how far it is meanwhile is only in memory.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use septum_api_types::v1::{Operation, OperationKind, OperationState, Problem, ProblemCode};
use septum_registry::directory::new_id;
use septum_registry::record::now_ms;
use tokio::sync::{Notify, Semaphore, watch};

use crate::coordinator::Coordinator;
use crate::problems;
use crate::store::{Store, StoreError};

/// Those that are kept, and those that may run or wait for their turn.
const KEPT: usize = 1000;
const RUNNING: usize = 64;
/// Those that work at once.
const AT_ONCE: usize = 2;

/// See above.
#[derive(Debug)]
pub(crate) struct Operations {
    /// By when they were asked for.
    entries: Mutex<BTreeMap<(u64, String), Entry>>,
    changes: watch::Sender<u64>,
    pub(crate) turns: Semaphore,
}

#[derive(Debug)]
struct Entry {
    operation: Operation,
    cancelled: Arc<Notify>,
}

impl Operations {
    /// What the database has; what had not ended is lost.
    pub(crate) fn open(store: &Store) -> Result<Self, StoreError> {
        let mut entries = BTreeMap::new();
        for mut operation in store.operations()? {
            if operation.state == OperationState::Running {
                operation.state = OperationState::Lost;
                // If it cannot be written, the next coordinator comes to the same.
                let _ = store.save_operation(&operation);
            }
            let key = (operation.created_ms, operation.id.clone());
            entries.insert(key, Entry { operation, cancelled: Arc::default() });
        }
        let (changes, turns) = (watch::channel(0).0, Semaphore::new(AT_ONCE));
        Ok(Self { entries: Mutex::new(entries), changes, turns })
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<(u64, String), Entry>> {
        // Each change is one assignment.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Option<(Operation, Arc<Notify>)> {
        let entries = self.lock();
        let found = entries.values().find(|entry| entry.operation.id == id);
        found.map(|entry| (entry.operation.clone(), Arc::clone(&entry.cancelled)))
    }

    /// How far one is.
    pub(crate) fn progress(&self, operation: &Operation, done_bytes: u64) {
        if let Some(entry) = self.lock().get_mut(&(operation.created_ms, operation.id.clone())) {
            entry.operation.done_bytes = done_bytes.min(entry.operation.total_bytes);
        }
    }
}

impl Coordinator {
    /// All operations that are kept, oldest first.
    #[must_use]
    pub fn operations(&self) -> Vec<Operation> {
        self.operations.lock().values().map(|entry| entry.operation.clone()).collect()
    }

    /// An operation.
    ///
    /// # Errors
    /// There is none.
    pub fn operation(&self, id: &str) -> Result<Operation, Problem> {
        self.operations.find(id).map(|(operation, _)| operation).ok_or_else(|| no_operation(id))
    }

    /// Waits until an operation has ended.
    ///
    /// # Errors
    /// There is none.
    pub async fn wait_operation(&self, id: &str) -> Result<Operation, Problem> {
        let mut changes = self.operations.changes.subscribe();
        loop {
            let operation = self.operation(id)?;
            if operation.state != OperationState::Running {
                return Ok(operation);
            }
            if changes.changed().await.is_err() {
                return Err(problems::internal("cannot wait", "the coordinator ends"));
            }
        }
    }

    /// Ends an operation, and waits until it has.
    ///
    /// # Errors
    /// There is none, or it has ended by itself.
    pub async fn cancel_operation(&self, id: &str) -> Result<Operation, Problem> {
        let (operation, cancelled) = self.operations.find(id).ok_or_else(|| no_operation(id))?;
        let refused = |operation: &Operation| {
            Problem::new(
                ProblemCode::Conflict,
                format!("cannot cancel operation '{id}'"),
                format!("it is {}", operation.state.name()),
                "undo what it has done, if that is meant",
            )
        };
        if operation.state != OperationState::Running {
            return Err(refused(&operation));
        }
        cancelled.notify_one();
        let ended = self.wait_operation(id).await?;
        match ended.state {
            OperationState::Cancelled { .. } => Ok(ended),
            _ => Err(refused(&ended)),
        }
    }

    /// Begins an operation; returns what cancels it besides.
    ///
    /// # Errors
    /// It cannot be kept, or too many run.
    pub(crate) fn begin_operation(
        &self,
        kind: OperationKind,
        subject: Option<String>,
        owner: String,
        total_bytes: u64,
    ) -> Result<(Operation, Arc<Notify>), Problem> {
        const MESSAGE: &str = "cannot begin";
        let running = |entry: &&Entry| entry.operation.state == OperationState::Running;
        if self.operations.lock().values().filter(running).count() >= RUNNING {
            let cause = format!("{RUNNING} operations run or wait already");
            return Err(Problem::new(ProblemCode::Unavailable, MESSAGE, cause, "try again later"));
        }
        let id = new_id().map_err(|error| problems::internal(MESSAGE, error))?;
        let state = OperationState::Running;
        let operation =
            Operation { id, kind, subject, state, owner, created_ms: now_ms(), done_bytes: 0, total_bytes };
        let kept = self.lock().store.save_operation(&operation);
        kept.map_err(|error| problems::not_kept(MESSAGE, &error))?;
        let cancelled = Arc::new(Notify::new());
        let entry = Entry { operation: operation.clone(), cancelled: Arc::clone(&cancelled) };
        let mut old = Vec::new();
        {
            let mut entries = self.operations.lock();
            entries.insert((operation.created_ms, operation.id.clone()), entry);
            let surplus = entries.len().saturating_sub(KEPT);
            let ended = entries.iter().filter(|(_, entry)| !running(entry)).map(|(key, _)| key.clone());
            old.extend(ended.take(surplus));
            old.iter().for_each(|key| drop(entries.remove(key)));
        }
        for (_, id) in old {
            let _ = self.lock().store.forget_operation(&id);
        }
        Ok((operation, cancelled))
    }

    /// An operation has ended.
    pub(crate) fn end_operation(&self, operation: &Operation, state: OperationState) {
        let done_bytes = match state {
            OperationState::Done { .. } => operation.total_bytes,
            _ => self.operation(&operation.id).map_or(0, |now| now.done_bytes),
        };
        let ended = Operation { state, done_bytes, ..operation.clone() };
        // If it cannot be written, it is lost for the next coordinator, which is no worse than what a crash does.
        let _ = self.lock().store.save_operation(&ended);
        if let Some(entry) = self.operations.lock().get_mut(&(ended.created_ms, ended.id.clone())) {
            entry.operation = ended;
        }
        self.operations.changes.send_modify(|count| *count += 1);
    }
}

fn no_operation(id: &str) -> Problem {
    Problem::new(
        ProblemCode::NotFound,
        format!("cannot find operation '{id}'"),
        "there is no such operation",
        "GET /v1/operations lists the last thousand",
    )
}
