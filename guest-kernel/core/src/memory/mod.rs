//! The program's address space.
//!
//! * [`area`]: what is mapped where, as the program asked for it;
//! * [`space`]: the areas and the page table; mapping, unmapping, protecting, moving;
//! * [`remap`]: mappings that move; [`discard`]: contents that are given up;
//! * [`fork`]: a copy of all of it for another process;
//! * [`fault`]: making a page present when it is touched; [`lost`]: pages whose file became shorter;
//! * [`reclaim`]: what is freed before memory is said to have run out;
//! * [`call_sites`]: code that was written over, so that system calls jump;
//! * [`buffer`]: the program's memory as the source or destination of a file operation.
//!
//! Nothing is mapped into the page table before it is touched. A page of a private mapping of a file is the page
//! cache's own frame until it is written, then a copy. Frames of anonymous memory come zeroed from the host.
//!
//! # Order of locks
//!
//! ```text
//! 1  an open file's position, a pipe's ring, a file's end while it is appended to,
//!    the console's input                            held while bytes go to or from the program
//! 2  the address space                              taken by a fault, and by a copy that meets one
//! 3  what a file needs to name a page it has in memory, or to give one back:
//!    page caches, contents in RAM, the device queue  held for some instructions each
//! ```
//!
//! Whoever holds a lock takes only locks with greater numbers. So a file never takes, to provide a page, a lock that
//! it holds while it touches the program's memory, which may be a mapping of the same file. And the address space's lock is
//! never held while a page is read from the host: other threads map, unmap and fault meanwhile ([`fault`]). Only what
//! was stored through a shared mapping is written with it held, for it has to be in the file when the mapping is gone.

pub mod area;
pub mod buffer;
pub mod call_sites;
pub mod discard;
pub mod fault;
pub mod fork;
pub mod layout;
pub mod lost;
pub mod reclaim;
pub mod remap;
pub mod shared;
pub mod space;
#[cfg(test)]
mod tests;

pub use space::AddressSpace;
