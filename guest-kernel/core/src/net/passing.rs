//! What goes with a message besides its bytes: open files (SCM_RIGHTS) and who sent it (SCM_CREDENTIALS).
//!
//! A file on its way is held by the queue that it is in. A socket may be on its way in a queue of its own, so that nobody can ever
//! receive it; such circles are [collected](super::circles). There are never more files on their way than one process may
//! have open: one more is ETOOMANYREFS, as on Linux.
//!
//! Closing the last reference to a socket closes what is in its queue, and so on. [`bury`] does that in a loop instead of calls in calls, which
//! the program could make deeper than the kernel's stack is.

use super::circles;
use crate::fs::descriptors::OpenFile;
use crate::process::vcpus::current_task;
use alloc::sync::Arc;
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// Most files in one message (SCM_MAX_FD).
pub const MOST_FILES: usize = 253;
/// Most files on their way.
const MOST_ON_THE_WAY: usize = 1024;

/// `struct ucred`: who sent a message.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Process.
    pub pid: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

impl Credentials {
    /// Those of the thread that runs here.
    #[must_use]
    pub fn current() -> Self {
        let Some(task) = current_task() else { return Self { pid: 1, uid: 0, gid: 0 } };
        let fs = task.process.fs.lock();
        Self { pid: task.process.pid, uid: fs.uid, gid: fs.gid }
    }
}

/// Files on their way.
#[derive(Default)]
pub struct Passed(Vec<Arc<OpenFile>>);

impl core::fmt::Debug for Passed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "{} files", self.0.len())
    }
}

impl Passed {
    /// Sends them off. ETOOMANYREFS if there are too many on their way.
    pub fn new(files: Vec<Arc<OpenFile>>) -> Result<Self, Errno> {
        if circles::set_off(&files) > MOST_ON_THE_WAY {
            circles::collect();
        }
        let passed = Self(files);
        if circles::on_the_way() > MOST_ON_THE_WAY { Err(Errno::ETOOMANYREFS) } else { Ok(passed) }
    }

    /// They have arrived.
    #[must_use]
    pub fn arrive(mut self) -> Vec<Arc<OpenFile>> {
        circles::arrived(&self.0);
        core::mem::take(&mut self.0)
    }

    /// Shows them.
    pub fn each(&self, each: &mut dyn FnMut(&Arc<OpenFile>)) {
        self.0.iter().for_each(each);
    }

    /// They were looked at, and stay on their way.
    #[must_use]
    pub fn look(&self) -> Vec<Arc<OpenFile>> {
        self.0.clone()
    }
}

impl Drop for Passed {
    fn drop(&mut self) {
        circles::arrived(&self.0);
        bury(core::mem::take(&mut self.0));
    }
}

#[derive(Default)]
struct Graves {
    files: Vec<Arc<OpenFile>>,
    is_someone_digging: bool,
}

static GRAVES: Mutex<Graves> = Mutex::new(Graves { files: Vec::new(), is_someone_digging: false });

/// Closes files that nobody received.
pub(super) fn bury(mut files: Vec<Arc<OpenFile>>) {
    if files.is_empty() {
        return;
    }
    let mut graves = GRAVES.lock();
    graves.files.append(&mut files);
    if graves.is_someone_digging {
        return;
    }
    graves.is_someone_digging = true;
    while let Some(file) = graves.files.pop() {
        drop(graves);
        drop(file);
        graves = GRAVES.lock();
    }
    graves.is_someone_digging = false;
}
