//! What the service vCPU does: what the host wants, one thing after the other.

use septum_abi::linux::signal;
use septum_abi::service::FIRST_SESSION;
use septum_guest_core::process::sessions::{self, program};
use septum_guest_core::process::signal::Info;
use septum_guest_core::process::{FIRST_PID, family};
use septum_guest_hal::service::{self, Line, Wish};
use septum_guest_hal::{log_line, park};

/// From now on the host can have what it wants.
pub fn ready() {
    service::ready(serve);
}

fn serve() -> ! {
    let Some(mut line) = Line::open() else {
        log_line!("no memory for what the host wants");
        loop {
            park::park(None);
        }
    };
    loop {
        match line.next_wish() {
            Wish::Signal(session, number) => send(session, number),
            Wish::Begin(session) => program::begin(session),
            Wish::Ready(session, stream) => sessions::ready(session, stream),
            Wish::Resize(session, [rows, columns]) => sessions::resize(session, rows, columns),
            Wish::HangUp(session) => sessions::hang_up(session),
            Wish::Unknown => {}
        }
    }
}

/// Sends a signal to the first program or that of a session, as the kernel does: nobody in the partition sent it.
fn send(session: u32, number: u32) {
    let leader = if session == FIRST_SESSION { Some(FIRST_PID) } else { sessions::leader(session) };
    if (1..=signal::LAST).contains(&number)
        && let Some(program) = leader.and_then(family::find)
    {
        program.send(Info::from_user(number, 0, 0));
    }
}
