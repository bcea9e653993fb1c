//! A caller's connection: plain or under TLS, as the address says, and read and written
//! only as far as it goes at once. It knows no HTTP and no WebSocket.
//!
//! Callers trust whom the system trusts, or the certificates of `SSL_CERT_FILE`.

use std::error::Error;
use std::io::{self, Read, Write};
use std::rc::Rc;
use std::sync::Arc;

use reqwest::Url;
use rustls::crypto::ring;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};
use rustls_platform_verifier::BuilderVerifierExt;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use crate::types::TlsFault;

/// Whether an address asks for TLS.
pub(super) fn is_tls(url: &Url) -> bool {
    matches!(url.scheme(), "wss" | "https")
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(super) enum Unconnected {
    /// Nobody answers, or not as one should.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// TLS, and nothing that can be trusted.
    #[error("{0}")]
    Tls(TlsFault),
}

/// The other side's port.
pub(super) async fn connect_tcp(url: &Url) -> io::Result<TcpStream> {
    let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']);
    let port = url.port_or_known_default().unwrap_or(80);
    let stream = TcpStream::connect((host, port)).await?;
    // Frames are small and each is wanted at once.
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Whom callers trust. Clones know of the same earlier connections.
#[derive(Clone)]
pub(super) struct Trust(TlsConnector);

impl Trust {
    /// Reads what the system trusts.
    pub(super) fn of_the_system() -> Result<Self, Unconnected> {
        let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_safe_default_protocol_versions()
            .and_then(BuilderVerifierExt::with_platform_verifier)
            .map_err(|_| Unconnected::Tls(TlsFault::NoRoots))?
            .with_no_client_auth();
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Does the handshake with the host of `url`.
    pub(super) async fn connect(
        &self,
        url: &Url,
        tcp: TcpStream,
    ) -> Result<TlsStream<TcpStream>, Unconnected> {
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let name = ServerName::try_from(host).map_err(io::Error::other)?;
        self.0.connect(name, tcp).await.map_err(Unconnected::of_handshake)
    }
}

impl Unconnected {
    fn of_handshake(error: io::Error) -> Self {
        tls_fault(&error).map_or(Self::Io(error), Self::Tls)
    }
}

/// Why there is no TLS, where that is what `error` comes of.
pub(super) fn tls_fault(error: &(dyn Error + 'static)) -> Option<TlsFault> {
    if let Some(error) = error.downcast_ref::<rustls::Error>() {
        return Some(error.into());
    }
    // An IO error is not its content's outside, but its source's.
    let within = error.downcast_ref::<io::Error>().and_then(|error| error.get_ref());
    within.and_then(|within| tls_fault(within)).or_else(|| error.source().and_then(tls_fault))
}

/// The connection. Reading and writing give [`io::ErrorKind::WouldBlock`] instead of
/// waiting.
pub(super) enum Connection {
    Plain(Tcp),
    Tls(Box<StreamOwned<ClientConnection, Tcp>>),
}

impl Connection {
    /// Connects to the host of `url`; `trust` gives what is needed for TLS.
    pub(super) async fn open(
        url: &Url,
        trust: impl FnOnce() -> Result<Trust, Unconnected>,
    ) -> Result<Self, Unconnected> {
        let tcp = connect_tcp(url).await?;
        if !is_tls(url) {
            return Ok(Self::Plain(Tcp(Rc::new(tcp))));
        }
        let (tcp, session) = trust()?.connect(url, tcp).await?.into_inner();
        Ok(Self::Tls(Box::new(StreamOwned::new(session, Tcp(Rc::new(tcp))))))
    }

    /// The socket below, to wait for.
    pub(super) fn socket(&self) -> &Rc<TcpStream> {
        match self {
            Self::Plain(tcp) => &tcp.0,
            Self::Tls(tls) => &tls.sock.0,
        }
    }

    /// Writes all of `bytes`, waiting where that is needed.
    pub(super) async fn send(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write(bytes) {
                Ok(written) => bytes = &bytes[written..],
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket().writable().await?;
                }
                Err(error) => return Err(error),
            }
        }
        self.flush()
    }

    /// Reads what is there, waiting until there is something; 0 bytes at the end.
    pub(super) async fn receive(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.socket().readable().await?;
                }
                outcome => return outcome,
            }
        }
    }
}

impl Read for Connection {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.read(bytes),
            Self::Tls(tls) => tls.read(bytes),
        }
    }
}

impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(tcp) => tcp.write(bytes),
            Self::Tls(tls) => tls.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(tcp) => tcp.flush(),
            Self::Tls(tls) => tls.flush(),
        }
    }
}

/// A socket that never waits.
pub(super) struct Tcp(Rc<TcpStream>);

impl Read for Tcp {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.try_read(bytes)
    }
}

impl Write for Tcp {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
