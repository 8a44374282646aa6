//! Sleeping until a socket can do something.
//!
//! Whatever changes a socket wakes its queue; so what said EAGAIN is tried again when the queue was woken since before it was tried. A
//! timeout (SO_RCVTIMEO, SO_SNDTIMEO) is for the whole call; when it is over the call fails with EAGAIN.

use crate::fs::descriptors::OpenFile;
use crate::fs::inode::File as _;
use crate::fs::open::OpenFlags;
use crate::net::Socket;
use crate::wait::{WaitQueue, wait_for_any};
use septum_abi::linux::Errno;
use septum_guest_hal::clock::monotonic_ns;

/// How long a call may wait.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    is_none: bool,
    deadline_ns: Option<u64>,
}

impl Patience {
    /// As the open file's flags, the call's and the socket's options say.
    #[must_use]
    pub fn new(file: &OpenFile, socket: &Socket, is_non_blocking: bool, is_write: bool) -> Self {
        let deadline_ns = socket.patience_ns(is_write).map(|timeout| monotonic_ns().saturating_add(timeout));
        Self { is_none: is_non_blocking || file.flags().contains(OpenFlags::NON_BLOCKING), deadline_ns }
    }

    /// Whether it does not wait at all.
    #[must_use]
    pub fn is_none(self) -> bool {
        self.is_none
    }

    /// Also not longer than until `deadline_ns`.
    #[must_use]
    pub fn until(self, deadline_ns: Option<u64>) -> Self {
        Self { deadline_ns: [self.deadline_ns, deadline_ns].into_iter().flatten().min(), ..self }
    }

    /// Runs `operation` until it says something other than EAGAIN; in between waits until `queue` is woken.
    pub fn keep_trying<T>(
        self,
        queue: &WaitQueue,
        mut operation: impl FnMut() -> Result<T, Errno>,
    ) -> Result<T, Errno> {
        loop {
            let before = queue.generation();
            match operation() {
                Err(Errno::EAGAIN) if !self.is_none => {
                    let was_woken = || (queue.generation() != before).then_some(());
                    if wait_for_any(&[queue], self.deadline_ns, was_woken)?.is_none() {
                        return Err(Errno::EAGAIN);
                    }
                }
                result => return result,
            }
        }
    }
}
