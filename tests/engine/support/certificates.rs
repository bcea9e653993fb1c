//! Certificates of a test, and who shows or trusts them.

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::Setup;

/// Writes a new certificate for this computer, and its key.
pub fn certify(setup: &Setup, name: &str) -> (PathBuf, PathBuf) {
    let key = KeyPair::generate().expect("a key");
    let mut params = CertificateParams::default();
    params.subject_alt_names = vec![rcgen::SanType::IpAddress(IpAddr::V4(Ipv4Addr::LOCALHOST))];
    let certificate = params.self_signed(&key).expect("a certificate");
    let files = ["certificate", "key"].map(|kind| setup.folder().join(&format!("{name}.{kind}")));
    std::fs::write(&files[0], certificate.pem()).expect("a file");
    std::fs::write(&files[1], key.serialize_pem()).expect("a file");
    files.into()
}

/// What a server is to show.
pub fn shown(certificate: &Path, key: &Path) -> ServerConfig {
    let chain = vec![CertificateDer::from_pem_file(certificate).expect("a certificate")];
    let key = PrivateKeyDer::from_pem_file(key).expect("a key");
    ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .and_then(|config| config.with_no_client_auth().with_single_cert(chain, key))
        .expect("they belong together")
}

/// A connection under TLS to an address like `https://host:port` that shows this certificate,
/// in PEM.
pub async fn tls_to(url: &str, certificate: &[u8]) -> TlsStream<TcpStream> {
    let mut roots = RootCertStore::empty();
    let certificate = CertificateDer::from_pem_slice(certificate).expect("a certificate");
    roots.add(certificate).expect("a usable certificate");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    let address = url.split_once("://").map_or(url, |(_, address)| address);
    let host = address.split(':').next().unwrap_or_default().to_owned();
    let tcp = TcpStream::connect(address).await.expect("the port is open");
    let name = ServerName::try_from(host).expect("a name");
    TlsConnector::from(Arc::new(config)).connect(name, tcp).await.expect("it speaks TLS")
}
