//! Seeing at once that a supervisor has written: inotify on the folder of records and on those of partitions.
//!
//! A thread reads what the kernel tells; if it cannot, the sweep sees everything a little later.

use std::collections::HashMap;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rustix::fs::inotify::{CreateFlags, Reader, WatchFlags, add_watch, init};
use rustix::io::Errno;
use tokio::sync::mpsc;

/// Bytes of the watching thread's stack.
const STACK: usize = 128 << 10;
/// Notes that wait at most.
const BACKLOG: usize = 1024;

/// See above.
#[derive(Debug)]
pub struct Watch {
    base: PathBuf,
    notifications: Arc<OwnedFd>,
    folder: i32,
    partitions: HashMap<i32, String>,
    notes: mpsc::Receiver<Note>,
}

/// Something happened: in which folder, and to what.
#[derive(Debug)]
struct Note {
    watch: i32,
    name: String,
}

impl Watch {
    /// Watches a folder of partitions' folders.
    pub fn new(base: &Path) -> io::Result<Self> {
        let notifications = Arc::new(init(CreateFlags::CLOEXEC)?);
        let folder = add_watch(&notifications, base, WatchFlags::MOVED_TO | WatchFlags::DELETE)?;
        let (sender, notes) = mpsc::channel(BACKLOG);
        let theirs = Arc::clone(&notifications);
        std::thread::Builder::new()
            .name("watch".to_owned())
            .stack_size(STACK)
            .spawn(move || listen(&theirs, &sender))?;
        Ok(Self { base: base.to_owned(), notifications, folder, partitions: HashMap::new(), notes })
    }

    /// Watches the folder of a partition. If the host allows no more of them, the sweep sees what happens there.
    pub fn add(&mut self, id: &str) {
        let flags = WatchFlags::MOVED_TO | WatchFlags::ONLYDIR;
        // The same folder has the same number.
        if let Ok(number) = add_watch(&self.notifications, self.base.join(id), flags) {
            self.partitions.insert(number, id.to_owned());
        }
    }

    /// Waits for something to happen; returns the partition to which it did.
    pub async fn next(&mut self) -> String {
        loop {
            let Some(note) = self.notes.recv().await else { return std::future::pending().await };
            if note.watch != self.folder {
                if let Some(id) = self.partitions.get(&note.watch) {
                    return id.clone();
                }
            } else if !note.name.is_empty() && !note.name.starts_with('.') {
                if self.base.join(&note.name).exists() {
                    self.add(&note.name);
                } else {
                    self.partitions.retain(|_, id| *id != note.name);
                }
                return note.name;
            }
        }
    }
}

/// Reads until nobody listens.
fn listen(notifications: &OwnedFd, sender: &mpsc::Sender<Note>) {
    let mut space = [MaybeUninit::uninit(); 16 << 10];
    let mut reader = Reader::new(notifications, &mut space);
    loop {
        match reader.next() {
            Ok(event) => {
                let name = event.file_name().and_then(|name| name.to_str().ok()).unwrap_or_default();
                let note = Note { watch: event.wd(), name: name.to_owned() };
                if sender.blocking_send(note).is_err() {
                    return;
                }
            }
            Err(Errno::INTR) => {}
            Err(_) => return,
        }
    }
}
