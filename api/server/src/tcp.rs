//! Serving by TCP: with TLS, or without on loopback. Whoever comes this way needs a token for everything.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use septum_api_types::v1::{Problem, ProblemCode};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use crate::access::{Caller, Place};
use crate::listen::converse;

/// Connections by TCP at once: strangers may not take all descriptors.
const CONNECTIONS: usize = 256;
/// How long the handshake of TLS may take.
const HANDSHAKE_TIME: Duration = Duration::from_secs(10);
/// How long to wait when the host has no descriptor left.
const BREATH: Duration = Duration::from_millis(100);

/// A listener that is ready.
pub struct Tcp {
    listener: TcpListener,
    tls: Option<TlsAcceptor>,
}

fn refused(cause: impl Into<String>, remediation: &str) -> Problem {
    Problem::new(ProblemCode::Invalid, "cannot serve by TCP", cause, remediation)
}

impl Tcp {
    /// Listens. `tls`: the files of certificate and key; without, the address must be one of loopback, and `is_plain` say that it is meant.
    ///
    /// # Errors
    /// Neither TLS nor loopback, files that are none, an address that is taken.
    pub async fn listen(
        address: SocketAddr,
        tls: Option<(&Path, &Path)>,
        is_plain: bool,
    ) -> Result<Self, Problem> {
        let tls = match tls {
            Some((certificate, key)) => Some(acceptor(certificate, key)?),
            None if !is_plain => {
                return Err(refused(
                    "it would not be encrypted",
                    "give --tls-cert and --tls-key, or on a loopback address --plain-tcp",
                ));
            }
            None if !address.ip().is_loopback() => {
                return Err(refused(
                    format!("without TLS it must be on loopback, and {} is not", address.ip()),
                    "give --tls-cert and --tls-key, or an address of 127.0.0.1",
                ));
            }
            None => None,
        };
        let listener = TcpListener::bind(address)
            .await
            .map_err(|error| refused(format!("{address}: {error}"), "choose another address or port"))?;
        Ok(Self { listener, tls })
    }

    /// Where it listens, the port chosen by the host if none was given.
    ///
    /// # Errors
    /// The host does not say.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves whoever comes. Never returns.
    pub async fn serve(self, router: Router) {
        let room = Arc::new(Semaphore::new(CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else { return };
            let place = Place { _permit: Some(Arc::new(permit)) };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => {
                    watch_over(&stream);
                    stream
                }
                Err(_) => {
                    tokio::time::sleep(BREATH).await;
                    continue;
                }
            };
            let (router, tls) = (router.clone(), self.tls.clone());
            tokio::spawn(async move {
                match tls {
                    None => converse(stream, router, Caller::Stranger, place).await,
                    Some(tls) => {
                        let shaken = tokio::time::timeout(HANDSHAKE_TIME, tls.accept(stream)).await;
                        if let Ok(Ok(stream)) = shaken {
                            converse(stream, router, Caller::Stranger, place).await;
                        }
                    }
                }
            });
        }
    }
}

/// Peers that are gone without a word are noticed within two minutes, also where nothing is sent to them for hours. A client that is only stopped
/// stays: its host answers.
fn watch_over(stream: &TcpStream) {
    use rustix::net::sockopt;
    // Where it cannot be, they are noticed later.
    let _ = sockopt::set_socket_keepalive(stream, true);
    let _ = sockopt::set_tcp_keepidle(stream, Duration::from_secs(60));
    let _ = sockopt::set_tcp_keepintvl(stream, Duration::from_secs(10));
    let _ = sockopt::set_tcp_keepcnt(stream, 6);
    let _ = stream.set_nodelay(true);
}

fn acceptor(certificate: &Path, key: &Path) -> Result<TlsAcceptor, Problem> {
    let unusable = |path: &Path, error: &dyn std::fmt::Display| {
        refused(
            format!("'{}' cannot be used: {error}", path.display()),
            "give PEM files of a certificate and its key",
        )
    };
    let chain: Vec<CertificateDer<'static>> = CertificateDer::pem_file_iter(certificate)
        .and_then(Iterator::collect)
        .map_err(|error| unusable(certificate, &error))?;
    let secret = PrivateKeyDer::from_pem_file(key).map_err(|error| unusable(key, &error))?;
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| unusable(certificate, &error))?
        .with_no_client_auth()
        .with_single_cert(chain, secret)
        .map_err(|error| unusable(certificate, &error))?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsAcceptor::from(Arc::new(config)))
}
