//! The vCPUs of a machine: a thread each, made when the guest asks for them.
//!
//! ```text
//!              guest: StartVcpu, area                stop_all
//!   (nothing) ───────────────────────► running ───────────────► ended
//!        ▲            │                  │  ▲
//!        │            ▼ host refuses     ▼  │ (the guest parks a vCPU by halting it: nobody here notices)
//!        └───────── spare             halted
//! ```
//!
//! A request is served in the thread of the vCPU that makes it, which therefore has its answer when it goes on. What
//! it says is the guest's word and checked like any: the area must be RAM that the host gave away, aligned, and no
//! other vCPU's. Numbers count up from 0 and are never used again; a vCPU that KVM made and for which there was no
//! thread is kept for the next request, because KVM cannot take it back.
//!
//! KVM makes a new vCPU's time-stamp counter equal to that of those before it, as long as nobody sets one by hand.

use crate::bus::Bus;
use crate::commands::Commands;
use crate::cpu::CpuPolicy;
use crate::exits::Exits;
use crate::guest::{read, write_bytes};
use crate::image::LoadedKernel;
use crate::mailbox::Mailbox;
use crate::run_loop::{self, Account};
use crate::service::{Service, Wish};
use crate::spec::{Confine, Role, WhenCrowded};
use crate::tables;
use crate::thread_name::ThreadName;
use crate::vcpu_thread;
use septum_abi::boot::Privilege;
use septum_abi::layout::{FIRST_VCPU_AREA, REPORT, SERVICE_AREA, VCPU_AREA_SIZE};
use septum_abi::linux::Errno;
use septum_abi::report::GuestReport;
use septum_hypervisor::{Kicker, KvmError, Vcpu, Vm, stop_all};
use septum_memory::GuestRam;
use std::collections::BTreeSet;
use std::io;
use std::mem::offset_of;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use thiserror::Error;
use vm_memory::{GuestAddress, GuestMemory};

/// Most vCPUs that can have a number of the xAPIC, where 255 means all.
pub const XAPIC_LIMIT: u32 = 255;
/// Most vCPUs that the guest kernel can tell apart.
const KERNEL_LIMIT: u32 = 1024;

/// Why the guest gets no vCPU.
#[derive(Debug, Error)]
pub enum Refusal {
    /// The machine has as many as it may have.
    #[error("the partition has all the threads that --threads allows")]
    Limit,
    /// The machine is about to end.
    #[error("the partition is ending")]
    Ending,
    /// The area is not the guest's to give.
    #[error("{0:#x} is no place for a vCPU's area")]
    Area(u64),
    /// KVM refused.
    #[error("KVM refused")]
    Kvm(#[from] KvmError),
    /// The host has no more threads.
    #[error("the host refused a thread")]
    Thread(#[source] io::Error),
}

impl Refusal {
    /// What the guest is told.
    fn errno(&self) -> Errno {
        match self {
            Self::Area(_) => Errno::EINVAL,
            _ => Errno::EAGAIN,
        }
    }

    /// Whether it is the host's doing, which somebody should know.
    fn is_of_host(&self) -> bool {
        matches!(self, Self::Kvm(_) | Self::Thread(_))
    }
}

/// What the set is made from.
pub struct Parts {
    /// The VM.
    pub vm: Arc<Vm>,
    /// Its RAM.
    pub ram: GuestRam,
    /// How vCPUs start.
    pub policy: CpuPolicy,
    /// Where they start.
    pub kernel: LoadedKernel,
    /// In which mode.
    pub privilege: Privilege,
    /// How many there may be.
    pub limit: u32,
    /// First guest-physical byte that is the guest's.
    pub free_start: u64,
    /// What they reach.
    pub bus: Arc<Bus>,
    /// Whether their threads look where the guest is when they are interrupted.
    pub is_profiled: bool,
    /// CPUs that the partition was given.
    pub cpus: u32,
    /// What the host wants of the guest.
    pub service: Service,
    /// Called once, when there are more vCPUs.
    pub when_crowded: Mutex<Option<WhenCrowded>>,
    /// What holds their threads.
    pub confine: Confine,
}

/// The vCPUs of a machine.
pub struct Vcpus {
    parts: Parts,
    /// Who learns how a vCPU ended.
    ended: Mailbox,
    is_ending: AtomicBool,
    exits: Exits,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    threads: Vec<Kicker<Account>>,
    areas: BTreeSet<u64>,
    /// Made by KVM, and not running.
    spare: Option<Vcpu>,
    refused: u64,
    refusal: Option<String>,
    /// One of them is the service vCPU.
    has_service: bool,
}

/// What there is to say about the vCPUs when they have ended.
#[derive(Debug, Default)]
pub struct Total {
    /// Sums over all.
    pub account: Account,
    /// How many there were; none ends before the machine does.
    pub count: u64,
    /// Requests that the host, not the limit, refused.
    pub refused: u64,
    /// Why the first of them was refused.
    pub refusal: Option<String>,
    /// Whether a thread panicked.
    pub has_panicked: bool,
}

/// How many vCPUs a machine may have that asks for `wanted`, on a host whose KVM allows `of_kvm`.
pub fn limit(wanted: u32, of_kvm: usize, privilege: Privilege) -> u32 {
    let of_kvm = u32::try_from(of_kvm).unwrap_or(u32::MAX);
    let of_mode = match privilege {
        Privilege::Ring0 => KERNEL_LIMIT,
        Privilege::Single => XAPIC_LIMIT,
    };
    // One more, should it ever be needed, is for the host's wishes.
    wanted.min(of_kvm.min(of_mode).saturating_sub(1)).max(1)
}

impl Vcpus {
    /// Without any vCPU.
    pub fn new(parts: Parts, ended: Mailbox) -> Arc<Self> {
        let state = Mutex::new(State::default());
        Arc::new(Self { parts, ended, is_ending: AtomicBool::new(false), exits: Exits::default(), state })
    }

    /// What MMIO reaches.
    pub fn bus(&self) -> &Bus {
        &self.parts.bus
    }

    /// Why they came out of the guest, and how often.
    pub fn exits(&self) -> &Exits {
        &self.exits
    }

    /// How many there are.
    pub fn count(&self) -> u64 {
        u64::try_from(self.lock().threads.len()).unwrap_or(0)
    }

    /// The partition's RAM.
    pub fn ram(&self) -> &GuestRam {
        &self.parts.ram
    }

    /// Whether a profile is made.
    pub fn is_profiled(&self) -> bool {
        self.parts.is_profiled
    }

    /// Starts the first vCPU, whose state is set and whose area is written. The guest runs when that thread and the calling one, which is
    /// [`Role::Main`], are confined; all other vCPUs are started by the first one's thread, and as confined as that.
    ///
    /// # Errors
    /// The host refused a thread.
    pub fn start_first(self: &Arc<Self>, vcpu: Vcpu) -> io::Result<()> {
        let mut state = self.lock();
        state.areas.insert(FIRST_VCPU_AREA);
        let (is_confined, wait) = channel::<()>();
        let confine = self.parts.confine.clone();
        let before = move || {
            (confine.0)(Role::Vcpu);
            // The other end is dropped.
            let _ = wait.recv();
        };
        match self.spawn(0, FIRST_VCPU_AREA, vcpu, before) {
            Ok(kicker) => state.threads.push(kicker),
            Err((_, error)) => return Err(error),
        }
        (self.parts.confine.0)(Role::Main);
        drop(is_confined);
        Ok(())
    }

    /// Serves `StartVcpu`: the request and the answer are in the report.
    pub fn start_for_guest(self: &Arc<Self>) {
        let ram = &self.parts.ram;
        let place = |offset: usize| REPORT + u64::try_from(offset).unwrap_or(0);
        let mut state = self.lock();
        let area = read::<u64>(ram, place(offset_of!(GuestReport, vcpu_area))).unwrap_or(0);
        let answer = match self.start(&mut state, area) {
            Ok(number) => i32::try_from(number).unwrap_or(0),
            Err(refusal) => {
                if refusal.is_of_host() {
                    state.refused += 1;
                    state.refusal.get_or_insert_with(|| describe(&refusal));
                }
                -i32::from(refusal.errno().number())
            }
        };
        // The report is RAM.
        let _ = write_bytes(ram, place(offset_of!(GuestReport, vcpu_answer)), &answer.to_le_bytes());
    }

    /// Serves `StartService`, once, if it is wanted. There is no answer: without the vCPU, what the host wants is not done, which whoever wants
    /// it notices.
    pub fn start_service(self: &Arc<Self>) {
        let mut state = self.lock();
        if state.has_service || !self.parts.service.is_wanted() {
            return;
        }
        match self.start_at(&mut state, SERVICE_AREA) {
            Ok(_) => state.has_service = true,
            Err(refusal) => {
                state.refusal.get_or_insert_with(|| describe(&refusal));
            }
        }
    }

    /// What the host wants of the guest.
    pub fn service(&self) -> &Service {
        &self.parts.service
    }

    /// Wants something of the guest.
    pub fn want(&self, wish: Wish) {
        self.parts.service.want(wish, &self.parts.ram, &self.parts.vm);
    }

    fn start(self: &Arc<Self>, state: &mut State, area: u64) -> Result<u32, Refusal> {
        let of_guest = u32::try_from(state.threads.len()).unwrap_or(u32::MAX) - u32::from(state.has_service);
        if of_guest >= self.parts.limit {
            return Err(Refusal::Limit);
        }
        if !self.is_free(area) || state.areas.contains(&area) {
            return Err(Refusal::Area(area));
        }
        let number = self.start_at(state, area)?;
        if of_guest >= self.parts.cpus {
            let when = self.parts.when_crowded.lock().unwrap_or_else(PoisonError::into_inner).take();
            if let Some(WhenCrowded(call)) = when {
                call();
            }
        }
        Ok(number)
    }

    /// Starts a vCPU whose area is at `area`, which is nobody's.
    fn start_at(self: &Arc<Self>, state: &mut State, area: u64) -> Result<u32, Refusal> {
        let Parts { vm, ram, policy, kernel, privilege, .. } = &self.parts;
        let number = u32::try_from(state.threads.len()).unwrap_or(u32::MAX);
        if self.is_ending.load(Ordering::Acquire) {
            return Err(Refusal::Ending);
        }
        let vcpu = match state.spare.take() {
            Some(vcpu) => vcpu,
            None => vm.create_vcpu(number)?,
        };
        let is_written = tables::write_vcpu_area(ram, area, number, *privilege);
        let prepared = is_written
            .map_err(|_| Refusal::Area(area))
            .and_then(|()| policy.identify(&vcpu).map_err(Refusal::Kvm))
            .and_then(|()| policy.apply(&vcpu, area, kernel, kernel.secondary_entry).map_err(Refusal::Kvm));
        if let Err(refusal) = prepared {
            state.spare = Some(vcpu);
            return Err(refusal);
        }
        match self.spawn(number, area, vcpu, || ()) {
            Ok(kicker) => state.threads.push(kicker),
            Err((vcpu, error)) => {
                state.spare = vcpu;
                return Err(Refusal::Thread(error));
            }
        }
        state.areas.insert(area);
        Ok(number)
    }

    /// Whether an area at `area` is RAM that the guest got to do with as it likes.
    fn is_free(&self, area: u64) -> bool {
        let length = usize::try_from(VCPU_AREA_SIZE).unwrap_or(usize::MAX);
        area.is_multiple_of(VCPU_AREA_SIZE)
            && area >= self.parts.free_start
            && self.parts.ram.check_range(GuestAddress(area), length)
    }

    /// A thread that calls `before` and runs the vCPU; gives the vCPU back if there is none.
    fn spawn(
        self: &Arc<Self>,
        number: u32,
        area: u64,
        vcpu: Vcpu,
        before: impl FnOnce() + Send + 'static,
    ) -> Result<Kicker<Account>, (Option<Vcpu>, io::Error)> {
        let vcpus = Arc::clone(self);
        vcpu_thread::spawn(number, vcpu, self.ended.clone(), move |vcpu| {
            before();
            let stop = vcpu.stop_flag();
            run_loop::run(vcpu, &mut Commands { vcpus, name: ThreadName::new(number, area), stop })
        })
    }

    /// Interrupts all of them once; they go on.
    pub fn interrupt_all(&self) {
        self.lock().threads.iter().for_each(Kicker::interrupt);
    }

    /// Ends all threads. Nobody gets a vCPU from here on.
    pub fn stop_all(&self) -> Total {
        self.is_ending.store(true, Ordering::Release);
        let mut state = std::mem::take(&mut *self.lock());
        let mut total = Total {
            count: u64::try_from(state.threads.len()).unwrap_or(0),
            refused: state.refused,
            refusal: state.refusal.take(),
            ..Total::default()
        };
        for result in stop_all(state.threads) {
            match result {
                Ok(account) => total.account.add(account),
                Err(_) => total.has_panicked = true,
            }
        }
        total
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A refusal with its causes.
fn describe(refusal: &Refusal) -> String {
    let mut text = refusal.to_string();
    let mut cause = std::error::Error::source(refusal);
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
#[path = "vcpus_tests.rs"]
mod tests;
