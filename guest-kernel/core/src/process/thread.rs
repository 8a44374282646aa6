//! A thread's life: its vCPU runs the program until it traps, serves the trap, and goes on.

use super::signal::{
    self, AlternateStack, DEFAULT, DefaultAction, IGNORE, Info, Pending, UNSTOPPABLE, bit, flag,
};
use super::{End, Process};
use crate::memory::area::Label;
use crate::memory::fault::{Access, Fault};
use crate::syscall;
use crate::wait::Halter;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use septum_abi::linux::{Errno, signal as number};
use septum_guest_hal::clock::monotonic_ns;
use septum_guest_hal::log_line;
use septum_guest_hal::sync::Mutex;
use septum_guest_hal::user::{Event, Program, Registers};

/// Signals of a thread.
#[derive(Debug, Default)]
pub struct ThreadSignals {
    /// Blocked.
    pub mask: u64,
    /// The mask to come back to, while a call like `sigsuspend` has set another.
    pub saved_mask: Option<u64>,
    /// Sent to this thread.
    pub pending: Pending,
    /// Alternate stack.
    pub stack: AlternateStack,
}

/// What others may know of a thread.
pub struct Task {
    /// Number.
    pub tid: u32,
    /// What it belongs to.
    pub process: Arc<Process>,
    /// Signals.
    pub signals: Mutex<ThreadSignals>,
}

impl Task {
    /// Whether a signal waits that is not blocked.
    #[must_use]
    pub fn has_signal(&self) -> bool {
        let state = self.signals.lock();
        (state.pending.set() | self.process.pending.lock().set()) & !state.mask != 0
    }

    /// Raises SIGALRM if its time has come, and sets the CPU's timer for the next thing.
    fn check_timer(&self, deadline_ns: Option<u64>) {
        let now = monotonic_ns();
        let (fired, next) = {
            let mut timer = self.process.timer.lock();
            (timer.fire(now), timer.deadline_ns)
        };
        if fired {
            self.send_to_process(Info::from_kernel(number::SIGALRM));
        }
        let next = [Some(next).filter(|next| *next != 0), deadline_ns].into_iter().flatten().min();
        if let Some(next) = next {
            septum_guest_hal::clock::set_deadline_in(next.saturating_sub(now));
        }
    }

    /// Sends a signal to this thread.
    pub fn send(&self, info: Info) {
        if !self.is_discarded(info.signal) {
            self.signals.lock().pending.add(info);
        }
    }

    /// Sends a signal to the process.
    pub fn send_to_process(&self, info: Info) {
        if !self.is_discarded(info.signal) {
            self.process.pending.lock().add(info);
        }
    }

    /// Whether sending it changes nothing: it is ignored and not waited for.
    fn is_discarded(&self, signal: u32) -> bool {
        let handler = self.process.actions.lock().0[signal as usize - 1].handler;
        let is_ignored = handler == IGNORE || (handler == DEFAULT && default_is_nothing(signal));
        is_ignored && self.signals.lock().mask & bit(signal) == 0
    }
}

/// A thread, on its vCPU.
pub struct Thread {
    /// What others may know of it.
    pub task: Arc<Task>,
    /// What it belongs to.
    pub process: Arc<Process>,
    /// Registers.
    pub program: RefCell<Program>,
    /// Set to 0, and waited for as a futex, when the thread ends.
    pub clear_tid: Cell<u64>,
    /// Head of its robust futexes.
    pub robust_list: Cell<u64>,
}

/// What a system call left for the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// Nothing.
    No,
    /// The call with this number was interrupted and may be made again.
    Call(u64),
}

impl Thread {
    /// The first thread of `process`.
    #[must_use]
    pub fn new(process: Arc<Process>, program: Program) -> Self {
        Self {
            task: Arc::new(Task {
                tid: process.pid,
                process: Arc::clone(&process),
                signals: Mutex::default(),
            }),
            process,
            program: RefCell::new(program),
            clear_tid: Cell::new(0),
            robust_list: Cell::new(0),
        }
    }

    /// Runs the program until its process ends.
    pub fn run(&self) -> End {
        *CURRENT.lock() = Some(Arc::clone(&self.task));
        let mut restart = Restart::No;
        loop {
            self.deliver_signals(restart);
            let end = *self.process.end.lock();
            if let Some(end) = end {
                self.process.settle();
                return end;
            }
            let event = self.program.borrow_mut().run();
            restart = Restart::No;
            match event {
                Event::SystemCall => restart = self.system_call(),
                Event::PageFault { address, write, execute, .. } => {
                    let access = match (write, execute) {
                        (true, _) => Access::Write,
                        (_, true) => Access::Execute,
                        _ => Access::Read,
                    };
                    let result = self.process.space.lock().fault(address, access);
                    if let Err(fault) = result {
                        self.fault_signal(fault, address);
                    }
                }
                Event::Exception { vector } => self.exception(vector),
                Event::Interrupt => self.task.check_timer(None),
            }
        }
    }

    /// Makes the program begin at `entry` with an empty set of registers.
    pub fn start_at(&self, entry: u64, stack: u64) {
        let mut program = self.program.borrow_mut();
        program.set_fs_base(0);
        program.set_gs_base(0);
        *program.registers() = Registers { rip: entry, rsp: stack, ..Registers::default() };
    }

    fn system_call(&self) -> Restart {
        let (call, arguments) = {
            let mut program = self.program.borrow_mut();
            let r = program.registers();
            (r.rax, [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9])
        };
        let Some(result) = syscall::call(self, call, arguments) else { return Restart::No };
        let value = match result {
            Ok(value) => value as u64,
            Err(errno) => (-i64::from(errno.number())).cast_unsigned(),
        };
        self.program.borrow_mut().registers().rax = value;
        if result == Err(Errno::EINTR) && syscall::may_restart(call) {
            Restart::Call(call)
        } else {
            Restart::No
        }
    }

    fn fault_signal(&self, fault: Fault, address: u64) {
        let (signal, code) = match fault {
            Fault::NotMapped => (number::SIGSEGV, 1),
            Fault::NotAllowed => (number::SIGSEGV, 2),
            Fault::BeyondFile => (number::SIGBUS, 2),
            Fault::OutOfMemory => return self.process.finish(End::OutOfMemory),
        };
        if self.process.actions.lock().0[signal as usize - 1].handler == DEFAULT {
            let rip = self.program.borrow_mut().registers().rip;
            log_line!("{} at {rip:#x}: {fault:?}, address {address:#x}", number::name(signal));
        }
        self.force(Info { signal, code, detail: address, value: 0 });
    }

    fn exception(&self, vector: u8) {
        let rip = self.program.borrow_mut().registers().rip;
        // si_code as Linux gives it: FPE_INTDIV, TRAP_TRACE, ILL_ILLOPN, BUS_ADRALN, FPE_FLTINV …
        let (signal, code) = match vector {
            0 => (number::SIGFPE, 1),
            1 => (number::SIGTRAP, 2),
            3 => (number::SIGTRAP, 0x80),
            4 | 5 | 13 | 12 | 11 => (number::SIGSEGV, 0x80),
            6 => (number::SIGILL, 2),
            16 | 19 => (number::SIGFPE, 7),
            17 => (number::SIGBUS, 1),
            _ => (number::SIGSEGV, 0x80),
        };
        let detail = if code == 0x80 { 0 } else { rip };
        self.force(Info { signal, code, detail, value: 0 });
    }

    /// A signal that the program itself caused: if it is blocked or ignored, it kills.
    fn force(&self, info: Info) {
        let mut state = self.task.signals.lock();
        let action = &mut self.process.actions.lock().0[info.signal as usize - 1];
        if state.mask & bit(info.signal) != 0 || action.handler == IGNORE {
            action.handler = DEFAULT;
            state.mask &= !bit(info.signal);
        }
        state.pending.add(info);
    }

    /// Whether a signal waits that is not blocked.
    #[must_use]
    pub fn has_signal(&self) -> bool {
        self.task.has_signal()
    }

    /// Takes a waiting signal in `wanted`.
    pub fn take_signal(&self, wanted: u64) -> Option<Info> {
        let own = self.task.signals.lock().pending.take(wanted);
        own.or_else(|| self.process.pending.lock().take(wanted))
    }

    fn deliver_signals(&self, mut restart: Restart) {
        while self.has_signal() {
            let mask = self.task.signals.lock().mask;
            let Some(info) = self.take_signal(!mask) else { break };
            let action = self.process.actions.lock().0[info.signal as usize - 1];
            match action.handler {
                IGNORE => {}
                DEFAULT => match signal::default_action(info.signal) {
                    DefaultAction::Terminate => return self.process.finish(End::Killed(info.signal)),
                    DefaultAction::Ignore | DefaultAction::Stop => {}
                },
                _ => {
                    if let Restart::Call(call) = restart {
                        if action.flags & flag::RESTART != 0 {
                            self.rewind(call);
                        }
                        restart = Restart::No;
                    }
                    if action.flags & flag::RESETHAND != 0 {
                        self.process.actions.lock().0[info.signal as usize - 1].handler = DEFAULT;
                    }
                    if signal::enter_handler(self, &action, info).is_err() {
                        return self.process.finish(End::Killed(number::SIGSEGV));
                    }
                }
            }
        }
        // Interrupted by something that had no handler: the call goes on.
        if let Restart::Call(call) = restart {
            self.rewind(call);
        }
        let saved = self.task.signals.lock().saved_mask.take();
        if let Some(mask) = saved {
            self.task.signals.lock().mask = mask & !UNSTOPPABLE;
        }
    }

    /// Makes the system call again: `syscall` is two bytes long.
    fn rewind(&self, call: u64) {
        let mut program = self.program.borrow_mut();
        let registers = program.registers();
        registers.rip = registers.rip.wrapping_sub(2);
        registers.rax = call;
        registers.vector = 0;
    }

    /// Where the vDSO is mapped; 0 if nowhere.
    #[must_use]
    pub fn vdso(&self) -> u64 {
        let space = self.process.space.lock();
        space.areas().find(|area| area.label == Label::Vdso).map_or(0, |area| area.start)
    }
}

fn default_is_nothing(signal: u32) -> bool {
    signal::default_action(signal) == DefaultAction::Ignore
}

/// The task of the only vCPU there is.
static CURRENT: Mutex<Option<Arc<Task>>> = Mutex::new(None);

/// Halting for the thread of the only vCPU there is.
pub struct ThreadHalter {
    halt: fn(),
}

impl ThreadHalter {
    /// With the machine's way to halt.
    #[must_use]
    pub const fn new(halt: fn()) -> Self {
        Self { halt }
    }
}

impl Halter for ThreadHalter {
    fn cpu(&self) -> u32 {
        0
    }

    fn halt(&self, deadline_ns: Option<u64>) -> Result<(), Errno> {
        let task = CURRENT.lock().clone();
        let Some(task) = task else {
            (self.halt)();
            return Ok(());
        };
        task.check_timer(deadline_ns);
        if task.has_signal() {
            return Err(Errno::EINTR);
        }
        (self.halt)();
        task.check_timer(deadline_ns);
        if task.has_signal() { Err(Errno::EINTR) } else { Ok(()) }
    }

    fn wake(&self, _cpu: u32) {}
}
