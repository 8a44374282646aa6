//! socket, socketpair, bind, listen, accept, accept4, connect, shutdown, getsockname, getpeername.

use super::arguments::{read_address, socket, write_address};
use super::waiting::Patience;
use crate::fs::open::OpenFlags;
use crate::net::address::{Address, Family, UnixName};
use crate::net::datagram::Peer;
use crate::net::ports::{self, Protocol};
use crate::net::route::{self, Way};
use crate::net::{Kind, Name, Role, Socket, outside, stream_end, unix, vsock};
use crate::syscall::files::FileContext;
use alloc::sync::Arc;
use core::net::SocketAddr;
use septum_abi::linux::Errno;

/// The flags among a socket's kind: SOCK_CLOEXEC, SOCK_NONBLOCK, which are O_CLOEXEC and O_NONBLOCK.
fn flags(kind: u32) -> Result<(u32, OpenFlags), Errno> {
    let flags = OpenFlags::from_bits_retain(kind & !0xf);
    if !(OpenFlags::CLOSE_ON_EXEC | OpenFlags::NON_BLOCKING).contains(flags) {
        return Err(Errno::EINVAL);
    }
    Ok((kind & 0xf, flags))
}

fn install<C: FileContext>(ctx: &C, socket: Arc<Socket>, flags: OpenFlags) -> Result<usize, Errno> {
    let file = socket.open(flags & OpenFlags::NON_BLOCKING);
    let inserted =
        ctx.descriptors().lock().insert(Arc::clone(&file), flags.contains(OpenFlags::CLOSE_ON_EXEC), 0);
    // If there was no room it is closed here, without the table's lock.
    drop(file);
    inserted
}

/// `socket`
pub fn sys_socket<C: FileContext>(ctx: &C, family: u32, kind: u32, protocol: i32) -> Result<usize, Errno> {
    let (kind, flags) = flags(kind)?;
    install(ctx, Socket::create(family, kind, protocol)?, flags)
}

/// `socketpair`: Unix only.
pub fn sys_socketpair<C: FileContext>(
    ctx: &C,
    family: u32,
    kind: u32,
    protocol: i32,
    address: u64,
) -> Result<usize, Errno> {
    let (kind, flags) = flags(kind)?;
    let first = Socket::create(family, kind, protocol)?;
    if first.family != Family::Unix {
        return Err(Errno::EOPNOTSUPP);
    }
    let files = Socket::pair(first.kind)?.map(|socket| socket.open(flags & OpenFlags::NON_BLOCKING));
    let is_close_on_exec = flags.contains(OpenFlags::CLOSE_ON_EXEC);
    let mut numbers = [0; 2];
    let undo = |fds: &[usize]| {
        for fd in fds.iter().filter_map(|&fd| i32::try_from(fd).ok()) {
            let file = ctx.descriptors().lock().remove(fd).ok();
            drop(file);
        }
    };
    for (index, file) in files.iter().enumerate() {
        let inserted = ctx.descriptors().lock().insert(Arc::clone(file), is_close_on_exec, 0);
        numbers[index] = inserted.inspect_err(|_| undo(&numbers[..index]))?;
    }
    let mut bytes = [0; 8];
    for (bytes, fd) in bytes.chunks_exact_mut(4).zip(numbers) {
        bytes.copy_from_slice(&u32::try_from(fd).unwrap_or(u32::MAX).to_le_bytes());
    }
    ctx.copy_out(address, &bytes).inspect_err(|_| undo(&numbers))?;
    Ok(0)
}

/// `bind`
pub fn sys_bind<C: FileContext>(ctx: &C, fd: i32, address: u64, len: i32) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    let parsed = read_address(ctx, socket.family, address, len)?;
    match (&parsed, socket.family) {
        (Address::Unix(_), _) => {
            let fs = ctx.fs().lock().clone();
            unix::bind(&socket, &parsed, &fs)?;
        }
        (Address::Inet(address), _) => {
            ports::bind(&socket, *address)?;
            if address.port() != 0 && !address.ip().is_loopback() {
                open_to_outside(&socket, *address);
            }
        }
        // IPv4's "any" may be said without the family, for the sake of old programs.
        (Address::Unspecified, Family::V4) => {
            ports::bind(&socket, route::unspecified(Family::V4))?;
        }
        (Address::Netlink { port, groups }, _) => {
            let port = if *port == 0 { netlink_port(fd) } else { *port };
            socket.name.lock().address = Address::Netlink { port, groups: *groups };
        }
        (Address::Vsock { cid, port }, _) => vsock::bind(&socket, *cid, *port)?,
        (Address::Unspecified, Family::V6) => return Err(Errno::EAFNOSUPPORT),
        (Address::Unspecified, _) => return Err(Errno::EINVAL),
    }
    Ok(0)
}

/// What comes from outside to a published port of UDP finds the socket that is bound to it.
fn open_to_outside(socket: &Socket, own: SocketAddr) {
    if let Role::Mailbox(mailbox) = &socket.role
        && outside::carrier().is_some()
    {
        // Without it the socket is one of the partition alone, and what it sends will tell.
        let _ = mailbox.outlet.open(socket, own);
    }
}

/// A port of netlink that is the socket's own: the process, or the process and the descriptor.
fn netlink_port(fd: i32) -> u32 {
    let pid = crate::net::passing::Credentials::current().pid;
    pid | (fd.cast_unsigned() << 22)
}

/// `listen`
pub fn sys_listen<C: FileContext>(ctx: &C, fd: i32, backlog: i32) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    let Role::Connection(connection) = &socket.role else { return Err(Errno::EOPNOTSUPP) };
    if socket.is_inet() {
        // Without a name it gets a port.
        ports::bound(&socket)?;
        if connection.ends().is_none() {
            ports::may_listen(&socket)?;
        }
    } else if matches!(
        socket.address(),
        Address::Unix(UnixName::Unnamed) | Address::Vsock { port: vsock::ANY, .. }
    ) {
        return Err(Errno::EINVAL);
    }
    connection.listen(&socket, backlog)?;
    if socket.may_leave()
        && let Some(carrier) = outside::carrier()
    {
        carrier.listen();
    }
    Ok(0)
}

/// `accept4`, and with no flags `accept`.
pub fn sys_accept4<C: FileContext>(
    ctx: &C,
    fd: i32,
    address: u64,
    len: u64,
    kind: u32,
) -> Result<usize, Errno> {
    let (rest, flags) = flags(kind)?;
    if rest != 0 {
        return Err(Errno::EINVAL);
    }
    let (file, listener) = socket(ctx, fd)?;
    let Role::Connection(connection) = &listener.role else { return Err(Errno::EOPNOTSUPP) };
    let patience = Patience::new(&file, &listener, false, false);
    let accepted = patience.keep_trying(&listener.shared.queue, || connection.accept(&listener))?;
    let peer = accepted.peer_address();
    let family = accepted.family;
    let number = install(ctx, accepted, flags)?;
    if address != 0 {
        let stored = peer.and_then(|peer| write_address(ctx, &peer.layout(family), address, len));
        if let Err(errno) = stored {
            let file = i32::try_from(number).ok().and_then(|fd| ctx.descriptors().lock().remove(fd).ok());
            drop(file);
            return Err(errno);
        }
    }
    Ok(number)
}

/// `connect`
pub fn sys_connect<C: FileContext>(ctx: &C, fd: i32, address: u64, len: i32) -> Result<usize, Errno> {
    let (file, socket) = socket(ctx, fd)?;
    let parsed = read_address(ctx, socket.family, address, len)?;
    match &socket.role {
        Role::Mailbox(mailbox) => mailbox.set_peer(choose_peer(ctx, &socket, &parsed)?),
        Role::Connection(_) => {
            let patience = Patience::new(&file, &socket, false, true);
            match &parsed {
                Address::Unix(name) => connect_unix(ctx, &socket, name, patience)?,
                Address::Inet(address) => connect_tcp(&socket, *address, patience)?,
                Address::Vsock { cid, port } => connect_vsock(&socket, *cid, *port, patience)?,
                Address::Unspecified if socket.is_inet() => return Err(Errno::EISCONN),
                _ => return Err(Errno::EINVAL),
            }
        }
        Role::Routes(_) => {}
    }
    Ok(0)
}

/// Whom a datagram socket is connected to from now on; its own name becomes what the peer will see.
fn choose_peer<C: FileContext>(ctx: &C, socket: &Arc<Socket>, address: &Address) -> Result<Peer, Errno> {
    match address {
        Address::Unspecified => {
            let freed = if socket.is_inet() { forget_unchosen(socket) } else { None };
            drop(freed);
            Ok(Peer::None)
        }
        Address::Unix(name) => {
            let fs = ctx.fs().lock().clone();
            let peer = unix::find(name, socket.kind, &fs)?;
            unix::name_for_credentials(socket)?;
            Ok(Peer::Socket(Arc::downgrade(&peer), peer.address()))
        }
        Address::Inet(address) => {
            let (to, from) = match route::to(address.ip())? {
                Way::Loopback { to, from } => (to, from),
                Way::Outside => (address.ip(), route::outer(address.ip())),
            };
            let own = ports::bound(socket)?;
            if own.ip().is_unspecified() {
                socket.name.lock().address = Address::Inet(SocketAddr::new(from, own.port()));
            }
            Ok(Peer::Address(SocketAddr::new(to, address.port())))
        }
        Address::Netlink { .. } | Address::Vsock { .. } => Err(Errno::EINVAL),
    }
}

/// A name that the kernel chose goes with the peer that it was chosen for.
fn forget_unchosen(socket: &Socket) -> Option<Name> {
    let mut name = socket.name.lock();
    let is_chosen = name.port.as_ref().is_some_and(|held| held.is_chosen);
    let unnamed = Name { address: Address::Inet(route::unspecified(socket.family)), place: None, port: None };
    (!is_chosen).then(|| core::mem::replace(&mut *name, unnamed))
}

fn connect_unix<C: FileContext>(
    ctx: &C,
    socket: &Arc<Socket>,
    name: &UnixName,
    patience: Patience,
) -> Result<(), Errno> {
    let Role::Connection(connection) = &socket.role else { return Err(Errno::EOPNOTSUPP) };
    unix::name_for_credentials(socket)?;
    let fs = ctx.fs().lock().clone();
    // Who listens there is looked up before anything is said about this socket.
    let mut listener = unix::find(name, socket.kind, &fs)?;
    connection.begin(socket)?;
    let result = loop {
        let before = listener.shared.queue.generation();
        let make = || {
            let accepted = Socket::new(Family::Unix, listener.kind, 0);
            accepted.name.lock().address = listener.address();
            accepted.options.lock().passes_credentials = listener.options.lock().passes_credentials;
            accepted
        };
        match connection.connect(socket, &listener, make) {
            Err(Errno::EAGAIN) if !patience.is_none() => {
                let has_moved = || {
                    if listener.shared.queue.generation() == before { Err(Errno::EAGAIN) } else { Ok(()) }
                };
                if let Err(errno) = patience.keep_trying(&listener.shared.queue, has_moved) {
                    break Err(errno);
                }
                match unix::find(name, socket.kind, &fs) {
                    Ok(found) => listener = found,
                    Err(errno) => break Err(errno),
                }
            }
            result => break result,
        }
    };
    connection.give_up();
    result
}

/// Connects to a port. A program that does not wait is told EINPROGRESS, as on Linux, although it is done at once; it asks again, polls, or
/// reads SO_ERROR.
fn connect_tcp(socket: &Arc<Socket>, address: SocketAddr, patience: Patience) -> Result<(), Errno> {
    let Role::Connection(connection) = &socket.role else { return Err(Errno::EOPNOTSUPP) };
    socket.look_outside();
    if connection.learns_of_success() {
        return Ok(());
    }
    connection.begin(socket)?;
    if route::to(address.ip()) == Ok(Way::Outside) {
        return connect_outside(socket, patience, || stream_end::connect(socket, address));
    }
    let result = reach(socket, address);
    connection.give_up();
    match result {
        Ok(()) if patience.is_none() => {
            connection.set_unknown();
            Err(Errno::EINPROGRESS)
        }
        Err(errno @ Errno::ECONNREFUSED) if patience.is_none() => {
            socket.shared.fail(errno);
            Err(Errno::EINPROGRESS)
        }
        // Far more connections wait there than any program lets wait: a network would not answer.
        Err(Errno::EAGAIN) => Err(Errno::ETIMEDOUT),
        result => result,
    }
}

/// Connects to a port of the host, or of a program of the partition.
fn connect_vsock(socket: &Arc<Socket>, cid: u32, port: u32, patience: Patience) -> Result<(), Errno> {
    let Role::Connection(connection) = &socket.role else { return Err(Errno::EOPNOTSUPP) };
    socket.look_outside();
    if connection.learns_of_success() {
        return Ok(());
    }
    let way = vsock::to(cid)?;
    connection.begin(socket)?;
    if way == vsock::Way::Outside {
        return connect_outside(socket, patience, || vsock::connect(socket, port));
    }
    let result = vsock::reach(socket, cid, port);
    connection.give_up();
    result
}

/// Connects to somebody outside the partition as `start` does, and waits for the answer unless the program does not.
fn connect_outside(
    socket: &Arc<Socket>,
    patience: Patience,
    start: impl FnOnce() -> Result<(), Errno>,
) -> Result<(), Errno> {
    let Role::Connection(connection) = &socket.role else { return Err(Errno::EOPNOTSUPP) };
    if let Err(errno) = start() {
        connection.give_up();
        return Err(errno);
    }
    let has_answer = || if connection.is_connecting() { Err(Errno::EAGAIN) } else { Ok(()) };
    if patience.is_none() || patience.keep_trying(&socket.shared.queue, has_answer) == Err(Errno::EAGAIN) {
        return Err(Errno::EINPROGRESS);
    }
    // A signal ends the wait and not the connection; a program that calls again is told how far that is.
    match has_answer() {
        Err(_) => Err(Errno::EINTR),
        Ok(()) if connection.learns_of_success() => Ok(()),
        Ok(()) => Err(socket.shared.take_error().unwrap_or(Errno::ECONNREFUSED)),
    }
}

fn reach(socket: &Arc<Socket>, address: SocketAddr) -> Result<(), Errno> {
    let Role::Connection(connection) = &socket.role else { return Err(Errno::EOPNOTSUPP) };
    let Way::Loopback { to, from } = route::to(address.ip())? else { return Err(Errno::ENETUNREACH) };
    let own = ports::bound(socket)?;
    let own_ip = if own.ip().is_unspecified() { from } else { own.ip() };
    if own_ip.is_ipv4() != to.is_ipv4() {
        return Err(Errno::ENETUNREACH);
    }
    socket.name.lock().address = Address::Inet(SocketAddr::new(own_ip, own.port()));
    let there = SocketAddr::new(to, address.port());
    let candidates = ports::find(Protocol::Tcp, there);
    let listens =
        |socket: &&Arc<Socket>| matches!(&socket.role, Role::Connection(other) if other.is_listening());
    let listener = candidates.iter().find(listens).ok_or(Errno::ECONNREFUSED)?;
    let make = || {
        let accepted = Socket::new(listener.family, Kind::Stream, listener.protocol);
        accepted.name.lock().address = Address::Inet(there);
        // What is set on a listener holds for what it accepts.
        *accepted.options.lock() = listener.options.lock().clone();
        accepted
    };
    connection.connect(socket, listener, make)
}

/// `shutdown`: SHUT_RD, SHUT_WR, SHUT_RDWR
pub fn sys_shutdown<C: FileContext>(ctx: &C, fd: i32, how: u32) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    let (receiving, sending) = match how {
        0 => (true, false),
        1 => (false, true),
        2 => (true, true),
        _ => return Err(Errno::EINVAL),
    };
    socket.shut_down(receiving, sending)?;
    Ok(0)
}

/// `getsockname`
pub fn sys_getsockname<C: FileContext>(ctx: &C, fd: i32, address: u64, len: u64) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    write_address(ctx, &socket.address().layout(socket.family), address, len)?;
    Ok(0)
}

/// `getpeername`
pub fn sys_getpeername<C: FileContext>(ctx: &C, fd: i32, address: u64, len: u64) -> Result<usize, Errno> {
    let (_, socket) = socket(ctx, fd)?;
    if let Role::Connection(connection) = &socket.role
        && socket.is_inet()
        && connection.is_over()
    {
        return Err(Errno::ENOTCONN);
    }
    write_address(ctx, &socket.peer_address()?.layout(socket.family), address, len)?;
    Ok(0)
}
