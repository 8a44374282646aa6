//! The processes that a test started, directly or not.
//!
//! A test process that has called [`adopt_orphans`] becomes the parent of every descendant whose own parent ends.
//! So whatever a partition leaves behind is still found by walking down from the test, whichever session or process
//! group it moved to and whatever it is called.

use std::collections::HashMap;
use std::fs;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitOptions};

/// One process of the family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relative {
    /// Its identifier.
    pub pid: i32,
    /// The short name that the kernel shows for it.
    pub name: String,
    /// Whether it has ended and waits to be collected.
    pub is_zombie: bool,
}

/// Makes this process the parent of descendants that lose theirs.
///
/// # Panics
///
/// When the kernel refuses.
pub fn adopt_orphans() {
    rustix::process::set_child_subreaper(Some(rustix::process::getpid())).expect("orphans can be adopted");
}

/// Every process below `ancestor`, nearest first.
pub fn descendants(ancestor: Pid) -> Vec<Relative> {
    let mut children: HashMap<i32, Vec<Relative>> = HashMap::new();
    for pid in numeric_names("/proc") {
        if let Some((parent, relative)) = stat(pid) {
            children.entry(parent).or_default().push(relative);
        }
    }
    let mut found = Vec::new();
    let mut parents = vec![ancestor.as_raw_nonzero().get()];
    while let Some(parent) = parents.pop() {
        for child in children.remove(&parent).unwrap_or_default() {
            parents.push(child.pid);
            found.push(child);
        }
    }
    found
}

/// What is left below this process, after giving it `grace` to end. Zombies that were adopted are collected.
pub fn left_behind(grace: Duration) -> Vec<Relative> {
    let end = Instant::now() + grace;
    loop {
        while matches!(rustix::process::wait(WaitOptions::NOHANG), Ok(Some(_))) {}
        let left = descendants(rustix::process::getpid());
        if left.is_empty() || Instant::now() >= end {
            return left;
        }
        thread::sleep(Duration::from_millis(5));
    }
}

/// Kills everything below `ancestor` at once; gives back how many there were.
pub fn kill_descendants(ancestor: Pid) -> usize {
    let all = descendants(ancestor);
    let living: Vec<_> = all.iter().filter(|relative| !relative.is_zombie).collect();
    for relative in &living {
        if let Some(pid) = Pid::from_raw(relative.pid) {
            let _ = rustix::process::kill_process(pid, Signal::KILL);
        }
    }
    living.len()
}

fn numeric_names(folder: &str) -> Vec<i32> {
    let Ok(listing) = fs::read_dir(folder) else { return Vec::new() };
    listing.filter_map(|item| item.ok()?.file_name().to_str()?.parse().ok()).collect()
}

/// `pid (name) state ppid …`; the name may contain anything, so the fields are counted from its last bracket.
fn stat(pid: i32) -> Option<(i32, Relative)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (before, after) = text.rsplit_once(')')?;
    let name = before.split_once('(')?.1.to_owned();
    let mut fields = after.split_whitespace();
    let is_zombie = matches!(fields.next()?, "Z" | "X");
    let parent = fields.next()?.parse().ok()?;
    Some((parent, Relative { pid, name, is_zombie }))
}
