//! Tracing (`ptrace(2)`): a process that sees another's threads stop, looks at them, and has them go on.
//!
//! ```text
//!                    signal, system call, event, PTRACE_INTERRUPT
//! running ────────────────────────────────────────────────────────► stopped: its registers lie here, the tracer's wait tells of it
//!    ▲                                                                   │
//!    └──────── PTRACE_CONT, SYSCALL, SINGLESTEP, LISTEN, DETACH ─────────┘
//! ```
//!
//! Nobody stops a thread from outside: it stops itself, on its way into or out of a system call or back to the program, writes its registers
//! down, and waits. What the tracer changes it takes over when it goes on. A tracer is a process: any of its threads may ask.
//!
//! Locks: a thread's [`Trace`] alone; no signal is sent under it.

use super::Process;
use super::family;
use super::signal::{IGNORE, Info, flag};
use super::stop::code;
use super::task::Task;
use super::thread::Thread;
use crate::wait::{WaitQueue, wait_in_any_case, wait_to_the_end};
use alloc::sync::{Arc, Weak};
use alloc::vec::Vec;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use septum_abi::linux::{Errno, signal};
use septum_guest_hal::float::FloatState;
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::user::{Registers, USER_FLAGS};

/// PTRACE_O_*
pub mod option {
    /// System calls' stops can be told from signals.
    pub const GOOD: u32 = 1;
    /// What `fork`, `vfork` and `clone` make is traced too.
    pub const FORK: u32 = 1 << 1;
    /// See above.
    pub const VFORK: u32 = 1 << 2;
    /// See above.
    pub const CLONE: u32 = 1 << 3;
    /// A stop at `execve`.
    pub const EXEC: u32 = 1 << 4;
    /// A stop when a `vfork` is over.
    pub const VFORK_DONE: u32 = 1 << 5;
    /// A stop before an end.
    pub const EXIT: u32 = 1 << 6;
    /// Whoever is traced ends with the tracer.
    pub const EXIT_KILL: u32 = 1 << 20;
    /// All that are known.
    pub const ALL: u32 = 0x7f | 1 << 7 | EXIT_KILL | 1 << 21;
}

/// PTRACE_EVENT_*
pub mod event {
    /// A child was made by `fork`.
    pub const FORK: u32 = 1;
    /// By `vfork`.
    pub const VFORK: u32 = 2;
    /// By `clone`.
    pub const CLONE: u32 = 3;
    /// Another program runs.
    pub const EXEC: u32 = 4;
    /// A child made by `vfork` has let go.
    pub const VFORK_DONE: u32 = 5;
    /// It is about to end.
    pub const EXIT: u32 = 6;
    /// It stopped for no signal of its own.
    pub const STOP: u32 = 128;
}

/// Words of `user_regs_struct`, and where some are.
pub const WORDS: usize = 27;
const RAX: usize = 10;
const ORIGINAL_RAX: usize = 15;
const RIP: usize = 16;
const FLAGS: usize = 18;
const RSP: usize = 19;
const FS_BASE: usize = 21;
const GS_BASE: usize = 22;
/// Trap after each instruction.
const TRAP_FLAG: u64 = 1 << 8;
/// What interrupted calls return before they are made again: known to tracers alone (ERESTARTSYS and its like).
pub mod restart {
    /// Made again where the handler allows it.
    pub const SYSTEM: i64 = -512;
    /// Made again in any case.
    pub const NO_INTERRUPTION: i64 = -513;
    /// Made again if there is no handler.
    pub const NO_HANDLER: i64 = -514;
    /// Gone on with if there is no handler.
    pub const BLOCK: i64 = -516;
}

/// A system call at which a thread stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum At {
    /// None.
    #[default]
    Nothing,
    /// Before it: number and arguments.
    Entry(u64, [u64; 6]),
    /// Behind it: what it returns.
    Exit(i64),
}

/// A thread that stands.
#[derive(Clone, Debug)]
pub struct Stopped {
    /// The signal, and above its 8 bits the event.
    pub code: u32,
    /// What the signal says.
    pub info: Info,
    /// `user_regs_struct`
    pub registers: [u64; WORDS],
    /// What it is about.
    pub at: At,
    /// x87 and SSE registers.
    pub float: FloatState,
    is_changed: bool,
    is_told: bool,
}

impl Stopped {
    /// The registers, to be changed.
    pub fn change(&mut self) -> &mut [u64; WORDS] {
        self.is_changed = true;
        &mut self.registers
    }

    /// RIP and RSP.
    #[must_use]
    pub fn place(&self) -> (u64, u64) {
        (self.registers[RIP], self.registers[RSP])
    }
}

/// How a thread goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Until a signal or an event.
    #[default]
    Free,
    /// Or a system call.
    Calls,
    /// Or an instruction.
    Step,
    /// It stays stopped until SIGCONT, and tells then.
    Listen,
}

#[derive(Debug, Default)]
struct State {
    tracer: u32,
    is_seized: bool,
    options: u32,
    mode: Mode,
    message: u64,
    stopped: Option<Stopped>,
    /// It may go on, with this signal.
    resume: Option<u32>,
}

impl State {
    /// ESRCH unless it stands and is `tracer`'s.
    fn check_standing(&self, tracer: u32) -> Result<(), Errno> {
        let is_standing = self.tracer == tracer && self.stopped.is_some() && self.resume.is_none();
        if is_standing { Ok(()) } else { Err(Errno::ESRCH) }
    }
}

/// A thread's tracing.
#[derive(Debug, Default)]
pub struct Trace {
    is_on: AtomicBool,
    /// It is to stop as soon as it can (PTRACE_INTERRUPT).
    is_interrupted: AtomicBool,
    state: Mutex<State>,
    queue: WaitQueue,
}

/// Threads that are traced.
static TRACED: Mutex<Vec<Weak<Task>>> = Mutex::new(Vec::new());
/// How many, and ends that wait to be told: most waits have nothing to look at.
static COUNT: AtomicUsize = AtomicUsize::new(0);

/// An end that a tracer is told of which is not the parent.
#[derive(Clone, Copy, Debug)]
struct Ended {
    tracer: u32,
    tid: u32,
    group: u32,
    uid: u32,
    end: (i32, u32),
}

static ENDED: Mutex<Vec<Ended>> = Mutex::new(Vec::new());

/// What a tracer's wait finds.
#[derive(Clone, Copy, Debug)]
pub struct Report {
    /// The thread.
    pub tid: u32,
    /// Its user.
    pub uid: u32,
    /// CLD_*
    pub code: i32,
    /// Exit code, or signal and event.
    pub status: u32,
}

impl Trace {
    /// Whether somebody traces it.
    #[inline]
    #[must_use]
    pub fn is_on(&self) -> bool {
        self.is_on.load(Ordering::Relaxed)
    }

    /// Whether it is to stop as soon as it can.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.is_on() && self.is_interrupted.load(Ordering::Relaxed)
    }

    /// The tracer, or 0.
    #[must_use]
    pub fn tracer(&self) -> u32 {
        if self.is_on() { self.state.lock().tracer } else { 0 }
    }

    /// Looks at a thread that stands and is `tracer`'s. ESRCH if it is not, or runs.
    pub fn with_stopped<T>(
        &self,
        tracer: u32,
        act: impl FnOnce(&mut Stopped) -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        let mut state = self.state.lock();
        state.check_standing(tracer)?;
        act(state.stopped.as_mut().ok_or(Errno::ESRCH)?)
    }

    /// Has a thread that stands go on. `is_free`: it is not traced any more.
    pub fn resume(
        &self,
        task: &Task,
        tracer: u32,
        mode: Mode,
        with: u32,
        is_free: bool,
    ) -> Result<(), Errno> {
        self.state.lock().check_standing(tracer)?;
        if mode == Mode::Listen && self.is_group_stop() {
            // Before anybody can have it continue.
            task.process.stop(signal::SIGSTOP);
        }
        {
            let mut state = self.state.lock();
            state.check_standing(tracer)?;
            if mode == Mode::Listen
                && state.stopped.as_ref().is_some_and(|stopped| stopped.code >> 8 != event::STOP)
            {
                return Err(Errno::EIO);
            }
            (state.mode, state.resume) = (mode, Some(with));
        }
        if is_free {
            self.end(task);
        }
        self.queue.wake_all();
        Ok(())
    }

    fn is_group_stop(&self) -> bool {
        self.state.lock().stopped.as_ref().is_some_and(|stopped| stopped.code >> 8 == event::STOP)
    }

    /// Nobody traces it any more.
    fn end(&self, task: &Task) {
        let was_on = {
            let mut state = self.state.lock();
            (state.tracer, state.options, state.message, state.mode) = (0, 0, 0, Mode::Free);
            if state.stopped.is_some() && state.resume.is_none() {
                state.resume = Some(0);
            }
            self.is_interrupted.store(false, Ordering::SeqCst);
            self.is_on.swap(false, Ordering::SeqCst)
        };
        if was_on {
            TRACED.lock().retain(|other| !core::ptr::eq(other.as_ptr(), task));
            COUNT.fetch_sub(1, Ordering::SeqCst);
        }
        self.queue.wake_all();
    }

    /// Sets what is traced besides. ESRCH unless it stands and is `tracer`'s.
    pub fn set_options(&self, tracer: u32, options: u32) -> Result<(), Errno> {
        let mut state = self.state.lock();
        state.check_standing(tracer)?;
        state.options = options;
        Ok(())
    }

    /// What the last event was about.
    pub fn message(&self, tracer: u32) -> Result<u64, Errno> {
        let state = self.state.lock();
        state.check_standing(tracer)?;
        Ok(state.message)
    }

    /// Makes a thread stop as soon as it can. EIO unless it was seized.
    pub fn interrupt(&self, task: &Task, tracer: u32) -> Result<(), Errno> {
        {
            let state = self.state.lock();
            if state.tracer != tracer {
                return Err(Errno::ESRCH);
            }
            if !state.is_seized {
                return Err(Errno::EIO);
            }
            if state.stopped.is_none() {
                self.is_interrupted.store(true, Ordering::SeqCst);
            }
        }
        task.alert();
        Ok(())
    }

    fn report(&self, task: &Task, tracer: u32, takes: bool) -> Option<Report> {
        let mut state = self.state.lock();
        if state.tracer != tracer || state.resume.is_some() {
            return None;
        }
        let stopped = state.stopped.as_mut().filter(|stopped| !stopped.is_told)?;
        stopped.is_told = takes;
        Some(Report { tid: task.tid(), uid: 0, code: code::TRAPPED, status: stopped.code })
    }
}

/// Begins to trace a thread. EPERM if it is traced already.
pub fn attach(task: &Arc<Task>, tracer: u32, options: u32, is_seized: bool) -> Result<(), Errno> {
    {
        let mut state = task.trace.state.lock();
        // The kernel, which is a parent too, traces nobody.
        if state.tracer != 0 || tracer == 0 {
            return Err(Errno::EPERM);
        }
        (state.tracer, state.options, state.is_seized, state.mode) = (tracer, options, is_seized, Mode::Free);
        task.trace.is_on.store(true, Ordering::SeqCst);
    }
    TRACED.lock().push(Arc::downgrade(task));
    COUNT.fetch_add(1, Ordering::SeqCst);
    Ok(())
}

fn tracees(tracer: u32) -> Vec<Arc<Task>> {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return Vec::new();
    }
    let all: Vec<Arc<Task>> = TRACED.lock().iter().filter_map(Weak::upgrade).collect();
    all.into_iter().filter(|task| task.trace.state.lock().tracer == tracer).collect()
}

/// Whether `tracer` has anybody to wait for whom `is_meant` (number, group).
#[must_use]
pub fn has_tracees(tracer: u32, is_meant: impl Fn(u32, u32) -> bool) -> bool {
    tracees(tracer).iter().any(|task| is_meant(task.tid(), task.process.kin.group()))
}

/// A stop or an end of which `tracer` has not heard; forgotten if it `takes` it.
pub fn report(tracer: u32, takes: bool, is_meant: impl Fn(u32, u32) -> bool) -> Option<Report> {
    if COUNT.load(Ordering::SeqCst) == 0 {
        return None;
    }
    let stopped = tracees(tracer).into_iter().find_map(|task| {
        if !is_meant(task.tid(), task.process.kin.group()) {
            return None;
        }
        let report = task.trace.report(&task, tracer, takes)?;
        Some(Report { uid: task.process.uid(), ..report })
    });
    if stopped.is_some() {
        return stopped;
    }
    let mut ended = ENDED.lock();
    let at = ended.iter().position(|ended| ended.tracer == tracer && is_meant(ended.tid, ended.group))?;
    let Ended { tid, uid, end: (code, status), .. } = ended[at];
    if takes {
        ended.remove(at);
        COUNT.fetch_sub(1, Ordering::SeqCst);
    }
    Some(Report { tid, uid, code, status })
}

/// A process ends: those that it traced are free, or end too.
pub fn tracer_ended(pid: u32) {
    for task in tracees(pid) {
        if task.trace.state.lock().options & option::EXIT_KILL != 0 {
            task.process.send(Info::from_kernel(signal::SIGKILL));
        }
        task.trace.end(&task);
    }
    let mut ended = ENDED.lock();
    let before = ended.len();
    ended.retain(|ended| ended.tracer != pid);
    COUNT.fetch_sub(before - ended.len(), Ordering::SeqCst);
}

fn tell(tracer: &Process, info: Info) {
    let action = tracer.actions.lock().0[signal::SIGCHLD as usize - 1];
    if action.handler != IGNORE && action.flags & flag::NOCLDSTOP == 0 {
        tracer.send(info);
    }
    tracer.children.wake_all();
}

fn words(registers: &Registers, original_rax: u64, bases: (u64, u64)) -> [u64; WORDS] {
    let r = registers;
    [
        r.r15,
        r.r14,
        r.r13,
        r.r12,
        r.rbp,
        r.rbx,
        r.r11,
        r.r10,
        r.r9,
        r.r8,
        r.rax,
        r.rcx,
        r.rdx,
        r.rsi,
        r.rdi,
        original_rax,
        r.rip,
        0x33,
        r.rflags & !TRAP_FLAG,
        r.rsp,
        0x2b,
        bases.0,
        bases.1,
        0,
        0,
        0,
        0,
    ]
}

fn take_over(registers: &mut Registers, words: &[u64; WORDS]) {
    let to = [
        &mut registers.r15,
        &mut registers.r14,
        &mut registers.r13,
        &mut registers.r12,
        &mut registers.rbp,
        &mut registers.rbx,
        &mut registers.r11,
        &mut registers.r10,
        &mut registers.r9,
        &mut registers.r8,
        &mut registers.rax,
        &mut registers.rcx,
        &mut registers.rdx,
        &mut registers.rsi,
        &mut registers.rdi,
    ];
    for (to, word) in to.into_iter().zip(words) {
        *to = *word;
    }
    registers.rip = words[RIP];
    registers.rsp = words[RSP];
    registers.rflags = words[FLAGS] & USER_FLAGS;
    // Not by the quick way, which expects RCX and R11 to be as a system call leaves them.
    registers.vector = 0;
}

impl Thread {
    /// Stops for the tracer, with `rax` and the number of the system call as it is to see them. Returns the signal that it goes on with, and what RAX
    /// and the number are then, if they were changed; `None` if it must end.
    fn stand(
        &self,
        code: u32,
        info: Info,
        at: At,
        (rax, original): (Option<u64>, u64),
    ) -> Option<(u32, Option<[u64; WORDS]>)> {
        let trace = &self.task.trace;
        let tracer = {
            let mut program = self.program.borrow_mut();
            let bases = (program.fs_base(), program.gs_base());
            let mut registers = words(program.registers(), original, bases);
            registers[RAX] = rax.unwrap_or(registers[RAX]);
            let mut state = trace.state.lock();
            if state.tracer == 0 {
                return Some((info.signal, None));
            }
            state.resume = None;
            state.stopped = Some(Stopped {
                code,
                info,
                registers,
                at,
                float: FloatState::current(),
                is_changed: false,
                is_told: false,
            });
            trace.is_interrupted.store(false, Ordering::SeqCst);
            state.tracer
        };
        match family::find(tracer) {
            Some(tracer) => {
                let status = u64::from(code & 0x7f);
                let from = Info::from_user(signal::SIGCHLD, self.task.tid(), self.process.uid());
                tell(&tracer, Info { code: code::TRAPPED, value: status, ..from });
            }
            None => trace.end(&self.task),
        }
        let look = || {
            let mut state = trace.state.lock();
            let with = state.resume.take()?;
            Some((with, state.stopped.take(), state.mode))
        };
        let resumed = if code >> 8 == event::EXIT {
            Some(wait_in_any_case(&trace.queue, &self.task, look))
        } else {
            wait_to_the_end(&[&trace.queue], &self.task, look)
        };
        let Some((with, stopped, mode)) = resumed else {
            trace.state.lock().stopped = None;
            return None;
        };
        let changed = stopped.filter(|stopped| stopped.is_changed).map(|stopped| stopped.registers);
        let mut program = self.program.borrow_mut();
        if let Some(words) = &changed {
            take_over(program.registers(), words);
            program.set_fs_base(words[FS_BASE]);
            program.set_gs_base(words[GS_BASE]);
        }
        let registers = program.registers();
        if mode == Mode::Step {
            registers.rflags |= TRAP_FLAG;
            registers.vector = 0;
        } else {
            registers.rflags &= !TRAP_FLAG;
        }
        Some((with, changed))
    }

    fn trace_mode(&self) -> (Mode, u32, bool) {
        let state = self.task.trace.state.lock();
        (state.mode, state.options, state.is_seized)
    }

    fn inject(&self, signal: u32) {
        if signal != 0 {
            self.task.send(Info::from_user(signal, self.task.trace.tracer(), self.process.uid()));
        }
    }

    /// Stops before a system call, if it is to. The number and the arguments that it is made with; `None` if the thread must end.
    pub(super) fn stop_before_call(&self, call: u64, arguments: [u64; 6]) -> Option<(u64, [u64; 6])> {
        const NO_SUCH_CALL: u64 = (-38_i64).cast_unsigned();
        let (mode, options, _) = self.trace_mode();
        if mode != Mode::Calls {
            return Some((call, arguments));
        }
        let code = signal::SIGTRAP | if options & option::GOOD != 0 { 0x80 } else { 0 };
        let info = Info { code: code.cast_signed(), ..Info::from_kernel(signal::SIGTRAP) };
        let (with, changed) =
            self.stand(code, info, At::Entry(call, arguments), (Some(NO_SUCH_CALL), call))?;
        self.inject(with);
        Some(changed.map_or((call, arguments), |words| {
            (words[ORIGINAL_RAX], [words[14], words[13], words[12], words[7], words[9], words[8]])
        }))
    }

    /// Stops behind a system call, if it is to; `shown` is what the tracer sees instead of RAX.
    pub(super) fn stop_behind_call(&self, call: u64, shown: Option<i64>) {
        let (mode, options, _) = self.trace_mode();
        if mode != Mode::Calls {
            return;
        }
        let code = signal::SIGTRAP | if options & option::GOOD != 0 { 0x80 } else { 0 };
        let info = Info { code: code.cast_signed(), ..Info::from_kernel(signal::SIGTRAP) };
        let rax = self.program.borrow_mut().registers().rax;
        let result = shown.unwrap_or(rax.cast_signed());
        let stood = self.stand(code, info, At::Exit(result), (Some(result.cast_unsigned()), call));
        if let Some((with, changed)) = stood {
            // What was shown only is not taken over.
            if changed.is_some_and(|words| words[RAX] == result.cast_unsigned()) {
                self.program.borrow_mut().registers().rax = rax;
            }
            self.inject(with);
        }
    }

    /// Stops before a signal takes effect. The signal that does; `None` if none does.
    pub(super) fn stop_for_signal(&self, info: Info) -> Option<Info> {
        let (with, _) = self.stand(info.signal, info, At::Nothing, (None, u64::MAX))?;
        match with {
            0 => None,
            with if with == info.signal => Some(info),
            with => Some(Info::from_user(with, self.task.trace.tracer(), self.process.uid())),
        }
    }

    /// Stops because a signal that stops came through. False if nobody traces it: then it stops as usual.
    pub(super) fn stop_as_group(&self, stop: u32) -> bool {
        if !self.task.trace.is_on() {
            return false;
        }
        let (_, _, is_seized) = self.trace_mode();
        let code = stop | if is_seized { event::STOP << 8 } else { 0 };
        if self.stand(code, Info::from_kernel(stop), At::Nothing, (None, u64::MAX)).is_none() {
            return true;
        }
        self.listen();
        true
    }

    /// Stays stopped until SIGCONT if the tracer said so, and tells then.
    fn listen(&self) {
        if self.task.trace.is_on() && self.trace_mode().0 == Mode::Listen {
            self.process.halt_while_stopped(&self.task);
            self.task.trace.is_interrupted.store(true, Ordering::SeqCst);
        }
    }

    /// Stops if that was asked for (PTRACE_INTERRUPT), or is how it begins.
    pub(super) fn stop_if_interrupted(&self) {
        while self.task.trace.is_interrupted() && !self.process.must_leave(&self.task) {
            let code = signal::SIGTRAP | event::STOP << 8;
            let stood = self.stand(code, Info::from_kernel(signal::SIGTRAP), At::Nothing, (None, u64::MAX));
            if let Some((with, _)) = stood {
                self.inject(if with == signal::SIGTRAP { 0 } else { with });
            }
            self.listen();
        }
    }

    /// Another program runs, which was thread `before`.
    pub fn stop_after_exec(&self, before: u32) {
        if !self.task.trace.is_on() {
            return;
        }
        let (_, options, is_seized) = self.trace_mode();
        if options & option::EXEC != 0 {
            self.stop_for_event(event::EXEC, u64::from(before));
        } else if !is_seized {
            self.task.send(Info::from_user(signal::SIGTRAP, self.process.pid, self.process.uid()));
        }
    }

    /// Traces what the calling thread makes, if that is wanted. Which event tells of it.
    pub fn pass_trace_on(&self, child: &Arc<Task>, event: u32) -> Option<u32> {
        if !self.task.trace.is_on() {
            return None;
        }
        let (tracer, options, is_seized) = {
            let state = self.task.trace.state.lock();
            (state.tracer, state.options, state.is_seized)
        };
        let wanted = [0, option::FORK, option::VFORK, option::CLONE][event as usize & 3];
        if options & wanted == 0 || attach(child, tracer, options, is_seized).is_err() {
            return None;
        }
        if is_seized {
            child.trace.is_interrupted.store(true, Ordering::SeqCst);
        } else {
            child.signals.lock().pending.add(Info::from_user(signal::SIGSTOP, 0, 0));
        }
        Some(event)
    }

    /// Stops because of something that has happened.
    pub fn stop_for_event(&self, event: u32, message: u64) {
        {
            let mut state = self.task.trace.state.lock();
            let wanted = 1 << event;
            if state.tracer == 0 || state.options & wanted == 0 {
                return;
            }
            state.message = message;
        }
        let code = signal::SIGTRAP | event << 8;
        let info = Info { code: code.cast_signed(), ..Info::from_kernel(signal::SIGTRAP) };
        if let Some((with, _)) = self.stand(code, info, At::Nothing, (None, u64::MAX)) {
            self.inject(with);
        }
    }
}

impl Thread {
    /// Stops because the thread is about to end: CLD_* and exit code or signal.
    pub(super) fn stop_before_end(&self, (how, with): (i32, u32)) {
        let status = if how == code::EXITED { with << 8 } else { with };
        self.stop_for_event(event::EXIT, u64::from(status));
    }
}

/// A thread is over. `end`: CLD_* and exit code or signal.
pub fn thread_ended(task: &Task, is_last: bool, end: (i32, u32)) {
    if !task.trace.is_on() {
        return;
    }
    let tracer = task.trace.tracer();
    task.trace.end(task);
    let process = &task.process;
    let mut over = Vec::new();
    if task.tid() != process.pid {
        over.push(task.tid());
    }
    // The process is over with its last thread; a parent hears of it as of any child.
    if is_last && process.kin.parent() != tracer {
        over.push(process.pid);
    }
    let Some(owner) = family::find(tracer) else { return };
    let (group, uid) = (process.kin.group(), process.uid());
    for tid in over {
        ENDED.lock().push(Ended { tracer, tid, group, uid, end });
        COUNT.fetch_add(1, Ordering::SeqCst);
        let info = Info::from_user(signal::SIGCHLD, tid, uid);
        tell(&owner, Info { code: end.0, value: u64::from(end.1), ..info });
    }
}
