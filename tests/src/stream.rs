//! One output stream of a running process, collected by a thread of its own.
//!
//! A test may look at what has come so far while more is coming: the bytes are behind a lock, and every arrival wakes
//! whoever waits for it.

use std::io::Read;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Instant;

/// What has come, and whether more may come.
#[derive(Debug, Default)]
struct State {
    bytes: Vec<u8>,
    is_ended: bool,
}

/// The collected bytes of one stream.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    shared: Arc<(Mutex<State>, Condvar)>,
}

impl Stream {
    /// Starts to collect from `pipe`, up to `most` bytes; then the reading end is closed.
    pub fn collect(mut pipe: impl Read + Send + 'static, most: usize) -> Self {
        let stream = Self::default();
        let ours = stream.clone();
        thread::spawn(move || {
            let mut piece = vec![0; 64 * 1024];
            let mut left = most;
            while left > 0 {
                let room = piece.len().min(left);
                match pipe.read(&mut piece[..room]) {
                    Ok(0) | Err(_) => break,
                    Ok(count) => {
                        left -= count;
                        ours.change(|state| state.bytes.extend_from_slice(&piece[..count]));
                    }
                }
            }
            drop(pipe);
            ours.change(|state| state.is_ended = true);
        });
        stream
    }

    /// What has come so far.
    pub fn bytes(&self) -> Vec<u8> {
        self.lock().bytes.clone()
    }

    /// Waits for the end of the stream; false when `deadline` passes first.
    pub fn wait_for_end(&self, deadline: Instant) -> bool {
        self.wait_until(deadline, |state| state.is_ended);
        self.lock().is_ended
    }

    /// Waits until the stream contains `text`; false when it ends without, or `deadline` passes first.
    pub fn wait_for(&self, text: &[u8], deadline: Instant) -> bool {
        let is_there = |state: &State| state.bytes.windows(text.len()).any(|window| window == text);
        self.wait_until(deadline, |state| state.is_ended || is_there(state));
        is_there(&self.lock())
    }

    fn wait_until(&self, deadline: Instant, is_reached: impl Fn(&State) -> bool) {
        let mut state = self.lock();
        while !is_reached(&state) {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            state = self.shared.1.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        change(&mut self.lock());
        self.shared.1.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
