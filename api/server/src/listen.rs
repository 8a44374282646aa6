//! Connections: who is at the other end, and one task for each.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustix::process::geteuid;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{UnixListener, UnixStream};

use crate::access::{Caller, Place};

/// How long the head of a request may take to come.
const HEAD_TIME: Duration = Duration::from_secs(30);
/// How long to wait when the host has no descriptor left.
const BREATH: Duration = Duration::from_millis(100);

/// Where the socket is.
#[must_use]
pub fn socket_path(runtime: &Path) -> PathBuf {
    runtime.join("septum.sock")
}

/// Listens on the socket of the runtime folder, which is the caller's alone: whoever holds the coordinator's locks may replace what an
/// earlier one has left.
///
/// # Errors
/// It cannot be made.
pub fn unix_listener(runtime: &Path) -> io::Result<UnixListener> {
    let folder = std::fs::File::open(runtime)?;
    // A path through the descriptor is short whatever the folder is called.
    let place =
        socket_path(Path::new(&format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&folder))));
    match std::fs::remove_file(&place) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let listener = std::os::unix::net::UnixListener::bind(&place)?;
    std::fs::set_permissions(&place, std::fs::Permissions::from_mode(0o600))?;
    listener.set_nonblocking(true)?;
    UnixListener::from_std(listener)
}

/// Serves whoever comes by the Unix socket and is the same user, or root. Never returns.
pub async fn serve_unix(listener: UnixListener, router: Router) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) if is_owner(&stream) => {
                tokio::spawn(converse(stream, router.clone(), Caller::Owner, Place::default()));
            }
            Ok(_) => {}
            Err(_) => tokio::time::sleep(BREATH).await,
        }
    }
}

fn is_owner(stream: &UnixStream) -> bool {
    stream.peer_cred().is_ok_and(|peer| peer.uid() == geteuid().as_raw() || peer.uid() == 0)
}

/// One connection, to its end.
pub(crate) async fn converse<S>(stream: S, router: Router, caller: Caller, place: Place)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service =
        TowerToHyperService::new(router.layer(axum::Extension(caller)).layer(axum::Extension(place)));
    // Whoever goes in the middle, or speaks no HTTP, ends the connection and nothing else.
    let _ = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME)
        .serve_connection(TokioIo::new(stream), service)
        .with_upgrades()
        .await;
}
