use super::*;
use std::collections::BTreeSet;

/// A pool of `frames`, the first 5 of which are somebody else's.
fn pool(frames: u64) -> Pool {
    let blocks = vec![Block::default(); usize::try_from(frames.div_ceil(BLOCK)).unwrap()].leak();
    Pool::new(5, frames, 0..0, blocks)
}

fn take(pool: &mut Pool, group: Group, want_zero: bool) -> Option<(u64, bool)> {
    pool.take_run(group, want_zero, 1, 0).map(|run| (run.first, run.is_zero))
}

#[test]
fn every_frame_is_given_once_and_comes_back() {
    let mut pool = pool(16 * BLOCK + 77);
    let mut seen = BTreeSet::new();
    let mut groups = [Group::Kernel, Group::Program, Group::Cache].into_iter().cycle();
    while let Some(run) = pool.take_run(groups.next().unwrap(), true, 7, 0) {
        assert!(run.is_zero && run.len <= 7);
        (run.first..run.first + run.len).for_each(|frame| assert!(seen.insert(frame), "{frame} twice"));
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), (5..16 * BLOCK + 77).collect::<Vec<_>>());
    assert_eq!((pool.free(), pool.used(), pool.peak()), (0, pool.total(), pool.total()));
    (5..16 * BLOCK + 77).for_each(|frame| pool.give(frame, false));
    assert_eq!((pool.free(), pool.dirty_blocks()), (pool.total(), 15));
    while pool.take_run(Group::Program, false, 64, 0).is_some() {}
    assert_eq!(pool.free(), 0);
}

#[test]
fn the_reserve_is_left() {
    let mut pool = pool(BLOCK);
    let mut taken = 0;
    while let Some(run) = pool.take_run(Group::Program, true, 64, 100) {
        taken += run.len;
    }
    assert_eq!((taken, pool.free()), (BLOCK - 5 - 100, 100));
    assert!(take(&mut pool, Group::Kernel, true).is_some());
}

#[test]
fn groups_do_not_share_blocks_while_there_are_others() {
    let mut pool = pool(8 * BLOCK);
    let mut blocks: [BTreeSet<u64>; 3] = Default::default();
    for _ in 0..400 {
        for group in [Group::Kernel, Group::Program, Group::Cache] {
            blocks[group as usize].insert(take(&mut pool, group, true).unwrap().0 / BLOCK);
        }
    }
    assert!(blocks[0].is_disjoint(&blocks[1]) && blocks[1].is_disjoint(&blocks[2]));
    assert!(blocks.iter().all(|set| set.len() <= 2));
}

#[test]
fn only_small_programs_have_small_pages() {
    let small = |frames: u64, count: u64| {
        let mut pool = pool(frames);
        let taken: Vec<u64> = (0..count).map(|_| take(&mut pool, Group::Program, true).unwrap().0).collect();
        taken.iter().filter(|frame| **frame / BLOCK < BULK).count()
    };
    let few = u64::from(SMALL_FOR_PROGRAMS);
    assert_eq!(small(16 * BLOCK, few), usize::from(SMALL_FOR_PROGRAMS));
    assert_eq!(small(16 * BLOCK, few + 700), usize::from(SMALL_FOR_PROGRAMS));
    assert_eq!(small(BULK * BLOCK, few + 700), usize::from(SMALL_FOR_PROGRAMS) + 700, "there are no others");
}

#[test]
fn what_was_used_is_not_taken_for_zero() {
    let mut pool = pool(BLOCK);
    let (used, is_zero) = take(&mut pool, Group::Program, true).unwrap();
    assert!(is_zero);
    pool.give(used, false);
    // Zeros are preferred if asked for, used memory if not.
    assert_ne!(take(&mut pool, Group::Program, true).unwrap().0, used);
    assert_eq!(take(&mut pool, Group::Program, false), Some((used, false)));
}

#[test]
fn blocks_that_were_freed_whole_go_to_the_host_and_come_back_clean() {
    let mut pool = pool(12 * BLOCK);
    let first = pool.take_block(0).unwrap();
    assert!(first.is_multiple_of(BLOCK) && first / BLOCK >= BULK);
    pool.give_block(first);
    assert_eq!((pool.dirty_blocks(), pool.begin_report(1)), (1, None));
    let free = pool.free();
    assert_eq!(pool.begin_report(0), Some(first));
    assert_eq!((pool.free(), pool.dirty_blocks()), (free - BLOCK, 0));
    pool.end_report(first, true);
    assert_eq!(pool.free(), free);
    assert_eq!(pool.take_block(0), Some(first));
    // In pieces, the same.
    (first..first + BLOCK).for_each(|frame| pool.give(frame, false));
    assert_eq!(pool.begin_report(0), Some(first));
    pool.end_report(first, false);
    assert_eq!(pool.dirty_blocks(), 1);
    // Not for a large page, whose contents would have to be cleared.
    assert_ne!(pool.take_block(0), Some(first));
}

#[test]
fn large_pages_end_before_memory_does() {
    let mut pool = pool(7 * BLOCK + 100);
    assert!(pool.take_block(4 * BLOCK).is_some());
    assert!(pool.take_block(0).is_some() && pool.take_block(0).is_some());
    assert_eq!(pool.take_block(0), None);
    assert_eq!(pool.free(), 4 * BLOCK + 100 - 5);
}

#[test]
fn neighbours_are_found_in_use_and_beyond_a_block() {
    let mut pool = pool(12 * BLOCK);
    let mut zero = 0;
    let area = pool.take_contiguous(16, 16, |_, is_zero| zero += u64::from(is_zero)).unwrap();
    assert!(area.is_multiple_of(16) && zero == 16);
    let small = pool.take_contiguous(3, 1, |_, _| {}).unwrap();
    assert_eq!(small, 5, "the first place that fits");
    let mut count = 0;
    let large = pool.take_contiguous(3 * BLOCK + 9, 1, |_, _| count += 1).unwrap();
    assert!(large.is_multiple_of(BLOCK) && count == 3 * BLOCK + 9);
    (large..large + 3 * BLOCK + 9).for_each(|frame| pool.give(frame, false));
    assert_eq!(pool.take_contiguous(3 * BLOCK + 9, 1, |_, _| {}), Some(large));
    assert_eq!(pool.take_contiguous(100 * BLOCK, 1, |_, _| {}), None);
}

#[test]
fn the_hole_between_low_and_high_memory_is_jumped_over() {
    let blocks = vec![Block::default(); 20].leak();
    let mut pool = Pool::new(5, 20 * BLOCK, 6 * BLOCK..16 * BLOCK, blocks);
    let mut seen = BTreeSet::new();
    while let Some(run) = pool.take_run(Group::Program, true, 64, 0) {
        seen.extend(run.first..run.first + run.len);
    }
    assert!(seen.iter().all(|frame| !(6 * BLOCK..16 * BLOCK).contains(frame)));
    assert_eq!(seen.len() as u64, pool.total());
}

#[test]
fn at_random_nothing_is_lost() {
    let mut pool = pool(10 * BLOCK + 3);
    let mut held: Vec<(u64, u64)> = Vec::new();
    let mut random = 12345_u64;
    for _ in 0..50_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let dice = random >> 33;
        let group = GROUPS[usize::try_from(dice % 3).unwrap()];
        match dice / 3 % 8 {
            0..=2 => held.extend(
                pool.take_run(group, dice & 64 != 0, dice % 40 + 1, 0).map(|run| (run.first, run.len)),
            ),
            3 => held.extend(
                pool.take_contiguous(dice % 20 + 1, 1, |_, _| {}).map(|first| (first, dice % 20 + 1)),
            ),
            4 => held.extend(pool.take_block(0).map(|first| (first, BLOCK))),
            5 => {
                if let Some(first) = pool.begin_report(0) {
                    pool.end_report(first, dice & 1024 != 0);
                }
            }
            _ if held.is_empty() => {}
            _ => {
                let at = usize::try_from(dice).unwrap() % held.len();
                let (first, len) = held.swap_remove(at);
                if len == BLOCK {
                    pool.give_block(first);
                } else {
                    (first..first + len).for_each(|frame| pool.give(frame, false));
                }
            }
        }
        let frames: u64 = held.iter().map(|(_, len)| len).sum();
        assert_eq!(pool.used(), frames);
    }
    held.sort_unstable();
    assert!(held.windows(2).all(|pair| pair[0].0 + pair[0].1 <= pair[1].0), "handed out twice");
}
