//! Certificates that come, go and change.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, KeyPair, date_time_ymd};
use rustls::{ClientConfig, RootCertStore};
use tokio::time::advance;
use tokio_rustls::TlsConnector;

use super::*;
use crate::telemetry::{EventFileSettings, EventQueue, EventWriter, LockedFile, QueueLimits};

/// A port with a certificate of its own, and a client that trusts it.
pub(in crate::transports) struct Certified {
    pub(in crate::transports) tls: Tls,
    pub(in crate::transports) connector: TlsConnector,
}

/// For a name.
pub(in crate::transports) fn certified(name: &str) -> Certified {
    let folder = Folder::new();
    let files = folder.write(name);
    let mut roots = RootCertStore::empty();
    let shown = CertificateDer::from_pem_file(&files.certificate).expect("a certificate");
    roots.add(shown).expect("a usable one");
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("ring knows them")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Certified {
        tls: Tls::new(files, telemetry().0).expect("it can be used"),
        connector: TlsConnector::from(Arc::new(config)),
    }
}

/// Files of a test; gone with this value.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("antiphon-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        fs::create_dir(&path).expect("a new folder");
        Self(path)
    }

    /// A new certificate for `name` in the same two files.
    fn write(&self, name: &str) -> CertificateFiles {
        self.write_with(name, &|_| {})
    }

    /// The same with something changed.
    fn write_with(&self, name: &str, change: &dyn Fn(&mut CertificateParams)) -> CertificateFiles {
        let key = KeyPair::generate().expect("a key");
        let mut params = CertificateParams::new(vec![name.to_owned()]).expect("a name");
        change(&mut params);
        let certificate = params.self_signed(&key).expect("a certificate");
        let files =
            CertificateFiles { certificate: self.0.join("cert.pem"), key: self.0.join("key.pem") };
        fs::write(&files.certificate, certificate.pem()).expect("a file");
        fs::write(&files.key, key.serialize_pem()).expect("a file");
        files
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).expect("it is there");
    }
}

fn telemetry() -> (Telemetry, EventQueue) {
    Telemetry::new(QueueLimits { queue_max: 10, batch_max: 1 }, Vec::new())
}

/// The types of all events so far.
fn told(queue: &EventQueue, folder: &Folder) -> Vec<String> {
    let path = folder.0.join("events.jsonl");
    let settings = EventFileSettings { path: path.clone(), rotate_bytes: 0, rotated_files_max: 0 };
    queue.drain(&mut EventWriter::<LockedFile>::new(settings));
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines = text.lines().map(serde_json::from_str::<serde_json::Value>);
    lines
        .map(|line| line.expect("JSON")["event_type"].as_str().unwrap_or_default().to_owned())
        .collect()
}

fn resolver(files: CertificateFiles, telemetry: Telemetry) -> Resolver {
    let provider = Arc::new(ring::default_provider());
    Resolver::new(files, provider, telemetry).expect("it can be used")
}

#[tokio::test(start_paused = true)]
async fn a_renewed_certificate_is_shown_within_a_minute_and_a_broken_one_never() {
    let folder = Folder::new();
    let (telemetry, queue) = telemetry();
    let resolver = resolver(folder.write("a.example"), telemetry);
    let first = resolver.current();

    folder.write("b.example");
    assert_eq!(resolver.current().cert, first.cert, "it was looked at a moment ago");
    advance(LOOK_EVERY).await;
    let second = resolver.current();
    assert_ne!(second.cert, first.cert);
    assert_eq!(told(&queue, &folder), ["certificate_taken"]);

    // Half of it is written.
    let path = resolver.files.certificate.clone();
    let whole = fs::read(&path).expect("it is there");
    fs::write(&path, &whole[..whole.len() / 2]).expect("a file");
    for _ in 0..4 {
        advance(LOOK_EVERY).await;
        assert_eq!(resolver.current().cert, second.cert);
    }
    assert_eq!(told(&queue, &folder), ["certificate_taken", "certificate_refused"], "told once");

    // The other half: as before, so that there is nothing to tell.
    fs::write(&path, &whole).expect("a file");
    advance(LOOK_EVERY).await;
    assert_eq!(resolver.current().cert, second.cert);
    assert_eq!(told(&queue, &folder).len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_look_between_the_writing_of_certificate_and_key_costs_seconds_and_is_not_told() {
    let (folder, other) = (Folder::new(), Folder::new());
    let (telemetry, queue) = telemetry();
    let resolver = resolver(folder.write("a.example"), telemetry);
    let first = resolver.current();
    let next = other.write("b.example");
    fs::copy(&next.certificate, &resolver.files.certificate).expect("a file");
    advance(LOOK_EVERY).await;
    assert_eq!(resolver.current().cert, first.cert, "its key is not there yet");
    fs::copy(&next.key, &resolver.files.key).expect("a file");
    advance(LOOK_AGAIN_EVERY).await;
    assert_ne!(resolver.current().cert, first.cert);
    assert_eq!(told(&queue, &folder), ["certificate_taken"]);
}

#[test]
fn what_clients_hold_against_a_certificate_is_known_before_they_do() {
    let objection = |change: &dyn Fn(&mut CertificateParams)| {
        let folder = Folder::new();
        let files = folder.write_with("a.example", change);
        files.check().expect("it can be shown");
        files.objection()
    };
    assert_eq!(objection(&|_| {}), None);
    let ca = IsCa::Ca(BasicConstraints::Unconstrained);
    assert_eq!(objection(&|params| params.is_ca = ca), Some(TlsFault::IssuerItself));
    let past = |params: &mut CertificateParams| params.not_after = date_time_ymd(2001, 1, 1);
    assert_eq!(objection(&past), Some(TlsFault::Expired));
    assert!(TlsFault::IssuerItself.to_string().contains("basicConstraints=critical,CA:FALSE"));
}

#[test]
fn a_key_of_another_certificate_is_refused_with_both_names() {
    let (ours, theirs) = (Folder::new(), Folder::new());
    let key = theirs.write("theirs.example").key;
    let files = CertificateFiles { key, ..ours.write("ours.example") };
    let error = files.check().expect_err("they do not belong together").to_string();
    let names = |path: &Path| error.contains(&path.display().to_string());
    assert!(names(&files.certificate) && names(&files.key), "{error}");
}
