//! System calls on sockets.
//!
//! As the calls on [files](super::files), of which they use context and arguments: one function `sys_x(ctx, typed arguments)` each, and a [`table`].
//!
//! * [`sockets`]: socket, socketpair, bind, listen, accept, connect, shutdown, names;
//! * [`messages`]: send and receive; [`control`]: what goes with messages; [`several`]: sendmmsg, recvmmsg;
//! * [`options`]: getsockopt, setsockopt; [`interfaces`]: ioctls about the one interface;
//! * [`waiting`]: sleeping until a socket can do something.

pub mod arguments;
pub mod control;
pub mod interfaces;
pub mod messages;
pub mod options;
pub mod several;
pub mod sockets;
pub mod table;
pub mod waiting;

pub use table::net_calls;
