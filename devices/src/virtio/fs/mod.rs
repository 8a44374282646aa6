//! File system device (virtio 1.2 section 5.11): a host directory tree for the guest, spoken to in FUSE.
//!
//! ```text
//! queue 0  high priority: forget, interrupt        (section 5.11.2)
//! queue 1  requests
//!
//!   chain ──► session ──► fuse_backend_rs Server ──► tree ──► PassthroughFs ──► host system calls
//!             reply to     parses requests          identity, inode
//!             everything                            numbers, limits
//! ```
//!
//! The device shares what the host process can see below a root directory, mounts inside included: the machine puts
//! together a mount namespace that holds exactly what the partition may touch, and that is the boundary. This device
//! keeps the guest from leaving the tree, from making files that are not files, and from using other identities than
//! the process's own.
//!
//! File data moves between page cache and guest memory without another copy. Requests are served one at a time:
//!
//! - by the thread of the vCPU that rings the doorbell, if nobody is at it. A program waits for the answer anyway, and finds the data in its
//!   own processor's cache; to wake a thread would take longer than most requests do;
//! - by the device thread, which should belong to this device alone (a host file operation takes as long as it takes), if several vCPUs
//!   ask at once, or if small requests follow each other closely. The thread watches the queue for a moment before it sleeps, so that
//!   those need no doorbell.
//!
//! Shared memory region 0 is a window onto files: SETUPMAPPING maps a part of one there, so that the guest uses the host's
//! page cache itself. The descriptor for it is opened anew, writable only if asked for: a read-only mount refuses.
//!
//! Locks of the guest's programs are taken on the host's files, too, for the guest as a whole.
//!
//! Needs: `/proc` while it is made and, for extended attributes, while it runs; a descriptor for each inode that the
//! guest remembers, so a high `RLIMIT_NOFILE`. It clears the process's umask: the guest's applies.

mod copies;
mod inode_numbers;
mod listing;
mod locks;
mod low_memory;
mod session;
mod tree;
mod window;

use std::io;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use event_manager::{EventOps, EventSet, Events};
use fuse_backend_rs::passthrough;

use self::low_memory::LowMemory;
use self::session::Session;
use self::tree::Tree;
use super::device::{
    ActivateError, ActivationContext, Attachment, Doorkeeper, VirtioDevice, read_config_bytes,
};
use super::device_type;
use super::ring::{Ring, Rings};
use super::worker::{Backend, HOST_EVENTS, Turn, Worker};
use crate::core::{DeviceThreadHandle, FileWindow, MemoryPopulator, Pace, spin_limit};

/// Name under which the guest finds the file system.
pub const TAG: &str = "septum";

/// Queue of forget and interrupt requests.
const HIGH_PRIORITY: usize = 0;
/// Queue of all other requests.
const REQUESTS: usize = 1;
/// Request queues.
const REQUEST_QUEUES: u32 = 1;
/// The largest request, a megabyte in pages with its headers, fits the request queue.
const QUEUE_SIZES: [u16; 2] = [128, 512];
/// Requests served in one turn.
const TURN: usize = 256;
/// So many bytes are work for a program.
const LARGE: u32 = 64 << 10;

/// What the guest may remember of file contents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Cache {
    /// Nothing.
    Never,
    /// What it read since it opened the file: close-to-open consistency.
    #[default]
    Auto,
    /// Everything, for ever: nobody else changes the files.
    Always,
}

/// How to share a directory tree.
#[derive(Clone)]
pub struct FsConfig {
    /// The tree's root on the host.
    pub root: PathBuf,
    /// What the guest may remember of file contents.
    pub cache: Cache,
    /// How long the guest may remember that a name leads to a file.
    pub entry_timeout: Duration,
    /// How long the guest may remember a file's attributes.
    pub attribute_timeout: Duration,
    /// How long to watch for the next request before sleeping.
    pub spin: Duration,
    /// Where files are mapped for the guest, if they are.
    pub window: Option<Arc<dyn FileWindow>>,
    /// Who gives guest memory host memory before the host's own copy has to, page by page.
    pub populator: Option<Arc<dyn MemoryPopulator>>,
}

impl FsConfig {
    /// Shares `root` with settings that stay correct when the host changes files.
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self {
            root: root.into(),
            cache: Cache::Auto,
            entry_timeout: Duration::from_secs(1),
            attribute_timeout: Duration::from_secs(1),
            spin: spin_limit(),
            window: None,
            populator: None,
        }
    }

    fn passthrough(&self) -> io::Result<passthrough::Config> {
        let root_dir = self.root.to_str().filter(|root| !root.contains('\0'));
        let root_dir = root_dir.ok_or_else(|| {
            io::Error::new(io::ErrorKind::InvalidInput, "the root of a shared tree must be a UTF-8 path")
        })?;
        Ok(passthrough::Config {
            root_dir: root_dir.to_owned(),
            cache_policy: match self.cache {
                Cache::Never => passthrough::CachePolicy::Never,
                Cache::Auto => passthrough::CachePolicy::Auto,
                Cache::Always => passthrough::CachePolicy::Always,
            },
            entry_timeout: self.entry_timeout,
            attr_timeout: self.attribute_timeout,
            writeback: false,
            xattr: true,
            do_import: true,
            no_open: false,
            no_opendir: false,
            killpriv_v2: false,
            inode_file_handles: false,
            // Names inodes by mount and number, so the table of inodes shrinks when the guest forgets.
            use_host_ino: true,
            ..passthrough::Config::default()
        })
    }
}

/// The file system device.
pub struct FileSystem {
    worker: Worker<FsBackend>,
    window: Option<Arc<dyn FileWindow>>,
}

impl FileSystem {
    /// A device that shares a tree, working on `thread`.
    ///
    /// # Errors
    /// The root cannot be opened, or `/proc` is not there.
    pub fn new(config: FsConfig, thread: DeviceThreadHandle) -> io::Result<Self> {
        let session = Session::new(Tree::new(config.passthrough()?)?, config.window.clone());
        let backend = FsBackend {
            session,
            is_watching: false,
            low_memory: config.populator.map(LowMemory::new),
            pace: Pace::new(config.spin),
        };
        let worker = Worker::new(backend, thread)?;
        Ok(Self { worker, window: config.window })
    }
}

impl VirtioDevice for FileSystem {
    fn device_type(&self) -> u16 {
        device_type::FILE_SYSTEM
    }

    fn name(&self) -> &'static str {
        "virtio-fs"
    }

    fn queue_max_sizes(&self) -> &[u16] {
        &QUEUE_SIZES
    }

    fn read_config(&self, offset: u64, data: &mut [u8]) {
        // tag: 36 bytes, padded with zeros; number of request queues: 32 bits.
        let mut config = [0; 40];
        config[..TAG.len()].copy_from_slice(TAG.as_bytes());
        config[36..].copy_from_slice(&REQUEST_QUEUES.to_le_bytes());
        read_config_bytes(&config, offset, data);
    }

    fn shared_memory(&self) -> Option<Range<u64>> {
        self.window.as_ref().map(|window| window.place())
    }

    fn doorkeeper(&self) -> Option<Arc<dyn Doorkeeper>> {
        Some(self.worker.doorkeeper(REQUESTS))
    }

    fn attach(&mut self, attachment: Attachment) -> io::Result<()> {
        self.worker.attach(attachment.kicks)
    }

    fn activate(&mut self, context: ActivationContext) -> Result<(), ActivateError> {
        Ok(self.worker.start(context.rings)?)
    }

    fn reset(&mut self) {
        self.worker.stop();
    }
}

struct FsBackend {
    session: Session,
    /// The host's notifications about mapped files are listened to.
    is_watching: bool,
    low_memory: Option<LowMemory>,
    pace: Pace,
}

/// Event tag of those.
const NOTIFICATIONS: u32 = HOST_EVENTS;

impl FsBackend {
    /// Listens to notifications from when there can be some.
    fn watch(&mut self, operations: &mut EventOps) {
        let Some(mappings) = self.session.mappings() else { return };
        let Some(notifications) = mappings.notifications() else { return };
        let events = Events::with_data(notifications, NOTIFICATIONS, EventSet::IN);
        match operations.add(events) {
            Ok(()) => self.is_watching = true,
            Err(error) => log::error!("changes of mapped files cannot be watched: {error}"),
        }
    }
}

impl FsBackend {
    /// Serves the next request of `ring`, if there is one.
    fn serve_next(&mut self, ring: &mut Ring) -> bool {
        let Some(chain) = ring.pop() else { return false };
        let head = chain.head_index();
        if let Some(memory) = &mut self.low_memory {
            memory.prepare(&chain);
        }
        match self.session.serve(&chain, ring.misbehaviour()) {
            Ok(written) => {
                if written < LARGE {
                    self.pace.served()
                } else {
                    self.pace.occupied()
                }
                ring.push(head, written);
            }
            Err(error) => ring.reject(head, error.describe()),
        }
        ring.notify();
        true
    }
}

impl Backend for FsBackend {
    fn rung(&mut self, queue: usize, rings: &mut Rings) -> Turn {
        let Some(ring) = rings.get(queue) else { return Turn::Done };
        self.pace.rung();
        ring.disarm();
        // One is the vCPU's own; who else asks is not to keep it.
        self.serve_next(ring);
        let has_more = ring.arm();
        let has_news = !self.is_watching && self.session.has_notifications();
        if has_more || has_news || self.pace.is_quick() { Turn::More } else { Turn::Done }
    }

    fn kicked(&mut self, queue: usize, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let Some(ring) = rings.get(queue) else { return Turn::Done };
        ring.disarm();
        let mut has_just_come = true;
        for _ in 0..TURN {
            if self.serve_next(ring) {
                has_just_come = false;
            } else {
                let now = Instant::now();
                let deadline = if queue == REQUESTS { self.pace.deadline(now) } else { now };
                if ring.spin(deadline.duration_since(now)) {
                    continue;
                }
                if deadline > now {
                    self.pace.watched(!has_just_come);
                }
                let turn = if ring.arm() { Turn::More } else { Turn::Done };
                if !self.is_watching {
                    self.watch(operations);
                }
                return turn;
            }
        }
        Turn::More
    }

    fn woken(&mut self, rings: &mut Rings, operations: &mut EventOps) -> Turn {
        let urgent = self.kicked(HIGH_PRIORITY, rings, operations);
        let usual = self.kicked(REQUESTS, rings, operations);
        if urgent == Turn::More { urgent } else { usual }
    }

    fn host_event(&mut self, _tag: u32, _rings: &mut Rings, _operations: &mut EventOps) {
        if let Some(mut mappings) = self.session.mappings() {
            mappings.notified();
        }
    }

    fn stopped(&mut self) {
        self.session.reset();
    }
}
