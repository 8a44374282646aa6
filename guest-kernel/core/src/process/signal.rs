//! Signals: what is to be done about each, which wait, and how one reaches its handler.
//!
//! A signal frame is laid out as Linux does (`struct rt_sigframe`, with the extended state above it), because unwinders and
//! handlers that change the context depend on it:
//!
//! ```text
//! rsp ->  return address (sa_restorer)       8
//!         ucontext: flags, link, stack, mcontext, mask   304
//!         siginfo                                        128
//!         padding to 64
//!         extended state (XSAVE format)      EXTENDED_SIZE
//! ```
//!
//! The kernel has no business with the extended state: code in the vDSO saves it before it jumps to the handler, and
//! restores it after `rt_sigreturn`, both in user mode. So a signal costs two more jumps and one more system call, and the kernel needs
//! neither XSAVE nor to know how large the state is beyond the room it leaves.

use super::Process;
use super::posix_timer;
use super::thread::Thread;
use crate::memory::buffer;
use alloc::collections::VecDeque;
use alloc::vec::Vec;
use septum_abi::layout::{USER_END, VDSO_SIGNAL_ENTRY, VDSO_SIGNAL_RETURN};
use septum_abi::linux::{Errno, signal as number};
use septum_guest_hal::user::{FORCED_FLAGS, Registers, USER_FLAGS};

/// SA_* flags that have an effect here.
pub mod flag {
    /// SIGCHLD: not for stops.
    pub const NOCLDSTOP: u64 = 1;
    /// SIGCHLD: children do not become zombies.
    pub const NOCLDWAIT: u64 = 2;
    /// The handler wants `siginfo`; it gets it in any case.
    pub const SIGINFO: u64 = 4;
    /// On the alternate stack.
    pub const ONSTACK: u64 = 0x0800_0000;
    /// Interrupted calls are made again.
    pub const RESTART: u64 = 0x1000_0000;
    /// The signal is not blocked in its own handler.
    pub const NODEFER: u64 = 0x4000_0000;
    /// Back to the default when it is delivered.
    pub const RESETHAND: u64 = 0x8000_0000;
    /// There is a restorer.
    pub const RESTORER: u64 = 0x0400_0000;
}

/// SIG_DFL
pub const DEFAULT: u64 = 0;
/// SIG_IGN
pub const IGNORE: u64 = 1;

/// Room for x87, SSE, AVX and AVX-512 state and the XSAVE header.
const EXTENDED_SIZE: u64 = 2752;
const XSAVE_HEADER: u64 = 512;
/// At the end of the FXSAVE part, for software.
const SOFTWARE_BYTES: usize = 48;
const UCONTEXT_SIZE: usize = 304;
const SIGINFO_SIZE: usize = 128;
/// Below the stack pointer, a function may keep data (System V ABI).
const RED_ZONE: u64 = 128;
/// Queued signals of one number that are kept apart.
pub const MAX_QUEUED: usize = 1024;

/// What to do about a signal (`struct sigaction`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Action {
    /// Address, [`DEFAULT`] or [`IGNORE`].
    pub handler: u64,
    /// SA_*.
    pub flags: u64,
    /// What the handler returns to.
    pub restorer: u64,
    /// Blocked while it runs.
    pub mask: u64,
}

/// The action for every signal; index 0 is signal 1.
#[derive(Clone, Debug)]
pub struct Actions(pub [Action; 64]);

impl Default for Actions {
    fn default() -> Self {
        Self([Action::default(); 64])
    }
}

impl Actions {
    /// For `execve`: handlers are gone, ignored stays ignored.
    pub fn reset_handlers(&mut self) {
        for action in &mut self.0 {
            if action.handler != IGNORE {
                *action = Action::default();
            }
        }
    }
}

/// The bit of a signal in a mask.
#[must_use]
pub const fn bit(signal: u32) -> u64 {
    1 << (signal - 1)
}

/// Signals that stop a process by default.
pub const STOPPING: u64 =
    bit(number::SIGSTOP) | bit(number::SIGTSTP) | bit(number::SIGTTIN) | bit(number::SIGTTOU);

/// Signals that cannot be blocked, caught or ignored.
pub const UNSTOPPABLE: u64 = bit(number::SIGKILL) | bit(number::SIGSTOP);

/// Where a signal comes from: the fields of `siginfo_t` that are used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Info {
    /// Number.
    pub signal: u32,
    /// si_code
    pub code: i32,
    /// si_addr of a fault; else si_pid in the low and si_uid in the high half.
    pub detail: u64,
    /// si_value.
    pub value: u64,
}

impl Info {
    /// Sent by `kill` and the like (SI_USER).
    #[must_use]
    pub fn from_user(signal: u32, pid: u32, uid: u32) -> Self {
        Self { signal, code: 0, detail: u64::from(pid) | u64::from(uid) << 32, value: 0 }
    }

    /// About a child: `code` is CLD_*, `status` its exit code or a signal.
    #[must_use]
    pub fn of_child(signal: u32, code: i32, child: &Process, status: u32) -> Self {
        let value = u64::from(status);
        Self { code, value, ..Self::from_user(signal, child.pid, child.uid()) }
    }

    /// Sent by the kernel (SI_KERNEL).
    #[must_use]
    pub fn from_kernel(signal: u32) -> Self {
        Self { signal, code: 0x80, detail: 0, value: 0 }
    }

    /// `siginfo_t`
    #[must_use]
    pub fn encode(self) -> [u8; SIGINFO_SIZE] {
        let mut bytes = [0; SIGINFO_SIZE];
        bytes[0..4].copy_from_slice(&self.signal.to_le_bytes());
        bytes[8..12].copy_from_slice(&self.code.to_le_bytes());
        bytes[16..24].copy_from_slice(&self.detail.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.value.to_le_bytes());
        bytes
    }
}

/// Signals that wait to be taken.
#[derive(Clone, Debug, Default)]
pub struct Pending {
    set: u64,
    queue: VecDeque<Info>,
}

impl Pending {
    /// The signals, as a mask.
    #[must_use]
    pub fn set(&self) -> u64 {
        self.set
    }

    /// Adds one. Signals below 32 wait at most once each.
    pub fn add(&mut self, info: Info) {
        if info.code == posix_timer::CODE
            && let Some(last) = self.queue.iter_mut().find(|last| posix_timer::is_same(last, &info))
        {
            // One that rings again before it was taken has only rung more often.
            let often = (last.detail >> 32) + 1 + (info.detail >> 32);
            last.detail = last.detail & 0xffff_ffff | often.min(i32::MAX as u64) << 32;
            return;
        }
        let is_known = self.set & bit(info.signal) != 0;
        if (is_known && info.signal < 32) || self.queue.len() >= MAX_QUEUED {
            return;
        }
        self.set |= bit(info.signal);
        self.queue.push_back(info);
        crate::fs::signal::ARRIVALS.wake_all();
    }

    /// How many wait.
    #[must_use]
    pub fn count(&self) -> usize {
        self.queue.len()
    }

    /// Those that wait, in the order in which they came.
    pub fn iter(&self) -> impl Iterator<Item = &Info> {
        self.queue.iter()
    }

    /// Takes the lowest one in `wanted`.
    pub fn take(&mut self, wanted: u64) -> Option<Info> {
        let candidates = self.set & wanted;
        if candidates == 0 {
            return None;
        }
        let signal = candidates.trailing_zeros() + 1;
        let index = self.queue.iter().position(|info| info.signal == signal)?;
        let info = self.queue.remove(index);
        if !self.queue.iter().any(|info| info.signal == signal) {
            self.set &= !bit(signal);
        }
        info
    }

    /// Forgets those in `mask`.
    pub fn discard(&mut self, mask: u64) {
        if self.set & mask != 0 {
            self.set &= !mask;
            self.queue.retain(|info| mask & bit(info.signal) == 0);
        }
    }
}

/// What the default action of a signal is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultAction {
    /// Ends the process.
    Terminate,
    /// Nothing.
    Ignore,
    /// Stops the process.
    Stop,
}

/// The default action (`signal(7)`).
#[must_use]
pub fn default_action(signal: u32) -> DefaultAction {
    match signal {
        number::SIGCHLD | number::SIGURG | number::SIGWINCH | number::SIGCONT => DefaultAction::Ignore,
        number::SIGSTOP | number::SIGTSTP | number::SIGTTIN | number::SIGTTOU => DefaultAction::Stop,
        _ => DefaultAction::Terminate,
    }
}

/// The alternate stack is taken away while a handler runs.
pub const SS_AUTODISARM: u32 = 1 << 31;

/// An alternate signal stack.
#[derive(Clone, Copy, Debug, Default)]
pub struct AlternateStack {
    /// Lowest address.
    pub start: u64,
    /// Bytes; 0 means there is none.
    pub size: u64,
    /// SS_* as the program gave them.
    pub flags: u32,
}

impl AlternateStack {
    /// Whether a stack pointer lies on it.
    #[must_use]
    pub fn holds(&self, pointer: u64) -> bool {
        let is_kept = self.flags & SS_AUTODISARM == 0;
        is_kept && self.size > 0 && pointer > self.start && pointer - self.start <= self.size
    }
}

fn put(bytes: &mut Vec<u8>, words: &[u64]) {
    words.iter().for_each(|word| bytes.extend_from_slice(&word.to_le_bytes()));
}

/// Fields of a saved context.
struct Saved<'a> {
    registers: &'a Registers,
    stack: AlternateStack,
    mask: u64,
    extended: u64,
    fault_address: u64,
}

/// `struct ucontext`
fn encode_context(saved: &Saved<'_>) -> Vec<u8> {
    let r = saved.registers;
    let mut bytes = Vec::with_capacity(UCONTEXT_SIZE);
    // UC_SIGCONTEXT_SS | UC_STRICT_RESTORE_SS
    put(&mut bytes, &[6, 0, saved.stack.start, u64::from(saved.stack.flags), saved.stack.size]);
    put(&mut bytes, &[r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15, r.rdi, r.rsi, r.rbp, r.rbx]);
    put(&mut bytes, &[r.rdx, r.rax, r.rcx, r.rsp, r.rip, r.rflags]);
    put(
        &mut bytes,
        &[r.cs | r.ss << 48, r.error_code, r.vector, saved.mask, saved.fault_address, saved.extended],
    );
    put(&mut bytes, &[0; 8]);
    put(&mut bytes, &[saved.mask]);
    bytes
}

/// Makes `thread` run the handler of `action` next. Err if its stack cannot hold the frame, or there is no memory.
pub fn enter_handler(thread: &Thread, action: &Action, info: Info) -> Result<(), Errno> {
    let mut program = thread.program.borrow_mut();
    let registers = program.registers();
    let vdso = thread.vdso()?;
    let mut state = thread.task.signals.lock();
    let alternate = state.stack;
    let is_on_alternate = alternate.holds(registers.rsp);
    let mut top = registers.rsp.wrapping_sub(RED_ZONE);
    if action.flags & flag::ONSTACK != 0 && alternate.size > 0 && !is_on_alternate {
        top = alternate.start.wrapping_add(alternate.size);
    }
    let extended = top.wrapping_sub(EXTENDED_SIZE) & !63;
    let frame_size = (8 + UCONTEXT_SIZE + SIGINFO_SIZE) as u64;
    let frame = (extended.wrapping_sub(frame_size) & !15).wrapping_sub(8);
    let (context_at, info_at) = (frame + 8, frame + 8 + UCONTEXT_SIZE as u64);
    if frame > USER_END || action.flags & flag::RESTORER == 0 {
        return Err(Errno::EFAULT);
    }
    let mask = state.saved_mask.take().unwrap_or(state.mask);
    let is_fault = info.code > 0 && info.signal != number::SIGCHLD;
    let fault_address = if is_fault { info.detail } else { 0 };
    let context = encode_context(&Saved { registers, stack: alternate, mask, extended, fault_address });
    let mut bytes = Vec::with_capacity(context.len() + 8 + SIGINFO_SIZE);
    put(&mut bytes, &[action.restorer]);
    bytes.extend_from_slice(&context);
    bytes.extend_from_slice(&info.encode());
    let space = &thread.process.space;
    buffer::write(space, frame, &bytes)?;
    // XSAVE leaves the rest of its header alone, and XRSTOR wants it to be zero; so are the bytes before it that Linux uses
    // to tell how large the state is, which says that there is the FXSAVE part alone.
    buffer::write(space, extended + XSAVE_HEADER - SOFTWARE_BYTES as u64, &[0; SOFTWARE_BYTES + 64])?;
    if alternate.flags & SS_AUTODISARM != 0 {
        state.stack = AlternateStack::default();
    }
    state.mask |= action.mask & !UNSTOPPABLE;
    if action.flags & flag::NODEFER == 0 {
        state.mask |= bit(info.signal);
    }
    registers.rip = vdso + VDSO_SIGNAL_ENTRY;
    registers.rsp = frame;
    registers.rdi = u64::from(info.signal);
    registers.rsi = info_at;
    registers.rdx = context_at;
    registers.rax = 0;
    registers.r9 = extended;
    registers.r10 = action.handler;
    registers.rflags &= !0x500;
    registers.vector = 0;
    Ok(())
}

/// `rt_sigreturn`: lets the vDSO restore the extended state first.
pub fn leave_handler(thread: &Thread) -> Result<(), Errno> {
    let mut program = thread.program.borrow_mut();
    let registers = program.registers();
    // The handler's `ret` took the return address; the context is next.
    let mut pointer = [0; 8];
    buffer::read(&thread.process.space, registers.rsp.wrapping_add(CONTEXT_EXTENDED as u64), &mut pointer)?;
    registers.r9 = u64::from_le_bytes(pointer);
    registers.rip = thread.vdso()? + VDSO_SIGNAL_RETURN;
    registers.vector = 0;
    Ok(())
}

/// Offset of the pointer to the extended state in a context.
const CONTEXT_EXTENDED: usize = 40 + 8 * 23;

/// The end of a signal: registers and mask as the context at the stack pointer says.
pub fn restore_context(thread: &Thread) -> Result<(), Errno> {
    let mut program = thread.program.borrow_mut();
    let registers = program.registers();
    let mut bytes = [0; UCONTEXT_SIZE];
    buffer::read(&thread.process.space, registers.rsp, &mut bytes)?;
    let word = |index: usize| u64::from_le_bytes(core::array::from_fn(|at| bytes[index * 8 + at]));
    let mut state = thread.task.signals.lock();
    let stack = AlternateStack { start: word(2), flags: (word(3) & 0xffff_ffff) as u32, size: word(4) };
    state.stack = stack;
    let r = registers;
    [r.r8, r.r9, r.r10, r.r11, r.r12, r.r13, r.r14, r.r15] = core::array::from_fn(|at| word(5 + at));
    [r.rdi, r.rsi, r.rbp, r.rbx, r.rdx, r.rax, r.rcx, r.rsp] = core::array::from_fn(|at| word(13 + at));
    r.rip = word(21);
    r.rflags = word(22) & USER_FLAGS | FORCED_FLAGS;
    r.vector = 0;
    state.mask = word(37) & !UNSTOPPABLE;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn standard_signals_wait_once_and_real_time_signals_queue() {
        let mut pending = Pending::default();
        for value in 0..3 {
            pending.add(Info { value, ..Info::from_kernel(number::SIGUSR1) });
            pending.add(Info { value, ..Info::from_kernel(40) });
        }
        assert_eq!(pending.take(u64::MAX).map(|info| info.value), Some(0));
        assert_eq!(pending.set(), bit(40));
        let values: Vec<u64> = core::iter::from_fn(|| pending.take(bit(40))).map(|info| info.value).collect();
        assert_eq!(values, [0, 1, 2]);
        assert_eq!(pending.set(), 0);
    }

    #[test]
    fn a_blocked_signal_stays() {
        let mut pending = Pending::default();
        pending.add(Info::from_kernel(number::SIGTERM));
        assert_eq!(pending.take(!bit(number::SIGTERM)), None);
        pending.discard(bit(number::SIGTERM));
        assert_eq!(pending.take(u64::MAX), None);
    }

    #[test]
    fn the_context_has_linux_offsets() {
        let registers = Registers { rip: 0x1234, rsp: 0x5678, r8: 8, rflags: 0x202, ..Registers::default() };
        let stack = AlternateStack::default();
        let bytes = encode_context(&Saved {
            registers: &registers,
            stack,
            mask: 9,
            extended: 0xabc,
            fault_address: 0xf00,
        });
        let word = |at: usize| u64::from_le_bytes(core::array::from_fn(|byte| bytes[at + byte]));
        assert_eq!(bytes.len(), UCONTEXT_SIZE);
        // Offsets of REG_R8, REG_RSP, REG_RIP, REG_CR2, fpregs and uc_sigmask in glibc's ucontext_t.
        assert_eq!(
            [word(40), word(160), word(168), word(216), word(224), word(296)],
            [8, 0x5678, 0x1234, 0xf00, 0xabc, 9]
        );
    }
}
