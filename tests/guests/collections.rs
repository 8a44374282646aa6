// Rust's collections, strings and iterators.
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap, HashSet, VecDeque};
use std::fmt::Write as _;
use std::io::{BufRead, Write};

fn main() {
    let input = std::io::stdin();
    let mut counts: HashMap<String, usize> = HashMap::new();
    for line in input.lock().lines() {
        for word in line.expect("a line of text").split_whitespace() {
            *counts.entry(word.to_lowercase()).or_default() += 1;
        }
    }
    let mut words: Vec<_> = counts.into_iter().collect();
    words.sort_by(|left, right| right.1.cmp(&left.1).then_with(|| left.0.cmp(&right.0)));
    for (word, count) in words.iter().take(5) {
        println!("{word:>8} {count:03}");
    }
    let squares: BTreeMap<u64, u64> = (0..1000).map(|n| (n, n * n)).collect();
    println!("{:?}", squares.range(30..34).collect::<Vec<_>>());
    let heap: BinaryHeap<_> = [5, 1, 8, 3, 9, 2].into_iter().collect();
    println!("{:?}", heap.into_sorted_vec());
    let mut queue: VecDeque<_> = (0..10).collect();
    queue.rotate_left(3);
    println!("{queue:?}");
    let set: HashSet<_> = (0..10_000).map(|n| n * n % 1009).collect();
    let ordered: BTreeSet<_> = set.iter().collect();
    println!("{} residues, the last {:?}", set.len(), ordered.last());
    let mut text = String::from("Grüße, 世界");
    write!(text, " {:?} {:#x} {:>+8.3} {:e}", "quo\"ted\n", 255, 3.14159, 123456.0).expect("memory");
    println!("{text} {} {}", text.len(), text.chars().count());
    println!("{}", text.chars().rev().collect::<String>());
    println!("{:?} {:?} {}", "12".parse::<u8>(), "300".parse::<u8>(), f64::MAX);
    println!("{:?} {:?}", i32::MAX.checked_add(1), 7_i32.overflowing_mul(i32::MAX));
    let big: Vec<u32> = (0..200_000).map(|n: u32| n.wrapping_mul(2_654_435_761)).collect();
    let mut sorted = big.clone();
    sorted.sort_unstable();
    println!("{} {} {}", sorted[0], sorted[100_000], sorted[199_999]);
    std::io::stdout().flush().expect("standard output");
    eprintln!("to standard error");
}
