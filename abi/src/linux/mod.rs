//! What the Linux x86-64 user interface fixes: numbers and structures, as its UAPI headers have them.

pub mod errno;
pub mod signal;
pub mod syscall;

pub use errno::Errno;
pub use syscall::SYSCALL_LIMIT;
