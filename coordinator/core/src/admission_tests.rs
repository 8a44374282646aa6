use septum_api_types::v1::Desired;

use super::*;

const HOST: Capacity = Capacity { memory_bytes: 1 << 30, cpus: 8, partitions: 4 };

fn waiting(id: &str, owner: &str, priority: Priority, memory: &str, since_ms: u64) -> Partition {
    let create = CreatePartition { memory: Some(memory.to_owned()), priority, ..CreatePartition::default() };
    Partition {
        state: PartitionState::Pending { reason: Waiting::Turn, since_ms },
        desired: Desired::Running,
        ..Partition::new(id.to_owned(), create, owner.to_owned(), since_ms)
    }
}

fn running(id: &str, owner: &str, memory: &str) -> Partition {
    Partition { state: PartitionState::Running, ..waiting(id, owner, Priority::Batch, memory, 0) }
}

#[test]
fn who_fits_starts_and_the_first_who_does_not_is_waited_for() {
    let all = [
        running("r", "a", "512M"),
        waiting("big", "a", Priority::Batch, "768M", 1),
        waiting("small", "a", Priority::Batch, "64M", 2),
        waiting("huge", "a", Priority::Batch, "2G", 0),
    ];
    let plan = plan(&HOST, all.iter());
    assert!(plan.starts.is_empty());
    assert_eq!((plan.waits["big"], plan.waits["small"]), (Waiting::Memory, Waiting::Turn));
    assert_eq!(plan.waits["huge"], Waiting::LargerHost);
}

#[test]
fn priority_comes_first_then_the_smaller_share_then_time() {
    let all = [
        running("r", "a", "64M"),
        waiting("a1", "a", Priority::Batch, "64M", 1),
        waiting("a2", "a", Priority::Interactive, "64M", 9),
        waiting("b1", "b", Priority::Batch, "64M", 5),
        waiting("b2", "b", Priority::Idle, "64M", 0),
    ];
    let plan = plan(&HOST, all.iter());
    assert_eq!(plan.starts, ["a2", "b1", "a1"]);
    assert_eq!(plan.waits["b2"], Waiting::Places);
}

#[test]
fn two_owners_get_places_in_turn() {
    let mut all = Vec::new();
    for number in 0..100 {
        all.push(waiting(&format!("a{number:02}"), "a", Priority::Batch, "64M", number));
    }
    all.push(waiting("b", "b", Priority::Batch, "64M", 1000));
    let plan = plan(&HOST, all.iter());
    assert_eq!(plan.starts, ["a00", "b", "a01", "a02"]);
    assert_eq!(plan.waits.len(), 97);
}

#[test]
fn what_is_paused_keeps_its_place_and_what_is_over_has_none() {
    let paused = Partition { state: PartitionState::Paused, ..running("p", "a", "1G") };
    let over = Partition { state: PartitionState::Lost, ..running("l", "a", "1G") };
    let next = waiting("n", "b", Priority::Interactive, "64M", 1);
    assert_eq!(plan(&HOST, [&over, &next].into_iter()).starts, ["n"]);
    assert_eq!(plan(&HOST, [&paused, &next].into_iter()).waits["n"], Waiting::Memory);
    assert_eq!(used([&paused, &over, &next].into_iter()).memory_bytes, 1 << 30);
}

#[test]
fn the_host_is_never_promised_twice_and_somebody_always_goes_on() {
    // Many hosts of few processors and many sizes: a simple generator, so that a failure comes again.
    let mut state = 1_u64;
    let mut next = |below: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) % below
    };
    for _ in 0..200 {
        let capacity =
            Capacity { memory_bytes: (1 + next(64)) << 26, cpus: 1 + next(8), partitions: 1 + next(20) };
        let mut all = Vec::new();
        for number in 0..next(60) {
            let priority =
                [Priority::Idle, Priority::Batch, Priority::Interactive][usize::try_from(next(3)).unwrap()];
            let memory = format!("{}M", 64 * (1 + next(80)));
            let mut one = waiting(
                &format!("{number:02}"),
                ["a", "b", "c"][usize::try_from(next(3)).unwrap()],
                priority,
                &memory,
                next(9),
            );
            one.create.as_mut().unwrap().cpus = Some(1 + u32::try_from(next(10)).unwrap());
            all.push(one);
        }
        for _ in 0..200 {
            let plan = plan(&capacity, all.iter());
            assert_eq!(plan.starts.len() + plan.waits.len(), all.iter().filter(|it| !has_place(it)).count());
            for one in &mut all {
                if plan.starts.contains(&one.id) {
                    one.state = PartitionState::Running;
                }
            }
            let used = used(all.iter());
            assert!(Load::default().lacks(used, &capacity).is_none(), "{used:?} {capacity:?}");
            // One of those that run ends.
            match all.iter().position(has_place) {
                Some(ended) => drop(all.remove(ended)),
                None => break,
            }
        }
        let left = plan(&capacity, all.iter());
        assert!(left.waits.values().all(|it| *it == Waiting::LargerHost), "{left:?}");
    }
}
