//! Connections to other partitions that are broken off.
//!
//! They are Unix sockets, which only end. One byte of urgent data before the end says that it is a reset. It is looked for before each read,
//! so that what came before it is read first: reading past it takes it away. A host without such data (CONFIG_AF_UNIX_OOB), or a peer that
//! is behind by all that its socket keeps, makes an end of a reset, as it was.

use std::fs::File;

use rustix::net::{RecvFlags, SendFlags, recv, send};

const RESET: u8 = 1;

/// Tells the other side that what ends now is broken off.
pub(crate) fn tell(socket: &File) {
    // See above.
    let _ = send(socket, &[RESET], SendFlags::OOB | SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

/// Whether the other side has said so, for the first time.
pub(crate) fn is_told(socket: &File) -> bool {
    let mut byte = [0];
    matches!(recv(socket, &mut byte[..], RecvFlags::OOB | RecvFlags::DONTWAIT), Ok((1, _)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Read as _, Write as _};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_reset_is_told_behind_what_was_said_before() {
        let [mut ours, mut theirs]: [File; 2] =
            <[UnixStream; 2]>::from(UnixStream::pair().unwrap()).map(|end| File::from(OwnedFd::from(end)));
        assert!(!is_told(&theirs));
        ours.write_all(b"last words").unwrap();
        assert!(!is_told(&theirs));
        tell(&ours);
        drop(ours);
        assert!(is_told(&theirs) && !is_told(&theirs));
        let mut said = Vec::new();
        theirs.read_to_end(&mut said).unwrap();
        assert_eq!(said, b"last words");
    }
}
