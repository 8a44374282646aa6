//! Files.
//!
//! * [`inode`]: what a file system implements: the two traits [`Inode`](inode::Inode) and [`File`](inode::File).

pub mod inode;
