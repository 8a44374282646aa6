//! What the thread that waits for a partition's end waits for: the end of a vCPU, or somebody outside who wants it to end.
//!
//! Both are descriptors, so that one thread can wait for both: vCPUs ring an event, and whoever owns the machine gives it
//! something to read requests from.

use crate::outcome::StopReason;
use crate::reading::Reading;
use crate::run_loop::VcpuEnd;
use crate::service::Wish;
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::io::Errno;
use std::io;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

/// What somebody outside wants.
#[derive(Debug)]
pub enum Request {
    /// The end.
    Stop(StopReason),
    /// Something of the guest kernel.
    Wish(Wish),
    /// What is counted so far, for whoever is called with it.
    Look(Look),
}

/// See [`Request::Look`].
pub struct Look(pub Box<dyn FnOnce(Reading) + Send>);

impl std::fmt::Debug for Look {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("Look")
    }
}

/// Where requests come from.
pub struct Requests<'a> {
    /// Readable when there is one, or when there will be no more.
    pub descriptor: BorrowedFd<'a>,
    /// Reads it; `None` if there will be no more.
    pub next: &'a mut dyn FnMut() -> Option<Request>,
}

/// What came.
#[derive(Debug)]
pub enum Message {
    /// A vCPU will not run again.
    Ended(VcpuEnd),
    /// Somebody outside wants the end.
    Stop(StopReason),
}

/// A vCPU's end of the mailbox.
#[derive(Clone, Debug)]
pub struct Mailbox {
    sender: Sender<VcpuEnd>,
    bell: Arc<OwnedFd>,
}

impl Mailbox {
    /// Tells that a vCPU has ended.
    pub fn tell(&self, end: VcpuEnd) {
        // A machine that has ended does not listen any more.
        let _ = self.sender.send(end);
        let _ = rustix::io::write(&*self.bell, &1_u64.to_ne_bytes());
    }
}

/// The waiting thread's end.
#[derive(Debug)]
pub struct Waiting {
    receiver: Receiver<VcpuEnd>,
    bell: Arc<OwnedFd>,
}

/// A new mailbox.
///
/// # Errors
/// The host has no more descriptors.
pub fn mailbox() -> io::Result<(Mailbox, Waiting)> {
    let (sender, receiver) = channel();
    let bell = Arc::new(eventfd(0, EventfdFlags::CLOEXEC)?);
    Ok((Mailbox { sender, bell: Arc::clone(&bell) }, Waiting { receiver, bell }))
}

impl Waiting {
    /// A message that has come already.
    pub fn take(&self) -> Option<VcpuEnd> {
        self.receiver.try_recv().ok()
    }

    /// The next message. `is_bored` is called each time that `patience` passes without one, `grant` with what is wanted of the guest,
    /// `read` when somebody wants to know what is counted.
    pub fn wait(
        &self,
        mut requests: Option<Requests<'_>>,
        patience: Option<Duration>,
        mut is_bored: impl FnMut(),
        mut grant: impl FnMut(Wish),
        read: impl Fn() -> Reading,
    ) -> Message {
        let patience = patience.and_then(|patience| Timespec::try_from(patience).ok());
        loop {
            let mut fds = vec![PollFd::new(&*self.bell, PollFlags::IN)];
            if let Some(requests) = &requests {
                fds.push(PollFd::from_borrowed_fd(requests.descriptor, PollFlags::IN));
            }
            match poll(&mut fds, patience.as_ref()) {
                Ok(0) => is_bored(),
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Message::Ended(VcpuEnd::Broken(format!("cannot wait: {error}"))),
            }
            let has_request = fds.get(1).is_some_and(|fd| !fd.revents().is_empty());
            drop(fds);
            if let Some(end) = self.take() {
                return Message::Ended(end);
            }
            if has_request && let Some(from) = &mut requests {
                match (from.next)() {
                    Some(Request::Stop(reason)) => return Message::Stop(reason),
                    Some(Request::Wish(wish)) => grant(wish),
                    Some(Request::Look(look)) => (look.0)(read()),
                    None => requests = None,
                }
            }
        }
    }
}
