//! Files.
//!
//! ```text
//!  system calls on files            crate::syscall::files
//!  descriptors → open files         descriptors
//!  paths, permissions, creation     context, open, path
//!  names already looked up, mounts  dentry, mount
//!  ---------- the traits Inode and File (inode) ----------
//!  ramfs  overlay  erofs  devices  proc  pipe   and, elsewhere, virtio-fs and the console
//! ```
//!
//! * [`inode`]: what a file system implements: the two traits [`Inode`](inode::Inode) and [`File`](inode::File);
//! * [`dentry`]: the tree of names; [`mount`]: what is mounted where; [`path`]: walking; [`context`]: for whom, and what is allowed;
//! * [`open`]: opening; [`names`]: making and removing names; [`descriptors`]: open files and their numbers;
//! * [`locks`]: who keeps others from a file; [`watch`]: who is told what happens to it; [`owner`]: who gets its signals;
//! * [`ramfs`], [`overlay`], [`erofs`], [`devices`], [`proc`], [`pipe`], [`event`], [`epoll`], [`timer`], [`signal`], [`terminal`], [`message_queue`]: file systems and files;
//! * [`pci`]: functions of the host, for programs to drive.

pub mod anonymous;
pub mod block;
pub mod buffer;
pub mod context;
pub mod dentry;
pub mod descriptors;
pub mod devices;
pub mod epoll;
pub mod erofs;
pub mod event;
pub mod inode;
pub mod listing;
pub mod locks;
pub mod message_queue;
pub mod mount;
pub mod names;
pub mod open;
pub mod overlay;
pub mod owner;
mod pages;
pub mod path;
pub mod pci;
pub mod pipe;
pub mod proc;
pub mod ramfs;
pub mod signal;
pub mod terminal;
pub mod timer;
pub mod transfers;
pub mod watch;

#[cfg(test)]
mod host_tests;
