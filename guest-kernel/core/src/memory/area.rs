//! A mapping, as the program asked for it.

use super::shared::SharedMemory;
use crate::fs::dentry::Dentry;
use crate::fs::inode::File;
use crate::fs::ramfs::Writer;
use alloc::sync::Arc;
use septum_abi::layout::PAGE_SIZE;
use septum_guest_hal::paging::Rights;

bitflags::bitflags! {
    /// What the program may do (PROT_*).
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Protection: u32 {
        /// Load.
        const READ = 1;
        /// Store.
        const WRITE = 2;
        /// Fetch instructions.
        const EXECUTE = 4;
    }
}

impl Protection {
    /// As page rights; x86 cannot write or execute without reading.
    #[must_use]
    pub fn rights(self) -> Rights {
        Rights {
            read: !self.is_empty(),
            write: self.contains(Self::WRITE),
            execute: self.contains(Self::EXECUTE),
        }
    }
}

/// Where the contents come from.
#[derive(Clone)]
pub enum Backing {
    /// Zeros, private.
    Anonymous,
    /// A file.
    File {
        /// The open file.
        file: Arc<dyn File>,
        /// Its name, for `/proc/self/maps`.
        dentry: Option<Arc<Dentry>>,
        /// Offset of the area's start in the file, a multiple of the page size.
        offset: u64,
        /// Stores reach the file and other mappings.
        is_shared: bool,
        /// May be made writable later (shared mapping of a file opened for writing, or private).
        may_write: bool,
        /// May be made executable later: it is not on a mount of which nothing is to be executed.
        may_execute: bool,
        /// Keeps the file from being sealed against writing, if stores through it reach the file.
        writer: Option<Arc<Writer>>,
    },
    /// Zeros, shared (MAP_SHARED | MAP_ANONYMOUS).
    Shared {
        /// The pages.
        memory: Arc<SharedMemory>,
        /// Offset of the area's start.
        offset: u64,
    },
    /// Frames given once and for all by the kernel (vDSO, clock page): never written by the program.
    Kernel,
}

/// What `/proc/self/maps` calls an area without a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Label {
    /// Nothing.
    None,
    /// `[heap]`
    Heap,
    /// `[stack]`
    Stack,
    /// `[vdso]`
    Vdso,
    /// `[vvar]`
    Vvar,
}

bitflags::bitflags! {
    /// What the program said about a mapping besides protection.
    #[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
    pub struct Advice: u8 {
        /// No large pages (MADV_NOHUGEPAGE, MAP_STACK).
        const SMALL_PAGES = 1;
        /// Its pages stay (mlock).
        const LOCKED = 2;
        /// A child does not have it (MADV_DONTFORK).
        const NOT_FOR_CHILDREN = 4;
        /// A child finds zeros there (MADV_WIPEONFORK).
        const EMPTY_FOR_CHILDREN = 8;
    }
}

/// A mapping of `start..end`.
#[derive(Clone)]
pub struct Area {
    /// First byte, page-aligned.
    pub start: u64,
    /// One past the last byte, page-aligned.
    pub end: u64,
    /// What is allowed.
    pub protection: Protection,
    /// Contents.
    pub backing: Backing,
    /// Grows downwards to this address when touched below its start (stack), if not `start`.
    pub grows_to: u64,
    /// Name.
    pub label: Label,
    /// What else the program said.
    pub advice: Advice,
}

impl Area {
    /// The part of it within `start..end`, which lies within it.
    #[must_use]
    pub fn part(&self, start: u64, end: u64) -> Self {
        let mut part = self.clone();
        let skipped = start - self.start;
        (part.start, part.end) = (start, end);
        match &mut part.backing {
            Backing::File { offset, .. } | Backing::Shared { offset, .. } => *offset += skipped,
            Backing::Anonymous | Backing::Kernel => {}
        }
        if skipped > 0 {
            part.grows_to = start;
        }
        part
    }

    /// Whether stores go to someone else too.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match &self.backing {
            Backing::File { is_shared, .. } => *is_shared,
            Backing::Shared { .. } => true,
            Backing::Anonymous | Backing::Kernel => false,
        }
    }

    /// Index of the page at `address` in the file or shared memory.
    #[must_use]
    pub fn page_index(&self, address: u64) -> u64 {
        let offset = match &self.backing {
            Backing::File { offset, .. } | Backing::Shared { offset, .. } => *offset,
            Backing::Anonymous | Backing::Kernel => 0,
        };
        (offset + (address - self.start)) / PAGE_SIZE as u64
    }

    /// Whether large pages may be used: private memory that the program may write, and that is not a stack.
    #[must_use]
    pub fn may_be_large(&self) -> bool {
        matches!(self.backing, Backing::Anonymous)
            && self.protection.contains(Protection::WRITE)
            && self.label != Label::Stack
            && self.grows_to == self.start
            && !self.advice.contains(Advice::SMALL_PAGES)
    }

    /// Whether `next`, which begins where this ends, only continues it.
    #[must_use]
    pub fn continues_with(&self, next: &Self) -> bool {
        let same = self.end == next.start && self.protection == next.protection && self.label == next.label;
        let same = same && self.advice == next.advice;
        let plain = matches!((&self.backing, &next.backing), (Backing::Anonymous, Backing::Anonymous));
        same && plain && next.grows_to == next.start
    }
}
