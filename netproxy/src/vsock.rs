//! What a program of the host says first to reach a port of AF_VSOCK, as other virtual machine monitors have it.
//!
//! ```text
//! program   CONNECT PORT\n
//! proxy     OK NUMBER\n, when a program of the partition has accepted; else the end
//! ```

use std::fs::File;

use rustix::io::Errno;
use rustix::net::{RecvFlags, recv};

/// Bytes of the longest line.
const LONGEST: usize = 32;

/// The port that is asked for, if all of it has come. What follows the line stays where it is.
pub(crate) fn read_greeting(socket: &File) -> Result<Option<u32>, Errno> {
    let mut bytes = [0; LONGEST];
    let len = match recv(socket, &mut bytes[..], RecvFlags::PEEK | RecvFlags::DONTWAIT) {
        Ok((0, _)) => return Err(Errno::PIPE),
        Ok((len, _)) => len,
        Err(Errno::AGAIN | Errno::INTR) => return Ok(None),
        Err(error) => return Err(error),
    };
    let come = bytes.get(..len).unwrap_or_default();
    let Some(end) = come.iter().position(|&byte| byte == b'\n') else {
        return if len < LONGEST { Ok(None) } else { Err(Errno::PROTO) };
    };
    let port = come.get(..end).and_then(parse).ok_or(Errno::PROTO)?;
    // These bytes are there.
    recv(socket, bytes.get_mut(..=end).unwrap_or_default(), RecvFlags::DONTWAIT)?;
    Ok(Some(port))
}

fn parse(line: &[u8]) -> Option<u32> {
    let number = std::str::from_utf8(line).ok()?.strip_prefix("CONNECT ")?;
    let is_plain = number.bytes().all(|byte| byte.is_ascii_digit());
    number.parse().ok().filter(|&port| is_plain && port != u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    fn greeted(text: &[u8]) -> (Result<Option<u32>, Errno>, Vec<u8>) {
        let (mut ours, theirs) = UnixStream::pair().unwrap();
        ours.write_all(text).unwrap();
        let theirs = File::from(OwnedFd::from(theirs));
        let port = read_greeting(&theirs);
        let mut rest = [0; 64];
        let len = recv(&theirs, &mut rest[..], RecvFlags::DONTWAIT).map_or(0, |(len, _)| len);
        (port, rest[..len].to_vec())
    }

    #[test]
    fn a_greeting_is_a_line_and_what_follows_is_kept() {
        assert_eq!(greeted(b"CONNECT 52\nGET /"), (Ok(Some(52)), b"GET /".to_vec()));
        assert_eq!(greeted(b"CONNECT 52"), (Ok(None), b"CONNECT 52".to_vec()));
        let too_long = [b'0'; 40];
        let wrong = [
            &b"CONNECT \n"[..],
            b"CONNECT +5\n",
            b"CONNECT 4294967295\n",
            b"GET / HTTP/1.1\r\n",
            b"\n",
            b"\xff\n",
        ];
        for text in wrong.into_iter().chain([&too_long[..]]) {
            assert_eq!(greeted(text).0, Err(Errno::PROTO), "{text:?}");
        }
    }
}
