//! TLS of a port: the certificate that it shows, taken anew when its files change, and the
//! handshake. What comes behind the handshake is the HTTP server's and the WebSocket's.
//!
//! It asks clients for no certificate, and knows none of the certificates it shows by
//! name: one port, one certificate.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_web::rt::net::TcpStream;
use parking_lot::Mutex;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::{ClientHello, ParsedCertificate, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig, ServerConnection};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::telemetry::{EngineEvent, Telemetry};
use crate::types::TlsFault;

/// How old what is known of the files may get: renewing programs replace them weeks before
/// the old certificate ends.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// How old while the files cannot be used. Two files are not written at once: what a look in
/// between finds is neither told nor taken for the state of the next minute.
const LOOK_AGAIN_EVERY: Duration = Duration::from_secs(5);

/// Longest time for a handshake. One round trip is usual.
const HANDSHAKE_MS_MAX: u64 = 5_000;

/// What a session may hold for a peer that does not read: a record.
const UNSENT_BYTES_MAX: usize = 16 * 1024;

/// Where certificate and key are: PEM, the certificate before those of its issuers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CertificateFiles {
    /// The chain.
    pub certificate: PathBuf,
    /// Its private key.
    pub key: PathBuf,
}

/// Why a certificate cannot be shown.
#[derive(Debug, thiserror::Error)]
pub enum CertificateError {
    /// A file does not hold what it should.
    #[error("{}: {problem}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The two do not belong together, or cannot be used.
    #[error("{} cannot be used with the key {}: {problem}", certificate.display(), key.display())]
    Pair {
        /// File of the certificate.
        certificate: PathBuf,
        /// File of the key.
        key: PathBuf,
        /// What is wrong.
        problem: String,
    },
}

impl CertificateFiles {
    /// Whether they can be used.
    ///
    /// # Errors
    /// [`CertificateError`] when they cannot.
    pub fn check(&self) -> Result<(), CertificateError> {
        self.read(&ring::default_provider()).map(drop)
    }

    /// Why clients will not take the certificate although they trust whoever issued it.
    /// `None`: nothing is wrong with it, or it cannot be read.
    #[must_use]
    pub fn objection(&self) -> Option<TlsFault> {
        let provider = ring::default_provider();
        let chain = self.read(&provider).ok()?.cert;
        let (own, others) = chain.split_first()?;
        let mut trusted = RootCertStore::empty();
        trusted.add(others.last().unwrap_or(own).clone()).ok()?;
        let verdict = verify_server_cert_signed_by_trust_anchor(
            &ParsedCertificate::try_from(own).ok()?,
            &trusted,
            others,
            UnixTime::now(),
            provider.signature_verification_algorithms.all,
        );
        // Its issuer need not be among what is shown.
        verdict.err().as_ref().map(TlsFault::from).filter(|it| *it != TlsFault::UnknownIssuer)
    }

    fn read(&self, provider: &CryptoProvider) -> Result<CertifiedKey, CertificateError> {
        let chain = CertificateDer::pem_file_iter(&self.certificate)
            .and_then(Iterator::collect::<Result<Vec<_>, _>>)
            .map_err(|error| wrong(&self.certificate, &error))?;
        if chain.is_empty() {
            let problem = "holds no certificate; it is to begin with -----BEGIN CERTIFICATE-----";
            return Err(wrong(&self.certificate, &problem));
        }
        let key = PrivateKeyDer::from_pem_file(&self.key).map_err(|it| wrong(&self.key, &it))?;
        CertifiedKey::from_der(chain, key, provider).map_err(|error| CertificateError::Pair {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
            problem: error.to_string(),
        })
    }
}

fn wrong(path: &Path, problem: &dyn fmt::Display) -> CertificateError {
    CertificateError::File { path: path.to_owned(), problem: problem.to_string() }
}

/// Makes TLS of a port's connections. Clones show the same certificate.
#[derive(Clone)]
pub struct Tls(TlsAcceptor);

impl Tls {
    /// Takes the certificate from its files, and again when they change.
    ///
    /// # Errors
    /// [`CertificateError`] when they cannot be used now. Later the last one that could be
    /// stays, and an event tells.
    pub fn new(files: CertificateFiles, telemetry: Telemetry) -> Result<Self, CertificateError> {
        let provider = Arc::new(ring::default_provider());
        let resolver = Resolver::new(files, Arc::clone(&provider), telemetry)?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("ring knows every version")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(resolver));
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(Self(TlsAcceptor::from(Arc::new(config))))
    }
}

/// Knows the certificate to be shown.
struct Resolver {
    files: CertificateFiles,
    provider: Arc<CryptoProvider>,
    telemetry: Telemetry,
    shown: Mutex<Shown>,
}

struct Shown {
    key: Arc<CertifiedKey>,
    looked_at: Instant,
    /// What was wrong at the last look.
    problem: Option<String>,
    /// It was told.
    is_told: bool,
}

impl Shown {
    const fn look_every(&self) -> Duration {
        if self.problem.is_some() { LOOK_AGAIN_EVERY } else { LOOK_EVERY }
    }
}

impl Resolver {
    fn new(
        files: CertificateFiles,
        provider: Arc<CryptoProvider>,
        telemetry: Telemetry,
    ) -> Result<Self, CertificateError> {
        let key = Arc::new(files.read(&provider)?);
        let shown = Shown { key, looked_at: Instant::now(), problem: None, is_told: false };
        Ok(Self { files, provider, telemetry, shown: Mutex::new(shown) })
    }

    /// The certificate of the files, or the last good one.
    fn current(&self) -> Arc<CertifiedKey> {
        let mut shown = self.shown.lock();
        if shown.looked_at.elapsed() >= shown.look_every() {
            shown.looked_at = Instant::now();
            self.renew(&mut shown);
        }
        Arc::clone(&shown.key)
    }

    fn renew(&self, shown: &mut Shown) {
        let outcome = self.files.read(&self.provider);
        let problem = outcome.as_ref().err().map(ToString::to_string);
        let stays = problem == shown.problem;
        shown.is_told &= stays;
        match outcome {
            Ok(read) if read.cert != shown.key.cert => {
                shown.key = Arc::new(read);
                self.telemetry.engine_event(&EngineEvent::CertificateTaken);
            }
            Err(error) if stays && !shown.is_told => {
                shown.is_told = true;
                let message = error.to_string();
                self.telemetry.engine_event(&EngineEvent::CertificateRefused { message });
            }
            _ => {}
        }
        shown.problem = problem;
    }
}

impl fmt::Debug for Resolver {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Resolver").field("files", &self.files).finish_non_exhaustive()
    }
}

impl ResolvesServerCert for Resolver {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.current())
    }
}

/// A connection of a port that speaks TLS or does not.
pub(super) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl Stream {
    /// Does the handshake where there is one to do.
    pub(super) async fn accept(tcp: TcpStream, tls: Option<Tls>) -> io::Result<Self> {
        // Frames are small and each is wanted at once.
        tcp.set_nodelay(true)?;
        let Some(Tls(acceptor)) = tls else { return Ok(Self::Plain(tcp)) };
        let handshake = acceptor.accept_with(tcp, |session| {
            session.set_buffer_limit(Some(UNSENT_BYTES_MAX));
        });
        let stream = timeout(Duration::from_millis(HANDSHAKE_MS_MAX), handshake).await;
        let stream = stream.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))?;
        Ok(Self::Tls(Box::new(stream)))
    }

    /// The connection, belonging to no thread, and its session.
    pub(super) fn into_parts(self) -> io::Result<(std::net::TcpStream, Option<ServerConnection>)> {
        match self {
            Self::Plain(tcp) => Ok((tcp.into_std()?, None)),
            Self::Tls(stream) => {
                let (tcp, session) = stream.into_inner();
                Ok((tcp.into_std()?, Some(session)))
            }
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_read(context, buffer),
            Self::Tls(stream) => Pin::new(stream).poll_read(context, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_write(context, bytes),
            Self::Tls(stream) => Pin::new(stream).poll_write(context, bytes),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_flush(context),
            Self::Tls(stream) => Pin::new(stream).poll_flush(context),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(stream) => Pin::new(stream).poll_shutdown(context),
            Self::Tls(stream) => Pin::new(stream).poll_shutdown(context),
        }
    }
}

#[cfg(test)]
pub(super) mod tests;
