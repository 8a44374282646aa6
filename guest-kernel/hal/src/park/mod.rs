//! Parking a vCPU until another one, a device or its timer wants it, and wanting that of another.
//!
//! Whoever waits says where it can be found (a queue, a table), looks whether it has to wait, and [parks](park); whoever changes what it
//! waits for looks who can be found and [unparks](unpark) it. Between looking and halting nothing is lost: the notification is
//! remembered ([`parker`]), and an interrupt that is pending ends the halt. A park may end without a reason; callers look again.
//!
//! Only vCPUs that have halted or run the program are interrupted; one that runs in the kernel finds the notification when
//! it next wants to do either. Before a vCPU halts it looks for a notification for a moment, if that may pay ([`spin`]).
//!
//! Devices interrupt the first vCPU only. It passes that on to every vCPU that waits [for devices](listen_to_devices); and drivers that know who waits for
//! what may [look](look_when_interrupted) first, and wake only those.

mod atomic {
    pub use core::sync::atomic::{AtomicU32, Ordering};
}
mod parker;
mod spin;

use crate::sync::Once;
use crate::{clock, vcpu};
use alloc::boxed::Box;
use core::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use parker::{HALTED, IN_PROGRAM, NOTIFIED, Parker, RUNNING};
use spin::{Budget, CROWDED_NS, Company};

/// vCPU numbers are below this.
pub const MAX_VCPUS: usize = 1024;

/// What others know of a vCPU, on a cache line of its own.
#[repr(align(64))]
struct Place {
    parker: Parker,
    /// How many of its waits are for devices.
    listens: AtomicU32,
    /// When its timer rings (monotonic clock, ns); 0: it was never set; [`RUNG`]: it may have rung.
    timer_ns: AtomicU64,
    /// How long it looks before it halts.
    budget: Budget,
    /// Whether it is doing so.
    is_looking: AtomicBool,
}

static PLACES: [Place; MAX_VCPUS] = [const {
    Place {
        parker: Parker { state: AtomicU32::new(RUNNING) },
        listens: AtomicU32::new(0),
        timer_ns: AtomicU64::new(0),
        budget: Budget::new(),
        is_looking: AtomicBool::new(false),
    }
}; MAX_VCPUS];

/// By how much a timer may ring before its time, when ticks and nanoseconds were rounded.
const RINGS_EARLY_NS: u64 = 100_000;

/// In a vCPU's `timer_ns`: it was interrupted since it set its timer, and by what is not known.
const RUNG: u64 = 1;

/// vCPUs that wait for devices, so that an interrupt that concerns nobody else costs one load.
static LISTENERS: AtomicU32 = AtomicU32::new(0);
/// One past the highest number of a vCPU that has parked.
static END: AtomicU32 = AtomicU32::new(0);
/// vCPUs that have not halted, or were told not to.
static AWAKE: AtomicU32 = AtomicU32::new(1);

fn place(number: u32) -> &'static Place {
    // Numbers are small; one that is not shares a place, which costs wake-ups without reason.
    &PLACES[number as usize % MAX_VCPUS]
}

/// Numbers of the vCPUs that have parked.
pub(crate) fn known() -> core::ops::Range<u32> {
    0..END.load(Ordering::Acquire).min(MAX_VCPUS as u32)
}

/// Makes this vCPU one of [`known`].
pub(crate) fn make_known(number: u32) {
    if END.load(Ordering::Relaxed) <= number {
        END.fetch_max(number + 1, Ordering::AcqRel);
    }
}

/// A vCPU begins, or (`false`) does not after all.
#[cfg(target_os = "none")]
pub(crate) fn expect_awake(begins: bool) {
    if begins {
        AWAKE.fetch_add(1, Ordering::Relaxed);
    } else {
        AWAKE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Halts this vCPU until it is [unparked](unpark) or interrupted, or `deadline_ns` (monotonic clock) has passed. Returns at once if it was
/// unparked since it last looked. True if it was unparked.
pub fn park(deadline_ns: Option<u64>) -> bool {
    let number = vcpu::current();
    let place = place(number);
    make_known(number);
    let began = clock::monotonic_ns();
    place.is_looking.store(true, Ordering::Relaxed);
    let has_found = looks(number, place, began, deadline_ns);
    place.is_looking.store(false, Ordering::Relaxed);
    if !has_found {
        if !place.parker.leave_kernel(HALTED) {
            return true;
        }
        AWAKE.fetch_sub(1, Ordering::Relaxed);
        if let Some(deadline) = deadline_ns {
            arm(deadline);
        }
        halt::now(deadline_ns);
        forget_timer();
        place.budget.learn(clock::monotonic_ns().saturating_sub(began));
    }
    let state = place.parker.resume();
    if state == HALTED {
        AWAKE.fetch_add(1, Ordering::Relaxed);
    }
    if number == 0 {
        interrupted();
    }
    state == NOTIFIED
}

/// Looks for a moment for what would end a halt. True if it came, or the deadline did.
fn looks(number: u32, place: &Place, began_ns: u64, deadline_ns: Option<u64>) -> bool {
    let end = began_ns.saturating_add(place.budget.ns());
    // Whether it looks in a crowd, from when there is one.
    let mut looks_in_crowd = None;
    loop {
        let is_interrupted = halt::is_interrupted();
        if is_interrupted {
            forget_timer();
        }
        if is_interrupted || place.parker.is_notified() {
            if looks_in_crowd.is_some() {
                place.budget.learn_in_crowd(Some(clock::monotonic_ns().saturating_sub(began_ns)));
            }
            return true;
        }
        let now = clock::monotonic_ns();
        if deadline_ns.is_some_and(|deadline| now >= deadline) {
            return true;
        }
        // Where interrupts are not seen until the halt, whoever may be interrupted by a device must halt.
        let hears_devices = place.listens.load(Ordering::Relaxed) != 0
            || number == 0 && LISTENERS.load(Ordering::Relaxed) != 0;
        if hears_devices && !halt::sees_interrupts() {
            return false;
        }
        match Company::of(AWAKE.load(Ordering::Relaxed), halt::cpus()) {
            Company::None => return false,
            Company::Roomy if now >= end => return false,
            Company::Crowded if !*looks_in_crowd.get_or_insert_with(|| place.budget.looks_in_crowd()) => {
                return false;
            }
            Company::Crowded if now >= began_ns.saturating_add(CROWDED_NS) => {
                place.budget.learn_in_crowd(None);
                return false;
            }
            Company::Roomy | Company::Crowded => core::hint::spin_loop(),
        }
    }
}

/// Ends a vCPU's park or its program's run, or the next one.
pub fn unpark(number: u32) {
    let was = place(number).parker.notify();
    if was == HALTED {
        AWAKE.fetch_add(1, Ordering::Relaxed);
    }
    if matches!(was, HALTED | IN_PROGRAM) {
        vcpu::interrupt(number);
    } else if was == RUNNING && place(number).is_looking.load(Ordering::Relaxed) {
        place(vcpu::current()).budget.encourage();
    }
}

/// Says that this vCPU is about to run the program. False if it was unparked and must look first.
#[must_use]
pub fn enter_program() -> bool {
    place(vcpu::current()).parker.leave_kernel(IN_PROGRAM)
}

/// Says that the program has stopped.
pub fn leave_program() {
    place(vcpu::current()).parker.resume();
}

/// Has this vCPU interrupted at `deadline_ns` (monotonic clock), or earlier.
pub fn arm(deadline_ns: u64) {
    let timer = &place(vcpu::current()).timer_ns;
    let (now, armed) = (clock::monotonic_ns(), timer.load(Ordering::Relaxed));
    // The timer rings once; when it is set for an earlier time, that interrupt makes the waiter set it again. It may ring a
    // little early by this clock, and must not be taken for one that is still to ring then.
    if armed <= now.saturating_add(RINGS_EARLY_NS) || deadline_ns < armed {
        // A timer that cannot be set so far ahead rings before, and the waiter sets it again.
        let ahead = clock::set_deadline_in(deadline_ns.saturating_sub(now));
        timer.store(now.saturating_add(ahead).max(1), Ordering::Relaxed);
    }
}

/// This vCPU was interrupted, maybe by its timer: whoever relies on that sets it again. What an interrupt was cannot be told from the
/// clock: the timer counts by another one, and may ring long before its time if the host's clocks drift apart.
pub fn forget_timer() {
    let timer = &place(vcpu::current()).timer_ns;
    if timer.load(Ordering::Relaxed) != 0 {
        timer.store(RUNG, Ordering::Relaxed);
    }
}

/// Has this vCPU interrupted at `deadline_ns` if it set its timer for something and that has rung, or may have: in the middle of a wait for a lock
/// or a device, maybe, which does not know of the deadline.
pub fn keep_armed(deadline_ns: u64) {
    let armed = place(vcpu::current()).timer_ns.load(Ordering::Relaxed);
    if armed != 0 && armed <= clock::monotonic_ns() {
        arm(deadline_ns);
    }
}

/// This vCPU waits for devices too, until it says otherwise as often.
pub fn listen_to_devices(listens: bool) {
    let number = vcpu::current();
    let count = &place(number).listens;
    make_known(number);
    if listens {
        count.fetch_add(1, Ordering::SeqCst);
        LISTENERS.fetch_add(1, Ordering::SeqCst);
    } else {
        count.fetch_sub(1, Ordering::SeqCst);
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// What looks at a device after an interrupt.
type Look = Box<dyn Fn() + Send + Sync>;

/// How many there may be.
const LOOKS: usize = 16;
static DRIVERS: [Once<Look>; LOOKS] = [const { Once::new() }; LOOKS];
static DRIVER_COUNT: AtomicU32 = AtomicU32::new(0);

/// Has `look` called after each interrupt of a device while somebody [expects](expect_devices) one. It runs on the first vCPU, in the middle of anything
/// that may park: it must not wait for a lock. False if there are too many.
pub fn look_when_interrupted(look: Look) -> bool {
    let number = DRIVER_COUNT.fetch_add(1, Ordering::AcqRel);
    let Some(place) = DRIVERS.get(number as usize) else { return false };
    place.call_once(|| look);
    true
}

/// Somebody waits for a device whose driver [looks](look_when_interrupted), or does not any more.
pub fn expect_devices(expects: bool) {
    if expects {
        LISTENERS.fetch_add(1, Ordering::SeqCst);
    } else {
        LISTENERS.fetch_sub(1, Ordering::SeqCst);
    }
}

/// An interrupt was taken: if this is the vCPU that devices interrupt, those that listen to devices look.
pub fn interrupted() {
    let own = vcpu::current();
    if own != 0 {
        return;
    }
    #[cfg(target_os = "none")]
    crate::service::look();
    if LISTENERS.load(Ordering::SeqCst) == 0 {
        return;
    }
    for look in DRIVERS.iter().map_while(Once::get) {
        look();
    }
    for number in known() {
        if number != own && place(number).listens.load(Ordering::SeqCst) != 0 {
            unpark(number);
        }
    }
}

#[cfg(target_os = "none")]
mod halt {
    use crate::{boot, cpu, single};

    pub fn now(_deadline_ns: Option<u64>) {
        cpu::halt();
    }

    /// Whether interrupts of a vCPU that works in the kernel can be seen.
    pub fn sees_interrupts() -> bool {
        single::is_single()
    }

    /// Whether this vCPU was interrupted since this was last asked.
    pub fn is_interrupted() -> bool {
        single::is_single() && single::acknowledge_pending()
    }

    /// CPUs of the partition.
    pub fn cpus() -> u32 {
        boot::page().cpu_count
    }
}

#[cfg(not(target_os = "none"))]
mod halt {
    //! Tests: a thread of the host sleeps.
    use core::time::Duration;

    pub fn now(deadline_ns: Option<u64>) {
        match deadline_ns {
            None => std::thread::park(),
            Some(deadline) => {
                let left = deadline.saturating_sub(crate::clock::monotonic_ns());
                std::thread::park_timeout(Duration::from_nanos(left));
            }
        }
    }

    pub fn sees_interrupts() -> bool {
        false
    }

    pub fn is_interrupted() -> bool {
        false
    }

    /// None: the host's scheduler knows better, and nobody looks.
    pub fn cpus() -> u32 {
        0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_notification_before_the_halt_ends_it() {
        let own = vcpu::current();
        unpark(own);
        assert!(park(None));
        let deadline = clock::monotonic_ns() + 2_000_000;
        while clock::monotonic_ns() < deadline {
            assert!(!park(Some(deadline)));
        }
    }

    #[test]
    fn a_timer_that_may_have_rung_is_set_again() {
        let armed = || place(vcpu::current()).timer_ns.load(Ordering::Relaxed);
        let later = clock::monotonic_ns() + 60_000_000_000;
        // Whoever was this vCPU before may have left its timer.
        place(vcpu::current()).timer_ns.store(0, Ordering::Relaxed);
        keep_armed(later);
        assert_eq!(armed(), 0, "it was not set for anything");
        arm(later);
        let first = armed();
        arm(later + 1_000_000_000);
        keep_armed(later + 1_000_000_000);
        assert_eq!(armed(), first, "it rings before");
        // Long before its time, the vCPU is interrupted.
        while armed() == first {
            park(Some(clock::monotonic_ns() + 5_000_000));
        }
        keep_armed(later + 1_000_000_000);
        assert!(armed() > first);
    }

    #[test]
    fn a_vcpu_that_was_notified_does_not_enter_the_program() {
        unpark(vcpu::current());
        assert!(!enter_program());
        assert!(enter_program());
        leave_program();
    }

    #[test]
    fn two_vcpus_take_turns() {
        let turns = AtomicU32::new(0);
        let numbers = [AtomicU32::new(u32::MAX), AtomicU32::new(u32::MAX)];
        std::thread::scope(|scope| {
            for side in 0..2u32 {
                let (turns, numbers) = (&turns, &numbers);
                scope.spawn(move || {
                    numbers[side as usize].store(vcpu::current(), Ordering::SeqCst);
                    while numbers[1 - side as usize].load(Ordering::SeqCst) == u32::MAX {
                        std::thread::yield_now();
                    }
                    for round in 0..2000 {
                        while turns.load(Ordering::SeqCst) != round * 2 + side {
                            park(None);
                        }
                        turns.fetch_add(1, Ordering::SeqCst);
                        unpark(numbers[1 - side as usize].load(Ordering::SeqCst));
                    }
                });
            }
        });
        assert_eq!(turns.load(Ordering::SeqCst), 4000);
    }
}
