//! The program's address space.
//!
//! * [`area`]: what is mapped where, as the program asked for it;
//! * [`space`]: the areas and the page table; mapping, unmapping, protecting, moving;
//! * [`remap`]: mappings that move; [`discard`]: contents that are given up;
//! * [`fault`]: making a page present when it is touched;
//! * [`buffer`]: the program's memory as the source or destination of a file operation.
//!
//! Nothing is mapped into the page table before it is touched. A page of a private mapping of a file is the page
//! cache's own frame until it is written, then a copy. Frames of anonymous memory come zeroed from the host.

pub mod area;
pub mod buffer;
pub mod discard;
pub mod fault;
pub mod layout;
pub mod remap;
pub mod shared;
pub mod space;
#[cfg(test)]
mod tests;

pub use space::AddressSpace;
