//! Which of standard input, output and error were open when this process was executed.
//!
//! The standard library opens `/dev/null` in the place of a closed one before `main`, so that a file opened later
//! does not become standard output by accident. That is right for Septum itself, but the program in the partition
//! must find closed what its caller closed. So the question is asked before the standard library acts, from a
//! function that the dynamic loader calls first.
#![allow(unsafe_code, reason = "a function that runs before main")]

use std::sync::atomic::{AtomicU8, Ordering};

/// Bit N: descriptor N was open.
static OPEN: AtomicU8 = AtomicU8::new(0b111);

extern "C" fn look() {
    let mut open = 0;
    for descriptor in 0..3 {
        // SAFETY:
        // 1. F_GETFD takes no pointer and changes nothing, whatever the descriptor is.
        // 2. It needs no initialized runtime: only errno, which the loader has set up before it calls initializers.
        if unsafe { libc::fcntl(descriptor, libc::F_GETFD) } >= 0 {
            open |= 1 << descriptor;
        }
    }
    OPEN.store(open, Ordering::Relaxed);
}

// SAFETY:
// 1. The section holds pointers to functions that take no needed argument and return nothing; this is one.
// 2. The function only reads descriptors and stores to an atomic: no order among initializers matters.
#[used]
#[unsafe(link_section = ".init_array")]
static BEFORE_MAIN: extern "C" fn() = look;

/// Whether standard input, output and error were open when this process was executed.
#[must_use]
pub fn standard_streams_open() -> [bool; 3] {
    let open = OPEN.load(Ordering::Relaxed);
    [0, 1, 2].map(|descriptor| open & (1 << descriptor) != 0)
}
