//! A thread that runs a vCPU, and whose end is heard of.

use crate::mailbox::Mailbox;
use crate::run_loop::{Account, VcpuEnd};
use septum_hypervisor::{Kicker, Vcpu};
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

/// It handles exits and nothing else; there may be a thousand.
const STACK_BYTES: usize = 256 << 10;

/// Starts the thread of vCPU `number`, which is what `run` does with it; how it ended goes to `ended`.
///
/// # Errors
/// The host refused a thread; the vCPU comes back.
pub fn spawn(
    number: u32,
    vcpu: Vcpu,
    ended: Mailbox,
    run: impl FnOnce(Vcpu) -> (VcpuEnd, Account) + Send + 'static,
) -> Result<Kicker<Account>, (Option<Vcpu>, io::Error)> {
    let stop = vcpu.stop_flag();
    // The thread takes the vCPU from here, so that it is not lost where there is no thread.
    let place = Arc::new(Mutex::new(Some(vcpu)));
    let take = |place: &Mutex<Option<Vcpu>>| place.lock().unwrap_or_else(PoisonError::into_inner).take();
    let of_thread = Arc::clone(&place);
    let body = move || {
        let last_word = LastWord(ended);
        let Some(vcpu) = take(&of_thread) else { return Account::default() };
        let (end, account) = run(vcpu);
        last_word.say(end);
        account
    };
    let thread = std::thread::Builder::new().name(format!("vcpu/{number}")).stack_size(STACK_BYTES);
    match thread.spawn(body) {
        Ok(thread) => Ok(Kicker::new(thread, stop)),
        Err(error) => Err((take(&place), error)),
    }
}

/// Makes sure that a thread's end is heard of, even if it panics.
struct LastWord(Mailbox);

impl LastWord {
    fn say(&self, end: VcpuEnd) {
        self.0.tell(end);
    }
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.say(VcpuEnd::Broken("a vCPU's thread panicked".to_owned()));
        }
    }
}
