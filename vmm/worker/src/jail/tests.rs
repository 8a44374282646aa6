//! Someone who has taken over a thread: code that runs under a role's filter and tries what the role may not.
//!
//! Each attempt is a process of its own, because it is to end that process.
#![allow(unsafe_code, reason = "forks, and system calls with odd arguments")]

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};

use rustix::process::{Pid, WaitOptions, WaitStatus, waitpid};
use septum_abi::linux::syscall::NAMES;
use septum_api_types::jail::JailChoice;

use super::policy::{BROKER, Call, groups_of};
use super::*;

/// Whose filter it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Who {
    Thread(Role),
    Broker,
}

impl Who {
    /// Puts the filter on this thread.
    fn confine(self) {
        let is_done = match self {
            Self::Thread(role) => {
                Filters::new(&[role], JailChoice::On).map(|filters| filters.confine(role)).is_ok()
            }
            Self::Broker => filter::confine_broker(JailChoice::On).is_ok(),
        };
        if !is_done {
            std::process::abort();
        }
    }

    fn groups(self) -> &'static [&'static [Call]] {
        match self {
            Self::Thread(role) => groups_of(role),
            Self::Broker => BROKER,
        }
    }
}

const ROLES: [Who; 8] = [
    Who::Thread(Role::Main),
    Who::Thread(Role::Vcpu),
    Who::Thread(Role::Files),
    Who::Thread(Role::Streams),
    Who::Thread(Role::Disk),
    Who::Thread(Role::Network),
    Who::Thread(Role::LinuxVcpu),
    Who::Broker,
];
const NETWORK: Who = Who::Thread(Role::Network);
const VCPU: Who = Who::Thread(Role::Vcpu);

/// One attempt at a time: the page of the report is the process's only one.
static TURN: Mutex<()> = Mutex::new(());

/// Status of an attempt that was neither killed nor refused.
const WENT_THROUGH: i32 = 42;

/// `uretprobe` and `uprobe`: recent kernels do not ask filters about these, and refuse them from everywhere but where a probe of the
/// kernel's was set.
const OF_PROBES: [i64; 2] = [335, 336];

/// How a process ends that gets the filter of `role` and then makes this call.
fn attempt(role: Who, number: i64, arguments: [u64; 6]) -> (WaitStatus, Option<Forbidden>) {
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    report::prepare();
    // SAFETY: 1. What follows in the copy takes no lock that another thread of the test might hold: system calls alone, and an
    // allocator that the C library keeps usable across a fork.
    match unsafe { libc::fork() } {
        0 => {
            role.confine();
            let [a, b, c, d, e, f] = arguments;
            // SAFETY: 1. The call is not to be made. 2. If it is, after all, this process has nothing to lose.
            let result = unsafe { libc::syscall(number, a, b, c, d, e, f) };
            // SAFETY: 1. No pointer.
            unsafe { libc::_exit(if result == -1 { *libc::__errno_location() } else { WENT_THROUGH }) }
        }
        pid => {
            let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty()).unwrap().unwrap();
            (status, report::take())
        }
    }
}

/// Killed, and the right call is named.
fn is_killed(role: Who, number: i64, arguments: [u64; 6]) -> bool {
    let (status, told) = attempt(role, number, arguments);
    status.terminating_signal() == Some(libc::SIGSYS)
        && told.is_some_and(|told| told.number == number.unsigned_abs() && told.arguments == arguments[..3])
}

fn numbers_of(role: Who) -> BTreeSet<i64> {
    role.groups().iter().copied().flatten().map(|&(number, _)| number).collect()
}

#[test]
fn every_call_that_a_role_does_not_have_kills() {
    for role in ROLES {
        let allowed = numbers_of(role);
        // Those after the last that has a name here are newer than the policy.
        let newest = NAMES.last().map_or(0, |(number, _)| i64::try_from(*number).unwrap());
        for number in (0..=newest + 64).filter(|number| !allowed.contains(number)) {
            if OF_PROBES.contains(&number) {
                let (status, _) = attempt(role, number, [0; 6]);
                assert_ne!(status.exit_status(), Some(WENT_THROUGH), "{role:?}: {number}");
            } else if number != libc::SYS_clone3 {
                assert!(is_killed(role, number, [0; 6]), "{role:?} can make call {number}");
            }
        }
        // The numbers of the x32 ABI, in which filters have been forgotten before.
        for number in [libc::SYS_read, libc::SYS_execve, 512, 520] {
            assert!(is_killed(role, number | 0x4000_0000, [0; 6]), "{role:?} can make x32 call {number}");
        }
    }
}

#[test]
fn arguments_decide_where_a_call_has_two_faces() {
    let exec = (libc::PROT_READ | libc::PROT_EXEC).cast_unsigned().into();
    let anonymous = (libc::MAP_PRIVATE | libc::MAP_ANONYMOUS).cast_unsigned().into();
    let parent = u64::from(std::process::id());
    let signal = |it: libc::c_int| u64::from(it.cast_unsigned());
    for role in ROLES {
        let killed = |number, arguments| {
            assert!(is_killed(role, number, arguments), "{role:?}: {number} {arguments:?}")
        };
        killed(libc::SYS_mmap, [0, 4096, exec, anonymous, u64::MAX, 0]);
        killed(libc::SYS_mprotect, [0, 4096, exec, 0, 0, 0]);
        // As root of another process could: the test that forked this one.
        killed(libc::SYS_tgkill, [parent, parent, signal(libc::SIGTERM), 0, 0, 0]);
        killed(libc::SYS_prctl, [signal(libc::PR_SET_DUMPABLE), 1, 0, 0, 0, 0]);
        killed(libc::SYS_prctl, [signal(libc::PR_SET_PDEATHSIG), 0, 0, 0, 0, 0]);
        killed(libc::SYS_fcntl, [0, signal(libc::F_SETOWN), 1, 0, 0, 0]);
        killed(libc::SYS_fcntl, [0, signal(libc::F_NOTIFY), 1, 0, 0, 0]);
        // TIOCSTI types at the caller's terminal; KVM_CREATE_VM and KVM_CREATE_DEVICE make more of the host's things.
        for request in [libc::TIOCSTI, 0xae01, 0xc00c_aee0, libc::TIOCLINUX] {
            killed(libc::SYS_ioctl, [0, request, 0, 0, 0, 0]);
        }
        killed(libc::SYS_clone, [signal(libc::SIGCHLD), 0, 0, 0, 0, 0]);
        killed(libc::SYS_clone, [signal(libc::CLONE_NEWUSER | libc::SIGCHLD), 0, 0, 0, 0, 0]);
        if role == Who::Broker {
            continue;
        }
        // To an address, which a datagram socket that is connected to another one takes as well.
        killed(libc::SYS_sendto, [0, 0, 0, 0, 4096, 16]);
        killed(libc::SYS_sendto, [0, 0, 0, 0, 1 << 32, 16]);
    }
    let of_socket = |level: libc::c_int, option: libc::c_int| [0, signal(level), signal(option), 0, 0, 0];
    for (level, option) in [
        (libc::SOL_SOCKET, libc::SO_BINDTODEVICE),
        (libc::SOL_SOCKET, libc::SO_REUSEPORT),
        (libc::IPPROTO_IP, libc::IP_ADD_MEMBERSHIP),
        (libc::IPPROTO_TCP, libc::SO_LINGER),
    ] {
        assert!(is_killed(NETWORK, libc::SYS_setsockopt, of_socket(level, option)), "{level} {option}");
    }
    let (status, _) = attempt(NETWORK, libc::SYS_setsockopt, of_socket(libc::SOL_SOCKET, libc::SO_LINGER));
    assert!(status.exited(), "{status:?}");
}

#[test]
fn clone3_is_not_there_and_threads_are() {
    for role in ROLES {
        let (status, told) = attempt(role, libc::SYS_clone3, [0; 6]);
        assert_eq!((status.exit_status(), told), (Some(libc::ENOSYS), None), "{role:?}");
    }
    let _turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    // SAFETY: 1. As in `attempt`.
    match unsafe { libc::fork() } {
        0 => {
            VCPU.confine();
            let thread = std::thread::Builder::new().name("more".to_owned()).spawn(|| WENT_THROUGH);
            let status = thread.ok().and_then(|thread| thread.join().ok());
            // SAFETY: 1. No pointer.
            unsafe { libc::_exit(status.unwrap_or(1)) }
        }
        pid => {
            let (_, status) = waitpid(Pid::from_raw(pid), WaitOptions::empty()).unwrap().unwrap();
            assert_eq!(status.exit_status(), Some(WENT_THROUGH), "{status:?}");
        }
    }
}

#[test]
fn a_policy_names_no_call_twice() {
    for role in ROLES {
        let calls = role.groups().iter().copied().flatten().count();
        assert_eq!(calls, numbers_of(role).len(), "{role:?}");
    }
}

#[test]
fn the_numbers_that_are_written_down_are_true() {
    let count =
        |roles: &[Who]| roles.iter().flat_map(|&role| numbers_of(role)).collect::<BTreeSet<_>>().len();
    let of_each = ROLES.map(|role| count(&[role]));
    // The roadmap and decision 0047 say these.
    assert_eq!(of_each, [41, 85, 85, 39, 47, 45, 46, 40]);
    assert_eq!([count(&ROLES[..4]), count(&ROLES[..7])], [87, 95]);
}
