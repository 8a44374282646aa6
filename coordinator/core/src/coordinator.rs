//! The coordinator: the book and the store under one lock, and who is told of changes.
//!
//! The lock is held for a few statements of SQLite at most, never while something is waited for.

use std::collections::{BTreeMap, HashSet};
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::fs::{FlockOperation, Mode, OFlags, flock, open};
use septum_api_types::v1::{
    self, Event, EventKind, Health, Host, PartitionList, PartitionState, Problem, ProblemCode, Share,
};
use septum_registry::record::now_ms;
use septum_registry::{Found, Record, Registry};
use tokio::sync::{Semaphore, broadcast, watch};

use crate::admission::{self, Capacity};
use crate::book::{Book, Filter, Meant};
use crate::images;
use crate::machine::{Change, Effect, Partition};
use crate::operations::Operations;
use crate::problems;
use crate::store::{Store, StoreError};

/// Events that a slow listener may be behind.
const BACKLOG: usize = 1024;
/// Starts that are under way at once; others wait.
const STARTS: usize = 8;

/// How often a lock is tried, and the pause between two tries.
const LOCK_TRIES: u32 = 25;
const LOCK_PAUSE: Duration = Duration::from_millis(20);

/// Where everything is.
#[derive(Clone, Debug)]
pub struct Configuration {
    /// Folder of the supervisors' records.
    pub runtime: PathBuf,
    /// Folder of what is kept.
    pub data: PathBuf,
    /// Program that starts partitions, with its arguments; see `septum_registry::keeper`.
    pub keeper: (PathBuf, Vec<String>),
    /// What partitions may have of the host, together.
    pub capacity: Capacity,
}

/// See above.
#[derive(Debug)]
pub struct Coordinator {
    pub(crate) configuration: Configuration,
    pub(crate) registry: Registry,
    pub(crate) starts: Semaphore,
    inner: Mutex<Inner>,
    events: broadcast::Sender<Event>,
    /// Counts changes.
    changes: watch::Sender<u64>,
    /// Counts tokens that were revoked.
    pub(crate) revocations: watch::Sender<u64>,
    started_ms: u64,
    pub(crate) stats: crate::stats::Latest,
    pub(crate) operations: Operations,
    /// Locked for as long as this lives.
    _locks: [std::os::fd::OwnedFd; 2],
}

#[derive(Debug)]
pub(crate) struct Inner {
    pub(crate) book: Book,
    pub(crate) store: Store,
    /// Those that are being started or removed, by identifier.
    pub(crate) busy: HashSet<String>,
    /// Those whose last change, or end, is not written yet.
    pub(crate) unwritten: HashSet<String>,
    next_event: u64,
}

impl Inner {
    pub(crate) fn event(&mut self, partition: &Partition, kind: EventKind, detail: Option<String>) -> Event {
        let sequence = self.next_event;
        self.next_event += 1;
        Event {
            sequence,
            at_ms: now_ms(),
            kind,
            partition: partition.id.clone(),
            name: partition.name.clone(),
            detail,
        }
    }
}

impl Coordinator {
    /// Takes the state over, and finds what runs.
    ///
    /// # Errors
    /// Another coordinator has it, a folder cannot be used, the database is of a newer program.
    pub fn open(configuration: Configuration, tell: &mut dyn FnMut(String)) -> Result<Arc<Self>, Problem> {
        let what = "cannot serve";
        let registry = Registry::new(configuration.runtime.clone());
        registry.make().map_err(|error| {
            Problem::new(ProblemCode::Internal, what, error.to_string(), "choose another SEPTUM_RUNTIME_DIR")
        })?;
        let folder = configuration.data.join("coordinator");
        make_private(&folder).map_err(|error| unusable(&folder, &error))?;
        let locks = [lock(&folder)?, lock(&configuration.runtime)?];
        let opened = Store::open(&folder.join("state.db")).map_err(|error| not_opened(&error))?;
        if let Some(aside) = opened.kept_aside {
            tell(format!(
                "septum: the database was damaged; it is now '{}', and a new one is made from what runs",
                aside.display()
            ));
        }
        let store = opened.store;
        let (known, strange) = store.partitions().map_err(|error| not_opened(&error))?;
        if strange > 0 {
            tell(format!(
                "septum: {strange} partitions in the database cannot be understood; they are left out"
            ));
        }
        let mut book = Book::default();
        known.into_iter().for_each(|partition| book.put(partition));
        let next_event = store.last_sequence().map_err(|error| not_opened(&error))? + 1;
        let operations = Operations::open(&store).map_err(|error| not_opened(&error))?;
        // Archives of a coordinator before this, and what it was making of them.
        let uploads = images::uploads(&configuration.data);
        let _ = std::fs::remove_dir_all(&uploads);
        make_private(&uploads).map_err(|error| unusable(&uploads, &error))?;
        septum_images::Store::new(&configuration.data).sweep();
        let inner = Inner { book, store, busy: HashSet::new(), unwritten: HashSet::new(), next_event };
        let coordinator = Arc::new(Self {
            registry,
            starts: Semaphore::new(STARTS),
            inner: Mutex::new(inner),
            events: broadcast::channel(BACKLOG).0,
            changes: watch::channel(0).0,
            revocations: watch::channel(0).0,
            started_ms: now_ms(),
            stats: crate::stats::Latest::default(),
            operations,
            configuration,
            _locks: locks,
        });
        coordinator.recover();
        Ok(coordinator)
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, Inner> {
        // A panic in between leaves a book that is whole: each change puts one partition.
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change that a client, or this program, wants: kept first, then known.
    pub(crate) fn change(&self, id: &str, what: &str, change: Change) -> Result<Partition, Problem> {
        let mut inner = self.lock();
        let (partition, event) = Self::change_locked(&mut inner, id, what, change)?;
        drop(inner);
        self.tell(event);
        Ok(partition)
    }

    /// The same, for those who hold the lock already; they tell of it.
    pub(crate) fn change_locked(
        inner: &mut Inner,
        id: &str,
        what: &str,
        change: Change,
    ) -> Result<(Partition, Option<Event>), Problem> {
        let mut partition = inner.book.get(id).cloned().ok_or_else(|| problems::no_partition(id))?;
        let effect =
            partition.apply(change, now_ms()).map_err(|refusal| problems::refused(what, id, &refusal))?;
        let event = effect.as_ref().map(|it| inner.event(&partition, it.kind, it.detail.clone()));
        let message = || format!("cannot {what} partition '{id}'");
        inner
            .store
            .save(&partition, None, event.as_ref())
            .map_err(|error| problems::not_kept(&message(), &error))?;
        inner.book.put(partition.clone());
        Ok((partition, event))
    }

    /// A change that has happened, whether it can be kept or not.
    pub(crate) fn note(&self, id: &str, change: Change) {
        let mut inner = self.lock();
        let Some(mut partition) = inner.book.get(id).cloned() else { return };
        let revision = partition.revision;
        let Ok(effect) = partition.apply(change, now_ms()) else { return };
        if partition.revision == revision {
            return;
        }
        self.settle(&mut inner, partition, effect);
    }

    /// Somebody else's partition.
    pub(crate) fn adopt(&self, record: Record) {
        let mut inner = self.lock();
        let partition = Partition::adopted(record, now_ms());
        let effect = Effect { kind: EventKind::Adopted, detail: None, is_forgotten: false };
        self.settle(&mut inner, partition, Some(effect));
    }

    /// Nothing of it is left.
    pub(crate) fn forget(&self, id: &str) {
        let mut inner = self.lock();
        if let Some(partition) = inner.book.get(id).cloned() {
            let effect = Effect { kind: EventKind::Removed, detail: None, is_forgotten: true };
            self.settle(&mut inner, partition, Some(effect));
        }
    }

    fn settle(&self, inner: &mut Inner, partition: Partition, effect: Option<Effect>) {
        let event = effect.as_ref().map(|it| inner.event(&partition, it.kind, it.detail.clone()));
        let id = partition.id.clone();
        let is_forgotten = effect.is_some_and(|effect| effect.is_forgotten);
        let kept = if is_forgotten {
            inner.book.take(&id);
            inner.store.forget(&id, event.as_ref())
        } else {
            let kept = inner.store.save(&partition, None, event.as_ref());
            inner.book.put(partition);
            kept
        };
        if kept.is_err() {
            inner.unwritten.insert(id);
        }
        self.tell(event);
    }

    /// Writes what could not be written before.
    pub(crate) fn write_rest(&self) {
        let mut inner = self.lock();
        for id in std::mem::take(&mut inner.unwritten) {
            let kept = match inner.book.get(&id).cloned() {
                Some(partition) => inner.store.save(&partition, None, None),
                None => inner.store.forget(&id, None),
            };
            if kept.is_err() {
                inner.unwritten.insert(id);
            }
        }
        let _ = inner.store.trim_events();
    }

    pub(crate) fn tell(&self, event: Option<Event>) {
        if let Some(event) = event {
            // Nobody may listen.
            let _ = self.events.send(event);
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Puts a new partition in, with the key that its client gave it.
    pub(crate) fn insert(
        &self,
        inner: &mut Inner,
        partition: &Partition,
        claim: Option<(&str, &str)>,
    ) -> Result<(), StoreError> {
        let event = inner.event(partition, EventKind::Created, None);
        inner.store.save(partition, claim, Some(&event))?;
        inner.book.put(partition.clone());
        self.tell(Some(event));
        Ok(())
    }

    /// Marks a partition as this coordinator's own business; false if it is that already.
    pub(crate) fn begin(&self, id: &str) -> bool {
        self.lock().busy.insert(id.to_owned())
    }

    pub(crate) fn finish(&self, id: &str) {
        self.lock().busy.remove(id);
        self.changes.send_modify(|count| *count += 1);
    }

    /// The identifier of the partition that a client means.
    pub(crate) fn meant(&self, wanted: &str) -> Result<String, Problem> {
        match self.lock().book.meant(wanted) {
            Meant::One(partition) => return Ok(partition.id.clone()),
            Meant::Several => return Err(problems::several(wanted)),
            Meant::None => {}
        }
        // It may have been started just now, by somebody else.
        let found = self.registry.find(wanted).map_err(|_| problems::no_partition(wanted))?;
        let id = found.record.id.clone();
        self.see(&id, Some(found));
        Ok(id)
    }

    /// What the folder has of a partition becomes known.
    pub(crate) fn see(&self, id: &str, found: Option<Found>) {
        let is_known = self.lock().book.get(id).is_some();
        match found {
            Some(found) if is_known => self.note(id, Change::Observed(Box::new(found.record))),
            Some(found) => self.adopt(found.record),
            None => self.note(id, Change::Vanished),
        }
    }

    /// Looks at one partition.
    pub(crate) fn look(&self, id: &str) -> Option<Found> {
        let found = self.registry.get(id);
        // One that is being started has an old record, or none yet.
        if !self.lock().busy.contains(id) {
            self.see(id, self.registry.get(id));
        }
        found
    }

    /// A partition, as it is now.
    ///
    /// # Errors
    /// There is none, or several are meant.
    pub fn get(&self, wanted: &str) -> Result<v1::Partition, Problem> {
        let id = self.meant(wanted)?;
        self.look(&id);
        let inner = self.lock();
        inner.book.get(&id).map(Partition::view).ok_or_else(|| problems::no_partition(wanted))
    }

    /// A page of partitions.
    ///
    /// # Errors
    /// The cursor is none.
    pub fn list(
        &self,
        filter: &Filter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<PartitionList, Problem> {
        self.lock().book.page(filter, cursor, limit).ok_or_else(|| {
            Problem::new(
                ProblemCode::Invalid,
                "cannot list partitions",
                "the cursor is none",
                "give what 'next' was in the page before, or none",
            )
        })
    }

    /// Where the log of a partition is.
    ///
    /// # Errors
    /// There is no such partition, or it has none.
    pub fn log_of(&self, wanted: &str) -> Result<(String, PathBuf), Problem> {
        let id = self.meant(wanted)?;
        self.look(&id);
        let inner = self.lock();
        let partition = inner.book.get(&id).ok_or_else(|| problems::no_partition(wanted))?;
        let log = partition.record.as_ref().and_then(|record| record.log.clone());
        let log = log.ok_or_else(|| {
            Problem::new(
                ProblemCode::Conflict,
                format!("cannot show the log of partition '{wanted}'"),
                "it has none: it was never started, or runs in the foreground",
                "start it",
            )
        })?;
        Ok((id, log))
    }

    /// Whether a partition runs, or is about to.
    #[must_use]
    pub fn is_live(&self, id: &str) -> bool {
        self.look(id);
        self.lock().book.get(id).is_some_and(|partition| partition.state.is_live())
    }

    /// What happens from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.events.subscribe()
    }

    /// Counts changes: waits for the next one.
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// What happened after an event, so many at most.
    ///
    /// # Errors
    /// The database failed.
    pub fn events_after(&self, sequence: u64, limit: u32) -> Result<Vec<Event>, Problem> {
        let found = self.lock().store.events_after(sequence, limit);
        found.map_err(|error| problems::not_kept("cannot read the events", &error))
    }

    /// What partitions have of the host.
    #[must_use]
    pub fn host(&self) -> Host {
        let (capacity, inner) = (self.configuration.capacity, self.lock());
        let used = admission::used(inner.book.all());
        let pending =
            inner.book.all().filter(|it| matches!(it.state, PartitionState::Pending { .. })).count();
        Host {
            memory_bytes: Share { used: used.memory_bytes, capacity: capacity.memory_bytes },
            cpus: Share { used: used.cpus, capacity: capacity.cpus },
            partitions: Share { used: used.partitions, capacity: capacity.partitions },
            pending: u64::try_from(pending).unwrap_or(u64::MAX),
        }
    }

    /// How many partitions are in which state.
    #[must_use]
    pub fn states(&self) -> BTreeMap<&'static str, u64> {
        let mut states = BTreeMap::new();
        for partition in self.lock().book.all() {
            *states.entry(partition.state.name()).or_default() += 1;
        }
        states
    }

    /// How the coordinator is.
    #[must_use]
    pub fn health(&self) -> Health {
        let inner = self.lock();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Health {
            is_storage_well: inner.unwritten.is_empty(),
            partitions: count(inner.book.all().count()),
            live: count(inner.book.all().filter(|it| it.state.is_live()).count()),
            process: std::process::id(),
            started_ms: self.started_ms,
        }
    }
}

fn make_private(folder: &std::path::Path) -> io::Result<()> {
    let mut builder = std::fs::DirBuilder::new();
    std::os::unix::fs::DirBuilderExt::mode(builder.recursive(true), 0o700);
    builder.create(folder)
}

/// Only one coordinator may have a folder.
fn lock(folder: &std::path::Path) -> Result<std::os::fd::OwnedFd, Problem> {
    let path = folder.join("coordinator.lock");
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let file = open(&path, flags, Mode::RUSR | Mode::WUSR).map_err(|error| unusable(&path, &error.into()))?;
    // A process that one before this was about to start, when it was killed, has the lock until it is another program.
    for _ in 0..LOCK_TRIES {
        if flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok() {
            return Ok(file);
        }
        std::thread::sleep(LOCK_PAUSE);
    }
    Err(Problem::new(
        ProblemCode::Conflict,
        "cannot serve",
        format!("another septum serve has the state in '{}'", folder.display()),
        "use that one, end it, or choose other folders: SEPTUM_DATA_DIR and SEPTUM_RUNTIME_DIR",
    ))
}

fn unusable(path: &std::path::Path, error: &io::Error) -> Problem {
    Problem::new(
        ProblemCode::Internal,
        "cannot serve",
        format!("'{}' cannot be used: {error}", path.display()),
        "make it possible for the user who runs septum serve",
    )
}

fn not_opened(error: &StoreError) -> Problem {
    match error {
        StoreError::TooNew(..) => Problem::new(
            ProblemCode::Internal,
            "cannot serve",
            error.to_string(),
            "use the newer septum, or move the database away; partitions that run are found again",
        ),
        error => problems::not_kept("cannot serve", error),
    }
}
