//! A thread's life: its vCPU runs the program until it traps, serves the trap, and goes on.

use super::signal::{self, DEFAULT, DefaultAction, IGNORE, Info, UNSTOPPABLE, bit, flag};
use super::stop::code;
use super::task::Task;
use super::{End, FIRST_PID, Process, ending, load, trace, vcpus};
use crate::memory::area::Label;
use crate::memory::buffer;
use crate::memory::call_sites::{self, Around};
use crate::memory::fault::{self, Access, Fault};
use crate::memory::lost;
use crate::syscall;
use crate::syscall::futex::robust;
use alloc::sync::Arc;
use core::cell::{Cell, RefCell};
use septum_abi::layout::{LOST_PAGE, SIGNAL_END_CALL, USER_END};
use septum_abi::linux::{Errno, signal as number};
use septum_guest_hal::float::FloatState;
use septum_guest_hal::trampoline::{self, Site, Way};
use septum_guest_hal::user::{Event, Program, Registers};
use septum_guest_hal::{log_line, park, vcpu};

/// A thread that is to begin on another vCPU.
pub struct Start {
    /// The thread.
    pub task: Arc<Task>,
    /// Its registers.
    pub registers: Registers,
    /// Base of FS: its thread pointer.
    pub fs_base: u64,
    /// Base of GS.
    pub gs_base: u64,
    /// Its x87 and SSE registers, with their control words.
    pub float: FloatState,
    /// What is cleared when it ends, or 0.
    pub clear_tid: u64,
    /// What its number is written to when it begins, or 0.
    pub set_tid: u64,
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
    /// What its number is written to when it begins, or 0.
    set_tid: Cell<u64>,
    /// It has called `exit`.
    is_over: Cell<bool>,
    /// Its vCPU may be given the next thread.
    has_offered: Cell<bool>,
}

/// What a system call left for the way back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Restart {
    /// Nothing.
    No,
    /// The call with this number was interrupted and may be made again.
    Call(u64),
    /// The same, and it is whatever handler runs.
    Always(u64),
}

impl Thread {
    /// The first thread of `process`, on this vCPU.
    #[must_use]
    pub fn new(process: Arc<Process>, program: Program) -> Self {
        let name = process.image.lock().name.clone();
        let task = Arc::new(Task::new(&process, process.pid, name));
        task.set_vcpu(vcpu::current());
        // The first one is always let in.
        let _ = process.add_thread(Arc::clone(&task));
        Self::of_task(task, program, 0, 0)
    }

    /// Another thread, on this vCPU.
    #[must_use]
    pub fn begin(start: Start, mut program: Program) -> Self {
        program.set_fs_base(start.fs_base);
        program.set_gs_base(start.gs_base);
        *program.registers() = start.registers;
        vcpus::change_program(start.task.process.program());
        start.float.load();
        Self::of_task(start.task, program, start.clear_tid, start.set_tid)
    }

    fn of_task(task: Arc<Task>, program: Program, clear_tid: u64, set_tid: u64) -> Self {
        Self {
            process: Arc::clone(&task.process),
            task,
            program: RefCell::new(program),
            clear_tid: Cell::new(clear_tid),
            set_tid: Cell::new(set_tid),
            is_over: Cell::new(false),
            has_offered: Cell::new(false),
        }
    }

    /// Has its vCPU serve the next thread that is launched, once this one has left. Before anybody learns that it ends: whoever waits for
    /// it and makes another should not need another vCPU.
    pub(super) fn offer_vcpu(&self) {
        if !self.has_offered.replace(true) {
            vcpus::offer();
        }
    }

    /// Its vCPU's program, for the next thread.
    #[must_use]
    pub fn into_program(self) -> Program {
        self.program.into_inner()
    }

    /// Runs the program until the thread ends. If the process ended with it, says how.
    pub fn run(&self) -> Option<End> {
        vcpus::set_current_task(Some(Arc::clone(&self.task)));
        vcpu::rename(&self.task.name.lock(), vcpu::current() > 0);
        self.process.space.lock().activate();
        if self.set_tid.get() != 0 {
            // As on Linux, nobody hears of it if that is no place to write to.
            let _ = buffer::write(&self.process.space, self.set_tid.get(), &self.task.tid().to_le_bytes());
        }
        self.process.keep_timers_of_new_thread();
        let mut restart = Restart::No;
        loop {
            self.process.check_timers();
            self.process.halt_while_stopped(&self.task);
            if self.task.trace.is_on() {
                self.stop_if_interrupted();
            }
            self.deliver_signals(restart);
            restart = Restart::No;
            if self.is_over.get() || self.process.must_leave(&self.task) {
                return self.leave();
            }
            if !park::enter_program() {
                continue;
            }
            // An interrupt since the look at the timers may have been that of this vCPU's, and a wait for a lock may have taken it.
            self.process.keep_rung_timer();
            let event = self.program.borrow_mut().run();
            park::leave_program();
            match event {
                Event::SystemCall => restart = self.system_call(),
                Event::PageFault { address: LOST_PAGE, .. } => lost::unmap(&self.process.space),
                Event::PageFault { address, write, execute, .. } => {
                    let access = match (write, execute) {
                        (true, _) => Access::Write,
                        (_, true) => Access::Execute,
                        _ => Access::Read,
                    };
                    if let Err(fault) = fault::resolve(&self.process.space, address, access) {
                        self.fault_signal(fault, address);
                    }
                }
                Event::Exception { vector } => restart = self.exception(vector),
                Event::Interrupt => {
                    park::forget_timer();
                    park::interrupted();
                    self.process.keep_timers();
                }
            }
        }
    }

    /// `exit`: this thread ends, the others go on.
    pub fn exit(&self, code: u8) {
        if self.task.tid() == self.process.pid {
            self.process.set_first_code(code);
        }
        self.is_over.set(true);
    }

    /// Lets go of everything. If the partition ends with it, says how.
    fn leave(&self) -> Option<End> {
        let process = &self.process;
        if self.task.trace.is_on() {
            let is_last = process.thread_count() == 1;
            let is_ended = process.end.lock().is_some();
            let code = if is_last { process.first_code() } else { 0 };
            let end = if is_ended { process.end_code() } else { (code::EXITED, u32::from(code)) };
            self.stop_before_end(end);
            trace::thread_ended(&self.task, is_last, end);
        }
        self.leave_memory(|| self.offer_vcpu());
        if process.pid == FIRST_PID {
            return self.leave_first();
        }
        vcpus::set_current_task(None);
        let is_last = process.thread_count() == 1;
        // The next thread on this vCPU is most likely one of the same process, unless that ends.
        if is_last || process.end.lock().is_some() {
            process.space.lock().deactivate();
        }
        if !is_last {
            self.offer_vcpu();
        }
        if process.remove_thread(&self.task) == 0 {
            process.end.lock().get_or_insert(End::Exited(process.first_code()));
            process.conclude(|| self.offer_vcpu());
        } else {
            process.hand_timers_on();
        }
        None
    }

    /// The same for a thread of the first process: the first one that ends the process ends the partition.
    fn leave_first(&self) -> Option<End> {
        let process = &self.process;
        let is_first_to_end = process.end.lock().is_some() && process.begins_to_end();
        vcpus::set_current_task(None);
        // The next thread on this vCPU is most likely one of the same process.
        if !is_first_to_end && process.end.lock().is_some() {
            process.space.lock().deactivate();
        }
        let left = process.remove_thread(&self.task);
        process.hand_timers_on();
        if left == 0 {
            process.end.lock().get_or_insert(End::Exited(process.first_code()));
        }
        if !is_first_to_end && (left > 0 || !process.begins_to_end()) {
            return None;
        }
        process.wait_for_threads();
        ending::end_all_others();
        process.space.lock().write_back(0, USER_END);
        *process.end.lock()
    }

    /// What the thread owes to those that share its memory: locks that it held, and the word that it was to clear. `before` they are told.
    pub fn leave_memory(&self, before: impl FnOnce()) {
        robust::release(self);
        let address = self.clear_tid.replace(0);
        if address != 0 && (self.process.thread_count() > 1 || self.process.space.is_shared()) {
            before();
            syscall::futex::clear_and_wake(self, address);
        }
    }

    /// Makes the program begin at `entry` with an empty set of registers.
    pub fn start_at(&self, entry: u64, stack: u64) {
        let mut program = self.program.borrow_mut();
        program.set_fs_base(0);
        program.set_gs_base(0);
        *program.registers() = Registers { rip: entry, rsp: stack, ..Registers::default() };
        vcpus::change_program(self.process.begin_program());
    }

    fn system_call(&self) -> Restart {
        let (call, arguments, back, site) = {
            let mut program = self.program.borrow_mut();
            let r = program.registers();
            let way = trampoline::taken(r);
            let site = match way {
                Way::Jump(site) | Way::Astray(site) => Some(site),
                Way::Instruction => None,
            };
            // What has to be gone back beyond `syscall` to make it again.
            r.error_code = site.map_or(0, Site::before_call);
            if matches!(way, Way::Astray(_)) {
                // Without memory for that, jumps go on to come in like this.
                let _ = self.process.space.lock().keep_calls();
            }
            (r.rax, [r.rdi, r.rsi, r.rdx, r.r10, r.r8, r.r9], r.rip, site)
        };
        if trampoline::are_of_use() && site.is_none() && call_sites::is_often(self.process.pid, back) {
            self.process.space.lock().replace_call(back, call);
        }
        // What the kernel's own code in the program asks for is nobody's business.
        let is_seen = call != SIGNAL_END_CALL;
        let (call, arguments) = if self.task.trace.is_on() && is_seen {
            let Some(wanted) = self.stop_before_call(call, arguments) else { return Restart::No };
            wanted
        } else {
            (call, arguments)
        };
        let Some(result) = syscall::call(self, call, arguments) else {
            if self.task.trace.is_on()
                && is_seen
                && !self.is_over.get()
                && !self.process.must_leave(&self.task)
            {
                self.stop_behind_call(call, None);
            }
            return Restart::No;
        };
        let value = match result {
            Ok(value) => value as u64,
            Err(errno) => (-i64::from(errno.number())).cast_unsigned(),
        };
        self.program.borrow_mut().registers().rax = value;
        let restart = match result {
            // A stop for the tracer alone disturbs no call.
            Err(Errno::EINTR) if self.task.trace.is_interrupted() && self.task.is_undisturbed() => {
                Restart::Always(call)
            }
            Err(Errno::EINTR) if syscall::must_restart(call, &arguments) => Restart::Always(call),
            Err(Errno::EINTR)
                if syscall::may_restart(call, &arguments)
                    && !syscall::has_time_limit(self, call, &arguments) =>
            {
                Restart::Call(call)
            }
            _ => Restart::No,
        };
        if let Some(site) = site.filter(|_| restart == Restart::No) {
            let mut program = self.program.borrow_mut();
            let registers = program.registers();
            if registers.rip == back {
                site.complete(registers);
            }
        }
        if self.task.trace.is_on() && !self.process.must_leave(&self.task) {
            let shown = match restart {
                Restart::Call(_) => Some(trace::restart::SYSTEM),
                Restart::Always(_) => Some(trace::restart::NO_INTERRUPTION),
                Restart::No if result == Err(Errno::EINTR) => syscall::shown_if_interrupted(call),
                Restart::No => None,
            };
            self.stop_behind_call(call, shown);
        }
        restart
    }

    /// An invalid instruction, where there was another one before a jump was written over it: does what that one would have done.
    fn do_replaced(&self, rip: u64) -> Option<Restart> {
        let Around::Jump(site) = self.process.space.lock().around(rip)? else { return Some(Restart::No) };
        let mut program = self.program.borrow_mut();
        let registers = program.registers();
        if site.before_call() == 0 {
            site.complete(registers);
            return Some(Restart::No);
        }
        registers.rip += Site::CALL;
        (registers.rcx, registers.r11, registers.error_code) = (registers.rip, registers.rflags, 0);
        drop(program);
        Some(self.system_call())
    }

    fn fault_signal(&self, fault: Fault, address: u64) {
        let (signal, code) = match fault {
            Fault::NotMapped => (number::SIGSEGV, 1),
            Fault::NotAllowed => (number::SIGSEGV, 2),
            Fault::BeyondFile => (number::SIGBUS, 2),
            Fault::OutOfMemory => return self.process.finish(End::OutOfMemory),
        };
        self.force(Info { signal, code, detail: address, value: 0 });
    }

    fn exception(&self, vector: u8) -> Restart {
        let rip = self.program.borrow_mut().registers().rip;
        match vector {
            6 if trampoline::are_of_use() => {
                if let Some(restart) = self.do_replaced(rip) {
                    return restart;
                }
            }
            // The jump's address is not aligned, and the program wants to know of such.
            17 => match self.process.space.lock().keep_calls_if_at(rip) {
                Ok(true) => return Restart::No,
                Ok(false) => {}
                Err(_) => {
                    self.process.finish(End::OutOfMemory);
                    return Restart::No;
                }
            },
            // Who steps through code wants to see each instruction; where memory is short, it sees none of the kernel's.
            1 => drop(self.process.space.lock().keep_calls()),
            _ => {}
        }
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
        Restart::No
    }

    /// A signal that the program itself caused: if it is blocked or ignored, it kills. The log says of those that kill where they came from.
    fn force(&self, info: Info) {
        let rip = self.program.borrow_mut().registers().rip;
        let mut state = self.task.signals.lock();
        let action = &mut self.process.actions.lock().0[info.signal as usize - 1];
        if state.mask & bit(info.signal) != 0 || action.handler == IGNORE {
            action.handler = DEFAULT;
            state.mask &= !bit(info.signal);
        }
        if action.handler == DEFAULT {
            log_line!(
                "{} at {rip:#x}: code {}, address {:#x}",
                number::name(info.signal),
                info.code,
                info.detail
            );
        }
        state.pending.add(info);
    }

    /// Whether a signal waits that is not blocked, or it must end.
    #[must_use]
    pub fn is_interrupted(&self) -> bool {
        self.task.is_interrupted()
    }

    /// Takes a waiting signal in `wanted`.
    pub fn take_signal(&self, wanted: u64) -> Option<Info> {
        let own = self.task.signals.lock().pending.take(wanted);
        own.or_else(|| self.process.pending.lock().take(wanted))
    }

    fn deliver_signals(&self, mut restart: Restart) {
        if restart == Restart::No && self.task.is_undisturbed() {
            return;
        }
        while self.task.is_interrupted() {
            let mask = self.task.signals.lock().mask;
            let Some(info) = self.take_signal(!mask) else { break };
            let info = if self.task.trace.is_on() {
                let Some(info) = self.stop_for_signal(info) else { continue };
                info
            } else {
                info
            };
            let action = self.process.actions.lock().0[info.signal as usize - 1];
            match action.handler {
                IGNORE => {}
                DEFAULT => match signal::default_action(info.signal) {
                    DefaultAction::Terminate => return self.process.finish(End::Killed(info.signal)),
                    DefaultAction::Ignore => {}
                    DefaultAction::Stop if !self.process.may_stop(info.signal) => {}
                    DefaultAction::Stop if self.stop_as_group(info.signal) => {}
                    DefaultAction::Stop => {
                        self.process.stop(info.signal);
                        self.process.halt_while_stopped(&self.task);
                    }
                },
                _ => {
                    match core::mem::replace(&mut restart, Restart::No) {
                        Restart::Call(call) if action.flags & flag::RESTART != 0 => self.rewind(call),
                        Restart::Always(call) => self.rewind(call),
                        Restart::Call(_) | Restart::No => {}
                    }
                    if action.flags & flag::RESETHAND != 0 {
                        self.process.actions.lock().0[info.signal as usize - 1].handler = DEFAULT;
                    }
                    if let Err(error) = signal::enter_handler(self, &action, info) {
                        log_line!("the handler of {} cannot run: {error:?}", number::name(info.signal));
                        return self.process.finish(End::Killed(number::SIGSEGV));
                    }
                }
            }
        }
        // Interrupted by something that had no handler: the call goes on.
        if let Restart::Call(call) | Restart::Always(call) = restart {
            self.rewind(call);
        }
        let saved = self.task.signals.lock().saved_mask.take();
        if let Some(mask) = saved {
            self.task.signals.lock().mask = mask & !UNSTOPPABLE;
        }
    }

    /// Makes the system call again: from `syscall`, or from the start of the site whose jump made it.
    fn rewind(&self, call: u64) {
        let mut program = self.program.borrow_mut();
        let registers = program.registers();
        registers.rip = registers.rip.wrapping_sub(Site::CALL + registers.error_code);
        registers.rax = call;
        registers.vector = 0;
    }

    /// Where the vDSO is, which is mapped again if it was unmapped.
    pub fn vdso(&self) -> Result<u64, Errno> {
        let mapped =
            self.process.space.lock().areas().find(|area| area.label == Label::Vdso).map(|area| area.start);
        mapped.map_or_else(|| load::map_vdso_again(&self.process.space, &self.process.machine), Ok)
    }
}
