//! A question to a nameserver by TCP, because its answer is longer than a message (RFC 7766). Never waits.

use std::net::SocketAddr;
use std::os::fd::{AsFd as _, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, connect, recv, send, socket_with,
};

/// Bytes before a message, which say its length.
const HEAD: usize = 2;
const PIECE: usize = 4096;

/// A connection for one question.
#[derive(Debug)]
pub(super) struct Wire {
    socket: OwnedFd,
    outgoing: Vec<u8>,
    incoming: Vec<u8>,
}

impl Wire {
    /// Connects, and has the question sent as soon as that is done.
    ///
    /// # Errors
    /// The host's.
    pub fn connect(server: SocketAddr, question: &[u8]) -> Result<Self, Errno> {
        let family = if server.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
        let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
        let socket = socket_with(family, SocketType::STREAM, flags, None)?;
        match connect(&socket, &server) {
            Ok(()) | Err(Errno::INPROGRESS) => {}
            Err(error) => return Err(error),
        }
        let len = u16::try_from(question.len()).map_err(|_| Errno::MSGSIZE)?;
        let outgoing = [&len.to_be_bytes(), question].concat();
        Ok(Self { socket, outgoing, incoming: Vec::new() })
    }

    /// What to watch.
    pub fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Whether the question is not sent yet.
    pub fn is_sending(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Goes on as far as it can. The answer, if it is whole.
    ///
    /// # Errors
    /// Nobody is there, or goes before the answer's end.
    pub fn advance(&mut self) -> Result<Option<Vec<u8>>, Errno> {
        while self.is_sending() {
            match send(&self.socket, &self.outgoing, SendFlags::NOSIGNAL | SendFlags::DONTWAIT) {
                Ok(len) => drop(self.outgoing.drain(..len)),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
        loop {
            if let Some(answer) = self.answer() {
                return Ok(Some(answer));
            }
            let mut piece = [0; PIECE];
            match recv(&self.socket, &mut piece[..], RecvFlags::DONTWAIT) {
                Ok((0, _)) => return Err(Errno::CONNRESET),
                Ok((len, _)) => self.incoming.extend_from_slice(piece.get(..len).unwrap_or_default()),
                Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }

    fn answer(&self) -> Option<Vec<u8>> {
        let len = usize::from(u16::from_be_bytes(*self.incoming.first_chunk()?));
        self.incoming.get(HEAD..HEAD + len).map(<[u8]>::to_vec)
    }
}
