//! Connections: by a Unix socket, by TCP to this host, or by TLS.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use septum_api_types::v1::{Problem, ProblemCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, RootCertStore};

use crate::address::Address;

/// How long connecting may take, TLS included.
const PATIENCE: Duration = Duration::from_secs(20);
/// Where systems keep whom they trust, all in one file.
const SYSTEM: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// Any connection.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Unpin + Send {}
impl<S: AsyncRead + AsyncWrite + Unpin + Send> Stream for S {}

/// How to get there.
#[derive(Clone)]
pub(crate) struct Way {
    pub(crate) address: Address,
    tls: Option<TlsConnector>,
}

impl std::fmt::Debug for Way {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "Way({})", self.address)
    }
}

fn unusable(what: impl std::fmt::Display, cause: impl std::fmt::Display, remediation: &str) -> Problem {
    Problem::new(
        ProblemCode::Invalid,
        format!("cannot talk to the coordinator at {what}"),
        cause.to_string(),
        remediation,
    )
}

impl Way {
    /// Without TLS.
    pub(crate) fn plain(address: Address) -> Self {
        Self { address, tls: None }
    }

    /// `ca`: whom to trust instead of those whom this host does.
    pub(crate) fn to(address: Address, ca: Option<&Path>) -> Result<Self, Problem> {
        let tls = match &address {
            Address::Tcp { is_tls: true, .. } => Some(connector(ca).map_err(|(path, error)| {
                unusable(
                    &address,
                    format!("'{}' cannot be used: {error}", path.display()),
                    "give a PEM file with the certificate of whoever signed the coordinator's (--ca)",
                )
            })?),
            _ => None,
        };
        Ok(Self { address, tls })
    }

    /// A new connection.
    pub(crate) async fn connect(&self) -> Result<Box<dyn Stream>, Problem> {
        tokio::time::timeout(PATIENCE, self.try_connect()).await.unwrap_or_else(|_| {
            Err(self.not_there("it does not answer in time", "see whether that host can be reached"))
        })
    }

    fn not_there(&self, cause: impl std::fmt::Display, remediation: &str) -> Problem {
        Problem::new(
            ProblemCode::Unavailable,
            "the coordinator does not answer",
            format!("{}: {cause}", self.address),
            remediation,
        )
    }

    async fn try_connect(&self) -> Result<Box<dyn Stream>, Problem> {
        match &self.address {
            Address::Unix(path) => match UnixStream::connect(path).await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(self.not_there(error, "start it: septum serve")),
            },
            Address::Tcp { host, port, is_tls } => {
                let stream = self.tcp(host, *port, *is_tls).await?;
                let Some(tls) = &self.tls else { return Ok(Box::new(stream)) };
                let name = ServerName::try_from(host.clone())
                    .map_err(|error| unusable(&self.address, error, "give a name or an address"))?;
                match tls.connect(name, stream).await {
                    Ok(stream) => Ok(Box::new(stream)),
                    Err(error) => {
                        let next = advice(&error);
                        Err(self.not_there(error, next))
                    }
                }
            }
        }
    }

    async fn tcp(&self, host: &str, port: u16, is_tls: bool) -> Result<TcpStream, Problem> {
        let advice = "see whether 'septum serve --listen' runs there";
        let found =
            tokio::net::lookup_host((host, port)).await.map_err(|error| self.not_there(error, advice))?;
        let (mut last, mut is_elsewhere) = (None, false);
        for address in found {
            if !is_tls && !address.ip().is_loopback() {
                is_elsewhere = true;
                continue;
            }
            match TcpStream::connect(address).await {
                Ok(stream) => {
                    // Keys that are typed do not wait for each other.
                    let _ = stream.set_nodelay(true);
                    return Ok(stream);
                }
                Err(error) => last = Some(error),
            }
        }
        match last {
            Some(error) => Err(self.not_there(error, advice)),
            None if is_elsewhere => Err(unusable(
                &self.address,
                "without TLS everybody on the way could read the token, so http is for this host's loopback addresses alone",
                "use https, or a tunnel to that host",
            )),
            None => Err(self.not_there("that name has no address", advice)),
        }
    }
}

/// What to do about a handshake that failed.
fn advice(error: &io::Error) -> &'static str {
    // The library has no name for it.
    if error.to_string().contains("CaUsedAsEndEntity") {
        "its certificate is one of an authority, as openssl makes those that sign themselves: make it with -addext basicConstraints=critical,CA:FALSE"
    } else {
        "see whether it serves with --tls-cert, and whose certificate that is (--ca names whom to trust)"
    }
}

fn connector(ca: Option<&Path>) -> Result<TlsConnector, (PathBuf, io::Error)> {
    let path = match ca {
        Some(path) => path.to_owned(),
        None => {
            let given = std::env::var_os("SSL_CERT_FILE").map(PathBuf::from);
            let found = || SYSTEM.iter().map(PathBuf::from).find(|path| path.exists());
            given.or_else(found).unwrap_or_else(|| SYSTEM[0].into())
        }
    };
    let failed = |error: io::Error| (path.clone(), error);
    let mut roots = RootCertStore::empty();
    let certificates =
        CertificateDer::pem_file_iter(&path).map_err(|error| failed(io::Error::other(error)))?;
    for certificate in certificates {
        let certificate = certificate.map_err(|error| failed(io::Error::other(error)))?;
        // A system's list may hold some that are too old to be used.
        if let (Err(error), Some(_)) = (roots.add(certificate), ca) {
            return Err(failed(io::Error::other(error)));
        }
    }
    if roots.is_empty() {
        return Err(failed(io::Error::other("there is no certificate in it")));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(|error| failed(io::Error::other(error)))?;
    let mut config = config.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(TlsConnector::from(Arc::new(config)))
}
