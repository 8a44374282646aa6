//! `/proc`: what the kernel knows, as files.
//!
//! ```text
//! /proc ─┬─ ITEMS of the system (meminfo, sys/…), always there            system
//!        └─ PID ─┬─ FILES about the process (maps, status …)              process
//!                ├─ exe  cwd  root           links that lead straight to the file
//!                ├─ fd/N  fdinfo/N           as many as there are descriptors
//!                └─ task/TID ─ the same, for a thread
//! ```
//!
//! `/sys` is made of the same parts: items that are always there ([`hardware`]), some of them once for each CPU or disk ([`disks`]).
//!
//! Inodes are made when they are looked up and hold nothing: what they tell is asked for when it is read ([`facts`]). A text is made
//! whole when the file is opened. Processes and descriptors come and go, so directories are never remembered.

mod disks;
pub mod facts;
mod hardware;
mod name;
mod pagemap;
mod process;
mod smaps;
mod system;
#[cfg(test)]
mod tests;
mod text;

use super::block;
use super::dentry::Dentry;
use super::inode::{
    Access, File, FileKind, FileSystemStatus, Inode, InodeRef, Metadata, SetMetadata, Timestamp,
};
use super::listing::{ListedDirectory, Listing};
use super::ramfs::anonymous_device;
use alloc::format;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::any::Any;
use facts::{ProcessInfo, System, ThreadInfo};
use name::NameFile;
use pagemap::PageMap;
use process::{FILES, NAME_FILE, PAGE_MAP, Subject};
use septum_abi::linux::Errno;
use system::{Body, ITEMS, Item, OfDisk, Way};
pub use text::TextFile;

/// PROC_SUPER_MAGIC
const MAGIC: u64 = 0x9fa0;
/// SYSFS_MAGIC
const SYSFS_MAGIC: u64 = 0x6265_6572;

struct ProcFs {
    system: Arc<dyn System>,
    items: &'static [Item],
    /// `/proc`, with processes; else `/sys`.
    has_processes: bool,
    device: u64,
    started: Timestamp,
}

/// A link of a process that leads straight to a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Jump {
    Executable,
    WorkingDirectory,
    Root,
}

/// The links of a process.
const JUMPS: [(&[u8], Jump); 3] =
    [(b"exe", Jump::Executable), (b"cwd", Jump::WorkingDirectory), (b"root", Jump::Root)];

/// What an inode stands for.
#[derive(Clone, Copy)]
enum Node {
    Root,
    /// An item, its inode number, and how it was come to.
    Item(&'static Item, u64, Way),
    Process(u32),
    ProcessFile(u32, usize),
    /// A process's file, about one of its threads.
    TaskFile(u32, u32, usize),
    Jump(u32, Jump),
    Descriptors(u32),
    Descriptor(u32, i32),
    DescriptorInfos(u32),
    DescriptorInfo(u32, i32),
    Tasks(u32),
    Task(u32, u32),
}

struct ProcInode {
    fs: Arc<ProcFs>,
    node: Node,
}

/// A new `/proc`.
#[must_use]
pub fn file_system(system: Arc<dyn System>) -> InodeRef {
    make(system, ITEMS, true)
}

/// A new `/sys`.
#[must_use]
pub fn hardware_file_system(system: Arc<dyn System>) -> InodeRef {
    make(system, hardware::ITEMS, false)
}

/// The process whose directory of `/proc` this is.
#[must_use]
pub fn process_of(inode: &InodeRef) -> Option<u32> {
    match inode.as_any().downcast_ref::<ProcInode>()?.node {
        Node::Process(pid) => Some(pid),
        _ => None,
    }
}

fn make(system: Arc<dyn System>, items: &'static [Item], has_processes: bool) -> InodeRef {
    let fs = ProcFs { system, items, has_processes, device: anonymous_device(), started: Timestamp::now() };
    Arc::new(ProcInode { fs: Arc::new(fs), node: Node::Root })
}

fn number(name: &[u8]) -> Option<u32> {
    core::str::from_utf8(name).ok().filter(|text| !text.starts_with(['+', '0']) || *text == "0")?.parse().ok()
}

/// Inode number of entry `index` of a directory of items.
fn item_number(above: u64, index: u64) -> u64 {
    above * 64 + index
}

/// The numbered directories that `item` stands for, and what tells them apart: the place of their number on the way.
fn each(system: &dyn System, way: Way, count: fn(&dyn System) -> u32) -> impl Iterator<Item = (u16, Way)> {
    let count = u16::try_from(count(system)).unwrap_or(u16::MAX);
    // Numbers on the way are one higher, so that zero is no number.
    (0..count).map(move |number| (number, if way[0] == 0 { [number + 1, 0] } else { [way[0], number + 1] }))
}

/// The way to a disk.
fn of_disk(index: u8) -> Way {
    [u16::from(index) + 1, 0]
}

impl Node {
    fn kind(self) -> FileKind {
        match self {
            Self::Item(item, ..) => match item.body {
                Body::File(_) | Body::Part(_) => FileKind::Regular,
                Body::Directory(_) | Body::Each(..) | Body::Disks(_, OfDisk::Files(_)) => FileKind::Directory,
                Body::Link(_) | Body::Disks(_, OfDisk::LinkBelow(_)) => FileKind::Symlink,
            },
            Self::ProcessFile(..) | Self::TaskFile(..) | Self::DescriptorInfo(..) => FileKind::Regular,
            Self::Jump(..) | Self::Descriptor(..) => FileKind::Symlink,
            _ => FileKind::Directory,
        }
    }

    fn number(self) -> u64 {
        let of = |pid: u32, code: u64| (u64::from(pid) << 32) + code;
        let fd = |fd: i32| u64::try_from(fd).unwrap_or(0);
        match self {
            Self::Root => 1,
            Self::Item(_, number, way) => number | u64::from(way[0]) << 48 | u64::from(way[1]) << 40,
            Self::Process(pid) => of(pid, 0),
            Self::Jump(pid, jump) => of(pid, 1 + jump as u64),
            Self::Descriptors(pid) => of(pid, 5),
            Self::DescriptorInfos(pid) => of(pid, 6),
            Self::Tasks(pid) => of(pid, 7),
            Self::ProcessFile(pid, index) => of(pid, 16 + index as u64),
            Self::TaskFile(_, tid, index) => of(tid, 0x8000_0000 + index as u64),
            Self::Descriptor(pid, number) => of(pid, 0x1000_0000 + fd(number)),
            Self::DescriptorInfo(pid, number) => of(pid, 0x2000_0000 + fd(number)),
            Self::Task(pid, tid) => of(pid, 0x4000_0000 + u64::from(tid)),
        }
    }

    fn permissions(self) -> u32 {
        match self {
            Self::ProcessFile(_, index) | Self::TaskFile(_, _, index) => {
                FILES.get(index).map_or(0o444, |file| file.permissions)
            }
            Self::Jump(..) => 0o777,
            Self::Descriptors(_) | Self::DescriptorInfos(_) => 0o500,
            Self::Descriptor(..) => 0o700,
            _ => match self.kind() {
                FileKind::Directory => 0o555,
                FileKind::Symlink => 0o777,
                _ => 0o444,
            },
        }
    }
}

impl ProcInode {
    fn system(&self) -> &dyn System {
        self.fs.system.as_ref()
    }

    /// The entry called `name` of a directory of items.
    fn item_in(&self, items: &'static [Item], above: u64, way: Way, name: &[u8]) -> Option<Node> {
        (1..).zip(items).find_map(|(index, item)| {
            let inode = item_number(above, index);
            match item.body {
                Body::Each(count, _) => {
                    let wanted = number(name.strip_prefix(item.name)?)?;
                    let (_, way) =
                        each(self.system(), way, count).find(|(number, _)| u32::from(*number) == wanted)?;
                    Some(Node::Item(item, inode, way))
                }
                Body::Disks(names, _) => {
                    let disk = (0..block::count()).find(|&disk| names.of(disk) == name)?;
                    Some(Node::Item(item, inode, of_disk(disk)))
                }
                _ => (item.name == name).then_some(Node::Item(item, inode, way)),
            }
        })
    }

    fn list_items(&self, items: &'static [Item], above: u64, way: Way, push: &mut dyn FnMut(&[u8], Node)) {
        for (index, item) in (1..).zip(items) {
            let inode = item_number(above, index);
            match item.body {
                Body::Each(count, _) => each(self.system(), way, count).for_each(|(number, way)| {
                    let name = [item.name, format!("{number}").as_bytes()].concat();
                    push(&name, Node::Item(item, inode, way));
                }),
                Body::Disks(names, _) => (0..block::count())
                    .for_each(|disk| push(&names.of(disk), Node::Item(item, inode, of_disk(disk)))),
                _ => push(item.name, Node::Item(item, inode, way)),
            }
        }
    }

    fn process(&self, pid: u32) -> Result<Arc<dyn ProcessInfo>, Errno> {
        self.system().process(pid).ok_or(Errno::ENOENT)
    }

    fn find(&self, name: &[u8]) -> Option<Node> {
        let of_process = |pid: u32, file: &dyn Fn(usize) -> Node| {
            let file = FILES.iter().position(|file| file.name == name).map(file);
            let jump =
                || JUMPS.iter().find(|(jump, _)| *jump == name).map(|(_, jump)| Node::Jump(pid, *jump));
            file.or_else(jump).or(match name {
                b"fd" => Some(Node::Descriptors(pid)),
                b"fdinfo" => Some(Node::DescriptorInfos(pid)),
                _ => None,
            })
        };
        match self.node {
            Node::Root => self.item_in(self.fs.items, 1, [0; 2], name).or_else(|| {
                let process = self.system().process(number(name).filter(|_| self.fs.has_processes)?)?;
                Some(Node::Process(process.pid()))
            }),
            Node::Item(
                Item {
                    body: Body::Directory(items) | Body::Each(_, items) | Body::Disks(_, OfDisk::Files(items)),
                    ..
                },
                above,
                way,
            ) => self.item_in(items, above, way, name),
            Node::Process(pid) => of_process(pid, &|index| Node::ProcessFile(pid, index))
                .or((name == b"task").then_some(Node::Tasks(pid))),
            Node::Task(pid, tid) => of_process(pid, &|index| Node::TaskFile(pid, tid, index)),
            Node::Tasks(pid) => {
                let thread = number(name)?;
                self.process(pid).ok()?.threads().contains(&thread).then_some(Node::Task(pid, thread))
            }
            Node::Descriptors(pid) => self.descriptor(pid, name).map(|fd| Node::Descriptor(pid, fd)),
            Node::DescriptorInfos(pid) => self.descriptor(pid, name).map(|fd| Node::DescriptorInfo(pid, fd)),
            _ => None,
        }
    }

    /// The open descriptor called `name`.
    fn descriptor(&self, pid: u32, name: &[u8]) -> Option<i32> {
        let fd = i32::try_from(number(name)?).ok()?;
        self.process(pid).ok()?.descriptors().lock().get(fd).ok()?;
        Some(fd)
    }

    fn list(&self, listing: &mut Listing) -> Result<(), Errno> {
        let mut push = |name: &[u8], node: Node| listing.push(name, node.number(), node.kind());
        let of_process = |push: &mut dyn FnMut(&[u8], Node), pid: u32, node: &dyn Fn(usize) -> Node| {
            FILES.iter().enumerate().for_each(|(index, file)| push(file.name, node(index)));
            JUMPS.iter().for_each(|&(name, jump)| push(name, Node::Jump(pid, jump)));
            push(b"fd", Node::Descriptors(pid));
            push(b"fdinfo", Node::DescriptorInfos(pid));
        };
        let numbered = |push: &mut dyn FnMut(&[u8], Node), number: u32, node: Node| {
            push(format!("{number}").as_bytes(), node);
        };
        match self.node {
            Node::Root => {
                self.list_items(self.fs.items, 1, [0; 2], &mut push);
                let pids = if self.fs.has_processes { self.system().pids() } else { Vec::new() };
                pids.into_iter().for_each(|pid| numbered(&mut push, pid, Node::Process(pid)));
            }
            Node::Item(
                Item {
                    body: Body::Directory(items) | Body::Each(_, items) | Body::Disks(_, OfDisk::Files(items)),
                    ..
                },
                above,
                way,
            ) => {
                self.list_items(items, above, way, &mut push);
            }
            Node::Process(pid) => {
                of_process(&mut push, pid, &|index| Node::ProcessFile(pid, index));
                push(b"task", Node::Tasks(pid));
            }
            Node::Task(pid, tid) => of_process(&mut push, pid, &|index| Node::TaskFile(pid, tid, index)),
            Node::Tasks(pid) => {
                for thread in self.process(pid)?.threads() {
                    numbered(&mut push, thread, Node::Task(pid, thread));
                }
            }
            Node::Descriptors(pid) | Node::DescriptorInfos(pid) => {
                let is_info = matches!(self.node, Node::DescriptorInfos(_));
                let numbers = self.process(pid)?.descriptors().lock().numbers();
                for fd in numbers {
                    let node =
                        if is_info { Node::DescriptorInfo(pid, fd) } else { Node::Descriptor(pid, fd) };
                    push(format!("{fd}").as_bytes(), node);
                }
            }
            _ => return Err(Errno::ENOTDIR),
        }
        Ok(())
    }

    fn text_about(&self, pid: u32, tid: Option<u32>, index: usize) -> Result<Vec<u8>, Errno> {
        let file = FILES.get(index).ok_or(Errno::ENOENT)?;
        let process = self.process(pid)?;
        let thread = match tid {
            Some(tid) => process.thread(tid).ok_or(Errno::ESRCH)?,
            // The first one may have ended before the others.
            None => process.thread(pid).unwrap_or_else(|| ThreadInfo::of_nobody(process.name())),
        };
        let subject =
            Subject { process: process.as_ref(), tid: tid.unwrap_or(pid), thread, is_thread: tid.is_some() };
        Ok((file.make)(self.system(), &subject))
    }

    /// The thread whose name this file holds.
    fn named_thread(&self) -> Option<(u32, u32)> {
        let (pid, tid, index) = match self.node {
            Node::ProcessFile(pid, index) => (pid, pid, index),
            Node::TaskFile(pid, tid, index) => (pid, tid, index),
            _ => return None,
        };
        (FILES.get(index)?.name == NAME_FILE).then_some((pid, tid))
    }

    /// The process whose pages this file is about.
    fn mapped_process(&self) -> Option<u32> {
        let (Node::ProcessFile(pid, index) | Node::TaskFile(pid, _, index)) = self.node else { return None };
        (FILES.get(index)?.name == PAGE_MAP).then_some(pid)
    }

    fn text(&self) -> Result<Vec<u8>, Errno> {
        match self.node {
            Node::Item(Item { body: Body::File(make), .. }, ..) => Ok(make(self.system())),
            Node::Item(Item { body: Body::Part(make), .. }, _, way) => {
                Ok(make(self.system(), way.map(|number| number.saturating_sub(1))))
            }
            Node::ProcessFile(pid, index) => self.text_about(pid, None, index),
            Node::TaskFile(pid, tid, index) => self.text_about(pid, Some(tid), index),
            Node::DescriptorInfo(pid, fd) => {
                process::descriptor_info(self.process(pid)?.as_ref(), fd).ok_or(Errno::ENOENT)
            }
            _ => Err(Errno::EINVAL),
        }
    }
}

impl Inode for ProcInode {
    fn as_any(&self) -> &dyn Any {
        self
    }

    fn metadata(&self) -> Result<Metadata, Errno> {
        let (kind, started) = (self.node.kind(), self.fs.started);
        let (uid, gid) = match self.node {
            Node::Root | Node::Item(..) => (0, 0),
            _ => self.system().current().map_or((0, 0), |process| {
                let fs = process.fs();
                (fs.uid, fs.gid)
            }),
        };
        Ok(Metadata {
            device: self.fs.device,
            inode: self.node.number(),
            kind,
            permissions: self.node.permissions(),
            links: if kind == FileKind::Directory { 2 } else { 1 },
            uid,
            gid,
            represented_device: 0,
            // As Linux says of all files of `/sys`.
            size: if kind == FileKind::Regular && !self.fs.has_processes { 4096 } else { 0 },
            block_size: 1024,
            blocks: 0,
            accessed: started,
            modified: started,
            changed: started,
        })
    }

    fn kind(&self) -> FileKind {
        self.node.kind()
    }

    fn set_metadata(&self, changes: &SetMetadata) -> Result<(), Errno> {
        // Opening with O_TRUNC is common and harmless; everything else is refused.
        if changes.size.is_some() { Ok(()) } else { Err(Errno::EPERM) }
    }

    fn may_change_outside(&self) -> bool {
        !matches!(self.node, Node::Item(..))
    }

    fn lookup(&self, name: &[u8]) -> Result<InodeRef, Errno> {
        if self.node.kind() != FileKind::Directory {
            return Err(Errno::ENOTDIR);
        }
        let node = self.find(name).ok_or(Errno::ENOENT)?;
        Ok(Arc::new(Self { fs: Arc::clone(&self.fs), node }))
    }

    fn read_link(&self) -> Result<Vec<u8>, Errno> {
        match self.node {
            Node::Item(Item { body: Body::Link(make), .. }, ..) => {
                let text = make(self.system());
                if text.is_empty() { Err(Errno::ENOENT) } else { Ok(text) }
            }
            Node::Item(Item { body: Body::Disks(_, OfDisk::LinkBelow(directory)), .. }, _, way) => {
                Ok([directory, &block::name(disks::index(way.map(|number| number.saturating_sub(1)))).0[..]]
                    .concat())
            }
            Node::Jump(pid, Jump::Executable) => {
                process::executable_path(self.process(pid)?.as_ref()).ok_or(Errno::ENOENT)
            }
            Node::Jump(pid, _) | Node::Descriptor(pid, _) => {
                let root = self.process(pid)?.fs().root;
                Ok(self.follow().ok_or(Errno::ENOENT)?.path(&root))
            }
            _ => Err(Errno::EINVAL),
        }
    }

    fn follow(&self) -> Option<Arc<Dentry>> {
        match self.node {
            Node::Jump(pid, jump) => {
                let process = self.process(pid).ok()?;
                match jump {
                    Jump::Executable => process.executable(),
                    Jump::WorkingDirectory => Some(process.fs().cwd),
                    Jump::Root => Some(process.fs().root),
                }
            }
            Node::Descriptor(pid, fd) => {
                let file = self.process(pid).ok()?.descriptors().lock().get(fd).ok()?;
                Some(Arc::clone(file.dentry()))
            }
            _ => None,
        }
    }

    fn create(
        &self,
        _name: &[u8],
        _what: super::inode::Create<'_>,
        _ownership: super::inode::Ownership,
    ) -> Result<InodeRef, Errno> {
        Err(Errno::ENOENT)
    }

    fn unlink(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn remove_directory(&self, _name: &[u8]) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn rename(
        &self,
        _name: &[u8],
        _new_parent: &InodeRef,
        _new_name: &[u8],
        _keep_existing: bool,
    ) -> Result<(), Errno> {
        Err(Errno::EPERM)
    }

    fn open(&self, access: Access) -> Result<Arc<dyn File>, Errno> {
        match self.node.kind() {
            FileKind::Directory => {
                let this = Self { fs: Arc::clone(&self.fs), node: self.node };
                Ok(Arc::new(ListedDirectory::new(move |listing: &mut Listing| this.list(listing))))
            }
            FileKind::Regular if access.write => {
                let (pid, tid) = self.named_thread().ok_or(Errno::EACCES)?;
                Ok(Arc::new(NameFile { text: TextFile(self.text()?), process: self.process(pid)?, tid }))
            }
            FileKind::Regular => match self.mapped_process() {
                Some(pid) => Ok(Arc::new(PageMap { process: self.process(pid)? })),
                None => Ok(Arc::new(TextFile(self.text()?))),
            },
            _ => Err(Errno::ELOOP),
        }
    }

    fn file_system(&self) -> Result<FileSystemStatus, Errno> {
        let magic = if self.fs.has_processes { MAGIC } else { SYSFS_MAGIC };
        Ok(FileSystemStatus { magic, block_size: 4096, name_max: 255, ..FileSystemStatus::default() })
    }
}
