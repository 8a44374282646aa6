//! What has to be done so that there is what is wanted. Pure.

use std::collections::BTreeMap;

use septum_api_types::v1::{APPLIED, CreatePartition, Partition, PartitionState, Problem, ProblemCode};
use serde::Serialize;
use serde_json::Value;

/// What is done to a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// There is none: it is made.
    Create,
    /// It is what is wanted.
    Unchanged,
    /// Its spec is changed; it goes on as it is.
    Change,
    /// Its spec is changed, and it starts with it.
    ChangeAndStart,
    /// It runs, and is stopped, changed and started: this cannot be changed while it runs.
    Replace,
    /// It is started.
    Start,
    /// No file wants it, and nothing is left of it.
    Remove,
}

impl Action {
    /// For people: what will be done, and what was.
    pub fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Create => ("create", "created"),
            Self::Unchanged => ("unchanged", "unchanged"),
            Self::Change => ("change", "changed"),
            Self::ChangeAndStart => ("change, and start", "changed and started"),
            Self::Replace => ("replace: stop, change, and start", "replaced"),
            Self::Start => ("start", "started"),
            Self::Remove => ("remove", "removed"),
        }
    }

    /// What begins its line.
    pub fn sign(self) -> char {
        match self {
            Self::Create => '+',
            Self::Unchanged => '=',
            Self::Change | Self::ChangeAndStart | Self::Replace | Self::Start => '~',
            Self::Remove => '-',
        }
    }
}

/// A field that is another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Difference {
    /// Its name; of tables, with dots.
    pub field: String,
    /// What it is; `null` if it is not set.
    pub old: Value,
    /// What it becomes.
    pub new: Value,
}

/// What is done to a partition, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// Its name.
    pub partition: String,
    /// What is done.
    pub action: Action,
    /// What changes.
    pub differences: Vec<Difference>,
}

/// A partition as it is.
#[derive(Clone, Debug)]
pub struct Present {
    /// It.
    pub partition: Partition,
    /// What makes it, if that is known.
    pub spec: Option<CreatePartition>,
}

/// What is to be done so that a partition is as wanted.
///
/// # Errors
/// Somebody else made the one that has its name.
pub fn decide(name: &str, wanted: &CreatePartition, present: Option<&Present>) -> Result<Step, Problem> {
    let step = |action, differences| Step { partition: name.to_owned(), action, differences };
    let Some(present) = present else { return Ok(step(Action::Create, Vec::new())) };
    let Some(spec) = present.spec.as_ref().filter(|spec| spec.labels.contains_key(APPLIED)) else {
        return Err(Problem::new(
            ProblemCode::Conflict,
            format!("cannot apply '{name}'"),
            format!("partition {} has this name, and septum apply has not made it", present.partition.id),
            format!("choose another name, or remove that one: septum rm -f {name}"),
        ));
    };
    let state = &present.partition.state;
    let differences = differences(spec, wanted);
    let is_waiting = matches!(state, PartitionState::Pending { .. });
    let action = if state.is_live() {
        match (differences.is_empty(), spec.needs_new_start(wanted) && !is_waiting) {
            (true, _) => Action::Unchanged,
            (false, true) => Action::Replace,
            (false, false) => Action::Change,
        }
    } else if wanted.start && (spec.needs_new_start(wanted) || is_to_start(&present.partition, wanted)) {
        if differences.is_empty() { Action::Start } else { Action::ChangeAndStart }
    } else if differences.is_empty() {
        Action::Unchanged
    } else {
        Action::Change
    };
    Ok(step(action, differences))
}

/// Whether one that is what is wanted, and does not run, is started: one that has never run, or was lost, or is to run always. What has
/// come to its end is not run again.
fn is_to_start(partition: &Partition, wanted: &CreatePartition) -> bool {
    match partition.state {
        PartitionState::Created | PartitionState::Lost => true,
        PartitionState::Exited { .. } => {
            partition.started_ms.is_none() || wanted.restart.as_deref() == Some("always")
        }
        _ => false,
    }
}

/// The fields that differ, by name.
fn differences(old: &CreatePartition, new: &CreatePartition) -> Vec<Difference> {
    let (old, new) = (fields(old), fields(new));
    let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
    names.sort();
    names.dedup();
    let value = |of: &BTreeMap<String, Value>, name: &String| of.get(name).cloned().unwrap_or_default();
    let all = names.into_iter().map(|name| (name, value(&old, name), value(&new, name)));
    let changed = all.filter(|(_, old, new)| old != new);
    changed.map(|(name, old, new)| Difference { field: name.clone(), old, new }).collect()
}

fn fields(spec: &CreatePartition) -> BTreeMap<String, Value> {
    let mut flat = BTreeMap::new();
    if let Ok(Value::Object(table)) = serde_json::to_value(spec) {
        for (name, value) in table {
            match value {
                Value::Object(inner) => {
                    flat.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
                }
                value => drop(flat.insert(name, value)),
            }
        }
    }
    flat
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_api_types::v1::{Desired, Waiting};

    fn spec() -> CreatePartition {
        CreatePartition {
            name: Some("a".to_owned()),
            command: vec!["x".to_owned()],
            memory: Some("64M".to_owned()),
            start: true,
            labels: [(APPLIED.to_owned(), String::new())].into(),
            ..CreatePartition::default()
        }
    }

    fn present(state: PartitionState, spec: Option<CreatePartition>) -> Present {
        let partition = Partition {
            id: "0123456789ab".to_owned(),
            name: Some("a".to_owned()),
            command: "x".to_owned(),
            state,
            desired: Desired::Running,
            revision: 3,
            created_ms: 1,
            started_ms: Some(2),
            restarts: 0,
            memory_bytes: None,
            cpus: None,
            volumes: Vec::new(),
            labels: BTreeMap::new(),
            owner: "local".to_owned(),
            priority: Default::default(),
            is_managed: spec.is_some(),
            has_log: true,
            has_terminal: false,
        };
        Present { partition, spec }
    }

    fn exited() -> PartitionState {
        PartitionState::Exited { status: 0, message: None, at_ms: 5 }
    }

    fn action(wanted: &CreatePartition, state: PartitionState) -> Action {
        decide("a", wanted, Some(&present(state, Some(spec())))).unwrap().action
    }

    #[test]
    fn what_is_as_wanted_stays() {
        assert_eq!(decide("a", &spec(), None).unwrap().action, Action::Create);
        for state in [PartitionState::Running, PartitionState::Paused, PartitionState::Starting, exited()] {
            assert_eq!(action(&spec(), state.clone()), Action::Unchanged, "{state:?}");
        }
        assert_eq!(action(&spec(), PartitionState::Created), Action::Start);
        assert_eq!(action(&spec(), PartitionState::Lost), Action::Start);
        let rests = CreatePartition { start: false, ..spec() };
        let step = decide("a", &rests, Some(&present(PartitionState::Created, Some(rests.clone())))).unwrap();
        assert_eq!(step.action, Action::Unchanged);
        let always = CreatePartition { restart: Some("always".to_owned()), ..spec() };
        let step = decide("a", &always, Some(&present(exited(), Some(always.clone())))).unwrap();
        assert_eq!(step.action, Action::Start);
        let mut failed = present(exited(), Some(spec()));
        failed.partition.started_ms = None;
        assert_eq!(decide("a", &spec(), Some(&failed)).unwrap().action, Action::Start, "it never ran");
    }

    #[test]
    fn what_differs_is_told_and_changed_as_softly_as_can_be() {
        let larger = CreatePartition { memory: Some("128M".to_owned()), ..spec() };
        let step = decide("a", &larger, Some(&present(PartitionState::Running, Some(spec())))).unwrap();
        assert_eq!(step.action, Action::Replace);
        let expected = Difference { field: "memory".to_owned(), old: "64M".into(), new: "128M".into() };
        assert_eq!(step.differences, [expected]);
        assert_eq!(action(&larger, exited()), Action::ChangeAndStart);
        let waits = PartitionState::Pending { reason: Waiting::Memory, since_ms: 1 };
        assert_eq!(action(&larger, waits), Action::Change);
        assert_eq!(action(&CreatePartition { start: false, ..larger }, exited()), Action::Change);
        let mut labelled = spec();
        labelled.labels.insert("k".to_owned(), "v".to_owned());
        assert_eq!(action(&labelled, PartitionState::Running), Action::Change);
        assert_eq!(action(&labelled, exited()), Action::Change, "a label is no reason to run it again");
        let mut reaches = spec();
        reaches.network.allow.push("example.org:443".to_owned());
        let step = decide("a", &reaches, Some(&present(PartitionState::Running, Some(spec())))).unwrap();
        assert_eq!(
            (step.differences[0].field.as_str(), &step.differences[0].old),
            ("network.allow", &Value::Null)
        );
    }

    #[test]
    fn what_others_made_is_left_alone() {
        for theirs in [None, Some(CreatePartition { labels: BTreeMap::new(), ..spec() })] {
            let problem = decide("a", &spec(), Some(&present(PartitionState::Running, theirs))).unwrap_err();
            assert!(problem.cause.contains("has not made it"), "{problem}");
        }
    }
}
