//! All partitions, as they were at the latest reading, and what they used before.

use std::collections::HashMap;

use septum_api_types::v1::Stats;

use super::history::History;
use super::reader::{Read, Reading};
use super::usage::Usage;

/// See above.
#[derive(Default)]
pub struct Fleet {
    /// Each by its identifier; those that are gone are kept for as long as somebody looks at them ([`Fleet::keep`]).
    known: HashMap<String, Member>,
    kept: Option<String>,
    /// How often there was a reading.
    pub readings: u64,
}

/// A partition.
pub struct Member {
    /// Its identifier.
    pub id: String,
    /// Its name, else its identifier.
    pub name: String,
    /// What it runs.
    pub command: String,
    /// How it goes, if that needs a word; it has seven letters at most.
    pub remark: Option<&'static str>,
    /// What it uses.
    pub usage: Usage,
    /// The latest reading, and the one before.
    pub now: Option<Stats>,
    /// See `now`.
    pub before: Option<Stats>,
    /// Processor time, memory, system calls, page faults.
    pub history: [History; 4],
    /// Whether it lives.
    pub is_live: bool,
}

impl Fleet {
    /// Takes a reading in.
    pub fn update(&mut self, reading: Reading) {
        self.readings += 1;
        for member in self.known.values_mut() {
            member.is_live = false;
        }
        for read in reading.partitions {
            match self.known.get_mut(&read.id) {
                Some(member) => member.update(read),
                None => {
                    let mut member = Member::new(&read.id);
                    member.update(read);
                    self.known.insert(member.id.clone(), member);
                }
            }
        }
        let kept = self.kept.as_deref();
        self.known.retain(|id, member| member.is_live || Some(id.as_str()) == kept);
    }

    /// Which one is kept though it ends.
    pub fn keep(&mut self, id: Option<String>) {
        self.kept = id;
    }

    /// One of them, which may have ended.
    pub fn get(&self, id: &str) -> Option<&Member> {
        self.known.get(id)
    }

    /// Those that live, in no order.
    pub fn live(&self) -> impl Iterator<Item = &Member> {
        self.known.values().filter(|member| member.is_live)
    }
}

impl Member {
    fn new(id: &str) -> Self {
        Self {
            id: id.to_owned(),
            name: String::new(),
            command: String::new(),
            remark: None,
            usage: Usage::default(),
            now: None,
            before: None,
            history: Default::default(),
            is_live: true,
        }
    }

    fn update(&mut self, read: Read) {
        self.is_live = true;
        self.name = read.name.unwrap_or(read.id);
        self.command = read.command;
        self.remark = match (read.state, &read.stats) {
            ("running", Some(stats)) if stats.is_paused => Some("paused"),
            ("running", Some(_)) => None,
            ("running" | "paused", None) => Some("silent"),
            ("paused", _) => Some("paused"),
            ("restarting", _) => Some("restart"),
            _ => Some("starts"),
        };
        let Some(now) = read.stats else {
            // Nothing is known of what it does.
            let (memory, limit, threads) = (self.usage.memory, self.usage.limit, self.usage.threads);
            self.usage = Usage { memory, limit, threads, ..Usage::default() };
            return;
        };
        self.before = self.now.take();
        self.usage = Usage::of(self.before.as_ref(), &now);
        let rates = self.usage.rates;
        let memory = crate::rates::number(self.usage.memory);
        for (history, value) in
            self.history.iter_mut().zip([rates.cpu_percent, memory, rates.syscalls, rates.page_faults])
        {
            history.push(value);
        }
        self.now = Some(now);
    }
}
