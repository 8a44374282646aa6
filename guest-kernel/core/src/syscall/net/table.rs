//! The table: number, handler, what there is of the call.

use super::{messages, options, several, sockets};
use crate::syscall::entry::{Entry, Handler, Support};
use crate::syscall::files::FileContext;
use crate::syscall::files::arguments::{int, size, word};
use septum_abi::linux::syscall as number;

const fn full<C>(number: usize, handler: Handler<C>, notes: &'static str) -> Entry<C> {
    Entry { number, handler, support: Support::Full, notes }
}

const fn partial<C>(number: usize, handler: Handler<C>, notes: &'static str) -> Entry<C> {
    Entry { number, handler, support: Support::Partial, notes }
}

/// The table's lifetime as a constant needs a type to hang on.
struct Table<C>(core::marker::PhantomData<C>);

/// Every system call on sockets.
#[must_use]
pub const fn net_calls<C: FileContext + 'static>() -> &'static [Entry<C>] {
    Table::<C>::CALLS
}

impl<C: FileContext + 'static> Table<C> {
    const CALLS: &'static [Entry<C>] = &[
        partial(
            number::SOCKET,
            |c, [family, kind, protocol, ..]| sockets::sys_socket(c, word(family), word(kind), int(protocol)),
            "AF_UNIX, TCP and UDP of AF_INET and AF_INET6, NETLINK_ROUTE, streams of AF_VSOCK; raw sockets are EPERM",
        ),
        full(
            number::SOCKETPAIR,
            |c, [family, kind, protocol, address, ..]| {
                sockets::sys_socketpair(c, word(family), word(kind), int(protocol), address)
            },
            "",
        ),
        full(
            number::BIND,
            |c, [fd, address, len, ..]| sockets::sys_bind(c, int(fd), address, int(len)),
            "127.0.0.0/8, ::1 and any; else EADDRNOTAVAIL. There is no TIME_WAIT: a port is free when its sockets are closed",
        ),
        full(
            number::LISTEN,
            |c, [fd, backlog, ..]| sockets::sys_listen(c, int(fd), int(backlog)),
            "of TCP, 4096 connections may wait whatever the backlog",
        ),
        full(
            number::ACCEPT,
            |c, [fd, address, len, ..]| sockets::sys_accept4(c, int(fd), address, len, 0),
            "",
        ),
        full(
            number::ACCEPT4,
            |c, [fd, address, len, flags, ..]| sockets::sys_accept4(c, int(fd), address, len, word(flags)),
            "SOCK_CLOEXEC, SOCK_NONBLOCK",
        ),
        partial(
            number::CONNECT,
            |c, [fd, address, len, ..]| sockets::sys_connect(c, int(fd), address, int(len)),
            "loopback addresses; all others are ENETUNREACH. A TCP socket cannot be disconnected",
        ),
        full(number::SHUTDOWN, |c, [fd, how, ..]| sockets::sys_shutdown(c, int(fd), word(how)), ""),
        full(
            number::GETSOCKNAME,
            |c, [fd, address, len, ..]| sockets::sys_getsockname(c, int(fd), address, len),
            "",
        ),
        full(
            number::GETPEERNAME,
            |c, [fd, address, len, ..]| sockets::sys_getpeername(c, int(fd), address, len),
            "",
        ),
        partial(
            number::SENDTO,
            |c, [fd, buffer, len, flags, address, address_len]| {
                let to = (address, int(address_len));
                messages::sys_sendto(c, int(fd), (buffer, size(len)), word(flags), to)
            },
            "MSG_DONTWAIT, MSG_NOSIGNAL, MSG_OOB of TCP (without SIGURG); the others have no effect",
        ),
        partial(
            number::RECVFROM,
            |c, [fd, buffer, len, flags, address, address_len]| {
                let from = (address, address_len);
                messages::sys_recvfrom(c, int(fd), (buffer, size(len)), word(flags), from)
            },
            "MSG_DONTWAIT, MSG_PEEK, MSG_TRUNC, MSG_WAITALL, MSG_OOB; there is no error queue",
        ),
        partial(
            number::SENDMSG,
            |c, [fd, address, flags, ..]| messages::sys_sendmsg(c, int(fd), address, word(flags)),
            "as sendto; SCM_RIGHTS, SCM_CREDENTIALS. At most 1024 files are on their way at once",
        ),
        partial(
            number::RECVMSG,
            |c, [fd, address, flags, ..]| messages::sys_recvmsg(c, int(fd), address, word(flags)),
            "as recvfrom; MSG_CMSG_CLOEXEC; SCM_RIGHTS, SCM_CREDENTIALS",
        ),
        partial(
            number::SENDMMSG,
            |c, [fd, address, count, flags, ..]| {
                several::sys_sendmmsg(c, int(fd), address, word(count), word(flags))
            },
            "as sendmsg",
        ),
        partial(
            number::RECVMMSG,
            |c, [fd, address, count, flags, timeout, _]| {
                several::sys_recvmmsg(c, int(fd), address, word(count), word(flags), timeout)
            },
            "as recvmsg; MSG_WAITFORONE",
        ),
        partial(
            number::GETSOCKOPT,
            |c, [fd, level, option, address, len, _]| {
                options::sys_getsockopt(c, int(fd), int(level), int(option), address, len)
            },
            "see setsockopt; SO_TYPE, SO_ERROR, SO_ACCEPTCONN, SO_PROTOCOL, SO_DOMAIN, SO_PEERCRED; of TCP_INFO only the state",
        ),
        partial(
            number::SETSOCKOPT,
            |c, [fd, level, option, address, len, _]| {
                options::sys_setsockopt(c, int(fd), int(level), int(option), address, int(len))
            },
            "SO_REUSEADDR, SO_REUSEPORT, SO_SNDBUF, SO_RCVBUF, SO_LINGER (0 resets; closing never waits), SO_PASSCRED, SO_RCVTIMEO, \
            SO_SNDTIMEO, SO_OOBINLINE, IPV6_V6ONLY, IP_PKTINFO, IP_RECVTTL, IP_RECVTOS and the same of IPv6; what tunes protocols is \
            remembered without effect",
        ),
    ];
}
