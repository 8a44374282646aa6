//! What is to be done with a partition, seen what is wanted of it and how it goes. Pure: the time is an argument.

use std::time::Duration;

use septum_api_types::restart::Restart;
use septum_api_types::v1::{Desired, PartitionState};

use crate::machine::Partition;

/// How long a start that nobody waits for, left by a coordinator that was killed, may take to be seen in the folder.
const START_LIMIT: Duration = Duration::from_secs(5);
/// The first pause before one that was lost is started again; each is twice as long as the one before.
const FIRST_PAUSE: Duration = Duration::from_millis(200);
/// The longest.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Nothing.
    Rest,
    /// It was left half made: nothing of it is to stay.
    Forget,
    /// Its start was cut off: it waits for another.
    Requeue,
    /// Start it once more.
    Relaunch,
    /// Go on with its removal.
    Remove,
}

/// What to do. `is_busy`: this coordinator is about to start or remove it.
#[must_use]
pub fn decide(partition: &Partition, is_busy: bool, now_ms: u64) -> Step {
    let since = Duration::from_millis(now_ms.saturating_sub(partition.changed_ms));
    match (&partition.state, partition.desired) {
        _ if is_busy => Step::Rest,
        (PartitionState::Removing, _) => Step::Remove,
        (PartitionState::Starting, _) if partition.record.is_none() && since > START_LIMIT => {
            if partition.is_promised { Step::Requeue } else { Step::Forget }
        }
        (PartitionState::Lost, Desired::Running) => {
            let policy = partition.create.as_ref().and_then(|create| create.restart.as_deref());
            let policy: Restart = policy.and_then(|text| text.parse().ok()).unwrap_or_default();
            // A supervisor that was killed is a failure.
            let applies = policy.applies(u8::MAX, partition.relaunches);
            if applies && since >= pause(partition.relaunches) { Step::Relaunch } else { Step::Rest }
        }
        _ => Step::Rest,
    }
}

fn pause(relaunches: u32) -> Duration {
    2_u32.checked_pow(relaunches).map_or(LONGEST_PAUSE, |times| (FIRST_PAUSE * times).min(LONGEST_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use septum_api_types::v1::CreatePartition;

    fn partition(state: PartitionState, restart: &str) -> Partition {
        let create = CreatePartition { restart: Some(restart.to_owned()), ..CreatePartition::default() };
        let fresh = Partition::new("0123456789ab".to_owned(), create, "local".to_owned(), 1000);
        Partition { state, desired: Desired::Running, ..fresh }
    }

    #[test]
    fn what_was_left_half_made_is_forgotten_in_time() {
        let create = CreatePartition { start: true, ..CreatePartition::default() };
        let half = Partition {
            state: PartitionState::Starting,
            ..Partition::new("0123456789ab".to_owned(), create, "local".to_owned(), 1000)
        };
        let promised = Partition { is_promised: true, ..half.clone() };
        assert_eq!(decide(&promised, false, 12_000), Step::Requeue);
        assert_eq!(decide(&half, false, 1001), Step::Rest);
        assert_eq!(decide(&half, false, 12_000), Step::Forget);
        assert_eq!(decide(&half, true, 12_000), Step::Rest);
    }

    #[test]
    fn who_is_lost_comes_back_if_the_policy_says_so() {
        assert_eq!(decide(&partition(PartitionState::Lost, "no"), false, 9000), Step::Rest);
        let mut lost = partition(PartitionState::Lost, "on-failure:2");
        assert_eq!(decide(&lost, false, 1100), Step::Rest);
        assert_eq!(decide(&lost, false, 1200), Step::Relaunch);
        lost.relaunches = 2;
        assert_eq!(decide(&lost, false, u64::MAX), Step::Rest, "often enough");
        let mut always = partition(PartitionState::Lost, "always");
        always.relaunches = 4000;
        assert_eq!(decide(&always, false, 60_999), Step::Rest);
        assert_eq!(decide(&always, false, 61_000), Step::Relaunch);
        always.desired = Desired::Stopped;
        assert_eq!(decide(&always, false, u64::MAX), Step::Rest);
    }
}
