//! Asking a supervisor, without a thread that waits for the answer.

use std::io::ErrorKind;

use septum_registry::Found;
use septum_registry::control::{Answer, ControlError, Reader, Request, frame};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::UnixStream;

/// Sends a request and waits for its answer.
pub async fn ask(found: &Found, request: &Request) -> Result<Answer, ControlError> {
    let closed = |error: std::io::Error| match error.kind() {
        ErrorKind::BrokenPipe | ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof => ControlError::Closed,
        _ => ControlError::Io(error),
    };
    let socket = found.connect().map_err(ControlError::Io)?;
    socket.set_nonblocking(true).map_err(ControlError::Io)?;
    let mut socket = UnixStream::from_std(socket).map_err(ControlError::Io)?;
    socket.write_all(&frame(request)?).await.map_err(closed)?;
    let mut reader = Reader::default();
    let mut buffer = [0; 4096];
    loop {
        if let Some((answer, _)) = reader.take()? {
            return Ok(answer);
        }
        match socket.read(&mut buffer).await.map_err(closed)? {
            0 => return Err(ControlError::Closed),
            length => reader.add(&buffer[..length], Vec::new()),
        }
    }
}
