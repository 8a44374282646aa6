//! The worker's own `main`: from being forked to the last word.
//!
//! The order of steps is the order of trust: first what ties this process to its supervisor, then what needs the host
//! (KVM, the shared directories), then leaving the host behind, and only then anything that looks at files of the
//! partition or runs the partition itself.
#![allow(unsafe_code, reason = "the C library's setting of its heap")]

mod linux;

use std::ffi::CString;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::ffi::OsStringExt as _;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;

use rustix::process::{Pid, Resource, Signal, getrlimit, set_parent_process_death_signal, setrlimit};
use septum_abi::config::Limit;
use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::jail::JailChoice;
use septum_api_types::spec::PartitionSpec;
use septum_api_types::stats::{PartitionStats, Timings};
use septum_api_types::ulimit::Ulimit;
use septum_hypervisor::Kvm;
use septum_machine::{
    Confine, Core, CoreSpec, HUGE_PAGE, Listener, Machine, MachineError, MachineResources, MachineSpec,
    NewSession, Notice, OwnFile, Pages, PrivilegeChoice, Request, Requests, Role,
    SessionEnd as MachineSessionEnd, StopReason, WhenCrowded, Wish, encode_program,
};
use septum_netproxy::Inside;
use septum_registry::control;

use crate::counting::Counting;
use crate::disks;
use crate::ending::Ending;
use crate::environment;
use crate::forked::{close_all_but, tie_to};
use crate::functions;
use crate::huge_pages;
use crate::jail::{self, Filters, Left, Terminals};
use crate::network;
use crate::outcome;
use crate::program;
use crate::protocol::{End, Ended, FromWorker, Order, SessionEnd, Stage, StopCause, ToWorker, send};
use crate::rootfs;
use crate::stages::{now_ns, since_us};
use crate::terminal;
use crate::usage::Usage;

/// What there is around a worker.
#[derive(Debug)]
pub(crate) struct Around {
    /// Where running partitions are described.
    pub(crate) runtime: PathBuf,
    /// The partition's ports, and the way to its broker, if it has a network.
    pub(crate) network: Option<Inside>,
}

/// What a worker without a name is called.
const PROCESS_NAME: &str = "septum-worker";

/// The worker's whole life, in a process of its own that `supervisor` made; returns its exit status.
pub(crate) fn serve(socket: UnixStream, supervisor: Pid, order: Order, around: Around) -> i32 {
    let started_ns = now_ns();
    if !tie_to(supervisor) {
        return 1;
    }
    close_all_but(around.network.iter().flat_map(Inside::descriptors).chain([socket.as_fd()]));
    use_one_heap();
    let mut worker = Worker { socket, order, around, timings: Timings::default() };
    worker.timings.worker_start = Some(since_us(worker.order.epoch_ns, started_ns));
    let last_word = worker.run().unwrap_or_else(|failure| Ended {
        end: End::Failed(failure),
        stats: PartitionStats { timings_us: worker.timings.clone(), ..PartitionStats::default() },
        log: String::new(),
    });
    // Whoever calls this exits: the machine's threads and descriptors are for the host's kernel to collect.
    i32::from(send(&worker.socket, &FromWorker::Ended(Box::new(last_word))).is_err())
}

/// Isolates this process as a worker does, and says what failed, if anything.
pub(crate) fn try_isolation(socket: &UnixStream) -> i32 {
    let result = rootfs::try_to_enter()
        .and_then(|()| jail::drop_privileges())
        .and_then(|()| Filters::new(&[Role::Main], JailChoice::On))
        .map(|filters| filters.confine(Role::Main));
    i32::from(send(socket, &result.err()).is_err())
}

/// The C library would give each thread a heap of its own, with mappings that cost more than the few allocations in them.
fn use_one_heap() {
    // SAFETY: 1. a number; 2. there is one thread.
    unsafe { libc::mallopt(libc::M_ARENA_MAX, 1) };
}

/// The file server holds a descriptor for every file that the guest remembers: as many as the caller may have.
fn allow_many_descriptors() {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    // Raising the soft limit to the hard one is always allowed.
    let _ = setrlimit(Resource::Nofile, limit);
}

/// The thread that makes the virtual machine calls KVM and copies a little.
const MAKER_STACK_BYTES: usize = 256 << 10;

struct Worker {
    socket: UnixStream,
    order: Order,
    around: Around,
    timings: Timings,
}

impl Worker {
    fn run(&mut self) -> Result<Ended, Failure> {
        let spec = self.order.spec.clone();
        check_amounts(&spec)?;
        name_process(&spec.name);
        allow_many_descriptors();
        let kvm = Kvm::open().map_err(outcome::kvm_failure)?;
        // Pages of a file cannot take the place of a part of a huge page, nor of memory that a device reaches.
        let takes_own_file = !spec.huge_pages && spec.devices.is_empty();
        let own_file = if takes_own_file { OwnFile::open() } else { None };
        let usage = Usage::open();
        self.stage("KVM is open");
        let [stdin, stdout, stderr] = standard_streams(spec.streams_open)?;
        let [stdin, stdout] =
            if spec.terminal.is_some() { terminal::ends([stdin, stdout]) } else { [stdin, stdout] };

        if let Some(guest) = &spec.linux {
            return linux::run(self, &spec, guest, linux::Host { kvm, usage, stdin, stdout });
        }
        let plan = rootfs::plan(&spec)?;
        let image = plan.image().map(|image| image.map()).transpose()?;
        let disks = disks::open(&spec)?;
        let (container, functions) = functions::open(&spec)?;
        // What is passed on is free again only when the virtual machine is gone.
        let ending = if container.is_none() { Ending::find(&self.around.runtime) } else { None };
        let network = self.around.network.take();
        let terminals = Terminals::find();
        jail::volunteer();
        rootfs::leave(&plan.user)?;
        let core_spec = CoreSpec {
            memory_bytes: memory_of(&spec).0,
            pages: memory_of(&spec).1,
            cpus: spec.cpus,
            vcpu_limit: spec.threads,
            // A device's interrupts are counted in ring 0 only, and hosts that emulate that have no devices to give.
            privilege: if container.is_some() {
                PrivilegeChoice::Ring0
            } else {
                outcome::privilege_choice(spec.privilege)
            },
        };
        // Composing the root and making the virtual machine both wait for the host's kernel: not one after the other.
        let (view, core) = std::thread::scope(|scope| {
            let make = || {
                let ending = ending.as_ref().map(Ending::as_fd);
                Core::new(&kvm, core_spec, own_file.as_ref(), image.as_ref(), container.as_deref(), ending)
            };
            let thread = std::thread::Builder::new().name("machine".to_owned()).stack_size(MAKER_STACK_BYTES);
            let thread = thread.spawn_scoped(scope, make);
            let view = rootfs::enter(&plan, spec.jail);
            // Where there is no other thread, this one does it.
            let core = thread.map_or_else(|_| Some(make()), |thread| thread.join().ok());
            (view, core)
        });
        let view = view?;
        drop((kvm, own_file));
        // Changing its identity may have untied it. The supervisor is still there, or the socket is closed.
        let _ = set_parent_process_death_signal(Some(Signal::KILL));
        jail::drop_privileges()?;
        jail::restrict(Left { writable: plan.writable(), terminals: &terminals }, spec.jail)?;
        drop(terminals);
        self.stage("the shared directory stands");

        let workdir = rootfs::workdir(&spec, &view)?;
        let environment = environment::build(&spec, &plan.user, &view);
        let invocation = program::resolve(&spec, &plan, &view, &environment, &workdir)?;
        self.timings.root_ready = Some(self.now_us());
        self.stage(&format!("the program is {}", invocation.program));

        let machine_spec = MachineSpec {
            // The pool's pages are this partition's until it ends, used or not, and so is memory that a device reaches.
            returns_free_memory: !spec.huge_pages && container.is_none(),
            program: invocation.program.0,
            arguments: invocation.arguments.into_iter().map(|argument| argument.0).collect(),
            environment: environment.into_iter().map(|variable| variable.0).collect(),
            workdir: workdir.into_os_string().into_vec(),
            hostname: spec.hostname.clone().into_bytes(),
            mounts: view.mounts().to_vec(),
            uid: plan.user.uid,
            gid: plan.user.gid,
            groups: plan.user.others.iter().map(|(gid, _)| *gid).collect(),
            limits: spec.limits.iter().map(limit).collect(),
            umask: spec.umask,
            debug_panic: spec.debug_panic,
            verbose: spec.verbose,
            profile: spec.debug_profile,
        };
        let filters = Filters::new(roles(!disks.is_empty(), network.is_some()), spec.jail)?;
        let (network, connections) = network.map(network::proxy).transpose()?.unzip();
        let counting = Counting { socket: Arc::new(self.teller()?), connections };
        let resources = MachineResources {
            shared_root: rootfs::SHARED_ROOT.into(),
            stdin,
            stdout,
            stderr,
            disks,
            functions,
            when_crowded: self.tell_when_crowded()?,
            listener: self.listener()?,
            terminal: spec.terminal,
            network,
            confine: Confine(Arc::new(move |role| filters.confine(role))),
        };
        let machine = core
            .unwrap_or_else(|| Err(MachineError::Thread(std::io::Error::other("it panicked"))))
            .and_then(|core| Machine::new(core, &machine_spec, resources))
            .map_err(|error| outcome::machine_failure(&error, &spec))?;
        self.timings.machine_ready = Some(self.now_us());
        self.stage("the machine is built");

        if self.order.wants_start {
            let _ = send(&self.socket, &FromWorker::Started);
        }
        let socket = &self.socket;
        // No more requests, no more supervisor: the kernel is about to kill this process.
        let mut next =
            || control::receive::<ToWorker>(socket).ok().map(|(said, with)| request(said, with, &counting));
        let outcome = machine.run(Some(Requests { descriptor: socket.as_fd(), next: &mut next }));
        let guest_mappings = outcome.stats.guest_mappings.clone();
        let mut last_word = outcome::translate(outcome, &spec, self.order.epoch_ns, &self.timings);
        if let Some(ending) = ending {
            ending.begin();
            // Its lock lasts as long as the virtual machine.
            std::mem::forget(ending);
        }
        if self.order.wants_stats {
            last_word.stats.memory.worker_pss_bytes = usage.pss_without_bytes(&guest_mappings);
        }
        Ok(last_word)
    }

    fn now_us(&self) -> u64 {
        since_us(self.order.epoch_ns, now_ns())
    }

    fn stage(&self, what: &str) {
        if self.order.spec.verbose {
            let stage = Stage { what: what.to_owned(), at_us: self.now_us() };
            // If the supervisor is gone, this process is about to be killed.
            let _ = send(&self.socket, &FromWorker::Stage(stage));
        }
    }

    /// The way to the supervisor for another thread. A frame is one write, so that frames of several threads do not mix.
    fn teller(&self) -> Result<UnixStream, Failure> {
        self.socket
            .try_clone()
            .map_err(|error| Failure::new(Code::Internal, "cannot talk to the supervisor", error.to_string()))
    }

    /// The supervisor keeps the partition to its processors once there are more vCPUs than those.
    fn tell_when_crowded(&self) -> Result<WhenCrowded, Failure> {
        let socket = self.teller()?;
        // If the supervisor is gone, this process is about to be killed.
        Ok(WhenCrowded(Box::new(move || drop(send(&socket, &FromWorker::Crowded)))))
    }

    /// The supervisor waits for what the guest kernel says: one that does not listen is to be stopped.
    fn listener(&self) -> Result<Listener, Failure> {
        let socket = self.teller()?;
        Ok(Listener(Box::new(move |notice| {
            let said = match notice {
                Notice::Done => FromWorker::Heard,
                Notice::Ended(number, end) => {
                    let end = match end {
                        MachineSessionEnd::Exited(code) => SessionEnd::Exited(code),
                        MachineSessionEnd::Signaled(signal) => SessionEnd::Signaled(signal),
                        MachineSessionEnd::NotStarted(errno) => SessionEnd::NotStarted(errno),
                    };
                    FromWorker::SessionEnded { number, end }
                }
            };
            // As above.
            drop(send(&socket, &said));
        })))
    }
}

/// Bytes of memory, and what of.
fn memory_of(spec: &PartitionSpec) -> (u64, Pages) {
    if spec.huge_pages {
        (spec.memory_bytes.next_multiple_of(HUGE_PAGE), Pages::Huge)
    } else {
        (spec.memory_bytes, Pages::Ordinary)
    }
}

/// What the machine's threads do.
fn roles(has_disks: bool, has_network: bool) -> &'static [Role] {
    use Role::{Disk, Files, Main, Network, Streams, Vcpu};
    match (has_disks, has_network) {
        (false, false) => &[Main, Vcpu, Files, Streams],
        (true, false) => &[Main, Vcpu, Files, Streams, Disk],
        (false, true) => &[Main, Vcpu, Files, Streams, Network],
        (true, true) => &[Main, Vcpu, Files, Streams, Disk, Network],
    }
}

/// What the supervisor says, as the machine understands it.
fn request(said: ToWorker, descriptors: Vec<OwnedFd>, counting: &Counting) -> Request {
    match said {
        ToWorker::Count => Request::Look(counting.look()),
        ToWorker::Stop(StopCause::Timeout) => Request::Stop(StopReason::Timeout),
        ToWorker::Stop(StopCause::Signal(signal)) => Request::Stop(StopReason::Signal(signal)),
        ToWorker::Signal { number, signal } => Request::Wish(Wish::Signal(number, signal)),
        ToWorker::Resize { number, size } => Request::Wish(Wish::Resize(number, size)),
        ToWorker::HangUp { number } => Request::Wish(Wish::HangUp(number)),
        ToWorker::Begin { number, exec } => {
            let (arguments, environment) = (slices(&exec.arguments), slices(&exec.environment));
            let given =
                |string: &Option<ByteString>| string.as_ref().map_or(Vec::new(), |string| string.0.clone());
            let (workdir, user) = (given(&exec.working_directory), given(&exec.user));
            let program =
                encode_program(exec.terminal, exec.has_input, &workdir, &user, &arguments, &environment);
            let mut descriptors = descriptors.into_iter();
            let mut streams = [descriptors.next(), descriptors.next(), descriptors.next()];
            if !exec.has_input {
                streams[0] = None;
            }
            let is_terminal = exec.terminal.is_some();
            if is_terminal {
                streams[2] = None;
            }
            Request::Wish(Wish::Begin(NewSession { number, program, streams, is_terminal }))
        }
    }
}

fn slices(strings: &[ByteString]) -> Vec<&[u8]> {
    strings.iter().map(|string| &string.0[..]).collect()
}

fn limit(limit: &Ulimit) -> Limit {
    Limit { resource: limit.resource as u32, soft: limit.soft, hard: limit.hard }
}

fn check_amounts(spec: &PartitionSpec) -> Result<(), Failure> {
    use septum_api_types::size::Size;
    use septum_api_types::spec::MINIMUM_MEMORY_BYTES;
    if spec.memory_bytes < MINIMUM_MEMORY_BYTES {
        let what = format!("cannot make a partition with {} of memory", Size(spec.memory_bytes));
        let why = format!("the least is {}", Size(MINIMUM_MEMORY_BYTES));
        return Err(Failure::new(Code::Memory, what, why));
    }
    if spec.huge_pages {
        huge_pages::check(huge_pages::Pool::read(), spec.memory_bytes)?;
    }
    let online = std::fs::read_to_string("/sys/devices/system/cpu/online").ok();
    if let Some(count) = online.and_then(|list| count_of(list.trim()))
        && spec.cpus > count
    {
        let what = format!("cannot give a partition {} processors", spec.cpus);
        let why = format!("this host has {count}");
        return Err(Failure::new(Code::Usage, what, why).hint("ask for fewer with --cpus"));
    }
    Ok(())
}

/// How many numbers a list such as `0-3,6` names.
fn count_of(list: &str) -> Option<u32> {
    list.split(',').try_fold(0_u32, |count, range| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last): (u32, u32) = (first.parse().ok()?, last.parse().ok()?);
        count.checked_add(last.checked_sub(first)?.checked_add(1)?)
    })
}

/// So that `ps` and `top` show which partition it is.
fn name_process(name: &str) {
    let mut short: Vec<u8> = name.bytes().filter(|&byte| byte != 0).take(15).collect();
    if short.is_empty() {
        short = PROCESS_NAME.into();
    }
    if let Ok(name) = CString::new(short) {
        let _ = rustix::thread::set_name(&name);
    }
}

/// The caller's streams as descriptors to give away; `None` for those that were closed.
fn standard_streams(open: [bool; 3]) -> Result<[Option<OwnedFd>; 3], Failure> {
    let duplicate = |index: usize| -> Result<Option<OwnedFd>, Failure> {
        if !open[index] {
            return Ok(None);
        }
        let copy = match index {
            0 => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdin(), 3),
            1 => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), 3),
            _ => rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stderr(), 3),
        };
        let failure = |error| {
            Failure::new(Code::Internal, "cannot hand on the standard streams", outcome::reason(error))
        };
        copy.map(Some).map_err(failure)
    };
    Ok([duplicate(0)?, duplicate(1)?, duplicate(2)?])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_processors_are_counted() {
        assert_eq!(count_of("0"), Some(1));
        assert_eq!(count_of("0-3,6,8-9"), Some(7));
        assert_eq!(count_of(""), None);
        assert_eq!(count_of("3-1"), None);
        assert_eq!(count_of("0-4294967295"), None);
    }
}
