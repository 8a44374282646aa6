//! Reading partitions, on a thread of its own.

use std::io;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::{Duration, Instant};

use septum_api_types::v1::Stats;
use septum_registry::{Registry, readings};

use super::happenings::Happening;

/// Between the first two readings: rates need a past.
pub const FIRST_PERIOD: Duration = Duration::from_millis(300);

/// Between the longest and the shortest time that partitions have to answer: one that does not holds up the others for no longer.
const PATIENCE: (Duration, Duration) = (Duration::from_secs(1), readings::PATIENCE);

/// A partition that lives.
pub struct Read {
    /// Its identifier.
    pub id: String,
    /// Its name.
    pub name: Option<String>,
    /// What it runs.
    pub command: String,
    /// How it goes, in a word.
    pub state: &'static str,
    /// `None` if it does not answer.
    pub stats: Option<Stats>,
}

/// All that live, at one time.
pub struct Reading {
    /// Each.
    pub partitions: Vec<Read>,
}

/// Reads all that live; `watched` with its threads.
pub fn read(registry: &Registry, period: Duration, watched: Option<&str>) -> Reading {
    let mut found = registry.list();
    found.retain(|found| found.record.state.is_live());
    let patience = period.clamp(PATIENCE.0, PATIENCE.1);
    let read = readings::read(found.iter(), patience, |found| Some(found.record.id.as_str()) == watched);
    let partitions = found.into_iter().zip(read).map(|(found, stats)| Read {
        command: printable(&found.record.command()),
        state: found.record.state.name(),
        name: found.record.name.as_deref().map(printable),
        id: found.record.id,
        stats,
    });
    Reading { partitions: partitions.collect() }
}

/// Others' words, without what a terminal would obey.
pub fn printable(text: &str) -> String {
    text.chars().map(|character| if character.is_control() { '?' } else { character }).collect()
}

/// The thread that reads.
pub struct Reader(Sender<Option<String>>);

impl Reader {
    /// Reads at once, and then each `period`.
    pub fn start(registry: Registry, period: Duration, to: Sender<Happening>) -> io::Result<Self> {
        let (orders, ordered) = channel();
        let work = move || follow(&registry, period, &to, &ordered);
        thread::Builder::new().name("reader".into()).spawn(work)?;
        Ok(Self(orders))
    }

    /// Which partition is looked at: its threads are read too, from now on.
    pub fn watch(&self, id: Option<String>) {
        // It ends with the process, not before.
        let _ = self.0.send(id);
    }
}

fn follow(registry: &Registry, period: Duration, to: &Sender<Happening>, ordered: &Receiver<Option<String>>) {
    let mut watched: Option<String> = None;
    let mut next = Instant::now();
    let mut is_first = true;
    loop {
        let wait = next.saturating_duration_since(Instant::now());
        match ordered.recv_timeout(wait) {
            // Its threads are shown soon, and their rates a period later. Whoever pages through partitions gets no more readings for it.
            Ok(id) => {
                if id.is_some() {
                    next = next.min(Instant::now() + FIRST_PERIOD);
                }
                watched = id;
                continue;
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        let started = Instant::now();
        let reading = read(registry, period, watched.as_deref());
        if to.send(Happening::Reading(reading)).is_err() {
            return;
        }
        next = started + if is_first { period.min(FIRST_PERIOD) } else { period };
        is_first = false;
    }
}
