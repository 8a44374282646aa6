//! The same for a Linux guest: it sees nothing of the host's files, so that the worker's root is empty.
//!
//! Kernel and RAM disk are opened as the caller may, and read when the worker has left the host and dropped its privileges.

use std::fs::File;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::sync::Arc;

use rustix::process::{Signal, set_parent_process_death_signal};
use septum_api_types::bytes::ByteString;
use septum_api_types::exit::Code;
use septum_api_types::failure::Failure;
use septum_api_types::spec::{LinuxGuest, PartitionSpec};
use septum_hypervisor::Kvm;
use septum_machine::{
    Confine, LinuxCore, LinuxMachine, LinuxResources, LinuxSpec, Request, Requests, Role, StopReason,
};
use septum_registry::control;

use super::{Worker, memory_of};
use crate::counting::Counting;
use crate::jail::{self, Filters};
use crate::outcome::{self, without_number};
use crate::protocol::{Ended, FromWorker, SessionEnd, StopCause, ToWorker, send};
use crate::rootfs::{self, Plan};
use crate::usage::Usage;
use crate::{disks, functions};

/// What the worker has of the host already.
pub(super) struct Host {
    pub(super) kvm: Kvm,
    pub(super) usage: Usage,
    pub(super) stdin: Option<OwnedFd>,
    pub(super) stdout: Option<OwnedFd>,
}

/// From here to the last word.
pub(super) fn run(
    worker: &mut Worker,
    spec: &PartitionSpec,
    guest: &LinuxGuest,
    host: Host,
) -> Result<Ended, Failure> {
    let kernel = open(spec, &guest.kernel, "a kernel", Code::Program)?;
    let initrd = guest.initrd.as_ref();
    let ram_disk = initrd.map(|path| open(spec, path, "an initial RAM disk", Code::Path)).transpose()?;
    let disks = disks::open(spec)?;
    let (container, functions) = functions::open(spec)?;
    let plan = Plan::nothing(spec);
    rootfs::leave(&plan.user)?;
    let (memory_bytes, pages) = memory_of(spec);
    let failed = |error| outcome::machine_failure(&error, spec);
    let returns_free_memory = !spec.huge_pages && container.is_none();
    let core = LinuxSpec { memory_bytes, pages, cpus: spec.cpus, returns_free_memory };
    let core = LinuxCore::new(&host.kvm, core, container.as_deref()).map_err(failed)?;
    rootfs::enter(&plan, spec.jail)?;
    drop(host.kvm);
    // As for a program.
    let _ = set_parent_process_death_signal(Some(Signal::KILL));
    jail::drop_privileges()?;
    worker.timings.root_ready = Some(worker.now_us());
    worker.stage("the worker has left the host");

    let filters = Filters::new(roles(!disks.is_empty()), spec.jail)?;
    let resources = LinuxResources {
        kernel,
        ram_disk,
        command_line: guest.command_line.0.clone(),
        stdin: host.stdin,
        stdout: host.stdout,
        disks,
        functions,
        confine: Confine(Arc::new(move |role| filters.confine(role))),
    };
    let machine = LinuxMachine::new(core, resources).map_err(failed)?;
    worker.timings.machine_ready = Some(worker.now_us());
    worker.stage("the machine is built");
    if worker.order.wants_start {
        let _ = send(&worker.socket, &FromWorker::Started);
    }
    let counting = Counting { socket: Arc::new(worker.teller()?), connections: None };
    let socket = &worker.socket;
    let mut next = || {
        loop {
            let (said, _) = control::receive::<ToWorker>(socket).ok()?;
            match said {
                ToWorker::Stop(StopCause::Timeout) => return Some(Request::Stop(StopReason::Timeout)),
                ToWorker::Stop(StopCause::Signal(signal)) => {
                    return Some(Request::Stop(StopReason::Signal(signal)));
                }
                // Nobody in the guest would hear of it.
                ToWorker::Signal { signal, .. } => {
                    let signal = i32::try_from(signal).unwrap_or(0);
                    return Some(Request::Stop(StopReason::Signal(signal)));
                }
                ToWorker::Begin { number, .. } => {
                    let end = SessionEnd::NotStarted(libc::ENOSYS.unsigned_abs());
                    // If the supervisor is gone, so is this process.
                    let _ = send(socket, &FromWorker::SessionEnded { number, end });
                }
                ToWorker::Count => return Some(Request::Look(counting.look())),
                ToWorker::Resize { .. } | ToWorker::HangUp { .. } => {}
            }
        }
    };
    let outcome = machine.run(Some(Requests { descriptor: socket.as_fd(), next: &mut next }));
    let guest_mappings = outcome.stats.guest_mappings.clone();
    let mut last_word = outcome::translate(outcome, spec, worker.order.epoch_ns, &worker.timings);
    if worker.order.wants_stats {
        last_word.stats.memory.worker_pss_bytes = host.usage.pss_without_bytes(&guest_mappings);
    }
    Ok(last_word)
}

/// What the machine's threads do.
fn roles(has_disks: bool) -> &'static [Role] {
    if has_disks {
        &[Role::Main, Role::LinuxVcpu, Role::Streams, Role::Disk]
    } else {
        &[Role::Main, Role::LinuxVcpu, Role::Streams]
    }
}

/// Opens a regular file that the guest is made from.
fn open(spec: &PartitionSpec, path: &ByteString, what: &str, code: Code) -> Result<File, Failure> {
    let failure = |why: String| Failure::new(code, format!("cannot use '{path}' as {what}"), why);
    let start = spec.current_directory.as_ref().map_or(Path::new("/"), |directory| directory.as_path());
    // A fifo would wait for somebody.
    let file = File::options()
        .read(true)
        .custom_flags(libc::O_NONBLOCK)
        .open(start.join(path.as_path()))
        .map_err(|error| failure(without_number(&error)))?;
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    if is_file { Ok(file) } else { Err(failure("it is no regular file".to_owned())) }
}
