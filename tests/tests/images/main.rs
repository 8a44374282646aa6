//! Images: built from everything that they can be built from, run, and refused where they are broken.
//!
//! Each test keeps images of its own. What runs in them is a static busybox, or a Debian that `mmdebstrap` unpacked.

mod basic;
mod hostile;
mod real;
mod sources;
mod store;
mod volumes;
