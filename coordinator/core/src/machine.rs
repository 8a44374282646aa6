//! The states of one partition, and the one function that changes them.
//!
//! ```text
//!            Start            Admit             Observed
//!   Created ───────► Pending ───────► Starting ───────────► Running ⇄ Paused, Restarting
//!       ▲  Stop         │ ▲ ▲ Requeue    │ │ StartFailed         │ Observed        │ Observed, Vanished
//!       └───────────────┘ │ └────────────┘ ▼                     ▼                 ▼
//!                   Start └──────────── Exited ◄───────────────┴───────────────► Lost
//!
//!   every state ── Remove ─► Removing ─► (forgotten)
//!
//! Where there is room, Start and Admit are one step. Requeue is for a start that was cut off by the coordinator's end, of a partition that
//! a client has been told of.
//! ```

use std::collections::BTreeMap;

use septum_api_types::v1::{self, CreatePartition, Desired, EventKind, PartitionState, Priority, Waiting};
use septum_registry::Record;
use serde::{Deserialize, Serialize};
use thiserror::Error;

/// What the coordinator knows of a partition.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Partition {
    /// Twelve hexadecimal digits.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What makes it; `None` if somebody else started it.
    pub create: Option<CreatePartition>,
    /// How it goes.
    pub state: PartitionState,
    /// What is wanted.
    pub desired: Desired,
    /// Who has a share of the host by it.
    #[serde(default = "local")]
    pub owner: String,
    /// Whether a client has been told that it is there. One that is not is forgotten if its start is cut off; its client asks again.
    #[serde(default)]
    pub is_promised: bool,
    /// Raised by every change.
    pub revision: u64,
    /// When it was asked for, in ms since 1970.
    pub created_ms: u64,
    /// When its state last changed, in ms since 1970.
    pub changed_ms: u64,
    /// How often the coordinator has started it again since it last ran well.
    pub relaunches: u32,
    /// What its supervisor last wrote, if the folder is to have it.
    pub record: Option<Record>,
}

/// What happens to a partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// It is to be started, as soon as there is room: now, if it waits for nothing.
    Start(Option<Waiting>),
    /// It is to be started again, as it was lost.
    Relaunch,
    /// There is room.
    Admit,
    /// It waits for something else.
    Wait(Waiting),
    /// Its start was cut off.
    Requeue,
    /// It did not start.
    StartFailed {
        /// Exit status of `septum run`.
        status: u8,
        /// Why.
        message: String,
    },
    /// Its supervisor has written this.
    Observed(Box<Record>),
    /// The folder does not have it any more.
    Vanished,
    /// The host was started anew: the folder is empty.
    Rebooted,
    /// It is to end.
    Stop,
    /// This makes it from now on.
    Respec(Box<CreatePartition>),
    /// Nothing of it is to be left.
    Remove {
        /// Even if it runs.
        force: bool,
    },
}

/// A change that is not possible now.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Refusal {
    /// It runs already.
    #[error("it is {0} already")]
    Live(&'static str),
    /// It does not run.
    #[error("it is {0}")]
    NotLive(&'static str),
    /// Somebody else started it, so how is not known.
    #[error("it was not made by the coordinator")]
    NotManaged,
    /// It is about to go.
    #[error("it is being removed")]
    Removing,
}

/// What a change is to others.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What to tell.
    pub kind: EventKind,
    /// A status or a reason.
    pub detail: Option<String>,
    /// Whether the partition is to be forgotten.
    pub is_forgotten: bool,
}

impl Effect {
    fn of(kind: EventKind, detail: Option<String>) -> Self {
        Self { kind, detail, is_forgotten: false }
    }

    fn gone() -> Self {
        Self { kind: EventKind::Removed, detail: None, is_forgotten: true }
    }
}

impl Partition {
    /// One that is asked for.
    #[must_use]
    pub fn new(id: String, create: CreatePartition, owner: String, now_ms: u64) -> Self {
        Self {
            owner,
            is_promised: !create.start,
            id,
            name: create.name.clone(),
            create: Some(create),
            state: PartitionState::Created,
            desired: Desired::Stopped,
            revision: 1,
            created_ms: now_ms,
            changed_ms: now_ms,
            relaunches: 0,
            record: None,
        }
    }

    /// One that was found.
    #[must_use]
    pub fn adopted(record: Record, now_ms: u64) -> Self {
        let state = PartitionState::from(&record.state);
        Self {
            id: record.id.clone(),
            name: record.name.clone(),
            create: None,
            owner: local(),
            is_promised: true,
            desired: if state.is_live() { Desired::Running } else { Desired::Stopped },
            state,
            revision: 1,
            created_ms: record.created_ms,
            changed_ms: now_ms,
            relaunches: 0,
            record: Some(record),
        }
    }

    /// The one function that changes a partition. `None`: nothing that others must know of.
    ///
    /// # Errors
    /// See [`Refusal`]; nothing has changed then.
    pub fn apply(&mut self, change: Change, now_ms: u64) -> Result<Option<Effect>, Refusal> {
        let is_removing = self.state == PartitionState::Removing;
        let effect = match change {
            Change::Start(waits_for) => {
                self.may_start()?;
                (self.desired, self.record, self.relaunches) = (Desired::Running, None, 0);
                match waits_for {
                    None => Some(self.starting()),
                    Some(reason) => Some(self.pending(reason, now_ms)),
                }
            }
            Change::Relaunch => {
                self.may_start()?;
                (self.desired, self.record) = (Desired::Running, None);
                self.relaunches += 1;
                Some(self.pending(Waiting::Turn, now_ms))
            }
            Change::Requeue if self.state == PartitionState::Starting && self.record.is_none() => {
                Some(self.pending(Waiting::Turn, now_ms))
            }
            Change::Admit if matches!(self.state, PartitionState::Pending { .. }) => Some(self.starting()),
            Change::Wait(now) => match &mut self.state {
                PartitionState::Pending { reason, .. } if *reason != now => {
                    *reason = now;
                    None
                }
                _ => return Ok(None),
            },
            Change::Requeue | Change::Admit => return Err(Refusal::Live(self.state.name())),
            Change::StartFailed { status, message } => {
                if self.state != PartitionState::Starting {
                    return Ok(None);
                }
                (self.desired, self.record) = (Desired::Stopped, None);
                self.state = PartitionState::Exited { status, message: Some(message.clone()), at_ms: now_ms };
                Some(Effect::of(EventKind::StartFailed, Some(message)))
            }
            Change::Observed(record) => return Ok(self.observe(*record, now_ms)),
            // Nobody expects one that was never started, or whose record was taken away to start it, to be in the folder.
            Change::Vanished if self.record.is_none() && !is_removing => return Ok(None),
            Change::Vanished => Some(Effect::gone()),
            Change::Rebooted if self.create.is_none() || is_removing => Some(Effect::gone()),
            Change::Rebooted if matches!(self.state, PartitionState::Pending { .. }) => return Ok(None),
            Change::Rebooted => {
                self.record = None;
                if !self.state.is_live() {
                    return Ok(None);
                }
                self.state = PartitionState::Lost;
                Some(Effect::of(EventKind::Lost, Some("the host was started anew".to_owned())))
            }
            Change::Stop if is_removing => return Err(Refusal::Removing),
            Change::Stop if !self.state.is_live() => return Err(Refusal::NotLive(self.state.name())),
            Change::Stop => {
                self.desired = Desired::Stopped;
                if matches!(self.state, PartitionState::Pending { .. }) {
                    self.state = PartitionState::Created;
                    Some(Effect::of(EventKind::Withdrawn, None))
                } else {
                    None
                }
            }
            Change::Respec(create) => {
                self.may_become(&create)?;
                self.create = Some(*create);
                Some(Effect::of(EventKind::Changed, None))
            }
            Change::Remove { force }
                if self.state.is_live()
                    && !force
                    && !matches!(self.state, PartitionState::Pending { .. }) =>
            {
                return Err(Refusal::Live(self.state.name()));
            }
            Change::Remove { .. } => {
                self.desired = Desired::Removed;
                self.state = PartitionState::Removing;
                None
            }
        };
        self.revision += 1;
        self.changed_ms = now_ms;
        Ok(effect)
    }

    fn starting(&mut self) -> Effect {
        self.state = PartitionState::Starting;
        Effect::of(EventKind::Starting, None)
    }

    fn pending(&mut self, reason: Waiting, now_ms: u64) -> Effect {
        self.is_promised = true;
        self.state = PartitionState::Pending { reason, since_ms: now_ms };
        Effect::of(EventKind::Pending, Some(reason.name().to_owned()))
    }

    /// Who comes first when partitions wait.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.create.as_ref().map(|create| create.priority).unwrap_or_default()
    }

    fn may_start(&self) -> Result<(), Refusal> {
        match &self.state {
            PartitionState::Removing => Err(Refusal::Removing),
            state if state.is_live() => Err(Refusal::Live(state.name())),
            _ if self.create.is_none() => Err(Refusal::NotManaged),
            _ => Ok(()),
        }
    }

    fn may_become(&self, create: &CreatePartition) -> Result<(), Refusal> {
        match (&self.create, &self.state) {
            (_, PartitionState::Removing) => Err(Refusal::Removing),
            (None, _) => Err(Refusal::NotManaged),
            (_, PartitionState::Pending { .. }) => Ok(()),
            (Some(old), state) if state.is_live() && old.needs_new_start(create) => {
                Err(Refusal::Live(state.name()))
            }
            _ => Ok(()),
        }
    }

    /// What its supervisor has written counts, whatever was thought before; but one that is being removed stays so.
    fn observe(&mut self, record: Record, now_ms: u64) -> Option<Effect> {
        if self.record.as_ref() == Some(&record) {
            return None;
        }
        // What it left when it ran before; a coordinator that died at that moment has not taken it away.
        let is_older = match self.state {
            PartitionState::Pending { .. } => true,
            PartitionState::Starting => self.record.is_none() && record.created_ms < self.changed_ms,
            _ => false,
        };
        if is_older && !record.state.is_live() {
            return None;
        }
        let state = PartitionState::from(&record.state);
        self.record = Some(record);
        self.is_promised = true;
        self.revision += 1;
        if self.state == PartitionState::Removing || self.state == state {
            return None;
        }
        let before = std::mem::replace(&mut self.state, state);
        self.changed_ms = now_ms;
        let (kind, detail) = match &self.state {
            PartitionState::Running if before == PartitionState::Paused => (EventKind::Resumed, None),
            PartitionState::Running => (EventKind::Running, None),
            PartitionState::Paused => (EventKind::Paused, None),
            PartitionState::Restarting { .. } => (EventKind::Restarting, None),
            PartitionState::Exited { status, message, .. } => {
                // Whoever ended by itself, or was ended by its supervisor, is not wanted to run any more: that one has the policy.
                self.desired = Desired::Stopped;
                let detail = message.clone().unwrap_or_else(|| status.to_string());
                (EventKind::Exited, Some(detail))
            }
            PartitionState::Lost => (EventKind::Lost, Some("its supervisor was killed".to_owned())),
            PartitionState::Created
            | PartitionState::Pending { .. }
            | PartitionState::Starting
            | PartitionState::Removing => (EventKind::Starting, None),
        };
        Some(Effect::of(kind, detail))
    }

    /// As clients see it.
    #[must_use]
    pub fn view(&self) -> v1::Partition {
        let record = self.record.as_ref();
        let words = self.create.iter().flat_map(|create| create.command.iter().map(String::as_str));
        let labels = self.create.as_ref().map(|create| &create.labels).or(record.map(|it| &it.labels));
        v1::Partition {
            id: self.id.clone(),
            name: self.name.clone(),
            command: record.map_or_else(|| words.collect::<Vec<_>>().join(" "), Record::command),
            state: self.state.clone(),
            desired: self.desired,
            revision: self.revision,
            created_ms: self.created_ms,
            started_ms: record.and_then(|it| it.started_ms),
            restarts: record.map_or(0, |it| it.restarts) + self.relaunches,
            memory_bytes: record.map(|it| it.memory_bytes),
            cpus: record.map(|it| it.cpus),
            volumes: record.map(|it| it.volumes.clone()).unwrap_or_default(),
            labels: labels.cloned().unwrap_or_else(BTreeMap::new),
            owner: self.owner.clone(),
            priority: self.priority(),
            is_managed: self.create.is_some(),
            has_log: record.is_some_and(|it| it.log.is_some()),
            has_terminal: record.is_some_and(|it| it.has_terminal),
        }
    }
}

/// The owner of what comes by the socket, or by the command line.
#[must_use]
pub fn local() -> String {
    "local".to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(created_ms: u64, state: &str) -> Record {
        let text = format!(
            r#"{{"version": 1, "id": "0123456789ab", "name": null, "program": "x", "arguments": [], "created_ms": {created_ms},
                "started_ms": 5, "state": {state}, "supervisor": 1, "worker": null, "restarts": 0, "is_detached": true, "log": null,
                "memory_bytes": 1, "cpus": 1, "labels": {{}}}}"#
        );
        serde_json::from_str(&text).unwrap()
    }

    fn observed(partition: &mut Partition, created_ms: u64, state: &str) -> &'static str {
        let change = Change::Observed(Box::new(record(created_ms, state)));
        partition.apply(change, created_ms + 9).unwrap();
        partition.state.name()
    }

    const ENDED: &str = r#"{"is": "exited", "status": 143, "message": null, "at_ms": 30}"#;

    fn made(command: &str) -> CreatePartition {
        CreatePartition { command: vec![command.to_owned()], ..CreatePartition::default() }
    }

    #[test]
    fn what_a_partition_left_before_is_not_taken_for_its_new_start() {
        let mut partition = Partition::new("0123456789ab".to_owned(), made("x"), local(), 10);
        partition.apply(Change::Start(None), 11).unwrap();
        assert_eq!(observed(&mut partition, 12, ENDED), "exited");
        partition.apply(Change::Start(None), 40).unwrap();
        assert_eq!(
            observed(&mut partition, 12, ENDED),
            "starting",
            "the coordinator died before it was taken away"
        );
        partition.apply(Change::Requeue, 50).unwrap();
        assert_eq!(observed(&mut partition, 12, ENDED), "pending");
        partition.apply(Change::Admit, 60).unwrap();
        assert_eq!(observed(&mut partition, 61, ENDED), "exited", "it has run, and ended at once");
    }

    #[test]
    fn what_makes_one_that_runs_changes_only_where_nothing_starts_anew() {
        let mut partition = Partition::new("0123456789ab".to_owned(), made("x"), local(), 10);
        partition.apply(Change::Respec(Box::new(made("y"))), 11).unwrap();
        partition.apply(Change::Start(None), 12).unwrap();
        let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
        partition.apply(Change::Respec(Box::new(CreatePartition { labels, ..made("y") })), 13).unwrap();
        assert_eq!(partition.view().labels["k"], "v");
        let refused = partition.apply(Change::Respec(Box::new(made("z"))), 14);
        assert_eq!(refused, Err(Refusal::Live("starting")));
        let mut found = Partition::adopted(record(1, ENDED), 2);
        assert_eq!(found.apply(Change::Respec(Box::new(made("z"))), 3), Err(Refusal::NotManaged));
    }
}
