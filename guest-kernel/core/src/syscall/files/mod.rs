//! System calls on files.
//!
//! Each file here is a family, and each call one function `sys_x(ctx, typed arguments) -> Result<usize, Errno>`: parse,
//! validate, act. [`table`] maps numbers to them. What a call needs of the thread that made it is the trait [`FileContext`]: its descriptors, its
//! place in the tree, and its memory, which is only ever copied.
//!
//! * [`arguments`]: descriptors, paths and structures as arguments; [`vectors`]: `iovec`;
//! * [`open`], [`close`], [`descriptors`] (dup, fcntl), [`locks`], [`read_write`], [`position`], [`transfer`], [`splice`], [`size`], [`sync`];
//! * [`stat`], [`statx`], [`access`], [`attributes`] (chmod, chown, times), [`extended_attributes`], [`file_system`];
//! * [`directories`] (getdents, chdir, getcwd), [`names`] (mkdir, unlink, rename, link …);
//! * [`pipe`] (also eventfd and memfd), [`poll`], [`select`], [`epoll`], [`timer`], [`signal`], [`control`] (ioctl), [`terminal`], [`watch`].

pub mod access;
pub mod arguments;
pub mod attributes;
pub mod close;
pub mod control;
pub mod descriptors;
pub mod directories;
pub mod disk;
pub mod epoll;
pub mod extended_attributes;
pub mod file_system;
pub mod locks;
pub mod names;
pub mod open;
pub mod owner;
pub mod pipe;
pub mod poll;
pub mod position;
pub mod read_write;
pub mod select;
pub mod signal;
pub mod size;
pub mod splice;
pub mod stat;
pub mod statx;
pub mod sync;
pub mod table;
pub mod terminal;
pub mod timer;
pub mod transfer;
pub mod vectors;
pub mod watch;

#[cfg(test)]
mod tests;

pub use table::file_calls;

use crate::fs::context::FsContext;
use crate::fs::descriptors::DescriptorTable;
use crate::io::{Destination, Source};
use alloc::vec::Vec;
use septum_abi::linux::Errno;
use septum_guest_hal::sync::Mutex;

/// The thread that makes a system call, as far as files are concerned.
///
/// Addresses are the program's and unchecked; each method that takes one answers EFAULT if it is not the program's.
pub trait FileContext {
    /// A part of the program's memory to be filled.
    type Destination<'a>: Destination
    where
        Self: 'a;
    /// A part of the program's memory to be read.
    type Source<'a>: Source
    where
        Self: 'a;

    /// The process's number.
    fn pid(&self) -> u32;

    /// The process's descriptors.
    fn descriptors(&self) -> &Mutex<DescriptorTable>;

    /// Root, working directory, umask, identity.
    fn fs(&self) -> &Mutex<FsContext>;

    /// Copies all of `bytes` from the program.
    fn copy_in(&self, address: u64, bytes: &mut [u8]) -> Result<(), Errno>;

    /// Copies all of `bytes` to the program.
    fn copy_out(&self, address: u64, bytes: &[u8]) -> Result<(), Errno>;

    /// The string at `address` without its NUL; ENAMETOOLONG if there is none within `limit` bytes.
    fn copy_in_string(&self, address: u64, limit: usize) -> Result<Vec<u8>, Errno>;

    /// `len` bytes of the program's memory, to be filled. Nothing is touched yet.
    fn destination(&self, address: u64, len: usize) -> Result<Self::Destination<'_>, Errno>;

    /// `len` bytes of the program's memory, to be read. Nothing is touched yet.
    fn source(&self, address: u64, len: usize) -> Result<Self::Source<'_>, Errno>;

    /// Counts what a call has moved, or that it failed.
    fn count(&self, is_write: bool, moved: &Result<usize, Errno>) {
        let _ = (is_write, moved);
    }

    /// Makes SIGPIPE pending: the call that noticed returns EPIPE.
    fn deliver_sigpipe(&self);

    /// Runs `wait` with `mask` as the signal mask (`ppoll`, `pselect6`); an unblocked signal ends it with EINTR.
    fn with_signal_mask(
        &self,
        mask: u64,
        wait: &mut dyn FnMut() -> Result<usize, Errno>,
    ) -> Result<usize, Errno>;
}
