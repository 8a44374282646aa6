//! The supervisor's side: start a worker, pass on what the caller's user wants, learn how it ended.
//!
//! ```text
//!              fork                  Ended                  worker gone
//!   (nothing) ───────► running ──────────────► leaving ───────────────► result, or once more (--restart)
//!                        │ timeout; a program     ▲
//!                        │ asked to end that      │
//!                        │ has not                │
//!                        ▼                        │ Ended
//!                     stopping ───────────────────┘
//!                        │ second signal, or GRACE passed
//!                        ▼
//!                     killed ──────────────────────────────────────────► result
//! ```
//!
//! From every state the end of the socket leads on: a worker that closed it without having said `Ended` has died, and
//! its wait status tells of what. The function returns only after the worker has been waited for.
//!
//! Signals go to the program, which ends of them or not ([0028](../../../docs/decisions/0028-a-service-vcpu.md)). What is bounded is how
//! long the guest kernel may take to hear of one.
//!
//! Others on the host find the partition in the registry and come with their wishes to its [`desk`]; one that runs in the background
//! has its [`streams`] here. There is one thread, and it forks: it must stay the only one.

mod broker;
mod cpus;
mod desk;
mod detach;
mod fork;
mod log;
mod neighbours;
mod programs;
mod reading;
mod registering;
mod sessions;
mod signals;
mod streams;
mod wait;

use std::os::fd::AsFd as _;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::{WaitStatus, getpid, kill_process};
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::restart::Backoff;
use septum_api_types::signal::Signal;
use septum_api_types::stats::{CpuStats, PartitionStats};
use septum_registry::control::Answer;
use septum_registry::record::{self, State};
use septum_registry::{Registry, RegistryError};

use crate::entry::{self, Around};
use crate::jail;
use crate::judgement::judge;
use crate::keeping::Keeping;
use crate::network;
use crate::protocol::{
    End, Ended, FromWorker, Order, ProtocolError, Stage, StopCause, ToWorker, receive, send,
};
use crate::stages::{now_ns, since_us};
use crate::terminal::{self, Raw};
use broker::{Broker, Heard};
use cpus::Confinement;
use desk::{ClientId, Demand, Desk};
use fork::{Forked, Kind};
use neighbours::Switchboard;
use reading::Readings;
use registering::{not_registered, record_of};
use sessions::Sessions;
use streams::Streams;

pub use detach::{Concluded, Launch, detach};
pub use signals::Signals;

/// How long a program in the background has if its supervisor is told to end.
const STOP_TIME: Duration = Duration::from_secs(10);
/// How long a guest kernel may take to hear of a signal, and a worker to stop, and to leave after it has said how its partition ended.
const GRACE: Duration = Duration::from_secs(5);

/// After how long without the guest kernel having heard of a signal a second one kills.
const IMPATIENCE: Duration = Duration::from_millis(500);

/// Runs a partition to its end, as often as its restart policy wants. `stage` is called for every stage, if the order is verbose.
///
/// From this call on, SIGINT, SIGTERM and the like are the program's, or stop the partition, instead of the calling process. Must be
/// called by a process with a single thread, which then has nothing else to do.
pub fn run(order: Order, keeping: Keeping, stage: &mut dyn FnMut(&Stage)) -> Ended {
    match Supervision::new(order, keeping, None) {
        Ok(supervision) => supervision.live(stage, &mut |_| {}, &mut |_| {}),
        Err(failure) => ended(End::Failed(failure)),
    }
}

/// Whether this host lets a worker isolate itself: tries it in a process of its own. As with [`run`], there must be a single
/// thread.
///
/// # Errors
/// What failed, and what to change on the host.
pub fn try_isolation() -> Result<(), Failure> {
    let internal = |why: String| Failure::new(Code::Internal, "cannot start the worker process", why);
    let (worker, socket) = Forked::fork(Kind::Worker, &[], |socket, _| entry::try_isolation(&socket))
        .map_err(|error| internal(error.to_string()))?;
    let answer = receive::<Option<Failure>>(&socket);
    let status = worker.wait();
    match answer {
        Ok(None) => Ok(()),
        Ok(Some(failure)) => Err(failure),
        Err(_) => Err(internal(status.map_or_else(|| "its status is unknown".to_owned(), wait::describe))),
    }
}

/// How partitions are kept to their processors (`--cpus`) on this host, for the caller: `cgroup-v1`, `cgroup-v2` or `affinity`.
#[must_use]
pub fn cpu_confinement() -> &'static str {
    cpus::try_out().name()
}

/// A partition that is watched over.
struct Supervision {
    order: Order,
    keeping: Keeping,
    signals: Signals,
    desk: Desk,
    streams: Option<Streams>,
    sessions: Sessions,
    readings: Readings,
    /// The caller's terminal, while it is the program's.
    raw: Option<Raw>,
    /// The program runs, as far as is known.
    has_started: bool,
    /// Nobody wants it to be started again.
    is_told_to_end: bool,
    current: Option<Current>,
}

/// One worker.
struct Current {
    /// `None` once it has been waited for.
    worker: Option<Forked>,
    socket: UnixStream,
    /// What makes its connections, if it has a network.
    broker: Option<Broker>,
    /// Its broker's calls to other partitions, if rules name some.
    switchboard: Option<Switchboard>,
    began: Instant,
    /// When the time limit passes.
    timeout_at: Option<Instant>,
    /// When a program that was asked to end has had its time.
    ends_at: Option<Instant>,
    /// A signal that the guest kernel has not heard of, and since when.
    unheard: Option<(i32, Instant)>,
    /// Why it is to stop, and when to stop asking.
    stopping: Option<(StopCause, Instant)>,
    /// Whether it was killed here.
    killed: bool,
    is_paused: bool,
    /// Processors that the partition may use.
    cpus: u32,
    /// How it is kept to them, once that is necessary.
    confinement: Option<Confinement>,
}

impl Drop for Current {
    fn drop(&mut self) {
        if let Some(confinement) = self.confinement.take() {
            confinement.end();
        }
    }
}

/// What the watch woke up for.
#[derive(Default)]
struct Wake {
    worker: bool,
    broker: Heard,
    signal: Option<i32>,
    demands: Vec<(ClientId, Demand)>,
}

fn cannot_start(why: String) -> Failure {
    Failure::new(Code::Internal, "cannot start the worker process", why)
}

impl Supervision {
    fn new(order: Order, keeping: Keeping, streams: Option<Streams>) -> Result<Self, Failure> {
        // Held before the worker exists, so that it is born ignoring what the terminal sends to both.
        let has_terminal = order.spec.terminal.is_some() && keeping.detached.is_none();
        let wanted = signals::Wanted {
            passed_on: keeping.passes_signals,
            of_jobs: keeping.passes_signals && keeping.detached.is_none(),
            of_terminal: has_terminal,
        };
        let signals = Signals::hold(wanted).map_err(|error| cannot_start(reason(error)))?;
        let desk = Desk::open(record_of(&order, &keeping), None);
        Ok(Self {
            order,
            keeping,
            signals,
            desk,
            streams,
            sessions: Sessions::default(),
            readings: Readings::default(),
            raw: if has_terminal { Raw::enter() } else { None },
            has_started: false,
            is_told_to_end: false,
            current: None,
        })
    }

    /// Enters the partition into the registry. Whoever is in the foreground runs without an entry where there can be none.
    fn register(&mut self) -> Result<(), Failure> {
        let registry = Registry::new(self.keeping.runtime.clone());
        match registry.register(&self.desk.record) {
            Ok(place) => self.desk = Desk::open(self.desk.record.clone(), Some(place)),
            Err(error @ RegistryError::NameTaken { .. }) => return Err(not_registered(&error)),
            Err(error) if self.keeping.detached.is_some() => return Err(not_registered(&error)),
            Err(_) => {}
        }
        Ok(())
    }

    /// The whole life: from the first start to the last end. `launched` is told when the program runs for the first time.
    /// `concluded` gets the last word before anybody else learns of the end.
    fn live(
        mut self,
        stage: &mut dyn FnMut(&Stage),
        launched: &mut dyn FnMut(&str),
        concluded: &mut dyn FnMut(&Ended),
    ) -> Ended {
        let mut backoff = Backoff::default();
        // A name that is taken is told before anything starts; everything else is done while the worker starts.
        let registered = if self.keeping.name.is_some() { Some(self.register()) } else { None };
        if let Some(Err(failure)) = registered {
            self.forget_log();
            return ended(End::Failed(failure));
        }
        let mut is_registered = registered.is_some();
        let last_word = loop {
            if let Err(failure) = self.start() {
                break ended(End::Failed(failure));
            }
            if !is_registered {
                is_registered = true;
                if let Err(failure) = self.register() {
                    self.kill();
                    self.reap();
                    break ended(End::Failed(failure));
                }
            }
            let last_word = self.watch(stage, launched);
            for (client, answer) in self.sessions.end_all() {
                self.desk.answer(client, &answer);
            }
            self.refuse_readings();
            let ran = self.current.take().map_or(Duration::ZERO, |current| current.began.elapsed());
            if let Some(streams) = &mut self.streams {
                streams.drain();
            }
            let status = judge(&last_word.end, &self.order.spec).status;
            let restarts = self.desk.record.restarts;
            if self.is_told_to_end || !self.keeping.restart.applies(status, restarts) {
                break last_word;
            }
            if !self.pause_before_restart(backoff.next(ran)) {
                break last_word;
            }
            self.desk.note(|record| record.restarts += 1);
        };
        concluded(&last_word);
        self.conclude(&last_word);
        last_word
    }

    /// Everybody learns of the end.
    fn conclude(mut self, last_word: &Ended) {
        let end = judge(&last_word.end, &self.order.spec);
        if let Some(streams) = &mut self.streams {
            streams.drain();
        }
        self.desk.tell_all(end.status);
        let keeps = self.has_started && self.keeping.detached.as_ref().is_some_and(|how| !how.removes_itself);
        if keeps {
            self.desk.record.worker = None;
            self.desk.record.state =
                State::Exited { status: end.status, message: end.message, at_ms: record::now_ms() };
        } else {
            self.forget_log();
        }
        self.desk.close(keeps);
    }

    /// Nothing that it said is to be kept.
    fn forget_log(&self) {
        if let Some(detached) = &self.keeping.detached {
            let _ = std::fs::remove_dir_all(&detached.log_directory);
        }
    }

    /// False if it is not to be started any more.
    fn pause_before_restart(&mut self, pause: Duration) -> bool {
        let until = Instant::now() + pause;
        let at_ms = record::now_ms() + u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
        self.desk.note(|record| (record.state, record.worker) = (State::Restarting { at_ms }, None));
        while Instant::now() < until {
            let wake = self.sleep(Some(until));
            self.is_told_to_end |= wake.signal.is_some_and(signals::is_ending);
            for (client, demand) in wake.demands {
                self.meet(client, demand);
            }
            if self.is_told_to_end {
                return false;
            }
        }
        true
    }

    fn start(&mut self) -> Result<(), Failure> {
        let order = self.order.clone();
        let timeout = order.spec.timeout.map(|span| span.as_duration());
        let cpus = order.spec.cpus;
        if let Some(streams) = &mut self.streams {
            streams.forget_input();
        }
        let spec = &self.order.spec;
        let ports = network::prepare(spec, self.desk.folder())?;
        let mut switchboard = None;
        let ends = ports
            .map(|ports| {
                let (ours, theirs) = Switchboard::open(&spec.network, &self.keeping.runtime)?.unzip();
                switchboard = ours;
                ports.divide(theirs)
            })
            .transpose()
            .map_err(|error| network::failure(reason(error)))?;
        let (network, outside) = ends.unzip();
        let around = Around { runtime: self.keeping.runtime.clone(), network };
        let (worker, socket) = Forked::fork(Kind::Worker, self.signals.held(), |socket, supervisor| {
            entry::serve(socket, supervisor, order, around)
        })
        .map_err(|error| cannot_start(format!("fork failed: {error}")))?;
        // While the worker begins.
        let broker = outside.map(|outside| Broker::start(self.signals.held(), spec, outside)).transpose();
        let broker = match broker {
            Ok(broker) => broker,
            Err(error) => {
                worker.end();
                return Err(network::failure(format!("fork failed: {error}")));
            }
        };
        self.desk.record.worker = u32::try_from(worker.pid().as_raw_nonzero().get()).ok();
        self.current = Some(Current {
            worker: Some(worker),
            socket,
            broker,
            switchboard,
            began: Instant::now(),
            timeout_at: timeout.and_then(|timeout| Instant::now().checked_add(timeout)),
            ends_at: None,
            unheard: None,
            stopping: None,
            killed: false,
            is_paused: false,
            cpus,
            confinement: None,
        });
        Ok(())
    }

    fn watch(&mut self, stage: &mut dyn FnMut(&Stage), launched: &mut dyn FnMut(&str)) -> Ended {
        loop {
            let deadline = self.current.as_ref().and_then(Current::deadline);
            let wake = self.sleep(deadline);
            self.show(wake.broker.refused, stage);
            if wake.worker {
                match self.current.as_ref().map(|current| receive(&current.socket)) {
                    Some(Ok(FromWorker::Stage(completed))) => stage(&completed),
                    Some(Ok(FromWorker::Crowded)) => self.confine(),
                    Some(Ok(FromWorker::Started)) => self.started(launched),
                    Some(Ok(FromWorker::Heard)) => {
                        if let Some(current) = &mut self.current {
                            current.unheard = None;
                        }
                    }
                    Some(Ok(FromWorker::Counted(count))) => {
                        self.readings.counted(*count);
                        self.hand_out_readings();
                    }
                    Some(Ok(FromWorker::SessionEnded { number, end })) => {
                        if let Some((client, answer)) = self.sessions.ended(number, end) {
                            self.desk.answer(client, &answer);
                        }
                    }
                    Some(Ok(FromWorker::Ended(mut last_word))) => {
                        self.reap();
                        if let Some(broker) = self.current.as_mut().and_then(|it| it.broker.as_mut()) {
                            let said = broker.hear().refused;
                            last_word.stats.network.refused = broker.refused();
                            self.show(said, stage);
                        }
                        last_word.stats.cpus = self.cpu_stats();
                        return *last_word;
                    }
                    Some(Err(ProtocolError::Closed)) => return self.worker_died(),
                    Some(Err(error)) => return self.worker_babbled(&error),
                    None => return self.worker_died(),
                }
            }
            if let Some(failure) = wake.broker.failure {
                self.kill();
                self.reap();
                return ended(End::Failed(failure));
            }
            if let Some(signal) = wake.signal {
                self.signal_came(signal);
            }
            for (client, demand) in wake.demands {
                self.meet(client, demand);
            }
            self.look_at_the_clock();
        }
    }

    /// Shows what was refused to a person who wants to know.
    fn show(&self, refused: Vec<String>, stage: &mut dyn FnMut(&Stage)) {
        if self.order.spec.verbose {
            let at_us = since_us(self.order.epoch_ns, now_ns());
            refused.into_iter().for_each(|what| stage(&Stage { what, at_us }));
        }
    }

    fn look_at_the_clock(&mut self) {
        let Some(current) = &mut self.current else { return };
        let now = Instant::now();
        if current.timeout_at.is_some_and(|at| now >= at) {
            current.timeout_at = None;
            self.stop(StopCause::Timeout);
        } else if current.ends_at.is_some_and(|at| now >= at) {
            current.ends_at = None;
            self.stop(StopCause::Signal(libc::SIGKILL));
        } else if let Some((signal, since)) = current.unheard
            && !current.is_paused
            && now >= since + GRACE
        {
            current.unheard = None;
            self.stop(StopCause::Signal(signal));
        } else if current.stopping.is_some_and(|(_, until)| now >= until) {
            self.kill();
        }
    }

    fn started(&mut self, launched: &mut dyn FnMut(&str)) {
        self.has_started = true;
        self.desk.note(|record| {
            record.state = State::Running;
            record.started_ms = Some(record::now_ms());
        });
        launched(&self.desk.record.id);
    }

    /// Does what somebody wants, or says why not.
    fn meet(&mut self, client: ClientId, demand: Demand) {
        let answer = match demand {
            Demand::Wait => None,
            Demand::Gone => {
                self.readings.gone(client);
                self.sessions.gone(client, self.current.as_ref().map(|current| &current.socket));
                if let Some(streams) = &mut self.streams {
                    streams.detach(client);
                }
                None
            }
            Demand::Stop(time) => {
                self.ask_to_end(time);
                None
            }
            Demand::Signal(signal) => Some(self.send_signal(signal)),
            Demand::Kill => {
                self.is_told_to_end = true;
                self.stop(StopCause::Signal(libc::SIGKILL));
                self.kill();
                None
            }
            Demand::Stats { threads } => self.read_stats(client, threads),
            Demand::Pause => Some(self.set_paused(true)),
            Demand::Resume => Some(self.set_paused(false)),
            Demand::Attach(descriptors) => self.attach(client, descriptors),
            Demand::Exec(exec, descriptors) => self.exec(client, exec, descriptors),
            Demand::Resize(size) => {
                self.resize(self.sessions.number_of(client).unwrap_or(sessions::FIRST), size);
                None
            }
            Demand::SignalHere(signal) => {
                self.signal_here(client, signal);
                None
            }
        };
        if let Some(answer) = answer {
            self.desk.answer(client, &answer);
        }
    }

    /// Holds the worker as a whole, or lets it go on: its virtual CPUs are threads of it.
    fn set_paused(&mut self, pauses: bool) -> Answer {
        let Some(current) = &mut self.current else { return not_now("it does not run at the moment") };
        let Some(worker) = current.worker.as_ref() else { return not_now("it is ending") };
        if current.is_paused != pauses {
            worker.hold(pauses);
            current.is_paused = pauses;
            let state = if pauses { State::Paused } else { State::Running };
            self.desk.note(|record| record.state = state);
        }
        if pauses {
            self.hand_out_readings();
        }
        Answer::Done
    }

    /// The partition could use more processors than it may.
    fn confine(&mut self) {
        let Some(current) = &mut self.current else { return };
        if let (None, Some(worker)) = (&current.confinement, &current.worker) {
            current.confinement = cpus::confine(worker.pid(), current.cpus);
        }
    }

    fn cpu_stats(&self) -> CpuStats {
        let current = self.current.as_ref();
        let kept_by = current.and_then(|current| current.confinement.as_ref());
        CpuStats {
            count: self.order.spec.cpus,
            kept_by: kept_by.map(|confinement| confinement.name().to_owned()),
        }
    }

    /// Until the worker says something, a signal comes, somebody wants something, or a deadline passes.
    fn sleep(&mut self, deadline: Option<Instant>) -> Wake {
        let timeout =
            deadline.and_then(|at| Timespec::try_from(at.saturating_duration_since(Instant::now())).ok());
        let mut fds = vec![PollFd::from_borrowed_fd(self.signals.as_fd(), PollFlags::IN)];
        let has_worker = self.current.is_some();
        fds.extend(
            self.current
                .as_ref()
                .map(|current| PollFd::from_borrowed_fd(current.socket.as_fd(), PollFlags::IN)),
        );
        let of_broker = fds.len();
        fds.extend(self.current.as_ref().and_then(|current| current.broker.as_ref()?.poll()));
        let of_calls = fds.len();
        let switchboard = self.current.as_ref().and_then(|current| current.switchboard.as_ref());
        fds.extend(switchboard.map(Switchboard::poll));
        let of_desk = fds.len();
        self.desk.poll(&mut fds);
        let of_streams = fds.len();
        if let Some(streams) = &self.streams {
            streams.poll(&mut fds);
        }
        match poll(&mut fds, timeout.as_ref()) {
            Ok(_) | Err(Errno::INTR) => {}
            // Cannot fail otherwise; if it does, the worker's own word is awaited.
            Err(_) => return Wake { worker: has_worker, ..Wake::default() },
        }
        let ready: Vec<PollFlags> = fds.iter().map(PollFd::revents).collect();
        drop(fds);
        let is_ready = |flags: &PollFlags| !flags.is_empty();
        let signal = if is_ready(&ready[0]) { self.signals.take() } else { None };
        let worker = has_worker && is_ready(&ready[1]);
        if ready[of_calls..of_desk].iter().any(is_ready)
            && let Some(current) = &mut self.current
        {
            // A broker that does not keep to the form is not listened to any more.
            current.switchboard = current.switchboard.take().and_then(|mut it| it.serve().then_some(it));
        }
        let mut broker = Heard::default();
        if ready[of_broker..of_calls].iter().any(is_ready)
            && let Some(it) = self.current.as_mut().and_then(|current| current.broker.as_mut())
        {
            broker = it.hear();
        }
        let mut demands = Vec::new();
        if ready[of_desk..of_streams].iter().any(is_ready) {
            demands = self.desk.serve(&ready[of_desk..of_streams]);
        }
        if let Some(streams) = &mut self.streams
            && ready[of_streams..].iter().any(is_ready)
        {
            for client in streams.serve().gone {
                self.desk.answer(client, &not_now("what the partition says was not read fast enough"));
            }
        }
        Wake { worker, broker, signal, demands }
    }

    /// A signal came to this process. In the foreground it is the program's, if it is to be; else it stops the partition: the first one
    /// asks, the second kills; SIGQUIT kills at once.
    fn signal_came(&mut self, signal: i32) {
        if let Some(raw) = &self.raw {
            if signal == libc::SIGTSTP {
                raw.leave();
                let _ = kill_process(getpid(), rustix::process::Signal::STOP);
                raw.again();
            }
            if matches!(signal, libc::SIGTSTP | libc::SIGWINCH) {
                return self.resize(0, terminal::size_or_usual());
            }
        }
        if self.keeping.detached.is_some() {
            return self.ask_to_end(Some(STOP_TIME));
        }
        if signal == libc::SIGTSTP {
            return self.stand_still();
        }
        if self.keeping.passes_signals {
            // Programs that are never to end are told other things with SIGHUP.
            self.is_told_to_end |= signals::is_ending(signal) && signal != libc::SIGHUP;
            return self.pass_on(signal);
        }
        self.is_told_to_end = true;
        let Some(current) = &self.current else { return };
        let asked_before = matches!(current.stopping, Some((StopCause::Signal(_), _)));
        self.stop(StopCause::Signal(signal));
        if asked_before || signal == libc::SIGQUIT {
            self.kill();
        }
    }

    /// As a job of a shell that is stopped: until this process is continued.
    fn stand_still(&mut self) {
        let was_paused = self.current.as_ref().is_some_and(|current| current.is_paused);
        let _ = self.set_paused(true);
        let _ = kill_process(getpid(), rustix::process::Signal::STOP);
        if !was_paused {
            let _ = self.set_paused(false);
        }
    }

    /// Sends the program a signal. If the guest kernel does not hear of one that ends programs, the next one kills.
    fn pass_on(&mut self, signal: i32) {
        let Some(current) = &mut self.current else { return };
        let Ok(number) = u32::try_from(signal) else { return };
        if signals::is_ending(signal) {
            let (first, since) = *current.unheard.get_or_insert((signal, Instant::now()));
            if since.elapsed() >= IMPATIENCE || current.stopping.is_some() {
                self.stop(StopCause::Signal(first));
                return self.kill();
            }
        }
        // A worker that is gone is noticed by the watch.
        let _ = send(&current.socket, &ToWorker::Signal { number: sessions::FIRST, signal: number });
    }

    /// Asks the program to end, and ends the partition when it has had its time.
    fn ask_to_end(&mut self, time: Option<Duration>) {
        self.is_told_to_end = true;
        self.set_paused(false);
        if time != Some(Duration::ZERO) {
            self.pass_on(self.order.spec.stop_signal.number());
        }
        let Some(current) = &mut self.current else { return };
        let at = time.and_then(|time| Instant::now().checked_add(time));
        current.ends_at = [current.ends_at, at].into_iter().flatten().min();
    }

    /// What somebody wants the program to be sent.
    fn send_signal(&mut self, signal: Signal) -> Answer {
        if self.current.is_none() {
            return not_now("it does not run at the moment");
        }
        self.is_told_to_end |= signal == self.order.spec.stop_signal;
        self.pass_on(signal.number());
        Answer::Done
    }

    fn stop(&mut self, cause: StopCause) {
        self.set_paused(false);
        let Some(current) = &mut self.current else { return };
        let until = current.stopping.map_or_else(|| Instant::now() + GRACE, |(_, until)| until);
        // A signal after the timeout, or the other way round, does not change what the caller is told.
        let first_cause = current.stopping.map_or(cause, |(first, _)| first);
        current.stopping = Some((first_cause, until));
        // A worker that is gone is noticed by the watch.
        let _ = send(&current.socket, &ToWorker::Stop(cause));
    }

    fn kill(&mut self) {
        let Some(current) = &mut self.current else { return };
        current.killed = true;
        if let Some(worker) = &current.worker {
            worker.kill();
        }
    }

    /// Waits until the worker is gone; makes sure that it goes. Returns how it went.
    fn reap(&mut self) -> Option<WaitStatus> {
        let lingers = |current: &Current| {
            current.worker.as_ref().is_some_and(|worker| !wait::wait_at_most(worker.pid(), GRACE))
        };
        if self.current.as_ref().is_some_and(lingers) {
            self.kill();
        }
        self.current.as_mut()?.worker.take()?.wait()
    }

    fn worker_died(&mut self) -> Ended {
        let status = self.reap();
        if let Some(Current { killed: true, stopping: Some((cause, _)), .. }) = &self.current {
            return ended(End::Stopped(*cause));
        }
        let why = status.map_or_else(|| "its status is unknown".to_owned(), wait::describe);
        let signal = status.and_then(WaitStatus::terminating_signal);
        if let (Some(libc::SIGSYS), Some(call)) = (signal, jail::report::take()) {
            let why = format!("it made a system call that its jail forbids: {}", call.describe());
            let failure = Failure::new(Code::Worker, "the worker process was killed", why);
            return ended(End::Failed(failure.hint(
                "either somebody has taken over the partition's worker, or this is a bug of Septum: please report it, \
                 with the output of 'septum doctor'",
            )));
        }
        let hint = match signal {
            Some(libc::SIGKILL) => {
                "somebody killed it, or the host ran out of memory ('dmesg' says so): use less with --memory"
            }
            _ => Code::Worker.advice(),
        };
        ended(End::Failed(Failure::new(Code::Worker, "the worker process died", why).hint(hint)))
    }

    fn worker_babbled(&mut self, error: &ProtocolError) -> Ended {
        self.kill();
        self.reap();
        ended(End::Failed(Failure::new(
            Code::Internal,
            "cannot understand the worker process",
            error.to_string(),
        )))
    }
}

impl Current {
    /// When something is to be done if nothing happens before.
    fn deadline(&self) -> Option<Instant> {
        if self.killed {
            return None;
        }
        let stopping = self.stopping.map(|(_, until)| until);
        let unheard = self.unheard.filter(|_| !self.is_paused).map(|(_, since)| since + GRACE);
        [self.timeout_at, self.ends_at, unheard, stopping].into_iter().flatten().min()
    }
}

/// An end of which nothing else is known.
fn ended(end: End) -> Ended {
    Ended { end, stats: PartitionStats::default(), log: String::new() }
}

fn reason(error: Errno) -> String {
    crate::outcome::reason(error)
}

/// Why something cannot be done to the partition as it is.
fn not_now(why: &str) -> Answer {
    Answer::Refused(
        Failure::new(Code::Usage, "the partition cannot do that", why)
            .hint("'septum ps -a' tells how it goes with it"),
    )
}
