//! Threads on which devices do their work.
//!
//! A [`DeviceThread`] runs one event loop. Devices hand it a [`Subscriber`] through a [`DeviceThreadHandle`]; from
//! then on the subscriber's `init` and `process` run on that thread only. Several devices may share a thread: a
//! subscriber must therefore never wait for the guest, nor for a host descriptor that may stay blocked.
//!
//! ```text
//!   spawn ──► running ──(stop, drop, or a failing epoll)──► ended
//! ```
//!
//! `stop` waits for the subscriber that is at work to return, but not for ever: a file operation of the host can
//! hang (a dead network file system), and the process must be able to end all the same.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use event_manager::{EventManager, MutEventSubscriber, RemoteEndpoint};

/// What a device attaches to a thread.
pub type Subscriber = Box<dyn MutEventSubscriber + Send>;

/// What a device's thread needs. The usual 2 MiB can be one huge page, which the host's kernel fills with zeros at the first touch.
const STACK_BYTES: usize = 512 << 10;

/// How long `stop` waits for the work in progress.
const STOP_LIMIT: Duration = Duration::from_secs(1);

/// A named thread with an event loop; ends when stopped or dropped.
pub struct DeviceThread {
    endpoint: RemoteEndpoint<Subscriber>,
    stop: Arc<AtomicBool>,
    /// Disconnects when the loop has ended.
    ended: Receiver<()>,
    thread: Option<JoinHandle<()>>,
}

impl DeviceThread {
    /// Starts a thread named `name` (the kernel shows 15 bytes of it).
    ///
    /// # Errors
    /// The event loop or the thread could not be made.
    pub fn spawn(name: &str) -> io::Result<Self> {
        Self::spawn_with(name, || {})
    }

    /// As [`spawn`](Self::spawn), running `prepare` on the new thread first: the place for a thread's own sandbox.
    ///
    /// # Errors
    /// The event loop or the thread could not be made.
    pub fn spawn_with(name: &str, prepare: impl FnOnce() + Send + 'static) -> io::Result<Self> {
        let mut manager = EventManager::<Subscriber>::new().map_err(|error| to_io(&error))?;
        let endpoint = manager.remote_endpoint();
        let stop = Arc::new(AtomicBool::new(false));
        let (end, ended) = channel::<()>();
        let should_stop = Arc::clone(&stop);
        let thread = Builder::new().name(name.to_owned()).stack_size(STACK_BYTES).spawn(move || {
            let _ends_with_the_thread = end;
            prepare();
            while !should_stop.load(Ordering::Acquire) {
                if let Err(error) = manager.run() {
                    log::error!("device thread ends: {error}");
                    break;
                }
            }
        })?;
        Ok(Self { endpoint, stop, ended, thread: Some(thread) })
    }

    /// A handle for device constructors.
    #[must_use]
    pub fn handle(&self) -> DeviceThreadHandle {
        DeviceThreadHandle { endpoint: self.endpoint.clone() }
    }

    /// Ends the event loop and drops its subscribers, with the descriptors they own. Waits for at most a second;
    /// after that the thread is left behind for the end of the process.
    pub fn stop(&mut self) {
        let Some(thread) = self.thread.take() else { return };
        self.stop.store(true, Ordering::Release);
        if self.endpoint.kick().is_err() {
            log::warn!("device thread could not be woken");
        }
        match self.ended.recv_timeout(STOP_LIMIT) {
            Err(RecvTimeoutError::Timeout) => {
                log::warn!("device thread is stuck in a host operation; leaving it")
            }
            Ok(()) | Err(RecvTimeoutError::Disconnected) => {
                if thread.join().is_err() {
                    log::error!("device thread panicked");
                }
            }
        }
    }

    /// Whether the event loop still runs. It ends early only by a bug or when epoll fails.
    #[must_use]
    pub fn is_running(&self) -> bool {
        self.thread.as_ref().is_some_and(|thread| !thread.is_finished())
    }
}

impl Drop for DeviceThread {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Attaches subscribers to a [`DeviceThread`].
#[derive(Clone)]
pub struct DeviceThreadHandle {
    endpoint: RemoteEndpoint<Subscriber>,
}

impl DeviceThreadHandle {
    /// Hands `subscriber` over; its `init` runs on the thread soon. Does not wait.
    ///
    /// # Errors
    /// The thread has ended.
    pub fn attach(&self, subscriber: Subscriber) -> io::Result<()> {
        self.endpoint
            .fire(move |operations| {
                operations.add_subscriber(subscriber);
            })
            .map_err(|error| to_io(&error))
    }
}

fn to_io(error: &event_manager::Error) -> io::Error {
    io::Error::other(error.to_string())
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::Sender;

    use event_manager::{EventOps, EventSet, Events};
    use vmm_sys_util::eventfd::{EFD_NONBLOCK, EventFd};

    use super::*;

    struct Echo {
        kick: EventFd,
        seen: Sender<String>,
    }

    impl MutEventSubscriber for Echo {
        fn process(&mut self, _events: Events, _operations: &mut EventOps) {
            self.kick.read().unwrap();
            self.seen.send(std::thread::current().name().unwrap_or_default().to_owned()).unwrap();
        }

        fn init(&mut self, operations: &mut EventOps) {
            operations.add(Events::new(&self.kick, EventSet::IN)).unwrap();
        }
    }

    #[test]
    fn a_subscriber_runs_on_the_named_thread_and_goes_with_it() {
        let mut thread = DeviceThread::spawn("test-devices").unwrap();
        let kick = EventFd::new(EFD_NONBLOCK).unwrap();
        let (seen, names) = channel();
        thread.handle().attach(Box::new(Echo { kick: kick.try_clone().unwrap(), seen })).unwrap();
        kick.write(1).unwrap();
        assert_eq!(names.recv_timeout(Duration::from_secs(10)).unwrap(), "test-devices");
        assert!(thread.is_running());
        thread.stop();
        assert!(!thread.is_running());
        assert!(names.recv().is_err(), "the subscriber was dropped");
        thread.stop();
    }
}
