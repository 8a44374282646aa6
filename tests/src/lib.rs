//! The harness behind every test that runs a program.
//!
//! A test here is a story about one program: it is compiled (once, cached), run by the host's own Linux and
//! run again by `septum run`, and what a person could observe — bytes on stdout and stderr, the exit status,
//! the files left behind — is compared. Nothing looks into a log.
//!
//! ```text
//!   guests/*.c,cc,rs,sh ──compile──► cached binary ──┐
//!                                                    ├─► native()    ─► Output ─┐
//!                            Case (args, stdin, env) ┤                          ├─► compare
//!                                                    └─► partition() ─► Output ─┘
//! ```
//!
//! * [`process`] runs a host process with a deadline, so that nothing hangs a test run;
//! * [`septum`] turns a description of a partition into a command line of the `septum` binary;
//! * [`case`] runs one program on both sides and compares;
//! * [`guests`] and [`compile`] find, build and cache the guest programs;
//! * [`host`] is where partitions in the background live;
//! * [`intruder`] makes system calls in a process that others run, as if it had been taken over;
//! * [`browser`] shows pages as people see them;
//! * [`terminals`] has a driver type at a terminal, and look at it;
//! * [`serve`] and [`websocket`] are a coordinator, and a client that shares nothing with it;
//! * [`lane`] says where the tests run, and counts those that could not;
//! * [`place`], [`tree`], [`diff`], [`elf`], [`family`] are the small tools they need.
//!
//! Environment: `SEPTUM` names the binary under test (else `target/release/septum`), `SEPTUM_LANE` is `direct`
//! or `nested`, `SEPTUM_GUESTS` names the folder of compiled programs (else `target/guests`).

pub mod browser;
pub mod case;
pub mod compile;
pub mod diff;
pub mod elf;
pub mod family;
pub mod guests;
pub mod host;
pub mod intruder;
pub mod lane;
pub mod place;
pub mod process;
pub mod septum;
pub mod serve;
pub mod stream;
pub mod terminals;
pub mod tree;
pub mod websocket;

pub use case::{Case, Files};
pub use guests::{Guest, Link};
pub use host::Host;
pub use place::Place;
pub use process::{Input, Invocation, Output, Running, Sink, Status};
pub use septum::{Septum, exit};
pub use serve::{Answer, Serving};
pub use websocket::WebSocket;
