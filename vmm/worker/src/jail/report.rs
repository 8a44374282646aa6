//! Which system call a worker was killed for: a page that supervisor and worker share.
//!
//! ```text
//!   supervisor: prepare ─► fork ─► … ─► the worker is gone ─► take
//!   worker:                listen ─► a forbidden call ─► SIGSYS ─► `tell` writes number and arguments ─► killed
//! ```
//!
//! The handler runs with SIGSYS blocked, so the forbidden call that it makes itself kills the process, whatever state that is in. What the
//! page says is the word of somebody who may have been taken over: it is shown to a person, and nothing else is done with it.
#![allow(unsafe_code, reason = "a shared page, and a signal handler that writes to it")]

use std::io;
use std::ptr;
use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};

use rustix::mm::{MapFlags, ProtFlags, mmap_anonymous};

/// What is in the page: the number plus one, and the first three arguments.
#[repr(C)]
struct Page {
    number: AtomicU64,
    arguments: [AtomicU64; 3],
}

static PAGE: AtomicPtr<Page> = AtomicPtr::new(ptr::null_mut());

/// A system call that a filter forbade.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Forbidden {
    pub(crate) number: u64,
    pub(crate) arguments: [u64; 3],
}

impl Forbidden {
    /// `ptrace(0x10, 0x1, 0x0, …)`.
    pub(crate) fn describe(&self) -> String {
        let known = usize::try_from(self.number).ok().and_then(septum_abi::linux::syscall::name);
        let name = known.map_or_else(|| format!("system call {}", self.number), str::to_owned);
        let [first, second, third] = self.arguments;
        format!("{name}({first:#x}, {second:#x}, {third:#x}, …)")
    }
}

/// The supervisor's part, before it forks: an empty page, shared with what is forked from here on. Without one nothing can be told, which is no
/// reason not to go on.
pub(crate) fn prepare() {
    if let Some(page) = page() {
        page.number.store(0, Ordering::Relaxed);
        return;
    }
    // SAFETY: 1. A new mapping, at no address of anybody's. It is never taken away.
    let mapping = unsafe {
        mmap_anonymous(ptr::null_mut(), 4096, ProtFlags::READ | ProtFlags::WRITE, MapFlags::SHARED)
    };
    if let Ok(mapping) = mapping {
        PAGE.store(mapping.cast(), Ordering::Relaxed);
    }
}

/// The supervisor's part, when the worker is gone.
pub(crate) fn take() -> Option<Forbidden> {
    let page = page()?;
    let number = page.number.swap(0, Ordering::Relaxed).checked_sub(1)?;
    Some(Forbidden { number, arguments: page.arguments.each_ref().map(|it| it.load(Ordering::Relaxed)) })
}

fn page() -> Option<&'static Page> {
    // SAFETY:
    // 1. What is not null is a mapping of a page that stays, zeroed at first, which is a valid `Page`, and aligned.
    // 2. Its fields are atomic, whoever writes to them.
    unsafe { PAGE.load(Ordering::Relaxed).as_ref() }
}

/// The worker's part: has SIGSYS tell.
pub(crate) fn listen() -> io::Result<()> {
    // SAFETY:
    // 1. All zeros is a valid `sigaction`: no flags, and an empty mask.
    // 2. `tell` is a handler of three arguments, as SA_SIGINFO promises, and does nothing that a handler may not.
    let result = unsafe {
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = tell as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        libc::sigaction(libc::SIGSYS, &raw const action, ptr::null_mut())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

extern "C" fn tell(_: i32, _: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: 1. The kernel passes a `ucontext_t` of this handler's own to handlers with SA_SIGINFO.
    let registers = unsafe { &(*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let register = |number: i32| registers[number.unsigned_abs() as usize].cast_unsigned();
    if let Some(page) = page() {
        let places = [libc::REG_RDI, libc::REG_RSI, libc::REG_RDX];
        let number = register(libc::REG_RAX).wrapping_add(1);
        // The first one counts.
        if page.number.compare_exchange(0, number, Ordering::Relaxed, Ordering::Relaxed).is_ok() {
            for (place, argument) in places.into_iter().zip(&page.arguments) {
                argument.store(register(place), Ordering::Relaxed);
            }
        }
    }
    // SAFETY:
    // 1. No pointer. It is in no policy, and does nothing where it is allowed (no Linux has it any more).
    // 2. It does not return under a filter: SIGSYS is blocked here, and what cannot be delivered kills. Without one, `abort` does.
    unsafe {
        libc::syscall(libc::SYS_uselib, 0);
        libc::abort();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn calls_are_named() {
        let call = |number| Forbidden { number, arguments: [16, 1, 0] }.describe();
        assert_eq!(call(101), "ptrace(0x10, 0x1, 0x0, …)");
        assert_eq!(call(99_999), "system call 99999(0x10, 0x1, 0x0, …)");
    }

    #[test]
    fn what_is_told_is_taken_once() {
        prepare();
        assert_eq!(take(), None);
        page().unwrap().number.store(60, Ordering::Relaxed);
        assert_eq!(take().unwrap().number, 59);
        assert_eq!(take(), None);
    }
}
